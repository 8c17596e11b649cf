//! Random damage to checkpoints and settings: no panic, bounded time, bounded memory.
//!
//! A few seconds with fixed seeds; `LAPSEGAN_FUZZ_SECONDS=300` goes on for so long per reader, with other seeds every
//! time round. Inputs that led to a new kind of error become seeds; `LAPSEGAN_FUZZ_KEEP=1` keeps the short ones in
//! `fixtures/published/fuzz`, which are replayed every time.

use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use lapsegan::import::published::{Published, check_pickle, infer};
use lapsegan::training::Preset;
use lapsegan_core::cli::record::peak_memory_mib;
use lapsegan_core::cli::settings::{self, NoFlags};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fixture;
use super::pieces::{container, number, pickle, storage, tensor, text, unzip, zip};

/// Inputs per reader in a plain test run.
const ROUNDS: usize = 3_000;
/// Longest time for one input; seconds even on a busy machine mean a loop.
const MOST_TIME: Duration = Duration::from_secs(20);
/// Most memory above that at the start.
const MOST_MIB: u64 = 400;
/// Most seeds, the most files kept of a reader, and the longest kept one.
const MOST_SEEDS: usize = 400;
const MOST_KEPT: usize = 40;
const MOST_KEPT_BYTES: usize = 1200;

/// A reader under test: returns what it said, `ok` where it was content.
type Reader<'a> = &'a dyn Fn(&[u8]) -> String;

/// Runs a test of this file again in a process of its own, whose peak memory is that of the fuzzing.
fn alone(test: &str, fuzz: impl FnOnce()) {
    if std::env::var("LAPSEGAN_FUZZ_ALONE").as_deref() == Ok(test) {
        let before = peak_memory_mib();
        fuzz();
        let grown = peak_memory_mib() - before;
        assert!(grown <= MOST_MIB, "{test}: {grown} MiB of memory");
        return;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("published::fuzz::{test}"), "--test-threads=1", "--nocapture"])
        .env("LAPSEGAN_FUZZ_ALONE", test)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
    if std::env::var_os("LAPSEGAN_FUZZ_SECONDS").is_some() {
        eprintln!("{said}");
    }
}

/// Feeds a reader with damaged seeds.
fn fuzz(reader: &str, mut seeds: Vec<Vec<u8>>, words: &[&[u8]], read: Reader) {
    let folder = fixture("fuzz");
    let keep = std::env::var_os("LAPSEGAN_FUZZ_KEEP").is_some();
    let mut kept: Vec<PathBuf> =
        fs::read_dir(&folder).into_iter().flatten().map(|e| e.unwrap().path()).collect();
    kept.sort();
    let own = |path: &&PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(reader));
    seeds.extend(kept.iter().filter(own).map(|path| fs::read(path).unwrap()));
    let seconds = std::env::var("LAPSEGAN_FUZZ_SECONDS").ok().map(|s| s.parse::<f64>().expect("a number"));
    let start = Instant::now();
    // A long run starts where no earlier one did.
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut rng = ChaCha8Rng::seed_from_u64(if seconds.is_some() { clock } else { 1 });
    let mut said: HashMap<String, usize> = HashMap::new();
    let mut round = 0;
    loop {
        let input = if round < seeds.len() { seeds[round].clone() } else { damage(&seeds, words, &mut rng) };
        let began = Instant::now();
        let answer = catch_unwind(AssertUnwindSafe(|| read(&input))).unwrap_or_else(|_| {
            let path = std::env::temp_dir().join(format!("{reader}-panic.bin"));
            fs::write(&path, &input).unwrap();
            panic!("{reader}: panic on {} bytes, kept in {}", input.len(), path.display());
        });
        assert!(began.elapsed() < MOST_TIME, "{reader}: {:?} for {} bytes", began.elapsed(), input.len());
        let class = class(&answer);
        let shortest = said.get(&class).copied();
        if shortest.is_none_or(|n| input.len() < n) && (shortest.is_some() || said.len() < MOST_SEEDS) {
            if keep && input.len() <= MOST_KEPT_BYTES && round >= seeds.len() {
                fs::create_dir_all(&folder).unwrap();
                let path = folder.join(format!("{reader}-{:08x}.bin", crc32fast::hash(class.as_bytes())));
                let files = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name());
                let count = files.filter(|name| name.to_string_lossy().starts_with(reader)).count();
                if path.exists() || count < MOST_KEPT {
                    fs::write(path, &input).unwrap();
                }
            }
            if shortest.is_none() && round >= seeds.len() {
                seeds.push(input.clone());
            }
            said.insert(class, input.len());
        }
        round += 1;
        let done = seconds.map_or(round >= ROUNDS, |s| start.elapsed().as_secs_f64() > s);
        if done && round >= seeds.len() {
            break;
        }
    }
    eprintln!(
        "{reader}: {round} inputs, {} kinds of answer, {:.0} s",
        said.len(),
        start.elapsed().as_secs_f64()
    );
}

