//! `generate --shard` and `merge`: parts are the whole, byte by byte; `--digest`.

use std::fs;
use std::path::{Path, PathBuf};

use lapsegan_core::plate::Plate;
use lapsegan_core::plate::digest::Digest;
use serde_json::Value;

use super::generate::{generate, untrained};
use crate::support::programs::{expect_nothing_left, fail, names, run as program, succeed};

/// Writes part `index` of `of` and returns its plate.
fn part(dir: &Path, run: &Path, index: usize, of: usize, more: &[&str]) -> PathBuf {
    let path = dir.join(format!("part-{index}.ome.zarr"));
    let shard = format!("{index}/{of}");
    succeed("generate", &generate(run, &path, &[&["--shard", &shard, "--overwrite"], more].concat()));
    path
}

fn merge<'a>(output: &'a Path, parts: &'a [PathBuf]) -> Vec<&'a str> {
    let mut all = vec!["merge", "-q", "--output", output.to_str().unwrap()];
    all.extend(parts.iter().map(|path| path.to_str().unwrap()));
    all
}

#[test]
fn merged_parts_are_the_bytes_of_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    // Whole batches, uneven batches, and more parts than batches.
    for (count, batch, of) in [("24", "3", 8), ("11", "4", 2), ("5", "32", 5)] {
        let more = ["--count", count, "--batch", batch];
        let whole = dir.path().join("whole.ome.zarr");
        succeed("generate", &generate(&run, &whole, &[&more[..], &["--overwrite"]].concat()));
        let mut parts: Vec<PathBuf> = (1..=of).map(|i| part(dir.path(), &run, i, of, &more)).collect();
        let total: usize = parts.iter().map(|path| Plate::open(path).unwrap().wells.len()).sum();
        assert_eq!(total.to_string(), count);
        parts.reverse();
        let merged = dir.path().join(format!("merged-{count}.ome.zarr"));
        let result = succeed("generate", &merge(&merged, &parts));
        assert_eq!(Digest::of(&merged).unwrap(), Digest::of(&whole).unwrap(), "{count} in {of}");
        assert!(result["files_linked"].as_u64().unwrap() + result["files_copied"].as_u64().unwrap() > 20);
        // The parts can go, whatever the file system did.
        for path in parts {
            fs::remove_dir_all(path).unwrap();
        }
        assert_eq!(Digest::of(&merged).unwrap(), Digest::of(&whole).unwrap());
        Plate::open(&merged).unwrap().read(0).unwrap();
    }
}

#[test]
fn parts_made_with_other_thread_counts_are_pointed_out() {
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    let part = |index: usize, threads: &str| {
        let path = dir.path().join(format!("part-{index}-{threads}.ome.zarr"));
        let shard = format!("{index}/2");
        let mut arguments = generate(&run, &path, &["--shard", &shard]);
        let of = arguments.iter().position(|argument| *argument == "--threads").unwrap() + 1;
        arguments[of] = threads;
        succeed("generate", &arguments);
        path
    };
    let parts = [part(1, "1"), part(2, "2")];
    let result = succeed("generate", &merge(&dir.path().join("merged.ome.zarr"), &parts));
    let warning = result["warnings"][0].as_str().unwrap();
    assert!(warning.contains("was made with 1 threads") && warning.contains("with 2:"), "{warning}");
    let [_, second] = parts;
    let alike = [part(1, "2"), second];
    let result = succeed("generate", &merge(&dir.path().join("alike.ome.zarr"), &alike));
    assert_eq!(result["warnings"], serde_json::json!([]));
}

#[test]
fn a_part_is_a_plate_with_the_wells_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    let path = part(dir.path(), &run, 2, 2, &["--batch", "2"]);
    let plate = Plate::open(&path).unwrap();
    let wells: Vec<&str> = plate.wells.iter().map(|(well, _)| well.as_str()).collect();
    // Five sequences in three columns, batches of two.
    assert_eq!(wells, ["A/3", "B/1", "B/2"]);
    assert_eq!(plate.wells[0].1.split_group, "synthetic-2");
    assert!(plate.read(2).unwrap().labels.contains_key("cells"));
    assert!(path.join("contact_sheet.png").is_file());
}

