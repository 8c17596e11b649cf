//! What was found about two plates that are to be compared, in sentences for people.

use super::{Origin, PlateMeta};

/// Names that a sentence lists before it says how many more there are.
const LISTED: usize = 5;

/// What a finding means for a comparison. Programs may be stricter or more lenient where their question allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Numbers would have no meaning.
    Refuse,
    /// Numbers mean less than they seem to.
    Limit,
    /// Good to know.
    Note,
}

/// Which of the two plates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Recordings with a held-out part.
    Real,
    /// What a generator made of their training part.
    Synthetic,
}

/// Frames and pixels of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Frames per sequence.
    pub frames: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
}

/// A held-out group whose frames the generator was trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Name of the group in the real plate.
    pub held_out: String,
    /// Name under which the generator was trained on it.
    pub seen_as: String,
}

/// One thing that matters when two plates are compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// All channels are compared, and the plates have other ones or another order.
    Channels {
        /// Channels of the real plate.
        real: Vec<String>,
        /// Channels of the synthetic plate.
        synthetic: Vec<String>,
    },
    /// A channel that is compared is not in one of the plates.
    MissingChannel {
        /// The plate.
        plate: Role,
        /// The channel.
        channel: String,
        /// Channels of that plate.
        there: Vec<String>,
    },
    /// Sequences have other frames or pixels.
    Size {
        /// Of the real plate.
        real: Extents,
        /// Of the synthetic plate.
        synthetic: Extents,
    },
    /// Train and held-out part of the real plate hold the same group, or groups with the same frames.
    SharedGroups {
        /// Names of the held-out groups.
        groups: Vec<String>,
    },
    /// The generator was trained on frames that are held out.
    Leakage {
        /// The groups that share frames.
        groups: Vec<Leak>,
        /// Held-out groups there are.
        of: usize,
        /// Whether a generator made the plate; otherwise the plate itself shows these frames.
        made: bool,
    },
    /// The generator was trained on groups with the names of held-out ones; their content is not known.
    SameNames {
        /// Names of the held-out groups.
        groups: Vec<String>,
        /// Held-out groups there are.
        of: usize,
        /// What shows that the names are those of another recording, where something does.
        other_recording: Option<String>,
    },
    /// No name is on both sides; the content is not known.
    NamesOnly,
    /// The synthetic plate does not say what its generator was trained on.
    UnknownHistory,
    /// The plate given as synthetic was not made by a generator.
    NotSynthetic {
        /// What it is.
        origin: Origin,
    },
    /// The plate given as real was made by a generator.
    NotReal,
    /// Training and held-out part are blocks of one movie.
    SingleMovie,
    /// Held-out sequences come from so few groups that they are hardly independent.
    FewGroups {
        /// Held-out sequences.
        sequences: usize,
        /// Their groups.
        groups: usize,
    },
    /// Pixels have other sizes.
    PixelSize {
        /// Micrometres.
        real: f64,
        /// Micrometres.
        synthetic: f64,
    },
    /// Frames have other distances in time.
    FrameInterval {
        /// Seconds.
        real: f64,
        /// Seconds.
        synthetic: f64,
    },
    /// A channel has another intensity range.
    Calibration {
        /// Name of the channel.
        channel: String,
        /// Counts that are 0 and 1.
        real: [f64; 2],
        /// Counts that are 0 and 1.
        synthetic: [f64; 2],
        /// Whether an end differs by so much that intensities can hardly be compared.
        far: bool,
    },
    /// The real plate was normalised frame by frame, as in the published code.
    NormalisedByFrame,
}

impl Extents {
    /// Returns those of the sequences of a plate.
    pub fn of(meta: &PlateMeta) -> Self {
        Self { frames: meta.frames, height: meta.height, width: meta.width }
    }

    fn text(self) -> String {
        let frames = if self.frames == 1 { "1 frame".into() } else { format!("{} frames", self.frames) };
        format!("{frames} of {}x{} pixels", self.height, self.width)
    }
}

