//! The source of a plate: positions and their frames, from files or from a simulation.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array3, Array4, ArrayView2};
use serde::Serialize;

use super::downscaled::Downscaled;
use super::frame_stats::FrameStats;
use crate::error::DataError;
use crate::plate::LabelMeta;
use crate::plate::groups::frame_digest;
use crate::plate::intensity::{CoarseHistogram, Histogram};
use crate::plate::saturation::{is_limit, saturation};

/// Bins of the histogram that is kept.
const HISTOGRAM_BINS: usize = 128;
/// Share of saturated pixels from which on a person should know.
const MUCH_SATURATED: f64 = 0.001;

/// The positions of a recording, each with its runs of frames without a gap in time, and the frame size.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Name and runs of frames per position.
    pub positions: Vec<(String, Vec<Range<usize>>)>,
    /// Rows and columns of a frame.
    pub size: (usize, usize),
}

/// Frames of one position in memory, on one pixel grid.
#[derive(Clone, Debug)]
pub struct Frames {
    /// Camera counts. `[F, C, H, W]`
    pub image: Array4<u16>,
    /// Object ids by label name. `[F, H, W]`
    pub labels: BTreeMap<String, Array3<u32>>,
}

/// A recording, real or simulated.
pub trait Source: Sync {
    /// Returns the names of the image channels, the anchor first.
    fn channels(&self) -> Vec<String>;

    /// Returns the label images; how they came about is not known here.
    fn labels(&self) -> Vec<LabelMeta>;

    /// Returns the positions, their frames and the frame size.
    fn extent(&self) -> Extent;

    /// Returns the frames `range` of a position; raw frames go into `survey` where one is given, all channels of each.
    ///
    /// # Errors
    /// [`DataError`] naming the file and what is wrong with it.
    fn load(
        &self,
        position: usize,
        range: Range<usize>,
        survey: Option<&Survey>,
    ) -> Result<Frames, DataError>;

    /// Returns the labels alone of the frames `range` of a position.
    ///
    /// # Errors
    /// As [`Source::load`].
    fn load_labels(
        &self,
        position: usize,
        range: Range<usize>,
    ) -> Result<BTreeMap<String, Array3<u32>>, DataError> {
        Ok(self.load(position, range, None)?.labels)
    }

    /// Returns child and parent ids of a label, where divisions are known.
    fn parents(&self, position: usize, label: &str) -> BTreeMap<u32, u32>;

    /// Returns where frames come from, as text for records and messages.
    fn describe(&self, position: usize, range: Range<usize>) -> String;
}

/// What raw frames hold, gathered while they are read: counts of every channel, digests of the anchor's frames.
#[derive(Debug)]
pub struct Survey {
    channels: Vec<Mutex<Raw>>,
    /// Digests of the anchor's frames by position and time; blank frames have none.
    digests: Mutex<BTreeMap<(usize, usize), u64>>,
    /// What frames are like, by channel, position and time.
    frames: Mutex<BTreeMap<(usize, usize, usize), FrameStats>>,
    /// Objects before and after downscaling, by label.
    pub(super) downscaled: Mutex<BTreeMap<String, Downscaled>>,
}

/// Which frame of a recording: index of the position and of the frame in it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Index of the position.
    pub position: usize,
    /// Index of the frame.
    pub frame: usize,
}

#[derive(Debug, Default)]
struct Raw {
    histogram: Histogram,
    eight_bit: bool,
    zero_frames: Vec<String>,
}

/// Quality of one channel as recorded, before any binning or scaling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelQuality {
    /// Channel name.
    pub name: String,
    /// Bits per pixel in the files.
    pub bits: u8,
    /// Smallest count.
    pub min: u16,
    /// 0.1st percentile in counts.
    pub p0_1: u16,
    /// Median in counts.
    pub p50: u16,
    /// 99.9th percentile in counts.
    pub p99_9: u16,
    /// Largest count.
    pub max: u16,
    /// Share of pixels at or above the count where the histogram piles up at its top, in [0, 1].
    pub saturated: f64,
    /// That count; `None` where there is no such pile.
    pub saturation_value: Option<u16>,
    /// Frames in which every pixel is zero.
    pub zero_frames: Vec<String>,
    /// How often counts occur.
    pub histogram: CoarseHistogram,
}

impl Survey {
    /// Returns an empty survey of `channels` channels.
    pub fn new(channels: usize) -> Self {
        Self {
            channels: (0..channels).map(|_| Mutex::default()).collect(),
            digests: Mutex::default(),
            frames: Mutex::default(),
            downscaled: Mutex::default(),
        }
    }

