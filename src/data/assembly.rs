//! From a source of frames to a plate: survey and calibrate on the training part, then write window by window.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ndarray::{ArrayView2, s};
use rayon::prelude::*;

use super::DataError;
use super::intensity::{Histogram, Normalise, ORIGINAL_RANGE, frame_range};
use super::plate::{Calibration, Labels, PlateWriter, Sequence, SequenceMeta, Split};
use super::sequence::{Cut, Plan, Window};
use super::source::{ChannelQuality, Frames, Source, Survey};

/// Memory that the frames in work may take.
const FRAMES_IN_WORK_BYTES: usize = 512 << 20;

/// What was learnt about a recording before its plate is written.
#[derive(Debug)]
pub struct Surveyed {
    /// Intensity range per channel, over the training part.
    pub calibrations: Vec<Calibration>,
    /// Quality per channel, over all frames as recorded.
    pub quality: Vec<ChannelQuality>,
}

/// Reads all frames once: quality of every channel, calibration from the tiles of training windows.
///
/// # Errors
/// [`DataError`] of a frame, or [`DataError::Constant`] for a channel without contrast.
pub fn survey(
    source: &dyn Source,
    plan: &Plan,
    cut: &Cut,
    normalise: Normalise,
) -> Result<Surveyed, DataError> {
    let &Cut { frames, size, .. } = cut;
    let channels = source.channels();
    // Tiles of training frames, each once however many windows show it.
    let mut training: BTreeMap<(usize, usize), BTreeSet<(usize, usize)>> = BTreeMap::new();
    for w in plan.windows.iter().filter(|w| w.split == Split::Train) {
        for t in w.first_frame..w.first_frame + frames {
            training.entry((w.position, t)).or_default().insert(w.corner);
        }
    }
    let survey = Survey::new(channels.len());
    let mut histograms = vec![Histogram::default(); channels.len()];
    let mut pairs: Vec<[f64; 2]> = Vec::new();
    let extent = source.extent();
    let per_load = frames_per_load(extent.size, channels.len());
    for (position, (_, runs)) in extent.positions.iter().enumerate() {
        for range in runs.iter().flat_map(|run| parts(run, per_load)) {
            let loaded = source.load(position, range.clone(), Some(&survey))?;
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
    let calibrate = |(c, histogram): (usize, &Histogram)| match normalise {
        Normalise::Percentile => histogram.percentile_calibration().ok_or_else(|| DataError::Constant {
            channel: channels[c].clone(),
            value: histogram.extremes().0,
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
    let calibrations = histograms.iter().enumerate().map(calibrate).collect::<Result<_, _>>()?;
    Ok(Surveyed { calibrations, quality: survey.report(&channels) })
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
        let parents: BTreeMap<String, BTreeMap<u32, u32>> =
            source.labels().into_iter().map(|l| (l.clone(), source.parents(position, &l))).collect();
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

/// Loads the stretches of `range` that windows show; frames missing in time lie in none of them.
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
