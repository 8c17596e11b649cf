//! Why an output is not written, or not under its name.

use std::path::PathBuf;

use super::{Advice, Exit};

/// Why an output is not written, or not under its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// A path at which nothing can be written.
    #[error("{path}: {found}", path = path.display())]
    Place {
        /// The output.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
    },
    /// A symbolic link that leads nowhere, or in circles.
    #[error("{path} is a symbolic link to {to}, which leads to nothing that is there", path = path.display(), to = to.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// What it names.
        to: PathBuf,
    },
    /// Something that none of these programs wrote, or another kind of output.
    #[error("{path} was not written by this command and is not replaced: {found}", path = path.display())]
    Foreign {
        /// The output.
        path: PathBuf,
        /// What it is, and what was expected.
        found: String,
    },
    /// An output of ours that holds something else too.
    #[error("{path} holds {found}, which these programs did not write: it is not replaced", path = path.display())]
    Holds {
        /// The output.
        path: PathBuf,
        /// The first thing in it that is not ours.
        found: String,
    },
    /// Another run is writing the output.
    #[error("{path} is being written by another run, which holds {lock}", path = path.display(), lock = lock.display())]
    Busy {
        /// The output.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The output is finished, but could not get its name.
    #[error("{path}: {problem}; the finished output is kept as {kept}", path = path.display(), kept = kept.display())]
    Kept {
        /// The output.
        path: PathBuf,
        /// Where it is instead.
        kept: PathBuf,
        /// Why it has not its name.
        problem: String,
        /// Exit code of the problem.
        exit: Exit,
    },
}

impl Advice for OutputError {
    fn exit(&self) -> Exit {
        match self {
            Self::Place { .. } => Exit::Usage,
            Self::Kept { exit, .. } => *exit,
            _ => Exit::OutputExists,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Place { .. } => "choose another name".into(),
            Self::Link { .. } => "remove the link, or make the folder that it names".into(),
            Self::Foreign { .. } => "choose another name, or remove it yourself".into(),
            Self::Holds { .. } => "move that elsewhere, or choose another name".into(),
            Self::Busy { .. } => "wait for the other run, or choose another output".into(),
            Self::Kept { kept, .. } => format!("rename {} yourself", kept.display()),
        })
    }
}
