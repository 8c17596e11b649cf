//! `train`: resuming, refusing, stopping.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lapsegan::training::{checkpoint, tensorboard};

use crate::support::drawings::Drawing;
use crate::support::programs::{fail, interruptible, names, run, succeed};
use crate::support::small_disk::SmallDisk;

/// Settings of a network that trains in seconds.
const SMALL: [&str; 10] = [
    "--set",
    "training.tick_kimg=0.02",
    "--set",
    "training.batch=4",
    "--set",
    "model.generator.channels=[16,16,16]",
    "--set",
    "model.discriminator.encoder=[8,16,16]",
    "--set",
    "model.discriminator.decoder=[[24,16],[16,8]]",
];

fn train<'a>(data: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let (data, output) = (data.to_str().unwrap(), output.to_str().unwrap());
    let mut all = vec!["--data", data, "--output", output, "--threads", "1", "--device", "cpu", "-q"];
    all.extend(SMALL);
    all.extend(more);
    all
}

fn plate() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let data = discs(dir.path(), 8);
    (dir, data)
}

/// Writes a plate with `n` sequences of each split and returns its path.
fn discs(dir: &Path, n: usize) -> PathBuf {
    let data = dir.join(format!("discs-{n}.ome.zarr"));
    Drawing { splits: [n; 3], side: 16, ..Drawing::real() }.write(&data);
    data
}

/// Returns the newest checkpoint.
fn newest_path(run: &Path) -> PathBuf {
    let checkpoints = run.join("checkpoints");
    let latest = fs::read_to_string(checkpoints.join("latest")).unwrap();
    checkpoints.join(latest.trim())
}

/// Returns names and bytes of the newest checkpoint's two files.
fn newest(run: &Path) -> Vec<(String, Vec<u8>)> {
    let tensors = newest_path(run);
    [tensors.clone(), tensors.with_extension("json")]
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&p).unwrap()))
        .to_vec()
}

