//! What the steps of an iteration ask of the device, in the composed forms, which are those of a GPU
//! without kernels of ours.

use std::collections::BTreeMap;

use lapsegan::losses::cut_mix::Cut;
use lapsegan::model::{DiscriminatorConfig, Precision, composed};
use lapsegan::operators::{Operator, record, work};
use lapsegan::optim::ema;
use lapsegan::training::inputs::Inputs;
use lapsegan::training::state::State;
use lapsegan::training::{Config, Preset, phases, schedule};
use lapsegan::transfer::without_transfers;
use tch::{Device, Kind, Tensor};

/// Returns a preset with narrow networks: the number of operators does not depend on widths.
pub(crate) fn narrow(preset: Preset, size: usize, precision: Precision) -> Config {
    let mut config = preset.config(2, 3, size);
    config.model.precision = precision;
    config.model.generator.channels.fill(8);
    config.model.generator.latent = 16;
    let first = config.model.discriminator.encoder[0];
    let encoder: Vec<i64> =
        config.model.discriminator.encoder.iter().map(|width| width * 8 / first).collect();
    config.model.discriminator = DiscriminatorConfig {
        minibatch_std_group: config.model.discriminator.minibatch_std_group,
        ..DiscriminatorConfig::mirrored(&encoder, config.model.discriminator.skip_gain)
    };
    config.training.batch = 4;
    config
}

/// Returns the operators of every step of an iteration in which all of them are due, without copies to and from the
/// device.
fn steps(config: &Config, seed: u64) -> BTreeMap<&'static str, Vec<Operator>> {
    let recipe = &config.training;
    let mut state = State::new(config, 0, Device::Cpu);
    let size = config.model.resolution as i64;
    let mut found = BTreeMap::new();
    // The first iteration makes what is made once: filters, the state of the optimisers.
    for round in 1..=2 {
        let real = Tensor::rand([recipe.batch as i64, 2, 3, size, size], (Kind::Float, Device::Cpu));
        let iteration = recipe.iterations() - round;
        let moment = schedule::moment(iteration, recipe);
        let inputs = Inputs { config: recipe, moment, run_seed: seed, iteration, real: &real };
        let map =
            Cut { y: size / 3, x: size / 2, top_left: true, inverted: false }.map(size, size, Device::Cpu);
        let discriminator = inputs.discriminator(&state);
        let generator = inputs.generator(&state);
        let path_length = inputs.path_length(&state);
        let mut shown = Vec::new();
        let mut step = |name: &'static str, body: &mut dyn FnMut()| {
            let ((), operators) =
                record(|| composed(|| if round == 1 { body() } else { without_transfers(body) }));
            found.insert(name, operators);
        };
        step("discriminator", &mut || {
            shown = phases::discriminator_main(&mut state, recipe, None, &discriminator).1;
        });
        step("r1", &mut || drop(phases::discriminator_r1(&mut state, recipe, &mut shown)));
        if recipe.cut_mix.probability > 0.0 {
            step("cut-mix", &mut || drop(phases::cut_mix(&mut state, recipe, &shown, &map)));
            step("consistency", &mut || drop(phases::cut_mix_consistency(&mut state, recipe, &shown, &map)));
        }
        step("generator", &mut || {
            drop(phases::generator_main(&mut state, recipe, None, moment.top_k_fraction, &generator));
        });
        if recipe.path_length.weight > 0.0 {
            step("path length", &mut || {
                drop(phases::generator_path_length(&mut state, recipe, &path_length));
            });
        }
        step("average", &mut || {
            ema::update(&mut state.generator_ema.parameters, &state.generator.parameters, 0.999);
        });
    }
    found
}

#[test]
fn a_step_copies_nothing_reads_nothing_and_has_ordinary_kernels() {
    for config in
        [narrow(Preset::Tiny, 32, Precision::Float32), narrow(Preset::Paper, 32, Precision::Bfloat16)]
    {
        for (name, operators) in steps(&config, 1) {
            for operator in work(&operators) {
                let kernel = match operator.name.as_str() {
                    "convolution" => &operator.sizes[1][2..],
                    "convolution_backward" => &operator.sizes[2][2..],
                    "_local_scalar_dense" | "is_nonzero" => {
                        panic!("{name}: the host reads a number of the device")
                    }
                    _ => continue,
                };
                assert!(kernel.iter().all(|side| *side <= 5), "{name}: a kernel of {kernel:?}");
            }
        }
    }
}

#[test]
fn the_operators_of_a_step_do_not_depend_on_what_is_drawn() {
    let mut whole = narrow(Preset::Paper, 32, Precision::Float32);
    (whole.training.style_mixing_probability, whole.training.ada.initial_p) = (0.5, 0.5);
    for config in [narrow(Preset::Tiny, 32, Precision::Float32), whole] {
        let list = |seed| -> Vec<(String, Vec<Vec<i64>>)> {
            steps(&config, seed).into_values().flatten().map(|o| (o.name, o.sizes)).collect()
        };
        let first = list(1);
        assert!((2..6).all(|seed| list(seed) == first));
    }
}

#[test]
fn the_number_of_operators_stays_within_its_budget() {
    let mut lines = Vec::new();
    let mut over = Vec::new();
    for (name, config, budget) in [
        ("tiny", narrow(Preset::Tiny, 32, Precision::Float32), TINY),
        ("small", narrow(Preset::Small, 64, Precision::Float32), SMALL),
        ("paper", narrow(Preset::Paper, 256, Precision::Bfloat16), PAPER),
    ] {
        let found = steps(&config, 1);
        for (step, most) in budget {
            let n = work(&found[step]).len();
            lines.push(format!("{name:8}{step:16}{n:8} of {most}"));
            if n > *most {
                over.push(format!("{name} {step}"));
            }
        }
    }
    assert!(over.is_empty(), "over budget: {over:?}\n{}", lines.join("\n"));
}

/// Steps and the most operators that they may need.
type Budget = &'static [(&'static str, usize)];
const TINY: Budget = &[("discriminator", 1040), ("r1", 660), ("generator", 1250), ("average", 1)];
const SMALL: Budget = &[("discriminator", 1330), ("r1", 840), ("generator", 1630), ("average", 1)];
const PAPER: Budget = &[
    ("discriminator", 1850),
    ("r1", 1010),
    ("cut-mix", 590),
    ("consistency", 580),
    ("generator", 2680),
    ("path length", 4120),
    ("average", 1),
];
