//! From a source of frames to a plate: survey and calibrate on the training part, then write window by window.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use crate::error::DataError;
use crate::input::source::{ChannelQuality, Frames, Source, Survey};
use crate::plate::clipping::{MUCH_LIGHT, clipped_light, keeping_percentile};
use crate::plate::groups::SplitGroup;
use crate::plate::intensity::{Histogram, Normalise, ORIGINAL_RANGE, frame_range};
use crate::plate::{Calibration, Labels, PlateWriter, Sequence, SequenceMeta, Split};
use crate::prepare::frame_quality::FrameQuality;
use crate::prepare::label_forms::LabelForms;
use crate::prepare::survey_labels::{LabelsSurvey, SurveyedLabels};
use crate::prepare::windows::{Cut, Plan, Window};

/// Most memory, in bytes, for the frames that are loaded at one time.
const FRAMES_IN_WORK_BYTES: usize = 512 << 20;

/// Intensity ranges and quality of a recording, measured before its plate is written.
#[derive(Debug)]
pub struct Surveyed {
    /// Intensity range per channel, over the training part.
    pub calibrations: Vec<Calibration>,
    /// Share of each channel's light that its range cuts off, over the training part.
    pub clipped_light: Vec<f64>,
    /// What a person should know about the ranges.
    pub warnings: Vec<String>,
    /// Quality per channel, over all frames as recorded.
    pub quality: Vec<ChannelQuality>,
    /// Frames over time.
    pub frames: FrameQuality,
    /// The split groups with the digests of their frames.
    pub groups: Vec<SplitGroup>,
    /// What the labels hold, and the tracks of those that were linked.
    pub labels: SurveyedLabels,
}

/// Reads all frames once: quality of every channel and label, calibration from the tiles of training windows.
///
/// # Errors
/// [`DataError`] of a frame, [`DataError::Constant`] for a channel without contrast, or [`DataError::Labels`] where
/// labels show no object at all.
pub fn survey(
    source: &dyn Source,
    plan: &Plan,
    cut: &Cut,
    normalise: Normalise,
    percentiles: [f64; 2],
    forms: &LabelForms,
) -> Result<Surveyed, DataError> {
    let &Cut { frames, size, .. } = cut;
    let channels = source.channels();
    // Tiles of training frames; a tile that several windows show counts once.
    let mut training: BTreeMap<(usize, usize), BTreeSet<(usize, usize)>> = BTreeMap::new();
    for w in plan.windows.iter().filter(|w| w.split == Split::Train) {
        for t in w.first_frame..w.first_frame + frames {
            training.entry((w.position, t)).or_default().insert(w.corner);
        }
    }
    let survey = Survey::new(channels.len());
    let mut labels = LabelsSurvey::new(source, forms);
    let mut histograms = vec![Histogram::default(); channels.len()];
    let mut pairs: Vec<[f64; 2]> = Vec::new();
    let extent = source.extent();
    let per_load = frames_per_load(extent.size, channels.len());
    for (position, (_, runs)) in extent.positions.iter().enumerate() {
        for range in runs.iter().flat_map(|run| parts(run, per_load)) {
            let loaded = source.load(position, range.clone(), Some(&survey))?;
            labels.add(position, range.start, &loaded.labels)?;
            for (i, t) in range.enumerate() {
                for &(y, x) in training.get(&(position, t)).into_iter().flatten() {
                    for (c, histogram) in histograms.iter_mut().enumerate() {
                        let tile = loaded.image.slice(s![i, c, y..y + size, x..x + size]);
                        histogram.add(tile);
                        if c == 0 && normalise == Normalise::Original {
                            pairs.push(frame_range(tile));
                        }
                    }
                }
            }
        }
    }
    let quality = survey.report(&channels);
    let over_time = FrameQuality::of(&survey, &channels, &extent);
    let calibrate = |(c, histogram): (usize, &Histogram)| match normalise {
        Normalise::Percentile => histogram.percentile_calibration(percentiles).ok_or_else(|| {
            let value = histogram.extremes().0;
            let elsewhere = (quality[c].min, quality[c].max);
            DataError::Constant {
                channel: channels[c].clone(),
                value,
                elsewhere: (elsewhere != (value, value)).then_some(elsewhere),
            }
        }),
        Normalise::Original if c == 0 => {
            let median = |end: usize| {
                let mut values: Vec<f64> = pairs.iter().map(|pair| pair[end]).collect();
                values.sort_by(f64::total_cmp);
                values.get(values.len() / 2).copied().unwrap_or(end as f64)
            };
            let lo = median(0);
            Ok(histogram.calibration(lo, median(1).max(lo + 1.0)))
        }
        Normalise::Original => Ok(histogram.calibration(ORIGINAL_RANGE[0], ORIGINAL_RANGE[1])),
    };
    let calibrations = histograms.iter().enumerate().map(calibrate).collect::<Result<Vec<_>, _>>()?;
    let clipped_light: Vec<f64> =
        histograms.iter().zip(&calibrations).map(|(h, range)| clipped_light(h, range.hi)).collect();
    let warnings = (0..channels.len())
        // The first channel is stretched frame by frame there, and its range is a stand-in.
        .filter(|&c| clipped_light[c] > MUCH_LIGHT && (normalise == Normalise::Percentile || c > 0))
        .map(|c| {
            let range = &calibrations[c];
            let way_out = match normalise {
                Normalise::Percentile => {
                    format!("--percentiles {},{}", percentiles[0], keeping_percentile(&histograms[c]))
                }
                Normalise::Original => "--normalise percentile".into(),
            };
            format!(
                "channel {}: {:.0} % of its light lies above {} counts, the end of its range, in {:.3} % of its pixels: \
                 it is cut off, and a generator can never show it; {way_out} keeps it",
                channels[c],
                100.0 * clipped_light[c],
                range.hi,
                100.0 * range.clipped_high
            )
        })
        .collect();
    let groups = groups(plan, frames, &survey);
    let labels = labels.finish(&survey)?;
    Ok(Surveyed { calibrations, clipped_light, warnings, quality, frames: over_time, groups, labels })
}

