//! Layers of networks that turn images into feature vectors: convolutions with normalisation and ReLU, pools, branches.
//!
//! A network is a list of them, so that it reads like the table in its paper. Normalisation has running statistics only,
//! so it is folded into the convolution before it, in f64.

use tch::{Device, Kind, Tensor};

use super::FeatureError;
use super::weights::Weights;
use crate::transfer::upload;

/// Constant that both families add to the running variance.
const EPSILON: f64 = 1e-3;

/// What surrounds the input of a convolution or pool.
#[derive(Clone, Debug)]
pub enum Padding {
    /// As many zeros on both sides, by axis; for pools what their kind says.
    Both(Vec<i64>),
    /// Zeros until every stride has a window: as many in front as behind, or one less. TensorFlow's `SAME`.
    Same,
}

/// A convolution with its normalisation folded in, and ReLU where it has one.
#[derive(Debug)]
pub struct FoldedConv {
    weight: Tensor,
    bias: Tensor,
    stride: Vec<i64>,
    padding: Padding,
    relu: bool,
}

/// What a pool takes of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest value.
    Max,
    /// The mean, with the zeros around the image.
    Average,
    /// The mean of what lies in the image.
    AverageInside,
}

/// One step of a network. Images are `[N, C, H, W]`, clips `[N, C, T, H, W]`.
#[derive(Debug)]
pub enum Layer {
    /// A convolution.
    Conv(FoldedConv),
    /// A pool.
    Pool {
        /// What is taken of a window.
        pooling: Pooling,
        /// Its extent by axis.
        kernel: Vec<i64>,
        /// Steps between windows.
        stride: Vec<i64>,
        /// Around the input.
        padding: Padding,
    },
    /// Branches that see the same input; their channels are put together in this order.
    Branches(Vec<Vec<Layer>>),
}

impl Layer {
    /// Returns what the layer makes of its input.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Pool { pooling, kernel, stride, padding } => {
                let (x, padding) = padded(x, padding, kernel, stride);
                pool(&x, *pooling, kernel, stride, &padding)
            }
            Self::Branches(branches) => {
                let all: Vec<Tensor> = branches.iter().map(|branch| forward(branch, x)).collect();
                Tensor::cat(&all, 1)
            }
        }
    }
}

/// Returns what layers make of their input, one after the other.
pub fn forward(layers: &[Layer], x: &Tensor) -> Tensor {
    layers.iter().fold(x.shallow_clone(), |x, layer| layer.forward(&x))
}

impl FoldedConv {
    fn forward(&self, x: &Tensor) -> Tensor {
        let kernel = &self.weight.size()[2..];
        let (x, padding) = padded(x, &self.padding, kernel, &self.stride);
        let (weight, bias, stride) = (&self.weight, Some(&self.bias), &self.stride[..]);
        let y = match kernel.len() {
            2 => x.conv2d(weight, bias, stride, &padding[..], [1, 1], 1),
            _ => x.conv3d(weight, bias, stride, &padding[..], [1, 1, 1], 1),
        };
        if self.relu { y.relu() } else { y }
    }
}

/// Returns the input with its zeros, and the padding that is left to the operation.
fn padded(x: &Tensor, padding: &Padding, kernel: &[i64], stride: &[i64]) -> (Tensor, Vec<i64>) {
    match padding {
        Padding::Both(all) => (x.shallow_clone(), all.clone()),
        Padding::Same => {
            // The operation wants the last axis first.
            let mut zeros = Vec::new();
            for ((&extent, &kernel), &stride) in x.size()[2..].iter().zip(kernel).zip(stride).rev() {
                let rest = if extent % stride == 0 { stride } else { extent % stride };
                let missing = (kernel - rest).max(0);
                zeros.extend([missing / 2, missing - missing / 2]);
            }
            (x.constant_pad_nd(zeros), vec![0; kernel.len()])
        }
    }
}

fn pool(x: &Tensor, pooling: Pooling, kernel: &[i64], stride: &[i64], padding: &[i64]) -> Tensor {
    match (pooling, kernel.len()) {
        (Pooling::Max, 2) => x.max_pool2d(kernel, stride, padding, [1, 1], false),
        (Pooling::Max, _) => x.max_pool3d(kernel, stride, padding, [1, 1, 1], false),
        (_, 2) => x.avg_pool2d(kernel, stride, padding, false, pooling == Pooling::Average, None),
        _ => x.avg_pool3d(kernel, stride, padding, false, pooling == Pooling::Average, None),
    }
}

/// Takes layers from weights, by name.
#[derive(Debug)]
pub struct Builder<'a> {
    weights: &'a Weights,
    device: Device,
    kind: Kind,
}

impl<'a> Builder<'a> {
    /// Returns one for layers of a device and precision.
    pub fn new(weights: &'a Weights, device: Device, kind: Kind) -> Self {
        Self { weights, device, kind }
    }

    /// Returns a convolution `{name}.{conv}` with normalisation `{name}.bn` and ReLU. `shape` is `[out, in, ...]`.
    ///
    /// # Errors
    /// [`FeatureError::Weights`] naming the first tensor that is missing or of another shape.
    pub fn normalised(
        &self,
        name: &str,
        conv: &str,
        shape: &[i64],
        stride: &[i64],
        padding: Padding,
    ) -> Result<Layer, FeatureError> {
        let double =
            |key: &str, shape: &[i64]| self.weights.tensor(key, shape).map(|t| t.to_kind(Kind::Double));
        let weight = double(&format!("{name}.{conv}.weight"), shape)?;
        let norm = |part: &str| double(&format!("{name}.bn.{part}"), &shape[..1]);
        let scale = norm("weight")? / (norm("running_var")? + EPSILON).sqrt();
        let bias = norm("bias")? - norm("running_mean")? * &scale;
        let by_output: Vec<i64> =
            shape.iter().enumerate().map(|(i, &n)| if i == 0 { n } else { 1 }).collect();
        let weight = weight * scale.view(&by_output[..]);
        Ok(self.finish(&weight, &bias, stride, padding, true))
    }

    /// Returns a convolution `{name}.weight` with `{name}.bias`, without normalisation or ReLU.
    ///
    /// # Errors
    /// As [`Builder::normalised`].
    pub fn plain(&self, name: &str, shape: &[i64], stride: &[i64]) -> Result<Layer, FeatureError> {
        let weight = self.weights.tensor(&format!("{name}.weight"), shape)?;
        let bias = self.weights.tensor(&format!("{name}.bias"), &shape[..1])?;
        Ok(self.finish(&weight, &bias, stride, Padding::Both(vec![0; stride.len()]), false))
    }

    /// Returns a tensor as the layers have theirs.
    ///
    /// # Errors
    /// As [`Builder::normalised`].
    pub fn tensor(&self, name: &str, shape: &[i64]) -> Result<Tensor, FeatureError> {
        Ok(upload(&self.weights.tensor(name, shape)?.to_kind(self.kind), self.device))
    }

    fn finish(&self, weight: &Tensor, bias: &Tensor, stride: &[i64], padding: Padding, relu: bool) -> Layer {
        let placed = |x: &Tensor| upload(&x.to_kind(self.kind).contiguous(), self.device);
        let (weight, bias) = (placed(weight), placed(bias));
        Layer::Conv(FoldedConv { weight, bias, stride: stride.to_vec(), padding, relu })
    }
}
