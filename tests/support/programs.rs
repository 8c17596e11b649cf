//! Running the programs as a user does, and checking how they end.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Programs of the package under test; cargo names only these.
const OWN: [(&str, Option<&str>); 5] = [
    ("prepare", option_env!("CARGO_BIN_EXE_prepare")),
    ("evaluate", option_env!("CARGO_BIN_EXE_evaluate")),
    ("train", option_env!("CARGO_BIN_EXE_train")),
    ("generate", option_env!("CARGO_BIN_EXE_generate")),
    ("segment-benchmark", option_env!("CARGO_BIN_EXE_segment-benchmark")),
];

/// Returns the path of one of the five programs. Those of the other package lie in the same folder.
pub(crate) fn path(name: &str) -> PathBuf {
    let own = OWN.iter().find(|(own, _)| *own == name).unwrap_or_else(|| panic!("no program {name}"));
    let known = OWN.iter().find_map(|(_, path)| *path).expect("a package has programs");
    let path = own.1.map_or_else(|| Path::new(known).with_file_name(name), PathBuf::from);
    assert!(path.exists(), "{} is not built: run the tests with --workspace", path.display());
    path
}

/// Returns a command of one of the five programs.
pub(crate) fn program(name: &str) -> Command {
    Command::new(path(name))
}

/// Returns a command of a program that both signals reach, also where the tests run in the background of a shell that
/// lets its jobs ignore SIGINT.
pub(crate) fn interruptible(name: &str) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM").arg(path(name));
    command
}

/// Sends a signal, such as TERM, to a program.
pub(crate) fn send(signal: &str, child: &std::process::Child) {
    Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
}

/// Runs a program and returns what it printed.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Output {
    program(name).args(arguments).output().unwrap()
}

/// Runs a program in a folder and returns what it printed.
pub(crate) fn run_in(folder: &Path, name: &str, arguments: &[&str]) -> Output {
    program(name).current_dir(folder).args(arguments).output().unwrap()
}

/// Returns what a program printed on stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the JSON of a program that must have succeeded.
pub(crate) fn result(output: &Output) -> Value {
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(output));
    let stdout = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("stdout is no JSON: {e}\n{stdout}"))
}

/// Checks that a program failed with an exit code, a hint, and these words on stderr; stdout stays empty.
pub(crate) fn check_refused(output: &Output, code: i32, words: &[&str]) {
    assert!(
        output.stdout.is_empty(),
        "a failure prints no result: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    check_error(output, code, words);
}

/// As [`check_refused`], for a command that prints what it found as JSON nevertheless.
pub(crate) fn check_findings(output: &Output, code: i32, words: &[&str]) -> Value {
    check_error(output, code, words);
    serde_json::from_slice(&output.stdout).expect("findings are JSON")
}

fn check_error(output: &Output, code: i32, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains("error: ") || text.contains("stopped: "), "{text}");
    assert!(text.contains("\nhint: "), "no hint\n{text}");
    assert!(!text.contains("panicked"), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` not in\n{text}");
    }
}

/// Runs a program that must succeed and returns its result.
pub(crate) fn succeed(name: &str, arguments: &[&str]) -> Value {
    result(&run(name, arguments))
}

/// Runs a program that must fail, see [`check_refused`].
pub(crate) fn fail(name: &str, arguments: &[&str], code: i32, words: &[&str]) {
    check_refused(&run(name, arguments), code, words);
}

/// Returns the names in a folder, hidden ones too.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Checks that neither the final name nor a partial sibling is there.
pub(crate) fn expect_nothing_left(target: &Path) {
    let name = target.file_name().unwrap().to_string_lossy().into_owned();
    for found in names(target.parent().unwrap()) {
        assert!(found != name && !found.starts_with(&format!(".{name}.")), "{found} was left behind");
    }
}