/// Returns the split groups with the digests of their frames, from the first to the last that a window shows: frames
/// that a stride passes over lie between others of the same movie, so they belong to the group as well.
fn groups(plan: &Plan, frames: usize, survey: &Survey) -> Vec<SplitGroup> {
    let mut spans: BTreeMap<&str, (usize, Range<usize>)> = BTreeMap::new();
    for w in &plan.windows {
        let window = w.first_frame..w.first_frame + frames;
        let (_, span) = spans.entry(&w.group).or_insert_with(|| (w.position, window.clone()));
        *span = span.start.min(window.start)..span.end.max(window.end);
    }
    spans
        .into_iter()
        .map(|(name, (position, span))| SplitGroup::new(name, survey.digests(position, span)))
        .collect()
}

/// Writes every window of a plan; `written` sees each sequence with its index, from several threads.
///
/// # Errors
/// [`DataError`] of a frame or of the plate.
pub fn write(
    source: &dyn Source,
    plan: &Plan,
    cut: &Cut,
    normalise: Normalise,
    writer: &PlateWriter,
    written: &(dyn Fn(usize, &Sequence) + Sync),
) -> Result<(), DataError> {
    let &Cut { frames, size, .. } = cut;
    let per_load = frames_per_load(source.extent().size, source.channels().len());
    let mut first = 0;
    while first < plan.windows.len() {
        // Windows stand in order of position and time, so neighbours share their frames in memory.
        let Window { position, first_frame: start, .. } = plan.windows[first];
        let fits =
            |w: &&Window| w.position == position && w.first_frame + frames <= start + per_load.max(frames);
        let count = plan.windows[first..].iter().take_while(fits).count();
        let windows = &plan.windows[first..first + count];
        let end = windows.iter().map(|w| w.first_frame + frames).max().unwrap_or(start);
        let loaded = load_with_pauses(source, position, start..end, windows, frames)?;
        let parents: BTreeMap<String, BTreeMap<u32, u32>> = source
            .labels()
            .into_iter()
            .map(|l| (l.name.clone(), source.parents(position, &l.name)))
            .collect();
        windows.par_iter().enumerate().try_for_each(|(i, window)| {
            let (offset, part) = loaded
                .iter()
                .find(|(range, _)| range.contains(&window.first_frame))
                .map(|(range, part)| (window.first_frame - range.start, part))
                .expect("every window lies in a loaded range");
            let sequence = sequence(source, window, (frames, size), normalise, offset, part, &parents);
            writer.write(first + i, &sequence)?;
            written(first + i, &sequence);
            Ok::<_, DataError>(())
        })?;
        first += count;
    }
    Ok(())
}

/// Loads the runs of frames in `range` that windows show; a frame missing in time is in no window.
fn load_with_pauses(
    source: &dyn Source,
    position: usize,
    range: Range<usize>,
    windows: &[Window],
    frames: usize,
) -> Result<Vec<(Range<usize>, Frames)>, DataError> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for w in windows {
        let window = w.first_frame..(w.first_frame + frames).min(range.end);
        match stretches.last_mut() {
            Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
            _ => stretches.push(window),
        }
    }
    stretches.into_iter().map(|range| Ok((range.clone(), source.load(position, range, None)?))).collect()
}

fn sequence(
    source: &dyn Source,
    window: &Window,
    (frames, size): (usize, usize),
    normalise: Normalise,
    offset: usize,
    loaded: &Frames,
    parents: &BTreeMap<String, BTreeMap<u32, u32>>,
) -> Sequence {
    let (y, x) = window.corner;
    let (times, rows, columns) = (offset..offset + frames, y..y + size, x..x + size);
    let image = loaded.image.slice(s![times.clone(), .., rows.clone(), columns.clone()]).to_owned();
    let labels = loaded
        .labels
        .iter()
        .map(|(name, all)| {
            let ids = all.slice(s![times.clone(), rows.clone(), columns.clone()]).to_owned();
            let seen: BTreeSet<u32> = ids.iter().copied().collect();
            let parents = parents.get(name).into_iter().flatten();
            let parents = parents.filter(|(child, _)| seen.contains(child)).map(|(&c, &p)| (c, p)).collect();
            (name.clone(), Labels { ids, parents })
        })
        .collect();
    let range =
        |c: usize, plane: ArrayView2<'_, u16>| if c == 0 { frame_range(plane) } else { ORIGINAL_RANGE };
    let frame_ranges = (normalise == Normalise::Original).then(|| {
        image
            .outer_iter()
            .map(|frame| frame.outer_iter().enumerate().map(|(c, plane)| range(c, plane)).collect())
            .collect()
    });
    let first = window.first_frame;
    let meta = SequenceMeta {
        source: format!("{} y={y} x={x}", source.describe(window.position, first..first + frames)),
        first_frame: first,
        split: window.split,
        split_group: window.group.clone(),
        frame_ranges,
        label_margin: None,
    };
    Sequence { meta, image, labels }
}

fn frames_per_load((height, width): (usize, usize), channels: usize) -> usize {
    // Counts of every channel, and about two label images.
    (FRAMES_IN_WORK_BYTES / (height * width * (2 * channels + 8)).max(1)).max(1)
}

fn parts(run: &Range<usize>, length: usize) -> Vec<Range<usize>> {
    run.clone().step_by(length).map(|start| start..(start + length).min(run.end)).collect()
}
