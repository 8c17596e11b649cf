//! `generate project`: what of real sequences the generator can show, and what it cannot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use ndarray::Array4;
use serde_json::{Value, json};
use tch::Tensor;

use super::plate::{Making, PlateArgs, SamplingFlags, Setup, dry_run, expect_alike, fields, noted};
use crate::generation::GenerationSettings;
use crate::generation::found::Found;
use crate::generation::latents::{LatentShape, Noise};
use crate::generation::picks::Picks;
use crate::generation::project::{ProjectionSettings, Targets, project};
use crate::generation::residual::{Residual, variances};
use crate::generation::run::Generation;
use crate::generation::scenes::GivenScenes;
use lapsegan_core::cli::preview;
use lapsegan_core::cli::progress::Progress;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::error::DataError;
use lapsegan_core::output::{OutputKind, write_file};
use lapsegan_core::plate::axes::channels_first;
use lapsegan_core::plate::{Origin, Plate, PlateMeta, Sequence, Split};
use lapsegan_core::report::{Panel, grid};

/// Name of the table in the plate.
const TABLE: &str = "projection.json";
/// Pairs on the contact sheet, and sequences in the result.
const SHOWN: usize = 12;
/// Sequences where nothing else is said.
const SEQUENCES: usize = 16;
/// Most sequences: all of them are kept in memory.
const MOST: usize = 10_000;
/// Sequences at a time.
const BATCH: u64 = 8;

/// Find latents that show real sequences, as well as the generator can
///
/// Moves one latent per style slot and the noise of the layers until the generator's images are as close to real ones
/// as they get. Writes a plate of these images, with latents.safetensors, projection.json (errors of every sequence, worst
/// first) and contact_sheet.png (real beside projected, worst first) inside it. The residual is the mean squared error in
/// units of the channel's variance, mean over channels: 0 is the same image, 1 no better than a grey one. Projections of
/// held-out sequences are no data to train on: the plate says that it shows their split groups.
#[derive(Args, Debug)]
pub(super) struct ProjectArgs {
    /// Plate of real sequences
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    real: PathBuf,

    #[command(flatten)]
    plate: PlateArgs,

    /// Sequences of the real plate, by number: 0,4,8-11 [default: 16 of its test split, or of all where it has none]
    #[arg(long, value_name = "LIST", help_heading = "Projection")]
    sequences: Option<Picks>,

    /// Steps of the optimiser
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Projection", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: u64,

    /// Its largest learning rate
    #[arg(long, value_name = "RATE", default_value_t = 0.1, help_heading = "Projection")]
    learning_rate: f64,

    /// File that keeps what is found so far, after every batch; a run with the same file goes on with it
    #[arg(long, value_name = "FILE", help_heading = "Projection")]
    resume: Option<PathBuf>,

