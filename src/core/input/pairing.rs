//! Which planes of several inputs show the same position and moment: by what their names or files say, never by order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::file_names::{name, natural};
use super::listing::PlaneRef;
use super::members::{FocalPlane, Frames, Member, frames};
use super::names::{TimeUnit, time_text};
use super::timeline::timeline;
use crate::error::DataError;

/// Frames that a message lists.
const LISTED: usize = 3;

/// What is done with frames that a channel or label lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// They are an error.
    #[default]
    Error,
    /// They are left out of all channels and labels.
    Skip,
    /// A missing label image shows no object; a channel must not miss any.
    Empty,
}

impl Missing {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 3] = [
        ("error", "They are an error"),
        ("skip", "They are left out; what remains keeps its distance in time"),
        ("empty", "A label image that is missing shows no object"),
    ];
}

/// Focal planes of one frame of a channel or label; none stands for a label image without object.
pub(super) type Planes = Vec<PlaneRef>;

/// Positions with the planes of every channel and label by frame index.
#[derive(Clone, Debug)]
pub(super) struct Paired {
    pub(super) positions: Vec<(String, BTreeMap<usize, Vec<Planes>>)>,
    /// Seconds between frames, where times tell it.
    pub(super) interval_s: Option<f64>,
    /// Frames of the input from one frame to the next, more than 1 where some were left out.
    pub(super) every: f64,
    /// Key of a position as the pairing knows it, by its name.
    pub(super) keys: BTreeMap<String, String>,
    pub(super) notes: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// Pairs the planes of all members; the first one's positions give the names.
pub(super) fn pair(
    members: &[Member<'_>],
    depth: Option<FocalPlane>,
    missing: Missing,
) -> Result<Paired, DataError> {
    let mut all: Vec<Frames> = members.iter().map(|m| frames(m, depth)).collect::<Result<_, _>>()?;
    let one_position = all.iter().all(|frames| frames.positions.len() == 1);
    if one_position {
        rename_only(&mut all);
    }
    lone_frames(members, &mut all)?;
    let units: BTreeSet<bool> = members.iter().map(|m| m.listing.unit == TimeUnit::Milliseconds).collect();
    if units.len() > 1 && all.iter().any(|f| f.positions.values().any(|(_, times)| times.len() > 1)) {
        let other = members.iter().find(|m| m.listing.unit != members[0].listing.unit).unwrap_or(&members[0]);
        return Err(DataError::Unusable {
            path: other.path.to_owned(),
            found: format!(
                "{} and {} count time in other units (frames, and dates or seconds)",
                other.name, members[0].name
            ),
            expected: "names that tell the time in the same way".into(),
            hint: "rename one of them, or say with --pattern which field is the time".into(),
        });
    }
    let unit = members[0].listing.unit;
    let mut notes = Vec::new();
    let mut warnings = Vec::new();
    let keys = positions(members, &all, missing, &mut warnings)?;
    let kept = times(members, &all, &keys, missing, unit, &mut notes)?;
    let union: Vec<Vec<i64>> = keys
        .iter()
        .map(|key| {
            let of = |frames: &Frames| {
                frames.positions.get(key).map(|(_, t)| t.keys().copied().collect::<Vec<_>>())
            };
            let all: BTreeSet<i64> = all.iter().filter_map(of).flatten().collect();
            all.into_iter().collect()
        })
        .collect();
    let (whole, line) = (timeline(&union), timeline(&kept));
    let mut paired = Paired {
        positions: Vec::new(),
        interval_s: match unit {
            TimeUnit::Milliseconds => Some(line.step as f64 / 1000.0),
            TimeUnit::Frames => by_clock(&all[0], &kept, &keys, line.step),
        }
        .filter(|_| kept.iter().any(|times| times.len() > 1)),
        every: line.step as f64 / whole.step as f64,
        keys: BTreeMap::new(),
        notes,
        warnings,
    };
    if let Some((shortest, longest)) = line.irregular {
        let text = |t: i64| time_text(t, unit);
        paired.warnings.push(format!(
            "times between frames differ: {} to {}, mostly {}; frames count as one step apart all the same",
            text(shortest),
            text(longest),
            text(line.step)
        ));
    }
    for ((key, times), indices) in keys.iter().zip(&kept).zip(line.indices) {
        let name = position_name(members, &all, key, one_position);
        if let Some(warning) = gaps(&name, times, &indices, line.step, unit) {
            paired.warnings.push(warning);
        }
        let mut frames = BTreeMap::new();
        for (time, index) in times.iter().zip(indices) {
            let planes = |f: &Frames| {
                let stack = f.positions.get(key).and_then(|(_, t)| t.get(time));
                stack.map_or_else(Vec::new, |stack| stack.iter().map(|(_, at)| at.clone()).collect())
            };
            frames.insert(index, all.iter().map(planes).collect());
        }
        paired.keys.insert(name.clone(), key.clone());
        paired.positions.push((name, frames));
    }
    paired.positions.sort_by(|a, b| natural(&a.0, &b.0));
    Ok(paired)
}

/// A single position is the same whatever it is called.
fn rename_only(all: &mut [Frames]) {
    for frames in all {
        let positions = std::mem::take(&mut frames.positions);
        frames.positions = positions.into_values().map(|value| (String::new(), value)).collect();
        let clocks = std::mem::take(&mut frames.clocks);
        frames.clocks = clocks.into_values().map(|value| (String::new(), value)).collect();
    }
}

/// A frame without a time is the only one of its position, whatever the time that another channel names.
fn lone_frames(members: &[Member<'_>], all: &mut [Frames]) -> Result<(), DataError> {
    let untimed = |f: &Frames| f.positions.values().any(|(_, times)| times.contains_key(&i64::MIN));
    if !all.iter().any(untimed) {
        return Ok(());
    }
    let lone = |f: &Frames| f.positions.values().all(|(_, times)| times.len() == 1);
    if let Some(i) = all.iter().position(|f| !lone(f)) {
        let other = all.iter().position(untimed).unwrap_or(0);
        return Err(DataError::Unusable {
            path: members[other].path.to_owned(),
            found: format!("{} has one frame per position, and {} has several", members[other].name, members[i].name),
            expected: "as many frames in all channels and labels".into(),
            hint: "check the folders; where only some frames are labelled, their names must tell the time (t007)".into(),
        });
    }
    for (_, times) in all.iter_mut().flat_map(|f| f.positions.values_mut()) {
        let stacks = std::mem::take(times);
        *times = stacks.into_values().map(|stack| (0, stack)).collect();
    }
    Ok(())
}

/// Returns the positions that all members have, in natural order of their names.
fn positions(
    members: &[Member<'_>],
    all: &[Frames],
    missing: Missing,
    warnings: &mut Vec<String>,
) -> Result<Vec<String>, DataError> {
    let text = |i: usize, key: &String| {
        all[i].positions.get(key).and_then(|(name, _)| name.clone()).unwrap_or_else(|| key.clone())
    };
    let mut keys: Vec<String> = all[0].positions.keys().cloned().collect();
    let mut dropped = BTreeSet::new();
    for (i, member) in members.iter().enumerate().skip(1) {
        let has = |key: &String| all[i].positions.contains_key(key);
        let lacking = keys.iter().find(|key| !has(key));
        let extra = all[i].positions.keys().find(|key| !all[0].positions.contains_key(*key));
        let empty = missing == Missing::Empty && member.is_label;
        let Some(key) = lacking.filter(|_| !empty).or(extra) else { continue };
        if missing != Missing::Skip {
            let verb = if extra == Some(key) { "has a" } else { "has no" };
            let position = if extra == Some(key) { text(i, key) } else { text(0, key) };
            return Err(DataError::Frames {
                path: member.path.to_owned(),
                found: format!("{verb} position {position}"),
                expected: format!("the positions of {}", members[0].name),
            });
        }
        dropped.extend(keys.iter().filter(|key| !has(key)).map(|key| text(0, key)));
        dropped.extend(
            all[i].positions.keys().filter(|k| !all[0].positions.contains_key(*k)).map(|k| text(i, k)),
        );
        keys.retain(has);
    }
    if !dropped.is_empty() {
        warnings.push(format!(
            "{} position(s) are not in all channels and labels, and left out: {}",
            dropped.len(),
            some(dropped)
        ));
    }
    if keys.is_empty() {
        return Err(DataError::Frames {
            path: members[members.len() - 1].path.to_owned(),
            found: "has no position that all channels and labels have".into(),
            expected: format!("the positions of {}", members[0].name),
        });
    }
    keys.sort_by(|a, b| natural(&text(0, a), &text(0, b)));
    Ok(keys)
}

/// Returns the times of every position that are kept.
fn times(
    members: &[Member<'_>],
    all: &[Frames],
    keys: &[String],
    missing: Missing,
    unit: TimeUnit,
    notes: &mut Vec<String>,
) -> Result<Vec<Vec<i64>>, DataError> {
    let mut kept = Vec::new();
    let (mut union_count, mut kept_count) = (0, 0);
    let mut empty: BTreeMap<&str, usize> = BTreeMap::new();
    for key in keys {
        let times = |f: &Frames| -> BTreeSet<i64> {
            f.positions.get(key).map(|(_, t)| t.keys().copied().collect()).unwrap_or_default()
        };
        let each: Vec<BTreeSet<i64>> = all.iter().map(times).collect();
        let union: BTreeSet<i64> = each.iter().flatten().copied().collect();
        let mut here = Vec::new();
        for &time in &union {
            let mut lacking =
                members.iter().zip(&each).filter(|(_, times)| !times.contains(&time)).map(|(m, _)| m);
            let Some(first) = lacking.next() else {
                here.push(time);
                continue;
            };
            match missing {
                Missing::Skip => {}
                Missing::Empty if std::iter::once(first).chain(lacking).all(|m| m.is_label) => {
                    *empty.entry(first.name).or_default() += 1;
                    here.push(time);
                }
                _ => return Err(lacking_frame(members, all, key, time, unit, missing)),
            }
        }
        union_count += union.len();
        kept_count += here.len();
        kept.push(here);
    }
    if kept_count < union_count {
        notes.push(format!(
            "{kept_count} of {union_count} frames are in all channels and labels, and kept (--missing skip)"
        ));
    }
    for (label, n) in empty {
        notes.push(format!(
            "{n} frame(s) have no image of labels {label}: they count as without object (--missing empty)"
        ));
    }
    if kept_count == 0 {
        return Err(DataError::Frames {
            path: members[members.len() - 1].path.to_owned(),
            found: "has no frame that all channels and labels have".into(),
            expected: format!("frames of {}", members[0].name),
        });
    }
    Ok(kept)
}

/// Returns the error of the first frame that a member lacks.
fn lacking_frame(
    members: &[Member<'_>],
    all: &[Frames],
    key: &String,
    time: i64,
    unit: TimeUnit,
    missing: Missing,
) -> DataError {
    let there = |f: &Frames| {
        f.positions.get(key).and_then(|(_, t)| t.get(&time)).and_then(|s| s.first()).map(|(_, p)| p.clone())
    };
    let with = (0..all.len()).find_map(|i| Some((i, there(&all[i])?)));
    let lacks = |i: &usize| there(&all[*i]).is_none() && !(missing == Missing::Empty && members[*i].is_label);
    let without = (0..all.len()).find(lacks).unwrap_or(0);
    let any = all[without].positions.get(key).and_then(|(_, t)| t.values().next()).and_then(|s| s.first());
    let folder = any.and_then(|(_, at)| at.path.parent()).filter(|_| members[without].path.is_dir());
    let (other, file) = with.map_or((0, String::new()), |(i, at)| (i, at.name()));
    DataError::Frames {
        path: folder.unwrap_or(members[without].path).to_owned(),
        found: format!("{}: frame {} is missing", members[without].name, time_text(time, unit)),
        expected: format!("one beside {file} of {}", members[other].name),
    }
}

/// Returns the seconds between frames that the times of day of the first channel's files tell.
fn by_clock(frames: &Frames, kept: &[Vec<i64>], keys: &[String], step: i64) -> Option<f64> {
    let mut steps = Vec::new();
    for (key, times) in keys.iter().zip(kept) {
        let clocks = frames.clocks.get(key)?;
        for pair in times.windows(2) {
            let ms = clocks.get(&pair[1])? - clocks.get(&pair[0])?;
            steps.push(ms as f64 / 1000.0 * step as f64 / (pair[1] - pair[0]) as f64);
        }
    }
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied().filter(|s| *s > 0.0)
}

fn position_name(members: &[Member<'_>], all: &[Frames], key: &str, one_position: bool) -> String {
    if let Some(name) = all[0].positions.get(key).and_then(|(name, _)| name.clone()) {
        return name;
    }
    if !one_position {
        return key.to_owned();
    }
    // One position, named after the file or store, or after the folder around the channels.
    let path = members[0].path;
    let of_file = path.file_stem().map(|stem| stem.to_string_lossy().trim_end_matches(".ome").to_owned());
    let own = path.is_file() || super::ome_zarr::is_store(path);
    let around = path.canonicalize().ok().and_then(|p| p.parent().map(name)).filter(|n| !n.is_empty());
    if own { of_file } else { around }.unwrap_or_else(|| "recording".into())
}

/// Says where frames are missing in all channels.
fn gaps(position: &str, times: &[i64], indices: &[usize], step: i64, unit: TimeUnit) -> Option<String> {
    let missing = indices.last()? + 1 - indices.len();
    let first = indices.windows(2).position(|pair| pair[1] > pair[0] + 1).filter(|_| missing > 0)?;
    let first = times[first].saturating_add(step);
    Some(format!(
        "{position}: {missing} frame(s) are missing in all channels, the first is {}; no window crosses them",
        time_text(first, unit)
    ))
}

fn some(names: impl IntoIterator<Item = String>) -> String {
    let all: Vec<String> = names.into_iter().collect();
    let more = if all.len() > LISTED { ", ..." } else { "" };
    format!("{}{more}", all[..all.len().min(LISTED)].join(", "))
}
