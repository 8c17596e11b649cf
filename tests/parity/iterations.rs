//! `train_iterations`: whole iterations of both networks with recorded draws, through the phases that training uses.

use lapsegan::model::noise::LayerNoise;
use lapsegan::model::weights;
use lapsegan::model::{DiscriminatorConfig, Generator};
use lapsegan::optim::ema;
use lapsegan::training::Preset;
use lapsegan::training::config::{Config, TrainingConfig};
use lapsegan::training::draws::Latents;
use lapsegan::training::phases::{
    DiscriminatorPart, GeneratorPart, Values, cut_mix, cut_mix_consistency, discriminator_main,
    discriminator_r1, generator_main, generator_path_length,
};
use lapsegan::training::state::{NetworkState, State};
use tch::{Device, Tensor};

use super::{Case, FORWARD, fixtures};

#[test]
fn three_iterations_end_at_the_golden_parameters() {
    for case in fixtures("train_iterations") {
        check(&case);
    }
}

fn check(case: &Case) {
    let config = configure(case);
    let mut state = State::new(&config, 0, Device::Cpu);
    case.load(&state.generator.vs, "g0.");
    case.load(&state.generator_ema.vs, "g0.");
    case.load(&state.discriminator.vs, "d0.");
    let recipe = &config.training;
    let mut norms: Vec<(i64, i64, f64)> = Vec::new();

    let mut log = |iteration: i64, network: i64, values: &Values| {
        let norm = values.iter().find(|(name, _)| name.starts_with("gradient_norm")).unwrap();
        norms.push((iteration, network, norm.1.double_value(&[])));
    };
    let (mut d_logged, mut g_logged) = (0, 0);
    for iteration in 1..=3_i64 {
        let it = case.below(&format!("it{iteration}."));
        let weight = (iteration > 1).then(|| case.get("trap_weights"));
        let real = it.get("real").shallow_clone();
        let domains = real.size()[1];
        let count = (real.size()[0] / 4).max(1);
        let wrong_order =
            it.has("wrong_order_perm").then(|| (count, it.get("wrong_order_perm").to_kind(tch::Kind::Int64)));
        let part = DiscriminatorPart {
            real,
            latents: latents(&it.below("dstep."), &state.generator.net, domains),
            wrong_order,
            augmentations: None,
            labelled: None,
        };
        let (values, mut shown) = discriminator_main(&mut state, recipe, weight, &[part]);
        let total = |keys: [&str; 2]| -> f64 {
            keys.iter().map(|key| case.get(&format!("log.{key}")).double_value(&[d_logged])).sum()
        };
        near(&values, "loss_discriminator", total(["loss_discriminator_real", "loss_discriminator_fake"]));
        near(
            &values,
            "loss_discriminator_pixel",
            total(["loss_discriminator_real_pixel_wise", "loss_discriminator_fake_pixel_wise"]),
        );
        d_logged += 1;
        log(iteration, 0, &values);
        if iteration == 3 {
            let values = discriminator_r1(&mut state, recipe, &mut shown);
            let logged = case.get("log.loss_discriminator_regularization").double_value(&[0]);
            let penalty = value(&values, "r1_penalty");
            let weighted = penalty * recipe.r1_gamma;
            assert!(
                [penalty, weighted].iter().any(|v| (v - logged).abs() <= 1e-4 * logged.abs()),
                "R1 {penalty} or {weighted}, logged {logged}"
            );
            log(iteration, 0, &values);
        }
        if iteration > 1 {
            log(iteration, 0, &cut_mix(&mut state, recipe, &shown, it.get("cutmix_map_aug")));
            log(iteration, 0, &cut_mix_consistency(&mut state, recipe, &shown, it.get("cutmix_map_cons")));
        }
        let top_k_fraction = [1.0, 0.875, 0.75][iteration as usize - 1];
        let part = GeneratorPart {
            latents: latents(&it.below("gstep."), &state.generator.net, domains),
            augmentation: None,
        };
        let values = generator_main(&mut state, recipe, weight, top_k_fraction, &[part]);
        near(&values, "loss_generator", case.get("log.loss_generator").double_value(&[g_logged]));
        near(
            &values,
            "loss_generator_pixel",
            case.get("log.loss_generator_pixel_wise").double_value(&[g_logged]),
        );
        g_logged += 1;
        log(iteration, 1, &values);
        if it.has("plstep.pl_noise") {
            let step = it.below("plstep.");
            let parts =
                [(latents(&step, &state.generator.net, domains), step.get("pl_noise").shallow_clone())];
            let values = generator_path_length(&mut state, recipe, &parts);
            near(&values, "path_length", case.get("log.path_length").double_value(&[0]));
            log(iteration, 1, &values);
        }
        ema::update(&mut state.generator_ema.parameters, &state.generator.parameters, 0.999);
        if case.tensors.keys().any(|key| key.starts_with(&format!("it{iteration}.g."))) {
            compare(case, &format!("it{iteration}.g."), &state.generator, &generator_bound);
            compare(case, &format!("it{iteration}.d."), &state.discriminator, &|_| 0.01 * 6e-4);
        }
    }
    for (name, tensor) in weights::sorted(&state.generator_ema.vs) {
        if case.has(&format!("it3.ema.{name}")) {
            case.expect(&format!("it3.ema.{name}"), &tensor, FORWARD);
        }
    }
    case.expect("pl.out.mean_after", &state.path_length_mean.view([1]), 1e-4);

    let which = Vec::<i64>::try_from(case.get("norms.it_which").flatten(0, -1)).unwrap();
    let expected = Vec::<f32>::try_from(case.get("norms.out.value")).unwrap();
    assert_eq!(norms.len(), expected.len());
    for ((norm, expected), which) in norms.iter().zip(&expected).zip(which.chunks(2)) {
        assert_eq!([norm.0, norm.1], which);
        let error = (norm.2 - f64::from(*expected)).abs() / f64::from(*expected);
        assert!(error <= 1e-3, "norm of iteration {}: {} != {expected}", norm.0, norm.2);
    }
}