    #[command(flatten)]
    sampling: SamplingFlags,

    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  generate project --checkpoint run --real real.ome.zarr --output projected.ome.zarr
  generate project --checkpoint run --real real.ome.zarr --sequences 40-103 --resume found.safetensors --output projected.ome.zarr";

/// Runs the command.
pub(super) fn execute(args: &ProjectArgs) -> Outcome {
    let common = &args.common;
    if !(args.learning_rate > 0.0 && args.learning_rate <= 10.0) {
        return Err(Failure::usage(
            format!("--learning-rate {}: expected more than 0, at most 10", args.learning_rate),
            "0.1 is a common choice",
        ));
    }
    let base = GenerationSettings { batch: BATCH, ..GenerationSettings::standard() };
    let slow = args.sampling.allow_slow_bfloat16;
    let mut setup = Setup::new(&base, &args.plate, &args.sampling, slow, common, |files| {
        files.reads("--real", &args.real).goes_on_with(
            "--resume",
            args.resume.as_deref(),
            OutputKind::Latents,
        )
    })?;
    if setup.settings.truncation_psi != 1.0 {
        return Err(Failure::usage(
            "--truncation-psi: latents that were found are not truncated",
            "leave it out; generate --latents PLATE --truncation-psi PSI shows them truncated",
        ));
    }
    let real = Plate::open(&args.real)?;
    expect_alike(&real, &setup.checkpoint.manifest.data)?;
    let indices = indices(args.sequences.as_ref(), &real)?;
    let settings = ProjectionSettings { steps: args.steps, learning_rate: args.learning_rate };
    setup.settings.count = indices.len() as u64;
    let mode = json!({ "projection": { "sequences": indices, "settings": settings } });
    setup.request(common.seed, None).labels()?;
    if common.dry_run {
        return Ok(dry_run(&setup, &args.plate.output, indices.len(), fields(mode)));
    }
    setup.record.input("real", &args.real)?;
    setup.record.input("checkpoint", &setup.checkpoint.path)?;
    let manifest = &setup.checkpoint.manifest;
    let key = format!(
        "plate {}, seed {}, {} steps at {}",
        setup.record.sha256("real"),
        common.seed,
        settings.steps,
        settings.learning_rate
    );
    let shape = LatentShape::of(&manifest.config.model);
    let mut found = match args.resume.as_deref().filter(|path| path.exists()) {
        Some(path) => Found::read(path, shape, &manifest.tensors_sha256, key)?,
        None => Found::new(&manifest.tensors_sha256, key),
    };
    let generation = setup.request(common.seed, None).open(setup.device)?;
    let sequences: Vec<Sequence> =
        indices.iter().map(|&index| real.read(index as usize)).collect::<Result<_, DataError>>()?;
    let spread = variances(&real, &manifest.data)?;
    let resumed = found.len();
    search(args, &setup, &generation, &indices, &sequences, &spread, settings, &mut found)?;

    let latents = found.latents(&indices);
    let noise = latents.noise.as_ref().map(Noise::handles).expect("noise was found with them");
    let scenes = GivenScenes::new(&latents.ws, noise);
    let names = indices.iter().map(|index| format!("projection of sequence {index}")).collect();
    let generation = generation.drawing(scenes, names);
    let mut meta = noted(&generation, format!("projections of sequences of {}", real.path.display()));
    show_history(&mut meta, &real, &sequences);
    let making = Making::begin(&args.plate, common, meta, indices.len())?;
    let rows = Mutex::new(BTreeMap::new());
    making.write_all(&generation, &|index, projected| {
        let i = index as usize;
        let residual = Residual::of(&sequences[i], projected, &manifest.data, &spread, common.seed);
        let caption = |what: &str| format!("{}: {what}", indices[i]);
        let shown = [
            panel(caption("real"), &real.meta, &sequences[i], &manifest.data),
            preview::panel(caption(&format!("residual {:.3}", residual.mean())), &making.meta, projected),
        ];
        rows.lock().unwrap_or_else(PoisonError::into_inner).insert(i, (residual, shown));
    })?;
    making.keep_latents(&latents)?;
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut worst: Vec<usize> = rows.keys().copied().collect();
    worst.sort_by(|a, b| rows[b].0.mean().total_cmp(&rows[a].0.mean()));
    let table: Vec<Value> = worst
        .iter()
        .map(|&i| {
            let mut row = json!({ "sequence": indices[i], "well": i, "source": sequences[i].meta.source });
            super::plate::extend(&mut row, fields(rows[&i].0.to_json(&manifest.data)));
            row
        })
        .collect();
    let panels: Vec<Panel> = worst.iter().take(SHOWN).flat_map(|i| rows[i].1.iter().cloned()).collect();
    let path = making.writer.folder().join(TABLE);
    let text = format!("{:#}\n", json!({ "sequences": table }));
    write_file(&path, text.as_bytes())?;
    let mean = rows.values().map(|(residual, _)| residual.mean()).sum::<f64>() / rows.len() as f64;
    let result = json!({ "projection": {
        "mean_residual": mean,
        "worst": table.iter().take(SHOWN).collect::<Vec<_>>(),
        "taken_over": resumed,
        "table": args.plate.output.join(TABLE),
    }});
    making.finish(&setup, &grid(&panels, 4.min(panels.len())), &generation, fields(mode), fields(result))
}

/// Returns the numbers of the sequences to project.
fn indices(picks: Option<&Picks>, real: &Plate) -> Result<Vec<u64>, Failure> {
    let n = real.wells.len() as u64;
    let Some(picks) = picks else {
        let test = real.indices(Split::Test);
        let all = if test.is_empty() { (0..real.wells.len()).collect() } else { test };
        let count = all.len().min(SEQUENCES);
        return Ok((0..count).map(|i| all[i * all.len() / count] as u64).collect());
    };
    if let Some(pick) = picks.0.iter().find(|pick| pick.index >= n || pick.seed.is_some()) {
        return Err(Failure::usage(
            format!("--sequences {pick}: {} holds sequences 0 to {}", real.path.display(), n - 1),
            "name sequences of the real plate by their number, from 0",
        ));
    }
    let mut indices: Vec<u64> = picks.0.iter().map(|pick| pick.index).collect();
    indices.sort_unstable();
    indices.dedup();
    if indices.len() > MOST {
        return Err(Failure::usage(
            format!("--sequences: {} of them, expected {MOST} at most", indices.len()),
            "project a part at a time",
        ));
    }
    Ok(indices)
}

/// Projects what is not found yet, batch by batch.
#[allow(clippy::too_many_arguments)]
fn search(
    args: &ProjectArgs,
    setup: &Setup,
    generation: &Generation,
    indices: &[u64],
    sequences: &[Sequence],
    variances: &[f64],
    settings: ProjectionSettings,
    found: &mut Found,
) -> Result<(), Failure> {
    let missing: Vec<usize> = (0..indices.len()).filter(|&i| !found.has(indices[i])).collect();
    let batches: Vec<&[usize]> = missing.chunks(setup.settings.batch as usize).collect();
    let bar = Progress::new("projecting, steps", batches.len() as u64 * settings.steps, args.common.quiet);
    let w_std = generation.sampler().w_std();
    for batch in batches {
        let images: Vec<Tensor> = batch
            .iter()
            .map(|&i| tensor(&sequences[i].normalised(&setup.checkpoint.manifest.data)))
            .collect();
        let numbers: Vec<u64> = batch.iter().map(|&i| indices[i]).collect();
        let images = Tensor::stack(&images, 0);
        let targets = Targets { images: &images, variances, indices: &numbers };
        let projection =
            project(generation.sampler(), &targets, w_std, settings, args.common.seed, &mut || bar.step());
        found.add(&numbers, projection);
        if let Some(path) = &args.resume {
            write_file(path, &found.all().to_bytes())?;
        }
    }
    bar.finish();
    Ok(())
}

/// `[T, C, H, W] -> [C, T, H, W]`
fn tensor(sequence: &Array4<f32>) -> Tensor {
    let values = channels_first(sequence.view());
    let shape: Vec<i64> = values.shape().iter().map(|&n| n as i64).collect();
    Tensor::from_slice(&values.iter().copied().collect::<Vec<f32>>()).view(shape.as_slice())
}

/// Returns a real sequence in the range of the generator, so that it is shown as its projection is.
fn panel(caption: String, meta: &PlateMeta, sequence: &Sequence, data: &PlateMeta) -> Panel {
    let shown = preview::panel(caption, meta, sequence);
    Panel { planes: channels_first(sequence.normalised(data).view()), ..shown }
}

/// Says in the plate which real sequences it shows: who is tested on them must not learn from it.
fn show_history(meta: &mut PlateMeta, real: &Plate, sequences: &[Sequence]) {
    if real.meta.origin == Origin::Synthetic {
        meta.inherit_history(&real.meta);
        return;
    }
    for group in real.groups(&[Split::Train, Split::Val, Split::Test]) {
        let shown = sequences.iter().any(|sequence| sequence.meta.split_group == group.name);
        if shown && !meta.trained_on.contains(&group) {
            meta.trained_on.push(group);
        }
    }
}
