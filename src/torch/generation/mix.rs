//! Styles of some sequences crossed with those of others, slot by slot (Karras et al., CVPR 2019, section 3.1).

use std::str::FromStr;

use tch::Tensor;

use super::GenerationError;
use super::picks::Chosen;

/// Style slots by number, from the coarsest on: `0-3,6`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots(pub Vec<u64>);

/// More slots than any generator has.
const MOST: u64 = 1000;

impl FromStr for Slots {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected style slots such as 0-3 or 4,6, not `{text:.80}`");
        let mut slots = Vec::new();
        for word in text.split(',').map(str::trim) {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let number = |word: &str| word.parse::<u64>().map_err(|_| wrong());
            let (first, last) = (number(first)?, number(last)?);
            if last < first || last >= MOST {
                return Err(wrong());
            }
            slots.extend(first..=last);
        }
        slots.sort_unstable();
        slots.dedup();
        Ok(Self(slots))
    }
}

impl std::fmt::Display for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
            [only] => only.to_string(),
            run => format!("{}-{}", run[0], run[run.len() - 1]),
        });
        f.write_str(&runs.collect::<Vec<_>>().join(","))
    }
}

impl Slots {
    /// Checks that a generator has these slots.
    ///
    /// # Errors
    /// [`GenerationError::Setting`] naming the flag and the slots that there are.
    pub fn check(&self, slots: i64) -> Result<(), GenerationError> {
        match self.0.iter().find(|slot| **slot >= slots as u64) {
            None => Ok(()),
            Some(slot) => Err(GenerationError::Setting {
                message: format!(
                    "--layers {self}: the generator has no style slot {slot}, but 0 to {}",
                    slots - 1
                ),
                hint: "0 is the coarsest, two slots belong to each doubling of the resolution",
            }),
        }
    }
}

/// Returns rows, columns, and each row with the styles of each column at `slots`, row by row, with the noise of the row.
///
/// `sources` holds the rows, then the columns. `ws [R + C + R C, L, Z]`
pub fn cross(sources: &Chosen, rows: usize, slots: &Slots) -> Chosen {
    let all = sources.ws.size()[0] as usize;
    let (mut names, mut ws, mut noise) = (sources.names.clone(), Vec::new(), Vec::new());
    ws.extend((0..all).map(|source| sources.ws.get(source as i64)));
    noise.extend(0..all as u64);
    for row in 0..rows {
        for column in rows..all {
            let own = sources.ws.get(row as i64); // [L, Z]
            let other = sources.ws.get(column as i64);
            let taken: Vec<bool> = (0..own.size()[0]).map(|slot| slots.0.contains(&(slot as u64))).collect();
            ws.push(other.where_self(&Tensor::from_slice(&taken).unsqueeze(1), &own));
            noise.push(row as u64);
            names.push(format!("{} x {}", sources.names[row], sources.names[column]));
        }
    }
    Chosen { names, z: None, ws: Tensor::stack(&ws, 0), noise: sources.noise.select(&noise) }
}

#[cfg(test)]
mod tests {
    use super::super::latent::SequenceKey;
    use super::super::latents::Noise;
    use super::*;

    #[test]
    fn slots_are_read_and_told_in_runs() {
        assert_eq!("4,0-2,6,1".parse::<Slots>().unwrap().to_string(), "0-2,4,6");
        for bad in ["", "x", "3-1", "-1", "0-4000"] {
            assert!(bad.parse::<Slots>().is_err(), "{bad}");
        }
        assert!(Slots(vec![7]).check(8).is_ok() && Slots(vec![8]).check(8).is_err());
    }

    #[test]
    fn cells_have_their_columns_styles_where_these_are_taken_and_their_rows_noise() {
        let ws = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([3, 1, 1]).expand([3, 4, 2], false);
        let keys = (0..3).map(|index| SequenceKey { seed: 5, index }).collect();
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let sources = Chosen { names, z: None, ws, noise: Noise::Keys(keys) };
        let mixed = cross(&sources, 1, &Slots(vec![0, 3]));
        assert_eq!(mixed.names, ["a", "b", "c", "a x b", "a x c"]);
        let slots = |n: i64| Vec::<f32>::try_from(mixed.ws.get(n).select(1, 0).contiguous()).unwrap();
        assert_eq!((slots(3), slots(4)), (vec![2.0, 1.0, 1.0, 2.0], vec![3.0, 1.0, 1.0, 3.0]));
        let Noise::Keys(keys) = mixed.noise else { panic!("keys stay keys") };
        assert_eq!(keys.iter().map(|key| key.index).collect::<Vec<_>>(), [0, 1, 2, 0, 0]);
    }
}