/// Against the learning rates: the first Adam steps move every weight by about one.
fn generator_bound(name: &str) -> f64 {
    if name.starts_with("style_mapping") { 0.3 * 2e-6 } else { 0.05 * 2e-4 }
}

fn compare<N>(case: &Case, prefix: &str, network: &NetworkState<N>, bound: &dyn Fn(&str) -> f64) {
    let mut compared = 0;
    for (name, tensor) in weights::sorted(&network.vs) {
        let key = format!("{prefix}{name}");
        if !case.has(&key) {
            continue;
        }
        let error = (tensor - case.get(&key)).abs().max().double_value(&[]);
        assert!(
            error <= bound(&name),
            "{}{key}: differs by {error:e}, allowed {:e}",
            case.name,
            bound(&name)
        );
        compared += 1;
    }
    assert!(compared > 0, "{}nothing below {prefix}", case.name);
}

fn latents(case: &Case, generator: &Generator, domains: i64) -> Latents {
    let mixed = case.has("z2").then(|| {
        let inject_index = case.get("inject_index").int64_value(&[]);
        [case.get("z2").shallow_clone(), generator.first_slots(inject_index)]
    });
    let noise = (0..)
        .map(|layer| if layer == 0 { "noise.start".to_owned() } else { format!("noise.{}", layer - 1) })
        .map_while(|key| case.has(&key).then(|| case.get(&key).shallow_clone()))
        .collect::<Vec<Tensor>>();
    // The published code draws noise once for all domains.
    let domains = (0..domains).map(|_| noise.iter().map(Tensor::shallow_clone).collect());
    Latents { z: case.get("z1").shallow_clone(), mixed, noise: LayerNoise(domains.collect()) }
}

fn value(values: &Values, name: &str) -> f64 {
    values.iter().find(|(n, _)| *n == name).unwrap().1.double_value(&[])
}

fn near(values: &Values, name: &str, expected: f64) {
    let actual = value(values, name);
    assert!((actual - expected).abs() <= 1e-4 * expected.abs(), "{name}: {actual} != {expected}");
}

fn configure(case: &Case) -> Config {
    let ints = |key: &str| Vec::<i64>::try_from(case.get(key).flatten(0, -1)).unwrap();
    let real = case.get("it1.real").size();
    let mut config = Preset::Original.config(real[1] as usize, real[2] as usize, real[3] as usize);
    let sizes = ints("cfg.latent_depth");
    config.model.generator.channels = ints("cfg.channels");
    config.model.generator.latent = sizes[0];
    config.model.generator.mapping_depth = sizes[1] as usize;
    let pairs = |key: &str| -> Vec<[i64; 2]> { ints(key).chunks(2).map(|p| [p[0], p[1]]).collect() };
    config.model.discriminator = DiscriminatorConfig {
        encoder: pairs("cfg.encoder_channels").iter().map(|pair| pair[1]).collect(),
        decoder: pairs("cfg.decoder_channels"),
        minibatch_std_group: 0,
        ..config.model.discriminator
    };
    let published: &mut TrainingConfig = &mut config.training;
    published.ada.enabled = false;
    published.path_length.weight = case.get("cfg.w_pl").double_value(&[]);
    config
}
