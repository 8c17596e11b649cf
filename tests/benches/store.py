"""Reading and writing plates on this machine, beside other libraries; memory for many and for large frames.

    store.py        prints tables, writes tests/benches/results/store.json

Each library writes and reads the same 512 sequences [3, 2, 256, 256] of 16 bits, one shard each, zstd 3 with a checksum
per plane; CPU-seconds, the least of three rounds, on a file system in memory (/dev/shm): the CPU time of a disk's file
system varies by more than what is compared. tensorstore, zarr-python and tifffile are those of .venv/interop (make
interop); what is not there is passed over. BIN=target/release  COUNT=512
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.chdir(Path(__file__).parents[2])
BIN = os.environ.get("BIN", "target/release")
COUNT = int(os.environ.get("COUNT", 512))
OUT = Path("tests/benches/results/store.json")
BENCH = ["cargo", "test", "--quiet", "--release", "--locked", "-p", "lapsegan-core", "--bench", "store", "--"]


def bench(*arguments):
    return json.loads(subprocess.run([*BENCH, *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout)


def cpu(work):
    """Returns the CPU-seconds that a call takes, all its threads together."""
    before = time.process_time()
    work()
    return time.process_time() - before


def libraries(work, images):
    """Returns (write, read) CPU-seconds by library."""
    import tensorstore
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

    shape = list(images[0].shape)
    plane = [1, 1, *shape[2:]]
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    codecs += [{"name": "zstd", "configuration": {"level": 3, "checksum": True}}]
    index = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    sharding = {"chunk_shape": plane, "codecs": codecs, "index_codecs": index}
    metadata = {
        "shape": shape,
        "data_type": "uint16",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
    }
    context = tensorstore.Context({"data_copy_concurrency": {"limit": 1}})

    def spec(n):
        return {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{work}/ts/{n}"}, "metadata": metadata}

    def ts_write():
        for n, image in enumerate(images):
            tensorstore.open(spec(n), create=True, context=context).result().write(image).result()

    def ts_read():
        for n in range(len(images)):
            tensorstore.open(spec(n), context=context).result().read().result()

    def zarr_write():
        zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1})
        for n, image in enumerate(images):
            serial = ShardingCodec(
                chunk_shape=tuple(plane),
                codecs=[BytesCodec(), ZstdCodec(level=3, checksum=True)],
                index_codecs=[BytesCodec(), Crc32cCodec()],
            )
            path = f"{work}/zarr/{n}"
            array = zarr.create_array(
                path, shape=shape, dtype="uint16", chunks=shape, serializer=serial, compressors=None, filters=None
            )
            array[:] = image

    def zarr_read():
        for n in range(len(images)):
            zarr.open_array(f"{work}/zarr/{n}", mode="r")[:]

    rounds = []
    for _ in range(3):
        shutil.rmtree(f"{work}/ts", ignore_errors=True)
        shutil.rmtree(f"{work}/zarr", ignore_errors=True)
        rounds.append([cpu(call) for call in (ts_write, ts_read, zarr_write, zarr_read)])
    least = [min(times) for times in zip(*rounds)]
    return {"tensorstore": tuple(least[:2]), "zarr-python": tuple(least[2:])}


def peak(*arguments):
    """Runs a program and returns its wall seconds, its result and its peak memory in MiB."""
    start = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        # A child of its own, whose children's peak is that of this program alone.
        done = subprocess.run([*map(str, arguments), "-q"], stdout=subprocess.PIPE)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        Path(f"{SCRATCH}/peak.json").write_text(json.dumps([done.returncode, usage, json.loads(done.stdout or b"{}")]))
        os._exit(0)
    os.waitpid(pid, 0)
    code, mib, result = json.loads(Path(f"{SCRATCH}/peak.json").read_text())
    assert code == 0, arguments
    return time.perf_counter() - start, result, mib


def frames(work):
    """Many sequences, and large frames, through prepare."""
    import numpy
    import tifffile

    rng = numpy.random.default_rng(1)
    many = work / "many"
    many.mkdir()
    for position in range(40):
        movie = rng.integers(200, 4000, (252, 2, 64, 64)).astype(numpy.uint16)
        tifffile.imwrite(many / f"pos{position:02}.tif", movie, imagej=True, metadata={"axes": "TCYX"})
    seconds, made, mib = peak(f"{BIN}/prepare", many, "--size", 64, "--output", work / "many.ome.zarr")
    opened = bench("open", work / "many.ome.zarr")
    large = work / "large.tif"
    frame = rng.integers(200, 4000, (12288, 12288)).astype(numpy.uint16)
    tifffile.imwrite(large, numpy.stack([frame, frame + 1]), metadata=None, photometric="minisblack")
    large_s, _, large_mib = peak(f"{BIN}/prepare", large, "--frames", 1, "--tiles", "centre", "--output", work / "large.ome.zarr")
    return {
        "sequences": made["sequences"],
        "prepare_s": seconds,
        "prepare_peak_mib": mib,
        "wells": opened["wells"],
        "open_s": opened["open_s"],
        "large_frame_mb": frame.nbytes / 1e6,
        "large_frame_s": large_s,
        "large_frame_peak_mib": large_mib,
    }


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))


def main(work, memory):
    ours = bench(memory / "ours", "--count", COUNT)
    rows = {
        "plate": (ours["plate_write_cpu_s"], ours["plate_read_cpu_s"]),
        "zarrs alone": (ours["zarrs_write_cpu_s"], ours["zarrs_read_cpu_s"]),
    }
    report = {"device": processor(), "count": COUNT, "bytes": ours["bytes"]}
    try:
        import zarr

        root = zarr.open_group(memory / "ours/plate.ome.zarr", mode="r")
        wells = [well["path"] for well in root.attrs["ome"]["plate"]["wells"]]
        rows |= libraries(memory, [root[f"{well}/0/0"][:] for well in wells])
        report["frames"] = frames(work)
    except ImportError as error:
        print(f"passed over: {error}; make interop installs it, and {sys.executable} is not its Python\n")
    print(f"{processor()}, {COUNT} sequences, {ours['bytes'] / 2**20:.0f} MiB\n")
    print(f"{'':14}{'write CPU-s':>12}{'read CPU-s':>12}{'write, zarrs = 1':>18}{'read, zarrs = 1':>17}")
    base = rows["zarrs alone"]
    for name, (write, read) in rows.items():
        print(f"{name:14}{write:12.2f}{read:12.2f}{write / base[0]:18.2f}{read / base[1]:17.2f}")
    report["cpu_s"] = {name: {"write": write, "read": read} for name, (write, read) in rows.items()}
    for name, value in report.get("frames", {}).items():
        print(f"{name:22}{value:12.2f}")
    OUT.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{OUT}")


if __name__ == "__main__":
    SCRATCH = tempfile.mkdtemp(prefix="lapsegan-store-")
    MEMORY = tempfile.mkdtemp(prefix="lapsegan-store-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        main(Path(SCRATCH), Path(MEMORY))
    finally:
        shutil.rmtree(SCRATCH)
        shutil.rmtree(MEMORY)
