//! Which network, size, range and layer belong together: a protocol has a name, and figures of two can never be compared.
//!
//! A new protocol is one row in [`ALL`].

use serde::Serialize;

use super::resize::Resizing;

/// What one vector is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// Every frame of a sequence.
    Frames,
    /// One frame of a sequence, the same of all in a batch of [`BATCH`], drawn at random.
    OneFrame,
    /// A sequence.
    Clip,
}

/// Sequences per draw of [`Sample::OneFrame`].
pub const BATCH: usize = 32;

/// Which network, and what of it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backbone {
    /// Inception-v3 of the Fréchet inception distance: 2,048 features, and logits without bias.
    InceptionFid,
    /// The same, never trained.
    InceptionRandom,
    /// torchvision's Inception-v3: 2,048 features.
    InceptionTorchvision,
    /// The same with its own shift of the input, and logits with bias.
    InceptionClassifier,
    /// I3D up to its last block: 1,024 features.
    I3dFeatures,
    /// I3D: 400 logits.
    I3dLogits,
}

/// How counts become what the network was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// By a fixed range to 0..255, resized, cut off there, then `(v - 128) / 128`.
    Fixed128,
    /// The same with whole numbers before they are resized.
    Bytes128,
    /// By a fixed range to whole numbers of 0..255, resized, then `v / 127.5 - 1`.
    Bytes,
    /// By smallest and largest value of each sample to -1..1, then resized.
    PerSample,
    /// Resized first.
    ResizedPerSample,
}

impl Scale {
    /// Returns whether all samples have one range.
    pub fn is_fixed(self) -> bool {
        !matches!(self, Self::PerSample | Self::ResizedPerSample)
    }
}

/// The figure that a protocol is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Distances of features: Fréchet, kernel, precision and recall.
    Distances,
    /// The Inception score of the synthetic images alone.
    InceptionScore,
}

/// A protocol.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Its name on the command line.
    pub name: &'static str,
    /// Name of its figures: what the distance is, of which layer, of what.
    pub figure_name: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// The network.
    pub network: Backbone,
    /// The file of weights that belongs to it; empty where it needs none.
    pub weights: &'static str,
    /// What one vector is of.
    pub sample: Sample,
    /// From counts to the network.
    pub scale: Scale,
    /// How images are resized.
    pub resizing: Resizing,
    /// To how many pixels.
    pub side: i64,
    /// What it is for.
    pub figure: Figure,
    /// Whether the real sequences are those that were trained on, mirrored at random, as the published code has it.
    pub on_training: bool,
}

const FID_FILE: &str = "pt_inception-2015-12-05-6726825d.pth";
const TORCHVISION_FILE: &str = "inception_v3_google-0cc3c7bd.pth";
const I3D_FILE: &str = "rgb_imagenet.pt";

/// All protocols.
pub const ALL: [Protocol; 8] = [
    Protocol {
        name: "random",
        figure_name: "random_inception2048_frame",
        about: "Inception-v3 that was never trained, at 128 pixels: needs no file",
        network: Backbone::InceptionRandom,
        weights: "",
        sample: Sample::Frames,
        scale: Scale::Fixed128,
        resizing: Resizing::Bicubic,
        side: 128,
        figure: Figure::Distances,
        on_training: false,
    },
    Protocol {
        name: "standard-fid",
        figure_name: "fid_inception2048_frame",
        about: "the Fréchet inception distance as clean-fid computes it",
        network: Backbone::InceptionFid,
        weights: FID_FILE,
        sample: Sample::Frames,
        scale: Scale::Fixed128,
        resizing: Resizing::Bicubic,
        side: 299,
        figure: Figure::Distances,
        on_training: false,
    },
    Protocol {
        name: "stylegan-fid",
        figure_name: "stylegan_fid_inception2048_frame",
        about: "the same with bytes and the resizing of TensorFlow 1, as StyleGAN and torch-fidelity compute it",
        network: Backbone::InceptionFid,
        weights: FID_FILE,
        sample: Sample::Frames,
        scale: Scale::Bytes128,
        resizing: Resizing::Tf1,
        side: 299,
        figure: Figure::Distances,
        on_training: false,
    },
    Protocol {
        name: "pytorch-fid",
        figure_name: "pytorch_fid_inception2048_frame",
        about: "the same with bytes and torch's bilinear resizing, as pytorch-fid computes it",
        network: Backbone::InceptionFid,
        weights: FID_FILE,
        sample: Sample::Frames,
        scale: Scale::Bytes,
        resizing: Resizing::Bilinear,
        side: 299,
        figure: Figure::Distances,
        on_training: false,
    },
    Protocol {
        name: "standard-fvd",
        figure_name: "fvd_i3d400_clip",
        about: "the Fréchet video distance of 400 logits of I3D",
        network: Backbone::I3dLogits,
        weights: I3D_FILE,
        sample: Sample::Clip,
        scale: Scale::Bytes,
        resizing: Resizing::Bilinear,
        side: 224,
        figure: Figure::Distances,
        on_training: false,
    },
    Protocol {
        name: "original-fid",
        figure_name: "original_fid_torchvision2048_frame",
        about: "FID as the published Multi-StyleGAN computes it, against training sequences",
        network: Backbone::InceptionTorchvision,
        weights: TORCHVISION_FILE,
        sample: Sample::OneFrame,
        scale: Scale::PerSample,
        resizing: Resizing::Bilinear,
        side: 299,
        figure: Figure::Distances,
        on_training: true,
    },
    Protocol {
        name: "original-fvd",
        figure_name: "original_fvd_i3d1024_clip",
        about: "FVD as the published Multi-StyleGAN computes it, against training sequences",
        network: Backbone::I3dFeatures,
        weights: I3D_FILE,
        sample: Sample::Clip,
        scale: Scale::PerSample,
        resizing: Resizing::BlurredBilinear,
        side: 224,
        figure: Figure::Distances,
        on_training: true,
    },
    Protocol {
        name: "original-is",
        figure_name: "original_is_torchvision1000_frame",
        about: "the Inception score as the published Multi-StyleGAN computes it, of all images at once",
        network: Backbone::InceptionClassifier,
        weights: TORCHVISION_FILE,
        sample: Sample::OneFrame,
        scale: Scale::ResizedPerSample,
        resizing: Resizing::Bilinear,
        side: 299,
        figure: Figure::InceptionScore,
        on_training: true,
    },
];

impl Protocol {
    /// Returns the protocol of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|protocol| protocol.name == name)
    }
}
