//! A recording: channels and labels from inputs of any form, on one pixel grid.
//!
//! What an input holds is found in `open.rs`, which planes belong together in `pairing.rs`, whether their headers agree
//! in `headers.rs`, and how channels of different sizes lie on one grid in `align.rs`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ndarray::{Array2, Array3, Array4, Axis};
use rayon::prelude::*;

use super::align::{self, Align, Grid, Plane};
use super::capacity::expect_memory;
use super::conversion::{Conversion, conversion};
use super::folder::Reading;
use super::headers;
use super::image_file::Depth;
use super::listing::{Listing, PlaneRef, Scale};
use super::members::{FocalPlane, Member};
use super::names::{NamesTable, plain};
use super::open::open;
use super::pairing::{Missing, Planes, pair};
use crate::error::DataError;
use crate::input::source::{Extent, Frames, Place, Source, Survey};
use crate::plate::{LabelKind, LabelMeta};

mod read;
#[cfg(test)]
mod tests;

/// A channel or label and where it is read from, `NAME=PATH` or `NAME=PATH@PART`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Channel or label name.
    pub name: String,
    /// Folder of frames, file, or store.
    pub path: PathBuf,
    /// Which channel or label of it, where it has several.
    pub part: Option<String>,
}

/// How inputs are read and brought together.
#[derive(Clone, Debug)]
pub struct Options {
    /// What names and pages are.
    pub reading: Reading,
    /// Blocks of this many pixels are averaged.
    pub downscale: usize,
    /// What channels and labels of another size show, where it is known.
    pub align: Option<Align>,
    /// Which focal plane is taken.
    pub depth: Option<FocalPlane>,
    /// What is done with frames that some channels or labels lack.
    pub missing: Missing,
}

impl Default for Options {
    fn default() -> Self {
        Self { reading: Reading::default(), downscale: 1, align: None, depth: None, missing: Missing::Error }
    }
}

/// Inputs with their planes paired and their headers read.
#[derive(Debug)]
pub struct Recording {
    channels: Vec<Input>,
    labels: Vec<Input>,
    /// Names of the labels that show structure, not objects.
    pub structure: Vec<String>,
    /// Names of the labels that are masks: the pieces of each frame's foreground become its objects.
    pub binary: Vec<String>,
    positions: Vec<Position>,
    /// Rows and columns of the files of each channel, then of each label.
    sizes: Vec<(usize, usize)>,
    /// What brings the numbers of each channel to counts, where they are none.
    conversions: Vec<Option<Conversion>>,
    /// Whether several focal planes become their maximum or mean.
    depth: Option<FocalPlane>,
    /// Child and parent ids by label and position, where files tell them.
    parents: BTreeMap<(String, usize), BTreeMap<u32, u32>>,
    /// How they come to one grid.
    grid: Grid,
    downscale: usize,
    /// Sizes that the inputs tell, after frames were left out.
    pub scale: Scale,
    /// Frames of the input from one frame to the next, more than 1 where some were left out.
    pub every: f64,
    /// Display colours that the inputs tell, by channel.
    pub colors: BTreeMap<String, [u8; 3]>,
    /// How names were read, one per folder.
    pub tables: Vec<NamesTable>,
    /// Notes on what was done to the input (binning, downscale).
    pub notes: Vec<String>,
    /// Warnings to show to the user.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
struct Position {
    name: String,
    /// Planes of all channels, then of all labels, by time index.
    frames: BTreeMap<usize, Vec<Planes>>,
}

/// Listings by path, so that an input of several channels is listed once.
pub type Listings = BTreeMap<PathBuf, Arc<Listing>>;

impl Recording {
    /// Lists the inputs, pairs their planes, and reads the headers of all frames.
    ///
    /// # Errors
    /// [`DataError`] where an input is missing or empty, where one has frames or positions that another lacks, where a
    /// frame differs from the others of its channel, or where sizes do not go together.
    pub fn open(channels: &[Input], labels: &[Input], options: &Options) -> Result<Self, DataError> {
        Self::open_listed(channels, labels, options, &mut Listings::new())
    }

