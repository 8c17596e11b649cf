//! Noise of the generator's layers, drawn before the networks run.

use tch::{Device, Tensor};

use super::generator::noise_resolution;
use crate::transfer::upload;

/// What a generator takes besides its weights, so that it can be drawn without the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawShape {
    /// Width of `z`.
    pub latent: i64,
    /// Domains.
    pub domains: usize,
    /// Noise layers of a domain.
    pub layers: usize,
    /// Domains with grain, the first ones, and frames of it.
    pub grain: Option<(usize, i64)>,
}

/// One noise map per domain and layer, domains outermost. `[N or 1, 1, size, size]` each, grain `[N or 1, T, size, size]`
///
/// In memory these are about 8/3 float32 images per sequence and domain: 0.7 MB at 256 px, 34 MB for a batch of 24
/// sequences of 2 domains.
#[derive(Debug)]
pub struct LayerNoise(pub Vec<Vec<Tensor>>);

impl LayerNoise {
    /// Collects maps for `n` sequences; `draw` is called with domain, layer and shape, in the order of storage.
    pub fn new(shape: DrawShape, n: i64, mut draw: impl FnMut(usize, usize, [i64; 4]) -> Tensor) -> Self {
        let mut map = |domain, layer: usize, frames| {
            let size = noise_resolution(layer.min(shape.layers - 1));
            draw(domain, layer, [n, frames, size, size])
        };
        let mut domain = |domain| {
            let mut maps: Vec<Tensor> = (0..shape.layers).map(|layer| map(domain, layer, 1)).collect();
            let grain = shape.grain.filter(|(domains, _)| domain < *domains);
            maps.extend(grain.map(|(_, frames)| map(domain, shape.layers, frames)));
            maps
        };
        Self((0..shape.domains).map(&mut domain).collect())
    }

    /// Joins noise of the same layers, sequences after sequences.
    pub fn cat(parts: &[Self]) -> Self {
        let join = |domain: usize, layer: usize| {
            let maps: Vec<&Tensor> = parts.iter().map(|part| &part.0[domain][layer]).collect();
            Tensor::cat(&maps, 0)
        };
        let layers = |(domain, layers): (usize, &Vec<Tensor>)| {
            (0..layers.len()).map(|layer| join(domain, layer)).collect()
        };
        Self(parts.first().map(|first| first.0.iter().enumerate().map(layers).collect()).unwrap_or_default())
    }

    /// Returns it on a device.
    #[must_use]
    pub fn upload(&self, device: Device) -> Self {
        self.each(|map| upload(map, device))
    }

    /// Returns for how many sequences there is noise, 1 also for noise that all share; 0 without any.
    pub fn len(&self) -> usize {
        self.0.first().and_then(|layers| layers.first()).map_or(0, |map| map.size()[0] as usize)
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the noise of some sequences. `rows [M]`, whole numbers
    #[must_use]
    pub fn select(&self, rows: &Tensor) -> Self {
        self.each(|map| map.index_select(0, rows))
    }

    /// Returns further handles of the same memory.
    #[must_use]
    pub fn handles(&self) -> Self {
        self.each(Tensor::shallow_clone)
    }

    fn each(&self, change: impl Fn(&Tensor) -> Tensor) -> Self {
        Self(self.0.iter().map(|layers| layers.iter().map(&change).collect()).collect())
    }

    /// Returns the maps as [`Generator::synthesise`](super::Generator::synthesise) asks for them.
    pub fn source(&self) -> impl FnMut(usize, usize, i64) -> Tensor + '_ {
        |domain, layer, _| self.0[domain][layer].shallow_clone()
    }
}
