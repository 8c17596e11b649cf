//! What a label image holds: its objects, their sizes and pieces, and what they share with those of another frame.
//!
//! Pixels are taken in runs, which are those of one id side by side in a row, and runs are sorted. Memory so grows with
//! the runs of one frame, not with the largest id, and at worst (every pixel another id) it is about 32 bytes a pixel.

use ndarray::ArrayView2;

/// A piece counts where it has at least this part of the pixels of its object's largest one: specks do not.
const LEAST_PIECE: u32 = 10;

/// One object of a label image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredObject {
    /// Its id, never 0.
    pub id: u32,
    /// Its pixels.
    pub area: u32,
    /// Number of its first run in raster order: the object that appears first has the smallest.
    pub first: u32,
    /// Pieces that do not touch, neither by an edge nor by a corner; specks are not counted.
    pub pieces: u32,
    /// Sums of the rows and of the columns of its pixels.
    pub sum: [u64; 2],
    /// Top, left, bottom and right, half-open.
    pub bounds: [u32; 4],
    /// Whether it touches the border of the image.
    pub at_border: bool,
}

impl MeasuredObject {
    /// Returns row and column of its centre.
    pub fn centre(&self) -> [f64; 2] {
        self.sum.map(|sum| sum as f64 / f64::from(self.area))
    }

    /// Returns the radius of the disc of its area, in pixels.
    pub fn radius(&self) -> f64 {
        (f64::from(self.area) / std::f64::consts::PI).sqrt()
    }
}

/// The objects of one label image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasuredFrame {
    /// Objects by rising id.
    pub objects: Vec<MeasuredObject>,
    /// Pixels side by side in a row that belong to two objects.
    pub contacts: u64,
    /// Pixels side by side in a row that belong to one object.
    pub insides: u64,
}

impl MeasuredFrame {
    /// Returns the number of labelled pixels.
    pub fn labelled(&self) -> u64 {
        self.objects.iter().map(|object| u64::from(object.area)).sum()
    }

    /// Returns whether most neighbours differ, as the intensities of an image do and ids do not.
    pub fn is_scattered(&self) -> bool {
        self.contacts > self.insides
    }

    /// Returns whether the ids are 1, 2, 3 and so on without a gap.
    pub fn is_numbered(&self) -> bool {
        self.objects.iter().zip(1..).all(|(object, n)| object.id == n)
    }
}

/// Pixels shared by an object of one frame and one of another: `((id before, id now), pixels)`.
pub type Shared = ((u32, u32), u32);

/// Pixels of one object side by side in a row, `start..end`.
struct Run {
    id: u32,
    row: u32,
    start: u32,
    end: u32,
}

/// Measures the objects of a label image.
///
/// # Examples
/// Object 4 has two pieces and a speck, object 7 one piece that is held together by a corner:
///
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::labels::survey::measure;
///
/// let frame = measure(
///     labels![
///         [4 4 4 4 4 4 . . 7]
///         [4 4 4 4 4 4 . 7 .]
///         [. . . . . . . . .]
///         [4 4 4 4 4 4 . . 4]
///         [4 4 4 4 4 4 . . .]
///     ]
///     .view(),
/// );
/// let seen: Vec<_> = frame.objects.iter().map(|o| (o.id, o.area, o.pieces)).collect();
/// assert_eq!(seen, [(4, 25, 2), (7, 2, 1)]);
/// assert_eq!((frame.contacts, frame.insides), (0, 20));
/// ```
pub fn measure(frame: ArrayView2<'_, u32>) -> MeasuredFrame {
    let mut runs: Vec<Run> = Vec::new();
    // Runs of one piece have the same root.
    let mut parent: Vec<u32> = Vec::new();
    let mut before = 0..0;
    let mut contacts = 0;
    let (height, width) = frame.dim();
    for (y, row) in (0_u32..).zip(frame.outer_iter()) {
        let first = runs.len();
        let mut last = 0;
        for (x, &id) in (0_u32..).zip(row) {
            if id != 0 && id == last {
                if let Some(run) = runs.last_mut() {
                    run.end += 1;
                }
            } else if id != 0 {
                contacts += u64::from(last != 0);
                parent.push(runs.len() as u32);
                runs.push(Run { id, row: y, start: x, end: x + 1 });
            }
            last = id;
        }
        join_rows(&runs, before, first, &mut parent);
        before = first..runs.len();
    }
    let insides = runs.iter().map(|run| u64::from(run.end - run.start - 1)).sum();
    let mut order: Vec<(u32, u32, u32)> =
        (0_u32..).zip(&runs).map(|(i, run)| (run.id, root(&mut parent, i), i)).collect();
    order.sort_unstable();
    let length = |&(_, _, i): &(u32, u32, u32)| runs[i as usize].end - runs[i as usize].start;
    let object = |of_id: &[(u32, u32, u32)]| {
        let areas = || of_id.chunk_by(|a, b| a.1 == b.1).map(|piece| piece.iter().map(length).sum::<u32>());
        let largest = areas().max().unwrap_or(0);
        MeasuredObject {
            id: of_id[0].0,
            area: areas().sum(),
            first: of_id.iter().map(|run| run.2).min().unwrap_or(0),
            pieces: areas().filter(|area| area.saturating_mul(LEAST_PIECE) >= largest).count() as u32,
            sum: of_id.iter().fold([0, 0], |[rows, columns], run| {
                let Run { row, start, end, .. } = runs[run.2 as usize];
                let n = u64::from(end - start);
                [rows + n * u64::from(row), columns + n * u64::from(start + end - 1) / 2]
            }),
            bounds: of_id.iter().map(|run| &runs[run.2 as usize]).fold(
                [u32::MAX, u32::MAX, 0, 0],
                |[top, left, bottom, right], run| {
                    [top.min(run.row), left.min(run.start), bottom.max(run.row + 1), right.max(run.end)]
                },
            ),
            at_border: of_id.iter().map(|run| &runs[run.2 as usize]).any(|run| {
                run.row == 0 || run.row as usize + 1 == height || run.start == 0 || run.end as usize == width
            }),
        }
    };
    let objects = order.chunk_by(|a, b| a.0 == b.0).map(object).collect();
    MeasuredFrame { objects, contacts, insides }
}

