//! I3D (Carreira & Zisserman, CVPR 2017) on RGB clips, as in the port whose weights the Fréchet video distance uses.
//!
//! Every convolution and pool is padded by the size of its input, so clips of any length go through it.

use tch::{Device, Kind, Tensor};

use super::FeatureError;
use super::layers::{Builder, Layer, Padding, Pooling};
use super::weights::Weights;

/// Side of the frames it was trained on, in pixels.
pub const SIDE: i64 = 224;
/// Length of its feature vectors.
pub const FEATURES: i64 = 1024;
/// Classes of Kinetics that the last layer tells apart.
pub const CLASSES: i64 = 400;

/// Output channels of a block's convolutions in the order b0, b1a, b1b, b2a, b2b, b3b.
const BLOCKS: [(&str, [i64; 6]); 9] = [
    ("Mixed_3b", [64, 96, 128, 16, 32, 32]),
    ("Mixed_3c", [128, 128, 192, 32, 96, 64]),
    ("Mixed_4b", [192, 96, 208, 16, 48, 64]),
    ("Mixed_4c", [160, 112, 224, 24, 64, 64]),
    ("Mixed_4d", [128, 128, 256, 24, 64, 64]),
    ("Mixed_4e", [112, 144, 288, 32, 64, 64]),
    ("Mixed_4f", [256, 160, 320, 32, 128, 128]),
    ("Mixed_5b", [256, 160, 320, 32, 128, 128]),
    ("Mixed_5c", [384, 192, 384, 48, 128, 128]),
];

/// The network.
#[derive(Debug)]
pub struct I3d {
    /// Blocks in order, with their names in the files.
    pub blocks: Vec<(&'static str, Layer)>,
    logits: Layer,
}

impl I3d {
    /// Builds it from weights.
    ///
    /// # Errors
    /// [`FeatureError::Weights`] naming the first tensor that is missing or of another shape.
    pub fn new(weights: &Weights, device: Device, kind: Kind) -> Result<Self, FeatureError> {
        let builder = Builder::new(weights, device, kind);
        let unit = |name: &str, [inputs, outputs]: [i64; 2], side: i64, stride: i64| {
            let shape = [outputs, inputs, side, side, side];
            builder.normalised(name, "conv3d", &shape, &[stride; 3], Padding::Same)
        };
        let mut blocks = vec![
            ("Conv3d_1a_7x7", unit("Conv3d_1a_7x7", [3, 64], 7, 2)?),
            ("MaxPool3d_2a_3x3", max([1, 3, 3], [1, 2, 2])),
            ("Conv3d_2b_1x1", unit("Conv3d_2b_1x1", [64, 64], 1, 1)?),
            ("Conv3d_2c_3x3", unit("Conv3d_2c_3x3", [64, 192], 3, 1)?),
            ("MaxPool3d_3a_3x3", max([1, 3, 3], [1, 2, 2])),
        ];
        let mut inputs = 192;
        for (name, [b0, b1a, b1b, b2a, b2b, b3b]) in BLOCKS {
            match name {
                "Mixed_4b" => blocks.push(("MaxPool3d_4a_3x3", max([3; 3], [2; 3]))),
                "Mixed_5b" => blocks.push(("MaxPool3d_5a_2x2", max([2; 3], [2; 3]))),
                _ => {}
            }
            let part = |part: &str, channels, side| unit(&format!("{name}.{part}"), channels, side, 1);
            let block = Layer::Branches(vec![
                vec![part("b0", [inputs, b0], 1)?],
                vec![part("b1a", [inputs, b1a], 1)?, part("b1b", [b1a, b1b], 3)?],
                vec![part("b2a", [inputs, b2a], 1)?, part("b2b", [b2a, b2b], 3)?],
                vec![max([3; 3], [1; 3]), part("b3b", [inputs, b3b], 1)?],
            ]);
            blocks.push((name, block));
            inputs = b0 + b1b + b2b + b3b;
        }
        let logits = builder.plain("logits.conv3d", &[CLASSES, FEATURES, 1, 1, 1], &[1; 3])?;
        Ok(Self { blocks, logits })
    }

    /// Returns the last maps of clips `[N, 3, T, H, W]` in [-1, 1]. `[N, 1024, T', H', W']`
    pub fn maps(&self, clips: &Tensor) -> Tensor {
        self.blocks.iter().fold(clips.shallow_clone(), |x, (_, block)| block.forward(&x))
    }

    /// Returns the features of last maps: their means over time and space. `[N, 1024]`
    pub fn features(&self, maps: &Tensor) -> Tensor {
        maps.mean_dim(Some([2, 3, 4].as_slice()), false, None::<Kind>)
    }

    /// Returns the logits of last maps for every window of two steps in time; of the one step that clips of up to eight
    /// frames have. `[N, 400, S]`
    pub fn logits_per_step(&self, maps: &Tensor) -> Tensor {
        let size = maps.size();
        let kernel = [size[2].min(2), size[3].min(7), size[4].min(7)];
        let pooled = maps.avg_pool3d(kernel, [1; 3], [0; 3], false, true, None);
        self.logits.forward(&pooled).mean_dim(Some([3, 4].as_slice()), false, None::<Kind>)
    }
}

fn max(kernel: [i64; 3], stride: [i64; 3]) -> Layer {
    let (kernel, stride) = (kernel.to_vec(), stride.to_vec());
    Layer::Pool { pooling: Pooling::Max, kernel, stride, padding: Padding::Same }
}
