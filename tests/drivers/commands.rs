//! All commands that write something, with inputs of their own that are small enough for hundreds of runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::drawings::Drawing;
use crate::support::programs::{path, succeed};
use crate::support::root;

/// A network that trains in a blink.
const SMALL: [&str; 8] = [
    "--set",
    "training.batch=4",
    "--set",
    "model.generator.channels=[8,8,8,8]",
    "--set",
    "model.discriminator.encoder=[4,8,8,8]",
    "--set",
    "model.discriminator.decoder=[[12,8],[12,8],[12,4]]",
];

/// Commands whose output is a file.
const FILES: [&str; 7] =
    ["score", "benchmark score", "ceiling", "quality", "features", "distances", "import"];

/// A command that writes something.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Its name, for messages.
    pub(super) name: &'static str,
    /// The program.
    pub(super) program: &'static str,
    /// All arguments but outputs.
    pub(super) arguments: Vec<String>,
    /// What it reads.
    pub(super) inputs: Vec<PathBuf>,
    /// Flags of its outputs with the end of a fitting name; the first one is required.
    pub(super) outputs: Vec<(&'static str, &'static str)>,
}

/// All commands and the inputs they share.
pub(super) struct Commands {
    /// Holds the folder `in` with the inputs, and is free otherwise.
    pub(super) dir: tempfile::TempDir,
    /// The commands.
    pub(super) cases: Vec<Case>,
}

impl Case {
    /// Returns the command with another value for a flag that it has.
    pub(super) fn with(&self, flag: &str, value: &str) -> Self {
        let mut case = self.clone();
        let at = case.arguments.iter().position(|word| word == flag).unwrap();
        value.clone_into(&mut case.arguments[at + 1]);
        case
    }

    /// Returns a command line with the first output at `output`.
    pub(super) fn command(&self, output: &Path) -> Command {
        let mut command = Command::new(path(self.program));
        command.args(self.line(output));
        command
    }

    /// Returns the arguments with the first output at `output`.
    pub(super) fn line(&self, output: &Path) -> Vec<String> {
        let output = [self.outputs[0].0.to_owned(), text(output)];
        self.arguments.iter().cloned().chain(output).collect()
    }

    /// Runs the command with its first output at `output`.
    pub(super) fn run(&self, output: &Path, more: &[&str]) -> Output {
        self.command(output).args(more).output().unwrap()
    }

    /// Returns whether the output of a flag is a folder.
    pub(super) fn is_folder(&self, flag: &str) -> bool {
        match flag {
            "--output" => !FILES.contains(&self.name),
            flag => flag == "--tiff",
        }
    }
}

impl Commands {
    /// Makes the inputs, with all programs.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("in").join(name);
        fs::create_dir(dir.path().join("in")).unwrap();
        let [real, synthetic, run] = ["real.ome.zarr", "synthetic.ome.zarr", "run"].map(at);
        Drawing::real().write(&real);
        Drawing::synthetic().write(&synthetic);
        for channel in ["brightfield", "gfp", "cells"] {
            copy(&root().join("test-data/recording").join(channel), &at("recording").join(channel));
        }
        fs::copy(root().join("tests/fixtures/published/published.pt"), at("published.pt")).unwrap();
        fs::write(at("config.toml"), "positions = 3\n").unwrap();

