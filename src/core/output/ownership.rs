//! Is what lies at an output's name an output of ours? Only that may be replaced: `--overwrite` is no leave to remove
//! somebody's recording.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::contents;
use crate::error::{DataError, OutputError};

/// Largest JSON file that is read to find out what it is, in bytes.
const MOST_JSON: u64 = 1 << 28;
/// Longest header of a safetensors file, in bytes.
const MOST_HEADER: u64 = 100_000_000;

/// What a command writes at an output's name, and therefore what it may replace there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// A plate: `prepare`, `generate`, `generate merge`.
    Plate,
    /// The folder of an evaluation.
    Evaluation,
    /// The folder of a benchmark or a part of one.
    Benchmark,
    /// The run folder of a training.
    Training,
    /// A simulated recording as folders of frames.
    Frames,
    /// A plate as files of other tools.
    Export,
    /// The digest of a plate, a JSON file.
    Digest,
    /// Scores of predicted labels, a JSON file.
    Scores,
    /// The same by image, as CSV.
    ScoreTable,
    /// What labels lose as maps, a JSON file.
    Ceiling,
    /// Figures of `segment-benchmark quality`.
    Quality,
    /// Feature vectors, safetensors.
    Features,
    /// Distances of feature vectors, a JSON file.
    Distances,
    /// Latents of sequences.
    Latents,
    /// The tensors of a checkpoint.
    Tensors,
    /// The side file of a checkpoint.
    Manifest,
}

impl OutputKind {
    /// Returns whether the output is a folder.
    pub fn is_folder(self) -> bool {
        matches!(
            self,
            Self::Plate | Self::Evaluation | Self::Benchmark | Self::Training | Self::Frames | Self::Export
        )
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plate => "a plate of these programs",
            Self::Evaluation => "a folder that evaluate wrote",
            Self::Benchmark => "a folder that segment-benchmark wrote",
            Self::Training => "the run folder of a training",
            Self::Frames => "a folder that prepare phantom --tiff wrote",
            Self::Export => "a folder that export wrote",
            Self::Digest => "a digest of a plate",
            Self::Scores => "scores of labels",
            Self::ScoreTable => "a table of scores by image",
            Self::Ceiling => "what labels lose as maps",
            Self::Quality => "figures of labels",
            Self::Features => "feature vectors of a plate",
            Self::Distances => "distances of feature vectors",
            Self::Latents => "latents that generate wrote",
            Self::Tensors => "the tensors of a checkpoint",
            Self::Manifest => "the side file of a checkpoint",
        }
    }
}

/// Checks that an output may be written: nothing has its name, or with `overwrite` an output of the same kind by these
/// programs, with nothing else in it, or an empty folder or file.
///
/// # Errors
/// [`DataError::OutputExists`], [`OutputError::Foreign`], [`OutputError::Holds`], or what reading says.
pub fn expect_free(target: &Path, kind: OutputKind, overwrite: bool) -> Result<(), DataError> {
    let Ok(found) = target.metadata() else {
        // A link that leads nowhere is refused where paths are resolved.
        return Ok(());
    };
    if !overwrite {
        return Err(DataError::OutputExists { path: target.to_owned() });
    }
    if found.is_dir() != kind.is_folder() {
        let is = if found.is_dir() { "a folder" } else { "a file" };
        return Err(foreign(target, &format!("it is {is}, expected {}", kind.name())));
    }
    if !found.is_dir() {
        if found.len() > 0 && !is_file_of(target, kind) {
            return Err(foreign(target, &format!("expected {}", kind.name())));
        }
        return Ok(());
    }
    if contents::holds_nothing(target) {
        return Ok(());
    }
    expect_folder_of(target, kind)?;
    let labels = match kind {
        OutputKind::Plate => labels(target),
        OutputKind::Export => exported(target),
        _ => Vec::new(),
    };
    let ours = |parts: &[&str], is_folder: bool| match kind {
        OutputKind::Plate => contents::in_plate(parts, is_folder, &labels),
        OutputKind::Evaluation => contents::in_evaluation(parts, is_folder),
        OutputKind::Benchmark => contents::in_benchmark(parts, is_folder),
        OutputKind::Training => contents::in_training(parts, is_folder),
        OutputKind::Export => contents::in_export(parts, is_folder, &labels),
        _ => contents::in_frames(parts, is_folder),
    };
    match contents::first_foreign(target, &ours).map_err(DataError::io(target))? {
        None => Ok(()),
        Some(found) => {
            let found = found.display().to_string();
            Err(OutputError::Holds { path: target.to_owned(), found }.into())
        }
    }
}

