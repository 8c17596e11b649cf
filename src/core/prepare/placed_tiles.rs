//! Tiles placed on what labels show: on objects, so that a plate of large frames is not mostly background, and on the
//! traps that hold cells.
//!
//! A tile belongs to a window, so an object that moves has its tiles move along. It is placed by the window's middle
//! frame.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, Zip, s};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::DataError;
use crate::input::source::Source;
use crate::labels::Neighbours;
use crate::labels::components::components;
use crate::plate::{LabelKind, Split};
use crate::prepare::spans::Span;
use crate::prepare::tiles::{Corners, Tiles, corners};
use crate::prepare::windows::Cut;
use crate::seed::{self, Stream};

/// Most pixels of label images that are loaded at one time.
const PIXELS_IN_WORK: usize = 64 << 20;
/// Pieces of structure with less than this part of the largest one's pixels are specks.
const SPECK: usize = 10;

/// What the tiles of a plan were placed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// Windows on an object or a trap.
    pub on_something: usize,
    /// Windows that show no object in any frame.
    pub empty: usize,
    /// How many of those were wanted.
    pub empty_wanted: usize,
}

impl Placed {
    /// Returns a sentence on them.
    pub fn sentence(&self, cut: &Cut) -> String {
        let (size, all) = (cut.size, self.on_something + self.empty);
        if cut.tiles == Tiles::Trap {
            return format!("{all} tiles of {size} x {size} pixels, each on a trap");
        }
        let few = if self.empty < self.empty_wanted {
            format!(" (--empty {} asks for {}: other places show objects)", cut.empty, self.empty_wanted)
        } else {
            String::new()
        };
        let share = 100.0 * self.empty as f64 / all.max(1) as f64;
        format!(
            "{all} tiles of {size} x {size} pixels: {} on objects, {} without any, {share:.1} %{few}",
            self.on_something, self.empty
        )
    }
}

/// Corners of tiles by position and first frame.
type ByWindow = BTreeMap<(usize, usize), Vec<(usize, usize)>>;

/// Places tiles on objects, and on some places without any.
///
/// # Errors
/// [`DataError::Setting`] without labels of objects, [`DataError::Labels`] where the training part shows none, or
/// [`DataError`] of a label image.
pub(super) fn on_objects(
    source: &dyn Source,
    spans: &[Span],
    cut: &Cut,
) -> Result<(Corners, Placed), DataError> {
    let names = labels_of(source, LabelKind::Objects);
    if names.is_empty() {
        return Err(DataError::Setting {
            field: "--tiles",
            found: "objects".into(),
            expected: "labels of objects to place tiles on: name them with --labels".into(),
        });
    }
    let frame = source.extent().size;
    let grid = corners(frame, cut.size, Tiles::Grid);
    let mut placed = ByWindow::new();
    // Numbers of spans, and of tiles of the grid that show no object in any of their frames, by split.
    let mut empty: BTreeMap<Split, Vec<(u32, u32)>> = BTreeMap::new();
    let mut visited: Vec<(usize, usize)> = Vec::new();
    let mut wanted: BTreeMap<Split, usize> = BTreeMap::new();
    for_each_span(
        source,
        &names,
        spans,
        cut.frames,
        &|plane| Seen::of(plane, &grid, cut.size),
        |span, seen| {
            let middle: &Seen = seen[cut.frames / 2];
            let tiles = apart(middle.centres.iter().map(|&centre| corner(centre, cut.size, frame)), cut.size);
            *wanted.entry(span.split).or_default() += tiles.len();
            placed.insert((span.position, span.first_frame), tiles);
            let free = |tile: &u32| seen.iter().all(|seen| !seen.occupied[*tile as usize]);
            let free = (0..grid.len() as u32).filter(free).map(|tile| (visited.len() as u32, tile));
            empty.entry(span.split).or_default().extend(free);
            visited.push((span.position, span.first_frame));
        },
    )?;
    expect_some(&wanted, &names, "object")?;
    let mut count = Placed { on_something: wanted.values().sum(), ..Placed::default() };
    for (split, mut tiles) in empty {
        // So many that they are this share of all.
        let on_objects = wanted.get(&split).copied().unwrap_or(0) as f64;
        let number = (on_objects * cut.empty / (1.0 - cut.empty)).round() as usize;
        tiles.shuffle(&mut seed::rng(Stream::EmptyTiles, &[cut.seed, split as u64]));
        tiles.truncate(number);
        (count.empty, count.empty_wanted) = (count.empty + tiles.len(), count.empty_wanted + number);
        for (span, tile) in tiles {
            placed.entry(visited[span as usize]).or_default().push(grid[tile as usize]);
        }
    }
    for tiles in placed.values_mut() {
        tiles.sort_unstable();
    }
    Ok((Corners::Placed(placed), count))
}

