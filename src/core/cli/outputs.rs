//! The inputs and outputs of a command, looked at before any work: what is read is never written over.

use std::path::{Path, PathBuf};

use super::args::Common;
use super::failure::Failure;
use crate::error::DataError;
use crate::output::inputs::{Relation, relation};
use crate::output::{Lock, OutputKind, expect_free, expect_training, resolve};

/// All paths of a command, each with the flag that names it. `--config` is one of the inputs.
#[derive(Debug)]
pub struct Outputs {
    read: Vec<(String, PathBuf)>,
    written: Vec<Output>,
    overwrite: bool,
    makes_folders: bool,
    dry_run: bool,
}

#[derive(Debug)]
struct Output {
    flag: &'static str,
    path: PathBuf,
    kind: OutputKind,
    may: May,
}

/// What may have the name of an output already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// Nothing, or with `--overwrite` an output of the same kind.
    Replace,
    /// Nothing or an output of the same kind, without `--overwrite` too.
    ReplaceUnasked,
    /// A run folder in which a training goes on.
    GoOn,
}

impl Outputs {
    /// Starts with `--config`.
    pub fn new(common: &Common) -> Self {
        let read = common.config.iter().map(|path| ("--config".to_owned(), path.clone())).collect();
        Self {
            read,
            written: Vec::new(),
            overwrite: common.overwrite,
            makes_folders: false,
            dry_run: common.dry_run,
        }
    }

    /// Adds an input.
    #[must_use]
    pub fn reads(mut self, flag: impl Into<String>, path: &Path) -> Self {
        self.read.push((flag.into(), path.to_owned()));
        self
    }

    /// Adds a checkpoint that the command reads: a run folder, or two files of which one is named.
    #[must_use]
    pub fn reads_checkpoint(self, flag: &str, path: &Path) -> Self {
        let files = self.reads(flag, path);
        if path.is_dir() {
            return files;
        }
        files.reads(flag, &path.with_extension("safetensors")).reads(flag, &path.with_extension("json"))
    }

    /// Lets the folders of files be made, as those of folders are.
    #[must_use]
    pub fn making_folders(mut self) -> Self {
        self.makes_folders = true;
        self
    }

