//! The one-to-one assignment with the largest sum of weights.

/// Returns the row-column pairs that maximise the sum of `weights[row][column]`, each row and column in one pair at
/// most. Weights are at least 0; pairs of weight 0 are left out.
///
/// # Reference
/// Kuhn, "The Hungarian method for the assignment problem", 1955, in the form with row and column potentials, which
/// takes `rows^2 * columns` steps.
///
/// # Examples
/// IoU of two true cells (rows) with two predictions (columns). Taking the best pair first gives 0.9 + 0.1; the other
/// two pairs give 0.8 + 0.7.
///
/// ```
/// use lapsegan_core::scores::assignment::assign;
///
/// assert_eq!(assign(&[vec![0.9, 0.8], vec![0.7, 0.1]]), [(0, 1), (1, 0)]);
/// // Three cells, one prediction: only the best pair is left.
/// assert_eq!(assign(&[vec![0.2], vec![0.6], vec![0.1]]), [(1, 0)]);
/// // Cells that share nothing are no pair.
/// assert_eq!(assign(&[vec![0.5, 0.0], vec![0.0, 0.0]]), [(0, 0)]);
/// ```
pub fn assign(weights: &[Vec<f64>]) -> Vec<(usize, usize)> {
    let rows = weights.len();
    let columns = weights.first().map_or(0, Vec::len);
    if rows > columns {
        let turned: Vec<Vec<f64>> =
            (0..columns).map(|c| weights.iter().map(|row| row[c]).collect()).collect();
        return assign(&turned).into_iter().map(|(c, r)| (r, c)).collect();
    }
    // Potentials and partners count from 1; row or column 0 means none.
    let mut row_potential = vec![0.0; rows + 1];
    let mut column_potential = vec![0.0; columns + 1];
    let mut row_of = vec![0; columns + 1];
    for row in 1..=rows {
        // Grow a tree of tight edges from `row` until it reaches a free column.
        let mut slack = vec![f64::INFINITY; columns + 1];
        let mut came_from = vec![0; columns + 1];
        let mut visited = vec![false; columns + 1];
        let mut column = 0;
        row_of[0] = row;
        while row_of[column] != 0 {
            visited[column] = true;
            let from = row_of[column];
            let (mut nearest, mut delta) = (0, f64::INFINITY);
            for next in (1..=columns).filter(|&c| !visited[c]) {
                let cost = -weights[from - 1][next - 1] - row_potential[from] - column_potential[next];
                if cost < slack[next] {
                    (slack[next], came_from[next]) = (cost, column);
                }
                if slack[next] < delta {
                    (nearest, delta) = (next, slack[next]);
                }
            }
            for c in 0..=columns {
                if visited[c] {
                    row_potential[row_of[c]] += delta;
                    column_potential[c] -= delta;
                } else {
                    slack[c] -= delta;
                }
            }
            column = nearest;
        }
        // Flip the edges of the path found.
        while column != 0 {
            let before = came_from[column];
            row_of[column] = row_of[before];
            column = before;
        }
    }
    let pairs = (1..=columns).filter(|&c| row_of[c] != 0).map(|c| (row_of[c] - 1, c - 1));
    let mut pairs: Vec<_> = pairs.filter(|&(r, c)| weights[r][c] > 0.0).collect();
    pairs.sort_unstable();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_greedy_choice_is_not_taken_where_it_costs_more_later() {
        assert_eq!(assign(&[vec![0.9, 0.8], vec![0.8, 0.1]]), [(0, 1), (1, 0)]);
        assert_eq!(assign(&[vec![0.2], vec![0.7], vec![0.1]]), [(1, 0)]);
        assert!(assign(&[]).is_empty());
        assert!(assign(&[vec![0.0]]).is_empty());
    }

    fn best(weights: &[Vec<f64>], taken: u32) -> f64 {
        let Some((row, rest)) = weights.split_first() else { return 0.0 };
        let pick =
            |(c, w): (usize, &f64)| if taken & 1 << c == 0 { w + best(rest, taken | 1 << c) } else { 0.0 };
        row.iter().enumerate().map(pick).fold(best(rest, taken), f64::max)
    }

    proptest! {
        #[test]
        fn the_sum_equals_the_best_of_all_assignments(rows in 1_usize..6, columns in 1_usize..6, seed in prop::collection::vec(0.0_f64..1.0, 36)) {
            let weights: Vec<Vec<f64>> = (0..rows)
                .map(|r| (0..columns).map(|c| if seed[r * 6 + c] < 0.3 { 0.0 } else { seed[r * 6 + c] }).collect())
                .collect();
            let sum: f64 = assign(&weights).into_iter().map(|(r, c)| weights[r][c]).sum();
            prop_assert!((sum - best(&weights, 0)).abs() < 1e-9);
        }
    }
}
