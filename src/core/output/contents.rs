//! What our programs write into their outputs, by name: everything else in there is somebody else's.
//!
//! A file that a program newly writes into an output needs a line here, or `--overwrite` refuses that output.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use super::names;

/// Files in a plate, at its top.
const IN_PLATE: [&str; 10] = [
    "zarr.json",
    "run.json",
    "quality.json",
    "report.html",
    "preview.png",
    "contact_sheet.png",
    "latents.safetensors",
    "walk.png",
    "walk.gif",
    "projection.json",
];
/// Files in an evaluation.
const IN_EVALUATION: [&str; 4] = ["metrics.json", "report.html", "lapsegan_mqc.json", "run.json"];
/// Files in a benchmark or a part of one.
const IN_BENCHMARK: [&str; 5] =
    ["scores.json", "segmentation_mqc.json", "report.html", "cells.json", "run.json"];
/// Files in a run folder, at its top; an event file of TensorBoard comes to them.
const IN_TRAINING: [&str; 3] = ["config.toml", "stats.jsonl", "run.json"];
/// Beginning of the name of the event file.
const EVENTS: &str = "events.out.tfevents.";
/// Folders of a recording of the phantom.
const IN_FRAMES: [&str; 4] = ["brightfield", "gfp", "cells", "structure"];

/// Returns the first thing in a folder, by name, that is not allowed there, as a path relative to the folder. Files of
/// workflow engines and desktops are passed over. `allowed` gets the parts of a path, and whether it is a folder.
pub(super) fn first_foreign(
    folder: &Path,
    allowed: &dyn Fn(&[&str], bool) -> bool,
) -> io::Result<Option<PathBuf>> {
    let mut open = vec![Vec::new()];
    while let Some(parts) = open.pop() {
        let at: PathBuf = std::iter::once(folder.to_owned()).chain(parts.iter().map(PathBuf::from)).collect();
        let mut entries: Vec<DirEntry> = fs::read_dir(at)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let is_folder = entry.file_type()?.is_dir();
            let name = entry.file_name().to_string_lossy().into_owned();
            if !is_folder && is_of_an_engine(&name) {
                continue;
            }
            let mut inner: Vec<String> = parts.clone();
            inner.push(if is_folder { name } else { names::stands_for(&name).unwrap_or(&name).to_owned() });
            let shown: Vec<&str> = inner.iter().map(String::as_str).collect();
            if !allowed(&shown, is_folder) {
                return Ok(Some(parts.iter().map(PathBuf::from).chain([entry.file_name().into()]).collect()));
            }
            if is_folder {
                open.push(inner);
            }
        }
    }
    Ok(None)
}

/// Returns whether there is no file in a folder nor in those below it, but for those of engines.
pub(super) fn holds_nothing(folder: &Path) -> bool {
    matches!(first_foreign(folder, &|_, is_folder| is_folder), Ok(None))
}

/// Returns whether a file is one that workflow engines, file systems and desktops leave in folders.
fn is_of_an_engine(name: &str) -> bool {
    let known = [".snakemake_timestamp", ".DS_Store", ".directory"];
    known.contains(&name)
        || [".command.", ".exitcode", ".nfs", ".fuse_hidden", "._"].iter().any(|p| name.starts_with(p))
}

/// Returns whether a plate with these labels holds such a file or folder.
pub(super) fn in_plate(parts: &[&str], is_folder: bool, labels: &[String]) -> bool {
    match parts {
        [name] if !is_folder => IN_PLATE.contains(name),
        [row, rest @ ..] => row.bytes().all(|b| b.is_ascii_uppercase()) && in_row(rest, is_folder, labels),
        [] => false,
    }
}

fn in_row(parts: &[&str], is_folder: bool, labels: &[String]) -> bool {
    match parts {
        [] => is_folder,
        ["zarr.json"] => !is_folder,
        [column, rest @ ..] => is_number(column) && in_well(rest, is_folder, labels),
    }
}

