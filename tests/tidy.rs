//! Rules of the house that no compiler checks: who may use whom, documentation, length, leftovers.

use std::fs;
use std::path::Path;

/// Longest file; one idea per file rarely needs more.
const MOST_LINES: usize = 450;

/// For each part of a package, the modules of ours that it may use. Modules of `lapsegan-core` are named by `core::`
/// where the package is `lapsegan`. The folder `cli` may use everything.
const MAY_USE: [(&str, &[&str]); 36] = [
    ("core/error", &[]),
    ("core/seed", &[]),
    ("core/json_diff", &[]),
    ("core/memory", &[]),
    ("core/side_file", &["error"]),
    ("core/stats", &["seed"]),
    ("core/output", &["error"]),
    ("core/plate", &["error", "seed", "output", "json_diff", "side_file"]),
    ("core/input", &["error", "memory", "side_file", "plate", "labels"]),
    ("core/prepare", &["error", "seed", "plate", "input", "labels", "report"]),
    ("core/labels", &["error", "plate"]),
    ("core/phantom", &["error", "seed", "plate", "input"]),
    ("core/scores", &["error", "plate", "input", "labels"]),
    ("core/check", &["error", "memory", "side_file", "plate"]),
    ("core/export", &["error", "plate", "input"]),
    ("core/report", &["error"]),
    ("core/features", &["error", "seed", "side_file", "stats"]),
    ("core/realism", &["error", "seed", "stats", "plate", "labels", "report"]),
    ("torch/handle", &[]),
    ("torch/operators", &[]),
    ("torch/transfer", &["handle"]),
    ("torch/driver", &[]),
    ("torch/graphs", &["operators", "panics", "transfer"]),
    ("torch/panics", &[]),
    ("torch/cuda", &["driver", "panics"]),
    ("torch/tensor_rng", &["core::seed"]),
    ("torch/model", &["core::error", "core::labels", "core::memory", "cuda", "handle", "transfer"]),
    ("torch/losses", &[]),
    ("torch/optim", &["handle", "transfer"]),
    (
        "torch/training",
        &[
            "core::error",
            "core::seed",
            "core::output",
            "core::json_diff",
            "core::side_file",
            "core::plate",
            "core::labels",
            "core::report",
            "tensor_rng",
            "transfer",
            "panics",
            "graphs",
            "model",
            "losses",
            "optim",
        ],
    ),
    (
        "torch/generation",
        &[
            "core::error",
            "core::seed",
            "core::side_file",
            "core::plate",
            "core::labels",
            "core::realism",
            "tensor_rng",
            "transfer",
            "graphs",
            "model",
            "optim",
            "training",
        ],
    ),
    (
        "torch/benchmark",
        &[
            "core::error",
            "core::memory",
            "core::seed",
            "core::output",
            "core::json_diff",
            "core::side_file",
            "core::stats",
            "core::plate",
            "core::input",
            "core::labels",
            "core::scores",
            "core::report",
            "transfer",
            "optim",
        ],
    ),
    ("torch/torch_file", &["core::error"]),
    ("torch/features", &["core::error", "core::seed", "core::plate", "tensor_rng", "torch_file", "transfer"]),
    ("torch/import", &["core::error", "model", "optim", "torch_file", "training"]),
    ("torch/cli", &["*"]),
];

/// Returns all Rust files below a folder with their text, paths relative to the root.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![crate::support::root().join(folder)];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name =
                    path.strip_prefix(crate::support::root()).unwrap_or(Path::new("")).display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    assert!(files.len() > 3, "no Rust files below {folder}");
    files
}

