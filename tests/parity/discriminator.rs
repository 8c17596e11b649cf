//! `discriminator_*`: the whole discriminator, its loss, R1 with double backward.

use lapsegan::losses::adversarial::{call_fake, call_real};
use lapsegan::losses::r1::r1;
use lapsegan::model::{Discriminator, DiscriminatorConfig, GeneratorConfig, ModelConfig, Precision, Wiring};
use tch::{Kind, Tensor};

use super::{Case, FORWARD, GRADIENT, fixtures, store, weighted_sum};

fn check(case: &Case) {
    let pairs = |key: &str| -> Vec<[i64; 2]> {
        let flat = Vec::<i64>::try_from(case.get(key).flatten(0, -1)).unwrap();
        flat.chunks(2).map(|pair| [pair[0], pair[1]]).collect()
    };
    let size = case.get("in.x").size(); // [N, D, T, H, W]
    let config = ModelConfig {
        domains: size[1] as usize,
        label_maps: Vec::new(),
        label_learning: lapsegan::model::LabelLearning::All,
        frames: size[2] as usize,
        resolution: size[3] as usize,
        precision: Precision::Float32,
        standardise: false,
        most_deviations: 0.0,
        frame_contrast: false,
        contrast: Vec::new(),
        range: Vec::new(),
        curve: Vec::new(),
        generator: GeneratorConfig {
            channels: vec![8; 2],
            latent: 8,
            mapping_depth: 1,
            wiring: Wiring::Original,
            skip_gain: 1.0,
            noise_gain: 1.0,
            grain_gain: 0.0,
            random_constant: false,
        },
        discriminator: DiscriminatorConfig {
            encoder: pairs("cfg.encoder_channels").iter().map(|pair| pair[1]).collect(),
            decoder: pairs("cfg.decoder_channels"),
            skip_gain: 1.0,
            minibatch_std_group: 0,
        },
    };
    let vs = store();
    let discriminator = Discriminator::new(&vs.root(), &config);
    case.load(&vs, "w.");

    let x = case.input("in.x");
    let logits = discriminator.forward(&x);
    case.expect("out.scalar", &logits.scalar, FORWARD);
    case.expect("out.pixel", &logits.pixel, FORWARD);
    let loss = weighted_sum(&logits.scalar, case.get("in.cot_scalar"))
        + weighted_sum(&logits.pixel, case.get("in.cot_pixel"));
    case.expect_input_gradient(&loss, &x, "grad.x");
    case.expect_gradients(&loss, &vs, "grad.w.");

    let sum = logits.scalar.sum(Kind::Float) + logits.pixel.sum(Kind::Float);
    let gradient = &Tensor::run_backward(&[&sum], &[&x], true, true)[0];
    case.expect("r1.out.grad_x", gradient, GRADIENT);
    let penalty = r1(&sum, &x, Tensor::shallow_clone);
    case.expect("r1.out.value", &penalty, GRADIENT);
    case.expect_gradients(&penalty, &vs, "r1.grad.w.");
    case.expect(
        "r1_scalar_only.out.value",
        &r1(&logits.scalar.sum(Kind::Float), &x, Tensor::shallow_clone),
        GRADIENT,
    );

    let (real, fake) =
        (discriminator.forward(case.get("in.x")), discriminator.forward(case.get("in.x_fake")));
    let values = Tensor::stack(
        &[
            call_real(&real.scalar, None),
            call_fake(&fake.scalar, None),
            call_real(&real.pixel, None),
            call_fake(&fake.pixel, None),
        ],
        0,
    );
    case.expect("dloss.out.values", &values, FORWARD);
    case.expect_gradients(&values.sum(Kind::Float), &vs, "dloss.grad.w.");
}

#[test]
fn discriminators_match_with_loss_r1_and_gradients() {
    fixtures("discriminator").iter().for_each(check);
}
