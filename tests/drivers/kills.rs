//! All commands, stopped at random moments: what has its final name is whole, old outputs stay until new ones are whole,
//! and the same command run again gives the bytes of one that was not stopped. `LAPSEGAN_KILLS=N` for more than a few.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::commands::{Case, Commands};
use crate::support::programs::{interruptible, names, send};
use crate::support::snapshot::snapshot;

/// Kills where nobody asks for more: each command twice, by two of the three signals.
const KILLS: usize = 22;

type Content = BTreeMap<PathBuf, Vec<u8>>;

/// Returns what must be equal in two runs: all but the files with clock times in them.
fn content(output: &Path) -> Content {
    let mut found = snapshot(output);
    let timed = |name: &str| name == "run.json" || name == "stats.jsonl" || name.contains("tfevents");
    // A run folder has its name while the training goes on: a file in it that a killed run was writing is hidden.
    let other = |name: &str| timed(name) || name.starts_with('.') && name.contains(".partial-");
    found.retain(|path, _| path.file_name().is_none_or(|name| !other(&name.to_string_lossy())));
    if output.extension().is_some_and(|e| e == "safetensors") {
        found.insert("side".into(), fs::read(output.with_extension("json")).unwrap_or_default());
    }
    found
}

fn remove(output: &Path) {
    if output.is_dir() {
        fs::remove_dir_all(output).unwrap();
    } else if output.exists() {
        fs::remove_file(output).unwrap();
    }
    let _ = fs::remove_file(output.with_extension("json"));
}

fn expect_success(case: &Case, output: &Path, more: &[&str]) {
    let ended = case.run(output, more);
    assert!(ended.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_stopped_command_leaves_the_old_output_or_the_new_one() {
    let commands = Commands::new();
    let kills = std::env::var("LAPSEGAN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let mut draws = ChaCha8Rng::seed_from_u64(0);
    fs::create_dir(commands.at("out")).unwrap();
    let folder = commands.at("out");
    let mut landed: BTreeMap<&str, usize> = BTreeMap::new();
    // Of each command: what it writes, with another seed too, and how long it takes.
    let mut known: BTreeMap<&str, (Content, Content, Duration)> = BTreeMap::new();
    for kill in 0..kills {
        let case = &commands.cases[kill % commands.cases.len()];
        let signal = ["KILL", "TERM", "INT"][kill % 3];
        let output = folder.join(format!("x{}", case.outputs[0].1));
        let (new, old, time) = known.entry(case.name).or_insert_with(|| {
            expect_success(case, &output, &["--seed", "1"]);
            let old = content(&output);
            let began = Instant::now();
            expect_success(case, &output, &["--overwrite"]);
            let taken = began.elapsed();
            let new = content(&output);
            remove(&output);
            (new, old, taken)
        });
        let replaces = draws.random_bool(0.6);
        if replaces {
            expect_success(case, &output, &["--seed", "1"]);
        }
        let what = format!("kill {kill}: {} by {signal}, replaces: {replaces}", case.name);

        let mut command = interruptible(case.program);
        command.args(case.line(&output)).args(replaces.then_some("--overwrite"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(time.mul_f64(draws.random_range(0.0..1.1)));
        send(signal, &child);
        let status = child.wait().unwrap();
        let mut log = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut log).unwrap();
        let (code, number) = match signal {
            "KILL" => (None, 9),
            "TERM" => (Some(143), 15),
            _ => (Some(130), 2),
        };
        // Before a program handles signals they end it; it may also be done already.
        let as_expected =
            status.success() || status.code() == code && code.is_some() || status.signal() == Some(number);
        assert!(as_expected, "{what}: {status:?} {log}");
        if !status.success() {
            *landed.entry(signal).or_default() += 1;
        }
        if signal != "KILL" {
            let left: Vec<String> = names(&folder).into_iter().filter(|name| name.starts_with('.')).collect();
            assert!(left.is_empty(), "{what}: {left:?} {log}");
            assert!(status.code().is_none_or(|code| code == 0) || log.contains("stopped: "), "{what}: {log}");
        }
        if output.exists() || replaces {
            let now = content(&output);
            // A run folder grows under its name, from its first checkpoint on, which is all that these write; the two
            // files of a checkpoint cannot be exchanged in one step, and tell by a digest if they do not belong together.
            assert!(
                now == *new || replaces && now == *old || case.name == "import",
                "{what}: neither old nor new"
            );
        }
        expect_success(case, &output, &["--overwrite"]);
        assert!(content(&output) == *new, "{what}: the same command gives other bytes");
        let left: Vec<String> = names(&folder).into_iter().filter(|name| name.starts_with('.')).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
        remove(&output);
    }
    eprintln!("{kills} kills, of which came before the end: {landed:?}");
    assert!(landed.values().sum::<usize>() > kills / 3, "most kills came too late: {landed:?}");
}

#[test]
fn a_signal_that_a_program_was_started_to_ignore_stays_ignored() {
    let commands = Commands::new();
    let case = commands.cases.iter().find(|case| case.name == "generate").unwrap().with("--count", "200");
    let output = commands.at("out.ome.zarr");
    let mut command = std::process::Command::new("env");
    command.arg("--ignore-signal=INT").arg(crate::support::programs::path(case.program));
    let line = case.line(&output);
    let mut child = command.args(line).stdout(Stdio::null()).spawn().unwrap();
    while !commands.at(".out.ome.zarr.lock").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it has ended already");
        std::thread::sleep(Duration::from_millis(1));
    }
    send("INT", &child);
    assert!(child.wait().unwrap().success());
    assert!(output.exists());
}
