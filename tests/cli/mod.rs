//! The programs as black boxes: good calls, bad input, interruptions.

mod evaluate;
mod generate;
mod prepare;
mod segment_benchmark;
mod train;

use std::path::Path;
use std::process::{Command, Output};

/// Runs a program of this package in `folder`.
fn run(program: &str, folder: &Path, args: &[&str]) -> Output {
    Command::new(program).args(args).current_dir(folder).output().expect("the program was built with the tests")
}

/// Checks a refusal: exit code, parts of the message, a hint, and nothing on stdout.
fn check_refused(output: &Output, code: i32, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(stderr.contains("\nhint: "), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "expected {part:?} in\n{stderr}");
    }
}

/// Returns the names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
