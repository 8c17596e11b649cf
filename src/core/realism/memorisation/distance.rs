//! The distance between two sequences, laid upon each other as well as flips and small shifts allow.

use std::ops::Range;

use ndarray::{Array3, s};

use super::space::{Shifted, Space};
use super::symmetry::{Alignment, Symmetry};

/// Returns the least distance over shifts between a sequence and another one after a symmetry, and where it lies.
///
/// It is the root mean square of the differences over the blocks that both have, in standard deviations of a channel.
/// Shifts by half of the reach are tried first, all of them in both directions. From the best one it goes on to better
/// neighbours, half of the reach away while there are any, then a quarter and so on to one pixel.
pub fn aligned(space: &Space, query: &Shifted, other: &Array3<f32>, symmetry: Symmetry) -> (f64, Alignment) {
    let other = symmetry.of(other.view());
    let other = other.as_standard_layout().into_owned();
    let reach = space.reach as i64;
    let mut best = (f64::INFINITY, [0, 0]);
    let attempt = |best: &mut (f64, [i64; 2]), shift: [i64; 2]| {
        if shift.iter().all(|s| s.abs() <= reach) {
            let start = [space.offset[0] as i64 + shift[0], space.offset[1] as i64 + shift[1]];
            let found = root_mean_square(query, &other, start);
            if found < best.0 {
                *best = (found, shift);
            }
        }
    };
    attempt(&mut best, [0, 0]);
    let half = (reach + 1) / 2;
    for at in square(2) {
        attempt(&mut best, at.map(|a| (a * half).clamp(-reach, reach)));
    }
    let mut step = half;
    while step > 0 {
        let around = best.1;
        for [y, x] in square(1) {
            attempt(&mut best, [around[0] + y * step, around[1] + x * step]);
        }
        if best.1 == around {
            step /= 2;
        }
    }
    (best.0, Alignment { symmetry, shift: in_pixels(space, symmetry, best.1) })
}

/// Returns the pixels that the transformed picture is moved, where its blocks are moved by `shift`: blocks do not fill a
/// picture whose side is no multiple of theirs, and what is left over lies on the other side of a mirrored one.
fn in_pixels(space: &Space, symmetry: Symmetry, shift: [i64; 2]) -> [i64; 2] {
    let backwards = symmetry.backwards();
    std::array::from_fn(|axis| {
        let rest = space.size[axis] - space.cells[axis] * space.block;
        let before = space.offset[axis];
        let moved = if backwards[axis] { rest - before } else { before };
        shift[axis] + before as i64 - moved as i64
    })
}

/// Returns all pairs of numbers from `-reach` to `reach` but zero and zero.
fn square(reach: i64) -> impl Iterator<Item = [i64; 2]> {
    let along = move || -reach..=reach;
    along().flat_map(move |y| along().map(move |x| [y, x])).filter(|at| *at != [0, 0])
}

fn root_mean_square(query: &Shifted, other: &Array3<f32>, start: [i64; 2]) -> f64 {
    let (planes, before) = query.from(start);
    let (_, rows, columns) = other.dim();
    let (_, query_rows, query_columns) = planes.dim();
    let (ys, query_y) = common(rows, query_rows, before[0]);
    let (xs, query_x) = common(columns, query_columns, before[1]);
    let (mut sum, mut count) = (0.0, 0);
    for (plane, other) in planes.outer_iter().zip(other.outer_iter()) {
        for (i, y) in ys.clone().enumerate() {
            let a = plane.slice(s![query_y + i, query_x..query_x + xs.len()]);
            let b = other.slice(s![y, xs.clone()]);
            if let (Some(a), Some(b)) = (a.to_slice(), b.to_slice()) {
                sum += f64::from(sum_of_squares(a, b));
                count += a.len();
            }
        }
    }
    if count == 0 { f64::INFINITY } else { (sum / count as f64).sqrt() }
}

/// Returns which of `n` blocks have a partner among those of the query, of which `before` lie before the first one, and
/// where the partners begin.
fn common(n: usize, of_query: usize, before: i64) -> (Range<usize>, usize) {
    let first = (-before).max(0);
    let end = (n as i64).min(of_query as i64 - before).max(first);
    (first as usize..end as usize, (first + before) as usize)
}

