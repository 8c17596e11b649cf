//! For tests: benchmarks whose answer is known, with the network that answers them.

use ndarray::Axis;
use tch::Device;

use super::arms::{BOTH, Experiment, SYNTHETIC};
use super::crops::Labelled;
use super::crops::drawn::discs;
use super::curve::curve;
use super::plates::Material;
use super::settings::BenchmarkSettings;
use super::train::{TrainSettings, UNetSegmenter};
use super::trials::{Setup, Trials, run, tested};
use super::verdict::Verdict;

/// Returns the verdicts on adding synthetic sequences to `n_real` real ones, and on training on them alone.
fn verdicts(real: Vec<Labelled>, synthetic: Vec<Labelled>, n_real: usize) -> [Verdict; 2] {
    tch::set_num_threads(1);
    let material = Material { unlabelled: Vec::new(), real, synthetic, test: discs(16, 8, 3) };
    let train =
        TrainSettings { steps: 150, batch: 8, learning_rate: 1e-2, crop_px: 32, base_channels: 8, levels: 3 };
    let settings = BenchmarkSettings { train, ..BenchmarkSettings::quick() };
    let segmenter = UNetSegmenter { train, decode: settings.decode, device: Device::Cpu };
    let setup = Setup { material: &material, segmenter: &segmenter, base_seed: 1, workers: 2 };
    let experiment = Experiment::standard();
    let trained = run(&setup, &experiment.grid(settings.seeds, &[n_real]), &mut |_| ()).unwrap();
    let trials = Trials::by_number(&experiment, &trained, &tested(&material.test), &[], &[n_real]);
    let curve = curve(&trials, &settings, 0, 1);
    [BOTH, SYNTHETIC].map(|arm| curve.primary().verdict_of(arm).unwrap())
}

#[test]
fn labels_that_are_shifted_by_half_an_object_hurt() {
    let mut shifted = discs(24, 1, 2);
    for sequence in &mut shifted {
        let away = sequence.labels.clone();
        sequence.labels.fill(0);
        let wide = away.len_of(Axis(2)) - 4;
        sequence.labels.slice_mut(ndarray::s![.., .., 4..]).assign(&away.slice(ndarray::s![.., .., ..wide]));
    }
    assert_eq!(verdicts(discs(8, 4, 1), shifted, 8), [Verdict::Hurts; 2]);
}

#[test]
fn copies_of_the_real_sequences_are_no_evidence() {
    let real = discs(8, 4, 1);
    assert_eq!(verdicts(real.clone(), real, 8), [Verdict::NoEvidence; 2]);
}