    /// Adds one raw frame of a channel, the anchor is channel 0; `name` is for people.
    pub fn add(
        &self,
        channel: usize,
        place: Place,
        counts: ArrayView2<'_, u16>,
        eight_bit: bool,
        name: &str,
    ) {
        if channel == 0
            && let Some(digest) = frame_digest(counts)
        {
            let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
            digests.insert((place.position, place.frame), digest);
        }
        let stats = FrameStats::of(counts, channel == 0);
        let place_of = (channel, place.position, place.frame);
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).insert(place_of, stats);
        let mut histogram = Histogram::default();
        histogram.add(counts);
        let mut raw = self.channels[channel].lock().unwrap_or_else(PoisonError::into_inner);
        raw.histogram.merge(&histogram);
        raw.eight_bit |= eight_bit;
        if histogram.extremes().1 == 0 {
            raw.zero_frames.push(name.to_owned());
            // Frames are read in parallel; sorting gives the report the same order every time.
            raw.zero_frames.sort();
        }
    }

    /// Returns the digests of the anchor's frames `range` of a position, blank frames left out.
    pub fn digests(&self, position: usize, range: Range<usize>) -> Vec<u64> {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        digests.range((position, range.start)..(position, range.end)).map(|(_, digest)| *digest).collect()
    }

    /// Returns the digest of one of the anchor's frames; blank frames have none.
    pub fn digest(&self, place: Place) -> Option<u64> {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        digests.get(&(place.position, place.frame)).copied()
    }

    /// Returns what a frame of a channel is like; zeros where it was not looked at.
    pub fn frame_stats(&self, channel: usize, place: Place) -> FrameStats {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.get(&(channel, place.position, place.frame)).cloned().unwrap_or_default()
    }

    /// Returns the quality of every channel.
    pub fn report(&self, names: &[String]) -> Vec<ChannelQuality> {
        let report = |(name, raw): (&String, &Mutex<Raw>)| {
            let raw = raw.lock().unwrap_or_else(PoisonError::into_inner);
            let (min, max) = raw.histogram.extremes();
            let saturation = saturation(&raw.histogram, raw.eight_bit);
            ChannelQuality {
                name: name.clone(),
                bits: if raw.eight_bit { 8 } else { 16 },
                min,
                p0_1: raw.histogram.quantile(0.001),
                p50: raw.histogram.quantile(0.5),
                p99_9: raw.histogram.quantile(0.999),
                max,
                saturated: saturation.map_or(0.0, |s| s.share),
                saturation_value: saturation.map(|s| s.value),
                zero_frames: raw.zero_frames.clone(),
                histogram: raw.histogram.coarse(HISTOGRAM_BINS),
            }
        };
        names.iter().zip(&self.channels).map(report).collect()
    }
}

impl ChannelQuality {
    /// Returns warnings to read before training on this channel.
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.name;
        let mut warnings = Vec::new();
        if self.bits == 8 {
            warnings.push(format!(
                "channel {name} has 8 bits per pixel: if it was scaled for display, its counts are lost; \
                 take the 16-bit files of the camera where there are any"
            ));
        }
        if let Some(value) = self.saturation_value.filter(|_| self.saturated > MUCH_SATURATED) {
            let share = 100.0 * self.saturated;
            let certainty = if is_limit(usize::from(value)) { "" } else { ", it seems" };
            warnings.push(format!(
                "channel {name}: {share:.1} % of the pixels are saturated{certainty}: they pile up at {value} counts, \
                 and what was brighter is lost; expose less, or leave out what is overexposed"
            ));
        }
        if let Some(first) = self.zero_frames.first() {
            let n = self.zero_frames.len();
            warnings
                .push(format!("channel {name}: {n} frame(s) hold nothing but zeros, the first is {first}"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn saturation_and_empty_frames_are_reported() {
        let survey = Survey::new(2);
        let place = |frame| Place { position: 0, frame };
        survey.add(
            0,
            place(0),
            Array2::from_shape_fn((10, 10), |(y, _)| if y == 0 { 4095 } else { 300 }).view(),
            false,
            "b",
        );
        survey.add(0, place(1), Array2::zeros((10, 10)).view(), false, "a");
        survey.add(1, place(0), Array2::from_elem((2, 2), 9).view(), true, "c");
        assert_eq!((survey.digests(0, 0..2).len(), survey.digests(1, 0..2).len()), (1, 0));
        let report = survey.report(&["bf".into(), "gfp".into()]);
        assert_eq!((report[0].min, report[0].max, report[0].saturated), (0, 4095, 0.05));
        assert_eq!(report[0].saturation_value, Some(4095));
        assert_eq!(report[0].zero_frames, ["a"]);
        assert_eq!(report[0].warnings().len(), 2);
        assert!(report[1].warnings()[0].contains("8 bits per pixel: if"));
    }
}
