//! `train` and the run folder: nothing is lost before something better is there.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::generate::untrained;
use crate::support::programs::{check_refused, fail, interruptible, names, run, send, succeed};
use crate::support::snapshot::snapshot;

fn train<'a>(data: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let (data, output) = (data.to_str().unwrap(), output.to_str().unwrap());
    let mut all = vec!["--data", data, "--output", output, "--threads", "1", "--device", "cpu", "-q"];
    all.extend(["--kimg", "0"]);
    all.extend(more);
    all
}

#[test]
fn an_old_run_is_there_until_all_is_read_that_the_new_one_needs() {
    let dir = tempfile::tempdir().unwrap();
    let output = untrained(dir.path());
    let data = dir.path().join("discs.ome.zarr");
    let before = snapshot(&output);
    let damaged = dir.path().join("damaged.safetensors");
    fs::write(&damaged, "weights").unwrap();
    fs::write(damaged.with_extension("json"), "{}").unwrap();
    let own = output.join("checkpoints/kimg_000000.000.safetensors");
    let config = output.join("config.toml");
    for (flag, path, code) in [
        ("--init", Path::new("nowhere.safetensors"), 66),
        ("--init", &damaged, 65),
        ("--init", &own, 2),
        ("--config", &config, 2),
        ("--data", &output, 2),
        ("--data", Path::new("nowhere.ome.zarr"), 66),
    ] {
        let given = train(&data, &output, &["--overwrite"]);
        let given: Vec<&str> = given
            .iter()
            .enumerate()
            .filter(|(i, word)| {
                flag != "--data" || **word != "--data" && given[i.saturating_sub(1)] != "--data"
            })
            .map(|(_, word)| *word)
            .collect();
        let ended = run("train", &[&given[..], &[flag, path.to_str().unwrap()]].concat());
        check_refused(&ended, code, &[]);
        assert!(snapshot(&output) == before, "{flag} {} cost the old run", path.display());
    }
    assert!(!names(dir.path()).iter().any(|name| name.starts_with('.')), "{:?}", names(dir.path()));
    succeed("train", &train(&data, &output, &["--overwrite", "--seed", "3"]));
    assert!(snapshot(&output) != before);
}

#[test]
fn a_run_folder_is_trained_in_by_one_run_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let output = untrained(dir.path());
    let data = dir.path().join("discs.ome.zarr");
    let line = train(&data, &output, &["--kimg", "100", "--resume"]);
    // The later --kimg counts.
    let line: Vec<&str> =
        line.iter().enumerate().filter(|(i, _)| *i != 9 && *i != 10).map(|(_, w)| *w).collect();
    let mut first =
        interruptible("train").args(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !dir.path().join(".run.lock").exists() {
        assert!(first.try_wait().unwrap().is_none(), "the first run has ended");
        std::thread::sleep(Duration::from_millis(2));
    }
    for more in [&["--resume"][..], &["--overwrite"]] {
        fail("train", &train(&data, &output, more), 73, &["another run"]);
    }
    send("TERM", &first);
    assert_eq!(first.wait().unwrap().code(), Some(143));
    assert_eq!(names(dir.path()), ["discs.ome.zarr", "run"]);
    let partial = |folder: &str| names(&output.join(folder)).iter().any(|name| name.contains("partial"));
    assert!(!partial("") && !partial("checkpoints") && !partial("samples"));
}

#[test]
fn a_run_goes_on_only_where_a_run_is_and_leaves_what_else_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let output = untrained(dir.path());
    let data = dir.path().join("discs.ome.zarr");
    for name in
        ["notes.txt", "movie.partial", "checkpoints/.movie.partial-17", "checkpoints/best.safetensors"]
    {
        fs::write(output.join(name), "mine").unwrap();
    }
    fs::write(output.join("checkpoints/kimg_000009.000.safetensors.partial"), "torn").unwrap();
    fs::write(output.join(".stats.jsonl.partial-17"), "torn").unwrap();
    let config = output.join("config.toml");
    succeed("train", &train(&data, &output, &["--resume", "--config", config.to_str().unwrap()]));
    for name in
        ["notes.txt", "movie.partial", "checkpoints/.movie.partial-17", "checkpoints/best.safetensors"]
    {
        assert_eq!(fs::read_to_string(output.join(name)).unwrap(), "mine");
    }
    assert!(!output.join("checkpoints/kimg_000009.000.safetensors.partial").exists());
    assert!(!output.join(".stats.jsonl.partial-17").exists());
    // Another folder to go on from must not be the output's, nor hold it.
    let inner = output.join("inner");
    let resume = format!("--resume={}", output.display());
    fail("train", &train(&data, &inner, &[&resume]), 2, &["the input --resume"]);

    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    for name in ["config.toml", "stats.jsonl", "run.json", "movie.partial"] {
        fs::write(foreign.join(name), "mine").unwrap();
    }
    let before = snapshot(&foreign);
    for more in [&["--resume"][..], &[&resume], &["--resume", "--overwrite"], &["--overwrite"]] {
        fail("train", &train(&data, &foreign, more), 73, &["run folder of a training"]);
        assert!(snapshot(&foreign) == before);
    }
    fs::write(dir.path().join("file"), "mine").unwrap();
    for more in [&["--resume"][..], &["--overwrite"]] {
        fail("train", &train(&data, &dir.path().join("file"), more), 73, &["it is a file"]);
    }
    fail("train", &train(&data, &dir.path().join("file/run"), &[]), 2, &["is a file"]);
}

#[test]
fn an_export_replaces_no_file_of_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let output = untrained(dir.path());
    let data = dir.path().join("discs.ome.zarr");
    let [export, side] = ["ex.safetensors", "ex.json"].map(|name| dir.path().join(name));
    let export_text = export.to_str().unwrap();
    let more = ["--resume", "--export", export_text];
    for mine in [&side, &export] {
        fs::write(mine, "{\"mine\": true}").unwrap();
        for overwrite in [&["--overwrite"][..], &[]] {
            fail(
                "train",
                &train(&data, &output, &[&more[..], overwrite].concat()),
                73,
                &[mine.to_str().unwrap()],
            );
            let other = dir.path().join("other");
            let arguments = train(&data, &other, &[&["--export", export_text], overwrite].concat());
            fail("train", &arguments, 73, &[mine.to_str().unwrap()]);
            assert!(!other.exists());
        }
        assert_eq!(fs::read_to_string(mine).unwrap(), "{\"mine\": true}");
        fs::remove_file(mine).unwrap();
    }
    // That of the same run before is replaced when the run goes on.
    succeed("train", &train(&data, &output, &more));
    succeed("train", &train(&data, &output, &more));
    fail("train", &train(&data, &dir.path().join("new"), &more[1..]), 73, &["already exists"]);
    fail(
        "train",
        &train(&data, &output, &["--resume", "--export", "nowhere/x.safetensors"]),
        66,
        &["nowhere"],
    );
    assert_eq!(names(dir.path()), ["discs.ome.zarr", "ex.json", "ex.safetensors", "run"]);
}
