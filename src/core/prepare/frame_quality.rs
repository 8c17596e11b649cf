//! The frames of a recording over time: brightness, sharpness, drift, and those that a person should look at.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::input::source::{Extent, Place, Survey};

/// Frames before and after one that it is compared with: what grows changes the picture slowly.
const NEIGHBOURS: usize = 5;
/// A frame is dim below this share of the brightness of its neighbours.
const DIM: f64 = 0.5;
/// A frame is blurred below this share of the sharpness of its neighbours.
const BLURRED: f64 = 0.4;
/// A frame has jumped where it moved by more than this share of the field since the one before.
const JUMP: f64 = 0.02;

/// The frames of one position.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PositionFrames {
    /// Name of the position.
    pub position: String,
    /// Index of each frame in time.
    pub frame: Vec<usize>,
    /// Mean count by channel.
    pub mean: BTreeMap<String, Vec<f64>>,
    /// Brenner's gradient by channel, see [`FrameStats`](crate::input::frame_stats::FrameStats::focus).
    pub focus: BTreeMap<String, Vec<f64>>,
    /// Movement of the first channel since the first frame, in raw pixels along y and x.
    pub drift_px: Vec<[f64; 2]>,
}

/// A frame that a person should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OddFrame {
    /// Name of the position.
    pub position: String,
    /// Index in time.
    pub frame: usize,
    /// Channel.
    pub channel: String,
    /// What is odd about it.
    pub what: String,
}

/// All frames, and the odd ones among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FrameQuality {
    /// By position.
    pub positions: Vec<PositionFrames>,
    /// In their order.
    pub odd: Vec<OddFrame>,
}

impl FrameQuality {
    /// Returns what a survey found, by position of the recording.
    pub fn of(survey: &Survey, channels: &[String], extent: &Extent) -> Self {
        let mut all = Self::default();
        for (position, (name, runs)) in extent.positions.iter().enumerate() {
            let frames: Vec<usize> = runs.iter().cloned().flatten().collect();
            let mut here =
                PositionFrames { position: name.clone(), frame: frames.clone(), ..PositionFrames::default() };
            let mut odd = |frame: usize, channel: &str, what: String| {
                all.odd.push(OddFrame { position: name.clone(), frame, channel: channel.to_owned(), what });
            };
            for (c, channel) in channels.iter().enumerate() {
                let stats: Vec<_> =
                    frames.iter().map(|&frame| survey.frame_stats(c, Place { position, frame })).collect();
                let means: Vec<f64> = stats.iter().map(|s| s.mean).collect();
                let sharpness: Vec<f64> = stats.iter().map(|s| s.focus).collect();
                for (i, &frame) in frames.iter().enumerate() {
                    let around = i.saturating_sub(NEIGHBOURS)..(i + NEIGHBOURS + 1).min(frames.len());
                    let (usual_mean, usual_focus) =
                        (median(&means[around.clone()]), median(&sharpness[around]));
                    if means[i] == 0.0 {
                        odd(frame, channel, "empty: nothing but zeros".into());
                    } else if means[i] < DIM * usual_mean {
                        odd(
                            frame,
                            channel,
                            format!("dim: mean {:.0} counts, usually {usual_mean:.0}", means[i]),
                        );
                    } else if sharpness[i] < BLURRED * usual_focus {
                        let share = 100.0 * sharpness[i] / usual_focus;
                        odd(frame, channel, format!("blurred: {share:.0} % of the usual sharpness"));
                    }
                }
                if c == 0 {
                    let mut at = [0.0, 0.0];
                    here.drift_px.extend(stats.first().map(|_| at));
                    for i in 1..stats.len() {
                        let step = stats[i].moved_since(&stats[i - 1]).unwrap_or_default();
                        at = [at[0] + step[0], at[1] + step[1]];
                        here.drift_px.push(at);
                        let [height, width] = [extent.size.0 as f64, extent.size.1 as f64];
                        if step[0].abs() > (JUMP * height).max(2.0) || step[1].abs() > (JUMP * width).max(2.0)
                        {
                            let what = format!(
                                "jumped by {:.1}, {:.1} px (y, x) since the frame before",
                                step[0], step[1]
                            );
                            odd(frames[i], channel, what);
                        }
                    }
                }
                here.mean.insert(channel.clone(), means);
                here.focus.insert(channel.clone(), sharpness);
            }
            let digests: Vec<_> =
                frames.iter().map(|&frame| survey.digest(Place { position, frame })).collect();
            let mut first: BTreeMap<u64, usize> = BTreeMap::new();
            for (digest, &frame) in digests.iter().zip(&frames) {
                let Some(digest) = digest else { continue };
                match first.get(digest) {
                    Some(before) => odd(frame, &channels[0], format!("the same pixels as frame {before}")),
                    None => {
                        first.insert(*digest, frame);
                    }
                }
            }
            all.positions.push(here);
        }
        all
    }

    /// Returns a sentence on the odd frames; `None` where there are none.
    pub fn sentence(&self) -> Option<String> {
        let first = self.odd.first()?;
        Some(format!(
            "{} frame(s) look odd (report.html lists them), the first is {} frame {} of channel {}: {}",
            self.odd.len(),
            first.position,
            first.frame,
            first.channel,
            first.what
        ))
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a position with one run of frames
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn odd_frames_are_named_and_good_ones_are_not() {
        let survey = Survey::new(1);
        let texture = |seed: usize| {
            Array2::from_shape_fn((32, 32), |(y, x)| (1000 + (y * 7 + x * 13 + seed * 5) % 97 * 10) as u16)
        };
        let frames = [
            texture(0),
            texture(1),
            texture(1),
            texture(2).mapv(|v| v / 4),
            Array2::zeros((32, 32)),
            texture(3),
        ];
        for (frame, counts) in frames.iter().enumerate() {
            survey.add(0, Place { position: 0, frame }, counts.view(), false, "x");
        }
        let extent = Extent { positions: vec![("p".into(), vec![0..6])], size: (32, 32) };
        let found = FrameQuality::of(&survey, &["bf".into()], &extent);
        let whats: Vec<(usize, &str)> =
            found.odd.iter().map(|o| (o.frame, o.what.split([':', ' ']).next().unwrap())).collect();
        assert!(
            whats.contains(&(3, "dim")) && whats.contains(&(4, "empty")) && whats.contains(&(2, "the")),
            "{whats:?}"
        );
        assert!(whats.iter().all(|(frame, _)| ![0, 1].contains(frame)), "{whats:?}");
        assert_eq!(found.positions[0].mean["bf"].len(), 6);
        assert!(found.sentence().unwrap().contains("report.html"));
        assert_eq!(FrameQuality::default().sentence(), None);
    }
}
