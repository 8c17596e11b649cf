//! Rules of the house that no compiler checks: who may use whom, documentation, length, leftovers.

use std::fs;
use std::path::{Path, PathBuf};

/// Longest file; one idea per file rarely needs more.
const MOST_LINES: usize = 450;

/// For each folder of `src`, the modules of ours that it may use.
const MAY_USE: [(&str, &[&str]); 13] = [
    ("error.rs", &[]),
    ("seed.rs", &[]),
    ("optim", &[]),
    ("report", &["error"]),
    ("data", &["error", "seed"]),
    ("model", &["error"]),
    ("losses", &["error"]),
    ("phantom", &["error", "seed", "data"]),
    ("training", &["error", "seed", "data", "model", "losses", "optim", "report"]),
    ("generation", &["error", "seed", "data", "model"]),
    ("evaluation", &["error", "seed", "data", "report"]),
    ("segmentation", &["error", "seed", "data", "optim", "report"]),
    (
        "cli",
        &[
            "error",
            "seed",
            "data",
            "model",
            "losses",
            "optim",
            "report",
            "training",
            "generation",
            "evaluation",
            "segmentation",
            "cli",
            "phantom",
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns all Rust files below a folder with their text, paths relative to the root.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap_or(Path::new("")).display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(files.len() > 3, "no Rust files below {folder}");
    files
}

/// Returns the text without its unit tests.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn dependencies_point_one_way() {
    for (name, text) in rust_files("src") {
        let inside = name.trim_start_matches("src/");
        let Some((_, allowed)) =
            MAY_USE.iter().find(|(part, _)| inside == *part || inside.starts_with(&format!("{part}/")))
        else {
            let known = inside.starts_with("bin/") || ["lib.rs", "base.rs"].contains(&inside);
            assert!(known, "{name}: no rule in MAY_USE says what it may use");
            continue;
        };
        let own = inside.split(['/', '.']).next().unwrap_or_default();
        for (number, line) in shipped(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for used in code.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert!(
                    used == own || allowed.contains(&used.as_str()),
                    "{name}:{}: {own} may not use {used}, see MAY_USE in tests/tidy.rs",
                    number + 1
                );
            }
        }
    }
}

#[test]
fn only_the_command_line_parses_prints_or_exits() {
    for (name, text) in rust_files("src") {
        if name.starts_with("src/cli/") || name.starts_with("src/bin/") {
            continue;
        }
        for word in ["println!", "eprintln!", "process::exit", "clap::"] {
            let found = shipped(&text).lines().any(|l| !l.trim_start().starts_with("//") && l.contains(word));
            assert!(!found, "{name}: {word} belongs into src/cli or src/bin");
        }
    }
}

#[test]
fn only_axes_knows_both_axis_orders() {
    for (name, text) in rust_files("src/data") {
        let permutes = shipped(&text).contains("permuted_axes");
        assert!(!permutes || name.ends_with("axes.rs"), "{name}: convert axes in src/data/axes.rs");
    }
}

#[test]
fn every_module_says_what_it_is_for_and_stays_short() {
    for folder in ["src", "tests"] {
        for (name, text) in rust_files(folder) {
            assert!(text.starts_with("//!"), "{name}: begin with a module doc (//!)");
            let lines = text.lines().count();
            assert!(
                lines <= MOST_LINES,
                "{name}: {lines} lines, more than {MOST_LINES}: does it hold one idea?"
            );
        }
    }
}

#[test]
fn nothing_unfinished_is_left() {
    // Written in parts, so that this file does not find itself.
    let words = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["to", "do!("],
        ["unimple", "mented!("],
        ["db", "g!("],
        ["#[ign", "ore"],
    ];
    for folder in ["src", "tests"] {
        for (name, text) in rust_files(folder) {
            for word in words.map(|parts| parts.concat()) {
                assert!(!text.contains(&word), "{name}: {word} is left");
            }
        }
    }
}

#[test]
fn unsafe_code_is_confined_to_three_files() {
    for (name, text) in rust_files("src") {
        let allowed =
            ["src/cli/device.rs", "src/model/fused.rs", "src/optim/fused.rs"].contains(&name.as_str());
        let word = ["allow(uns", "afe_code)"].concat();
        assert!(allowed || !text.contains(&word), "{name}: unsafe code");
    }
}

#[test]
fn prepare_needs_no_libtorch() {
    let binary = fs::read(env!("CARGO_BIN_EXE_prepare")).unwrap();
    let output = std::process::Command::new("readelf").args(["-d", env!("CARGO_BIN_EXE_prepare")]).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            let needed: Vec<&str> = text.lines().filter(|l| l.contains("(NEEDED)")).collect();
            assert!(!needed.is_empty());
            let torch: Vec<_> = needed.iter().filter(|l| l.contains("torch") || l.contains("c10")).collect();
            assert!(torch.is_empty(), "prepare loads libtorch: {torch:?}");
        }
        // Without binutils: the name of the library would stand in the binary's string table.
        _ => {
            let word = b"libtorch_cpu.so";
            assert!(!binary.windows(word.len()).any(|w| w == word), "prepare names libtorch_cpu.so");
        }
    }
}
