//! How a camera sees the trap: brightfield slightly out of focus, and fluorescence, with photon and read noise.
//!
//! Everything is rendered on a finer grid and averaged over the pixels of the camera, so that outlines and labels are
//! right to a fraction of a pixel at every image size.

use ndarray::{Array2, Axis};
use rand::Rng;
use rand_distr::{Distribution, Normal, Poisson, StandardNormal};

use super::FIELD_UM;
use super::cells::{Cell, Outline, Trap, length};

/// Counts that the camera adds to every pixel.
const OFFSET: f64 = 110.0;
/// Read noise in counts.
const READ_NOISE: f64 = 3.0;
/// Light of an empty brightfield pixel, in photons (one count each).
const BRIGHT_PHOTONS: f64 = 6000.0;
/// Light of the middle of a mean cell in the fluorescence channel, in photons.
const REPORTER_PHOTONS: f64 = 420.0;
/// Light of an empty fluorescence pixel, in photons: medium and chip.
const HAZE_PHOTONS: f64 = 14.0;
/// Width of the point spread function (standard deviation) in brightfield and fluorescence.
const BLUR_UM: [f64; 2] = [0.14, 0.24];
/// Width of the light from out of focus.
const SPREAD_UM: f64 = 1.3;

/// One exposure of both channels with its truth.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Counts. `[H, W]`
    pub brightfield: Array2<u16>,
    /// Counts. `[H, W]`
    pub fluorescence: Array2<u16>,
    /// Cell ids. `[H, W]`
    pub cells: Array2<u32>,
    /// Trap ids. `[H, W]`
    pub structure: Array2<u32>,
}

/// A microscope at one position: illumination and focus differ from position to position and drift a little.
#[derive(Clone, Debug)]
pub struct Microscope {
    size: usize,
    /// Fine pixels per camera pixel and axis.
    fine: usize,
    /// Change of the illumination across the field, x and y.
    gradient: (f64, f64),
    /// Strength of halo and rim relative to the mean focus.
    focus: f64,
    mean_focus: f64,
    lamp: f64,
}

impl Microscope {
    /// Returns the microscope of one position.
    pub fn new(size: usize, rng: &mut impl Rng) -> Self {
        let mean_focus = rng.random_range(0.85..1.2);
        Self {
            size,
            fine: (128 / size.max(1)).clamp(2, 8),
            gradient: (rng.random_range(-0.06..0.06), rng.random_range(-0.06..0.06)),
            focus: mean_focus,
            mean_focus,
            lamp: rng.random_range(0.92..1.08),
        }
    }

    /// Returns both channels and the truth of one moment.
    pub fn expose(&mut self, trap: &Trap, rng: &mut impl Rng) -> Picture {
        let drift: f64 = StandardNormal.sample(rng);
        self.focus = self.mean_focus + 0.8 * (self.focus - self.mean_focus) + 0.03 * drift;
        let n = self.size * self.fine;
        let step = FIELD_UM / n as f64;
        let mut bright = Array2::zeros((n, n));
        let mut glow = Array2::zeros((n, n));
        let mut cells = Array2::zeros((n, n));
        let mut structure = Array2::zeros((n, n));
        let shapes: Vec<Shape> = trap.cells.iter().map(Shape::new).collect();
        for ((row, column), bright) in bright.indexed_iter_mut() {
            let (x, y) =
                ((column as f64 + 0.5) * step - FIELD_UM / 2.0, (row as f64 + 0.5) * step - FIELD_UM / 2.0);
            let at = [row, column];
            let mut contrast = 0.0;
            for bar in &trap.bars {
                let distance = bar.distance(x, y);
                if distance < 0.0 {
                    structure[at] = bar.id;
                }
                contrast += bar_contrast(distance);
            }
            // A point belongs to the cell in which it lies deepest, so that no two labels overlap.
            let mut deepest = 0.0;
            let mut inside = 0.0;
            for shape in &shapes {
                let distance = shape.outline.distance(x, y);
                if distance > 1.6 {
                    continue;
                }
                contrast += self.focus * halo(distance);
                if distance < deepest && structure[at] == 0 {
                    deepest = distance;
                    cells[at] = shape.cell.id;
                    inside = self.focus * shape.interior(x, y, distance);
                    glow[at] = shape.cell.level * shape.brightness(x, y, distance);
                }
            }
            *bright = contrast + inside;
        }
        let light = |plane: &Array2<f64>, blur: f64| self.camera_pixels(&gaussian(plane, blur / step));
        let sharp = light(&glow, BLUR_UM[1]);
        // Light from above and below the focus, so wide that camera pixels are fine enough for it.
        let spread = gaussian(&sharp, SPREAD_UM * self.size as f64 / FIELD_UM);
        let bright = light(&bright, BLUR_UM[0]);
        let middle = self.size as f64 / 2.0;
        let brightfield = Array2::from_shape_fn((self.size, self.size), |(y, x)| {
            let (u, v) = ((x as f64 + 0.5) / middle - 1.0, (y as f64 + 0.5) / middle - 1.0);
            let lamp = self.lamp * (1.0 + self.gradient.0 * u + self.gradient.1 * v);
            expose(BRIGHT_PHOTONS * lamp * (1.0 + bright[[y, x]]).max(0.02), rng)
        });
        let fluorescence = Array2::from_shape_fn((self.size, self.size), |at| {
            expose(HAZE_PHOTONS + REPORTER_PHOTONS * (0.9 * sharp[at] + 0.1 * spread[at]), rng)
        });
        Picture {
            brightfield,
            fluorescence,
            cells: self.camera_labels(&cells),
            structure: self.camera_labels(&structure),
        }
    }

