//! Shapes of the objects in a label image, as scikit-image measures them.

use ndarray::ArrayView2;

use super::per_label::PerLabel;

/// Shape of one object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Its id, never 0.
    pub id: u32,
    /// Its pixels.
    pub area: f64,
    /// Row and column of its centre.
    pub centre: [f64; 2],
    /// Eccentricity of the ellipse with its second moments: 0 for a circle, towards 1 for a line.
    pub eccentricity: f64,
    /// Its pixels as a share of those in its convex hull, in (0, 1].
    pub solidity: f64,
    /// Whether one of its pixels lies beside one of another object (4-neighbours).
    pub touching: bool,
}

/// Sums over the pixels of an object, and its extent in every row.
#[derive(Default)]
struct Pixels {
    n: f64,
    sum: [f64; 2],
    squares: [f64; 3],
    /// Row, first and last column; rows rise.
    rows: Vec<[i64; 3]>,
    touching: bool,
}

/// Returns the shapes of all objects by rising id.
///
/// # Reference
/// `skimage.measure.regionprops` 0.26: second moments with 1/n, hull of the middles of the pixels' edges.
pub fn shapes(ids: ArrayView2<'_, u32>) -> Vec<Shape> {
    let mut all: PerLabel<Pixels> = PerLabel::default();
    let (height, width) = ids.dim();
    for ((y, x), &id) in ids.indexed_iter().filter(|(_, id)| **id != 0) {
        let other = |y: usize, x: usize| ids[[y, x]] != 0 && ids[[y, x]] != id;
        let touching = (y > 0 && other(y - 1, x))
            || (y + 1 < height && other(y + 1, x))
            || (x > 0 && other(y, x - 1))
            || (x + 1 < width && other(y, x + 1));
        all.at(id, Pixels::default).add(y, x, touching);
    }
    all.into_sorted().map(|(id, pixels)| pixels.shape(id)).collect()
}

impl Pixels {
    fn add(&mut self, y: usize, x: usize, touching: bool) {
        let (fy, fx) = (y as f64, x as f64);
        self.n += 1.0;
        self.sum[0] += fy;
        self.sum[1] += fx;
        self.squares[0] += fy * fy;
        self.squares[1] += fx * fx;
        self.squares[2] += fy * fx;
        self.touching |= touching;
        match self.rows.last_mut().filter(|row| row[0] == y as i64) {
            Some(row) => row[2] = x as i64,
            None => self.rows.push([y as i64, x as i64, x as i64]),
        }
    }

    fn shape(&self, id: u32) -> Shape {
        let centre = self.sum.map(|sum| sum / self.n);
        let [yy, xx, yx] = self.squares.map(|sum| sum / self.n);
        let (a, b, c) = (yy - centre[0] * centre[0], xx - centre[1] * centre[1], yx - centre[0] * centre[1]);
        // Eigenvalues of the covariance.
        let (middle, half) = (f64::midpoint(a, b), (((a - b) / 2.0).powi(2) + c * c).sqrt());
        let (large, small) = (middle + half, (middle - half).max(0.0));
        let eccentricity = if large > 1e-12 { (1.0 - small / large).max(0.0).sqrt() } else { 0.0 };
        Shape {
            id,
            area: self.n,
            centre,
            eccentricity,
            solidity: self.n / self.hull_area() as f64,
            touching: self.touching,
        }
    }

    /// Returns the number of pixels whose centre lies in or on the hull. Coordinates are doubled, so that all are whole.
    fn hull_area(&self) -> u64 {
        let mut points: Vec<[i64; 2]> = Vec::with_capacity(6 * self.rows.len());
        for &[y, first, last] in &self.rows {
            let y = 2 * y;
            points.extend([[y, 2 * first - 1], [y, 2 * last + 1]]);
            points.extend([y - 1, y + 1].into_iter().flat_map(|y| [[y, 2 * first], [y, 2 * last]]));
        }
        let hull = hull(points);
        let Some((&[top, ..], &[bottom, ..])) = self.rows.first().zip(self.rows.last()) else { return 0 };
        (top..=bottom).map(|y| inside(&hull, 2 * y)).sum()
    }
}

/// Returns the corners of the convex hull in order (Andrew's monotone chain).
fn hull(mut points: Vec<[i64; 2]>) -> Vec<[i64; 2]> {
    points.sort_unstable();
    points.dedup();
    let half = |points: &mut dyn Iterator<Item = &[i64; 2]>| {
        let mut chain: Vec<[i64; 2]> = Vec::new();
        for &point in points {
            while let [.., a, b] = chain[..] {
                let turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]);
                if turn > 0 {
                    break;
                }
                chain.pop();
            }
            chain.push(point);
        }
        chain.pop();
        chain
    };
    [half(&mut points.iter()), half(&mut points.iter().rev())].concat()
}

/// Returns how many even columns of a row lie in or on a hull.
fn inside(hull: &[[i64; 2]], row: i64) -> u64 {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for (i, &a) in hull.iter().enumerate() {
        let b = hull[(i + 1) % hull.len()];
        let (low, high) = if a[0] <= b[0] { (a, b) } else { (b, a) };
        if row < low[0] || row > high[0] {
            continue;
        }
        if low[0] == high[0] {
            first = first.min(low[1].min(high[1]));
            last = last.max(low[1].max(high[1]));
            continue;
        }
        // The crossing is at `low[1] + rise / run`; whole columns between two crossings count.
        let (rise, run) = ((row - low[0]) * (high[1] - low[1]), high[0] - low[0]);
        first = first.min(low[1] + rise.div_euclid(run) + i64::from(rise.rem_euclid(run) != 0));
        last = last.max(low[1] + rise.div_euclid(run));
    }
    // From the first to the last even column.
    let (first, last) = (first + (first & 1), last - (last & 1));
    if first > last { 0 } else { ((last - first) / 2 + 1) as u64 }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn a_pixel_a_line_and_a_corner_have_known_shapes() {
        let mut ids = Array2::zeros((8, 8));
        ids[[0, 0]] = 3;
        for x in 2..7 {
            ids[[2, x]] = 5;
        }
        for k in 4..7 {
            ids[[k, 1]] = 9;
            ids[[6, k - 3]] = 9;
        }
        let found = shapes(ids.view());
        assert_eq!(found.iter().map(|s| (s.id, s.area)).collect::<Vec<_>>(), [(3, 1.0), (5, 5.0), (9, 5.0)]);
        assert_eq!((found[0].eccentricity, found[0].solidity), (0.0, 1.0));
        assert_eq!((found[1].eccentricity, found[1].solidity, found[1].centre), (1.0, 1.0, [2.0, 4.0]));
        // The hull of the corner holds the pixel of its diagonal.
        assert!((found[2].solidity - 5.0 / 6.0).abs() < 1e-12, "{}", found[2].solidity);
    }

    #[test]
    fn objects_that_lie_side_by_side_touch() {
        let mut ids = Array2::zeros((4, 6));
        ids[[1, 1]] = 1;
        ids[[1, 2]] = 2;
        ids[[2, 3]] = 3; // a corner is no edge
        assert_eq!(shapes(ids.view()).iter().map(|s| s.touching).collect::<Vec<_>>(), [true, true, false]);
    }
}
