//! What a projection has found so far, sequence by sequence, so that it can go on after an end.

use std::path::Path;

use tch::Tensor;

use super::latents::{LatentFile, LatentShape, Noise, Origin};
use super::project::Projection;
use crate::model::noise::LayerNoise;
use lapsegan_core::error::DataError;

/// Latents and noise by sequence, of one plate, checkpoint and way of searching.
#[derive(Debug)]
pub struct Found {
    checkpoint: String,
    key: String,
    sequences: Vec<u64>,
    ws: Vec<Tensor>,
    noise: Vec<LayerNoise>,
}

impl Found {
    /// Starts with nothing. `key` tells what is projected, and how.
    pub fn new(checkpoint: &str, key: String) -> Self {
        Self {
            checkpoint: checkpoint.to_owned(),
            key,
            sequences: Vec::new(),
            ws: Vec::new(),
            noise: Vec::new(),
        }
    }

    /// Reads what a run has found.
    ///
    /// # Errors
    /// As [`LatentFile::read`], and [`DataError::Unusable`] for what was found for something else or in another way.
    pub fn read(path: &Path, shape: LatentShape, checkpoint: &str, key: String) -> Result<Self, DataError> {
        let latents = LatentFile::read(path, shape)?;
        let other = |found: String, expected: String| DataError::Unusable {
            path: path.to_owned(),
            found,
            expected,
            hint:
                "name another --resume file, or run with the plate, checkpoint, seed and settings of before"
                    .into(),
        };
        let (Some(origin), Some(noise @ Noise::Maps(_))) = (latents.origin, latents.noise) else {
            return Err(other("holds latents of no projection".into(), "what generate project found".into()));
        };
        if latents.checkpoint.as_deref() != Some(checkpoint) {
            return Err(other(
                "was found with another checkpoint".into(),
                format!("checkpoint {checkpoint}"),
            ));
        }
        if origin.key != key {
            return Err(other(format!("was found for {}", origin.key), key));
        }
        let mut found = Self::new(checkpoint, key);
        for (row, &sequence) in origin.sequences.iter().enumerate() {
            if let Noise::Maps(maps) = noise.select(&[row as u64]) {
                found.sequences.push(sequence);
                found.ws.push(latents.ws.narrow(0, row as i64, 1));
                found.noise.push(maps);
            }
        }
        Ok(found)
    }

    /// Returns the number of sequences.
    pub fn len(&self) -> usize {
        self.sequences.len()
    }

    /// Returns whether nothing was found yet.
    pub fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Returns whether a sequence was found.
    pub fn has(&self, sequence: u64) -> bool {
        self.sequences.contains(&sequence)
    }

    /// Adds sequences.
    pub fn add(&mut self, sequences: &[u64], projection: Projection) {
        for (row, &sequence) in sequences.iter().enumerate() {
            self.sequences.push(sequence);
            self.ws.push(projection.ws.narrow(0, row as i64, 1));
            self.noise.push(projection.noise.select(&Tensor::from_slice(&[row as i64])));
        }
    }

    /// Returns everything that was found.
    pub fn all(&self) -> LatentFile {
        self.latents(&self.sequences)
    }

    /// Returns what was found for some sequences, in their order.
    ///
    /// # Panics
    /// Where one was not found.
    pub fn latents(&self, sequences: &[u64]) -> LatentFile {
        let row = |sequence: &u64| {
            self.sequences.iter().position(|found| found == sequence).expect("all of them were found")
        };
        let rows: Vec<usize> = sequences.iter().map(row).collect();
        let ws: Vec<&Tensor> = rows.iter().map(|&row| &self.ws[row]).collect();
        let noise: Vec<LayerNoise> = rows.iter().map(|&row| self.noise[row].handles()).collect();
        LatentFile {
            ws: Tensor::cat(&ws, 0),
            noise: Some(Noise::Maps(LayerNoise::cat(&noise))),
            checkpoint: Some(self.checkpoint.clone()),
            origin: Some(Origin { key: self.key.clone(), sequences: sequences.to_vec() }),
        }
    }
}