fn in_well(parts: &[&str], is_folder: bool, labels: &[String]) -> bool {
    match parts {
        [] | ["0"] | ["0", "labels"] => is_folder,
        ["zarr.json"] | ["0", "zarr.json"] | ["0", "labels", "zarr.json"] => !is_folder,
        ["0", "0", rest @ ..] => in_array(rest, is_folder),
        ["0", "labels", name, rest @ ..] if labels.iter().any(|label| label == name) => match rest {
            [] => is_folder,
            ["zarr.json"] => !is_folder,
            ["0", rest @ ..] => in_array(rest, is_folder),
            _ => false,
        },
        _ => false,
    }
}

fn in_array(parts: &[&str], is_folder: bool) -> bool {
    match parts {
        [] => is_folder,
        ["zarr.json"] => !is_folder,
        ["c", numbers @ ..] => numbers.iter().all(|number| is_number(number)),
        _ => false,
    }
}

/// Returns whether an export holds such a file or folder; `names` are those of its channels and labels.
pub(super) fn in_export(parts: &[&str], is_folder: bool, names: &[String]) -> bool {
    const FOLDERS: [&str; 12] = [
        "images",
        "masks",
        "train",
        "val",
        "test",
        "annotations",
        "SEG",
        "TRA",
        "imagesTr",
        "imagesTs",
        "labelsTr",
        "labelsTs",
    ];
    const FILES: [&str; 8] = [
        "run.json",
        "sequences.json",
        "man_track.txt",
        "dataset.json",
        "instances_train.json",
        "instances_val.json",
        "instances_test.json",
        ".zattrs",
    ];
    let [above @ .., last] = parts else { return false };
    let in_zarr = |part: &str| {
        is_number(part)
            || part == "labels"
            || part.bytes().all(|b| b.is_ascii_uppercase())
            || names.iter().any(|n| n == part)
    };
    let folder = |part: &str| {
        let sequence = part.strip_prefix("seq").is_some_and(is_number);
        let of_challenge = is_number(part.strip_suffix("_GT").unwrap_or(part));
        FOLDERS.contains(&part) || part == "Dataset001_LapseGAN" || sequence || of_challenge || in_zarr(part)
    };
    if !above.iter().all(|part| folder(part)) {
        return false;
    }
    if is_folder {
        return folder(last);
    }
    // `t000`, `man_seg000`, `seq0001`, `seq0001_t000_0000`
    let stem = last.split('.').next().unwrap_or_default().trim_end_matches("_masks");
    let words = stem.split('_').all(|word| {
        let number = word.trim_start_matches(|c: char| c.is_ascii_lowercase());
        let letters = &word[..word.len() - number.len()];
        ["t", "seq", "seg", "track", "man", ""].contains(&letters)
            && number.bytes().all(|b| b.is_ascii_digit())
    });
    let image = [".tif", ".ome.tif", ".png"]
        .iter()
        .any(|end| *last == format!("{}{end}", last.split('.').next().unwrap_or_default()));
    FILES.contains(last)
        || [".zgroup", ".zarray"].contains(last)
        || (words && image)
        || (is_number(last) && above.iter().all(|p| in_zarr(p)))
}

/// Returns whether an evaluation holds such a file or folder.
pub(super) fn in_evaluation(parts: &[&str], is_folder: bool) -> bool {
    matches!(parts, [name] if !is_folder && IN_EVALUATION.contains(name))
}

/// Returns whether a benchmark holds such a file or folder.
pub(super) fn in_benchmark(parts: &[&str], is_folder: bool) -> bool {
    matches!(parts, [name] if !is_folder && IN_BENCHMARK.contains(name))
}

/// Returns whether a run folder holds such a file or folder.
pub(super) fn in_training(parts: &[&str], is_folder: bool) -> bool {
    match parts {
        ["checkpoints" | "samples"] => is_folder,
        ["checkpoints", file] => {
            let file = file.strip_suffix(".partial").unwrap_or(file);
            !is_folder
                && (*file == *"latest" || is_of_a_tick(file, ".safetensors") || is_of_a_tick(file, ".json"))
        }
        ["samples", file] => !is_folder && is_of_a_tick(file, ".png"),
        [file] => !is_folder && (IN_TRAINING.contains(file) || file.starts_with(EVENTS)),
        _ => false,
    }
}

