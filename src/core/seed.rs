//! Every random number of the programs, named by what it is for.
//!
//! A draw has a [`Stream`] (its purpose) and counters (seed of the run, then iteration, sequence, layer and the like).
//! Both together make its key, and the key alone decides the numbers. No generator state is kept between draws, so a
//! resumed run or a shard needs only its counters, and a new draw changes no other.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Defines the enum and the list of its variants, which the test of all streams goes through.
macro_rules! streams {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What random numbers are for. The numbers belong to the bytes of the outputs: none is changed or given twice.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u64)]
        pub enum Stream {
            $($(#[$doc])* $name = $number,)*
        }

        impl Stream {
            /// All streams.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

streams! {
    /// Realism: which sequences of a large plate are used at all. Counters: seed, draw, set.
    RealismPool = 1,
    /// Realism: which sequences a draw uses. Counters: seed, draw, set.
    RealismPicks = 2,
    /// Realism: directions of the sliced Wasserstein distance. Counters: seed, draw, channel.
    RealismDirections = 3,
    /// Realism: positions of patches. Counters: seed, draw, channel and side.
    RealismPatches = 4,
    /// Realism: noise of the baseline. Counters: seed, draw, channel.
    RealismNoise = 5,
    /// Realism: sequences on contact sheets. Counters: seed, draw, set.
    RealismSheet = 6,
    /// Realism: which half of the sequences is used for standard errors. Counters: seed, half, set.
    RealismHalves = 7,
    /// Features: the subsets of the kernel distance. Counters: seed.
    KernelSubsets = 8,
    /// Features: weights of networks that were never trained. Counters: seed, tensor, output channel.
    RandomFeatures = 9,
    /// Features: which frame a batch of sequences shows. Counters: seed, batch.
    FeatureFrames = 14,
    /// Features: which real sequences are mirrored. Counters: seed, sequence.
    FeatureMirrors = 15,
    /// Features: which groups a resample holds. Counters: seed.
    FeatureGroups = 16,
    /// Features: which training vectors the floor is taken of. Counters: seed.
    FeatureFloor = 17,
    /// Memorisation: equal numbers of training and held-out sequences. Counters: seed, draw, 0.
    MemorisationDraws = 18,
    /// Memorisation: split groups of a resample. Counters: seed, resample, 0.
    MemorisationGroups = 19,
    /// Phantom: the cells of a position. Counters: seed, position.
    PhantomCells = 10,
    /// Phantom: the microscope and its noise at a position. Counters: seed, position.
    PhantomCamera = 11,
    /// Prepare: which positions or blocks go to which split. Counters: seed.
    Splits = 12,
    /// Prepare: which tiles without an object are kept. Counters: seed, split.
    EmptyTiles = 13,
    /// Generate: latent and noise of a sequence. Counters: seed, sequence.
    Sequence = 20,
    /// Generate: the latents behind the mean of truncation. No counters, since the mean belongs to the checkpoint.
    MeanLatent = 21,
    /// Projection: noise of the layers that it starts from. Counters: seed, sequence, map.
    ProjectionStart = 22,
    /// Projection: noise on the latents. Counters: seed, sequence, step.
    ProjectionJitter = 23,
    /// Training: the weights that networks start from. Counters: seed.
    InitialWeights = 30,
    /// Training: the order of the sequences in an epoch. Counters: seed, epoch.
    EpochOrder = 31,
    /// Training: mirroring and turning of the real sequences in a batch. Counters: seed, iteration.
    Symmetries = 32,
    /// Training: latents of the sample grids. Counters: seed, sequence.
    SampleGrid = 33,
    /// Training: the order of the sequences with labels in an epoch, where not all have them. Counters: seed, epoch.
    LabelledOrder = 34,
    /// Training: which sequences are those with labels, where a number of them is wished for. Counters: seed.
    LabelledChoice = 35,
    /// Training: latents of the discriminator's step. Counters: seed, iteration, part, sequence.
    DiscriminatorLatents = 40,
    /// Training: style mixing of the discriminator's step. Counters: seed, iteration, part, for latents also sequence.
    DiscriminatorMixing = 41,
    /// Training: layer noise of the discriminator's step. Counters: seed, iteration, part, domain, layer, sequence.
    DiscriminatorNoise = 42,
    /// Training: latents of the generator's step. Counters as in the discriminator's step.
    GeneratorLatents = 43,
    /// Training: style mixing of the generator's step. Counters as in the discriminator's step.
    GeneratorMixing = 44,
    /// Training: layer noise of the generator's step. Counters as in the discriminator's step.
    GeneratorNoise = 45,
    /// Training: latents of the path length step. Counters as in the discriminator's step.
    PathLatents = 46,
    /// Training: style mixing of the path length step. Counters as in the discriminator's step.
    PathMixing = 47,
    /// Training: layer noise of the path length step. Counters as in the discriminator's step.
    PathNoise = 48,
    /// Training: image noise that weights the pixels in the path length step. Counters: seed, iteration, part, sequence.
    PathImages = 49,
    /// Training: augmentation of real sequences. Counters: seed, iteration, part.
    AugmentReal = 50,
    /// Training: augmentation of generated sequences in the discriminator's step. Counters: seed, iteration, part.
    AugmentGenerated = 51,
    /// Training: augmentation of generated sequences in the generator's step. Counters: seed, iteration, part.
    AugmentGenerator = 52,
    /// Training: whether cut-mix is due, and where it cuts. Counters: seed, iteration, part.
    CutMix = 53,
    /// Training: where the consistency step cuts. Counters: seed, iteration, part.
    CutMixConsistency = 54,
    /// Training: wrong order of frames. Counters: seed, iteration, part.
    WrongOrder = 55,
    /// Benchmark: which real sequences a seed trains on. Counters: seed of the run, index of the seed.
    BenchmarkChoice = 60,
    /// Benchmark: the seed of one training, see [`key`]. Counters: seed of the run, index of the seed.
    BenchmarkTraining = 61,
    /// Benchmark: weights that a segmenter starts from. Counters: seed of the training, parameter.
    SegmenterWeights = 62,
    /// Benchmark: crops that a segmenter learns from, and their augmentation. Counters: seed of the training.
    SegmenterCrops = 63,
    /// Benchmark: resamples behind the intervals. Counters: seed of the run.
    Bootstrap = 64,
}

/// Start of the fold of streams that are older than their names.
const UNNAMED: u64 = 0x243F_6A88_85A3_08D3;
/// Start of the fold of all others.
const NAMED: u64 = 0x1319_8A2E_0370_7344;

/// Returns the key of a draw: a seed for a generator, or the first counter of further draws.
///
/// Name and counters are folded by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Streams that had no names in
/// earlier versions keep the keys of that time, because plates, metrics and scores depend on them.
pub fn key(stream: Stream, counters: &[u64]) -> u64 {
    before_names(stream, counters).unwrap_or_else(|| fold(fold(NAMED, &[stream as u64]), counters))
}

/// Returns the key of a stream that is older than its name.
fn before_names(stream: Stream, counters: &[u64]) -> Option<u64> {
    Some(match (stream, counters) {
        (_, &[seed, draw, index]) if stream as u64 <= Stream::RealismHalves as u64 => {
            fold(UNNAMED, &[seed, stream as u64, draw, index])
        }
        (Stream::PhantomCells | Stream::PhantomCamera, &[seed, _]) | (Stream::Splits, &[seed]) => seed,
        (Stream::Sequence, &[seed, index]) => fold(UNNAMED, &[seed, index]),
        (Stream::MeanLatent, &[]) => 0x7761_7667,
        (Stream::BenchmarkChoice, &[seed, index]) => fold(UNNAMED, &[seed, index, 0]),
        (Stream::BenchmarkTraining, &[seed, index]) => fold(UNNAMED, &[seed, index, 1]),
        (Stream::SegmenterWeights, &[seed, parameter]) => {
            fold(UNNAMED, &[fold(UNNAMED, &[seed, 0]), parameter])
        }
        (Stream::SegmenterCrops, &[seed]) => fold(UNNAMED, &[seed, 1]),
        (Stream::Bootstrap, &[seed]) => fold(UNNAMED, &[fold(UNNAMED, &[seed, 2])]),
        _ => return None,
    })
}

/// Returns the generator of a draw on the host.
///
/// The phantom's positions have one key and a ChaCha stream each. Only [`Stream::Splits`] and the cells of position 0
/// begin with the same numbers, as they always did: what grows there and which split it goes to come from one sequence.
pub fn rng(stream: Stream, counters: &[u64]) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(key(stream, counters));
    match (stream, counters) {
        (Stream::PhantomCells, &[_, position]) => rng.set_stream(2 * position),
        (Stream::PhantomCamera, &[_, position]) => rng.set_stream(2 * position + 1),
        _ => {}
    }
    rng
}

fn fold(start: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(start, |state, &part| mix(state ^ mix(part)))
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::Rng;

    use super::*;

    #[test]
    fn all_streams_differ_for_the_same_counters_and_for_other_ones() {
        let mut seen = BTreeMap::new();
        for &stream in Stream::ALL {
            for counters in [&[][..], &[7], &[7, 1], &[7, 2], &[8, 1], &[7, 1, 1], &[7, 1, 2], &[7, 1, 1, 1]]
            {
                let mut counters = counters.to_vec();
                if let (Stream::SegmenterWeights | Stream::SegmenterCrops, [seed, ..]) =
                    (stream, &mut counters[..])
                {
                    // They count from the seed of a training, which is a key itself.
                    *seed = key(Stream::BenchmarkTraining, &[*seed, 0]);
                }
                let first: [u64; 2] = rng(stream, &counters).random();
                let other = seen.insert(first, (stream, counters.clone()));
                assert!(other.is_none(), "{stream:?} {counters:?} draws what {other:?} draws");
            }
        }
        assert_eq!(seen.len(), 8 * Stream::ALL.len());
    }

    #[test]
    fn the_order_of_counters_matters() {
        assert_ne!(key(Stream::CutMix, &[1, 2, 3]), key(Stream::CutMix, &[1, 3, 2]));
    }

    #[test]
    fn keys_of_earlier_versions_stay() {
        // Computed by hand from the keys that these draws had before streams had names.
        let training = key(Stream::BenchmarkTraining, &[3, 4]);
        for (actual, expected) in [
            (key(Stream::Sequence, &[3, 4]), 0xF0C1_CC5C_5E95_B7B5),
            (key(Stream::RealismPatches, &[3, 4, 5]), 0x1C8B_FF09_6CDD_ECFB),
            (key(Stream::BenchmarkChoice, &[3, 4]), 0xCC2F_ABD6_6D66_2728),
            (training, 0x52B5_83FE_56D5_C6EA),
            (key(Stream::SegmenterWeights, &[training, 5]), 0x53DC_25DE_E1C0_15D2),
            (key(Stream::SegmenterCrops, &[training]), 0xAC2C_E1D7_7A74_72FE),
            (key(Stream::Bootstrap, &[3]), 0x4288_C72E_5854_FD64),
            (key(Stream::MeanLatent, &[]), 0x7761_7667),
        ] {
            assert_eq!(actual, expected, "{actual:#x}");
        }
        let mut camera = ChaCha8Rng::seed_from_u64(3);
        camera.set_stream(9);
        assert_eq!(rng(Stream::PhantomCamera, &[3, 4]), camera);
        let plain = ChaCha8Rng::seed_from_u64(3);
        assert_eq!(rng(Stream::Splits, &[3]), plain);
        assert_eq!(rng(Stream::PhantomCells, &[3, 0]), plain);
    }
}