/// Returns the sum of squared differences, in eight sums at once so that a processor adds them together.
fn sum_of_squares(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut sums = [0.0_f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| (a - b) * (a - b)).sum();
    for (a, b) in a.zip(b) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plate::Calibration;
    use crate::realism::pool::{Pool, Stack};
    use ndarray::{Array3 as Planes, Array4, Axis, stack};

    const CALIBRATION: Calibration = Calibration { lo: 0.0, hi: 1000.0, clipped_low: 0.0, clipped_high: 0.0 };

    /// Two frames of a few smooth bumps; `size` with a margin, so that a moved part of it has content everywhere.
    fn scene(height: usize, width: usize) -> Planes<u16> {
        Planes::from_shape_fn((2, height, width), |(t, y, x)| {
            let (y, x) = (y as f64 / 9.0, x as f64 / 11.0);
            let value = (y + 0.3 * t as f64).sin() * (x * 1.3).cos() + (0.4 * y * x + 1.0).sin();
            (500.0 + 200.0 * value) as u16
        })
    }

    fn pool(sequences: &[Planes<u16>]) -> Pool {
        let views: Vec<_> = sequences.iter().map(|s| s.view()).collect();
        let counts: Array4<u16> = stack(Axis(0), &views).unwrap();
        Pool::independent(vec![Stack::new(counts, CALIBRATION)])
    }

    #[test]
    fn every_symmetry_and_shift_is_found_and_told_in_pixels() {
        for [height, width] in [[64, 64], [131, 131], [67, 131], [40, 300]] {
            for (k, symmetry) in Symmetry::all(height, width).into_iter().enumerate() {
                let reach = (height.min(width) / 32) as i64;
                let most = reach - 1;
                let shift = [most - (k as i64 % 2).min(most), -(k as i64 % 3).min(most)];
                // The turned scene, and the same part of it moved by the shift.
                let margin = 8;
                let scene = scene(height.max(width) + 2 * margin, height.max(width) + 2 * margin);
                let scene = symmetry.of(scene.view());
                let part = |at: [i64; 2]| {
                    let [top, left] = at.map(|a| (margin as i64 + a) as usize);
                    scene.slice(s![.., top..top + height, left..left + width]).to_owned()
                };
                let (query, turned) = (part([0, 0]), part(shift));
                let original = inverse(symmetry).of(turned.view()).to_owned();
                let (queries, others) = (pool(&[query]), pool(&[original]));
                let space = Space::of(&others, 2);
                let features = space.features(&queries, 0);
                let shifted = space.shifted(&queries, 0, &features);
                let other = space.features(&others, 0).cells;
                let (distance, alignment) = aligned(&space, &shifted, &other, symmetry);
                let case = format!("{height}x{width} {}", symmetry.words());
                assert_eq!(alignment, Alignment { symmetry, shift }, "{case}");
                assert!(distance < 0.1, "{case}: {distance}");
                // Blocks of a mirrored picture may lie a pixel off, which is a shift of its own.
                let still = Space { reach: 0, ..space.clone() };
                let (unmoved, at) = aligned(&still, &shifted, &other, symmetry);
                assert!(at.shift == shift || unmoved > 1.5 * distance, "{case}: {unmoved} {distance}");
            }
        }
    }

    /// A quarter turn is undone by the other one, all else by itself.
    fn inverse(symmetry: Symmetry) -> Symmetry {
        Symmetry { mirrored: symmetry.backwards(), ..symmetry }
    }

    #[test]
    fn brightness_of_a_sequence_does_not_count_and_noise_counts_little() {
        let scene = scene(64, 64);
        let brighter = scene.mapv(|v| v + 50);
        let noisy = Planes::from_shape_fn(scene.dim(), |(t, y, x)| {
            scene[[t, y, x]] + ((7 * t + 31 * y + 17 * x * x) % 21) as u16
        });
        let other = scene.mapv(|v| 1000 - v);
        let queries = pool(&[scene.clone(), brighter, noisy, other]);
        let others = pool(&[scene]);
        let space = Space::of(&others, 5);
        let cells = space.features(&others, 0).cells;
        let distance = |i| {
            let features = space.features(&queries, i);
            aligned(&space, &space.shifted(&queries, i, &features), &cells, Symmetry::NONE).0
        };
        assert!(distance(0) < 1e-6 && distance(1) < 1e-6, "{} {}", distance(0), distance(1));
        assert!(distance(2) < 0.1 && distance(3) > 1.0, "{} {}", distance(2), distance(3));
    }
}