#[test]
fn a_run_that_was_stopped_or_killed_ends_with_the_same_bytes_as_one_that_was_not() {
    let (dir, data) = plate();
    let whole = dir.path().join("whole");
    succeed("train", &train(&data, &whole, &["--kimg", "0.2"]));

    // In two parts, then by SIGTERM, then by SIGKILL at once after a checkpoint.
    let parts = dir.path().join("parts");
    succeed("train", &train(&data, &parts, &["--kimg", "0.06"]));
    succeed("train", &train(&data, &parts, &["--kimg", "0.2", "--resume"]));
    assert!(newest(&parts) == newest(&whole), "two parts differ from one");

    for signal in ["TERM", "KILL", "INT"] {
        let stopped = dir.path().join(signal);
        let arguments = train(&data, &stopped, &["--kimg", "0.2", "--checkpoint-interval", "0"]);
        let mut child =
            interruptible("train").args(&arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
        // Some checkpoints after the first one.
        let deadline = Instant::now() + Duration::from_mins(1);
        let started = || {
            fs::read_to_string(stopped.join("checkpoints/latest"))
                .is_ok_and(|name| !name.contains("0000000.000"))
        };
        while !started() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = child.id().to_string();
        std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        let code = child.wait().unwrap().code();
        let expected = match signal {
            "TERM" => Some(143),
            "INT" => Some(130),
            _ => None,
        };
        // On a fast machine the run may have ended before the signal came.
        assert!(code == expected || code == Some(0), "{signal}: {code:?}");
        succeed("train", &train(&data, &stopped, &["--kimg", "0.2", "--resume"]));
        assert!(newest(&stopped) == newest(&whole), "after SIG{signal} the bytes differ");
        let stats = fs::read_to_string(stopped.join("stats.jsonl")).unwrap();
        let kimg: Vec<f64> = stats
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kimg"].as_f64().unwrap())
            .collect();
        assert!(kimg.windows(2).all(|w| w[0] < w[1]), "ticks are repeated or lost: {kimg:?}");
    }
}

#[test]
fn a_time_budget_stops_with_a_checkpoint_and_its_own_exit_code() {
    let (dir, data) = plate();
    let output = dir.path().join("run");
    let arguments = train(&data, &output, &["--kimg", "1", "--time-budget", "0"]);
    fail("train", &arguments, 140, &["time budget", "--resume"]);
    assert_eq!(newest(&output).len(), 2);
    assert!(!output.join("run.json").exists(), "a run that is not complete has no run.json");
}

#[test]
fn a_run_folder_holds_what_the_contract_says() {
    let (dir, data) = plate();
    let output = dir.path().join("run");
    let export = dir.path().join("half.safetensors");
    let result =
        succeed("train", &train(&data, &output, &["--kimg", "0.04", "--export", export.to_str().unwrap()]));
    assert!(Path::new(result["checkpoint"].as_str().unwrap()).is_file());
    for file in
        ["config.toml", "stats.jsonl", "run.json", "samples/kimg_000000.000.png", "checkpoints/latest"]
    {
        assert!(output.join(file).is_file(), "{file} is missing");
    }
    // The resolved configuration can be fed back.
    let again = dir.path().join("again");
    let config = output.join("config.toml");
    let mut arguments = train(&data, &again, &["--kimg", "0.04"]);
    arguments.retain(|a| !SMALL.contains(a));
    arguments.extend(["--config", config.to_str().unwrap()]);
    succeed("train", &arguments);
    assert!(newest(&again) == newest(&output), "the same configuration gives other bytes");
    // Weights of another run are a start.
    let next = dir.path().join("next");
    succeed("train", &train(&data, &next, &["--kimg", "0.01", "--init", export.to_str().unwrap()]));
    fail("train", &train(&data, &next, &[]), 73, &["already exists", "--overwrite"]);
}

#[test]
fn checkpoints_of_another_run_and_damaged_ones_are_not_resumed() {
    let (dir, data) = plate();
    let output = dir.path().join("run");
    succeed("train", &train(&data, &output, &["--kimg", "0.04"]));
    let other = train(&data, &output, &["--kimg", "0.08", "--resume", "--set", "training.r1_gamma=3"]);
    fail("train", &other, 65, &["training.r1_gamma", "3"]);
    let data2 = discs(dir.path(), 9);
    fail("train", &train(&data2, &output, &["--kimg", "0.08", "--resume"]), 65, &["data:"]);

    // The newest checkpoint loses its end: the one before is used, with a warning.
    let latest = fs::read_to_string(output.join("checkpoints/latest")).unwrap();
    let torn = output.join("checkpoints").join(latest.trim());
    let bytes = fs::read(&torn).unwrap();
    fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let mut arguments = train(&data, &output, &["--kimg", "0.04", "--resume"]);
    arguments.retain(|a| *a != "-q");
    let resumed = run("train", &arguments);
    assert!(resumed.status.success());
    assert!(
        String::from_utf8_lossy(&resumed.stderr).contains("skipped"),
        "no warning about the torn checkpoint"
    );
    assert!(fs::read(&torn).unwrap() == bytes, "the run did not come back to the same bytes");
}

#[test]
fn bad_configurations_are_usage_errors_that_name_the_field() {
    let (dir, data) = plate();
    let output = dir.path().join("run");
    let bad = |more: &[&str], code: i32, words: &[&str]| {
        let mut arguments = vec!["--data", data.to_str().unwrap(), "--output", output.to_str().unwrap()];
        arguments.extend(more);
        fail("train", &arguments, code, words);
        assert!(!output.exists());
    };
    bad(&["--set", "training.batch=0"], 2, &["batch"]);
    bad(&["--set", "training.micro_batch=3"], 2, &["micro_batch", "divisor"]);
    bad(&["--set", "training.ada.target=2"], 2, &["ada.target"]);
    bad(&["--set", "training.ada.signal=fake"], 2, &["fake", "generated"]);
    bad(&["--set", "training.top_k.end=0.1"], 2, &["top_k.end"]);
    bad(&["--set", "model.label_maps=[\"distance\"]"], 2, &["label_maps"]);
    bad(&["--set", "model.precision=fp8"], 2, &["fp8"]);
    bad(&["--set", "training.batsh=4"], 2, &["batsh"]);
    bad(&["--set", "model.generator.channels=[8]"], 2, &["generator.channels"]);
    bad(&["--set", "model.discriminator.decoder=[[3,4]]"], 2, &["discriminator.decoder"]);
    bad(&["--set", "model.domains=3"], 65, &["3 channels"]);
    bad(&["--device", "tpu"], 2, &["tpu"]);
    bad(&["--device", "cuda:99"], 69, &["cuda:99"]);
    fail(
        "train",
        &["--data", "nowhere.ome.zarr", "--output", output.to_str().unwrap()],
        66,
        &["nowhere.ome.zarr"],
    );
}

#[test]
fn a_dry_run_prints_the_resolved_configuration_and_writes_nothing() {
    let (dir, data) = plate();
    let output = dir.path().join("run");
    let result = succeed("train", &train(&data, &output, &["--dry-run", "--kimg", "7"]));
    assert_eq!(result["config"]["training"]["kimg"], 7.0);
    assert_eq!(result["train_sequences"], 8);
    assert!(!output.exists());
}

#[test]
fn a_full_disk_ends_a_run_that_goes_on_when_there_is_space() {
    let (dir, data) = plate();
    let whole = dir.path().join("whole");
    succeed("train", &train(&data, &whole, &["--kimg", "0.06"]));
    let bytes = |folder: &str| -> u64 {
        let folder = whole.join(folder);
        names(&folder).iter().map(|name| fs::metadata(folder.join(name)).unwrap().len()).sum()
    };
    // Room for all but a part of the last checkpoint.
    let last: usize = newest(&whole).iter().map(|(_, bytes)| bytes.len()).sum();
    let room = bytes("checkpoints") + bytes("samples") - last as u64 / 2;
    let Some(disk) = SmallDisk::mount(room / 1024) else { return };
    let output = disk.path().join("run");
    fail(
        "train",
        &train(&data, &output, &["--kimg", "0.06"]),
        1,
        &["No space left", "free space", "--resume"],
    );
    assert!(!output.join("run.json").exists(), "a run that is not complete has no run.json");
    let left = names(&output.join("checkpoints"));
    assert!(!left.iter().any(|name| name.contains("partial")), "{left:?}");
    let found = checkpoint::newest(&output).unwrap().expect("the first checkpoint");
    assert_eq!(found.manifest.sequences_seen, 0);

    // Elsewhere, and in place once there is space.
    let elsewhere = dir.path().join("elsewhere");
    let resume = format!("--resume={}", output.display());
    succeed("train", &train(&data, &elsewhere, &["--kimg", "0.06", &resume]));
    disk.resize(room / 1024 * 4);
    succeed("train", &train(&data, &output, &["--kimg", "0.06", "--resume"]));
    for run in [elsewhere, output] {
        assert!(newest(&run) == newest(&whole), "{} differs", run.display());
    }
}

#[test]
fn a_signal_in_a_long_step_ends_the_run_after_four_seconds_with_its_checkpoints_whole() {
    let (dir, data) = plate();
    let output = dir.path().join("run");
    // One iteration takes far longer than the patience of the program, on fast machines too.
    let large = [
        "--kimg",
        "100",
        "--set",
        "training.batch=4096",
        "--set",
        "training.micro_batch=64",
        "--set",
        "model.generator.channels=[128,128,128]",
        "--set",
        "model.discriminator.encoder=[64,128,128]",
        "--set",
        "model.discriminator.decoder=[[192,128],[128,64]]",
    ];
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut arguments = train(&data, &output, &large);
        arguments.push("--overwrite");
        let mut child =
            interruptible("train").args(&arguments).stderr(std::process::Stdio::piped()).spawn().unwrap();
        while !output.join("checkpoints/latest").exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let asked = Instant::now();
        let pid = child.id().to_string();
        std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        let ended = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(code), "{text}");
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        assert!(text.contains("long step") && text.contains("--resume"), "{text}");
        let found = checkpoint::newest(&output).unwrap().expect("the first checkpoint");
        assert_eq!(found.manifest.sequences_seen, 0);
        fs::remove_dir_all(&output).unwrap();
    }
}

