//! Two runs with one output, also with the same process id, as containers have: they never mix.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lapsegan_core::plate::digest::Digest;

use super::commands::{Commands, text};
use crate::support::programs::{check_refused, names};

/// Waits until a file is there.
fn wait_for(path: &Path) {
    let since = Instant::now();
    while !path.exists() && since.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(path.exists(), "{}", path.display());
}

/// Returns a command that runs with process id 1, where this machine lets us.
fn as_first_process(command: &Command) -> Option<Command> {
    let unshare = |arguments: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--kill-child"]).args(arguments);
        unshare
    };
    if !unshare(&["true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return None;
    }
    let mut first = unshare(&[]);
    first.arg(command.get_program()).args(command.get_args());
    Some(first)
}

#[test]
fn a_second_run_on_the_same_output_is_refused_at_once() {
    let commands = Commands::new();
    for name in
        ["prepare", "phantom", "generate", "merge", "evaluate", "benchmark", "gather", "train", "score"]
    {
        let case = commands.cases.iter().find(|case| case.name == name).unwrap();
        let output = commands.at(&format!("out{}", case.outputs[0].1));
        let lock = commands.at(&format!(".out{}.lock", case.outputs[0].1));
        // As another run holds it.
        let held = fs::File::create(&lock).unwrap();
        held.try_lock().unwrap();
        check_refused(&case.run(&output, &[]), 73, &["another run", ".lock", "wait for the other run"]);
        check_refused(&case.run(&output, &["--overwrite"]), 73, &["another run"]);
        drop(held);
        assert!(case.run(&output, &[]).status.success());
        assert_eq!(
            names(commands.dir.path()),
            ["in", output.file_name().unwrap().to_str().unwrap()],
            "{name}"
        );
        if output.is_dir() { fs::remove_dir_all(output) } else { fs::remove_file(output) }.unwrap();
    }
}

#[test]
fn runs_with_the_same_process_id_do_not_mix() {
    let commands = Commands::new();
    let case = commands.cases.iter().find(|case| case.name == "generate").unwrap();
    let [clean, output] = ["clean.ome.zarr", "out.ome.zarr"].map(|name| commands.at(name));
    let many = case.with("--count", "300");
    assert!(case.run(&clean, &[]).status.success());
    let clean = Digest::of(&clean).unwrap();

    // Killed, and run again with another seed: no well of the first run is in the second one's plate.
    let mut long = many.command(&output);
    long.args(["--seed", "5"]);
    let Some(mut long_first) = as_first_process(&long) else {
        eprintln!("skipped: this machine does not let us make process namespaces");
        return;
    };
    long_first.stdout(Stdio::null()).stderr(Stdio::null());
    let mut killed = long_first.spawn().unwrap();
    let partial = |commands: &Commands| {
        names(commands.dir.path()).into_iter().find(|name| name.starts_with(".out.ome.zarr.partial-"))
    };
    while partial(&commands).is_none_or(|name| !commands.at(&name).join("A/1").exists()) {
        assert!(killed.try_wait().unwrap().is_none(), "it has ended already");
        std::thread::sleep(Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(partial(&commands).is_some(), "a killed run cannot have removed it");
    let mut again = as_first_process(&case.command(&output)).unwrap();
    assert!(again.output().unwrap().status.success());
    assert_eq!(Digest::of(&output).unwrap(), clean);
    assert_eq!(names(commands.dir.path()), ["clean.ome.zarr", "in", "out.ome.zarr"]);

    // Two at once: the second is refused, and the first is what it would have been alone.
    fs::remove_dir_all(&output).unwrap();
    let mut slow =
        as_first_process(&long).unwrap().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&commands.at(".out.ome.zarr.lock"));
    check_refused(&as_first_process(&case.command(&output)).unwrap().output().unwrap(), 73, &["another run"]);
    assert!(slow.wait().unwrap().success());
    let alone = commands.at("alone.ome.zarr");
    assert!(many.run(&alone, &["--seed", "5"]).status.success());
    assert_eq!(Digest::of(&output).unwrap(), Digest::of(&alone).unwrap());
}

#[test]
fn what_versions_before_left_is_taken_away_and_an_old_output_put_back() {
    let commands = Commands::new();
    let case = commands.cases.iter().find(|case| case.name == "phantom").unwrap();
    let output = commands.at("p.ome.zarr");
    fs::create_dir_all(commands.at(".p.ome.zarr.partial-1/ZZ/1")).unwrap();
    let run = |more: &[&str]| {
        let line: Vec<String> = case.line(&output).into_iter().filter(|word| word != "-q").collect();
        Command::new(crate::support::programs::path(case.program)).args(line).args(more).output().unwrap()
    };
    let first = run(&[]);
    assert!(first.status.success());
    let log = String::from_utf8_lossy(&first.stderr).into_owned();
    assert!(log.contains("removed") && log.contains(".p.ome.zarr.partial-1"), "{log}");
    assert!(!output.join("ZZ").exists());
    let good = Digest::of(&output).unwrap();
    // Killed between two renames.
    fs::rename(&output, commands.at(".p.ome.zarr.old-17")).unwrap();
    let refused = run(&["--positions", "0", "--overwrite"]);
    assert_eq!(refused.status.code(), Some(2));
    let second = run(&["--seed", "1", "--overwrite"]);
    assert!(second.status.success());
    assert_ne!(Digest::of(&output).unwrap(), good);
    fs::rename(&output, commands.at(".p.ome.zarr.old-17")).unwrap();
    // Without --overwrite nothing has the name at first; then the old output has it again, and is kept.
    let third = run(&[]);
    check_refused(&third, 73, &["already exists"]);
    assert_eq!(names(commands.dir.path()), ["in", "p.ome.zarr"]);
    assert!(text(&output).ends_with("p.ome.zarr"));
}