    /// Adds a folder or file that the command writes, where it was asked for.
    #[must_use]
    pub fn writes<'a>(self, flag: &'static str, path: impl Into<Option<&'a Path>>, kind: OutputKind) -> Self {
        self.with(flag, path.into(), kind, May::Replace)
    }

    /// Adds a file that the command reads where it is there, and goes on with.
    #[must_use]
    pub fn goes_on_with<'a>(
        self,
        flag: &'static str,
        path: impl Into<Option<&'a Path>>,
        kind: OutputKind,
    ) -> Self {
        self.with(flag, path.into(), kind, May::ReplaceUnasked)
    }

    /// Adds both files of a checkpoint; with `again`, those of the same run may be replaced without `--overwrite`.
    #[must_use]
    pub fn writes_checkpoint<'a>(
        self,
        flag: &'static str,
        path: impl Into<Option<&'a Path>>,
        again: bool,
    ) -> Self {
        let path = path.into();
        let side = path.map(|path| path.with_extension("json"));
        let may = if again { May::ReplaceUnasked } else { May::Replace };
        self.with(flag, path, OutputKind::Tensors, may).with(flag, side.as_deref(), OutputKind::Manifest, may)
    }

    /// Adds the run folder of a training that goes on there.
    #[must_use]
    pub fn goes_on_in(mut self, flag: &'static str, path: &Path) -> Self {
        // The configuration of a run may be given again when the run goes on.
        let own =
            |config: &Path| resolve(config).ok() == resolve(path).ok().map(|run| run.join("config.toml"));
        self.read.retain(|(name, input)| name != "--config" || !own(input));
        self.with(flag, Some(path), OutputKind::Training, May::GoOn)
    }

    fn with(mut self, flag: &'static str, path: Option<&Path>, kind: OutputKind, may: May) -> Self {
        self.written.extend(path.map(|path| Output { flag, path: path.to_owned(), kind, may }));
        self
    }

    /// Refuses a file whose folder is neither there nor made for another output.
    fn expect_folder(&self, output: &Output, target: &Path, all: &[PathBuf]) -> Result<(), DataError> {
        let folder = target.parent().unwrap_or(target);
        let is_made = || {
            let folders = self.written.iter().zip(all).filter(|(other, _)| other.kind.is_folder());
            folders.into_iter().any(|(_, beside)| beside.starts_with(folder))
        };
        if output.kind.is_folder() || self.makes_folders || folder.is_dir() || is_made() {
            return Ok(());
        }
        let expected = format!("the folder of {} {}", output.flag, output.path.display());
        Err(DataError::Missing { path: folder.to_owned(), expected })
    }

    /// Checks the outputs, locks them until the result is dropped, and removes what killed runs left beside them. A dry
    /// run checks only.
    ///
    /// # Errors
    /// As [`Outputs::check`] and [`Lock::take`].
    pub fn claim(self) -> Result<Vec<Lock>, Failure> {
        let targets = self.targets()?;
        if self.dry_run {
            return Ok(Vec::new());
        }
        let there = || targets.iter().filter(|target| target.exists()).count();
        let before = there();
        let locks = targets.iter().map(|target| Lock::take(target)).collect::<Result<_, _>>()?;
        if there() != before {
            // An old output was put back.
            self.check()?;
        }
        Ok(locks)
    }

    /// Checks that no output touches an input or another output, and that each may have its name. Writes nothing.
    ///
    /// # Errors
    /// Wrong usage for paths that touch; what [`expect_free`] says; [`DataError::Missing`] for the folder of a file.
    pub fn check(&self) -> Result<(), Failure> {
        self.targets().map(|_| ())
    }

    fn targets(&self) -> Result<Vec<PathBuf>, Failure> {
        let resolved: Vec<PathBuf> =
            self.written.iter().map(|output| resolve(&output.path)).collect::<Result<_, _>>()?;
        for (output, target) in self.written.iter().zip(&resolved) {
            for (flag, input) in &self.read {
                // What is wrong with an input is told by who reads it.
                let Some(found) = resolve(input).ok().and_then(|input| relation(target, &input)) else {
                    continue;
                };
                let message = touching(found, (output.flag, &output.path), (flag, input), "the input");
                return Err(Failure::usage(
                    message,
                    format!("choose another {}: inputs are never written over", output.flag),
                ));
            }
        }
        for (i, (output, target)) in self.written.iter().zip(&resolved).enumerate() {
            for (other, beside) in self.written.iter().zip(&resolved).take(i) {
                if let Some(found) = relation(target, beside) {
                    let message =
                        touching(found, (output.flag, &output.path), (other.flag, &other.path), "the output");
                    let hint = format!("write {} beside the other one", output.flag);
                    return Err(Failure::usage(message, hint));
                }
            }
        }
        for (output, target) in self.written.iter().zip(&resolved) {
            match output.may {
                May::GoOn => expect_training(&output.path)?,
                May::ReplaceUnasked => expect_free(&output.path, output.kind, true)?,
                May::Replace => expect_free(&output.path, output.kind, self.overwrite)?,
            }
            self.expect_folder(output, target, &resolved)?;
        }
        Ok(resolved)
    }
}

fn touching(found: Relation, output: (&str, &Path), other: (&str, &Path), what: &str) -> String {
    let ((flag, path), (other_flag, other_path)) = (output, other);
    let (path, other_path) = (path.display(), other_path.display());
    match found {
        Relation::Same => format!("{flag} {path}: is {what} {other_flag} {other_path}"),
        Relation::Inside => format!("{flag} {path}: lies in {what} {other_flag} {other_path}"),
        Relation::Around => format!("{flag} {path}: holds {what} {other_flag} {other_path}"),
    }
}
