//! Checkpoints that are damaged, altered or made by hand, and what networks that begin with one have seen.

use std::fs;
use std::path::{Path, PathBuf};

use lapsegan::training::checkpoint::{self, Checkpoint};
use lapsegan::training::state::State;
use lapsegan_core::plate::compare::{Scope, compare};
use lapsegan_core::plate::{Plate, Split};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::support::drawings::Drawing;
use crate::support::programs::{fail, run, stderr, succeed};

const SMALL: [&str; 9] = [
    "training.kimg=0.024",
    "training.tick_kimg=0.02",
    "training.batch=4",
    "training.ada.enabled=true",
    "model.generator.channels=[8,8,8]",
    "model.generator.latent=8",
    "model.generator.mapping_depth=2",
    "model.discriminator.encoder=[8,8,8]",
    "model.discriminator.decoder=[[16,8],[16,8]]",
];

fn plate(folder: &Path, name: &str, seed: u64) -> PathBuf {
    let path = folder.join(name);
    Drawing { splits: [8, 0, 4], side: 16, seed, ..Drawing::real() }.write(&path);
    path
}

fn arguments(data: &Path, output: &Path, more: &[&str]) -> Vec<String> {
    let (data, output) = (data.to_str().unwrap(), output.to_str().unwrap());
    let fixed = ["--data", data, "--output", output, "--threads", "1", "--device", "cpu"];
    let sets = SMALL.iter().flat_map(|set| ["--set", set]);
    fixed.into_iter().chain(sets).chain(more.iter().copied()).map(String::from).collect()
}

fn train(data: &Path, output: &Path, more: &[&str]) {
    let all = arguments(data, output, more);
    succeed("train", &all.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Returns a trained run and its newest checkpoint.
fn trained(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let data = plate(folder, "data.ome.zarr", 1);
    let run = folder.join("run");
    train(&data, &run, &["-q"]);
    let newest = run.join("checkpoints/kimg_000000.024.safetensors");
    assert!(newest.is_file());
    (data, run, newest)
}

fn side(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap()
}

fn sha256(path: &Path) -> String {
    format!("{:x}", Sha256::digest(fs::read(path).unwrap()))
}

/// Writes a checkpoint of format 2, which has no list of tensors and no digest of its side file, with a right digest.
fn write_old(path: &Path, mut side: Value, tensors: &[(String, Tensor)]) {
    Tensor::write_safetensors(tensors, path).unwrap();
    side["format"] = json!(2);
    side["tensors_sha256"] = json!(sha256(path));
    let all = side.as_object_mut().unwrap();
    all.remove("tensors");
    all.remove("manifest_sha256");
    fs::write(path.with_extension("json"), side.to_string()).unwrap();
}

fn restore(checkpoint: &Checkpoint) -> Result<(), String> {
    let manifest = &checkpoint.manifest;
    let mut state = State::new(&manifest.config, manifest.seed, Device::Cpu);
    checkpoint.restore(&mut state).map_err(|e| e.to_string())
}

#[test]
fn an_altered_side_file_is_skipped_and_the_run_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run_folder, newest) = trained(dir.path());
    let (good, tensors) = (fs::read_to_string(newest.with_extension("json")).unwrap(), sha256(&newest));
    let change = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let steps = good.find("\"generator_steps\": [").unwrap();
    let digit = steps + good[steps..].find(|c: char| c.is_ascii_digit()).unwrap();
    let one_step = format!("{}9{}", &good[..digit], &good[digit + 1..]);
    for bad in [
        change("\"iteration\": 6", "\"iteration\": 4611686018427387904"),
        change("\"sequences_seen\": 24", "\"sequences_seen\": 0"),
        change("\"name\": \"cells\"", "\"name\": \"cellx\""),
        change("F32 [", "F64 ["),
        one_step,
    ] {
        assert_ne!(bad, good);
        fs::write(newest.with_extension("json"), bad).unwrap();
        let resume = arguments(&data, &run_folder, &["--resume"]);
        let ended = run("train", &resume.iter().map(String::as_str).collect::<Vec<_>>());
        let text = stderr(&ended);
        assert!(ended.status.success() && text.contains("skipped") && text.contains("digest"), "{text}");
        assert_eq!(sha256(&newest), tensors);
        assert_eq!(fs::read_to_string(newest.with_extension("json")).unwrap(), good);
    }
}

