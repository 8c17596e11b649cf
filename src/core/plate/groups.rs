//! Split groups and what their frames hold, by which leakage is found whatever a position is called.
//!
//! `prepare` takes a digest of every raw frame of the anchor channel, before binning, downscaling and tiling, so that
//! the same recording has the same digests however it is prepared. They travel from a plate to the checkpoints trained
//! on it and to the synthetic plates made from these. Two groups that share a frame show the same recording. A
//! recording that was changed before `prepare` saw it (cropped, rescaled, converted to 8 bits) has other digests.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Origin, Plate, PlateMeta, Split};

/// A split group, and the frames it shows where they are known.
///
/// Plates and checkpoints written before there were digests hold names only, as plain strings; these are read as groups
/// without frames, and written as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct SplitGroup {
    /// Name of the position, or of the block of a single movie.
    pub name: String,
    /// Digests of its frames, see [`frame_digest`]; empty where they are not known.
    frames: BTreeSet<u64>,
}

/// A group as it stands in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Content {
        name: String,
        /// Digest of the whole group, for people; what is compared are the frames.
        digest: String,
        /// Digests of the frames, 16 hexadecimal digits each, with spaces between.
        frames: String,
    },
}

impl SplitGroup {
    /// Returns a group whose frames are known by their digests. Without any, only the name is known.
    pub fn new(name: impl Into<String>, frames: impl IntoIterator<Item = u64>) -> Self {
        Self { name: name.into(), frames: frames.into_iter().collect() }
    }

    /// Returns a group of which only the name is known.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new(name, [])
    }

    /// Returns whether it is known what the frames hold.
    pub fn is_known(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Returns the digest of the content: SHA-256 over the sorted, distinct frame digests; `None` where none is known.
    pub fn digest(&self) -> Option<String> {
        self.is_known().then(|| {
            let mut hash = Sha256::new();
            for frame in &self.frames {
                hash.update(frame.to_be_bytes());
            }
            format!("{:x}", hash.finalize())
        })
    }

    /// Returns whether a frame of this group is a frame of another one.
    pub fn shares_frame(&self, other: &Self) -> bool {
        self.frames.iter().any(|frame| other.frames.contains(frame))
    }
}

impl From<SplitGroup> for Written {
    fn from(group: SplitGroup) -> Self {
        match group.digest() {
            None => Self::Name(group.name),
            Some(digest) => {
                let frames: Vec<String> = group.frames.iter().map(|frame| format!("{frame:016x}")).collect();
                Self::Content { name: group.name, digest, frames: frames.join(" ") }
            }
        }
    }
}

impl TryFrom<Written> for SplitGroup {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Name(name) => Ok(Self::named(name)),
            Written::Content { name, frames, .. } => {
                let parse = |digits: &str| {
                    u64::from_str_radix(digits, 16)
                        .map_err(|_| format!("group {name}: {digits} is no frame digest"))
                };
                let frames: BTreeSet<u64> = frames.split_whitespace().map(parse).collect::<Result<_, _>>()?;
                Ok(Self { name, frames })
            }
        }
    }
}

/// Returns the first 64 bits of SHA-256 over shape and counts of a raw frame.
///
/// A frame in which all counts are equal has none: two blank frames do not show that recordings are the same.
///
/// # Shapes
/// `counts` `[H, W]`
pub fn frame_digest(counts: ArrayView2<u16>) -> Option<u64> {
    let first = counts.first()?;
    if counts.iter().all(|count| count == first) {
        return None;
    }
    let (height, width) = counts.dim();
    let mut hash = Sha256::new();
    hash.update((height as u64).to_le_bytes());
    hash.update((width as u64).to_le_bytes());
    let mut bytes = Vec::with_capacity(2 * width);
    for row in counts.rows() {
        bytes.clear();
        bytes.extend(row.iter().flat_map(|count| count.to_le_bytes()));
        hash.update(&bytes);
    }
    let digest = hash.finalize();
    Some(u64::from_be_bytes(std::array::from_fn(|i| digest[i])))
}

