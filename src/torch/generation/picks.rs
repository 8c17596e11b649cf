//! Sequences that a user names: by their numbers on a contact sheet.

use std::path::Path;
use std::str::FromStr;

use tch::Tensor;

use super::latent::{self, SequenceKey};
use super::latents::{LatentFile, Noise};
use super::{GenerationError, Sampler};

/// Most sequences that a list may name.
const MOST: usize = 10_000;

/// A named sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Another seed than that of the run.
    pub seed: Option<u64>,
    /// Number of the sequence, or of the row in a file of latents.
    pub index: u64,
}

/// Sequences by number: `0,4,8-11`, and `3:17` for sequence 17 of seed 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picks(pub Vec<Pick>);

impl FromStr for Picks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected numbers such as 0,4,8-11, or SEED:NUMBER, not `{text:.80}`");
        let mut picks = Vec::new();
        for word in text.split(',').map(str::trim) {
            let (seed, numbers) = match word.split_once(':') {
                Some((seed, numbers)) => (Some(seed.parse().map_err(|_| wrong())?), numbers),
                None => (None, word),
            };
            let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
            let number = |word: &str| word.parse::<u64>().map_err(|_| wrong());
            let (first, last) = (number(first)?, number(last)?);
            if last < first || (last - first) as usize >= MOST || picks.len() >= MOST {
                return Err(format!("expected rising ranges and at most {MOST} numbers, not `{text:.80}`"));
            }
            picks.extend((first..=last).map(|index| Pick { seed, index }));
        }
        Ok(Self(picks))
    }
}

impl std::fmt::Display for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.seed {
            Some(seed) => write!(f, "{seed}:{}", self.index),
            None => write!(f, "{}", self.index),
        }
    }
}

/// The named sequences: their latents and noise.
#[derive(Debug)]
pub struct Chosen {
    /// What they are called.
    pub names: Vec<String>,
    /// Latents before the mapping network, where they were drawn. `[K, Z]`
    pub z: Option<Tensor>,
    /// Latents by layer, not truncated further. `[K, L, Z]`
    pub ws: Tensor,
    /// Their noise.
    pub noise: Noise,
}

impl Picks {
    /// Finds the sequences: in `latents`, where they are given with their path, else by the seed of the run.
    ///
    /// # Errors
    /// [`GenerationError::Setting`] for a row that the file does not have, or a seed where there is a file.
    pub fn find(
        &self,
        sampler: &Sampler,
        seed: u64,
        latents: Option<(&Path, LatentFile)>,
    ) -> Result<Chosen, GenerationError> {
        let names = self.0.iter().map(|pick| format!("sequence {pick}")).collect();
        let Some((path, latents)) = latents else {
            let keys =
                self.0.iter().map(|pick| SequenceKey { seed: pick.seed.unwrap_or(seed), index: pick.index });
            let z = latent::draw_z(sampler.draws(), keys.clone());
            let ws = sampler.latents_of_z(&z);
            return Ok(Chosen { names, z: Some(z), ws, noise: Noise::Keys(keys.collect()) });
        };
        let rows = latents.len() as u64;
        if let Some(pick) = self.0.iter().find(|pick| pick.index >= rows || pick.seed.is_some()) {
            return Err(GenerationError::Setting {
                message: format!("sequence {pick}: {} holds sequences 0 to {}", path.display(), rows - 1),
                hint: "rows of a file of latents are named by their number, from 0; without --latents, SEED:NUMBER names a sequence",
            });
        }
        let indices: Vec<u64> = self.0.iter().map(|pick| pick.index).collect();
        let rows: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
        let noise = latents.noise.map_or_else(
            || Noise::Keys(indices.iter().map(|&index| SequenceKey { seed, index }).collect()),
            |noise| noise.select(&indices),
        );
        Ok(Chosen { names, z: None, ws: latents.ws.index_select(0, &Tensor::from_slice(&rows)), noise })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_named_by_numbers_ranges_and_seeds() {
        let picks: Picks = "0,4, 3:17,8-10".parse().unwrap();
        let names: Vec<String> = picks.0.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["0", "4", "3:17", "8", "9", "10"]);
        for bad in ["", "a", "1,", "3-1", "-1", "1:", ":1", "0-99999999", "1:2:3"] {
            assert!(bad.parse::<Picks>().is_err(), "{bad}");
        }
    }
}