#[test]
fn tensors_of_another_shape_or_kind_never_reach_the_optimiser() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, newest) = trained(dir.path());
    let good = checkpoint::read(&newest).unwrap();
    restore(&good).unwrap();
    let name = good.tensors.keys().filter(|n| n.starts_with("generator_adam.exp_avg.")).min().unwrap();
    let moment = &good.tensors[name];
    let zeros = |shape: &[i64], kind: Kind| Tensor::zeros(shape, (kind, Device::Cpu));
    let changed = [
        (name.as_str(), zeros(&[1, 2, 3], Kind::Float)),
        (name, zeros(&[], Kind::Float)),
        (name, moment.to_kind(Kind::Half)),
        (name, moment.to_kind(Kind::Int64)),
        ("path_length_mean", zeros(&[2], Kind::Float)),
        ("path_length_mean", zeros(&[0], Kind::Float)),
        ("path_length_mean", zeros(&[], Kind::Double)),
        ("ada.p", zeros(&[2], Kind::Double)),
        ("ada.p", Tensor::from(7.0)),
        ("ada.pending", zeros(&[], Kind::Double)),
        ("ada.pending", zeros(&[2, 2], Kind::Double)),
        ("since_tick.", zeros(&[2], Kind::Double)),
        ("since_tick.sum", zeros(&[2], Kind::Double)),
        ("since_tick.00.x", zeros(&[0, 3], Kind::Double)),
        ("generator.style_mapping.layers.1.weight", zeros(&[0], Kind::Float)),
    ];
    let path = dir.path().join("changed.safetensors");
    for (name, tensor) in changed {
        let mut tensors: Vec<_> = good.tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
        tensors.retain(|(known, _)| known != name);
        tensors.push((name.to_owned(), tensor.shallow_clone()));
        write_old(&path, side(&newest), &tensors);
        let problem = checkpoint::read(&path).map_err(|e| e.to_string()).and_then(|c| restore(&c));
        let problem = problem.expect_err(&format!("{name} {tensor:?} was taken"));
        assert!(problem.contains("changed.safetensors") && problem.contains(name), "{problem}");
    }
    // The format of today has the list of tensors: the file is refused before libtorch reads it.
    let mut tensors: Vec<_> = good.tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
    tensors.pop();
    Tensor::write_safetensors(&tensors, &path).unwrap();
    let mut list = side(&newest);
    list["tensors_sha256"] = json!(sha256(&path));
    fs::write(path.with_extension("json"), list.to_string()).unwrap();
    assert!(checkpoint::read(&path).unwrap_err().to_string().contains("own digest"));
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run_folder, newest) = trained(dir.path());
    let good = checkpoint::read(&newest).unwrap();
    let path = dir.path().join("nan.safetensors");
    for (name, value) in [
        ("generator_ema.style_mapping.layers.1.weight", f64::NAN),
        ("generator_ema.style_mapping.layers.1.weight", f64::INFINITY),
        ("discriminator_adam.exp_avg_sq.", f64::NEG_INFINITY),
    ] {
        let name = good.tensors.keys().filter(|n| n.starts_with(name)).min().unwrap();
        let mut tensors: Vec<_> = good.tensors.iter().map(|(n, t)| (n.clone(), t.copy())).collect();
        let (_, bad) = tensors.iter_mut().find(|(known, _)| known == name).unwrap();
        let _ = bad.view([-1]).get(0).fill_(value);
        write_old(&path, side(&newest), &tensors);
        let output = dir.path().join("out.ome.zarr");
        let (file, output) = (path.to_str().unwrap(), output.to_str().unwrap());
        fail(
            "generate",
            &["--checkpoint", file, "--output", output, "--count", "2"],
            65,
            &[name, "no numbers"],
        );
        let init = arguments(&data, Path::new(output), &["--init", file]);
        fail("train", &init.iter().map(String::as_str).collect::<Vec<_>>(), 65, &[name, "no numbers"]);
        assert!(!Path::new(output).exists());
    }
    // At resume it is skipped as a torn one is.
    fs::copy(&path, &newest).unwrap();
    fs::copy(path.with_extension("json"), newest.with_extension("json")).unwrap();
    let found = checkpoint::newest(&run_folder).unwrap().unwrap();
    assert_eq!(found.manifest.sequences_seen, 0);
}

