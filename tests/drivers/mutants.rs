//! What is damaged, class by class, and the program that reads it.

use std::fs;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{forms, mutations};
use crate::support::drawings::Drawing;
use crate::support::programs::{names, succeed};
use crate::support::root;

/// A kind of input.
pub(super) struct Class {
    pub(super) name: &'static str,
    /// How many of the full form's inputs.
    pub(super) inputs: usize,
    /// Damages one input in a folder.
    pub(super) make: fn(&Base, &mut ChaCha8Rng, PathBuf) -> Mutant,
}

pub(super) const CLASSES: [Class; 18] = [
    Class { name: "TIFF frames", inputs: 240, make: tiff },
    Class { name: "label PNGs", inputs: 120, make: png },
    Class { name: "zarr.json", inputs: 200, make: zarr_json },
    Class { name: "shards", inputs: 100, make: shard },
    Class { name: "checkpoint, generate", inputs: 100, make: generate },
    Class { name: "checkpoint, --init", inputs: 60, make: init },
    Class { name: "run folder, --resume", inputs: 120, make: resume },
    Class { name: "settings TOML", inputs: 90, make: settings },
    Class { name: "--set", inputs: 60, make: set },
    Class { name: "samplesheets", inputs: 110, make: sheet },
    Class { name: "ImageJ stacks", inputs: 100, make: forms::imagej },
    Class { name: "Micro-Manager stacks", inputs: 100, make: forms::micro_manager },
    Class { name: "OME-TIFF", inputs: 140, make: forms::ome_tiff },
    Class { name: "OME-Zarr 0.4", inputs: 140, make: forms::zarr_2 },
    Class { name: ".ozx", inputs: 100, make: forms::zipped },
    Class { name: "challenge data sets", inputs: 100, make: forms::challenge },
    Class { name: "tables of places", inputs: 40, make: forms::places },
    Class { name: "check, export", inputs: 80, make: forms::checked },
];

/// A damaged input and the call that reads it.
pub(super) struct Mutant {
    /// Where it runs and writes.
    pub(super) folder: PathBuf,
    pub(super) program: &'static str,
    pub(super) arguments: Vec<String>,
    /// What must not change.
    pub(super) inputs: Vec<PathBuf>,
    /// Name of the output in `folder`.
    pub(super) output: Option<String>,
    /// What was damaged.
    pub(super) what: String,
}

/// Inputs as they should be: a recording, a plate, a run.
pub(super) struct Base {
    pub(super) plate: PathBuf,
    /// Recordings of other programs.
    pub(super) forms: PathBuf,
    run: PathBuf,
    settings: Vec<String>,
}

const NETWORK: [&str; 9] = [
    "training.kimg=0.024",
    "training.tick_kimg=0.008",
    "training.batch=4",
    "training.ada.enabled=true",
    "model.generator.channels=[8,8,8]",
    "model.generator.latent=8",
    "model.generator.mapping_depth=2",
    "model.discriminator.encoder=[8,8,8]",
    "model.discriminator.decoder=[[16,8],[16,8]]",
];

impl Base {
    /// Makes them in a folder.
    pub(super) fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let (plate, run) = (folder.join("plate.ome.zarr"), folder.join("run"));
        Drawing { splits: [6, 2, 2], side: 16, ..Drawing::real() }.write(&plate);
        let call = train(&plate, &run, &[]);
        succeed("train", &call.iter().map(String::as_str).collect::<Vec<_>>());
        let text = fs::read_to_string(run.join("config.toml")).unwrap();
        let mut settings = Vec::new();
        let mut table = String::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('[') {
                table = format!("{}.", name.trim_end_matches(']'));
            } else if let Some((key, _)) = line.split_once(" = ") {
                settings.push(format!("{table}{key}"));
            }
        }
        let forms = folder.join("forms");
        forms::make(&forms, &plate);
        Self { plate, forms, run, settings }
    }

    fn newest(&self) -> PathBuf {
        let folder = self.run.join("checkpoints");
        folder.join(fs::read_to_string(folder.join("latest")).unwrap().trim())
    }
}

pub(super) fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn train(plate: &Path, output: &Path, more: &[&str]) -> Vec<String> {
    let mut call = owned(&["--data", &text(plate), "--output", &text(output), "--threads", "1"]);
    call.extend(owned(&["--device", "cpu", "-q"]));
    call.extend(NETWORK.iter().flat_map(|set| owned(&["--set", set])));
    call.extend(owned(more));
    call
}

/// Copies a file or folder.
pub(super) fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        copy(&from.join(&name), &to.join(&name));
    }
}

/// Returns all files below a folder.
pub(super) fn files(at: &Path) -> Vec<PathBuf> {
    let below = |name: &String| {
        let path = at.join(name);
        if path.is_dir() { files(&path) } else { vec![path] }
    };
    names(at).iter().flat_map(below).collect()
}

