//! `generator_*`: the whole generator, both wirings, all gradients.

use lapsegan::losses::path_length::{latent_gradient, path_length};
use lapsegan::model::{DiscriminatorConfig, Generator, GeneratorConfig, ModelConfig, Precision, Wiring};
use tch::Tensor;
use tch::nn::VarStore;

use super::{Case, FORWARD, GRADIENT, fixtures, store, weighted_sum};

pub(super) fn build(case: &Case, wiring: Wiring, precision: Precision) -> (VarStore, Generator) {
    let channels = Vec::<i64>::try_from(case.get("cfg.channels")).unwrap();
    let sizes = Vec::<i64>::try_from(case.get("cfg.latent_depth")).unwrap();
    let image = case.get("out.image_z1").size(); // [N, D, T, H, W]
    let config = ModelConfig {
        domains: image[1] as usize,
        label_maps: Vec::new(),
        label_learning: lapsegan::model::LabelLearning::All,
        frames: image[2] as usize,
        resolution: image[3] as usize,
        precision,
        standardise: false,
        most_deviations: 0.0,
        frame_contrast: false,
        contrast: Vec::new(),
        range: Vec::new(),
        curve: Vec::new(),
        generator: GeneratorConfig {
            channels,
            latent: sizes[0],
            mapping_depth: sizes[1] as usize,
            wiring,
            skip_gain: 1.0,
            noise_gain: 1.0,
            grain_gain: 0.0,
            random_constant: false,
        },
        discriminator: DiscriminatorConfig::mirrored(&[8, 8], 1.0),
    };
    let vs = store();
    let generator = Generator::new(&vs.root(), &config);
    case.load(&vs, "w.");
    (vs, generator)
}

fn check(case: &Case) {
    let given = |layer: usize| {
        let key = if layer == 0 { "in.noise.start".into() } else { format!("in.noise.{}", layer - 1) };
        case.get(&key).shallow_clone()
    };
    let (vs, generator) = build(case, Wiring::Original, Precision::Float32);
    let z1 = case.input("in.z1");
    let w1 = generator.map(&z1);
    case.expect("out.w1", &w1, FORWARD);
    let ws = generator.broadcast(&w1);
    let image = generator.synthesise(&ws, &mut |_, layer, _| given(layer));
    case.expect("out.image_z1", &image, FORWARD);
    let loss = weighted_sum(&image, case.get("in.cot"));
    case.expect_input_gradient(&loss, &z1, "grad.z1");
    case.expect_gradients(&loss, &vs, "grad.w.");

    let from_buffers = generator.synthesise(&ws, &mut generator.fixed_noise());
    case.expect("out.image_z1_buffers", &from_buffers, FORWARD);

    let first = generator.first_slots(case.get("in.inject_index").int64_value(&[]));
    let mixed = generator.mix(&w1, &generator.map(case.get("in.z2")), &first);
    let synthesise = |ws: &Tensor| generator.synthesise(ws, &mut |_, layer, _| given(layer));
    case.expect("out.image_mix", &synthesise(&mixed), FORWARD);
    if case.has("out.latent_mix") {
        case.expect("out.latent_mix", &mixed, FORWARD);
    }
    if case.has("in.latent") {
        case.expect("out.image_latent", &synthesise(case.get("in.latent")), FORWARD);
    }

    let pl = case.below("pl.");
    let latents = mixed;
    let images = synthesise(&latents);
    let gradient = latent_gradient(&images, &latents, pl.get("noise"));
    pl.expect("out.latent_grads", &gradient, GRADIENT);
    let term = path_length(&gradient, &pl.get("mean_before").view([]), 0.01);
    pl.expect("out.length", &term.length, GRADIENT);
    pl.expect("out.penalty", &term.penalty, GRADIENT);
    pl.expect("out.mean_after", &term.mean.view([1]), GRADIENT);
    pl.expect_gradients(&term.penalty, &vs, "grad.w.");

    let (_vs, repaired) = build(case, Wiring::Paper, Precision::Float32);
    let ws = repaired.broadcast(&repaired.map(&z1));
    let image = repaired.synthesise(&ws, &mut |_, layer, _| given(layer));
    case.expect("out.image_z1_repaired", &image, FORWARD);
}

/// bfloat16 keeps 8 significant bits: a few per cent of the largest value after all layers.
const REDUCED: f64 = 3e-2;

#[test]
fn reduced_precision_stays_near_the_golden_images() {
    for case in fixtures("generator") {
        let (_vs, generator) = build(&case, Wiring::Original, Precision::Bfloat16);
        let ws = generator.broadcast(&generator.map(case.get("in.z1")));
        let image = generator.synthesise(&ws, &mut |_, layer, _| {
            let key = if layer == 0 { "in.noise.start".into() } else { format!("in.noise.{}", layer - 1) };
            case.get(&key).shallow_clone()
        });
        assert_eq!(image.kind(), tch::Kind::Float);
        case.expect("out.image_z1", &image, REDUCED);
        let error = super::relative_error(&image, case.get("out.image_z1"));
        assert!(error > FORWARD, "{}: bfloat16 was not used", case.name);
    }
}

#[test]
fn generators_match_in_both_wirings_with_gradients_and_path_length() {
    fixtures("generator").iter().for_each(check);
}