    /// As [`Recording::open`], where some inputs are listed already.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn open_listed(
        channels: &[Input],
        labels: &[Input],
        options: &Options,
        listings: &mut Listings,
    ) -> Result<Self, DataError> {
        let Options { reading, downscale, align, depth, missing } = options;
        if *downscale == 0 {
            let expected = "at least 1".into();
            return Err(DataError::Setting { field: "--downscale", found: "0".into(), expected });
        }
        let inputs: Vec<&Input> = channels.iter().chain(labels).collect();
        for input in &inputs {
            if !listings.contains_key(&input.path) {
                listings.insert(input.path.clone(), Arc::new(open(&input.path, reading)?));
            }
        }
        let members: Vec<Member<'_>> = inputs
            .iter()
            .enumerate()
            .map(|(i, input)| member(input, &listings[&input.path], i >= channels.len()))
            .collect();
        let paired = pair(&members, *depth, *missing)?;
        let (mut notes, mut warnings, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for listing in members.iter().map(|m| m.listing) {
            extend_new(&mut warnings, &listing.warnings);
            extend_new(&mut notes, &listing.notes);
            extend_new(&mut tables, listing.table.as_slice());
        }
        let scale = scale(&members, &paired, &mut warnings);
        let parents = parents(&members, &paired);
        notes.extend(paired.notes);
        warnings.extend(paired.warnings);
        let positions: Vec<Position> =
            paired.positions.into_iter().map(|(name, frames)| Position { name, frames }).collect();
        // Every header is read before the long work, and by a dry run too.
        let mut planes = Vec::new();
        let mut conversions = Vec::new();
        for (i, input) in inputs.iter().enumerate() {
            let labels = i >= channels.len();
            let what = format!("{} {}", if labels { "labels" } else { "channel" }, input.name);
            let frames: Vec<&PlaneRef> =
                positions.iter().flat_map(|p| p.frames.values()).flat_map(|planes| &planes[i]).collect();
            let header = headers::check(&what, &frames, labels)?;
            let other = !labels && matches!(header.depth, Depth::Wide | Depth::Float);
            conversions.push(if other { Some(conversion(&frames)?) } else { None });
            if let Some(conversion) = conversions[i] {
                notes.push(format!("{what} holds {}: {}", header.depth.words(), conversion.words()));
            }
            planes.push(Plane { what, size: header.size, path: frames[0].path.to_path_buf(), labels });
        }
        let real: Vec<Option<PathBuf>> = inputs.iter().map(|input| input.path.canonicalize().ok()).collect();
        for (i, plane) in planes.iter().enumerate() {
            let same = |first: &usize| real[*first] == real[i] && inputs[*first].part == inputs[i].part;
            if let Some(first) = (0..i).find(same).filter(|_| !is_inner(&members[i])) {
                warnings.push(format!("{} and {} are the same folder", planes[first].what, plane.what));
            }
        }
        let grid = align::align(&planes, *align)?;
        notes.extend(grid.notes.iter().cloned());
        warnings.extend(grid.warnings.iter().cloned());
        if *downscale > 1 {
            let small = (grid.size.0 / downscale, grid.size.1 / downscale);
            notes.push(format!("downscaled {downscale} x from {} to {}", text(grid.size), text(small)));
        }
        let colors = members
            .iter()
            .filter(|m| !m.is_label)
            .filter_map(|m| {
                let own = m.channel.or(m.listing.channels.first().map(String::as_str))?;
                Some((m.name.to_owned(), *m.listing.colors.get(own)?))
            })
            .collect();
        let recording = Self {
            channels: channels.to_vec(),
            labels: labels.to_vec(),
            structure: Vec::new(),
            binary: Vec::new(),
            positions,
            sizes: planes.iter().map(|plane| plane.size).collect(),
            conversions,
            depth: *depth,
            parents,
            grid,
            downscale: *downscale,
            scale,
            every: paired.every,
            colors,
            tables,
            notes,
            warnings,
        };
        // One frame is read as well, so that what no header shows comes before the long work in the usual case, in
        // which it is so in all frames.
        let first = recording.positions.first().and_then(|p| p.frames.keys().next()).copied().unwrap_or(0);
        recording.load(0, first..first + 1, None)?;
        Ok(recording)
    }
}

/// Adds what is not there yet: several channels of one input say the same.
fn extend_new<A: Clone + PartialEq>(all: &mut Vec<A>, more: &[A]) {
    for one in more {
        if !all.contains(one) {
            all.push(one.clone());
        }
    }
}

/// Returns whether a label lies in the store of the images.
fn is_inner(member: &Member<'_>) -> bool {
    member.is_label && member.listing.what.contains("OME-Zarr label")
}

/// Returns what an input means in its listing: a channel of it, or a label image of the same store.
fn member<'a>(input: &'a Input, listing: &'a Listing, is_label: bool) -> Member<'a> {
    let part = input.part.as_deref();
    let inner = match part {
        Some(part) => listing.labels.get(part),
        // A store's only label image is the one that is meant.
        None if listing.labels.len() == 1 => listing.labels.values().next(),
        None => None,
    };
    let (listing, channel) = match inner.filter(|_| is_label) {
        Some(inner) => (inner, None),
        None => (listing, part),
    };
    Member { name: &input.name, path: &input.path, listing, channel, is_label }
}

/// Returns the sizes that the first channel tells; others that tell it otherwise are warned of.
fn scale(members: &[Member<'_>], paired: &super::pairing::Paired, warnings: &mut Vec<String>) -> Scale {
    let channels = || members.iter().filter(|m| !m.is_label);
    let mut scale = Scale::default();
    for member in channels() {
        let told = member.listing.scale;
        // Channels with larger pixels were binned.
        scale.pixel_size_um = match (scale.pixel_size_um, told.pixel_size_um) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        scale.frame_interval_s = scale.frame_interval_s.or(told.frame_interval_s.map(|s| s * paired.every));
    }
    let by_names = paired.interval_s;
    if let (Some(a), Some(b)) = (scale.frame_interval_s, by_names)
        && (a - b).abs() > 0.05 * a
    {
        warnings.push(format!(
            "files tell a time between frames of {a} s, and the times of their frames one of {b} s; {b} s is taken"
        ));
    }
    scale.frame_interval_s = by_names.or(scale.frame_interval_s);
    scale
}

/// Returns child and parent ids by label and position.
fn parents(
    members: &[Member<'_>],
    paired: &super::pairing::Paired,
) -> BTreeMap<(String, usize), BTreeMap<u32, u32>> {
    let mut parents = BTreeMap::new();
    for member in members.iter().filter(|m| m.is_label) {
        for (i, (position, _)) in paired.positions.iter().enumerate() {
            let key = &paired.keys[position];
            let of =
                |(name, _): &(&Option<String>, _)| name.as_deref().map_or_else(String::new, plain) == *key;
            let told = member.listing.parents.iter().find(of);
            let only = member.listing.parents.iter().next().filter(|_| paired.positions.len() == 1);
            if let Some((_, told)) = told.or(only) {
                parents.insert((member.name.to_owned(), i), told.clone());
            }
        }
    }
    parents
}

impl Source for Recording {
    fn channels(&self) -> Vec<String> {
        self.channels.iter().map(|c| c.name.clone()).collect()
    }

    fn labels(&self) -> Vec<LabelMeta> {
        let kind = |name: &str| {
            if self.structure.iter().any(|s| s == name) {
                LabelKind::Structure
            } else {
                LabelKind::of_name(name)
            }
        };
        let label = |l: &Input| LabelMeta { name: l.name.clone(), kind: kind(&l.name), route: None };
        self.labels.iter().map(label).collect()
    }

    fn extent(&self) -> Extent {
        Extent {
            positions: self
                .positions
                .iter()
                .map(|p| (p.name.clone(), runs(p.frames.keys().copied())))
                .collect(),
            size: (self.grid.size.0 / self.downscale, self.grid.size.1 / self.downscale),
        }
    }

    fn load(
        &self,
        position: usize,
        range: Range<usize>,
        survey: Option<&Survey>,
    ) -> Result<Frames, DataError> {
        let (h, w) = self.extent().size;
        let (n, channels) = (range.len(), self.channels.len());
        let frames: Vec<(usize, &Vec<Planes>)> =
            self.positions[position].frames.range(range).map(|(&t, planes)| (t, planes)).collect();
        if let Some(first) = frames.first().and_then(|(_, planes)| planes[0].first()) {
            // Planes as they were read, and the same in one array.
            let frame = (h * w) as u64 * (2 * channels + 4 * self.labels.len()) as u64;
            let what = format!("{n} frame(s) of {} from here on", text((h, w)));
            expect_memory(&first.path, &what, frame.saturating_mul(2 * n as u64))?;
        }
        let mut image = Array4::zeros((n, channels, h, w));
        let mut labels: BTreeMap<String, Array3<u32>> =
            self.labels.iter().map(|l| (l.name.clone(), Array3::zeros((n, h, w)))).collect();
        let planes = frames.par_iter().map(|&(frame, planes)| {
            let place = survey.map(|survey| (survey, Place { position, frame }));
            let counts: Vec<Array2<u16>> =
                (0..channels).map(|c| self.channel(c, &planes[c], place)).collect::<Result<_, _>>()?;
            let ids: Vec<Array2<u32>> = planes[channels..]
                .iter()
                .enumerate()
                .map(|(i, planes)| self.label(i, planes, survey))
                .collect::<Result<_, _>>()?;
            Ok((counts, ids))
        });
        for (t, (counts, ids)) in planes.collect::<Result<Vec<_>, DataError>>()?.into_iter().enumerate() {
            for (c, plane) in counts.iter().enumerate() {
                image.index_axis_mut(Axis(0), t).index_axis_mut(Axis(0), c).assign(plane);
            }
            for (label, plane) in self.labels.iter().zip(ids) {
                if let Some(all) = labels.get_mut(&label.name) {
                    all.index_axis_mut(Axis(0), t).assign(&plane);
                }
            }
        }
        Ok(Frames { image, labels })
    }

    fn load_labels(
        &self,
        position: usize,
        range: Range<usize>,
    ) -> Result<BTreeMap<String, Array3<u32>>, DataError> {
        let channels = self.channels.len();
        let frames: Vec<&Vec<Planes>> =
            self.positions[position].frames.range(range).map(|(_, planes)| planes).collect();
        let size = self.extent().size;
        let load = |(i, label): (usize, &Input)| {
            let planes = frames.par_iter().map(|planes| self.label(i, &planes[channels + i], None));
            let mut all = Array3::zeros((frames.len(), size.0, size.1));
            for (t, plane) in planes.collect::<Result<Vec<_>, _>>()?.iter().enumerate() {
                all.index_axis_mut(Axis(0), t).assign(plane);
            }
            Ok((label.name.clone(), all))
        };
        self.labels.iter().enumerate().map(load).collect()
    }

    fn parents(&self, position: usize, label: &str) -> BTreeMap<u32, u32> {
        let told = self
            .parents
            .get(&(label.to_owned(), position))
            .filter(|_| !self.binary.iter().any(|b| b == label));
        told.cloned().unwrap_or_default()
    }

    fn describe(&self, position: usize, range: Range<usize>) -> String {
        let position = &self.positions[position];
        let plane = |t| {
            let planes = position.frames.get(&t).and_then(|planes| planes[0].first());
            planes.map_or_else(String::new, PlaneRef::name)
        };
        let (first, last) = (plane(range.start), plane(range.end.saturating_sub(1)));
        if first == last {
            format!("{}/{first}", position.name)
        } else {
            format!("{}/{first}..{last}", position.name)
        }
    }
}

/// Returns the runs of consecutive indices.
fn runs(indices: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for i in indices {
        match runs.last_mut() {
            Some(run) if run.end == i => run.end += 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

/// Returns a size as people write it, width first.
pub(super) fn text((height, width): (usize, usize)) -> String {
    format!("{width} x {height}")
}