        let with = |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.to_owned()).collect() };
        let paths = |flag: &str, path: &Path| [flag.to_owned(), text(path)];
        let cpu = ["--device", "cpu", "--threads", "1", "-q"];
        let train: Vec<String> =
            [&SMALL[..], &cpu, &["--kimg", "0"]].concat().into_iter().map(str::to_owned).collect();
        let first: Vec<String> = [&train[..], &paths("--data", &real), &paths("--output", &run)].concat();
        succeed("train", &first.iter().map(String::as_str).collect::<Vec<_>>());
        let checkpoint = run.join("checkpoints/kimg_000000.000.safetensors");

        let generate =
            [&paths("--checkpoint", &run)[..], &with(&["--count", "4", "--batch", "2"]), &with(&cpu)]
                .concat();
        let plates = [paths("--real", &real), paths("--synthetic", &synthetic)].concat();
        let compared = [&plates[..], &with(&["--count", "4", "--set", "draws=2", "-q"])].concat();
        let benchmark = [
            &with(&["run"])[..],
            &plates,
            &with(&["--steps", "2", "--batch", "2", "--real-sequences", "2"]),
            &with(&cpu),
        ]
        .concat();
        for i in 1..=2 {
            for (program, line, output) in [
                ("generate", &generate, at(&format!("part-{i}"))),
                ("segment-benchmark", &benchmark, at(&format!("cells-{i}"))),
            ] {
                let line =
                    [&line[..], &paths("--output", &output), &with(&["--shard", &format!("{i}/2")])].concat();
                succeed(program, &line.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
        let vectors = at("vectors.safetensors");
        let [plate, output] = [text(&real), text(&vectors)];
        succeed(
            "segment-benchmark",
            &[&["features", &plate, "--channel", "gfp", "--output", &output][..], &cpu].concat(),
        );
        let scored = [
            paths("--truth", &real),
            paths("--prediction", &real),
            with(&["--label", "cells"]).try_into().unwrap(),
        ]
        .concat();
        let recording = at("recording");
        let channels = ["brightfield", "gfp"]
            .map(|name| (recording.join(name), format!("{name}={}", text(&recording.join(name)))));
        let cells = format!("cells={}", text(&recording.join("cells")));
        let case = |name,
                    program,
                    arguments: Vec<String>,
                    inputs: &[&PathBuf],
                    outputs: &[(&'static str, &'static str)]| Case {
            name,
            program,
            arguments,
            inputs: inputs.iter().map(|&path| path.clone()).collect(),
            outputs: outputs.to_vec(),
        };
        let plate = [("--output", ".ome.zarr"), ("--digest", ".json")];
        let cases = vec![
            case(
                "prepare",
                "prepare",
                with(&["--channel", &channels[0].1, "--channel", &channels[1].1, "--labels", &cells, "-q"]),
                &[&channels[0].0, &channels[1].0, &recording.join("cells")],
                &plate,
            ),
            case(
                "phantom",
                "prepare",
                [
                    &with(&["phantom", "--frames-per-position", "5", "-q"])[..],
                    &paths("--config", &at("config.toml")),
                ]
                .concat(),
                &[&at("config.toml")],
                &[plate[0], ("--tiff", ""), plate[1]],
            ),
            case("generate", "generate", generate, &[&run], &plate),
            case(
                "interpolate",
                "generate",
                [
                    &with(&["interpolate", "--sequences", "0,1", "--steps", "2"])[..],
                    &paths("--checkpoint", &run),
                    &with(&cpu),
                ]
                .concat(),
                &[&run],
                &plate,
            ),
            case(
                "mix",
                "generate",
                [
                    &with(&["mix", "--rows", "0", "--columns", "1", "--layers", "0"])[..],
                    &paths("--checkpoint", &run),
                    &with(&cpu),
                ]
                .concat(),
                &[&run],
                &plate,
            ),
            case(
                "sweep",
                "generate",
                [
                    &with(&["sweep", "--psi", "0.5,1", "--sequences", "0-1"])[..],
                    &paths("--checkpoint", &run),
                    &paths("--real", &real),
                    &with(&cpu),
                ]
                .concat(),
                &[&run, &real],
                &plate,
            ),
            case(
                "project",
                "generate",
                [
                    &with(&["project", "--sequences", "0,1", "--steps", "2"])[..],
                    &paths("--checkpoint", &run),
                    &paths("--real", &real),
                    &with(&cpu),
                ]
                .concat(),
                &[&run, &real],
                &plate,
            ),
            case(
                "merge",
                "generate",
                [with(&["merge", "-q"]), vec![text(&at("part-1")), text(&at("part-2"))]].concat(),
                &[&at("part-1"), &at("part-2")],
                &plate,
            ),
            case("evaluate", "evaluate", compared, &[&real, &synthetic], &[("--output", "")]),
            case(
                "score",
                "evaluate",
                [&with(&["score", "-q"])[..], &scored].concat(),
                &[&real],
                &[("--output", ".json")],
            ),
            case("benchmark", "segment-benchmark", benchmark, &[&real, &synthetic], &[("--output", "")]),
            case(
                "gather",
                "segment-benchmark",
                [with(&["gather", "-q"]), vec![text(&at("cells-1")), text(&at("cells-2"))]].concat(),
                &[&at("cells-1"), &at("cells-2")],
                &[("--output", "")],
            ),
            case(
                "benchmark score",
                "segment-benchmark",
                [&with(&["score", "-q"])[..], &scored].concat(),
                &[&real],
                &[("--output", ".json")],
            ),
            case(
                "ceiling",
                "segment-benchmark",
                with(&["ceiling", &text(&real), "--label", "cells", "-q"]),
                &[&real],
                &[("--output", ".json")],
            ),
            case(
                "quality",
                "segment-benchmark",
                [
                    &with(&["quality", &text(&synthetic), "--set", "train.steps=2"])[..],
                    &paths("--real", &real),
                    &cpu.map(str::to_owned),
                ]
                .concat(),
                &[&synthetic, &real],
                &[("--output", ".json")],
            ),
            case(
                "features",
                "segment-benchmark",
                [with(&["features", &text(&real), "--channel", "gfp"]), cpu.map(str::to_owned).to_vec()]
                    .concat(),
                &[&real],
                &[("--output", ".safetensors")],
            ),
            case(
                "distances",
                "evaluate",
                [&with(&["features", "-q"])[..], &paths("--real", &vectors), &paths("--synthetic", &vectors)]
                    .concat(),
                &[&vectors],
                &[("--output", ".json")],
            ),
            case(
                "train",
                "train",
                [&train[..], &paths("--data", &real), &paths("--init", &checkpoint)].concat(),
                &[&real, &checkpoint],
                &[("--output", ""), ("--export", ".safetensors")],
            ),
            case(
                "import",
                "train",
                [&with(&["import", "--threads", "1", "-q"])[..], &paths("--input", &at("published.pt"))]
                    .concat(),
                &[&at("published.pt")],
                &[("--output", ".safetensors")],
            ),
        ];
        Self { dir, cases }
    }

    /// Returns a path beside the inputs.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