/// Damages a file by `how`.
pub(super) fn damage(
    path: &Path,
    rng: &mut ChaCha8Rng,
    how: fn(&mut ChaCha8Rng, &mut Vec<u8>) -> String,
) -> String {
    let mut bytes = fs::read(path).unwrap();
    let what = how(rng, &mut bytes);
    fs::write(path, bytes).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    format!("{name}: {what}")
}

/// A recording in which a file of one folder is damaged.
fn recording(
    rng: &mut ChaCha8Rng,
    folder: PathBuf,
    part: &str,
    how: fn(&mut ChaCha8Rng, &mut Vec<u8>) -> String,
) -> Mutant {
    let recording = folder.join("recording");
    for name in ["brightfield", "cells"] {
        copy(&root().join("test-data/recording").join(name), &recording.join(name));
    }
    let what = damage(files(&recording.join(part)).choose(rng).unwrap(), rng, how);
    let mut arguments =
        owned(&["--channel", "bf=recording/brightfield", "--labels", "cells=recording/cells"]);
    arguments.extend(owned(&["--size", "8", "--threads", "1", "--output", "out.ome.zarr"]));
    if rng.random_bool(0.1) {
        arguments.push("--dry-run".into());
    }
    Mutant {
        inputs: vec![recording],
        folder,
        program: "prepare",
        arguments,
        output: Some("out.ome.zarr".into()),
        what,
    }
}

fn tiff(_: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    recording(rng, folder, "brightfield", mutations::tiff)
}

fn png(_: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    recording(rng, folder, "cells", mutations::png)
}

/// A call that reads the plate `plate` in a folder.
fn reader(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf, what: String) -> Mutant {
    let good = text(&base.plate);
    let (program, arguments, output) = match rng.random_range(0..8) {
        0..3 => {
            let call = owned(&["score", "--truth", &good, "--prediction", "plate", "--threads", "1"]);
            ("evaluate", call, None)
        }
        3 => {
            let mut call = owned(&["--real", "plate", "--synthetic", &good, "--output", "out"]);
            call.extend(owned(&["--threads", "1"]));
            ("evaluate", call, Some("out".into()))
        }
        4 => ("train", train(Path::new("plate"), Path::new("out"), &["--dry-run"]), Some("out".into())),
        _ => {
            let call = train(Path::new("plate"), Path::new("out"), &["--kimg", "0.004"]);
            ("train", call, Some("out".into()))
        }
    };
    Mutant {
        inputs: vec![folder.join("plate"), base.plate.clone()],
        folder,
        program,
        arguments,
        output,
        what,
    }
}

fn zarr_json(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let plate = folder.join("plate");
    copy(&base.plate, &plate);
    let all: Vec<PathBuf> = files(&plate).into_iter().filter(|f| f.ends_with("zarr.json")).collect();
    let one = if rng.random_bool(0.4) { plate.join("zarr.json") } else { all.choose(rng).unwrap().clone() };
    let what = damage(&one, rng, mutations::json_file);
    let what = format!("{} of {}", what, one.strip_prefix(&plate).unwrap().display());
    reader(base, rng, folder, what)
}

fn shard(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let plate = folder.join("plate");
    copy(&base.plate, &plate);
    let all: Vec<PathBuf> =
        files(&plate).into_iter().filter(|f| f.extension().is_none() && f.ends_with("0/0/0/0")).collect();
    let one = all.choose(rng).unwrap();
    let what = match rng.random_range(0..10) {
        0 => {
            fs::remove_file(one).unwrap();
            "taken away".into()
        }
        1 => {
            fs::remove_file(one).unwrap();
            fs::create_dir(one).unwrap();
            "made a folder".into()
        }
        2 => {
            fs::copy(all.choose(rng).unwrap(), one).unwrap_or_default();
            "made another one".into()
        }
        _ => damage(one, rng, mutations::bytes),
    };
    let what = format!("{} {what}", one.strip_prefix(&plate).unwrap().display());
    reader(base, rng, folder, what)
}

/// Damages the list of tensors in a safetensors file, or its bytes.
fn tensors(rng: &mut ChaCha8Rng, file: &mut Vec<u8>) -> String {
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let Ok(mut list) = serde_json::from_slice::<Value>(&file[8..8 + length]) else {
        return mutations::bytes(rng, file);
    };
    if rng.random() {
        return mutations::bytes(rng, file);
    }
    let what = mutations::json(rng, &mut list);
    let head = list.to_string().into_bytes();
    let mut new = (head.len() as u64).to_le_bytes().to_vec();
    new.extend(head);
    new.extend(&file[8 + length..]);
    *file = new;
    format!("list of tensors: {what}")
}

