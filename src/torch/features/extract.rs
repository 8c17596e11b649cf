//! From sequences of a plate to feature vectors.

use std::path::Path;

use lapsegan_core::plate::{Calibration, Plate};
use lapsegan_core::seed::{Stream, rng};
use rand::Rng;
use tch::{Device, Kind, Tensor};

use super::protocol::{BATCH, Backbone, Protocol, Sample, Scale};
use super::{FeatureError, I3d, Inception, Variant, Weights, normalise};
use crate::transfer::{download, upload};

/// Images or clips that go through a network at a time.
const AT_A_TIME: i64 = 16;

/// A network with what a protocol takes of it.
#[derive(Debug)]
pub struct Extractor {
    protocol: &'static Protocol,
    net: Net,
    device: Device,
    kind: Kind,
    /// SHA-256 of the file of weights.
    pub sha256: String,
    /// Name under which that file is published, where its digest is the published one.
    pub published: Option<&'static str>,
}

#[derive(Debug)]
enum Net {
    Inception(Inception),
    I3d(I3d),
}

/// Feature vectors of one channel, and what belongs to their rows.
#[derive(Debug)]
pub struct Extracted {
    /// `[N, D]`, float32 on the CPU.
    pub features: Tensor,
    /// Class logits, where the protocol has them. `[N, K]`
    pub logits: Option<Tensor>,
}

/// Which sequences, how seen.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// Places in the plate.
    pub indices: &'a [usize],
    /// Channel by number.
    pub channel: usize,
    /// Range of the protocols that have a fixed one.
    pub range: Calibration,
    /// Mirror half of the sequences, as the published code does with real ones.
    pub mirror: bool,
    /// Seed of the frames and mirrors that are drawn.
    pub seed: u64,
}

impl Extractor {
    /// Builds the network of a protocol from its file of weights; `random` weights have the seed 0.
    ///
    /// # Errors
    /// [`FeatureError`] of a file that is missing, damaged, or of another network.
    pub fn new(
        protocol: &'static Protocol,
        weights: Option<&Path>,
        device: Device,
        kind: Kind,
    ) -> Result<Self, FeatureError> {
        let weights = match (protocol.network, weights) {
            (Backbone::InceptionRandom, _) => Weights::random(0),
            (Backbone::I3dFeatures | Backbone::I3dLogits, Some(path)) => {
                Weights::read(path, "Conv3d_1a_7x7.conv3d.weight")?
            }
            (_, Some(path)) => Weights::read(path, "Conv2d_1a_3x3.conv.weight")?,
            (_, None) => {
                return Err(FeatureError::Setting {
                    message: format!("--protocol {} needs --weights", protocol.name),
                    hint: format!(
                        "give the file {}, or take --protocol random, which needs none",
                        protocol.weights
                    ),
                });
            }
        };
        let net = match protocol.network {
            Backbone::InceptionFid | Backbone::InceptionRandom => {
                Net::Inception(Inception::new(&weights, Variant::Fid, device, kind)?)
            }
            Backbone::InceptionTorchvision | Backbone::InceptionClassifier => {
                Net::Inception(Inception::new(&weights, Variant::Torchvision, device, kind)?)
            }
            Backbone::I3dFeatures | Backbone::I3dLogits => Net::I3d(I3d::new(&weights, device, kind)?),
        };
        let published = weights.published();
        Ok(Self { protocol, net, device, kind, sha256: weights.sha256, published })
    }

