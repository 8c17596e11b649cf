//! The commands of the README run as they stand there.

use std::process::Command;
use std::{fs, path::Path};

/// Returns the command lines of all `console` blocks.
fn commands(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = language == "console";
        } else if inside {
            found.push(line);
        }
    }
    found
}

#[test]
fn the_commands_of_the_five_programs_work_in_their_order() {
    let root = crate::support::root();
    let text = fs::read_to_string(root.join("README.md")).unwrap();
    let commands = commands(&text);
    let programs = ["prepare", "train", "generate", "evaluate", "segment-benchmark"];
    for program in programs {
        let found = commands.iter().any(|c| c.starts_with(&format!("target/release/{program} ")));
        assert!(found, "the README shows no command of {program}");
    }
    // A folder of its own stands in for the checkout.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("demo/readme")).unwrap();
    let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
    link("test-data", &root.join("test-data"));
    let binaries: Vec<_> = programs.iter().map(|name| crate::support::programs::path(name)).collect();
    fs::create_dir(dir.path().join("target")).unwrap();
    link("target/release", binaries[0].parent().unwrap());
    for command in commands {
        let output = Command::new("bash").args(["-c", command]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout)
            .unwrap_or_else(|e| panic!("{command}: stdout is no JSON: {e}"));
    }
}
