//! A small U-Net that reads a frame and draws two maps: foreground and distance to the cell's own edge.
//!
//! It stands for "a segmenter trained on this data", small enough that nine trainings take a minute on a laptop. It is
//! no contender for the best segmentation, and its weights are thrown away.

use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use tch::nn::{self, Module};
use tch::{Device, Kind, Tensor};

use lapsegan_core::seed::{self, Stream};

/// Channels per group of the normalisation; works for batches of one, unlike statistics over the batch.
const GROUP_CHANNELS: i64 = 4;

/// Size of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Image channels it reads.
    pub in_channels: usize,
    /// Channels at full resolution, doubled at each level; a multiple of 4.
    pub base_channels: usize,
    /// Resolutions, each half of the one before; 1 to 6.
    pub levels: usize,
}

impl UNetConfig {
    /// Returns about how many parameters the network has, from below: those of the convolution that leads to each level.
    pub fn parameters(&self) -> f64 {
        let width = |level: usize| self.base_channels as f64 * 2_f64.powi(level as i32);
        (1..self.levels).map(|level| 9.0 * width(level - 1) * width(level)).sum()
    }
}

/// The network with its weights.
#[derive(Debug)]
pub struct UNet {
    /// Its weights.
    pub vs: nn::VarStore,
    levels: usize,
    down: Vec<Block>,
    up: Vec<Block>,
    head: nn::Conv2D,
}

impl UNet {
    /// Returns a network whose weights depend on `seed` alone.
    pub fn new(config: &UNetConfig, device: Device, seed: u64) -> Self {
        let vs = nn::VarStore::new(device);
        let root = vs.root();
        let width = |level: usize| (config.base_channels << level) as i64;
        let down = (0..config.levels)
            .map(|level| {
                let in_channels = if level == 0 { config.in_channels as i64 } else { width(level - 1) };
                Block::new(&root / format!("down{level}"), in_channels, width(level))
            })
            .collect();
        let up = (0..config.levels.saturating_sub(1))
            .map(|level| {
                Block::new(&root / format!("up{level}"), width(level) + width(level + 1), width(level))
            })
            .collect();
        let head = conv(&root / "head", width(0), 2, 1, true);
        let network = Self { vs, levels: config.levels, down, up, head };
        network.initialise(seed);
        network
    }

    /// Draws all weights from streams named by seed and parameter, so that no global state has a part in it.
    fn initialise(&self, seed: u64) {
        let mut parameters: Vec<(String, Tensor)> = self.vs.variables().into_iter().collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        for (index, (_, mut parameter)) in parameters.into_iter().enumerate() {
            let shape = parameter.size();
            if shape.len() < 4 {
                continue;
            }
            // He initialisation keeps the variance through rectified layers.
            let fan_in: i64 = shape[1..].iter().product();
            let gain = (2.0 / fan_in as f32).sqrt();
            let mut draws = seed::rng(Stream::SegmenterWeights, &[seed, index as u64]);
            let count: i64 = shape.iter().product();
            let values: Vec<f32> =
                (0..count).map(|_| gain * draws.sample::<f32, _>(StandardNormal)).collect();
            tch::no_grad(|| parameter.copy_(&Tensor::from_slice(&values).view(shape.as_slice())));
        }
    }

    /// Returns logits of foreground and of normalised distance.
    ///
    /// # Shapes
    /// `images` `[N, C, H, W]` of any size; result `[N, 2, H, W]`.
    pub fn forward(&self, images: &Tensor) -> Tensor {
        let (height, width) = (images.size()[2], images.size()[3]);
        let step = 1 << (self.levels - 1);
        let (bottom, right) = ((-height).rem_euclid(step), (-width).rem_euclid(step));
        // [N, C, H, W] -> sizes that halve without a rest
        let mut x = if bottom + right > 0 {
            images.pad([0, right, 0, bottom], "replicate", None)
        } else {
            images.shallow_clone()
        };
        let mut skipped = Vec::new();
        for (level, block) in self.down.iter().enumerate() {
            if level > 0 {
                // [N, C, h, w] -> [N, C, h/2, w/2]
                x = x.max_pool2d_default(2);
            }
            x = block.forward(&x);
            skipped.push(x.shallow_clone());
        }
        for (level, block) in self.up.iter().enumerate().rev() {
            let skip = &skipped[level];
            // [N, C, h, w] -> [N, C, 2h, 2w]
            let coarse = x.upsample_nearest2d([skip.size()[2], skip.size()[3]], None, None);
            x = block.forward(&Tensor::cat(&[skip, &coarse], 1));
        }
        // cut the padding off again
        self.head.forward(&x).narrow(2, 0, height).narrow(3, 0, width)
    }

    /// Returns foreground probability and normalised distance, both in [0, 1], without gradients.
    ///
    /// # Shapes
    /// As [`UNet::forward`].
    pub fn maps(&self, images: &Tensor) -> Tensor {
        tch::no_grad(|| self.forward(images).sigmoid().to_kind(Kind::Float))
    }
}

/// Two 3x3 convolutions, each normalised and rectified.
#[derive(Debug)]
struct Block {
    layers: [(nn::Conv2D, nn::GroupNorm); 2],
}

impl Block {
    fn new(at: nn::Path, in_channels: i64, out_channels: i64) -> Self {
        let groups = out_channels / GROUP_CHANNELS;
        let layer = |index: i64, from: i64| {
            let convolution = conv(&at / format!("conv{index}"), from, out_channels, 3, false);
            let norm = nn::group_norm(
                &at / format!("norm{index}"),
                groups,
                out_channels,
                nn::GroupNormConfig::default(),
            );
            (convolution, norm)
        };
        Self { layers: [layer(0, in_channels), layer(1, out_channels)] }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.layers
            .iter()
            .fold(x.shallow_clone(), |x, (convolution, norm)| norm.forward(&convolution.forward(&x)).relu())
    }
}

fn conv(at: nn::Path, in_channels: i64, out_channels: i64, kernel: i64, bias: bool) -> nn::Conv2D {
    let zero = nn::Init::Const(0.0);
    let config = nn::ConvConfig {
        padding: kernel / 2,
        bias,
        ws_init: zero,
        bs_init: zero,
        ..nn::ConvConfig::default()
    };
    nn::conv2d(at, in_channels, out_channels, kernel, config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> UNetConfig {
        UNetConfig { in_channels: 1, base_channels: 4, levels: 3 }
    }

    #[test]
    fn any_size_keeps_its_size() {
        let network = UNet::new(&tiny(), Device::Cpu, 1);
        for size in [[2, 1, 32, 32], [1, 1, 17, 30]] {
            let out = network.maps(&Tensor::zeros(size, (Kind::Float, Device::Cpu)));
            assert_eq!(out.size(), [size[0], 2, size[2], size[3]]);
        }
    }

    #[test]
    fn weights_follow_from_the_seed() {
        let sum = |seed| {
            let mut all: Vec<_> = UNet::new(&tiny(), Device::Cpu, seed).vs.variables().into_iter().collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all.iter().map(|(_, w)| w.abs().sum(Kind::Double).double_value(&[])).collect::<Vec<_>>()
        };
        assert_eq!(sum(1), sum(1));
        assert_ne!(sum(1), sum(2));
    }
}