/// Returns an answer without numbers, names and quotations, so that equal problems at different places are one class.
fn class(answer: &str) -> String {
    let mut class = String::new();
    for (i, part) in answer.split(['`', '"', '\'']).enumerate() {
        class.push_str(if i % 2 == 0 { part } else { "_" });
    }
    let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
    class = class.chars().filter(|c| !c.is_control()).map(digits).take(90).collect();
    while class.contains("00") {
        class = class.replace("00", "0");
    }
    class
}

/// Returns a seed with some damage.
fn damage(seeds: &[Vec<u8>], words: &[&[u8]], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..=6) {
        let at = rng.random_range(0..=bytes.len());
        let length = rng.random_range(0..=(bytes.len() - at).min(40));
        match rng.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = rng.random(),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let part = bytes[at..at + length].to_vec();
                let to = rng.random_range(0..=bytes.len());
                bytes.splice(to..to, part.repeat(rng.random_range(1..4)));
            }
            4 => {
                let extreme = [0, 1, 0x7f, 0xff, 0x8000, i64::MAX, i64::MIN, -1][rng.random_range(0..8)];
                let width = [1, 2, 4, 8][rng.random_range(0..4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&extreme.to_le_bytes()[..width]);
            }
            5 => {
                let other = &seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                let to = from + rng.random_range(0..=(other.len() - from).min(200));
                bytes.splice(at..at + length, other[from..to].iter().copied());
            }
            6 if rng.random_range(0..4) == 0 => bytes.truncate(at),
            _ => {
                let word = words[rng.random_range(0..words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes.truncate(1 << 20);
    bytes
}

fn pickles() -> Vec<Vec<u8>> {
    let tensors = [&b"}("[..], &text("a"), &tensor(&storage("0", 4), 0, &[2, 2], &[2, 1]), b"u."].concat();
    let state = [
        b"ccollections\nOrderedDict\n)Rq\x00(",
        &text("module.constant_input_1.input")[..],
        &tensor(&storage("1", 16), 0, &[1, 1, 4, 4], &[16, 16, 4, 1]),
        b"u}",
        &text("_metadata"),
        b"}sb",
    ]
    .concat();
    let checkpoint = [
        b"}(",
        &text("generator_ema")[..],
        &state,
        &text("generator"),
        b"h\x00",
        &text("discriminator"),
        b"h\x00",
        &text("generator_optimizer"),
        b"}(",
        &text("state"),
        b"}",
        &text("param_groups"),
        b"]}",
        &text("params"),
        b"](K\x00K\x01esa",
        b"uu.",
    ]
    .concat();
    let plain = [
        b"(K\x01M\x01\x02J\x01\x00\x00\x00G\x3f\xf0\x00\x00\x00\x00\x00\x00\x88\x89N)\x85",
        &number(5)[..],
        b"t.",
    ];
    [tensors, checkpoint, plain.concat(), b"]q\x00(h\x00h\x00e.".to_vec()].map(|body| pickle(&body)).to_vec()
}

#[test]
fn damaged_pickles_are_refused_in_bounds() {
    alone("damaged_pickles_are_refused_in_bounds", || {
        let mut seeds = pickles();
        let mut storages = vec![16, 64];
        for name in ["published.pt", "variant.pt"] {
            let entries = unzip(&fs::read(fixture(name)).unwrap());
            let data = entries.iter().find(|(name, _)| name.ends_with("/data.pkl")).unwrap().1;
            seeds.push(data.clone());
            let sizes = (0..).map_while(|i| {
                entries.get(&format!("{}/data/{i}", name.trim_end_matches(".pt"))).map(|e| e.len() as u64)
            });
            if name == "published.pt" {
                storages = sizes.collect();
            }
        }
        // Every opcode, known or not.
        let opcodes: Vec<[u8; 1]> = (0..=255).map(|b| [b]).collect();
        let mut words: Vec<&[u8]> = opcodes.iter().map(<[u8; 1]>::as_slice).collect();
        words.extend([
            &b"cos\nsystem\n"[..],
            b"ccollections\nOrderedDict\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n",
        ]);
        words.extend([&b"((((("[..], b"]]]]]", b"q\x00h\x00", b"\x85\x85\x85", b"}}sb"]);
        fuzz("pickle", seeds, &words, &|bytes| {
            let parts = check_pickle(bytes, &storages, "fuzz");
            match parts.and_then(|parts| infer(&parts, "fuzz")) {
                Ok(_) => "ok".into(),
                Err(error) => error.to_string(),
            }
        });
    });
}

#[test]
fn damaged_containers_are_refused_in_bounds() {
    alone("damaged_containers_are_refused_in_bounds", || {
        let mut seeds: Vec<Vec<u8>> = pickles().iter().map(|p| zip(&container(p, &[16, 64]))).collect();
        let published = fs::read(fixture("published.pt")).unwrap();
        // The end of a real file behind the start of a real file: zip64 records and padding.
        let tail = published.len() - 3000;
        seeds.push([&published[..200], &published[tail..]].concat());
        seeds.push(published);
        let words: [&[u8]; 6] =
            [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"archive/data.pkl"];
        fuzz("container", seeds, &words, &|bytes| {
            let read = || {
                let mut published = Published::read(Cursor::new(bytes), "fuzz".into())?;
                infer(&published.parts, "fuzz")?;
                let networks = [&published.parts.generator, &published.parts.discriminator];
                let tensors: Vec<_> = networks.iter().flat_map(|n| n.tensors.clone()).collect();
                for (_, tensor) in tensors {
                    let _ = published.tensor(&tensor)?;
                }
                Ok::<_, lapsegan::import::published::TorchFileError>(())
            };
            read().map_or_else(|error| error.to_string(), |()| "ok".into())
        });
    });
}

#[test]
fn damaged_settings_are_refused_in_bounds() {
    alone("damaged_settings_are_refused_in_bounds", || {
        let base = Preset::Tiny.config(2, 3, 32);
        let whole = toml::to_string_pretty(&base).unwrap().into_bytes();
        let seeds = vec![
            whole,
            b"[training]\nbatch = 4\nkimg = 1e3\n[model.generator]\nchannels = [8, 8]\n".to_vec(),
            b"model = { generator = { channels = [16, 16, 16], latent = 8 } }\ntraining.r1_gamma = inf"
                .to_vec(),
            b"\"training\".batch = 0x10\n'''a\nb''' = \"\"\"c\"\"\"\n[[a.b]]\nc = 2020-01-01T00:00:00Z"
                .to_vec(),
        ];
        let words: [&[u8]; 20] = [
            b"[",
            b"]",
            b"{",
            b"}",
            b".",
            b"=",
            b"\n",
            b"\"",
            b"'''",
            b"a.a.a.a.a.a.a.a.",
            b"[[[[[[[[",
            b"{a={a={a=",
            b"1e999",
            b"-9223372036854775808",
            b"nan",
            b"\\u0000",
            b"\xff",
            b"training",
            b"channels",
            b"#",
        ];
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("fuzz.toml");
        fuzz("settings", seeds, &words, &|bytes| {
            fs::write(&file, bytes).unwrap();
            // The first line as an override too.
            let line = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
            let told = |set: &[String], path| match settings::resolve(&base, path, set, &NoFlags {}) {
                Ok(config) => config.validate().map_or_else(|e| e.to_string(), |()| "ok".into()),
                Err(error) => error.to_string(),
            };
            let answer = told(&[], Some(file.as_path()));
            let place = file.display().to_string();
            format!("{} {}", answer.replace(&place, ""), &class(&told(&[line], None)))
        });
        for depth in [100, 10_000, 60_000] {
            for text in [
                "a.".repeat(depth) + "a = 1",
                "a = ".to_owned() + &"[".repeat(depth),
                "[a]\na = ".to_owned() + &"{a=".repeat(depth),
            ] {
                fs::write(&file, &text).unwrap();
                assert!(settings::resolve(&base, Some(&file), &[], &NoFlags {}).is_err());
                assert!(settings::resolve(&base, None, &[text], &NoFlags {}).is_err());
            }
        }
    });
}