/// Returns the lines of `stats.jsonl` without what the clock said.
fn stats(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("stats.jsonl")).unwrap();
    let line = |line: &str| {
        let mut tick: serde_json::Value = serde_json::from_str(line).unwrap();
        tick.as_object_mut().unwrap().remove("s_per_kimg");
        tick
    };
    text.lines().map(line).collect()
}

#[test]
fn a_run_goes_on_in_another_folder_and_a_finished_one_is_finished_there() {
    let (dir, data) = plate();
    let folder = |name: &str| dir.path().join(name);
    let [whole, first, second, third] = ["whole", "first", "second", "third"].map(folder);
    succeed("train", &train(&data, &whole, &["--kimg", "0.12"]));
    succeed("train", &train(&data, &first, &["--kimg", "0.06"]));
    let before = fs::read(first.join("stats.jsonl")).unwrap();

    let resume = format!("--resume={}", first.display());
    succeed("train", &train(&data, &second, &["--kimg", "0.12", &resume]));
    // A finished run is finished elsewhere, and the same command can be given again.
    let resume_second = format!("--resume={}", second.display());
    for _ in 0..2 {
        succeed("train", &train(&data, &third, &["--kimg", "0.12", &resume_second]));
        succeed("train", &train(&data, &second, &["--kimg", "0.12", &resume]));
    }
    for run in [&second, &third] {
        assert!(newest(run) == newest(&whole), "{} differs", run.display());
        assert_eq!(stats(run), stats(&whole));
        assert_eq!(names(&run.join("samples")), names(&whole.join("samples")));
        let events = |run: &Path| fs::metadata(tensorboard::path(run)).unwrap().len();
        assert_eq!(events(run), events(&whole));
        assert!(run.join("run.json").is_file());
    }
    assert_eq!(fs::read(first.join("stats.jsonl")).unwrap(), before, "the old folder was changed");
    // Only what belongs to the checkpoint comes along, although the old run got further.
    let fourth = folder("fourth");
    let latest = newest(&whole)[0].0.clone();
    fs::remove_file(whole.join("checkpoints").join(latest)).unwrap();
    let resume = format!("--resume={}", whole.display());
    let budget = ["--kimg", "0.12", "--time-budget", "0", &resume];
    fail("train", &train(&data, &fourth, &budget), 140, &["time budget"]);
    assert_eq!(names(&fourth.join("samples")), ["kimg_000000.000.png"]);
    assert!(stats(&fourth).is_empty());
}