impl Finding {
    /// Returns what it means for the comparison.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Channels { .. }
            | Self::MissingChannel { .. }
            | Self::Size { .. }
            | Self::SharedGroups { .. } => Severity::Refuse,
            Self::Leakage { .. }
            | Self::SameNames { other_recording: None, .. }
            | Self::UnknownHistory
            | Self::NotSynthetic { .. }
            | Self::NotReal
            | Self::SingleMovie
            | Self::FewGroups { .. }
            | Self::PixelSize { .. }
            | Self::FrameInterval { .. }
            | Self::Calibration { far: true, .. }
            | Self::NormalisedByFrame => Severity::Limit,
            Self::SameNames { .. } | Self::NamesOnly | Self::Calibration { .. } => Severity::Note,
        }
    }

    /// Returns one sentence: what was found in both plates, and what follows.
    pub fn sentence(&self) -> String {
        match self {
            Self::Channels { real, synthetic } => format!(
                "The synthetic plate has the channels {}, the real plate {}: channels are compared one by one in their order.",
                synthetic.join(", "),
                real.join(", ")
            ),
            Self::MissingChannel { plate, channel, there } => {
                let role = if *plate == Role::Real { "real" } else { "synthetic" };
                format!("The {role} plate has no channel {channel}, it has {}.", there.join(", "))
            }
            Self::Size { real, synthetic } => format!(
                "The synthetic plate has sequences of {}, the real plate of {}: they show other fields or times.",
                synthetic.text(),
                real.text()
            ),
            Self::SharedGroups { groups } => format!(
                "Held-out groups of the real plate show frames of its training part ({}): nothing is held out.",
                listed(groups.iter().map(String::as_str))
            ),
            Self::Leakage { groups, of, made } => {
                let names: Vec<String> = groups.iter().map(Leak::text).collect();
                let who =
                    if *made { "The generator was trained on" } else { "The plate given as synthetic shows" };
                format!(
                    "{who} frames of {} of the {of} held-out groups ({}): the result is no evidence for data it has not seen.",
                    groups.len(),
                    listed(names.iter().map(String::as_str))
                )
            }
            Self::SameNames { groups, of, other_recording } => {
                let names = listed(groups.iter().map(String::as_str));
                let what = format!(
                    "The generator was trained on groups with the names of {} of the {of} held-out groups ({names}), and their frames are not known",
                    groups.len()
                );
                match other_recording {
                    None => format!(
                        "{what}: where they are the same recording, the result is no evidence for data it has not seen."
                    ),
                    Some(reason) => format!("{what}; they seem to be of another recording, since {reason}."),
                }
            }
            Self::NamesOnly => "Of some groups that are held out or trained on only the names are known: no name is on both sides, but a renamed copy of a recording would not be noticed.".into(),
            Self::UnknownHistory => "The synthetic plate does not say all that its generator was trained on: it may have seen the held-out groups, leakage cannot be ruled out.".into(),
            Self::NotSynthetic { origin } => format!(
                "The plate given as synthetic is a {}, not the output of a generator: read \"synthetic\" as \"the second plate\".",
                origin.word()
            ),
            Self::NotReal => "The plate given as real is the output of a generator: the result says nothing about recordings.".into(),
            Self::SingleMovie => "Training and held-out parts are blocks of one movie: the result says nothing about a new movie.".into(),
            Self::FewGroups { sequences, groups } => format!(
                "The {sequences} held-out sequences come from {groups} group(s) (such as positions): sequences of one group resemble each other, so they count for less than their number."
            ),
            Self::PixelSize { real, synthetic } => format!(
                "Pixels are {synthetic} um wide in the synthetic plate and {real} um in the real one: objects and textures are compared in pixels, so they appear in other sizes."
            ),
            Self::FrameInterval { real, synthetic } => format!(
                "Frames are {synthetic} s apart in the synthetic plate and {real} s in the real one: changes between frames are those of other times."
            ),
            Self::Calibration { channel, real, synthetic, .. } => format!(
                "Channel {channel} was calibrated to {} to {} counts in the synthetic plate and to {} to {} in the real one: both are read in the range of the real plate.",
                synthetic[0], synthetic[1], real[0], real[1]
            ),
            Self::NormalisedByFrame => "The real plate was normalised frame by frame (normalise original), the generator's counts were made with the median range: brightness that varies between frames counts as a difference.".into(),
        }
    }

    /// Returns what to do about it, where it can stand in the way.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Channels { .. } => {
                "compare a plate with one that was generated from a model of the same channels, in the same order"
            }
            Self::MissingChannel { .. } => {
                "both plates must name their channels alike; choose with --channel"
            }
            Self::Size { .. } => {
                "prepare the real recording with the size and frames that the generator was trained on"
            }
            Self::SharedGroups { .. } => {
                "prepare the plate again, which keeps a group in one part; leave out copies of a position"
            }
            Self::Leakage { .. } => {
                "train the generator on the train split of this plate, or pass --allow-leakage to see the numbers anyway"
            }
            Self::SameNames { .. } => {
                "prepare and train again, then frames are compared instead of names; or pass --allow-leakage where you know that the recordings differ"
            }
            Self::NamesOnly | Self::UnknownHistory => {
                "prepare, train and generate again, then frames are compared"
            }
            Self::NotSynthetic { .. } | Self::NotReal => "check which plate is given as which",
            Self::SingleMovie | Self::FewGroups { .. } => "record more positions",
            Self::PixelSize { .. } | Self::FrameInterval { .. } => {
                "train the generator on a recording like the one it is compared with, or correct --pixel-size and --frame-interval"
            }
            Self::Calibration { .. } | Self::NormalisedByFrame => "train the generator on this recording",
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl Leak {
    fn text(&self) -> String {
        if self.held_out == self.seen_as {
            self.held_out.clone()
        } else {
            format!("{}, trained on as {}", self.held_out, self.seen_as)
        }
    }
}

impl Origin {
    fn word(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Phantom => "phantom",
            Self::Synthetic => "synthetic plate",
        }
    }
}

/// Returns the first few names, and how many more there are.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    // A name with a comma in it would look like two.
    let between = if names.iter().any(|name| name.contains(',')) { "; " } else { ", " };
    let shown = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(between);
    match names.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
