//! The configuration of a published checkpoint, read off the shapes of its tensors.
//!
//! Every large tensor's shape is checked before a network of these sizes is built, so that a file cannot ask for more
//! memory than it has bytes. The small ones are checked when they are copied into the network.

use super::layout::{Network, Parts};
use crate::model::{DiscriminatorConfig, GeneratorConfig, LabelLearning, ModelConfig, Precision, Wiring};
use crate::torch_file::TorchFileError;

/// Most doublings of the resolution, and most blocks of the discriminator: 1024 px.
const MOST_LEVELS: usize = 8;
/// Most channels of the data.
const MOST_DOMAINS: usize = 16;

/// Returns the configuration of a checkpoint, with the wiring of the published code; `file` is its name in messages.
///
/// # Errors
/// [`TorchFileError::Layout`] naming the first tensor that is missing or has an impossible shape.
pub fn infer(parts: &Parts, file: &str) -> Result<ModelConfig, TorchFileError> {
    config(parts).map_err(|(place, problem)| TorchFileError::Layout { file: file.into(), place, problem })
}

/// Returns the names of the tensors that training moves away from zero in the main convolutions of the domains after
/// the first: noise strengths and activation biases. All zero means that these convolutions were never trained.
pub fn second_branch_tensors(generator: &Network) -> impl Iterator<Item = &str> {
    generator.tensors.iter().map(|(name, _)| name.as_str()).filter(|name| {
        let other = name.strip_prefix("main_convolutions_").is_some_and(|rest| !rest.starts_with("1."));
        other && (name.ends_with(".noise_injection.weight") || name.ends_with(".activation.bias"))
    })
}

type Wrong = (String, String);

fn config(parts: &Parts) -> Result<ModelConfig, Wrong> {
    let (generator, domains, frames) = generator(&parts.generator)?;
    let (averaged, domains_ema, frames_ema) = self::generator(&parts.generator_ema)?;
    if (&averaged, domains_ema, frames_ema) != (&generator, domains, frames) {
        return Err(("generator_ema".into(), "another network than generator, expected equal shapes".into()));
    }
    let planes = (domains * frames) as i64;
    let discriminator = discriminator(&parts.discriminator, planes)?;
    let resolution = generator.resolution();
    let config = ModelConfig {
        domains,
        label_maps: Vec::new(),
        label_learning: LabelLearning::All,
        frames,
        resolution,
        precision: Precision::Float32,
        standardise: false,
        most_deviations: 0.0,
        frame_contrast: false,
        contrast: Vec::new(),
        range: Vec::new(),
        curve: Vec::new(),
        generator,
        discriminator,
    };
    config.validate().map_err(|e| ("checkpoint".into(), e.to_string()))?;
    Ok(config)
}

/// Returns sizes, domains and frames.
fn generator(network: &Network) -> Result<(GeneratorConfig, usize, usize), Wrong> {
    let domains = count(network, MOST_DOMAINS, |d| format!("constant_input_{}.input", d + 1))?;
    let [_, width, ..] = shape::<4>(network, "constant_input_1.input")?;
    let [_, frames, ..] = shape::<5>(network, "starting_output_block_1.modulated_convolution.weight")?;
    let [_, latent] =
        shape::<2>(network, "starting_convolution_1.modulated_convolution.modulation_mapping.weight")?;
    let mapping_depth = count(network, 64, |j| format!("style_mapping.layers.{}.weight", 2 * j + 1))?;
    for j in 0..mapping_depth {
        expect(network, &format!("style_mapping.layers.{}.weight", 2 * j + 1), &[latent, latent])?;
    }
    let doublings = count(network, MOST_LEVELS, |i| {
        format!("main_convolutions_1.{}.modulated_convolution.weight", 2 * i)
    })?;
    let mut channels = vec![width];
    for i in 0..doublings {
        let [_, out, ..] =
            shape::<5>(network, &format!("main_convolutions_1.{}.modulated_convolution.weight", 2 * i))?;
        channels.push(out);
    }
    for domain in 1..=domains {
        expect(network, &format!("constant_input_{domain}.input"), &[1, width, 4, 4])?;
        let start = format!("starting_convolution_{domain}.modulated_convolution");
        expect(network, &format!("{start}.weight"), &[1, width, width, 3, 3])?;
        for (i, pair) in channels.windows(2).enumerate() {
            let layer = |j: usize| format!("main_convolutions_{domain}.{j}.modulated_convolution");
            expect(network, &format!("{}.weight", layer(2 * i)), &[1, pair[1], pair[0], 2, 2])?;
            expect(network, &format!("{}.weight", layer(2 * i + 1)), &[1, pair[1], pair[1], 3, 3])?;
            if domain == 1 {
                let affine = |j: usize| format!("{}.modulation_mapping.weight", layer(j));
                expect(network, &affine(2 * i), &[pair[0], latent])?;
                expect(network, &affine(2 * i + 1), &[pair[1], latent])?;
            }
            let output = format!("output_blocks_{domain}.{i}.modulated_convolution");
            expect(network, &format!("{output}.weight"), &[1, frames, pair[1], 1, 1])?;
        }
    }
    let size = 4_i64 << doublings;
    expect(network, &format!("noises.noise_{}", (2 * doublings).saturating_sub(1)), &[1, 1, size, size])?;
    let config = GeneratorConfig {
        channels,
        latent,
        mapping_depth,
        wiring: Wiring::Original,
        skip_gain: 1.0,
        noise_gain: 1.0,
        grain_gain: 0.0,
        random_constant: false,
    };
    Ok((config, domains, frames as usize))
}