    /// Averages the fine grid over camera pixels.
    fn camera_pixels(&self, plane: &Array2<f64>) -> Array2<f64> {
        let k = self.fine;
        let area = (k * k) as f64;
        let mut out = Array2::zeros((self.size, self.size));
        for ((y, x), value) in plane.indexed_iter() {
            out[[y / k, x / k]] += value / area;
        }
        out
    }

    /// Returns the object that covers most of each pixel, where objects cover at least half of it.
    fn camera_labels(&self, plane: &Array2<u32>) -> Array2<u32> {
        let k = self.fine;
        Array2::from_shape_fn((self.size, self.size), |(y, x)| {
            let mut votes: Vec<(u32, usize)> = Vec::new();
            for &id in plane.slice(ndarray::s![y * k..(y + 1) * k, x * k..(x + 1) * k]) {
                match votes.iter_mut().find(|(seen, _)| *seen == id) {
                    Some((_, n)) => *n += 1,
                    None => votes.push((id, 1)),
                }
            }
            let covered: usize = votes.iter().filter(|(id, _)| *id != 0).map(|(_, n)| n).sum();
            let best =
                votes.iter().filter(|(id, _)| *id != 0).max_by_key(|(id, n)| (*n, std::cmp::Reverse(*id)));
            if 2 * covered < k * k { 0 } else { best.map_or(0, |(id, _)| *id) }
        })
    }
}

/// Returns a bump of height one at `at` with the given width (standard deviation).
fn bump(distance: f64, at: f64, width: f64) -> f64 {
    let z = (distance - at) / width;
    if z.abs() > 4.0 { 0.0 } else { (-0.5 * z * z).exp() }
}

/// Brightfield contrast of an outline: a dark rim with a bright halo around it, as a cell just above the focus shows.
fn halo(distance: f64) -> f64 {
    0.30 * bump(distance, 0.42, 0.28) - 0.62 * bump(distance, -0.10, 0.24)
}

/// A cell as the optics see it.
struct Shape<'a> {
    cell: &'a Cell,
    outline: Outline,
    /// Middle and radius of the vacuole.
    vacuole: (f64, f64, f64),
}

impl<'a> Shape<'a> {
    fn new(cell: &'a Cell) -> Self {
        let (offset, direction) = cell.vacuole;
        let (sin, cos) = direction.sin_cos();
        let vacuole =
            (cell.x + offset * cell.radius * cos, cell.y + offset * cell.radius * sin, 0.36 * cell.radius);
        Self { cell, outline: cell.outline(), vacuole }
    }

    /// Brightfield contrast inside: a bright inner ring, a darker body, a vacuole, and grain that moves with the cell.
    fn interior(&self, x: f64, y: f64, distance: f64) -> f64 {
        let ring = 0.16 * bump(distance, -0.62, 0.26);
        let body = -0.13 * (1.0 - (distance * 2.5).exp());
        let vacuole = self.vacuole_radii(x, y);
        ring + body - 0.16 * bump(vacuole, 1.0, 0.22) + 0.10 * bump(vacuole, 0.0, 0.5) + self.grain(x, y)
    }