/// Returns whether a training writes a file of this name, wherever in its folder.
pub(super) fn is_training_file(name: &str) -> bool {
    in_training(&[name], false)
        || in_training(&["checkpoints", name], false)
        || in_training(&["samples", name], false)
}

/// Returns whether the folder of a simulated recording holds such a file or folder.
pub(super) fn in_frames(parts: &[&str], is_folder: bool) -> bool {
    let numbered = |name: &str, before: &str, after: &str| {
        name.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(is_number)
    };
    match parts {
        ["run.json"] => !is_folder,
        [channel, rest @ ..] if IN_FRAMES.contains(channel) => match rest {
            [] => is_folder,
            [position] => is_folder && numbered(position, "position-", ""),
            [position, frame] => {
                numbered(position, "position-", "")
                    && !is_folder
                    && (numbered(frame, "t", ".tif") || numbered(frame, "t", ".png"))
            }
            _ => false,
        },
        _ => false,
    }
}

/// Returns the first thing in a partial or old sibling that no program of ours puts at the top of an output.
pub(super) fn foreign_in_leftover(path: &Path) -> Option<String> {
    if !path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        return None;
    }
    let ours = |parts: &[&str], is_folder: bool| {
        // Labels have names of their own.
        let anything = [parts.get(4).copied().unwrap_or_default().to_owned()];
        in_plate(parts, is_folder, &anything)
            || in_evaluation(parts, is_folder)
            || in_benchmark(parts, is_folder)
            || in_training(parts, is_folder)
            || in_frames(parts, is_folder)
    };
    // What cannot be looked into is not removed either, and is told by the attempt.
    first_foreign(path, &ours).ok().flatten().map(|found| found.display().to_string())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns whether a file is named after a moment of the training: `kimg_000001.024` and an ending.
fn is_of_a_tick(name: &str, end: &str) -> bool {
    let number = name.strip_prefix("kimg_").and_then(|rest| rest.strip_suffix(end));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_told_from_what_is_not() {
        let labels = ["cells".to_owned()];
        let plate =
            |path: &str, is_folder| in_plate(&path.split('/').collect::<Vec<_>>(), is_folder, &labels);
        for (path, is_folder) in [
            ("zarr.json", false),
            ("AB", true),
            ("A/12/0/0/c/0/0/0/0", false),
            ("A/1/0/labels/cells/0/zarr.json", false),
        ] {
            assert!(plate(path, is_folder), "{path}");
        }
        for (path, is_folder) in [
            ("README", false),
            ("raw", true),
            ("RAW/t0.tif", false),
            ("A/1/0/labels/drawn", true),
            ("A/1/0/labels/cells/notes.txt", false),
            ("A/1/0/0/c/mine", false),
            ("zarr.json", true),
        ] {
            assert!(!plate(path, is_folder), "{path}");
        }
        let training = |path: &str, is_folder| in_training(&path.split('/').collect::<Vec<_>>(), is_folder);
        assert!(training("checkpoints/kimg_000000.024.safetensors", false));
        assert!(
            training("samples/kimg_000000.024.png", false)
                && training("events.out.tfevents.0.lapsegan", false)
        );
        assert!(
            !training("checkpoints/best.safetensors", false) && !training("samples/kimg_mine.png", false)
        );
        assert!(is_training_file("latest") && !is_training_file("movie"));
        assert!(
            in_frames(&["gfp", "position-003", "t001.tif"], false) && !in_frames(&["gfp", "t001.tif"], false)
        );
    }

    #[test]
    fn files_of_engines_are_passed_over_and_others_found_wherever_they_lie() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("A/1")).unwrap();
        for name in [".snakemake_timestamp", "A/.nfs0001", "A/1/._x"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert!(holds_nothing(dir.path()));
        fs::write(dir.path().join("A/1/.hidden"), "").unwrap();
        assert!(!holds_nothing(dir.path()));
        let found = first_foreign(dir.path(), &|_, is_folder| is_folder).unwrap();
        assert_eq!(found, Some("A/1/.hidden".into()));
    }
}
