//! Sizes and kinds of files are looked at before memory or time is taken.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::programs::{check_refused, expect_nothing_left, fail, names, path, run, succeed};
use crate::support::root;

/// Runs `prepare` on a recording with at most 6 GB of address space.
fn prepare(recording: &Path, more: &[&str]) -> Output {
    let part = |name: &str| recording.join(name).display().to_string();
    let script = "ulimit -v 6000000; exec \"$@\"";
    Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(path("prepare"))
        .args(["--channel", &format!("bf={}", part("brightfield")), "--labels"])
        .args([&format!("cells={}", part("cells")), "--size", "8", "--threads", "2", "--output"])
        .arg(recording.with_file_name("out.ome.zarr"))
        .args(more)
        .output()
        .unwrap()
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for name in names(from) {
        copy(&from.join(&name), &to.join(&name));
    }
}

#[test]
fn a_label_image_of_a_few_bytes_with_a_huge_header_is_refused_also_with_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("recording");
    for part in ["brightfield", "cells"] {
        copy(&root().join("test-data/recording").join(part), &recording.join(part));
    }
    let frame = recording.join("cells/position-002/t003.png");
    let good = fs::read(&frame).unwrap();
    for (width, height) in [(8, i32::MAX), (i32::MAX, 8), (60_000, 60_000)] {
        let mut bytes = good.clone();
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32fast::hash(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        fs::write(&frame, &bytes).unwrap();
        for more in [&[][..], &["--dry-run"]] {
            check_refused(&prepare(&recording, more), 65, &["position-002/t003.png"]);
            expect_nothing_left(&dir.path().join("out.ome.zarr"));
        }
    }
    fs::write(&frame, &good).unwrap();
    let ended = prepare(&recording, &[]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn settings_and_sheets_are_regular_files_of_limited_length() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (fifo, long, output) = (at("fifo"), at("long"), at("out"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    fs::File::create(&long).unwrap().set_len(17 << 20).unwrap();
    let begin = Instant::now();
    for bad in ["/dev/zero", &fifo, &long, &at(".")] {
        let call = ["phantom", "--config", bad, "--output", &output];
        check_refused(&run("prepare", &call), 65, &[bad, "expected a file of at most 1 MiB"]);
        check_refused(&run("prepare", &["check", bad]), 65, &[bad, "expected a file of at most 16 MiB"]);
    }
    for gone in [at("gone"), format!("{long}/below")] {
        check_refused(&run("prepare", &["phantom", "--config", &gone, "--output", &output]), 66, &[&gone]);
        check_refused(&run("prepare", &["check", &gone]), 66, &[&gone]);
    }
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    expect_nothing_left(&dir.path().join("out"));
}

#[test]
fn a_phantom_is_not_simulated_before_its_flags_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("p.ome.zarr");
    // To simulate it would take an hour.
    let large = ["phantom", "--positions", "20000", "--output", output.to_str().unwrap()];
    let begun = Instant::now();
    for (flags, words) in [
        (&["--frames", "0"][..], "frames"),
        (&["--stride", "0"], "stride"),
        (&["--frames", "99999"], "99999"),
        (&["--size", "2048"], "MiB of memory are free"),
    ] {
        fail("prepare", &[&large[..], flags].concat(), 2, &[words]);
        fail("prepare", &[&large[..], flags, &["--dry-run"]].concat(), 2, &[words]);
    }
    let planned = succeed("prepare", &[&large[..], &["--dry-run"]].concat());
    assert_eq!(planned["would_write"]["sequences"], 160_000);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert!(names(dir.path()).is_empty());
}