    /// Fluorescence: proportional to the thickness of a ball, darker in the vacuole.
    fn brightness(&self, x: f64, y: f64, distance: f64) -> f64 {
        let depth = (-distance / self.cell.radius).clamp(0.0, 1.0);
        let thickness = (depth * (2.0 - depth)).sqrt();
        // Small cells are thinner.
        let size = (self.cell.radius / 2.3).min(1.1);
        size * thickness * (1.0 - 0.45 / (1.0 + (8.0 * (self.vacuole_radii(x, y) - 1.0)).exp()))
    }

    /// Distance from the middle of the vacuole, in its radii.
    fn vacuole_radii(&self, x: f64, y: f64) -> f64 {
        length(x - self.vacuole.0, y - self.vacuole.1) / self.vacuole.2
    }

    fn grain(&self, x: f64, y: f64) -> f64 {
        let (u, v) = ((x - self.cell.x) * 3.1, (y - self.cell.y) * 3.1);
        let g = self.cell.grain;
        0.025
            * ((u + 1.7 * v + g).sin() + (2.3 * u - v + 2.0 * g).sin() + (0.7 * u + 2.9 * v + 3.0 * g).sin())
    }
}

/// Brightfield contrast of a bar: sharp dark edge, thin halo, slightly darker body.
fn bar_contrast(distance: f64) -> f64 {
    let body = if distance < 0.0 { -0.07 } else { 0.0 };
    0.17 * bump(distance, 0.26, 0.16) - 0.42 * bump(distance, -0.05, 0.13) + body
}

/// Returns the counts of one pixel that photons reach.
fn expose(photons: f64, rng: &mut impl Rng) -> u16 {
    let caught = Poisson::new(photons.max(1e-3)).map_or(0.0, |p| p.sample(rng));
    let noise = Normal::new(0.0, READ_NOISE).map_or(0.0, |n| n.sample(rng));
    (OFFSET + caught + noise).round().clamp(0.0, 65535.0) as u16
}

/// Blurs with a Gaussian of `sigma` fine pixels, edges repeated.
fn gaussian(plane: &Array2<f64>, sigma: f64) -> Array2<f64> {
    let reach = (3.0 * sigma).ceil() as isize;
    let mut kernel: Vec<f64> = (-reach..=reach).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = kernel.iter().sum();
    for weight in &mut kernel {
        *weight /= sum;
    }
    let mut out = plane.clone();
    for axis in [Axis(0), Axis(1)] {
        for mut lane in out.lanes_mut(axis) {
            let line: Vec<f64> = lane.iter().copied().collect();
            let last = line.len() as isize - 1;
            for (i, value) in lane.iter_mut().enumerate() {
                let at = |k: usize| line[(i as isize + k as isize - reach).clamp(0, last) as usize];
                *value = kernel.iter().enumerate().map(|(k, weight)| weight * at(k)).sum();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn noise_grows_with_the_light_as_photons_do() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for photons in [20.0, 400.0, 6000.0] {
            let counts: Vec<f64> = (0..4000).map(|_| f64::from(expose(photons, &mut rng))).collect();
            let mean = counts.iter().sum::<f64>() / 4000.0;
            let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 4000.0;
            assert!((mean - OFFSET - photons).abs() < 4.0 * (photons / 4000.0).sqrt() + 0.2, "{mean}");
            let expected = photons + READ_NOISE.powi(2);
            assert!((variance / expected - 1.0).abs() < 0.12, "{photons}: {variance}");
        }
    }

    #[test]
    fn the_reporter_is_where_the_labels_are() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for size in [32, 64] {
            let trap = Trap::new(&mut rng);
            let picture = Microscope::new(size, &mut rng).expose(&trap, &mut rng);
            let mean = |inside: bool| {
                let pairs =
                    picture.cells.iter().zip(&picture.fluorescence).filter(|(id, _)| (**id > 0) == inside);
                let counts: Vec<f64> = pairs.map(|(_, &c)| f64::from(c)).collect();
                counts.iter().sum::<f64>() / counts.len() as f64
            };
            assert!(mean(true) > mean(false) + 60.0, "{} {}", mean(true), mean(false));
            assert!(
                picture.structure.iter().any(|&id| id == 1) && picture.structure.iter().any(|&id| id == 2)
            );
        }
    }

    #[test]
    fn blurring_keeps_the_light() {
        let mut plane = Array2::zeros((21, 21));
        plane[[10, 10]] = 5.0;
        let blurred = gaussian(&plane, 1.5);
        assert!((blurred.sum() - 5.0).abs() < 1e-9);
        assert!(blurred[[10, 10]] < 1.0 && blurred[[10, 11]] > blurred[[10, 13]]);
    }
}
