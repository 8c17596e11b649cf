//! What an input holds: its planes by position, channel, focal plane and time, and what it says of itself.
//!
//! Every input form gives one listing; from there on all are treated alike.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::image_file::{Grey, Header, header, read};
use super::names::{NamesTable, TimeUnit};
use super::ome_zarr::Level;
use super::tiff::{self, Page};
use crate::error::DataError;
use crate::input::file_names::name;

/// The planes of an input, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What it is, for people: `folder of 30 TIFF files`.
    pub what: String,
    /// Its planes.
    pub(super) planes: Vec<Plane>,
    /// What the times of its planes count.
    pub(super) unit: TimeUnit,
    /// Sizes that it tells.
    pub scale: Scale,
    /// Names of its channels in their order, as far as it tells.
    pub channels: Vec<String>,
    /// Display colours of channels, by name.
    pub colors: BTreeMap<String, [u8; 3]>,
    /// Child and parent ids, by position; for labels.
    pub(super) parents: BTreeMap<Option<String>, BTreeMap<u32, u32>>,
    /// Label images that lie in the same store, by name.
    pub(super) labels: BTreeMap<String, Listing>,
    /// How the names of its files were read, where there are several.
    pub table: Option<NamesTable>,
    /// What was found out, for people.
    pub notes: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// Sizes that an input tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scale {
    /// Micrometres.
    pub pixel_size_um: Option<f64>,
    /// Seconds.
    pub frame_interval_s: Option<f64>,
}

/// A plane and its place in the recording; `None` where an input does not differ in it.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) position: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) z: Option<i64>,
    /// In the listing's unit.
    pub(super) time: Option<i64>,
    /// When it was recorded, in milliseconds.
    pub(super) clock_ms: Option<i64>,
    pub(super) at: PlaneRef,
}

/// Where the pixels of a plane lie.
#[derive(Clone, Debug)]
pub(super) struct PlaneRef {
    /// File, or array of a store.
    pub(super) path: Arc<Path>,
    part: Part,
}

#[derive(Clone, Debug)]
enum Part {
    /// The only image of the file.
    File,
    /// A page of a TIFF file, and its number for people.
    Page(Page, usize),
    /// A plane of an array: indices of all axes but y and x.
    Array(Arc<Level>, Vec<u64>),
}

impl PlaneRef {
    /// Returns the only image of a file.
    pub(super) fn file(path: &Path) -> Self {
        Self { path: path.into(), part: Part::File }
    }

    /// Returns a page of a TIFF file; `number` counts from 0.
    pub(super) fn page(path: Arc<Path>, page: Page, number: usize) -> Self {
        Self { path, part: Part::Page(page, number) }
    }

    /// Returns a plane of an array.
    pub(super) fn array(level: &Arc<Level>, indices: Vec<u64>) -> Self {
        Self { path: level.path.clone(), part: Part::Array(level.clone(), indices) }
    }

    /// Reads the pixels. `[H, W]`
    ///
    /// # Errors
    /// [`DataError`] naming the file.
    pub(super) fn read(&self) -> Result<Grey, DataError> {
        match &self.part {
            Part::File => read(&self.path),
            Part::Page(page, _) => tiff::read(&self.path, *page),
            Part::Array(level, indices) => level.read(indices),
        }
    }

    /// Reads what the file says of the plane, and looks whether all of its pixels are there.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn header(&self) -> Result<Header, DataError> {
        match &self.part {
            Part::File => header(&self.path),
            Part::Page(page, _) => {
                let (header, cut) = tiff::header(&self.path, *page)?;
                if cut || header.size.0 == 0 || header.size.1 == 0 {
                    self.read()?;
                }
                Ok(header)
            }
            Part::Array(level, _) => Ok(level.header()),
        }
    }

    /// Returns the name of the file, with the page where it has several.
    pub(super) fn name(&self) -> String {
        let file = name(&self.path);
        match &self.part {
            Part::File => file,
            Part::Page(_, number) => format!("{file} page {number}"),
            Part::Array(level, indices) => level.plane_name(indices),
        }
    }
}

/// Returns the name of a channel that has none.
pub(super) fn unnamed(index: usize) -> String {
    format!("channel-{index}")
}

/// Returns a name for every channel: its own, with its number where two are equal, or its number alone.
pub(super) fn channel_names(own: impl IntoIterator<Item = Option<String>>) -> Vec<String> {
    let names: Vec<String> =
        own.into_iter().enumerate().map(|(i, n)| n.unwrap_or_else(|| unnamed(i))).collect();
    let twice = |name: &String| names.iter().filter(|n| *n == name).count() > 1;
    names.iter().enumerate().map(|(i, n)| if twice(n) { format!("{n}-{i}") } else { n.clone() }).collect()
}

impl Listing {
    /// Returns an empty listing.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            planes: Vec::new(),
            unit: TimeUnit::Frames,
            scale: Scale::default(),
            channels: Vec::new(),
            colors: BTreeMap::new(),
            parents: BTreeMap::new(),
            labels: BTreeMap::new(),
            table: None,
            notes: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Returns the channels that its planes show, in the order of `channels`, others behind in natural order.
    pub fn channel_names(&self) -> Vec<String> {
        let there: BTreeSet<&String> = self.planes.iter().filter_map(|p| p.channel.as_ref()).collect();
        let mut names: Vec<String> = self.channels.iter().filter(|c| there.contains(c)).cloned().collect();
        let mut others: Vec<String> = there.into_iter().filter(|c| !names.contains(c)).cloned().collect();
        others.sort_by(|a, b| super::file_names::natural(a, b));
        names.extend(others);
        names
    }

    /// Returns the label images that lie in the same store.
    pub fn label_names(&self) -> Vec<String> {
        self.labels.keys().cloned().collect()
    }

    /// Returns the focal planes in their order.
    pub(super) fn depths(&self) -> Vec<i64> {
        let depths: BTreeSet<i64> = self.planes.iter().filter_map(|p| p.z).collect();
        depths.into_iter().collect()
    }
}
