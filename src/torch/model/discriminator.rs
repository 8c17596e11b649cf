//! The discriminator: a 2-d U-Net over the stacked frames with one logit per sequence and one per pixel.

use tch::nn::Path;
use tch::{Kind, Tensor};

use super::config::{LabelLearning, ModelConfig};
use super::equalized::{BiasActivation, Conv, Linear, channels_last};
use super::fused;
use super::non_local::NonLocalBlock;
use super::range::ChannelRange;
use super::residual::ResidualBlock;
use super::scale::{Downscale, Upscale};

/// Width of the hidden layer of the classification head.
const HEAD_WIDTH: i64 = 128;

/// What the discriminator says; larger means more real.
#[derive(Debug)]
pub struct Logits {
    /// One per sequence. `[N, 1]`
    pub scalar: Tensor,
    /// One per pixel. `[N, 1, 1, H, W]`
    pub pixel: Tensor,
    /// Logits of the label maps that it reads in the images, where it learns to. `[N, M, T, H, W]`
    pub labels: Option<Tensor>,
}

/// U-Net discriminator.
#[derive(Debug)]
pub struct Discriminator {
    encoder: Vec<Block>,
    downscale: Vec<Downscale>,
    head: (Linear, BiasActivation, Linear),
    upscale: Vec<Upscale>,
    decoder: Vec<Block>,
    last: (BiasActivation, Conv),
    labels: Option<Conv>,
    domains: i64,
    frames: i64,
    range: Option<ChannelRange>,
    precision: Kind,
}

/// A block of the encoder or decoder.
#[derive(Debug)]
enum Block {
    Residual(ResidualBlock),
    NonLocal(NonLocalBlock),
}

impl Discriminator {
    /// Makes all parameters under their published names.
    pub fn new(vs: &Path, config: &ModelConfig) -> Self {
        let widths = &config.discriminator.encoder;
        let learning = config.label_learning;
        let planes = config.frames
            * match learning {
                LabelLearning::Read => config.domains,
                LabelLearning::All => config.channels(),
            };
        let planes = planes as i64;
        let blocks = widths.len();
        let encoder = (0..blocks)
            .map(|i| {
                let path = vs / "encoder_blocks" / i;
                let inputs = if i == 0 { planes } else { widths[i - 1] };
                // Reference: fixed positions, whatever the depth.
                if i == 2 {
                    Block::NonLocal(NonLocalBlock::new(&path, inputs, widths[i]))
                } else {
                    let group = (i + 2 >= blocks).then_some(config.discriminator.minibatch_std_group);
                    Block::Residual(ResidualBlock::new(&path, inputs, widths[i], group))
                }
            })
            .collect();
        let downscale = (0..blocks - 1)
            .map(|i| Downscale::new(&(vs / "downscale_convolutions" / i), widths[i]))
            .collect();
        let head = vs / "classification_head";
        let pairs = &config.discriminator.decoder;
        let gain = config.discriminator.skip_gain;
        let upscale = (0..blocks - 1)
            .map(|j| {
                let (below, beside) = (widths[blocks - 1 - j], widths[blocks - 2 - j]);
                Upscale::new(&(vs / "transposed_convolutions" / j), below, pairs[j][0] - beside, gain)
            })
            .collect();
        let decoder = (0..blocks - 1)
            .map(|j| {
                let path = vs / "decoder_blocks" / j;
                let [inputs, outputs] = pairs[j];
                if j == 1 {
                    Block::NonLocal(NonLocalBlock::new(&path, inputs, outputs))
                } else {
                    Block::Residual(ResidualBlock::new(&path, inputs, outputs, None))
                }
            })
            .collect();
        let end = vs / "final_mapping";
        let last_width = pairs[pairs.len() - 1][1];
        Self {
            encoder,
            downscale,
            head: (
                Linear::new(&(&head / 2), widths[blocks - 1], HEAD_WIDTH, None),
                BiasActivation::new(&(&head / 3), HEAD_WIDTH),
                Linear::new(&(&head / 4), HEAD_WIDTH, 1, None),
            ),
            upscale,
            decoder,
            last: (
                BiasActivation::new(&(&end / 0), last_width),
                Conv::new(&(&end / 1), last_width, 1, 1, 1, 0, false),
            ),
            labels: (learning == LabelLearning::Read).then(|| {
                let planes = (config.label_maps.len() * config.frames) as i64;
                Conv::new(&(vs / "label_mapping"), last_width, planes, 3, 1, 1, true)
            }),
            domains: config.domains as i64,
            frames: config.frames as i64,
            range: ChannelRange::new(config, vs.device()),
            precision: config.precision.kind(),
        }
    }