/// Checks that a training may go on in a folder: it is a run folder, or nothing is in it. What else is in it stays.
///
/// # Errors
/// [`OutputError::Foreign`].
pub fn expect_training(target: &Path) -> Result<(), DataError> {
    match target.metadata() {
        Err(_) => Ok(()),
        Ok(found) if !found.is_dir() => {
            Err(foreign(target, "it is a file, expected the run folder of a training"))
        }
        Ok(_) if contents::holds_nothing(target) => Ok(()),
        Ok(_) => expect_folder_of(target, OutputKind::Training),
    }
}

/// Looks for what only our programs write into such a folder.
fn expect_folder_of(target: &Path, kind: OutputKind) -> Result<(), DataError> {
    let written_by = |program: &str| {
        json(&target.join("run.json")).is_some_and(|run| {
            run.get("program").and_then(Value::as_str) == Some(program)
                && run.get("version").is_some_and(Value::is_string)
        })
    };
    let is_ours = match kind {
        OutputKind::Plate => plate_metadata(target).is_some(),
        OutputKind::Evaluation => written_by("evaluate"),
        OutputKind::Benchmark => written_by("segment-benchmark"),
        OutputKind::Frames => written_by("prepare"),
        OutputKind::Export => is_export(target),
        // A run that is not complete has no run.json.
        _ => written_by("train") || has_checkpoint(target) || is_config(&target.join("config.toml")),
    };
    if is_ours { Ok(()) } else { Err(foreign(target, &format!("expected {}", kind.name()))) }
}

fn foreign(target: &Path, found: &str) -> DataError {
    OutputError::Foreign { path: target.to_owned(), found: found.to_owned() }.into()
}

/// Returns what the plate at `target` says about itself in the part that is ours.
fn plate_metadata(target: &Path) -> Option<Value> {
    let mut group = json(&target.join("zarr.json"))?;
    let ours = group.get_mut("attributes")?.get_mut("lapsegan")?.take();
    ours.is_object().then_some(ours)
}

/// Returns the names of the labels of a plate.
fn labels(target: &Path) -> Vec<String> {
    let meta = plate_metadata(target).unwrap_or_default();
    let name = |label: &Value| label.get("name").unwrap_or(label).as_str().map(str::to_owned);
    meta["labels"].as_array().into_iter().flatten().filter_map(name).collect()
}

/// Returns whether an export lies at `target`: its record tells a layout.
fn is_export(target: &Path) -> bool {
    let run = json(&target.join("run.json"));
    run.is_some_and(|run| run.get("result").and_then(|r| r.get("format")).is_some_and(Value::is_string))
        && target.join("sequences.json").is_file()
}

/// Returns the names of channels and labels of an export, which are folders in some layouts.
fn exported(target: &Path) -> Vec<String> {
    let run = json(&target.join("run.json")).unwrap_or_default();
    let names = |key: &str| run.get("result").and_then(|r| r.get(key)).and_then(Value::as_array).cloned();
    let all = [names("channels"), names("labels")].into_iter().flatten().flatten();
    all.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn has_checkpoint(target: &Path) -> bool {
    let entries = fs::read_dir(target.join("checkpoints")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.ends_with(".safetensors") && contents::in_training(&["checkpoints", &name], false))
}

/// Returns whether a file holds the configuration of a training.
fn is_config(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let is_table = |config: &toml::Table, key: &str| config.get(key).is_some_and(toml::Value::is_table);
    text.parse::<toml::Table>()
        .is_ok_and(|config| is_table(&config, "model") && is_table(&config, "training"))
}

fn is_file_of(path: &Path, kind: OutputKind) -> bool {
    let has = |keys: &[&str]| json(path).is_some_and(|found| keys.iter().all(|key| found.contains_key(*key)));
    match kind {
        OutputKind::Digest => {
            has(&["name", "sha256", "files", "bytes"]) && json(path).is_some_and(|found| found.len() == 4)
        }
        OutputKind::Scores => has(&["inputs", "thresholds", "pooled", "mean_over_defined_images"]),
        OutputKind::ScoreTable => begins_with(path, b"name,frame,n_true,n_pred,"),
        OutputKind::Ceiling => has(&["inputs", "thresholds", "pooled", "lost", "sequences"]),
        OutputKind::Quality => has(&["inputs", "summary", "kept", "dropped", "sequences"]),
        OutputKind::Features => names_in(path).is_some_and(|names| names.contains_key("groups")),
        OutputKind::Distances => has(&["inputs", "protocol", "channels"]),
        OutputKind::Manifest => has(&["format", "config", "data", "tensors_sha256"]),
        OutputKind::Latents => names_in(path).is_some_and(|names| {
            let ours = names.get("__metadata__").and_then(|head| head.get("lapsegan"));
            names.contains_key("latents") && ours.is_some()
        }),
        _ => has_our_tensors(path),
    }
}

fn begins_with(path: &Path, expected: &[u8]) -> bool {
    let mut found = vec![0; expected.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut found)).is_ok() && found == expected
}

