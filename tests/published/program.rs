//! `train import` as a user runs it, and what comes after it.

use std::fs;
use std::path::Path;

use lapsegan::training::checkpoint;

use super::fixture;
use super::pieces::{container, pickle, text, zip};
use crate::support::drawings::Drawing;
use crate::support::programs::{fail, names, succeed};

fn arguments<'a>(input: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["import", "--input", input, "--output", output, "--threads", "1", "-q"];
    all.extend(more);
    all
}

#[test]
fn an_imported_checkpoint_generates_and_starts_a_training() {
    let dir = tempfile::tempdir().unwrap();
    let input = fixture("published.pt");
    let output = dir.path().join("imported/published.safetensors");
    let (input, checkpoint) = (input.to_str().unwrap(), output.to_str().unwrap());
    let planned = succeed("train", &arguments(input, checkpoint, &["--dry-run"]));
    assert_eq!(planned["config"]["model"]["resolution"], 16);
    assert!(!output.parent().unwrap().exists(), "a dry run writes nothing");

    let more = ["--range", "brightfield=200,1400", "--pixel-size", "0.2"];
    let result = succeed("train", &arguments(input, checkpoint, &more));
    assert_eq!(result["second_branch"], "untrained");
    assert_eq!(result["wiring"], "original");
    assert!(result["kimg"].is_null());
    assert_eq!(
        result["optimizer_states"]["discriminator"]["with_state"],
        result["optimizer_states"]["discriminator"]["parameters"]
    );
    assert_eq!(result["ignored"].as_array().map(Vec::len), Some(0));
    assert_eq!(names(output.parent().unwrap()), ["published.json", "published.safetensors"]);
    let read = checkpoint::read(&output).unwrap();
    assert_eq!(read.manifest.data.normalise, "original");
    assert_eq!(read.manifest.data.channels[0].calibration.hi, 1400.0);
    assert_eq!(read.manifest.data.channels[1].calibration.lo, 150.0);
    let before = [fs::read(&output).unwrap(), fs::read(output.with_extension("json")).unwrap()];
    fail("train", &arguments(input, checkpoint, &[]), 73, &["already exists", "--overwrite"]);
    succeed("train", &arguments(input, checkpoint, &[&more[..], &["--overwrite"]].concat()));
    let again = [fs::read(&output).unwrap(), fs::read(output.with_extension("json")).unwrap()];
    assert!(before == again, "the same file gives other bytes");

    let plate = dir.path().join("synthetic.ome.zarr");
    let generated = succeed(
        "generate",
        &[
            "--checkpoint",
            checkpoint,
            "--output",
            plate.to_str().unwrap(),
            "--count",
            "2",
            "--device",
            "cpu",
            "-q",
        ],
    );
    assert_eq!(generated["sequences"], 2);

    let data = dir.path().join("discs.ome.zarr");
    Drawing { splits: [8; 3], side: 16, ..Drawing::real() }.write(&data);
    let (data, run) = (data.to_str().unwrap(), dir.path().join("run"));
    let config = dir.path().join("config.toml");
    fs::write(&config, toml::to_string(&read.manifest.config).unwrap()).unwrap();
    let mut all =
        vec!["--data", data, "--output", run.to_str().unwrap(), "--init", checkpoint, "--kimg", "0.004"];
    all.extend([
        "--config",
        config.to_str().unwrap(),
        "--threads",
        "1",
        "--device",
        "cpu",
        "-q",
        "--set",
        "training.batch=4",
    ]);
    succeed("train", &all);
    // The first checkpoint of the run holds the imported weights.
    let first = names(&run.join("checkpoints"))
        .into_iter()
        .find(|name| name.ends_with("0000.000.safetensors"))
        .unwrap();
    let first = checkpoint::read(&run.join("checkpoints").join(first)).unwrap();
    let name = "generator_ema.main_convolutions_1.1.modulated_convolution.weight";
    assert_eq!(first.tensors[name], read.tensors[name]);
    // Nobody knows what the published networks were trained on.
    assert!(first.manifest.data.history_unknown);
}

#[test]
fn bad_files_and_flags_end_with_a_hint_and_no_output() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("published.safetensors");
    let check = |input: &Path, more: &[&str], code: i32, words: &[&str]| {
        let before = names(dir.path());
        let arguments = arguments(input.to_str().unwrap(), output.to_str().unwrap(), more);
        fail("train", &arguments, code, words);
        assert_eq!(names(dir.path()), before, "something was left");
    };
    let good = fixture("published.pt");
    let bad = dir.path().join("bad.pt");
    let command = [b"cposix\nsystem\n", &text("touch owned")[..], b"\x85R."].concat();
    fs::write(&bad, zip(&container(&pickle(&command), &[]))).unwrap();
    check(&bad, &[], 65, &["bad.pt", "data.pkl", "byte 2", "GLOBAL", "posix.system"]);
    fs::write(&bad, &fs::read(&good).unwrap()[..400_000]).unwrap();
    check(&bad, &[], 65, &["bad.pt", "incomplete"]);
    check(&dir.path().join("none.pt"), &[], 66, &["none.pt"]);
    check(&good, &["--channels", "brightfield"], 2, &["2 channels"]);
    check(&good, &["--channels", "a,a"], 2, &["a,a"]);
    check(&good, &["--range", "brightfield=5"], 2, &["LO,HI"]);
    check(&good, &["--range", "dapi=5,6"], 2, &["dapi", "brightfield, gfp"]);
    check(&good, &["--pixel-size", "0"], 2, &["--pixel-size"]);
    check(&good, &["--set", "model.generator.latent=16"], 65, &["published.pt", "generator.", "[32", "16"]);
    fail("train", &arguments(good.to_str().unwrap(), "published.pt", &[]), 2, &[".safetensors"]);
    // Without the subcommand everything is as it was.
    let nothing = crate::support::programs::run("train", &[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(crate::support::programs::stderr(&nothing).contains("--data <PLATE>"));
}
