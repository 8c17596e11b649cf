//! What a plate is made from: positions of frames, wherever they come from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array3, Array4, ArrayView2};
use serde::Serialize;

use super::DataError;
use super::intensity::Histogram;
use super::sequence::Extent;

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

    /// Returns the names of the label images.
    fn labels(&self) -> Vec<String>;

    /// Returns the positions, their frames and the frame size.
    fn extent(&self) -> Extent;

    /// Returns the frames `range` of a position; raw counts go into `survey` where one is given.
    ///
    /// # Errors
    /// [`DataError`] naming the file and what is wrong with it.
    fn load(
        &self,
        position: usize,
        range: Range<usize>,
        survey: Option<&Survey>,
    ) -> Result<Frames, DataError>;

    /// Returns child and parent ids of a label, where divisions are known.
    fn parents(&self, position: usize, label: &str) -> BTreeMap<u32, u32>;

    /// Returns where frames come from, for people.
    fn describe(&self, position: usize, range: Range<usize>) -> String;
}

/// Raw counts of every channel, gathered while frames are read.
#[derive(Debug)]
pub struct Survey {
    channels: Vec<Mutex<Raw>>,
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
    /// Share of pixels at the camera's limit (65535, 4095 or 255 counts), in [0, 1].
    pub saturated: f64,
    /// Frames in which every pixel is zero.
    pub zero_frames: Vec<String>,
}

impl Survey {
    /// Returns an empty survey of `channels` channels.
    pub fn new(channels: usize) -> Self {
        Self { channels: (0..channels).map(|_| Mutex::default()).collect() }
    }

    /// Adds one raw frame of a channel.
    pub fn add(&self, channel: usize, counts: ArrayView2<'_, u16>, eight_bit: bool, name: &str) {
        let mut histogram = Histogram::default();
        histogram.add(counts);
        let mut raw = self.channels[channel].lock().unwrap_or_else(PoisonError::into_inner);
        raw.histogram.merge(&histogram);
        raw.eight_bit |= eight_bit;
        if histogram.extremes().1 == 0 {
            raw.zero_frames.push(name.to_owned());
            // Frames are read in parallel; the report has one order.
            raw.zero_frames.sort();
        }
    }

    /// Returns the quality of every channel.
    pub fn report(&self, names: &[String]) -> Vec<ChannelQuality> {
        let report = |(name, raw): (&String, &Mutex<Raw>)| {
            let raw = raw.lock().unwrap_or_else(PoisonError::into_inner);
            let (min, max) = raw.histogram.extremes();
            let limit = match (raw.eight_bit, max) {
                (true, _) => 255,
                (false, 4095) => 4095,
                _ => 65535,
            };
            ChannelQuality {
                name: name.clone(),
                bits: if raw.eight_bit { 8 } else { 16 },
                min,
                p0_1: raw.histogram.quantile(0.001),
                p50: raw.histogram.quantile(0.5),
                p99_9: raw.histogram.quantile(0.999),
                max,
                saturated: raw.histogram.share_of(limit),
                zero_frames: raw.zero_frames.clone(),
            }
        };
        names.iter().zip(&self.channels).map(report).collect()
    }
}

impl ChannelQuality {
    /// Returns what a person should know before training on this channel.
    pub fn warnings(&self) -> Vec<String> {
        let name = &self.name;
        let mut warnings = Vec::new();
        if self.bits == 8 {
            warnings
                .push(format!("channel {name} has 8 bits: already scaled for display, the counts are lost"));
        }
        if self.saturated > 0.001 {
            warnings
                .push(format!("channel {name}: {:.1} % of the pixels are saturated", 100.0 * self.saturated));
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
        survey.add(
            0,
            Array2::from_shape_fn((10, 10), |(y, _)| if y == 0 { 4095 } else { 300 }).view(),
            false,
            "b",
        );
        survey.add(0, Array2::zeros((10, 10)).view(), false, "a");
        survey.add(1, Array2::from_elem((2, 2), 9).view(), true, "c");
        let report = survey.report(&["bf".into(), "gfp".into()]);
        assert_eq!((report[0].min, report[0].max, report[0].saturated), (0, 4095, 0.05));
        assert_eq!(report[0].zero_frames, ["a"]);
        assert_eq!(report[0].warnings().len(), 2);
        assert!(report[1].warnings()[0].contains("8 bits"));
    }
}