#[test]
fn the_command_of_a_second_attempt_works_in_the_first_one() {
    let (dir, data) = plate();
    let folder = |name: &str| dir.path().join(name);
    let whole = folder("whole");
    succeed("train", &train(&data, &whole, &["--kimg", "0.04"]));

    // Nothing there yet: neither the folder to go on from, nor a checkpoint in it.
    std::fs::create_dir_all(folder("empty/checkpoints")).unwrap();
    for (name, from) in [("a", None), ("b", Some("nowhere")), ("c", Some("empty"))] {
        let output = folder(name);
        let resume = from.map_or("--resume".into(), |from| format!("--resume={}", folder(from).display()));
        let mut arguments = train(&data, &output, &["--kimg", "0.04", &resume]);
        arguments.retain(|a| *a != "-q");
        let first = run("train", &arguments);
        let text = String::from_utf8_lossy(&first.stderr).into_owned();
        assert!(first.status.success(), "{text}");
        assert!(text.contains("starting from the beginning"), "{text}");
        assert_eq!(text.contains("WARN"), from.is_some(), "{text}");
        assert!(newest(&output) == newest(&whole), "{name} differs");
        // The same command again finds a finished run.
        succeed("train", &arguments);
    }

    // Killed between the two files of its first checkpoint: nothing was complete.
    let torn = folder("torn");
    std::fs::create_dir_all(torn.join("checkpoints")).unwrap();
    std::fs::write(torn.join("checkpoints/kimg_000000.000.safetensors"), "whole, but alone").unwrap();
    succeed("train", &train(&data, &torn, &["--kimg", "0.04", "--resume"]));
    assert!(newest(&torn) == newest(&whole), "after a torn first checkpoint the bytes differ");

    // Weights to start from do not count any more when the run goes on.
    let init = newest_path(&whole);
    let [once, twice] = ["once", "twice"].map(folder);
    let start = ["--init", init.to_str().unwrap(), "--resume"];
    succeed("train", &train(&data, &once, &[&start[..], &["--kimg", "0.04"]].concat()));
    succeed("train", &train(&data, &twice, &[&start[..], &["--kimg", "0.02"]].concat()));
    succeed("train", &train(&data, &twice, &[&start[..], &["--kimg", "0.04"]].concat()));
    assert!(newest(&twice) == newest(&once), "two parts differ from one");
    assert!(newest(&once) != newest(&whole), "the weights were not taken");
}

#[test]
fn files_that_engines_leave_are_passed_over() {
    let (dir, data) = plate();
    let whole = dir.path().join("whole");
    succeed("train", &train(&data, &whole, &["--kimg", "0.04"]));
    let output = dir.path().join("run");
    succeed("train", &train(&data, &output, &["--kimg", "0.02"]));
    for place in [&data, &output, &output.join("checkpoints")] {
        std::fs::write(place.join(".snakemake_timestamp"), "").unwrap();
    }
    // The plate is the same as far as anybody can tell.
    succeed("train", &train(&data, &output, &["--kimg", "0.04", "--resume"]));
    assert!(newest(&output) == newest(&whole), "the bytes differ");
    let synthetic = dir.path().join("synthetic.ome.zarr");
    let [run, synthetic] = [&output, &synthetic].map(|path| path.to_str().unwrap());
    let few = ["--count", "4", "--label-route", "none", "--device", "cpu", "-q"];
    succeed("generate", &[&["--checkpoint", run, "--output", synthetic], &few[..]].concat());
    std::fs::write(dir.path().join("synthetic.ome.zarr/.snakemake_timestamp"), "").unwrap();
    let evaluation = dir.path().join("evaluation");
    let plates = ["--real", data.to_str().unwrap(), "--synthetic", synthetic];
    let quick = ["--output", evaluation.to_str().unwrap(), "--count", "4", "--set", "draws=2", "-q"];
    succeed("evaluate", &[&plates[..], &quick].concat());
}
