//! Cut-mix for a discriminator with pixel logits (Schönfeld et al., CVPR 2020): real and generated parts in one image.
//!
//! A map is 1 where the real image shows, `[1, 1, 1, H, W]`, and is the label of the pixel logits too. Reference: one map
//! for the whole batch, and all means run over all pixels, not over the region.

use tch::{Device, Kind, Tensor};

/// A rectangle at a corner of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Row of the cut.
    pub y: i64,
    /// Column of the cut.
    pub x: i64,
    /// Ones above and left of the cut instead of below and right of it.
    pub top_left: bool,
    /// Swap ones and zeros.
    pub inverted: bool,
}

impl Cut {
    /// Returns the map. `[1, 1, 1, H, W]`
    pub fn map(self, height: i64, width: i64, device: Device) -> Tensor {
        let (rows, columns) =
            if self.top_left { (0..self.y, 0..self.x) } else { (self.y..height, self.x..width) };
        let (inside, outside) = if self.inverted { (0.0, 1.0) } else { (1.0, 0.0) };
        let map = Tensor::full([1, 1, 1, height, width], outside, (Kind::Float, device));
        let _ = map
            .narrow(3, rows.start, rows.end - rows.start)
            .narrow(4, columns.start, columns.end - columns.start)
            .fill_(inside);
        map
    }
}

/// Returns `map real + (1 - map) generated`, for images or pixel logits alike.
pub fn mix(real: &Tensor, generated: &Tensor, map: &Tensor) -> Tensor {
    generated + (real - generated) * map
}

/// Returns the parts of the loss on the pixel logits of a mixed image: called real, called generated. `([], [])`
pub fn cut_mix_loss(pixel: &Tensor, map: &Tensor) -> (Tensor, Tensor) {
    let real = ((-pixel).softplus() * map).mean(Kind::Float);
    let generated = (pixel.softplus() * (map.ones_like() - map)).mean(Kind::Float);
    (real, generated)
}

/// Returns the mean squared difference between the pixel logits of a mixed image and the mixed pixel logits. `[]`
pub fn consistency_loss(pixel: &Tensor, target: &Tensor) -> Tensor {
    (pixel - target.detach()).square().mean(Kind::Float)
}
