//! Seeds by key: every random draw is named by what it is for, so no generator state has to be saved.
//!
//! A run that is resumed, or a set that is generated in shards, needs only its counters to draw the same numbers.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Returns a seed for a key such as `[run_seed, iteration, stream]`.
///
/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) folded over the parts.
pub fn key(parts: &[u64]) -> u64 {
    parts.iter().fold(0x243F_6A88_85A3_08D3, |state, &part| mix(state ^ mix(part)))
}

/// Returns a stream of host random numbers for a key.
pub fn stream(parts: &[u64]) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(key(parts))
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_in_every_part_and_in_order() {
        let all = [key(&[1, 2, 3]), key(&[1, 3, 2]), key(&[2, 2, 3]), key(&[1, 2]), key(&[1, 2, 4])];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }
}
