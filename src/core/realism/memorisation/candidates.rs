//! Which sequences may be the nearest: all of them in order of a coarse distance that is quick to take.

use ndarray::{Array2, Array3, s};
use rayon::prelude::*;

use super::space::coarse;
use super::symmetry::Symmetry;

/// Queries whose distances are taken in one product of matrices.
const ROWS: usize = 32;

/// Sequences in rising order of the coarse distance to one query, each with the symmetry that brings it nearest.
pub type Ranking = Vec<(usize, Symmetry)>;

/// Returns a ranking of all `others` for each of the `queries`. `[C * T, rows, columns]` each
///
/// The coarse distance is the least over the symmetries, without shifts, of means over at most 16 x 16 parts.
pub fn rankings(queries: &[Array3<f32>], others: &[Array3<f32>], symmetries: &[Symmetry]) -> Vec<Ranking> {
    let coarse_queries: Vec<Array3<f32>> = queries.iter().map(coarse).collect();
    let coarse_others: Vec<Array3<f32>> = others.iter().map(coarse).collect();
    let queries = matrix(&coarse_queries, Symmetry::NONE);
    let mut best = vec![vec![(f32::INFINITY, 0); others.len()]; queries.nrows()];
    for (index, symmetry) in symmetries.iter().enumerate() {
        let others = matrix(&coarse_others, *symmetry);
        let norms: Vec<f32> = others.outer_iter().map(|row| row.dot(&row)).collect();
        best.par_chunks_mut(ROWS).enumerate().for_each(|(chunk, best)| {
            let rows = chunk * ROWS..chunk * ROWS + best.len();
            let products = queries.slice(s![rows, ..]).dot(&others.t());
            for (best, products) in best.iter_mut().zip(products.outer_iter()) {
                for ((best, product), norm) in best.iter_mut().zip(products).zip(&norms) {
                    // The square of the query itself is the same for all.
                    let distance = norm - 2.0 * product;
                    if distance < best.0 {
                        *best = (distance, index);
                    }
                }
            }
        });
    }
    let ranking = |row: Vec<(f32, usize)>| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|a, b| row[*a].0.total_cmp(&row[*b].0).then(a.cmp(b)));
        order.into_iter().map(|i| (i, symmetries[row[i].1])).collect()
    };
    best.into_iter().map(ranking).collect()
}

/// Returns one row of numbers per sequence after a symmetry.
fn matrix(sequences: &[Array3<f32>], symmetry: Symmetry) -> Array2<f32> {
    let mut rows = Array2::zeros((sequences.len(), sequences.first().map_or(0, Array3::len)));
    for (i, sequence) in sequences.iter().enumerate() {
        let mut row = rows.slice_mut(s![i, ..]);
        row.iter_mut().zip(symmetry.of(sequence.view())).for_each(|(to, from)| *to = *from);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_copy_is_first_and_its_symmetry_is_known() {
        let noise = |i: usize| ((i * i * 7919 + i * 104_729) % 10_007) as f32 / 10_007.0;
        let picture =
            |k: usize| Array3::from_shape_fn((2, 20, 20), |(p, y, x)| noise(977 * k + 400 * p + 20 * y + x));
        let others: Vec<Array3<f32>> = (0..40).map(picture).collect();
        let symmetries = Symmetry::all(20, 20);
        for (k, symmetry) in symmetries.iter().enumerate() {
            let query = symmetry.of(others[4 * k].view()).to_owned();
            assert_eq!(rankings(&[query], &others, &symmetries)[0][0], (4 * k, *symmetry));
        }
    }
}
