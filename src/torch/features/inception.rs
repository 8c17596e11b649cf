//! Inception-v3 (Szegedy et al., CVPR 2016) in the two forms that figures are computed with.
//!
//! The one of the Fréchet inception distance was converted from TensorFlow: its averages leave out the padding, and its
//! last block takes a maximum. torchvision's has averages with padding everywhere. Both name their tensors alike.

use tch::{Device, Kind, Tensor};

use super::FeatureError;
use super::layers::{Builder, Layer, Padding, Pooling};
use super::weights::Weights;

/// Side of the images it was trained on, in pixels.
pub const SIDE: i64 = 299;
/// Length of its feature vectors.
pub const FEATURES: i64 = 2048;

/// Which Inception-v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Of the Fréchet inception distance: 1,008 classes.
    Fid,
    /// torchvision's: 1,000 classes.
    Torchvision,
}

impl Variant {
    /// Returns how many classes the last layer tells apart.
    pub fn classes(self) -> i64 {
        match self {
            Self::Fid => 1008,
            Self::Torchvision => 1000,
        }
    }
}

/// The network.
#[derive(Debug)]
pub struct Inception {
    /// Blocks in order, with their names in the files.
    pub blocks: Vec<(&'static str, Layer)>,
    fc_weight: Tensor,
    fc_bias: Tensor,
}

/// Units of a branch: name, output channels, kernel, stride.
type Units<'a> = &'a [(&'a str, i64, [i64; 2], i64)];

impl Inception {
    /// Builds it from weights.
    ///
    /// # Errors
    /// [`FeatureError::Weights`] naming the first tensor that is missing or of another shape.
    pub fn new(
        weights: &Weights,
        variant: Variant,
        device: Device,
        kind: Kind,
    ) -> Result<Self, FeatureError> {
        let stack = Stack { builder: Builder::new(weights, device, kind), variant };
        let unit = |name, [inputs, outputs]: [i64; 2], side, stride, pad| {
            let shape = [outputs, inputs, side, side];
            stack.builder.normalised(name, "conv", &shape, &[stride; 2], Padding::Both(vec![pad; 2]))
        };
        let halving = || pool(Pooling::Max, 3, 2, 0);
        let mut blocks = vec![
            ("Conv2d_1a_3x3", unit("Conv2d_1a_3x3", [3, 32], 3, 2, 0)?),
            ("Conv2d_2a_3x3", unit("Conv2d_2a_3x3", [32, 32], 3, 1, 0)?),
            ("Conv2d_2b_3x3", unit("Conv2d_2b_3x3", [32, 64], 3, 1, 1)?),
            ("maxpool1", halving()),
            ("Conv2d_3b_1x1", unit("Conv2d_3b_1x1", [64, 80], 1, 1, 0)?),
            ("Conv2d_4a_3x3", unit("Conv2d_4a_3x3", [80, 192], 3, 1, 0)?),
            ("maxpool2", halving()),
        ];
        for (name, inputs, pooled) in [("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)] {
            blocks.push((name, stack.fine(name, inputs, pooled)?));
        }
        blocks.push(("Mixed_6a", stack.first_reduction("Mixed_6a")?));
        for (name, narrow) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
            blocks.push((name, stack.factorised(name, narrow)?));
        }
        blocks.push(("Mixed_7a", stack.second_reduction("Mixed_7a")?));
        let last = if variant == Variant::Fid { Pooling::Max } else { stack.average() };
        blocks.push(("Mixed_7b", stack.coarse("Mixed_7b", 1280, stack.average())?));
        blocks.push(("Mixed_7c", stack.coarse("Mixed_7c", 2048, last)?));
        let fc_weight = stack.builder.tensor("fc.weight", &[variant.classes(), FEATURES])?;
        let fc_bias = stack.builder.tensor("fc.bias", &[variant.classes()])?;
        Ok(Self { blocks, fc_weight, fc_bias })
    }

    /// Returns the features of images `[N, 3, H, W]` in [-1, 1]: means over the last map. `[N, 2048]`
    pub fn features(&self, images: &Tensor) -> Tensor {
        let maps = self.blocks.iter().fold(images.shallow_clone(), |x, (_, block)| block.forward(&x));
        maps.mean_dim(Some([2, 3].as_slice()), false, None::<Kind>)
    }

    /// Returns the logits of features, with or without the bias. `[N, classes]`
    ///
    /// The usual Inception score leaves the bias out.
    pub fn logits(&self, features: &Tensor, biased: bool) -> Tensor {
        features.linear(&self.fc_weight, biased.then_some(&self.fc_bias))
    }
}

/// Puts the blocks together.
struct Stack<'a> {
    builder: Builder<'a>,
    variant: Variant,
}

impl Stack<'_> {
    fn average(&self) -> Pooling {
        match self.variant {
            Variant::Fid => Pooling::AverageInside,
            Variant::Torchvision => Pooling::Average,
        }
    }

    /// Returns units in a row. Those of stride 1 keep the size, those of stride 2 have no padding.
    fn branch(&self, block: &str, inputs: i64, units: Units) -> Result<Vec<Layer>, FeatureError> {
        let mut inputs = inputs;
        let mut layers = Vec::new();
        for &(name, outputs, [h, w], stride) in units {
            let pad = if stride == 1 { vec![h / 2, w / 2] } else { vec![0; 2] };
            let (name, shape) = (format!("{block}.{name}"), [outputs, inputs, h, w]);
            layers.push(self.builder.normalised(&name, "conv", &shape, &[stride; 2], Padding::Both(pad))?);
            inputs = outputs;
        }
        Ok(layers)
    }

    fn pooled(
        &self,
        block: &str,
        inputs: i64,
        outputs: i64,
        pooling: Pooling,
    ) -> Result<Vec<Layer>, FeatureError> {
        let mut layers = vec![pool(pooling, 3, 1, 1)];
        layers.extend(self.branch(block, inputs, &[("branch_pool", outputs, [1, 1], 1)])?);
        Ok(layers)
    }

    fn fine(&self, block: &str, inputs: i64, pooled: i64) -> Result<Layer, FeatureError> {
        let branch = |units: Units| self.branch(block, inputs, units);
        Ok(Layer::Branches(vec![
            branch(&[("branch1x1", 64, [1, 1], 1)])?,
            branch(&[("branch5x5_1", 48, [1, 1], 1), ("branch5x5_2", 64, [5, 5], 1)])?,
            branch(&[
                ("branch3x3dbl_1", 64, [1, 1], 1),
                ("branch3x3dbl_2", 96, [3, 3], 1),
                ("branch3x3dbl_3", 96, [3, 3], 1),
            ])?,
            self.pooled(block, inputs, pooled, self.average())?,
        ]))
    }

    fn first_reduction(&self, block: &str) -> Result<Layer, FeatureError> {
        let branch = |units: Units| self.branch(block, 288, units);
        Ok(Layer::Branches(vec![
            branch(&[("branch3x3", 384, [3, 3], 2)])?,
            branch(&[
                ("branch3x3dbl_1", 64, [1, 1], 1),
                ("branch3x3dbl_2", 96, [3, 3], 1),
                ("branch3x3dbl_3", 96, [3, 3], 2),
            ])?,
            vec![pool(Pooling::Max, 3, 2, 0)],
        ]))
    }

    fn factorised(&self, block: &str, narrow: i64) -> Result<Layer, FeatureError> {
        let branch = |units: Units| self.branch(block, 768, units);
        Ok(Layer::Branches(vec![
            branch(&[("branch1x1", 192, [1, 1], 1)])?,
            branch(&[
                ("branch7x7_1", narrow, [1, 1], 1),
                ("branch7x7_2", narrow, [1, 7], 1),
                ("branch7x7_3", 192, [7, 1], 1),
            ])?,
            branch(&[
                ("branch7x7dbl_1", narrow, [1, 1], 1),
                ("branch7x7dbl_2", narrow, [7, 1], 1),
                ("branch7x7dbl_3", narrow, [1, 7], 1),
                ("branch7x7dbl_4", narrow, [7, 1], 1),
                ("branch7x7dbl_5", 192, [1, 7], 1),
            ])?,
            self.pooled(block, 768, 192, self.average())?,
        ]))
    }

    fn second_reduction(&self, block: &str) -> Result<Layer, FeatureError> {
        let branch = |units: Units| self.branch(block, 768, units);
        Ok(Layer::Branches(vec![
            branch(&[("branch3x3_1", 192, [1, 1], 1), ("branch3x3_2", 320, [3, 3], 2)])?,
            branch(&[
                ("branch7x7x3_1", 192, [1, 1], 1),
                ("branch7x7x3_2", 192, [1, 7], 1),
                ("branch7x7x3_3", 192, [7, 1], 1),
                ("branch7x7x3_4", 192, [3, 3], 2),
            ])?,
            vec![pool(Pooling::Max, 3, 2, 0)],
        ]))
    }

    fn coarse(&self, block: &str, inputs: i64, pooling: Pooling) -> Result<Layer, FeatureError> {
        let branch = |inputs, units: Units| self.branch(block, inputs, units);
        let split = |wide: &str, tall: &str| -> Result<Layer, FeatureError> {
            let (wide, tall) =
                (branch(384, &[(wide, 384, [1, 3], 1)])?, branch(384, &[(tall, 384, [3, 1], 1)])?);
            Ok(Layer::Branches(vec![wide, tall]))
        };
        let mut once = branch(inputs, &[("branch3x3_1", 384, [1, 1], 1)])?;
        once.push(split("branch3x3_2a", "branch3x3_2b")?);
        let mut twice =
            branch(inputs, &[("branch3x3dbl_1", 448, [1, 1], 1), ("branch3x3dbl_2", 384, [3, 3], 1)])?;
        twice.push(split("branch3x3dbl_3a", "branch3x3dbl_3b")?);
        Ok(Layer::Branches(vec![
            branch(inputs, &[("branch1x1", 320, [1, 1], 1)])?,
            once,
            twice,
            self.pooled(block, inputs, 192, pooling)?,
        ]))
    }
}

fn pool(pooling: Pooling, side: i64, stride: i64, pad: i64) -> Layer {
    Layer::Pool {
        pooling,
        kernel: vec![side; 2],
        stride: vec![stride; 2],
        padding: Padding::Both(vec![pad; 2]),
    }
}
