//! What can be wrong with the choice of a label.

use super::{Advice, Exit};

/// Why there is no label to work on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// None has the name that was asked for.
    #[error("no labels named {wanted}, there {}", listed(there))]
    Unknown {
        /// The name.
        wanted: String,
        /// Labels there are.
        there: Vec<String>,
    },
    /// The name that was asked for is structure.
    #[error("the labels {wanted} are structure, expected labels of objects")]
    NotObjects {
        /// The name.
        wanted: String,
    },
    /// Nothing was asked for, and several could be meant.
    #[error("several labels of objects: {}", names.join(", "))]
    Several {
        /// Their names.
        names: Vec<String>,
    },
    /// Several labels of structure, of which one can be learned only.
    #[error("several labels of structure: {}", names.join(", "))]
    SeveralStructures {
        /// Their names.
        names: Vec<String>,
    },
    /// There are no labels of structure.
    #[error("no labels of structure, there {}", listed(there))]
    NoStructure {
        /// Labels there are.
        there: Vec<String>,
    },
    /// There are no labels of objects at all.
    #[error("no labels of objects, there {}", listed(there))]
    None {
        /// Labels there are.
        there: Vec<String>,
    },
    /// A number of labelled sequences that is not there.
    #[error("--labelled {wanted}: expected 1 to {there}, the training sequences with labels")]
    NumberLabelled {
        /// What was asked for.
        wanted: usize,
        /// Training sequences with labels.
        there: usize,
    },
    /// A name in a list of labelled sequences that the training part does not have.
    #[error(
        "--labelled {name:.120}: {}",
        if *held_out { "is held out for validation and test" } else { "no such well or split group" }
    )]
    UnknownLabelled {
        /// The name.
        name: String,
        /// Whether another part of the plate has it.
        held_out: bool,
        /// A well and a group that are there.
        examples: Vec<String>,
    },
    /// All labelled sequences are empty.
    #[error("labels {name}: no object in any of the {sequences} sequences whose labels are to be learned")]
    AllEmpty {
        /// The labels.
        name: String,
        /// Sequences that were looked at.
        sequences: usize,
    },
}

impl Advice for LabelError {
    fn exit(&self) -> Exit {
        match self {
            Self::Several { .. }
            | Self::SeveralStructures { .. }
            | Self::NumberLabelled { .. }
            | Self::UnknownLabelled { .. } => Exit::Usage,
            _ => Exit::BadInput,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unknown { .. } | Self::NotObjects { .. } => "name one that is there with --label".into(),
            Self::SeveralStructures { .. } => "prepare the plate with one --structure only".into(),
            Self::Several { names } => format!("choose one: --label {}", names.join(" or --label ")),
            Self::NoStructure { .. } => "prepare the plate with --structure NAME=DIR".into(),
            Self::NumberLabelled { .. } => {
                "a number of sequences, or their wells or split groups with commas between".into()
            }
            Self::UnknownLabelled { examples, .. } => {
                format!("names of the training part, such as {}", examples.join(" or "))
            }
            Self::AllEmpty { .. } => "name sequences in which objects are labelled with --labelled".into(),
            Self::None { .. } => "prepare the plate with --labels NAME=DIR".into(),
        })
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "are none".into() } else { format!("is {}", names.join(", ")) }
}