fn json(path: &Path) -> Option<Map<String, Value>> {
    if fs::metadata(path).ok()?.len() > MOST_JSON {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Returns whether a safetensors file names an averaged generator.
fn has_our_tensors(path: &Path) -> bool {
    names_in(path).is_some_and(|names| names.keys().any(|name| name.starts_with("generator_ema.")))
}

/// Returns the header of a safetensors file: its length comes first, then the names as JSON.
fn names_in(path: &Path) -> Option<Map<String, Value>> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut text = Vec::new();
    if length > MOST_HEADER || file.take(length).read_to_end(&mut text).ok()? as u64 != length {
        return None;
    }
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Advice, Exit};

    fn refused(target: &Path, kind: OutputKind, words: &str) {
        let error = expect_free(target, kind, true).unwrap_err();
        assert_eq!(error.exit(), Exit::OutputExists, "{error}");
        assert!(error.to_string().contains(words), "{words} is not in {error}");
        assert!(error.hint().is_some_and(|hint| !hint.contains("--overwrite")));
    }

    #[test]
    fn folders_of_ours_may_be_replaced_and_others_never() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str, files: &[(&str, &str)]| {
            let folder = dir.path().join(name);
            for (file, text) in files {
                let path = folder.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            folder
        };
        let run = |program: &str| format!(r#"{{"program": "{program}", "version": "0.1.0"}}"#);
        let (evaluate, benchmark, train, prepare) =
            (run("evaluate"), run("segment-benchmark"), run("train"), run("prepare"));
        let plate = r#"{"attributes": {"lapsegan": {"labels": [{"name": "cells"}]}}}"#;
        let config = "[model]\na = 1\n[training]\nb = 2\n";
        let ours = [
            (OutputKind::Plate, folder("p", &[("zarr.json", plate), ("A/1/0/labels/cells/0/zarr.json", "")])),
            (OutputKind::Evaluation, folder("e", &[("run.json", &evaluate), ("report.html", "")])),
            (OutputKind::Benchmark, folder("b", &[("run.json", &benchmark), ("cells.json", "")])),
            (OutputKind::Training, folder("t", &[("run.json", &train), ("stats.jsonl", "")])),
            (OutputKind::Training, folder("u", &[("checkpoints/kimg_000000.000.safetensors", "")])),
            (OutputKind::Training, folder("v", &[("config.toml", config)])),
            (OutputKind::Frames, folder("f", &[("run.json", &prepare), ("gfp/position-000/t000.tif", "")])),
        ];
        for (kind, folder) in &ours {
            expect_free(folder, *kind, true).unwrap();
            assert!(matches!(expect_free(folder, *kind, false), Err(DataError::OutputExists { .. })));
            for (other, at) in &ours {
                if other != kind {
                    refused(at, *kind, "not written by this command");
                }
            }
            fs::create_dir_all(folder.join("mine/deep")).unwrap();
            fs::write(folder.join("mine/deep/thesis.docx"), "years").unwrap();
            refused(folder, *kind, "mine");
        }
        // What somebody drew into a plate.
        let drawn = folder("q", &[("zarr.json", plate), ("A/1/0/labels/drawn/zarr.json", "")]);
        refused(&drawn, OutputKind::Plate, "A/1/0/labels/drawn");
        let other = folder("z", &[("zarr.json", r#"{"attributes": {"ome": {}}}"#)]);
        refused(&other, OutputKind::Plate, "expected a plate");
        refused(&other.join("zarr.json"), OutputKind::Plate, "it is a file");
        let raw = folder("raw", &[("t0.tif", "pixels"), ("run.json", r#"{"program": "evaluate"}"#)]);
        for kind in [OutputKind::Plate, OutputKind::Evaluation, OutputKind::Training, OutputKind::Frames] {
            refused(&raw, kind, "not written by this command");
        }
        let empty = dir.path().join("empty/folder");
        fs::create_dir_all(&empty).unwrap();
        fs::write(empty.join(".snakemake_timestamp"), "").unwrap();
        expect_free(&dir.path().join("empty"), OutputKind::Plate, true).unwrap();
        expect_free(&dir.path().join("nowhere"), OutputKind::Plate, false).unwrap();
    }

    #[test]
    fn a_training_goes_on_only_in_a_run_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("run");
        expect_training(&folder).unwrap();
        fs::create_dir_all(folder.join("checkpoints")).unwrap();
        expect_training(&folder).unwrap();
        fs::write(folder.join("config.toml"), "title = \"a site\"\n").unwrap();
        fs::write(folder.join("run.json"), "{}").unwrap();
        assert_eq!(expect_training(&folder).unwrap_err().exit(), Exit::OutputExists);
        assert_eq!(expect_training(&folder.join("run.json")).unwrap_err().exit(), Exit::OutputExists);
        fs::write(folder.join("checkpoints/kimg_000000.000.safetensors"), "").unwrap();
        fs::write(folder.join("notes.txt"), "mine").unwrap();
        expect_training(&folder).unwrap();
    }

    #[test]
    fn files_are_told_by_what_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let header = br#"{"generator_ema.a": {}}"#;
        let tensors = [&(header.len() as u64).to_le_bytes()[..], header].concat();
        let header = br#"{"features.gfp": {}, "groups": {}}"#;
        let features = [&(header.len() as u64).to_le_bytes()[..], header].concat();
        let header = br#"{"__metadata__": {"lapsegan": "{}"}, "latents": {}}"#;
        let latents = [&(header.len() as u64).to_le_bytes()[..], header].concat();
        for (kind, good, bad) in [
            (
                OutputKind::Digest,
                &br#"{"name": "", "sha256": "", "files": 1, "bytes": 1}"#[..],
                &br#"{"name": "", "sha256": "", "files": 1, "bytes": 1, "mine": 1}"#[..],
            ),
            (
                OutputKind::Scores,
                br#"{"inputs": 1, "thresholds": 1, "pooled": 1, "mean_over_defined_images": 1, "pairs": []}"#,
                br#"{"pooled": 1}"#,
            ),
            (
                OutputKind::Ceiling,
                br#"{"inputs": 1, "thresholds": 1, "pooled": 1, "lost": 1, "sequences": []}"#,
                br#"{"inputs": 1, "thresholds": 1, "pooled": 1, "mean_over_defined_images": 1}"#,
            ),
            (
                OutputKind::Quality,
                br#"{"inputs": 1, "summary": 1, "kept": 1, "dropped": 1, "sequences": []}"#,
                br#"{"inputs": 1, "thresholds": 1, "pooled": 1, "lost": 1, "sequences": []}"#,
            ),
            (
                OutputKind::Manifest,
                br#"{"format": 2, "config": {}, "data": {}, "tensors_sha256": ""}"#,
                br#"["format", "config", "data", "tensors_sha256"]"#,
            ),
            (
                OutputKind::Distances,
                br#"{"inputs": 1, "protocol": 1, "channels": []}"#,
                br#"{"inputs": 1, "protocol": 1}"#,
            ),
            (OutputKind::Features, &features, &tensors),
            (OutputKind::Latents, &latents, &tensors),
            (OutputKind::Tensors, &tensors, b"\xff\xff\xff\xff\xff\xff\xff\xff notes"),
        ] {
            fs::write(&path, good).unwrap();
            expect_free(&path, kind, true).unwrap();
            refused(&path, OutputKind::Plate, "it is a file");
            for bad in [bad, &b"a shopping list"[..]] {
                fs::write(&path, bad).unwrap();
                refused(&path, kind, "not written by this command");
            }
            refused(dir.path(), kind, "it is a folder");
            fs::write(&path, "").unwrap();
            expect_free(&path, kind, true).unwrap();
        }
    }
}