/// Places tiles on traps: given coordinates, or the pieces of structure. Pieces at most a quarter of a tile apart are
/// one trap.
///
/// # Errors
/// [`DataError::Setting`] with neither, [`DataError::Labels`] where the training part shows none, or [`DataError`] of
/// a label image or of coordinates.
pub(super) fn on_traps(
    source: &dyn Source,
    spans: &[Span],
    cut: &Cut,
) -> Result<(Corners, Placed), DataError> {
    let extent = source.extent();
    let mut placed = ByWindow::new();
    let mut found: BTreeMap<Split, usize> = BTreeMap::new();
    let mut place = |span: &Span, centres: &[(usize, usize)]| {
        let tiles: BTreeSet<_> =
            centres.iter().map(|&centre| corner(centre, cut.size, extent.size)).collect();
        *found.entry(span.split).or_default() += tiles.len();
        placed.insert((span.position, span.first_frame), tiles.into_iter().collect());
    };
    let names = labels_of(source, LabelKind::Structure);
    if let Some(centres) = &cut.centres {
        let names: Vec<&str> = extent.positions.iter().map(|(name, _)| name.as_str()).collect();
        let by_position = centres.by_position(&names, extent.size)?;
        for span in spans {
            place(span, &by_position[span.position]);
        }
    } else if names.is_empty() {
        return Err(DataError::Setting {
            field: "--tiles",
            found: "trap".into(),
            expected:
                "labels that show the traps (--structure traps=DIR), or their coordinates (--centres FILE)"
                    .into(),
        });
    } else {
        let near = cut.size / 4;
        for_each_span(source, &names, spans, cut.frames, &|plane| traps(plane, near), |span, seen| {
            place(span, seen[cut.frames / 2]);
        })?;
    }
    expect_some(&found, &names, "trap")?;
    let count = Placed { on_something: found.values().sum(), ..Placed::default() };
    Ok((Corners::Placed(placed), count))
}

fn labels_of(source: &dyn Source, kind: LabelKind) -> Vec<String> {
    source.labels().into_iter().filter(|label| label.kind == kind).map(|label| label.name).collect()
}

/// Intensities are calibrated on the training part, which so needs a window.
fn expect_some(by_split: &BTreeMap<Split, usize>, names: &[String], what: &str) -> Result<(), DataError> {
    if by_split.get(&Split::Train).is_some_and(|&n| n > 0) {
        return Ok(());
    }
    let elsewhere: usize = by_split.values().sum();
    Err(DataError::Labels {
        labels: if names.is_empty() { "--centres".into() } else { names.join(", ") },
        found: format!("no {what} in the training part ({elsewhere} tile(s) elsewhere), so no tile for it"),
        hint: "check the labels, or cut tiles from everywhere: --tiles grid; another --seed deals positions to other \
               parts"
            .into(),
    })
}

