//! The latents that a synthetic plate may keep: their file and its tensors by name, and how those of parts are joined.
//!
//! What latents mean is a matter of the generator; here they are rows, one per sequence.

use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::Plate;
use crate::error::DataError;
use crate::side_file;

/// Name of the file in a plate.
pub const IN_PLATE: &str = "latents.safetensors";
/// Latents per sequence and styled layer, `[N, L, Z]`.
pub const LATENTS: &str = "latents";
/// Seed and index behind the noise of each sequence, `[N, 2]`.
pub const NOISE_KEYS: &str = "noise_keys";
/// Numbers of the sequences of a plate that latents were found for, `[N]`.
pub const SEQUENCES: &str = "sequences";
/// Begin of the names of noise maps, domain and layer follow.
pub const NOISE: &str = "noise.";

/// Longest file that is joined.
const MOST_BYTES: u64 = 32 << 30;

/// Joins the latents of plates, row after row, and returns the file; `None` where no plate keeps any.
///
/// # Errors
/// [`DataError::Parts`] where some plates have them and others not, or where their tensors differ; [`DataError`] for a
/// file that cannot be read.
pub fn join(plates: &[Plate]) -> Result<Option<Vec<u8>>, DataError> {
    let paths: Vec<_> = plates.iter().map(|plate| plate.path.join(IN_PLATE)).collect();
    if !paths.iter().any(|path| path.exists()) {
        return Ok(None);
    }
    if let Some(without) = paths.iter().find(|path| !path.exists()) {
        return Err(DataError::Parts {
            found: format!("{} is missing, other parts keep their latents", without.display()),
            hint: "generate all parts with --save-latents, or none of them",
        });
    }
    let files: Vec<Vec<u8>> =
        paths.iter().map(|path| side_file::read(path, MOST_BYTES)).collect::<Result<_, _>>()?;
    let mut tables = Vec::new();
    for (path, file) in paths.iter().zip(&files) {
        tables.push(SafeTensors::deserialize(file).map_err(|e| damaged(path, format!("{e:?}")))?);
    }
    let mut names: Vec<&String> = tables[0].names();
    names.sort_unstable();
    let mut joined: Vec<(&String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let rows = |table: &SafeTensors, name: &str| {
        table.tensor(name).ok().and_then(|found| found.shape().first().copied())
    };
    for name in names {
        // One noise for all sequences is the same in every part.
        let shared =
            name.starts_with(NOISE) && tables.iter().any(|table| rows(table, name) != rows(table, LATENTS));
        let mut all: Option<(Dtype, Vec<usize>, Vec<u8>)> = None;
        for (path, table) in paths.iter().zip(&tables) {
            let part = table.tensor(name).map_err(|e| damaged(path, format!("{name}: {e:?}")))?;
            let Some((dtype, shape, bytes)) = &mut all else {
                all = Some((part.dtype(), part.shape().to_vec(), part.data().to_vec()));
                continue;
            };
            if part.dtype() != *dtype || part.shape().get(1..) != shape.get(1..) || shape.is_empty() {
                return Err(damaged(path, format!("{name} is {:?} {:?}", part.dtype(), part.shape())));
            }
            if shared {
                continue;
            }
            shape[0] += part.shape()[0];
            bytes.extend_from_slice(part.data());
        }
        if let Some((dtype, shape, bytes)) = all {
            joined.push((name, dtype, shape, bytes));
        }
    }
    let views = joined.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.clone(), bytes).expect("rows of equal size"))
    });
    let head = SafeTensors::read_metadata(&files[0]).ok().and_then(|(_, head)| head.metadata().clone());
    Ok(Some(serialize(views, &head).expect("names and views are in order")))
}

fn damaged(path: &Path, found: String) -> DataError {
    DataError::Unusable {
        path: path.to_owned(),
        found,
        expected: "the latents of a part, alike in all parts".into(),
        hint: "generate this part again".into(),
    }
}
