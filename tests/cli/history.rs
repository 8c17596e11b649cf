//! What a generator has seen follows its weights and its recordings, through the programs and under other names.

use std::fs;
use std::path::{Path, PathBuf};

use lapsegan::training::checkpoint;
use lapsegan_core::plate::{Plate, Split};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::drawings::Drawing;
use crate::support::programs::{check_refused, result, run_in, stderr};
use crate::support::root;

/// A folder in which programs run.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command line that must succeed.
    fn run(&self, line: &str) -> Value {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap();
        result(&run_in(self.0.path(), program, &words.collect::<Vec<_>>()))
    }

    /// Runs the benchmark on two plates, which must be refused.
    fn refused(&self, real: &str, synthetic: &str, words: &[&str]) {
        let line = benchmark(real, synthetic, "refused");
        let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        check_refused(&run_in(self.0.path(), "segment-benchmark", &arguments), 65, words);
        assert!(!self.path("refused").exists());
    }

    /// Prepares a recording of five positions under a name.
    fn prepare(&self, recording: &Path, output: &str, seed: u32) {
        let at = recording.display();
        self.run(&format!(
            "prepare --channel brightfield={at}/brightfield --channel gfp={at}/gfp --labels cells={at}/cells \
             --output {output} --seed {seed} -q"
        ));
    }

    /// Trains for a moment.
    fn train(&self, data: &str, output: &str, more: &str) -> Value {
        self.run(&format!(
            "train --data {data} --output {output} --kimg 0.008 --device cpu -q {SMALL} {more}"
        ))
    }

    fn generate(&self, checkpoint: &str, output: &str) {
        self.run(&format!("generate --checkpoint {checkpoint} --output {output} --count 4 --device cpu -q"));
    }
}

const SMALL: &str = "--set model.generator.channels=[8,8,8,8] --set model.discriminator.encoder=[8,8,8,8] \
    --set model.discriminator.decoder=[[16,8],[16,8],[16,8]] --set model.generator.latent=8";

fn benchmark(real: &str, synthetic: &str, output: &str) -> String {
    format!(
        "segment-benchmark run --real {real} --synthetic {synthetic} --output {output} --steps 1 --batch 2 \
         --real-sequences 1 --device cpu"
    )
}

/// Copies the folders of a recording with its positions under other names.
fn rename_positions(from: &Path, to: &Path, name: impl Fn(&str) -> String) {
    for part in ["brightfield", "gfp", "cells"] {
        for position in fs::read_dir(from.join(part)).unwrap() {
            let position = position.unwrap();
            let folder = to.join(part).join(name(&position.file_name().to_string_lossy()));
            fs::create_dir_all(&folder).unwrap();
            for frame in fs::read_dir(position.path()).unwrap() {
                let frame = frame.unwrap();
                fs::copy(frame.path(), folder.join(frame.file_name())).unwrap();
            }
        }
    }
}

/// Changes the side file of a checkpoint to that of an earlier format.
fn as_format(format: u32, side: &Path, change: impl Fn(&mut Value)) {
    let mut old: Value = serde_json::from_slice(&fs::read(side).unwrap()).unwrap();
    old["format"] = json!(format);
    for field in ["tensors", "manifest_sha256"] {
        old.as_object_mut().unwrap().remove(field);
    }
    change(&mut old);
    fs::write(side, old.to_string()).unwrap();
}

fn has(list: &Value, words: &str) -> bool {
    list.as_array().unwrap().iter().any(|sentence| sentence.as_str().unwrap().contains(words))
}

#[test]
fn neither_other_weights_nor_other_names_hide_what_was_seen() {
    let bench = Bench::new();
    let recording = root().join("test-data/recording");
    // The two seeds deal the positions otherwise: position-003 is trained on in one and held out in the other.
    bench.prepare(&recording, "a", 0);
    bench.prepare(&recording, "b", 1);
    let [a, b] = ["a", "b"].map(|name| Plate::open(&bench.path(name)).unwrap());
    let names = |plate: &Plate, split| plate.groups(&[split]).into_iter().map(|g| g.name).collect::<Vec<_>>();
    assert!(names(&a, Split::Train).contains(&"position-003".into()));
    assert!(names(&b, Split::Test).contains(&"position-003".into()));

    bench.train("a", "run-a", "--export a.safetensors");
    bench.generate("run-a", "from-a");
    bench.refused("b", "from-a", &["position-003"]);
    // Through --init, and through two of them.
    bench.train("b", "run-b", "--init a.safetensors --export b.safetensors");
    bench.generate("run-b", "from-b");
    bench.refused("b", "from-b", &["position-003"]);
    bench.train("b", "run-c", "--init b.safetensors");
    bench.generate("run-c", "from-c");
    bench.refused("b", "from-c", &["position-003"]);

    // Positions under other names, and in another case.
    for (folder, name) in [("renamed", "xy-"), ("case", "Position-")] {
        let copy = bench.path(folder);
        rename_positions(&recording, &copy, |position| position.replace("position-", name));
        let plate = format!("{folder}.ome.zarr");
        bench.prepare(&copy, &plate, 1);
        bench.refused(&plate, "from-a", &[&format!("{name}003, trained on as position-003")]);
    }
    // The real plate, with its own test part, in the place of a synthetic one.
    bench.refused("b", "b", &["The plate given as synthetic shows frames of", "position-003"]);

    // Weights of which nobody knows what they have seen.
    as_format(2, &bench.path("a.json"), |side| side["data"]["trained_on"] = json!([]));
    let trained = bench.train("b", "run-u", "--init a.safetensors");
    assert!(has(&trained["warnings"], "leakage cannot be ruled out"), "{trained}");
    bench.generate("run-u", "from-u");
    assert!(Plate::open(&bench.path("from-u")).unwrap().meta.history_unknown);
    let compared = bench.run(&benchmark("b", "from-u", "compared"));
    assert!(has(&compared["notes"], "leakage cannot be ruled out"), "{compared}");
    let page = fs::read_to_string(bench.path("compared/report.html")).unwrap();
    assert!(page.contains("leakage cannot be ruled out"));
}