    /// Returns the image channels of a sequence; label maps follow them.
    pub fn domains(&self) -> i64 {
        self.domains
    }

    /// Returns sequences as the layers see them. `[N, C, T, H, W]`
    pub fn standardise(&self, sequences: &Tensor) -> Tensor {
        self.range.as_ref().map_or_else(|| sequences.shallow_clone(), |range| range.standardise(sequences))
    }

    /// Returns a gradient with respect to images as one with respect to what the layers see. `[N, C, T, H, W]`
    pub fn standardised_gradient(&self, images: &Tensor, gradient: &Tensor) -> Tensor {
        self.range.as_ref().map_or_else(|| gradient.shallow_clone(), |range| range.gradient(images, gradient))
    }

    /// Judges sequences. `[N, C, T, H, W]` -> [`Logits`]
    pub fn forward(&self, images: &Tensor) -> Logits {
        let images = self.standardise(images);
        // [N, C, T, H, W] -> [N, C T, H, W]; everything after follows the kind of the input.
        let mut x = channels_last(&self.planes(&images).to_kind(self.precision));
        let mut skips = Vec::new();
        for (i, block) in self.encoder.iter().enumerate() {
            x = block.forward(&x);
            if let Some(down) = self.downscale.get(i) {
                let (down_input, skip) = fused::fork(&x);
                skips.push(skip);
                x = down.forward(&down_input);
            }
        }
        let (hidden, activation, out) = &self.head;
        let pooled = x.mean_dim(Some([2_i64, 3].as_slice()), false, Kind::Float); // [N, C, H, W] -> [N, C]
        let scalar = out.forward(&activation.forward(&hidden.forward(&pooled)));
        for (up, block) in self.upscale.iter().zip(&self.decoder) {
            let skip = skips.pop().expect("one feature per doubling was kept");
            x = block.forward(&Tensor::cat(&[up.forward(&x), skip], 1));
        }
        let (activation, conv) = &self.last;
        let features = activation.forward(&x);
        let pixel = conv.forward(&features).to_kind(Kind::Float).unsqueeze(1); // [N, 1, H, W] -> [N, 1, 1, H, W]
        let labels = self.labels.as_ref().map(|conv| {
            let size = features.size();
            // [N, M T, H, W] -> [N, M, T, H, W]
            conv.forward(&features).to_kind(Kind::Float).view([size[0], -1, self.frames, size[2], size[3]])
        });
        Logits { scalar, pixel, labels }
    }

    /// Returns what is judged of standardised sequences: all of it, or the images alone. `[N, P, H, W]`
    fn planes(&self, images: &Tensor) -> Tensor {
        if self.labels.is_some() {
            images.narrow(1, 0, self.domains).flatten(1, 2)
        } else {
            images.flatten(1, 2)
        }
    }
}

impl Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Residual(block) => block.forward(x),
            Self::NonLocal(block) => block.forward(x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor_rng::with_seed;
    use crate::training::Preset;
    use lapsegan_core::labels::maps::LabelMap;
    use lapsegan_core::seed::Stream;
    use tch::{Device, nn::VarStore};

    #[test]
    fn labels_that_are_read_are_not_looked_at() {
        let mut config = Preset::Tiny.config(1, 2, 16).model;
        config.label_maps = vec![LabelMap::Foreground, LabelMap::Distance];
        config.label_learning = LabelLearning::Read;
        let [before, after] = with_seed(Stream::InitialWeights, &[1], |_| {
            let vs = VarStore::new(Device::Cpu);
            let network = Discriminator::new(&vs.root(), &config);
            let images = Tensor::randn([2, 3, 2, 16, 16], (Kind::Float, Device::Cpu));
            let other = images.copy();
            other.narrow(1, 1, 2).copy_(&(images.narrow(1, 1, 2) + 1.0));
            [images, other].map(|x| network.forward(&x))
        });
        assert_eq!((&before.scalar, &before.pixel), (&after.scalar, &after.pixel));
        assert_eq!(before.labels.as_ref().map(Tensor::size), Some(vec![2, 2, 2, 16, 16]));
        assert_eq!(before.labels, after.labels);
    }
}
