//! Labels whose ids are no tracks, read as tracks: objects were linked over the whole of a position before.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::error::DataError;
use crate::input::source::{Extent, Frames, Source, Survey};
use crate::plate::LabelMeta;

/// The tracks of one label in one position.
#[derive(Clone, Debug, Default)]
pub struct PositionTracks {
    /// Id and track of each object by frame; ids rise.
    pub frames: BTreeMap<usize, Vec<(u32, u32)>>,
    /// Child and parent tracks.
    pub parents: BTreeMap<u32, u32>,
}

/// Tracks by label and position. A label that is not in it has tracks for ids already.
pub type Tracks = BTreeMap<String, BTreeMap<usize, PositionTracks>>;

/// A source with tracks in place of the ids of some labels.
pub struct LinkedLabels<'a> {
    /// Frames with ids as they were when the tracks were found.
    pub source: &'a dyn Source,
    /// Which track an object belongs to.
    pub tracks: &'a Tracks,
}

impl Source for LinkedLabels<'_> {
    fn channels(&self) -> Vec<String> {
        self.source.channels()
    }

    fn labels(&self) -> Vec<LabelMeta> {
        self.source.labels()
    }

    fn extent(&self) -> Extent {
        self.source.extent()
    }

    fn load(
        &self,
        position: usize,
        range: Range<usize>,
        survey: Option<&Survey>,
    ) -> Result<Frames, DataError> {
        let mut loaded = self.source.load(position, range.clone(), survey)?;
        for (name, positions) in self.tracks {
            let (Some(all), Some(tracks)) = (loaded.labels.get_mut(name), positions.get(&position)) else {
                continue;
            };
            let frames: Vec<_> = range.clone().zip(all.axis_iter_mut(Axis(0))).collect();
            frames
                .into_par_iter()
                .for_each(|(t, frame)| rename(frame, tracks.frames.get(&t).map_or(&[], Vec::as_slice)));
        }
        Ok(loaded)
    }

    fn parents(&self, position: usize, label: &str) -> BTreeMap<u32, u32> {
        match self.tracks.get(label).and_then(|positions| positions.get(&position)) {
            Some(tracks) => tracks.parents.clone(),
            None => self.source.parents(position, label),
        }
    }

    fn describe(&self, position: usize, range: Range<usize>) -> String {
        self.source.describe(position, range)
    }
}

/// Replaces ids by their tracks; `tracks` rises by id.
fn rename(mut frame: ArrayViewMut2<'_, u32>, tracks: &[(u32, u32)]) {
    let (mut last, mut track) = (0, 0);
    for pixel in &mut frame {
        if *pixel != last {
            last = *pixel;
            track = tracks.binary_search_by_key(&last, |of| of.0).map_or(0, |at| tracks[at].1);
        }
        *pixel = track;
    }
}
