//! What was taken over equals what PyTorch had.

use std::collections::HashMap;
use std::fs;

use lapsegan::import::published::{Published, infer};
use lapsegan::import::state::{self as import, Counts, SecondBranch};
use lapsegan::model::{Generator, Wiring};
use lapsegan::training::state::State;
use tch::{Kind, Tensor};

use super::fixture;

/// Tolerance of forward values, as in `parity`.
const FORWARD: f64 = 1e-5;

fn import(name: &str) -> (SecondBranch, State, Counts) {
    let mut published = Published::open(&fixture(name)).unwrap();
    let second_branch = import::second_branch(&mut published).unwrap();
    let config = import::config(&published, second_branch).unwrap();
    assert_eq!(config.model.generator.channels, [16, 16, 16]);
    assert_eq!((config.model.generator.latent, config.model.generator.mapping_depth), (32, 4));
    assert_eq!((config.model.domains, config.model.frames, config.model.resolution), (2, 3, 16));
    assert_eq!(config.model.discriminator.encoder, [8, 16, 16, 24]);
    assert_eq!(config.model.discriminator.decoder, [[24, 16], [24, 16], [16, 8]]);
    assert_eq!(config.model.generator.wiring, second_branch.wiring());
    let (state, counts) = import::state(&mut published, &config).unwrap();
    (second_branch, state, counts)
}

fn parity(name: &str) -> HashMap<String, Tensor> {
    let folder = crate::support::root().join("tests/fixtures/parity");
    Tensor::read_safetensors(folder.join(name)).unwrap().into_iter().collect()
}

fn relative_error(actual: &Tensor, expected: &Tensor) -> f64 {
    let largest = expected.abs().max().double_value(&[]).max(1e-30);
    (actual - expected).to_kind(Kind::Double).abs().max().double_value(&[]) / largest
}

/// Compares the image of the fixture's latents and noise.
fn check_image(generator: &Generator, key: &str) {
    let case = parity("generator_tiny.safetensors");
    let noise = |layer: usize| match layer {
        0 => case["in.noise.start"].shallow_clone(),
        _ => case[&format!("in.noise.{}", layer - 1)].shallow_clone(),
    };
    let ws = generator.broadcast(&generator.map(&case["in.z1"]));
    let image = tch::no_grad(|| generator.synthesise(&ws, &mut |_, layer, _| noise(layer)));
    let error = relative_error(&image, &case[key]);
    assert!(error <= FORWARD, "{key}: error {error:.2e}");
}

#[test]
fn an_imported_checkpoint_gives_the_images_of_pytorch() {
    let (second_branch, state, counts) = import("published.pt");
    assert_eq!(second_branch, SecondBranch::Untrained);
    assert_eq!(second_branch.wiring(), Wiring::Original);
    check_image(&state.generator_ema.net, "out.image_z1");
    check_image(&state.generator.net, "out.image_z1");
    assert_eq!(
        counts.generator_moments.map(|(n, of)| of - n),
        Some(12),
        "three parameters in each of four dead layers"
    );
    assert_eq!(counts.discriminator_moments.map(|(n, of)| of - n), Some(0));
    let case = parity("discriminator_tiny.safetensors");
    let logits = tch::no_grad(|| state.discriminator.net.forward(&case["in.x"]));
    for (key, actual) in [("out.scalar", &logits.scalar), ("out.pixel", &logits.pixel)] {
        let error = relative_error(actual, &case[key]);
        assert!(error <= FORWARD, "{key}: error {error:.2e}");
    }
}

#[test]
fn a_trained_second_branch_is_noticed_and_used() {
    // Other types, strided views, parameters, no prefixes, no optimisers, too.
    let (second_branch, state, counts) = import("variant.pt");
    assert_eq!(second_branch, SecondBranch::Trained);
    check_image(&state.generator_ema.net, "out.image_z1_repaired");
    check_image(&state.generator.net, "out.image_z1_repaired");
    assert!(counts.generator_moments.is_none() && counts.discriminator_moments.is_none());
    let published = Published::open(&fixture("variant.pt")).unwrap();
    assert_eq!(published.parts.ignored, ["epoch"]);
    assert!(infer(&published.parts, published.file()).is_ok());
}

#[test]
fn moments_belong_to_their_parameters() {
    // The script took two steps along gradients equal to the weights: exp_avg = w, exp_avg_sq = (1 - 0.999^2) w^2.
    // Steps are tensors for the generator, as torch saves them now, and plain numbers for the discriminator.
    let (_, state, _) = import("published.pt");
    let networks = [
        (&state.generator.names, &state.generator.parameters, &state.generator_adam),
        (&state.discriminator.names, &state.discriminator.parameters, &state.discriminator_adam),
    ];
    for (names, parameters, adam) in networks {
        for ((name, parameter), state) in names.iter().zip(parameters).zip(adam.state()) {
            let dead = name.starts_with("main_convolutions_2.");
            assert_eq!(state.is_none(), dead, "{name}");
            let Some(state) = state else { continue };
            assert_eq!(state.step, 2, "{name}");
            let weight = parameter.detach();
            assert_eq!(state.exp_avg, weight, "{name}");
            let expected = weight.square() * (1.0 - 0.999_f64.powi(2));
            assert!(state.exp_avg_sq.allclose(&expected, 1e-4, 1e-12, false), "{name}");
        }
    }
}

#[test]
fn files_of_older_torch_without_byte_order_are_read() {
    let bytes = fs::read(fixture("published.pt")).unwrap();
    let mut entries = super::pieces::unzip(&bytes);
    for entry in [".format_version", ".storage_alignment", "byteorder", ".data/serialization_id"] {
        assert!(entries.remove(&format!("published/{entry}")).is_some(), "{entry}");
    }
    let older = super::pieces::zip(&entries);
    let published = Published::read(std::io::Cursor::new(older), "older.pt".into()).unwrap();
    assert!(infer(&published.parts, "older.pt").is_ok());
}