#[test]
fn parts_that_make_no_whole_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    let of_three = |name: &str, index: usize, more: &[&str]| {
        let folder = dir.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let batch = if more.contains(&"--batch") { &[][..] } else { &["--batch", "2"] };
        part(&folder, &run, index, 3, &[batch, more].concat())
    };
    let [one, two, three] = [1, 2, 3].map(|index| of_three("good", index, &[]));
    let output = dir.path().join("out.ome.zarr");
    let refused = |parts: &[&PathBuf], code: i32, words: &[&str]| {
        let parts: Vec<PathBuf> = parts.iter().map(|&path| path.clone()).collect();
        fail("generate", &merge(&output, &parts), code, words);
        expect_nothing_left(&output);
    };
    refused(&[&one, &three], 65, &["of 3 parts 1 are missing: 2", "--shard"]);
    refused(&[&one, &two, &three, &two], 65, &["part 2 of 3 is given twice", "part-2.ome.zarr"]);
    refused(&[&one, &of_three("seed", 2, &["--seed", "4"]), &three], 65, &["different runs", "seed: 0 != 4"]);
    let psi = of_three("psi", 2, &["--truncation-psi", "0.5"]);
    refused(&[&one, &psi, &three], 65, &["part.settings.truncation_psi: 1.0 != 0.5"]);
    let batch = of_three("batch", 2, &["--batch", "1"]);
    refused(&[&one, &batch, &three], 65, &["part.settings.batch: 2 != 1"]);
    refused(&[&one, &dir.path().join("nowhere"), &three], 66, &["nowhere"]);
    refused(&[&one, &dir.path().join("discs.ome.zarr")], 65, &["discs.ome.zarr: is a whole plate"]);

    // Another checkpoint.
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let data = dir.path().join("discs.ome.zarr");
    let trained =
        ["--data", data.to_str().unwrap(), "--output", other.join("run").to_str().unwrap()].map(String::from);
    let trained: Vec<&str> = trained.iter().map(String::as_str).collect();
    succeed("train", &[&trained[..], &["--kimg", "0", "--seed", "9", "--device", "cpu", "-q"]].concat());
    let foreign = part(&other, &other.join("run"), 2, 3, &["--batch", "2"]);
    refused(&[&one, &foreign, &three], 65, &["part.settings.checkpoint_sha256"]);

    // A part that lies about itself.
    let json = two.join("zarr.json");
    let text = fs::read_to_string(&json).unwrap();
    for (from, to, words) in [
        ("\"first\": 2", "\"first\": 1", "does not fit its"),
        ("\"count\": 2,\n        \"settings\"", "\"count\": 3,\n        \"settings\"", "does not fit its"),
        ("\"first\": 2", "\"first\": 18446744073709551615", "does not fit its"),
        ("\"sequences\": 5", "\"sequences\": \"five\"", "lapsegan"),
    ] {
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(&json, text.replacen(from, to, 1)).unwrap();
        refused(&[&one, &two, &three], 65, &[words]);
    }
    fs::write(&json, text).unwrap();

    let parts = [one, two, three];
    let dry = succeed("generate", &[&merge(&output, &parts)[..], &["--dry-run"]].concat());
    assert_eq!(dry["would_write"]["sequences"], 5);
    expect_nothing_left(&output);
    succeed("generate", &merge(&output, &parts));
    fail("generate", &merge(&output, &parts), 73, &["already exists"]);

    for (shard, words) in [("0/3", "expected I/N"), ("4/3", "expected I/N"), ("two", "expected I/N")] {
        let path = dir.path().join("bad.ome.zarr");
        let bad = program("generate", &generate(&run, &path, &["--shard", shard]));
        assert_eq!(bad.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&bad.stderr).contains(words));
    }
    fail("generate", &generate(&run, &dir.path().join("bad"), &["--shard", "6/6"]), 2, &["5 sequences make"]);
}

#[test]
fn digests_say_what_a_plate_holds_whoever_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = untrained(dir.path());
    let path = |name: &str| dir.path().join(name);
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(path(name)).unwrap()).unwrap() };
    let [plate, file] = ["a.ome.zarr", "a.json"].map(path);
    let file = file.to_str().unwrap();
    succeed("generate", &generate(&checkpoint, &plate, &["--digest", file]));
    let found = Digest::of(&plate).unwrap();
    let written = read("a.json");
    assert_eq!((&written["name"], &written["sha256"]), (&"a.ome.zarr".into(), &found.sha256.clone().into()));
    assert_eq!(
        (written["files"].as_u64(), written["bytes"].as_u64()),
        (Some(found.files as u64), Some(found.bytes))
    );

    // Engines leave files in the folders they know.
    fs::write(plate.join(".snakemake_timestamp"), "").unwrap();
    assert_eq!(Digest::of(&plate).unwrap(), found);
    fs::write(plate.join("A/1/0/zarr.json"), "{}").unwrap();
    assert_ne!(Digest::of(&plate).unwrap(), found);

    let other = path("b.ome.zarr");
    fail("generate", &generate(&checkpoint, &other, &["--digest", file]), 73, &["a.json already exists"]);
    let inside = other.join("digest.json");
    let inside = ["--digest", inside.to_str().unwrap()];
    fail("generate", &generate(&checkpoint, &other, &inside), 2, &["--digest", "lies in"]);
    expect_nothing_left(&other);
    let [one, two] = [1, 2].map(|index| part(dir.path(), &checkpoint, index, 2, &[]));
    let merged = path("m.ome.zarr");
    succeed(
        "generate",
        &[&merge(&merged, &[one, two])[..], &["--digest", path("m.json").to_str().unwrap()]].concat(),
    );
    assert_eq!(read("m.json")["sha256"], written["sha256"]);

    let phantom = path("p.ome.zarr");
    let small = ["phantom", "--positions", "3", "--frames-per-position", "5", "-q"];
    let outputs = ["--output", phantom.to_str().unwrap(), "--digest", path("p.json").to_str().unwrap()]
        .map(String::from);
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    succeed("prepare", &[&small[..], &outputs].concat());
    assert_eq!(read("p.json")["sha256"].as_str(), Some(Digest::of(&phantom).unwrap().sha256.as_str()));
    assert!(!names(dir.path()).iter().any(|name| name.starts_with('.')), "{:?}", names(dir.path()));
}

#[test]
fn help_of_merge_ends_with_two_examples() {
    let help = program("generate", &["merge", "--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert_eq!(help.split("Examples:").nth(1).unwrap().matches("generate merge ").count(), 2, "{help}");
}
