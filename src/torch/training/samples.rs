//! Sample grids. Every tick shows the same latents, so that a viewer sees how the sequences change over the run.

use std::path::{Path, PathBuf};

use crate::transfer::{download, upload};
use ndarray::Array4;
use tch::{Device, Tensor};

use super::TrainingError;
use crate::model::Generator;
use crate::tensor_rng::randn;
use lapsegan_core::error::DataError;
use lapsegan_core::labels::maps;
use lapsegan_core::output::write_file;
use lapsegan_core::plate::PlateMeta;
use lapsegan_core::report::{Panel, overview};
use lapsegan_core::seed::Stream;

/// Sequences on a grid.
const SHOWN: i64 = 16;
/// Sequences that are generated, and looked at by [`super::health`]. Those on the grid are the first ones.
const COUNT: i64 = 64;
/// Sequences that are generated at a time.
const PART: i64 = 4;

/// Returns where the grid of a tick is.
pub fn path(run: &Path, kimg: f64) -> PathBuf {
    run.join("samples").join(format!("kimg_{kimg:010.3}.png"))
}

/// Renders the grid of a generator with its stored noise, writes it as PNG and returns the sequences.
/// `[N, C, T, H, W]`
pub fn write(
    path: &Path,
    generator: &Generator,
    data: &PlateMeta,
    run_seed: u64,
    device: Device,
) -> Result<Tensor, TrainingError> {
    let z = upload(&randn(Stream::SampleGrid, &[run_seed], &[COUNT, generator.latent_size()]), device);
    // Only a few are generated at a time, since at 256 px the whole grid would take more memory than a training step.
    let part = |z: &Tensor| {
        let ws = generator.broadcast(&generator.map(z));
        download(&generator.synthesise(&ws, &mut generator.fixed_noise()))
    };
    let images =
        tch::no_grad(|| Tensor::cat(&z.split(PART, 0).iter().map(part).collect::<Vec<_>>(), 0).contiguous());
    let channels = images.size()[1] as usize;
    let colors = data.channels.iter().map(|c| c.color).chain(std::iter::repeat(maps::COLOR));
    let colors: Vec<[u8; 3]> = colors.take(channels).collect();
    let shape = (channels, data.frames, data.height, data.width);
    let panels: Vec<Panel> = (0..SHOWN)
        .map(|i| {
            let values: Vec<f32> = Vec::try_from(images.get(i).flatten(0, -1)).unwrap_or_default();
            let planes = Array4::from_shape_vec(shape, values).unwrap_or_else(|_| Array4::zeros(shape));
            Panel { planes, colors: colors.clone(), outline: None, caption: String::new() }
        })
        .collect();
    let png = overview(&panels).to_png_bytes().map_err(std::io::Error::other).map_err(DataError::io(path))?;
    write_file(path, &png)?;
    Ok(images)
}