/// Damages one of the two files of a checkpoint; in half of all cases the digests are right again, in the form without
/// a list of tensors, so that the damage reaches what lies behind them.
fn checkpoint(path: &Path, rng: &mut ChaCha8Rng) -> String {
    let side = path.with_extension("json");
    let (tensors_file, right) = (rng.random(), rng.random());
    let mut what = if tensors_file { damage(path, rng, tensors) } else { String::new() };
    if right {
        let mut value: Value = serde_json::from_slice(&fs::read(&side).unwrap()).unwrap();
        let all = value.as_object_mut().unwrap();
        all.remove("tensors");
        all.remove("manifest_sha256");
        all.insert("format".into(), json!(2));
        all.insert("tensors_sha256".into(), json!(format!("{:x}", Sha256::digest(fs::read(path).unwrap()))));
        fs::write(&side, value.to_string()).unwrap();
        what += ", digests right";
    }
    if !tensors_file {
        what = damage(&side, rng, mutations::json_file) + &what;
    }
    what
}

/// Copies the newest checkpoint into a folder and damages it.
fn bad_checkpoint(base: &Base, rng: &mut ChaCha8Rng, folder: &Path) -> (Vec<PathBuf>, String) {
    let (good, bad) = (base.newest(), folder.join("bad.safetensors"));
    copy(&good, &bad);
    copy(&good.with_extension("json"), &bad.with_extension("json"));
    let what = checkpoint(&bad, rng);
    (vec![bad.with_extension("json"), bad], what)
}

fn generate(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let (inputs, what) = bad_checkpoint(base, rng, &folder);
    let mut arguments =
        owned(&["--checkpoint", "bad.safetensors", "--output", "out.ome.zarr", "--count", "3"]);
    arguments.extend(owned(&["--batch", "2", "--threads", "1", "--device", "cpu"]));
    Mutant { folder, program: "generate", arguments, inputs, output: Some("out.ome.zarr".into()), what }
}

fn init(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let (mut inputs, what) = bad_checkpoint(base, rng, &folder);
    inputs.push(base.plate.clone());
    let more = ["--init", "bad.safetensors", "--kimg", "0.004"];
    let arguments = train(&base.plate, Path::new("out"), &more);
    Mutant { folder, program: "train", arguments, inputs, output: Some("out".into()), what }
}

fn resume(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let run = folder.join("run");
    copy(&base.run, &run);
    let all = files(&run);
    let what = match rng.random_range(0..3) {
        0 => {
            let newest = run.join("checkpoints").join(base.newest().file_name().unwrap());
            checkpoint(&newest, rng)
        }
        1 => damage(all.choose(rng).unwrap(), rng, mutations::json_file),
        _ => {
            let one = all.choose(rng).unwrap();
            fs::remove_file(one).unwrap();
            let name = one.strip_prefix(&run).unwrap().display().to_string();
            if rng.random() {
                fs::create_dir(one).unwrap();
                format!("{name} made a folder")
            } else {
                format!("{name} taken away")
            }
        }
    };
    let arguments = train(&base.plate, Path::new("run"), &["--resume"]);
    Mutant {
        folder,
        program: "train",
        arguments,
        inputs: vec![base.plate.clone()],
        output: Some("run".into()),
        what,
    }
}

fn settings(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let config = folder.join("bad.toml");
    copy(&base.run.join("config.toml"), &config);
    let what = damage(&config, rng, mutations::toml);
    let plate = text(&base.plate);
    let mut arguments = owned(&["--data", &plate, "--output", "out", "--threads", "1", "--device", "cpu"]);
    arguments.extend(owned(&["-q", "--config", "bad.toml", "--kimg", "0"]));
    Mutant {
        folder,
        program: "train",
        arguments,
        inputs: vec![config, base.plate.clone()],
        output: Some("out".into()),
        what,
    }
}

fn set(base: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let mut key = base.settings.choose(rng).unwrap().clone();
    if rng.random_bool(0.1) {
        key.insert(rng.random_range(0..key.len()), '.');
    }
    let pair = format!("{key}={}", mutations::setting(rng));
    let mut arguments = train(&base.plate, Path::new("out"), &["--set", &pair, "--kimg", "0"]);
    if rng.random_bool(0.3) {
        arguments.push("--dry-run".into());
    }
    Mutant {
        folder,
        program: "train",
        arguments,
        inputs: vec![base.plate.clone()],
        output: Some("out".into()),
        what: pair,
    }
}

fn sheet(_: &Base, rng: &mut ChaCha8Rng, folder: PathBuf) -> Mutant {
    let path = folder.join("sheet.csv");
    fs::copy(root().join("test-data/samplesheet.csv"), &path).unwrap();
    let what = damage(&path, rng, mutations::bytes);
    let base = text(&root().join("test-data"));
    let mut arguments = owned(&["check", "sheet.csv", "--base", &base]);
    if rng.random() {
        arguments.push("--missing-ok".into());
    }
    Mutant { inputs: vec![path], folder, program: "prepare", arguments, output: None, what }
}