impl Plate {
    /// Returns the split groups of the sequences of some splits, sorted by name, each with the frames that are known.
    pub fn groups(&self, splits: &[Split]) -> Vec<SplitGroup> {
        let known: BTreeMap<&str, &SplitGroup> =
            self.meta.groups.iter().map(|group| (group.name.as_str(), group)).collect();
        let wanted = self.wells.iter().filter(|(_, sequence)| splits.contains(&sequence.split));
        let names: BTreeSet<&str> = wanted.map(|(_, sequence)| sequence.split_group.as_str()).collect();
        names
            .into_iter()
            .map(|name| known.get(name).map_or_else(|| SplitGroup::named(name), |group| (*group).clone()))
            .collect()
    }

    /// Returns what a generator that learns from this plate has seen: its training groups. Of a synthetic plate these
    /// are the groups that its own generator has seen, since its sequences show what that one learned.
    pub fn training_groups(&self) -> Vec<SplitGroup> {
        match self.meta.origin {
            Origin::Synthetic => self.meta.trained_on.clone(),
            Origin::Recording | Origin::Phantom => self.groups(&[Split::Train]),
        }
    }
}

impl PlateMeta {
    /// Takes over what other networks have seen, whose weights these ones begin with. A history that is not known makes
    /// this one unknown.
    pub fn inherit_history(&mut self, other: &Self) {
        self.history_unknown |= other.history_unknown || other.trained_on.is_empty();
        for group in &other.trained_on {
            if !self.trained_on.contains(group) {
                self.trained_on.push(group.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn a_digest_tells_counts_and_shape_apart_and_blank_frames_have_none() {
        let frame = Array2::from_shape_fn((4, 6), |(y, x)| (10 * y + x) as u16);
        let digest = frame_digest(frame.view()).unwrap();
        // By Python's hashlib: another number would make all plates of before strangers.
        assert_eq!(digest, 0x3a5b2e40f21a9f4c);
        // The same counts, stored column by column, are the same frame.
        let turned = frame.t().as_standard_layout().into_owned();
        assert_eq!(frame_digest(turned.t()), Some(digest));
        let other_shape = frame.clone().into_shape_with_order((6, 4)).unwrap();
        assert_ne!(frame_digest(other_shape.view()), Some(digest));
        let mut other = frame;
        other[[3, 5]] += 1;
        assert_ne!(frame_digest(other.view()), Some(digest));
        assert_eq!(frame_digest(Array2::from_elem((4, 6), 7).view()), None);
        assert_eq!(frame_digest(Array2::zeros((0, 6)).view()), None);
    }

    #[test]
    fn groups_are_written_with_digests_and_read_back_and_names_alone_stay_names() {
        let groups = vec![SplitGroup::new("a", [3, 1, 3]), SplitGroup::named("b")];
        let json = serde_json::to_value(&groups).unwrap();
        assert_eq!(json[0]["frames"], "0000000000000001 0000000000000003");
        assert_eq!(json[0]["digest"].as_str().map(str::len), Some(64));
        assert_eq!(json[1], "b");
        assert_eq!(serde_json::from_value::<Vec<SplitGroup>>(json).unwrap(), groups);
        let bad = serde_json::json!({ "name": "a", "digest": "", "frames": "xyz" });
        let error = serde_json::from_value::<SplitGroup>(bad).unwrap_err().to_string();
        assert!(error.contains("group a: xyz is no frame digest"), "{error}");
    }

    #[test]
    fn the_digest_of_a_group_does_not_depend_on_order_or_repetition() {
        let digest = |frames: &[u64]| SplitGroup::new("a", frames.iter().copied()).digest();
        assert_eq!(digest(&[1, 2]), digest(&[2, 1, 2]));
        assert_ne!(digest(&[1, 2]), digest(&[1, 3]));
        assert_eq!(digest(&[]), None);
    }

    #[test]
    fn groups_share_content_where_they_share_a_frame_and_unknown_ones_never_do() {
        let group = |frames: &[u64]| SplitGroup::new("a", frames.iter().copied());
        assert!(group(&[1, 2]).shares_frame(&group(&[2, 3])));
        assert!(!group(&[1, 2]).shares_frame(&group(&[3, 4])));
        assert!(!group(&[]).shares_frame(&group(&[])));
    }
}