#[test]
fn histories_of_before_are_not_taken_for_whole() {
    let bench = Bench::new();
    Drawing { splits: [8, 0, 4], ..Drawing::real() }.write(&bench.path("data"));
    bench.train("data", "run", "--export whole.safetensors");
    let whole = checkpoint::read(&bench.path("whole.safetensors")).unwrap();
    assert!(whole.manifest.tells_whole_history());
    let side = bench.path("whole.json");
    let text = fs::read(&side).unwrap();
    let names = |side: &mut Value| {
        let groups = side["data"]["trained_on"].as_array_mut().unwrap();
        for group in groups {
            *group = group["name"].take();
        }
    };
    for (format, names_only) in [(1, true), (2, true), (2, false)] {
        fs::write(&side, &text).unwrap();
        as_format(format, &side, |side| {
            if names_only {
                names(side);
            }
        });
        let before = checkpoint::read(&bench.path("whole.safetensors")).unwrap();
        assert_eq!(before.manifest.format, format);
        assert!(!before.manifest.tells_whole_history());
        let output = format!("run-{format}-{names_only}");
        let trained = bench.train("data", &output, "--init whole.safetensors");
        assert!(has(&trained["warnings"], "whole.safetensors: not all that it was trained on is known"));
        let newest = checkpoint::newest(&bench.path(&output)).unwrap().unwrap();
        assert!(newest.manifest.data.history_unknown && !newest.manifest.tells_whole_history());
    }
}

#[test]
fn channels_in_another_order_and_few_sequences_are_warned_of_on_stderr_and_in_the_result() {
    let bench = Bench::new();
    let few = Drawing { splits: [4, 0, 4], ..Drawing::real() };
    few.write(&bench.path("data"));
    bench.train("data", "run", "");
    Drawing { channels: vec!["gfp", "phase"], ..few }.write(&bench.path("other"));
    let line = format!("--data other --output second --kimg 0 --device cpu --init run {SMALL}");
    let ended = run_in(bench.0.path(), "train", &line.split_whitespace().collect::<Vec<_>>());
    let trained = result(&ended);
    for words in [
        "4 training sequences only",
        "learned the channels phase, gfp, in this order; the data has gfp, phase",
    ] {
        assert!(has(&trained["warnings"], words) && stderr(&ended).contains(words), "{trained}");
    }
    // The record of the run keeps them.
    let record: Value = serde_json::from_slice(&fs::read(bench.path("second/run.json")).unwrap()).unwrap();
    assert_eq!(record["result"]["warnings"], trained["warnings"]);
}

#[test]
fn the_shipped_checkpoint_tells_what_it_has_seen_and_what_it_holds() {
    let path = root().join("test-data/phantom-tiny.safetensors");
    let shipped = checkpoint::read(&path).unwrap();
    let manifest = &shipped.manifest;
    assert_eq!((manifest.format, manifest.tensors.len()), (3, shipped.tensors.len()));
    assert!(manifest.tells_whole_history());
    assert_eq!(manifest.data.trained_on.len(), 192);
    assert_eq!(format!("{:x}", Sha256::digest(fs::read(path).unwrap())), manifest.tensors_sha256);
}

#[test]
fn a_run_that_goes_on_keeps_the_arithmetic_that_auto_chose() {
    let bench = Bench::new();
    Drawing { splits: [8, 0, 4], ..Drawing::real() }.write(&bench.path("data"));
    // One of the two is not what auto would choose on this machine.
    for precision in ["float32", "bfloat16"] {
        let set = format!("--allow-slow-bfloat16 --set model.precision={precision}");
        bench.train("data", precision, &set);
        let auto = "--allow-slow-bfloat16 --set model.precision=auto --kimg 0.016 --resume";
        let line = format!("train --data data --output {precision} --device cpu -q {SMALL} {auto}");
        assert_eq!(bench.run(&line)["kimg"], 0.016);
        let record: Value =
            serde_json::from_slice(&fs::read(bench.path(precision).join("run.json")).unwrap()).unwrap();
        assert_eq!(record["config"]["model"]["precision"], precision);
    }
    // What the hint says where memory runs out works.
    let less =
        "--resume --allow-slow-bfloat16 --set training.micro_batch=4 --set model.precision=auto --kimg 0.024";
    let resumed = bench.run(&format!("train --data data --output float32 --device cpu -q {SMALL} {less}"));
    assert!(resumed["kimg"] == 0.024 && has(&resumed["warnings"], "training.micro_batch was 0 and is 4"));
    bench.train("data", "new", "--set model.precision=auto");
    let newest = checkpoint::newest(&bench.path("new")).unwrap().unwrap();
    assert_ne!(newest.manifest.config.model.precision, lapsegan::model::Precision::Auto);
}