    /// Computes the vectors of sequences, in their order; the frames of one follow each other. `tick` is called once per
    /// sequence.
    ///
    /// # Errors
    /// [`FeatureError::Data`] of the first sequence that cannot be read.
    pub fn extract(
        &self,
        plate: &Plate,
        selection: Selection,
        tick: &mut dyn FnMut(),
    ) -> Result<Extracted, FeatureError> {
        let (mut features, mut logits) = (Vec::new(), Vec::new());
        for (batch, indices) in selection.indices.chunks(BATCH).enumerate() {
            let counts = read(plate, indices, &selection, batch * BATCH)?;
            let samples = samples(&counts, self.protocol.sample, selection.seed, batch);
            let n = samples.size()[0];
            for start in (0..n).step_by(AT_A_TIME as usize) {
                let part = samples.narrow(0, start, AT_A_TIME.min(n - start));
                let (vectors, classes) =
                    tch::no_grad(|| self.vectors(&upload(&part, self.device), selection.range));
                features.push(download(&vectors.to_kind(Kind::Float)));
                logits.extend(classes.map(|classes| download(&classes.to_kind(Kind::Float))));
            }
            for _ in indices {
                tick();
            }
        }
        Ok(Extracted {
            features: Tensor::cat(&features, 0),
            logits: (!logits.is_empty()).then(|| Tensor::cat(&logits, 0)),
        })
    }

    /// Returns features and logits of samples of counts: images `[N, 1, H, W]` or clips `[N, 1, T, H, W]`.
    fn vectors(&self, counts: &Tensor, range: Calibration) -> (Tensor, Option<Tensor>) {
        let Protocol { scale, resizing, side, network, .. } = *self.protocol;
        let resize = |x: &Tensor| resizing.apply(x, side);
        let grey = match scale {
            Scale::Fixed128 | Scale::Bytes128 => {
                let bytes = scale == Scale::Bytes128;
                (resize(&normalise::fixed_range(counts, range, bytes)).clamp(0.0, 255.0) - 128.0) / 128.0
            }
            Scale::Bytes => resize(&normalise::fixed_range(counts, range, true)) / 127.5 - 1.0,
            Scale::PerSample => resize(&normalise::per_sample(counts)),
            Scale::ResizedPerSample => normalise::per_sample(&resize(counts)),
        };
        let mut size = grey.size();
        size[1] = 3;
        let images = grey.expand(&size[..], false);
        let images =
            if network == Backbone::InceptionClassifier { normalise::imagenet(&images) } else { images };
        let images = images.to_kind(self.kind);
        match &self.net {
            Net::Inception(net) => {
                let features = net.features(&images);
                let logits = match network {
                    Backbone::InceptionFid => Some(net.logits(&features, false)),
                    Backbone::InceptionClassifier => Some(net.logits(&features, true)),
                    _ => None,
                };
                (features, logits)
            }
            Net::I3d(net) => {
                let maps = net.maps(&images);
                let vectors = if network == Backbone::I3dLogits {
                    net.logits_per_step(&maps).mean_dim(Some([2].as_slice()), false, None::<Kind>)
                } else {
                    net.features(&maps)
                };
                (vectors, None)
            }
        }
    }
}

/// Returns one channel of sequences. `[N, T, H, W]`
fn read(
    plate: &Plate,
    indices: &[usize],
    selection: &Selection,
    first: usize,
) -> Result<Tensor, FeatureError> {
    let meta = &plate.meta;
    let size = [1, meta.frames as i64, meta.height as i64, meta.width as i64];
    let mut all = Vec::with_capacity(indices.len());
    for (i, &index) in indices.iter().enumerate() {
        let image = plate.read(index)?.image;
        let counts: Vec<f32> =
            image.index_axis(ndarray::Axis(1), selection.channel).iter().map(|&v| f32::from(v)).collect();
        let mut counts = Tensor::from_slice(&counts).view(size);
        if selection.mirror
            && rng(Stream::FeatureMirrors, &[selection.seed, (first + i) as u64]).random::<bool>()
        {
            counts = counts.flip([3]);
        }
        all.push(counts);
    }
    Ok(Tensor::cat(&all, 0))
}

/// Returns what one vector is of: images `[N, 1, H, W]` or clips `[N, 1, T, H, W]`.
fn samples(counts: &Tensor, sample: Sample, seed: u64, batch: usize) -> Tensor {
    let size = counts.size();
    match sample {
        Sample::Clip => counts.unsqueeze(1),
        Sample::Frames => counts.reshape([-1, 1, size[2], size[3]]),
        Sample::OneFrame => {
            let frame = rng(Stream::FeatureFrames, &[seed, batch as u64]).random_range(0..size[1]);
            counts.narrow(1, frame, 1)
        }
    }
}