/// Returns the lines with their numbers, without items that are compiled for tests only.
fn shipped(text: &str) -> Vec<(usize, &str)> {
    let mut lines = Vec::new();
    // Inside of such an item: how many braces are open, and whether one was.
    let mut test: Option<(i64, bool)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if test.is_none() && line.trim_start().starts_with("#[cfg(test)]") {
            test = Some((0, false));
        }
        let Some((open, seen)) = &mut test else {
            lines.push((number, line));
            continue;
        };
        *open += line.matches('{').count() as i64 - line.matches('}').count() as i64;
        *seen |= line.contains('{');
        let ends_without_braces = !*seen && line.trim_end().ends_with(';');
        if (*seen && *open <= 0) || ends_without_braces {
            test = None;
        }
    }
    lines
}

#[test]
fn what_follows_a_test_helper_is_checked_too() {
    let text =
        "a\n#[cfg(test)]\nfn helper() {\n  {}\n}\nb\n#[cfg(test)]\nuse x;\nc\n#[cfg(test)]\nmod tests {\n}\n";
    let kept: Vec<&str> = shipped(text).into_iter().map(|(_, line)| line).collect();
    assert_eq!(kept, ["a", "b", "c"]);
}

/// Returns the modules of ours that a line of code names: `plate`, or `core::plate` from the other package.
fn used_modules(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let word =
        |rest: &str| -> String { rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    // What ends with an exclamation mark is a macro, which is not in a module.
    let own =
        code.split("crate::").skip(1).filter(|rest| !rest.starts_with(&format!("{}!", word(rest)))).map(word);
    let core = code.split("lapsegan_core::").skip(1).map(|rest| format!("core::{}", word(rest)));
    own.chain(core).collect()
}

#[test]
fn dependencies_point_one_way() {
    for (name, text) in rust_files("src") {
        let inside = name.trim_start_matches("src/");
        let Some((package, rest)) = inside.split_once('/') else { panic!("{name}: belongs into a package") };
        let part = rest.split(['/', '.']).next().unwrap_or_default();
        if ["bin", "lib", "build"].contains(&part) || (package, part) == ("core", "cli") {
            continue;
        }
        // Compiled for tests only.
        if text.starts_with("//! For tests:") {
            continue;
        }
        let key = format!("{package}/{part}");
        let Some((_, allowed)) = MAY_USE.iter().find(|(folder, _)| *folder == key) else {
            panic!("{name}: no rule in MAY_USE says what it may use");
        };
        for (number, line) in shipped(&text) {
            for used in used_modules(line) {
                assert!(
                    used == part || allowed.contains(&used.as_str()) || allowed.contains(&"*"),
                    "{name}:{number}: {part} may not use {used}, see MAY_USE in tests/tidy.rs"
                );
            }
        }
    }
}

#[test]
fn no_public_type_name_stands_twice_in_a_package() {
    for package in ["src/core", "src/torch"] {
        let mut places: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
        for (name, text) in rust_files(package) {
            for (number, line) in shipped(&text) {
                let kinds = ["pub struct ", "pub enum ", "pub trait ", "pub type "];
                let Some(rest) = kinds.iter().find_map(|kind| line.strip_prefix(kind)) else { continue };
                let word = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                places.entry(word.to_owned()).or_default().push(format!("{name}:{number}"));
            }
        }
        let twice: Vec<_> = places.into_iter().filter(|(_, places)| places.len() > 1).collect();
        assert!(twice.is_empty(), "names that stand twice: {twice:#?}");
    }
}

#[test]
fn programs_only_start() {
    let programs: Vec<_> = rust_files("src").into_iter().filter(|(name, _)| name.contains("/bin/")).collect();
    assert_eq!(programs.len(), 5);
    for (name, text) in programs {
        assert!(text.lines().count() <= 25, "{name}: what a program does belongs into cli/commands");
    }
}

#[test]
fn only_the_command_line_parses_prints_or_exits() {
    for (name, text) in rust_files("src") {
        if ["/cli/", "/bin/", "build.rs", "/tests.rs"].iter().any(|part| name.contains(part)) {
            continue;
        }
        for word in ["println!", "eprintln!", "process::exit", "clap::"] {
            let found = shipped(&text)
                .into_iter()
                .find(|(_, l)| !l.trim_start().starts_with("//") && l.contains(word));
            assert!(found.is_none(), "{name}: {word} belongs into a folder cli or bin: {found:?}");
        }
    }
}

#[test]
fn only_axes_knows_both_axis_orders() {
    for (name, text) in rust_files("src/core") {
        let permutes = shipped(&text).into_iter().any(|(_, line)| line.contains("permuted_axes"));
        assert!(!permutes || name.ends_with("plate/axes.rs"), "{name}: convert axes in plate/axes.rs");
    }
}

#[test]
fn only_transfer_copies_between_host_and_device() {
    for (name, text) in rust_files("src/torch") {
        let copies = shipped(&text).into_iter().any(|(_, line)| line.contains(".to_device"));
        assert!(
            !copies || name.ends_with("torch/transfer.rs"),
            "{name}: copy by transfer::{{upload, download}}"
        );
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
fn unsafe_code_is_confined_to_few_files() {
    for (name, text) in rust_files("src") {
        let allowed = [
            "src/torch/cli/device.rs",
            "src/torch/cuda/emulation.rs",
            "src/torch/cuda/module.rs",
            "src/torch/cuda/nvrtc.rs",
            "src/torch/driver.rs",
            "src/torch/graphs/cuda.rs",
            "src/torch/graphs/emulated.rs",
            "src/torch/model/convolution.rs",
            "src/torch/model/fused.rs",
            "src/torch/handle.rs",
            "src/torch/operators.rs",
            "src/torch/optim/lists.rs",
            "src/torch/transfer.rs",
        ]
        .contains(&name.as_str());
        let word = ["allow(uns", "afe_code)"].concat();
        assert!(allowed || !text.contains(&word), "{name}: unsafe code");
    }
}

#[test]
fn prepare_and_evaluate_need_no_libtorch() {
    for program in ["prepare", "evaluate"] {
        let path = crate::support::programs::path(program);
        let output = std::process::Command::new("readelf").arg("-d").arg(&path).output();
        if let Some(output) = output.ok().filter(|output| output.status.success()) {
            let text = String::from_utf8_lossy(&output.stdout);
            let needed: Vec<&str> = text.lines().filter(|l| l.contains("(NEEDED)")).collect();
            assert!(!needed.is_empty());
            let torch: Vec<_> = needed.iter().filter(|l| l.contains("torch") || l.contains("c10")).collect();
            assert!(torch.is_empty(), "{program} loads libtorch: {torch:?}");
        } else {
            // Without binutils: the name of the library would stand in the binary's string table.
            let (binary, word) = (fs::read(path).unwrap(), b"libtorch_cpu.so");
            assert!(!binary.windows(word.len()).any(|w| w == word), "{program} names libtorch_cpu.so");
        }
    }
}

#[test]
fn every_random_number_comes_from_a_named_stream() {
    let words = [
        "seed_from_u64",
        "from_seed",
        "from_rng",
        "from_os_rng",
        "from_entropy",
        "thread_rng",
        "rand::rng(",
        "rand::random",
        "manual_seed",
        "Tensor::rand",
        "rand_like",
        "randn_like",
        "randperm",
        "bernoulli",
        "multinomial",
        "dropout(",
        "normal_(",
        "uniform_(",
    ];
    let doors = ["src/core/seed.rs", "src/torch/tensor_rng.rs"];
    let mut used = 0;
    for (name, text) in rust_files("src") {
        for (number, line) in shipped(&text) {
            let code = line.split("//").next().unwrap_or_default();
            let found = words.iter().find(|word| code.contains(**word));
            if doors.contains(&name.as_str()) {
                used += usize::from(found.is_some());
            } else {
                assert!(found.is_none(), "{name}:{number}: draw by a stream, see src/core/seed.rs: {line}");
            }
        }
    }
    assert!(used >= 3, "the doors are not where this test looks for them");
}
