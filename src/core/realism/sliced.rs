//! Sliced Wasserstein distance between patches of two image sets, level by level of a Laplacian pyramid.
//!
//! Compares textures at each size of detail without any trained network. Brightness and contrast are removed per set
//! and channel, so they do not count here; `intensity` looks at them.
//!
//! # Reference
//! Karras et al. 2018 (ProGAN), written from the definition: 7x7 patches, random unit directions, mean difference of the
//! sorted projections, times 1000.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, Array3, Array4, ArrayView3, Axis, s};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::pyramid;

/// Side of a patch.
pub const PATCH: usize = 7;

/// Values per channel of a patch.
const PATCH_PIXELS: usize = PATCH * PATCH;

/// Directions that one thread projects and sorts at a time.
const DIRECTIONS_PER_TASK: usize = 8;

/// One pyramid level of several images, `[N][C, H, W]`.
pub type Level = Vec<Array3<f64>>;

/// Returns the pyramid levels of several images, from fine to coarse.
///
/// # Shapes
/// `images`: `[N, C, H, W]`.
pub fn levels(images: &Array4<f64>, count: usize) -> Vec<Level> {
    let per_image: Vec<Vec<Array3<f64>>> = (0..images.dim().0)
        .into_par_iter()
        .map(|n| image_levels(images.index_axis(Axis(0), n), count))
        .collect();
    (0..count).map(|level| per_image.iter().map(|image| image[level].clone()).collect()).collect()
}

/// Returns seeded patch centres, `per_image` of them in each image, so that patches lie inside. `[N][per_image]`
///
/// Images must have at least [`PATCH`] rows and columns.
pub fn draw_positions(
    rng: &mut ChaCha8Rng,
    images: usize,
    per_image: usize,
    size: (usize, usize),
) -> Vec<Vec<[usize; 2]>> {
    let half = PATCH / 2;
    let mut draw = |n: usize| rng.random_range(half as u64..(n - half) as u64) as usize;
    (0..images).map(|_| (0..per_image).map(|_| [draw(size.0), draw(size.1)]).collect()).collect()
}

/// Returns seeded directions of length 1 as columns. `[49 * C, count]`
pub fn draw_directions(rng: &mut ChaCha8Rng, channels: usize, count: usize) -> Array2<f64> {
    let mut directions =
        Array2::from_shape_simple_fn((PATCH_PIXELS * channels, count), || StandardNormal.sample(&mut *rng));
    for mut column in directions.columns_mut() {
        let length = column.iter().map(|x: &f64| x * x).sum::<f64>().sqrt();
        column /= length;
    }
    directions
}

/// Returns the patches around `positions` as rows, values in the order channel, row, column.
///
/// # Shapes
/// `positions`: `[N][patches]` centres `[y, x]`, at least 3 pixels from every border. Returns `[N * patches, 49 * C]`.
pub fn patches(level: &[Array3<f64>], positions: &[Vec<[usize; 2]>]) -> Array2<f64> {
    let channels = level.first().map_or(0, |image| image.dim().0);
    let rows = positions.iter().map(Vec::len).sum();
    let half = PATCH / 2;
    let mut values = Vec::with_capacity(rows * channels * PATCH_PIXELS);
    for (image, centres) in level.iter().zip(positions) {
        for [y, x] in centres {
            values.extend(image.slice(s![.., y - half..=y + half, x - half..=x + half]));
        }
    }
    Array2::from_shape_vec((rows, channels * PATCH_PIXELS), values).expect("one row per centre")
}

/// Subtracts the mean and divides by the standard deviation of each channel, over all patches and their pixels.
/// A channel without variation becomes 0.
pub fn standardise(patches: &mut Array2<f64>) {
    let channels = patches.ncols() / PATCH_PIXELS;
    for c in 0..channels {
        let mut block = patches.slice_mut(s![.., c * PATCH_PIXELS..(c + 1) * PATCH_PIXELS]);
        let n = block.len().max(1) as f64;
        let mean = block.sum() / n;
        block -= mean;
        let std = (block.iter().map(|x| x * x).sum::<f64>() / n).sqrt();
        // Rounding alone leaves about 1e-16 of the mean in a channel that is constant.
        let usable = std > 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
        block.mapv_inplace(|x| if usable { x / std } else { 0.0 });
    }
}

