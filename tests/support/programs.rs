//! Running the programs as a user does, and checking how they end.

use std::path::Path;
use std::process::{Command, Output};

/// Returns a command of one of the five programs.
pub(crate) fn program(name: &str) -> Command {
    Command::new(match name {
        "prepare" => env!("CARGO_BIN_EXE_prepare"),
        "train" => env!("CARGO_BIN_EXE_train"),
        "generate" => env!("CARGO_BIN_EXE_generate"),
        "evaluate" => env!("CARGO_BIN_EXE_evaluate"),
        "segment-benchmark" => env!("CARGO_BIN_EXE_segment-benchmark"),
        other => panic!("no program {other}"),
    })
}

/// Runs a program and returns what it printed.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Output {
    program(name).args(arguments).output().unwrap()
}

/// Runs a program that must succeed and returns the JSON of its stdout.
pub(crate) fn succeed(name: &str, arguments: &[&str]) -> serde_json::Value {
    let output = run(name, arguments);
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {:?}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{name}: stdout is no JSON: {e}\n{}", String::from_utf8_lossy(&output.stdout)))
}

/// Runs a program that must fail with an exit code, a hint, and these words on stderr; stdout stays empty.
pub(crate) fn fail(name: &str, arguments: &[&str], code: i32, words: &[&str]) {
    let output = run(name, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{name} {arguments:?}\n{stderr}");
    assert!(output.stdout.is_empty(), "{name}: a failure prints no result");
    assert!(stderr.contains("hint:"), "{name} {arguments:?}: no hint\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{name} {arguments:?}: `{word}` not in\n{stderr}");
    }
}

/// Checks that neither the final name nor a partial sibling is there.
pub(crate) fn expect_nothing_left(target: &Path) {
    assert!(!target.exists(), "{} was left behind", target.display());
    let name = target.file_name().unwrap().to_string_lossy().into_owned();
    for entry in std::fs::read_dir(target.parent().unwrap()).unwrap() {
        let found = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(!found.starts_with(&format!(".{name}.")), "partial output {found} was left behind");
    }
}