fn discriminator(network: &Network, planes: i64) -> Result<DiscriminatorConfig, Wrong> {
    let blocks = count(network, MOST_LEVELS, |i| match i {
        2 => "encoder_blocks.2.o.weight".to_owned(),
        _ => format!("encoder_blocks.{i}.main_mapping.2.weight"),
    })?;
    let mut encoder = Vec::new();
    let mut inputs = planes;
    for i in 0..blocks {
        // The last two blocks see one more channel, the standard deviation over the batch.
        let extra = i64::from(i != 2 && i + 2 >= blocks);
        inputs = block(network, &format!("encoder_blocks.{i}"), i == 2, Some(inputs), extra)?[1];
        encoder.push(inputs);
    }
    let mut decoder = Vec::new();
    for j in 0..blocks.saturating_sub(1) {
        decoder.push(block(network, &format!("decoder_blocks.{j}"), j == 1, None, 0)?);
    }
    for (i, &width) in encoder.iter().enumerate().take(blocks - 1) {
        expect(network, &format!("downscale_convolutions.{i}.0.weight"), &[width, width, 3, 3])?;
    }
    Ok(DiscriminatorConfig { encoder, decoder, skip_gain: 1.0, minibatch_std_group: 6 })
}

/// Returns input and output width of a block of the discriminator.
fn block(
    network: &Network,
    path: &str,
    non_local: bool,
    inputs: Option<i64>,
    extra: i64,
) -> Result<[i64; 2], Wrong> {
    if non_local {
        let [width, ..] = shape::<4>(network, &format!("{path}.o.weight"))?;
        let [_, found, ..] = shape::<4>(network, &format!("{path}.theta.weight"))?;
        let inputs = inputs.unwrap_or(found);
        expect(network, &format!("{path}.theta.weight"), &[width / 8, inputs, 1, 1])?;
        expect(network, &format!("{path}.g.weight"), &[width / 2, inputs, 1, 1])?;
        expect(network, &format!("{path}.o.weight"), &[width, width / 2, 1, 1])?;
        if inputs != width {
            expect(network, &format!("{path}.residual_mapping.weight"), &[width, inputs, 1, 1])?;
        }
        return Ok([inputs, width]);
    }
    let [width, found, ..] = shape::<4>(network, &format!("{path}.main_mapping.0.weight"))?;
    let inputs = inputs.unwrap_or(found - extra);
    expect(network, &format!("{path}.main_mapping.0.weight"), &[width, inputs + extra, 3, 3])?;
    expect(network, &format!("{path}.main_mapping.2.weight"), &[width, width, 3, 3])?;
    Ok([inputs, width])
}

/// Returns for how many numbers from 0 on there is a tensor of that name: at least one, at most `most`.
fn count(network: &Network, most: usize, name: impl Fn(usize) -> String) -> Result<usize, Wrong> {
    let n = (0..=most).take_while(|&i| network.size(&name(i)).is_some()).count();
    match n {
        0 => Err((format!("{}.{}", network.key, name(0)), "missing".into())),
        n if n > most => {
            Err((format!("{}.{}", network.key, name(most)), format!("expected at most {most} such")))
        }
        n => Ok(n),
    }
}

/// Returns a tensor's shape of N axes, each at least 1.
fn shape<const N: usize>(network: &Network, name: &str) -> Result<[i64; N], Wrong> {
    let wrong = |problem: String| (format!("{}.{name}", network.key), problem);
    let size = network.size(name).ok_or_else(|| wrong("missing".into()))?;
    <[i64; N]>::try_from(size)
        .ok()
        .filter(|all| all.iter().all(|&extent| extent >= 1))
        .ok_or_else(|| wrong(format!("has shape {size:?}, expected {N} axes of at least 1")))
}

fn expect(network: &Network, name: &str, expected: &[i64]) -> Result<(), Wrong> {
    let wrong = |problem: String| Err((format!("{}.{name}", network.key), problem));
    match network.size(name) {
        None => wrong("missing".into()),
        Some(size) if size != expected => wrong(format!("has shape {size:?}, expected {expected:?}")),
        Some(_) => Ok(()),
    }
}
