//! Feature vectors of plates, by the program that has the networks.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::progress::Progress;
use crate::cli::{Common, Failure};
use crate::error::Exit;
use crate::features::compare::FeatureProtocol;
use crate::output::run_program;
use crate::plate::{Plate, Split};

/// The program that links libtorch and makes vectors.
const PROGRAM: &str = "segment-benchmark";
/// What is computed where nothing is said.
const STANDARD: &str = "random";
/// Last lines of what the program said that are shown when it fails.
const LAST_LINES: usize = 12;

/// How vectors of plates are made.
#[derive(Args, Debug)]
pub(in super::super) struct Extraction {
    /// Of plates: network, size, range and layer; `segment-benchmark features --help` lists them
    #[arg(long, value_name = "NAME", default_value = STANDARD, help_heading = "Protocol")]
    pub(in super::super) protocol: String,

    /// Of plates: the file of the network's weights; random needs none
    #[arg(long, value_name = "FILE", help_heading = "Protocol")]
    pub(in super::super) weights: Option<PathBuf>,

    /// Of plates: at most so many sequences per set [default: as many as the smaller set has]
    #[arg(long, value_name = "N", help_heading = "Protocol")]
    pub(in super::super) count: Option<usize>,
}

/// Files of vectors.
pub(super) struct Vectors {
    /// Of the real plate.
    pub(super) real: PathBuf,
    /// Of the synthetic plate.
    pub(super) synthetic: PathBuf,
    /// Of the real training sequences, where the real ones are others.
    pub(super) training: Option<PathBuf>,
}

impl Extraction {
    /// Refuses flags that only plates need.
    pub(super) fn expect_unused(&self) -> Result<(), Failure> {
        let flag = [
            ("--protocol", self.protocol != STANDARD),
            ("--weights", self.weights.is_some()),
            ("--count", self.count.is_some()),
        ];
        match flag.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((flag, _)) => Err(Failure::usage(
                format!("{flag}: the inputs are files of vectors, which are made already"),
                "leave it out, or give plates",
            )),
        }
    }

    /// Returns the parts of the Inception score that are usual in the protocol.
    pub(in super::super) fn inception_splits(&self) -> usize {
        if self.protocol == "original-is" { 1 } else { FeatureProtocol::default().inception_splits }
    }

    /// Returns what would be made, when the program has checked protocol and weights.
    pub(in super::super) fn plan(
        &self,
        real: &Path,
        synthetic: &Path,
        common: &Common,
    ) -> Result<Value, Failure> {
        let (split, count, floor) = self.parts(real, synthetic)?;
        let mut command = self.command(&program()?, real, split, count, common);
        run(command.arg(real).args(["--dry-run", "--output", "features.safetensors"]))?;
        Ok(json!({
            "protocol": self.protocol, "weights": self.weights, "real_split": split, "sequences": count,
            "floor": floor,
        }))
    }

    /// Returns which real sequences are taken, how many of every set, and whether there are others for the floor.
    fn parts(&self, real: &Path, synthetic: &Path) -> Result<(&'static str, usize, bool), Failure> {
        let (real, synthetic) = (Plate::open(real)?, Plate::open(synthetic)?);
        let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(|s| real.indices(s).len());
        let (split, there) = match self.is_original() {
            true => ("train", train),
            false if val + test > 0 => ("held-out", val + test),
            false => ("all", real.wells.len()),
        };
        let count = there.min(synthetic.wells.len()).min(self.count.unwrap_or(usize::MAX));
        Ok((split, count, split == "held-out" && train > 0))
    }

    /// The published program compares with the sequences that it trained on.
    fn is_original(&self) -> bool {
        self.protocol.starts_with("original-")
    }

    /// Returns the call for one plate, without the plate and the output.
    fn command(&self, program: &Path, real: &Path, split: &str, count: usize, common: &Common) -> Command {
        let mut command = Command::new(program);
        command.args(["features", "--quiet", "--split", split, "--protocol", &self.protocol]);
        command.arg("--range-of").arg(real).args(["--count", &count.to_string()]);
        command.args(["--seed", &common.seed.to_string(), "--device", &common.device]);
        command.args(["--threads", &common.thread_count().to_string()]);
        if let Some(weights) = &self.weights {
            command.arg("--weights").arg(weights);
        }
        if self.is_original() && split == "train" {
            command.arg("--mirror");
        }
        command
    }

    /// Makes the vectors of both plates in a folder.
    pub(super) fn run(
        &self,
        real: &Path,
        synthetic: &Path,
        common: &Common,
        folder: &Path,
    ) -> Result<Vectors, Failure> {
        let (split, count, with_floor) = self.parts(real, synthetic)?;
        let channels = Plate::open(real)?.meta.channels;
        let names =
            ["real", "synthetic", "training"].map(|name| folder.join(name).with_extension("safetensors"));
        let mut calls = vec![(real, split, &names[0]), (synthetic, "all", &names[1])];
        if with_floor {
            calls.push((real, "train", &names[2]));
        }
        let program = program()?;
        let bar = Progress::new("features by segment-benchmark", calls.len() as u64, common.quiet);
        for (plate, split, output) in calls {
            let mut command = self.command(&program, real, split, count, common);
            command.arg(plate).arg("--output").arg(output);
            for channel in &channels {
                command.args(["--channel", &channel.name]);
            }
            run(&mut command)?;
            bar.step();
        }
        bar.finish();
        let [real, synthetic, training] = names;
        Ok(Vectors { real, synthetic, training: with_floor.then_some(training) })
    }
}

/// Returns the program: beside this one, or where programs are searched.
fn program() -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(PROGRAM)));
    let searched = std::env::var_os("PATH").unwrap_or_default();
    let mut all =
        beside.into_iter().chain(std::env::split_paths(&searched).map(|folder| folder.join(PROGRAM)));
    all.find(|path| path.is_file()).ok_or_else(|| Failure {
        message: format!(
            "{PROGRAM}, which makes feature vectors, is neither beside this program nor in PATH"
        ),
        hint: Some(
            "install all five programs (make build), or give files of vectors that were made elsewhere"
                .into(),
        ),
        exit: Exit::InputMissing,
        findings: None,
    })
}

/// Runs the program; what it says when it fails becomes the failure, with its exit code.
fn run(command: &mut Command) -> Result<(), Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = run_program(command)
        .map_err(|e| Failure::usage(format!("{name}: cannot be started: {e}"), "run it with --version"))?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    let known = [Exit::Usage, Exit::BadInput, Exit::InputMissing, Exit::NoDevice, Exit::GpuMemory];
    let exit =
        known.into_iter().find(|exit| ended.status.code() == Some(*exit as i32)).unwrap_or(Exit::Failed);
    Err(Failure {
        message: format!("{PROGRAM} features ended with {}:\n{last:.2000}", ended.status),
        hint: None,
        exit,
        findings: None,
    })
}
