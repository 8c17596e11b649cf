//! The channels and labels of a recording one by one: their planes by position and time, of the channel and focal plane
//! that are meant.

use std::collections::BTreeMap;
use std::path::Path;

use super::listing::{Listing, Plane, PlaneRef};
use super::names::plain;
use crate::error::DataError;

/// Which focal plane is taken of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FocalPlane {
    /// This one, from 0.
    Index(usize),
    /// The brightest count of all.
    Max,
    /// The mean of all.
    Mean,
}

impl FocalPlane {
    /// Returns the depth of a word: an index, `max` or `mean`.
    ///
    /// # Errors
    /// [`DataError::Setting`] for other words.
    pub fn parse(word: &str) -> Result<Self, DataError> {
        match word {
            "max" => Ok(Self::Max),
            "mean" => Ok(Self::Mean),
            _ => word.parse().map(Self::Index).map_err(|_| DataError::Setting {
                field: "--z",
                found: word.to_owned(),
                expected: "the index of a focal plane (from 0), max or mean".into(),
            }),
        }
    }
}

/// A channel or label, to be paired with others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) path: &'a Path,
    pub(super) listing: &'a Listing,
    /// The channel meant, where the input has several.
    pub(super) channel: Option<&'a str>,
    pub(super) is_label: bool,
}

/// Focal planes by time.
pub(super) type Times = BTreeMap<i64, Vec<(i64, PlaneRef)>>;

/// Planes of a member by position and time.
pub(super) struct Frames {
    /// First the key, then name and planes by time.
    pub(super) positions: BTreeMap<String, (Option<String>, Times)>,
    /// Milliseconds at which frames were recorded, where files tell it.
    pub(super) clocks: BTreeMap<String, BTreeMap<i64, i64>>,
}

/// Groups the planes of a member, and chooses among its channels and focal planes.
pub(super) fn frames(member: &Member<'_>, depth: Option<FocalPlane>) -> Result<Frames, DataError> {
    let Member { listing, path, .. } = member;
    let names = listing.channel_names();
    let chosen = match member.channel {
        Some(wanted) => {
            let is = |n: &&String| *n == wanted || n.strip_prefix("channel-") == Some(wanted);
            Some(names.iter().find(is).ok_or_else(|| no_channel(member, &names, wanted))?)
        }
        None if names.len() > 1 => return Err(several_channels(member, &names)),
        None => None,
    };
    let planes: Vec<&Plane> =
        listing.planes.iter().filter(|p| chosen.is_none() || p.channel.as_ref() == chosen).collect();
    let depths = listing.depths();
    let wanted = match (depths.len(), depth) {
        (0 | 1, _) | (_, Some(FocalPlane::Max | FocalPlane::Mean)) => None,
        (n, Some(FocalPlane::Index(index))) => {
            Some(*depths.get(index).ok_or_else(|| DataError::Setting {
                field: "--z",
                found: index.to_string(),
                expected: format!("0 to {}, as {} has {n} focal planes", n - 1, path.display()),
            })?)
        }
        (n, None) => return Err(several_depths(member, n)),
    };
    if member.is_label && depths.len() > 1 && wanted.is_none() {
        return Err(DataError::Setting {
            field: "--z",
            found: "max or mean".into(),
            expected: format!("the index of a focal plane, as ids of {} cannot be averaged", path.display()),
        });
    }
    let mut frames = Frames { positions: BTreeMap::new(), clocks: BTreeMap::new() };
    for plane in planes.into_iter().filter(|p| wanted.is_none_or(|z| p.z == Some(z))) {
        let key = plane.position.as_deref().map_or_else(String::new, plain);
        let time = plane.time.unwrap_or(i64::MIN);
        if let Some(ms) = plane.clock_ms {
            frames.clocks.entry(key.clone()).or_default().insert(time, ms);
        }
        let (_, times) =
            frames.positions.entry(key).or_insert_with(|| (plane.position.clone(), BTreeMap::new()));
        let stack = times.entry(time).or_default();
        let z = plane.z.unwrap_or(0);
        if let Some((_, other)) = stack.iter().find(|(other, _)| *other == z) {
            return Err(DataError::Unusable {
                path: path.to_path_buf(),
                found: format!("two planes of one frame, {} and {}", other.name(), plane.at.name()),
                expected: "one plane per position, channel, focal plane and time".into(),
                hint: "say what names mean with --pattern, or take some files only, as in 'movie/*_GFP.tif'"
                    .into(),
            });
        }
        stack.push((z, plane.at.clone()));
    }
    for (_, times) in frames.positions.values_mut() {
        for stack in times.values_mut() {
            stack.sort_by_key(|(z, _)| *z);
        }
    }
    Ok(frames)
}

fn several_channels(member: &Member<'_>, names: &[String]) -> DataError {
    let (flag, path, first) =
        (if member.is_label { "--labels" } else { "--channel" }, member.path.display(), &names[0]);
    let named = !first.starts_with("channel-");
    let hint = if member.path.is_dir() && member.listing.table.is_some() && named {
        format!(
            "take one, as in {flag} {}='{path}@{first}' or {flag} {}='{path}/*{first}*'; prepare {path} -o ... takes all",
            member.name, member.name
        )
    } else {
        format!("take one, as in {flag} {}='{path}@{first}'; prepare {path} -o ... takes all", member.name)
    };
    DataError::Unusable {
        path: member.path.to_owned(),
        found: format!("holds {} channels ({})", names.len(), names.join(", ")),
        expected: format!("one for {} {}", if member.is_label { "labels" } else { "channel" }, member.name),
        hint,
    }
}

fn no_channel(member: &Member<'_>, names: &[String], wanted: &str) -> DataError {
    DataError::Unusable {
        path: member.path.to_owned(),
        found: if names.is_empty() {
            format!("has one channel without a name, not {wanted}")
        } else {
            format!("has no channel {wanted}, but {}", names.join(", "))
        },
        expected: "one of its channels behind the @".into(),
        hint: "prepare INPUT --dry-run lists what an input holds".into(),
    }
}

fn several_depths(member: &Member<'_>, n: usize) -> DataError {
    DataError::Unusable {
        path: member.path.to_owned(),
        found: format!("{} has {n} focal planes (z)", member.name),
        expected: "one".into(),
        hint: format!(
            "choose with --z: --z {} takes the middle one, --z max the brightest counts, --z mean their mean; pages of a \
             file that are times, not planes, are told by --pages t",
            n / 2
        ),
    }
}
