//! What a sequence shows in numbers that a biologist knows: noise, sharpness, how channels belong together, how many
//! cells there are, their shapes, how they move and grow.
//!
//! A statistic turns one sequence into some samples: one per frame, per object, or per object and step in time. The
//! samples of two sets are two distributions, and how far these are apart (Wasserstein-1, in the statistic's own unit) is
//! a metric like any other. A new statistic is one function and one line in [`OF_CHANNEL`], [`OF_CHANNELS`] or
//! [`OF_OBJECTS`].

pub mod channel;
pub mod channels;
pub mod objects;

use ndarray::ArrayView3;
use serde::Serialize;

use super::suite::Metric;
use crate::plate::Calibration;
use crate::stats::wasserstein::{quantile, wasserstein_1};
use objects::Objects;

/// Key, label, unit and definition of a statistic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Name in `metrics.json`.
    pub key: &'static str,
    /// Name for people.
    pub label: &'static str,
    /// Unit of its samples.
    pub unit: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
}

/// One channel of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct ChannelFrames<'a> {
    /// Camera counts. `[T, H, W]`
    pub counts: ArrayView3<'a, u16>,
    /// Range that the networks see.
    pub calibration: Calibration,
}

/// A statistic of one channel.
pub type OfChannel = (Named, fn(ChannelFrames<'_>) -> Vec<f64>);
/// A statistic of how all channels belong together.
pub type OfChannels = (Named, fn(&[ChannelFrames<'_>]) -> Vec<f64>);
/// A statistic of the objects of a sequence.
pub type OfObjects = (Named, fn(&Objects) -> Vec<f64>);

/// Statistics of one channel.
pub const OF_CHANNEL: &[OfChannel] = &[
    (
        Named {
            key: "noise",
            label: "Noise",
            unit: "counts",
            about: "Standard deviation of the camera noise in a frame: median absolute value of its second differences in both directions, which structure hardly touches.",
        },
        channel::noise,
    ),
    (
        Named {
            key: "noise_gain",
            label: "Noise per brightness",
            unit: "counts",
            about: "Slope of the noise's variance over the local mean: the camera's gain where photons make the noise, 0 where it is the same in dark and bright.",
        },
        channel::noise_gain,
    ),
    (
        Named {
            key: "sharpness",
            label: "Sharpness of edges",
            unit: "1/px",
            about: "99th percentile of the gradient in a frame, as a share of the range between its 1st and 99th percentiles per pixel.",
        },
        channel::sharpness,
    ),
    (
        Named {
            key: "bright_tail",
            label: "Bright tail",
            unit: "counts",
            about: "99.9th percentile of a frame above its median: sparse bright objects are what clipping loses.",
        },
        channel::bright_tail,
    ),
    (
        Named {
            key: "likeness_of_frames",
            label: "Likeness of neighbouring frames",
            unit: "correlation",
            about: "Correlation of a frame with the next one: 1 where a frame is copied.",
        },
        channel::likeness,
    ),
    (
        Named {
            key: "drift",
            label: "Change of the mean per frame",
            unit: "counts",
            about: "Mean of the next frame minus that of this one.",
        },
        channel::drift,
    ),
];

/// Statistics of all channels together.
pub const OF_CHANNELS: &[OfChannels] = &[
    (
        Named {
            key: "shared_information",
            label: "Information that channels share",
            unit: "bit",
            about: "Mutual information of the first channel and each other one in a frame, of 16 grey levels with equally many pixels each.",
        },
        channels::shared_information,
    ),
    (
        Named {
            key: "correlation",
            label: "Correlation of channels",
            unit: "correlation",
            about: "Correlation of the first channel and each other one in a frame.",
        },
        channels::correlation,
    ),
];

/// Statistics of objects.
pub const OF_OBJECTS: &[OfObjects] = &[
    (
        Named { key: "objects", label: "Objects per frame", unit: "", about: "Objects in a frame." },
        objects::count,
    ),
    (
        Named { key: "area", label: "Area", unit: "px", about: "Pixels of an object in a frame." },
        objects::area,
    ),
    (
        Named {
            key: "eccentricity",
            label: "Eccentricity",
            unit: "",
            about: "Eccentricity of the ellipse with an object's second moments: 0 for a circle.",
        },
        objects::eccentricity,
    ),
    (
        Named {
            key: "solidity",
            label: "Solidity",
            unit: "",
            about: "Pixels of an object as a share of those in its convex hull.",
        },
        objects::solidity,
    ),
    (
        Named {
            key: "touching",
            label: "Objects that touch another",
            unit: "share",
            about: "Share of the objects in a frame that touch another one.",
        },
        objects::touching,
    ),
    (
        Named {
            key: "growth",
            label: "Growth per frame",
            unit: "log ratio",
            about: "Natural logarithm of an object's area in the next frame over that in this one.",
        },
        objects::growth,
    ),
    (
        Named {
            key: "displacement",
            label: "Movement per frame",
            unit: "px",
            about: "Distance of an object's centre to that in the next frame.",
        },
        objects::displacement,
    ),
    (
        Named {
            key: "births",
            label: "Divisions per object and frame",
            unit: "share",
            about: "Objects that appear with a mother, as a share of the objects in the frame before; one number per sequence.",
        },
        objects::births,
    ),
];

impl Named {
    /// Returns the metric that the distance of two sets by this statistic is.
    pub fn metric(&self) -> Metric {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" [{}]", self.unit) };
        Metric {
            key: format!("{}_w1", self.key),
            label: format!("{}, W1{unit}", self.label),
            definition: format!("Wasserstein-1 distance of two sets by: {}", self.about),
        }
    }
}

/// Samples of every sequence by statistic. `[statistics][N]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<Vec<Vec<f64>>>);

impl Samples {
    /// Returns the samples of one sequence by statistic as those of a set of one.
    pub fn of(samples: impl Iterator<Item = Vec<f64>>) -> Self {
        Self(samples.map(|samples| vec![samples]).collect())
    }

    /// Returns those of several sets as one; all have the same statistics.
    pub fn concat(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut sets = sets.into_iter();
        let mut all = sets.next().unwrap_or_default();
        for set in sets {
            all.0.iter_mut().zip(set.0).for_each(|(to, from)| to.extend(from));
        }
        all
    }

    /// Returns those of some of the sequences.
    #[must_use]
    pub fn select(&self, picks: &[usize]) -> Self {
        Self(self.0.iter().map(|column| picks.iter().map(|&i| column[i].clone()).collect()).collect())
    }

    /// Returns all samples of a statistic.
    fn pooled(&self, statistic: usize) -> Vec<f64> {
        self.0.get(statistic).into_iter().flatten().flatten().copied().collect()
    }
}

/// Returns the distances of two sets by key; those without samples on both sides are left out.
pub fn compare(named: &[Named], a: &Samples, b: &Samples) -> Vec<(String, f64)> {
    let distance =
        |(i, named): (usize, &Named)| Some((named.metric().key, wasserstein_1(&a.pooled(i), &b.pooled(i))?));
    named.iter().enumerate().filter_map(distance).collect()
}

/// What is usual in two sets by one statistic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Typical {
    /// Name of the statistic.
    pub key: &'static str,
    /// Name for people.
    pub label: &'static str,
    /// Unit.
    pub unit: &'static str,
    /// 10th, 50th and 90th percentile of the held-out real samples.
    pub reference: [f64; 3],
    /// The same of the synthetic ones.
    pub synthetic: [f64; 3],
}

/// Returns what is usual in the reference and in the synthetic set.
pub fn typical(named: &[Named], reference: &Samples, synthetic: &Samples) -> Vec<Typical> {
    let percentiles = |samples: &Samples, i: usize| {
        let mut samples = samples.pooled(i);
        samples.sort_by(f64::total_cmp);
        let [low, middle, high] = [0.1, 0.5, 0.9].map(|q| quantile(&samples, q));
        Some([low?, middle?, high?])
    };
    let of = |(i, named): (usize, &Named)| {
        Some(Typical {
            key: named.key,
            label: named.label,
            unit: named.unit,
            reference: percentiles(reference, i)?,
            synthetic: percentiles(synthetic, i)?,
        })
    };
    named.iter().enumerate().filter_map(of).collect()
}

/// Returns the names in a list of statistics.
pub fn names<F>(all: &[(Named, F)]) -> Vec<Named> {
    all.iter().map(|(named, _)| *named).collect()
}