/// Returns the projections on each direction, sorted. `[directions, patches]`
///
/// # Shapes
/// `patches`: `[patches, 49 * C]`; `directions`: `[49 * C, directions]`.
pub fn sorted_projections(patches: &Array2<f64>, directions: &Array2<f64>) -> Array2<f64> {
    let (n, count) = (patches.nrows(), directions.ncols());
    let mut sorted = Array2::zeros((count, n));
    // One chunk of directions per task: the product of a chunk stays in the cache until it is sorted.
    let chunks = sorted.axis_chunks_iter_mut(Axis(0), DIRECTIONS_PER_TASK).collect::<Vec<_>>();
    chunks.into_par_iter().enumerate().for_each(|(chunk, mut rows)| {
        let first = chunk * DIRECTIONS_PER_TASK;
        let columns = directions.slice(s![.., first..first + rows.nrows()]);
        general_mat_mul(1.0, &columns.t(), &patches.t(), 0.0, &mut rows);
        for mut row in rows.rows_mut() {
            row.as_slice_mut().expect("standard layout").sort_unstable_by(f64::total_cmp);
        }
    });
    sorted
}

/// Returns the Wasserstein-1 distance along each direction.
///
/// # Shapes
/// `a`, `b`: `[directions, patches]`, equal; rows sorted.
pub fn per_direction(a: &Array2<f64>, b: &Array2<f64>) -> Vec<f64> {
    assert_eq!(a.dim(), b.dim(), "equal directions and patches on both sides");
    let n = a.ncols().max(1) as f64;
    a.rows()
        .into_iter()
        .zip(b.rows())
        .map(|(x, y)| x.iter().zip(y).map(|(x, y)| (x - y).abs()).sum::<f64>() / n)
        .collect()
}

/// Returns the mean over directions times 1000, the number that is reported. 0 without directions.
pub fn swd_x1e3(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    let distances = per_direction(a, b);
    1e3 * distances.iter().sum::<f64>() / distances.len().max(1) as f64
}

/// Returns the levels of one image `[C, H, W]`, all channels of a level together.
fn image_levels(image: ArrayView3<f64>, count: usize) -> Vec<Array3<f64>> {
    let channels: Vec<Vec<Array2<f64>>> =
        image.outer_iter().map(|channel| pyramid::laplacian(channel, count)).collect();
    (0..count)
        .map(|level| {
            let views: Vec<_> = channels.iter().map(|c| c[level].view()).collect();
            ndarray::stack(Axis(0), &views).expect("channels have equal sizes")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn texture(n: usize, period: usize) -> Array4<f64> {
        Array4::from_shape_fn((n, 1, 32, 32), |(n, _, y, x)| ((x + y + n) % period) as f64)
    }

    fn swd(a: &Array4<f64>, b: &Array4<f64>) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let directions = draw_directions(&mut rng, a.dim().1, 32);
        let mut side = |images: &Array4<f64>| {
            let level = &levels(images, 2)[0];
            let positions = draw_positions(&mut rng, level.len(), 40, (32, 32));
            let mut rows = patches(level, &positions);
            standardise(&mut rows);
            sorted_projections(&rows, &directions)
        };
        let (a, b) = (side(a), side(b));
        swd_x1e3(&a, &b)
    }

    #[test]
    fn equal_textures_are_near_and_different_ones_far() {
        let near = swd(&texture(4, 5), &texture(4, 5));
        let far = swd(&texture(4, 5), &texture(4, 2));
        assert!(far > 3.0 * near, "{near} {far}");
        assert!((swd(&texture(4, 5), &texture(4, 5).mapv(|x| 3.0 * x + 1.0)) - near).abs() < 1e-6);
    }

    #[test]
    fn a_constant_channel_becomes_zero_instead_of_nan() {
        let mut rows = Array2::from_elem((3, 98), 0.1);
        rows.slice_mut(s![.., 49..]).mapv_inplace(|_| 0.0);
        rows[[0, 60]] = 1.0;
        standardise(&mut rows);
        assert!(rows.slice(s![.., ..49]).iter().all(|x| *x == 0.0));
        assert!((rows.slice(s![.., 49..]).iter().map(|x| x * x).sum::<f64>() / 147.0 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn directions_have_length_one_and_patches_lie_inside() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let directions = draw_directions(&mut rng, 2, 8);
        assert_eq!(directions.dim(), (98, 8));
        assert!(directions.columns().into_iter().all(|c| (c.dot(&c) - 1.0).abs() < 1e-12));
        let positions = draw_positions(&mut rng, 2, 200, (7, 16));
        assert!(positions.iter().flatten().all(|p| p[0] == 3 && (3..13).contains(&p[1])));
    }
}
