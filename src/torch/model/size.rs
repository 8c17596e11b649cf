//! How large networks are, told from their configuration before memory is taken for them.

use super::{ModelConfig, ModelError};
use lapsegan_core::memory;

/// Bytes of a parameter.
const BYTES: f64 = 4.0;

/// What memory is taken for besides the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A generator alone.
    Generate,
    /// Two generators and a discriminator with gradients and two moments each.
    Train,
}

/// Returns about how many parameters the generator has; within a third of it.
pub fn generator_parameters(config: &ModelConfig) -> f64 {
    let g = &config.generator;
    let channels: Vec<f64> = g.channels.iter().map(|&c| c as f64).collect();
    let (latent, first) = (g.latent as f64, channels.first().copied().unwrap_or(0.0));
    let stack: f64 =
        9.0 * first * first + channels.windows(2).map(|c| 9.0 * c[1] * (c[0] + c[1])).sum::<f64>();
    let styles = 3.0 * latent * channels.iter().sum::<f64>();
    config.maps().len() as f64 * stack + styles + g.mapping_depth as f64 * latent * latent
}

/// Returns about how many parameters the discriminator has; within a third of it.
pub fn discriminator_parameters(config: &ModelConfig) -> f64 {
    let d = &config.discriminator;
    let mut inputs = (config.channels() * config.frames) as f64;
    let mut all = 0.0;
    for &width in &d.encoder {
        let width = width as f64;
        all += 9.0 * width * (inputs + width);
        inputs = width;
    }
    all + d.decoder.iter().map(|&[a, b]| 9.0 * (b * (a + b)) as f64).sum::<f64>()
}

/// Refuses networks that do not fit into the memory of this machine.
///
/// # Errors
/// [`ModelError::TooLarge`], where the machine tells how much there is.
pub fn expect_room(config: &ModelConfig, purpose: Use) -> Result<(), ModelError> {
    let Some(available) = memory::available() else { return Ok(()) };
    let (generator, discriminator) = (generator_parameters(config), discriminator_parameters(config));
    let parameters = match purpose {
        Use::Generate => generator,
        Use::Train => 5.0 * generator + 4.0 * discriminator,
    };
    if parameters * BYTES <= available as f64 {
        return Ok(());
    }
    let gib = |bytes: f64| bytes / f64::from(1 << 30);
    Err(ModelError::TooLarge {
        millions: (generator + discriminator) / 1e6,
        needed_gib: gib(parameters * BYTES),
        available_gib: gib(available as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Discriminator, Generator};
    use crate::training::Preset;
    use tch::nn::VarStore;
    use tch::{Device, Tensor};

    #[test]
    fn sizes_are_near_those_of_the_networks() {
        for (preset, size) in [(Preset::Tiny, 32), (Preset::Small, 64), (Preset::Paper, 64)] {
            let config = preset.config(2, 3, size).model;
            let count = |vs: &VarStore| vs.trainable_variables().iter().map(Tensor::numel).sum::<usize>();
            let vs = VarStore::new(Device::Cpu);
            let _ = Generator::new(&vs.root(), &config);
            let found = [(generator_parameters(&config), count(&vs) as f64)];
            let vs = VarStore::new(Device::Cpu);
            let _ = Discriminator::new(&vs.root(), &config);
            let all = [found[0], (discriminator_parameters(&config), count(&vs) as f64)];
            for (about, exact) in all {
                assert!((about / exact - 1.0).abs() < 1.0 / 3.0, "{preset:?}: {about} for {exact}");
            }
        }
    }

    #[test]
    fn networks_beyond_the_memory_are_refused_with_figures() {
        let mut config = Preset::Tiny.config(2, 3, 32).model;
        expect_room(&config, Use::Train).unwrap();
        config.generator.channels = vec![4_000_000; 4];
        let error = expect_room(&config, Use::Generate).unwrap_err().to_string();
        assert!(error.contains("GiB"), "{error}");
    }
}