#[test]
fn a_checkpoint_with_another_filter_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (data, _, newest) = trained(dir.path());
    let mut tensors: Vec<_> =
        checkpoint::read(&newest).unwrap().tensors.iter().map(|(n, t)| (n.clone(), t.copy())).collect();
    let name = "generator_ema.main_convolutions_1.0.modulated_convolution.blur.kernel";
    let (_, filter) = tensors.iter_mut().find(|(known, _)| known == name).unwrap();
    *filter *= 2.0;
    let (path, output) = (dir.path().join("other.safetensors"), dir.path().join("out.ome.zarr"));
    write_old(&path, side(&newest), &tensors);
    let (file, out) = (path.to_str().unwrap(), output.to_str().unwrap());
    fail("generate", &["--checkpoint", file, "--output", out, "--count", "2"], 65, &[name, "[1, 3, 3, 1]"]);
    assert!(!output.exists());
    // Networks that only begin with it say that they leave it out.
    let init = arguments(&data, &dir.path().join("run-2"), &["--init", file]);
    let said = stderr(&run("train", &init.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(said.contains("blur.kernel"), "{said}");
}

#[test]
fn side_files_are_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, _, newest) = trained(dir.path());
    let good = checkpoint::read(&newest).unwrap();
    let tensors: Vec<_> = good.tensors.iter().map(|(n, t)| (n.clone(), t.shallow_clone())).collect();
    let path = dir.path().join("changed.safetensors");
    for (pointer, value, words) in [
        ("/data_sha256", json!("x"), "data_sha256"),
        ("/data_sha256", json!(format!("{}é", "0".repeat(11))), "data_sha256"),
        ("/config/model/generator/latent", json!(65535), "latent"),
        ("/config/model/generator/latent", json!(4096), "generator of about"),
        ("/config/model/generator/channels", json!([99_999_999, 8, 8]), "channels"),
        ("/config/model/generator/mapping_depth", json!(100_000_000), "mapping_depth"),
        ("/config/model/generator/noise_gain", json!(-1), "noise_gain"),
        ("/config/model/domains", json!(1), "range"),
        ("/config/model/frames", json!(4), "data with"),
        ("/generator_steps/0", json!(-1), "-1 steps"),
        ("/iteration", json!(1_u64 << 62), "sequences were seen"),
        ("/sequences_seen", json!(u64::MAX), "sequences were seen"),
        ("/format", json!(99), "format 99"),
    ] {
        let mut side = side(&newest);
        *side.pointer_mut(pointer).unwrap() = value;
        let format = side["format"].clone();
        write_old(&path, side, &tensors);
        if format == 99 {
            let text = fs::read_to_string(path.with_extension("json")).unwrap();
            fs::write(path.with_extension("json"), text.replacen("\"format\":2", "\"format\":99", 1))
                .unwrap();
        }
        let problem = checkpoint::read(&path).unwrap_err().to_string();
        assert!(problem.contains(words), "{pointer}: {problem}");
    }
}

#[test]
fn sizes_that_no_machine_has_are_refused_before_memory_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let data = plate(dir.path(), "data.ome.zarr", 1);
    for (set, word) in [
        ("model.generator.channels=[99999999,8,8]", "channels"),
        ("model.generator.latent=100000000", "latent"),
        ("model.generator.mapping_depth=100000000", "mapping_depth"),
        ("model.generator.noise_gain=inf", "noise_gain"),
        ("model.discriminator.encoder=[8,8,99999999]", "encoder"),
    ] {
        let all = arguments(&data, &dir.path().join("run"), &["--set", set]);
        fail("train", &all.iter().map(String::as_str).collect::<Vec<_>>(), 2, &[word]);
    }
}

#[test]
fn weights_taken_over_bring_what_they_have_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (a, run_a, _) = trained(dir.path());
    let b = plate(dir.path(), "other.ome.zarr", 7);
    let (run_b, exported) = (dir.path().join("run-b"), dir.path().join("b.safetensors"));
    let init = run_a.to_str().unwrap();
    train(&b, &run_b, &["-q", "--init", init, "--export", exported.to_str().unwrap()]);
    let output = dir.path().join("synthetic.ome.zarr");
    let (from, to) = (exported.to_str().unwrap(), output.to_str().unwrap());
    succeed("generate", &["--checkpoint", from, "--output", to, "--count", "4", "-q"]);
    let synthetic = Plate::open(&output).unwrap();
    for data in [&a, &b] {
        let real = Plate::open(data).unwrap();
        let groups = real.groups(&[Split::Train]);
        assert!(groups.iter().all(|group| synthetic.meta.trained_on.contains(group)), "{data:?}");
        // Held out here, they were seen: by the last plate or by the one before.
        let comparison = compare(&real, &synthetic, Scope { channels: None, held_out: &[Split::Train] });
        assert_eq!(comparison.leaked_groups().len(), groups.len(), "{data:?}");
    }
    assert!(!synthetic.meta.history_unknown);
    // A run that goes on keeps what it began with.
    train(&b, &run_b, &["-q", "--resume", "--set", "training.kimg=0.032"]);
    let resumed = checkpoint::newest(&run_b).unwrap().unwrap();
    assert_eq!(resumed.manifest.data.trained_on, synthetic.meta.trained_on);
}
