//! `generate sweep`: the same sequences at several values of truncation psi, to choose one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use serde_json::{Value, json};
use tch::Tensor;

use super::plate::{
    LatentArgs, Making, PlateArgs, SamplingFlags, Setup, dry_run, expect_alike, fields, noted,
};
use crate::generation::GenerationSettings;
use crate::generation::latent::Truncation;
use crate::generation::picks::Picks;
use crate::generation::scenes::GivenScenes;
use crate::generation::sweep::{Psis, Spread, evenly, swd};
use crate::transfer::download;
use lapsegan_core::cli::preview;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::plate::Plate;
use lapsegan_core::report::{Panel, grid};

/// Sequences of each psi on the sheet.
const SHOWN: usize = 6;

/// Most sequences of each psi: all of them are kept in memory.
const MOST: usize = 4096;

/// Show the same sequences at several values of truncation psi
///
/// Writes a plate with the sequences of the first psi, then those of the next, and contact_sheet.png inside it with a
/// row per psi. The result has for each psi how much the sequences differ from each other (spread: standard deviation
/// over sequences, mean over pixels, in the calibrated range) and, with --real, how far their textures are from those of
/// real sequences (sliced Wasserstein distance): small psi looks cleaner and varies less.
#[derive(Args, Debug)]
pub(super) struct SweepArgs {
    #[command(flatten)]
    plate: PlateArgs,

    #[command(flatten)]
    latents: LatentArgs,

    /// Plate of real sequences to compare with
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    real: Option<PathBuf>,

    /// Values to try, as in 0.5,0.7,1
    #[arg(long, value_name = "LIST", default_value = "0.25,0.5,0.7,0.85,1", help_heading = "Sweep")]
    psi: Psis,

    /// Sequences of each value, by number, as in 0-63
    #[arg(long, value_name = "LIST", default_value = "0-31", help_heading = "Sweep")]
    sequences: Picks,

    #[command(flatten)]
    sampling: SamplingFlags,

    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  generate sweep --checkpoint run --real real.ome.zarr --output sweep.ome.zarr
  generate sweep --checkpoint run --output sweep.ome.zarr --psi 0.5,0.7,1 --sequences 0-63 --truncation-cutoff 4";

/// Runs the command.
pub(super) fn execute(args: &SweepArgs) -> Outcome {
    let common = &args.common;
    let (n, psis) = (args.sequences.0.len(), &args.psi.0);
    let count = n * psis.len();
    if !(2..=MOST).contains(&n) {
        return Err(Failure::usage(
            format!("--sequences: {n} of them, expected 2 to {MOST}"),
            "a few dozen show how much sequences vary",
        ));
    }
    let slow = args.sampling.allow_slow_bfloat16;
    let reads = args.real.as_deref();
    let mut setup =
        Setup::new(&GenerationSettings::standard(), &args.plate, &args.sampling, slow, common, |files| {
            match reads {
                Some(real) => args.latents.add(files).reads("--real", real),
                None => args.latents.add(files),
            }
        })?;
    if setup.settings.truncation_psi != 1.0 {
        return Err(Failure::usage("--truncation-psi: a sweep has several", "name them as --psi 0.5,0.7,1"));
    }
    setup.settings.count = count as u64;
    let real = args.real.as_deref().map(Plate::open).transpose()?;
    let data = &setup.checkpoint.manifest.data;
    if let Some(real) = &real {
        expect_alike(real, data)?;
        setup.record.input("real", &real.path)?;
    }
    let latents = setup.latents(&args.latents)?;
    let words: Vec<String> = args.sequences.0.iter().map(ToString::to_string).collect();
    let mode = json!({ "sweep": { "psi": psis, "sequences": words } });
    setup.request(common.seed, None).labels()?;
    if common.dry_run {
        return Ok(dry_run(&setup, &args.plate.output, count, fields(mode)));
    }
    setup.warn_of_no_labels(common)?;
    setup.record.input("checkpoint", &setup.checkpoint.path)?;
    let generation = setup.request(common.seed, None).open(setup.device)?;
    let latents = args.latents.latents.as_deref().zip(latents);
    let chosen = args.sequences.find(generation.sampler(), common.seed, latents)?;
    let mean = download(generation.sampler().w_avg());
    let cutoff = setup.settings.truncation_cutoff;
    let pulled: Vec<Tensor> =
        psis.iter().map(|&psi| Truncation { psi, cutoff }.apply(&chosen.ws, &mean)).collect();
    let rows: Vec<u64> = psis.iter().flat_map(|_| 0..n as u64).collect();
    let names = psis
        .iter()
        .flat_map(|psi| chosen.names.iter().map(move |name| format!("psi {psi}, {name}")))
        .collect::<Vec<String>>();
    let scenes = GivenScenes::new(&Tensor::cat(&pulled, 0), chosen.noise.select(&rows));
    let generation = generation.drawing(scenes, names.clone());

    let list = psis.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let note = format!("truncation_psi {list}");
    let making = Making::begin(&args.plate, common, noted(&generation, note), count)?;
    let (panels, images) = (Mutex::new(BTreeMap::new()), Mutex::new(BTreeMap::new()));
    making.write_all(&generation, &|index, sequence| {
        let index = index as usize;
        if index % n < SHOWN {
            let panel = preview::panel(names[index].clone(), &making.meta, sequence);
            panels.lock().unwrap_or_else(PoisonError::into_inner).insert(index, panel);
        }
        images.lock().unwrap_or_else(PoisonError::into_inner).insert(index, sequence.image.clone());
    })?;
    let images = images.into_inner().unwrap_or_else(PoisonError::into_inner);
    let panels: Vec<Panel> =
        panels.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect();
    if args.latents.save_latents {
        making.keep_latents(&generation.latents(&(0..count as u64).collect::<Vec<_>>()))?;
    }
    let of_psi = |k: usize| images.range(k * n..(k + 1) * n).map(|(_, image)| image);
    let mut table: Vec<Value> = Vec::new();
    for (k, psi) in psis.iter().enumerate() {
        let spread = Spread::of(of_psi(k), &making.meta);
        let distance = match &real {
            Some(real) => Some(swd(real, of_psi(k), common.seed)?),
            None => None,
        };
        table.push(json!({ "psi": psi, "spread": spread.by_channel(), "swd_x1e3": distance }));
    }
    let spread_of_real = match &real {
        Some(real) => Some(json!(Spread::of(evenly(real, n)?.iter(), &making.meta).by_channel())),
        None => None,
    };
    let result = json!({ "by_psi": table, "spread_of_real": spread_of_real });
    making.finish(&setup, &grid(&panels, n.min(SHOWN)), &generation, fields(mode), fields(result))
}
