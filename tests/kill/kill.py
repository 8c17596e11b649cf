"""Kills a training at random moments and compares what it ends with to one that was never stopped.

    tests/kill/kill.py [--kills N] [--seed S] [--bin DIR] [--kimg K] [--keep DIR]

One small run goes through in one piece. The other is ended N times at random moments by SIGKILL, SIGTERM or SIGINT, from
its first millisecond on, and goes on with --resume each time. Where it gets to its end before all kills are spent,
another one begins. At the end of each, these must be equal: both files of the last checkpoint, stats.jsonl but for the
times in it, the sample grids, the length of the event file; and no partial file may be left. Exit code 1 where one is
not. Needs only Python's standard library.
"""

import argparse
import json
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# What a stopped run ends with: killed, or its own exit codes. Before it catches signals, each of them kills.
EXPECTED = {
    signal.SIGKILL: {-signal.SIGKILL},
    signal.SIGTERM: {143, -signal.SIGTERM},
    signal.SIGINT: {130, -signal.SIGINT},
}
TIMES = {"s_per_kimg"}
NETWORK = {
    "training.batch": 4,
    "training.tick_kimg": 0.032,
    "model.generator.channels": [8, 8, 8, 8],
    "model.discriminator.encoder": [4, 8, 8, 8],
    "model.discriminator.decoder": [[12, 8], [12, 8], [12, 4]],
}


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kimg", type=float, default=0.96)
    parser.add_argument("--bin", type=pathlib.Path, default="target/release")
    parser.add_argument("--keep", type=pathlib.Path, help="leave the runs in this folder")
    return parser.parse_args()


def outcome(run):
    """Returns what must be equal, by name."""
    checkpoints = run / "checkpoints"
    last = checkpoints / (checkpoints / "latest").read_text().strip()
    ticks = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    found = {
        "last checkpoint": last.name,
        "tensors": last.read_bytes(),
        "manifest": last.with_suffix(".json").read_bytes(),
        "stats.jsonl": [{k: v for k, v in tick.items() if k not in TIMES} for tick in ticks],
        "event file": [f.stat().st_size for f in run.glob("*tfevents*")],
        "run.json": (run / "run.json").is_file(),
        "partial files": [f.name for f in run.rglob("*partial*")],
        "siblings": [f.name for f in run.parent.glob(f".{run.name}.*")],
    }
    found.update({f"samples/{f.name}": f.read_bytes() for f in sorted((run / "samples").iterdir())})
    return found


def differences(whole, killed):
    return [name for name in sorted(whole.keys() | killed.keys()) if whole.get(name) != killed.get(name)]


def main():
    args = options()
    draws = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        data = folder / "phantom.ome.zarr"
        prepare = [args.bin / "prepare", "phantom", "-q", "--size", "32", "--positions", "3"]
        prepare += ["--frames-per-position", "6", "--output", data]
        subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL)
        train = [args.bin / "train", "-q", "--data", data, "--threads", "1", "--device", "cpu"]
        train += ["--preset", "tiny", "--checkpoint-interval", "0.005"]
        for key, value in NETWORK.items():
            train += ["--set", f"{key}={json.dumps(value)}"]

        def start(output, kimg=args.kimg):
            command = [*train, "--kimg", str(kimg), "--output", output, "--resume"]
            # Jobs in the background of a shell ignore SIGINT, and so would the programs.
            command = ["env", "--default-signal=INT,TERM", *command]
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        def finish(process):
            error = process.communicate()[1]
            if process.returncode != 0:
                sys.exit(f"exit code {process.returncode}: {error}")

        def timed(name, kimg):
            began = time.monotonic()
            finish(start(folder / name, kimg))
            return time.monotonic() - began

        began = time.monotonic()
        setup = timed("untrained", 0)
        training = max(timed("whole", args.kimg) - setup, 0.1)
        whole = outcome(folder / "whole")

        kills, landed, wrong, runs = 0, {s: 0 for s in SIGNALS}, [], 0
        while kills < args.kills:
            runs += 1
            output = folder / f"killed-{runs}"
            while kills < args.kills:
                process = start(output)
                # On average a kill comes after a part of the run that leaves room for all of them.
                time.sleep(draws.uniform(0, setup + 2 * training / args.kills))
                sent = draws.choice(SIGNALS)
                if process.poll() is not None:
                    finish(process)
                    break
                process.send_signal(sent)
                error = process.communicate()[1]
                if process.returncode == 0:
                    break
                kills += 1
                landed[sent] += 1
                if process.returncode not in EXPECTED[sent]:
                    wrong.append(f"{sent.name}: exit code {process.returncode}: {error}")
            finish(start(output))
            wrong += [f"killed-{runs}: {name} differs" for name in differences(whole, outcome(output))]

        spread = ", ".join(f"{count} {s.name}" for s, count in landed.items())
        print(f"{kills} kills ({spread}) over {runs} runs of {args.kimg} kimg, {time.monotonic() - began:.0f} s: ", end="")
        print("every run ended with the bytes of the one that was not stopped" if not wrong else f"{len(wrong)} faults")
        for fault in wrong:
            print(f"  {fault}")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
