//! Weights that were never trained: features that need no file and tell images apart that ImageNet has never seen.
//!
//! Naeem et al. (ICML 2020) and Lee et al. (arXiv 2208.09218) compare generators by them. Convolutions are He's normal
//! numbers, normalisation does nothing. Figures can be compared with those of the same seed only.

use lapsegan_core::seed::Stream;
use tch::Tensor;

use crate::tensor_rng::randn;

/// Returns a tensor of a network by its name: the same for every network that has one of this name and shape.
pub fn tensor(seed: u64, name: &str, shape: &[i64]) -> Tensor {
    let options = (tch::Kind::Float, tch::Device::Cpu);
    match name.rsplit('.').next().unwrap_or_default() {
        "weight" if shape.len() > 1 => {
            let fan_in = shape[1..].iter().product::<i64>() as f64;
            randn(Stream::RandomFeatures, &[seed, number(name)], shape) * (2.0 / fan_in).sqrt()
        }
        "weight" | "running_var" => Tensor::ones(shape, options),
        _ => Tensor::zeros(shape, options),
    }
}

/// Returns a number for a name: FNV-1a.
fn number(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_belong_to_seed_and_name() {
        let shape = [64, 32, 3, 3];
        let a = tensor(0, "a.conv.weight", &shape);
        assert!(a.equal(&tensor(0, "a.conv.weight", &shape)));
        assert!(!a.equal(&tensor(1, "a.conv.weight", &shape)));
        assert!(!a.equal(&tensor(0, "b.conv.weight", &shape)));
        let deviation = a.std(false).double_value(&[]);
        assert!((deviation - (2.0 / 288.0_f64).sqrt()).abs() < 2e-3, "{deviation}");
    }
}
