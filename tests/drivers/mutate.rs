//! Damaged input through all programs: every one must be taken, or refused cleanly, with nothing left behind.
//!
//! The seeds are fixed. `LAPSEGAN_MUTATIONS=2000` sets how many inputs there are (the default is a short form), and
//! `LAPSEGAN_MUTATIONS_KEEP=DIR` keeps the folders of those that found a fault.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::mutants::{Base, CLASSES, Mutant};
use crate::support::programs::{names, path};

const SHORT: usize = 90;
const FULL: usize = 2000;
const ALLOWED: [i32; 6] = [0, 2, 65, 66, 69, 73];
/// Address space in KiB of a program that maps libtorch: a size that was not checked ends here, and not in the machine's
/// memory.
const ADDRESS_SPACE: u64 = 16 << 20;
/// The same of `prepare` and `evaluate`.
const WITHOUT_TORCH: u64 = 2 << 20;
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long `prepare` and `evaluate` may take.
const PATIENCE: Duration = Duration::from_secs(10);
const PANIC: [&str; 4] = ["panicked", "memory allocation of", "stack overflow", "terminate called"];

/// How a program ended.
struct Ended {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

/// Runs a program until its end, or the end of our patience (`None`).
fn run(mutant: &Mutant, logs: &Path) -> Option<Ended> {
    let log = |name: &str| fs::File::create(logs.join(name)).unwrap();
    let torch = ["train", "generate", "segment-benchmark"].contains(&mutant.program);
    let (space, most) = if torch { (ADDRESS_SPACE, TIMEOUT) } else { (WITHOUT_TORCH, PATIENCE) };
    let script = format!("ulimit -v {space}; exec \"$@\"");
    let mut child = std::process::Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(path(mutant.program))
        .args(&mutant.arguments)
        .current_dir(&mutant.folder)
        .stdin(std::process::Stdio::null())
        .stdout(log("stdout"))
        .stderr(log("stderr"))
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > most {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let read = |name: &str| fs::read(logs.join(name)).unwrap();
    let stderr = String::from_utf8_lossy(&read("stderr")).into_owned();
    Some(Ended { code: status.code(), stdout: read("stdout"), stderr })
}

/// Returns all files below a path with their bytes.
fn contents(at: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if at.is_dir() {
        for name in names(at) {
            contents(&at.join(name), found);
        }
    } else if let Ok(bytes) = fs::read(at) {
        found.insert(at.to_owned(), bytes);
    }
}

/// Runs a mutant; returns its exit code and what is wrong with how it ended.
fn judge(mutant: &Mutant, logs: &Path) -> (String, Vec<String>) {
    let inputs = || {
        let mut found = BTreeMap::new();
        mutant.inputs.iter().for_each(|input| contents(input, &mut found));
        found
    };
    let (before, beside) = (inputs(), names(&mutant.folder));
    let Some(ended) = run(mutant, logs) else {
        return ("timeout".into(), vec!["not ended in time".into()]);
    };
    let mut faults = Vec::new();
    let code = ended.code.map_or("signal".into(), |code| code.to_string());
    if ended.code.is_none_or(|code| !ALLOWED.contains(&code)) {
        faults.push(format!("ended with {code}"));
    }
    if let Some(word) = PANIC.iter().find(|word| ended.stderr.contains(*word)) {
        faults.push(format!("`{word}` on stderr"));
    }
    match ended.code {
        Some(0) if serde_json::from_slice::<serde_json::Value>(&ended.stdout).is_err() => {
            faults.push("no JSON on stdout".into());
        }
        Some(1 | 65 | 66) if !ended.stderr.contains("error: ") || !ended.stderr.contains("\nhint: ") => {
            faults.push("no error with a hint".into());
        }
        _ => {}
    }
    if inputs() != before {
        faults.push("an input was changed".into());
    }
    // A training that fails may leave its folder, which says how far it came; nothing else may be left.
    let output = mutant.output.as_deref().unwrap_or_default();
    let may_stay = ended.code == Some(0) || mutant.program == "train";
    for name in names(&mutant.folder) {
        if !(beside.contains(&name) || may_stay && name == output) {
            faults.push(format!("{name} was left"));
        }
    }
    let mut inside = BTreeMap::new();
    contents(&mutant.folder.join(output), &mut inside);
    for path in inside.keys().filter(|_| !output.is_empty()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("partial") || name.contains(".old") {
            faults.push(format!("{} was left", path.display()));
        }
    }
    if !faults.is_empty() {
        faults.push(ended.stderr.lines().take(6).collect::<Vec<_>>().join(" | "));
    }
    (code, faults)
}

#[test]
fn damaged_input_is_taken_or_refused_and_nothing_else() {
    let total = std::env::var("LAPSEGAN_MUTATIONS").map_or(SHORT, |n| n.parse().expect("a number of inputs"));
    let kept = std::env::var_os("LAPSEGAN_MUTATIONS_KEEP").map(PathBuf::from);
    // Programs wait until their output is on disk; in memory that takes no time.
    let memory = Path::new("/dev/shm");
    let around = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let dir = tempfile::tempdir_in(&around).or_else(|_| tempfile::tempdir()).unwrap();
    let base = Base::make(&dir.path().join("base"));
    let cases: Vec<(usize, usize)> = CLASSES
        .iter()
        .enumerate()
        .flat_map(|(c, class)| (0..(class.inputs * total).div_ceil(FULL)).map(move |i| (c, i)))
        .collect();
    let (next, totals, faults) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let work = || {
        while let Some(&(c, i)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let class = &CLASSES[c];
            let name = format!("{}-{i}", class.name.replace(' ', "-"));
            let folder = dir.path().join(&name).join("work");
            fs::create_dir_all(&folder).unwrap();
            let mut rng = ChaCha8Rng::seed_from_u64(1_000_000 * c as u64 + i as u64);
            let mutant = (class.make)(&base, &mut rng, folder.clone());
            let (code, found) = judge(&mutant, folder.parent().unwrap());
            *totals.lock().unwrap().entry((c, code)).or_insert(0) += 1;
            let around = folder.parent().unwrap();
            if !found.is_empty() {
                let call = format!("{} {}", mutant.program, mutant.arguments.join(" "));
                let text = format!("{name}: {} ({})\n  {call}", found.join("; "), mutant.what);
                faults.lock().unwrap().push(text);
                if let Some(kept) = &kept {
                    let to = kept.join(&name);
                    let copied = std::process::Command::new("cp").arg("-r").arg(around).arg(&to).status();
                    assert!(copied.unwrap().success());
                }
            }
            fs::remove_dir_all(around).unwrap();
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(8));
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let totals = totals.into_inner().unwrap();
    let table: Vec<String> = CLASSES
        .iter()
        .enumerate()
        .map(|(c, class)| {
            let ends = totals.iter().filter(|((of, _), _)| *of == c);
            let ends: Vec<String> = ends.map(|((_, code), n)| format!("{code}: {n}")).collect();
            format!("{:<24} {}", class.name, ends.join(", "))
        })
        .collect();
    println!("{} inputs, exit codes:\n{}", cases.len(), table.join("\n"));
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {} inputs:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