/// Reads the labels of all spans, frame by frame, and calls `f` with what `look` saw in the frames of each span. Labels
/// of several names are looked at as one.
fn for_each_span<L: Send>(
    source: &dyn Source,
    names: &[String],
    spans: &[Span],
    frames: usize,
    look: &(dyn Fn(ArrayView2<'_, u32>) -> L + Sync),
    mut f: impl FnMut(&Span, &[&L]),
) -> Result<(), DataError> {
    let extent = source.extent();
    let per_load = (PIXELS_IN_WORK / (extent.size.0 * extent.size.1).max(1)).max(1);
    for (position, (_, runs)) in extent.positions.iter().enumerate() {
        let spans: Vec<&Span> = spans.iter().filter(|span| span.position == position).collect();
        let inside = |run: &&Range<usize>| spans.iter().any(|span| run.contains(&span.first_frame));
        for run in runs.iter().filter(inside) {
            let mut seen: Vec<L> = Vec::with_capacity(run.len());
            for start in run.clone().step_by(per_load) {
                let labels = source.load_labels(position, start..(start + per_load).min(run.end))?;
                let named: Vec<&Array3<u32>> = names.iter().filter_map(|name| labels.get(name)).collect();
                let Some(first) = named.first() else { continue };
                let one = |t: usize| look(joined(&named, t).view());
                seen.par_extend((0..first.dim().0).into_par_iter().map(one));
            }
            for span in spans.iter().filter(|span| run.contains(&span.first_frame)) {
                let at = span.first_frame - run.start;
                let seen: Vec<&L> = seen[at..at + frames].iter().collect();
                f(span, &seen);
            }
        }
    }
    Ok(())
}

/// Returns frame `t` of several labels in one image; the first that shows something counts.
fn joined(labels: &[&Array3<u32>], t: usize) -> Array2<u32> {
    let mut all = labels[0].slice(s![t, .., ..]).to_owned();
    for more in &labels[1..] {
        Zip::from(&mut all).and(more.slice(s![t, .., ..])).for_each(|id, &other| {
            if *id == 0 {
                *id = other;
            }
        });
    }
    all
}

/// What a frame shows of objects.
struct Seen {
    /// Centres of mass of the objects, by rising id.
    centres: Vec<(usize, usize)>,
    /// Whether each tile of the grid shows a labelled pixel.
    occupied: Vec<bool>,
}

impl Seen {
    fn of(plane: ArrayView2<'_, u32>, grid: &[(usize, usize)], size: usize) -> Self {
        let mut sums: BTreeMap<u32, [u64; 3]> = BTreeMap::new();
        for (y, row) in plane.outer_iter().enumerate() {
            let mut x = 0;
            while x < row.len() {
                let id = row[x];
                let end = (x..row.len()).find(|&at| row[at] != id).unwrap_or(row.len());
                if id != 0 {
                    let n = (end - x) as u64;
                    let sum = sums.entry(id).or_default();
                    let columns = (x..end).sum::<usize>() as u64;
                    *sum = [sum[0] + y as u64 * n, sum[1] + columns, sum[2] + n];
                }
                x = end;
            }
        }
        let centre = |[y, x, n]: [u64; 3]| ((y / n) as usize, (x / n) as usize);
        let tile =
            |&(y, x): &(usize, usize)| plane.slice(s![y..y + size, x..x + size]).iter().any(|&id| id != 0);
        Self { centres: sums.into_values().map(centre).collect(), occupied: grid.iter().map(tile).collect() }
    }
}

/// Returns the corner of the tile around a pixel, moved into the frame where it would stand out.
fn corner(centre: (usize, usize), size: usize, frame: (usize, usize)) -> (usize, usize) {
    let start = |at: usize, length: usize| at.saturating_sub(size / 2).min(length - size);
    (start(centre.0, frame.0), start(centre.1, frame.1))
}

/// Keeps the tiles that lie a quarter of their size or more, down or across, from all kept before: cells closer than
/// that share one.
fn apart(tiles: impl Iterator<Item = (usize, usize)>, size: usize) -> Vec<(usize, usize)> {
    let near = size / 4;
    // Kept tiles by square; those that are near lie in the nine squares around.
    let mut squares: BTreeMap<(usize, usize), Vec<(usize, usize)>> = BTreeMap::new();
    let mut kept = Vec::new();
    for tile in tiles {
        let (row, column) = (tile.0 / near, tile.1 / near);
        let around = |at: usize| at.saturating_sub(1)..=at + 1;
        let is_near = around(row)
            .flat_map(|row| around(column).map(move |column| (row, column)))
            .flat_map(|square| squares.get(&square).into_iter().flatten())
            .any(|other| other.0.abs_diff(tile.0) < near && other.1.abs_diff(tile.1) < near);
        if !is_near {
            squares.entry((row, column)).or_default().push(tile);
            kept.push(tile);
        }
    }
    kept
}

/// First and last row and column of a piece.
#[derive(Clone, Copy)]
struct Bounds {
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Bounds {
    fn with(self, other: Self) -> Self {
        let join = |a: (usize, usize), b: (usize, usize)| (a.0.min(b.0), a.1.max(b.1));
        Self { rows: join(self.rows, other.rows), columns: join(self.columns, other.columns) }
    }

    /// Returns the pixels between two pieces, down or across, whichever are more.
    fn gap(self, other: Self) -> usize {
        let gap = |a: (usize, usize), b: (usize, usize)| {
            (b.0.saturating_sub(a.1 + 1)).max(a.0.saturating_sub(b.1 + 1))
        };
        gap(self.rows, other.rows).max(gap(self.columns, other.columns))
    }
}

/// Returns the middle of each trap in a frame of structure.
fn traps(plane: ArrayView2<'_, u32>, near: usize) -> Vec<(usize, usize)> {
    let (pieces, count) = components(plane.mapv(|id| id != 0).view(), Neighbours::Eight);
    let mut found: Vec<Option<(usize, Bounds)>> = vec![None; count as usize];
    for ((y, x), &piece) in pieces.indexed_iter().filter(|(_, piece)| **piece > 0) {
        let pixel = Bounds { rows: (y, y), columns: (x, x) };
        let of = &mut found[piece as usize - 1];
        *of = Some(of.map_or((1, pixel), |(n, bounds)| (n + 1, bounds.with(pixel))));
    }
    let largest = found.iter().flatten().map(|(n, _)| *n).max().unwrap_or(0);
    let mut traps: Vec<Bounds> = Vec::new();
    for (_, mut bounds) in found.into_iter().flatten().filter(|(n, _)| n * SPECK >= largest) {
        // A piece may join several that were apart before it.
        while let Some(at) = traps.iter().position(|trap| trap.gap(bounds) <= near) {
            bounds = traps.swap_remove(at).with(bounds);
        }
        traps.push(bounds);
    }
    let middle = |(first, last): (usize, usize)| (first + last).div_ceil(2);
    traps.into_iter().map(|trap| (middle(trap.rows), middle(trap.columns))).collect()
}

#[cfg(test)]
mod tests;