/// Joins the runs from `first` on with those of the same id in the row before that they touch.
fn join_rows(runs: &[Run], before: std::ops::Range<usize>, first: usize, parent: &mut [u32]) {
    let mut from = before.start;
    for (i, run) in runs.iter().enumerate().skip(first) {
        // A run that ends where this one starts touches it by a corner.
        while from < before.end && runs[from].end < run.start {
            from += 1;
        }
        for (k, above) in runs[..before.end].iter().enumerate().skip(from) {
            if above.start > run.end {
                break;
            }
            if above.id == run.id {
                let (a, b) = (root(parent, k as u32), root(parent, i as u32));
                parent[a.max(b) as usize] = a.min(b);
            }
        }
    }
}

fn root(parent: &mut [u32], mut at: u32) -> u32 {
    while parent[at as usize] != at {
        let above = parent[parent[at as usize] as usize];
        parent[at as usize] = above;
        at = above;
    }
    at
}

/// Returns the ids in a label image, rising, without background.
///
/// # Examples
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::labels::survey::ids;
///
/// assert_eq!(ids(labels![[. 9 9 2 . 9]].view()), [2, 9]);
/// ```
pub fn ids(frame: ArrayView2<'_, u32>) -> Vec<u32> {
    let mut ids = Vec::new();
    let mut last = 0;
    for &id in frame {
        if id != 0 && id != last {
            ids.push(id);
        }
        last = id;
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Returns what objects of two frames share, by rising ids; pairs that share nothing are left out.
///
/// # Panics
/// If the frames differ in size.
///
/// # Examples
/// ```
/// use lapsegan_core::labels;
/// use lapsegan_core::labels::survey::shared;
///
/// let (before, now) = (labels![[5 5 5 . 3]], labels![[1 1 2 2 2]]);
/// assert_eq!(shared(before.view(), now.view()), [((3, 2), 1), ((5, 1), 2), ((5, 2), 1)]);
/// ```
pub fn shared(before: ArrayView2<'_, u32>, now: ArrayView2<'_, u32>) -> Vec<Shared> {
    assert_eq!(before.dim(), now.dim(), "frames of one size");
    let mut runs: Vec<Shared> = Vec::new();
    for (&old, &new) in before.iter().zip(now) {
        if old == 0 || new == 0 {
            continue;
        }
        match runs.last_mut() {
            Some((pair, pixels)) if *pair == (old, new) => *pixels += 1,
            _ => runs.push(((old, new), 1)),
        }
    }
    runs.sort_unstable();
    runs.chunk_by(|a, b| a.0 == b.0).map(|same| (same[0].0, same.iter().map(|run| run.1).sum())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ndarray::Array2;
    use proptest::prelude::*;

    use super::*;
    use crate::labels::Neighbours;
    use crate::labels::components::components;

    proptest! {
        #[test]
        fn objects_and_pieces_are_those_that_a_slow_count_finds(
            pixels in prop::collection::vec(0_u32..4, 96), split in 0_usize..3,
        ) {
            let width = [8, 12, 16][split];
            let frame = Array2::from_shape_vec((96 / width, width), pixels).unwrap();
            let measured = measure(frame.view());
            let ids_seen: Vec<u32> = measured.objects.iter().map(|o| o.id).collect();
            prop_assert_eq!(&ids_seen, &ids(frame.view()));
            for object in &measured.objects {
                let own = frame.mapv(|id| id == object.id);
                let (pieces, count) = components(own.view(), Neighbours::Eight);
                let areas: Vec<u32> =
                    (1..=count).map(|n| pieces.iter().filter(|&&p| p == n).count() as u32).collect();
                let largest = areas.iter().max().unwrap();
                prop_assert_eq!(object.area, areas.iter().sum::<u32>());
                prop_assert_eq!(object.pieces as usize, areas.iter().filter(|&a| a * LEAST_PIECE >= *largest).count());
            }
            let mut by_first = measured.objects.clone();
            by_first.sort_by_key(|o| o.first);
            let mut appeared = Vec::new();
            for &id in frame.iter().filter(|&&id| id != 0) {
                if !appeared.contains(&id) {
                    appeared.push(id);
                }
            }
            prop_assert_eq!(by_first.iter().map(|o| o.id).collect::<Vec<_>>(), appeared);
        }

        #[test]
        fn shared_pixels_are_those_that_a_slow_count_finds(
            a in prop::collection::vec(0_u32..4, 48), b in prop::collection::vec(0_u32..4, 48),
        ) {
            let mut slow: BTreeMap<(u32, u32), u32> = BTreeMap::new();
            for (&old, &new) in a.iter().zip(&b).filter(|(a, b)| **a != 0 && **b != 0) {
                *slow.entry((old, new)).or_default() += 1;
            }
            let frame = |v| Array2::from_shape_vec((6, 8), v).unwrap();
            let fast = shared(frame(a).view(), frame(b).view());
            prop_assert_eq!(fast, slow.into_iter().collect::<Vec<_>>());
        }
    }
}
