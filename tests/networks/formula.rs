//! Weights and images by formula, as the fixture defines them: nothing of a published network is needed.

use serde_json::Value;
use tch::{Kind, Tensor};

/// Returns the seed of a tensor: FNV-1a of its name.
pub(super) fn seed(salt: &str, name: &str) -> u64 {
    salt.bytes()
        .chain(name.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Returns number `i` of a tensor, in [-1, 1).
pub(super) fn u(seed: u64, i: u64) -> f64 {
    let mut z = seed.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f64 / (1 << 23) as f64 - 1.0
}

/// Returns a tensor by its name.
pub(super) fn tensor(salt: &str, name: &str, shape: &[i64]) -> Tensor {
    let n = shape.iter().product::<i64>() as u64;
    let seed = seed(salt, name);
    let fan_in = shape.iter().skip(1).product::<i64>() as f64;
    let value: Box<dyn Fn(f64) -> f64> = match name.rsplit('.').next().unwrap() {
        "weight" if shape.len() > 1 => Box::new(|u| u * (6.0 / fan_in).sqrt()),
        "weight" => Box::new(|u| 1.0 + 0.25 * u),
        "bias" => Box::new(|u| 0.125 * u),
        "running_mean" => Box::new(|u| 0.25 * u),
        "running_var" => Box::new(|u| 1.0 + 0.5 * u),
        other => panic!("no formula for {other}"),
    };
    let values: Vec<f32> = (0..n).map(|i| value(u(seed, i)) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// Returns grey level 0..254 of an image or clip.
pub(super) fn pixel([n, c, t, y, x]: [i64; 5]) -> i64 {
    let tri = |v: i64, p: i64| (v % (2 * p) - p).abs();
    tri(3 * x + 2 * y + 17 * n + 5 * t, 97)
        + tri((x * y) / 64 + 31 * c, 61)
        + (7919 * x + 104_729 * y + 1_299_709 * c + 15_485_863 * n + 32_452_843 * t) % 97
}

/// Returns a clip. `[1, 3, T, H, W]`
pub(super) fn clip(about: &Value) -> Tensor {
    let number = |key: &str| about[key].as_i64();
    let (n, frames) = (number("n").unwrap(), number("frames").unwrap_or(1));
    let (height, width) = (number("height").unwrap(), number("width").unwrap());
    let gray = about["gray"].as_bool().unwrap_or(false);
    let mut values = Vec::new();
    for c in 0..3 {
        for t in 0..frames {
            for y in 0..height {
                values.extend((0..width).map(|x| pixel([n, if gray { 0 } else { c }, t, y, x]) as f32));
            }
        }
    }
    Tensor::from_slice(&values).view([1, 3, frames, height, width])
}

/// Returns an image. `[1, 3, H, W]`
pub(super) fn image(about: &Value) -> Tensor {
    clip(about).squeeze_dim(2)
}

/// Returns a tensor's values.
pub(super) fn values(x: &Tensor) -> Vec<f64> {
    x.to_kind(Kind::Double).flatten(0, -1).try_into().unwrap()
}
