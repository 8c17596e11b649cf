//! `generate mix`: styles of some sequences crossed with those of others, as a plate and a grid with headers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use clap::Args;
use ndarray::Array4;
use serde_json::json;

use super::plate::{LatentArgs, Making, PlateArgs, SamplingFlags, Setup, dry_run, fields, noted};
use crate::generation::GenerationSettings;
use crate::generation::latents::LatentShape;
use crate::generation::mix::{self, Slots};
use crate::generation::picks::Picks;
use crate::generation::scenes::GivenScenes;
use lapsegan_core::cli::preview;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::report::{Panel, grid};

/// Most sequences of a grid.
const MOST: usize = 10_000;

/// Cross the styles of some sequences with those of others
///
/// The grid has the sequences of --rows on its left and those of --columns above. Each cell is its row's sequence with the
/// styles of its column in the slots of --layers: coarse slots decide what lies where, fine ones how it looks. The plate
/// holds the rows, then the columns, then the cells row by row; contact_sheet.png inside it is the grid.
#[derive(Args, Debug)]
pub(super) struct MixArgs {
    #[command(flatten)]
    plate: PlateArgs,

    #[command(flatten)]
    latents: LatentArgs,

    /// Sequences on the left, by number: 0,4,8-11; SEED:NUMBER for another seed
    #[arg(long, value_name = "LIST", help_heading = "Mix")]
    rows: Picks,

    /// Sequences above, whose styles are taken at --layers
    #[arg(long, value_name = "LIST", help_heading = "Mix")]
    columns: Picks,

    /// Style slots to take from the columns, as in 0-3 or 4,6; 0 is the coarsest
    #[arg(long, value_name = "LIST", help_heading = "Mix")]
    layers: Slots,

    #[command(flatten)]
    sampling: SamplingFlags,

    #[command(flatten)]
    pub(super) common: Common,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  generate mix --checkpoint run --output mix.ome.zarr --rows 0-3 --columns 7,12,19 --layers 0-3
  generate mix --checkpoint run --latents kept.ome.zarr --output mix.ome.zarr --rows 4 --columns 0-9 --layers 5-7";

/// Runs the command.
pub(super) fn execute(args: &MixArgs) -> Outcome {
    let common = &args.common;
    let (rows, columns) = (args.rows.0.len(), args.columns.0.len());
    let count = rows + columns + rows * columns;
    if count > MOST {
        return Err(Failure::usage(
            format!("--rows and --columns: a grid of {rows} by {columns}, expected {MOST} sequences at most"),
            "cross fewer sequences at a time",
        ));
    }
    let slow = args.sampling.allow_slow_bfloat16;
    let mut setup =
        Setup::new(&GenerationSettings::standard(), &args.plate, &args.sampling, slow, common, |files| {
            args.latents.add(files)
        })?;
    setup.settings.count = count as u64;
    args.layers.check(LatentShape::of(&setup.checkpoint.manifest.config.model).slots)?;
    let latents = setup.latents(&args.latents)?;
    let words = |picks: &Picks| picks.0.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mode = json!({ "mix": {
        "rows": words(&args.rows),
        "columns": words(&args.columns),
        "layers": args.layers.0,
    }});
    setup.request(common.seed, None).labels()?;
    if common.dry_run {
        return Ok(dry_run(&setup, &args.plate.output, count, fields(mode)));
    }
    setup.warn_of_no_labels(common)?;
    setup.record.input("checkpoint", &setup.checkpoint.path)?;
    let generation = setup.request(common.seed, None).open(setup.device)?;
    let latents = args.latents.latents.as_deref().zip(latents);
    let both = Picks(args.rows.0.iter().chain(&args.columns.0).copied().collect());
    let sources = both.find(generation.sampler(), common.seed, latents)?;
    let mixed = mix::cross(&sources, rows, &args.layers);
    let names = mixed.names.clone();
    let generation = generation.drawing(GivenScenes::new(&mixed.ws, mixed.noise), names.clone());

    let note = format!("styles of slots {} of the columns on the rows", args.layers);
    let making = Making::begin(&args.plate, common, noted(&generation, note), count)?;
    let panels = Mutex::new(BTreeMap::new());
    making.write_all(&generation, &|index, sequence| {
        let caption = names[index as usize].replace("sequence ", "");
        let panel = preview::panel(caption, &making.meta, sequence);
        panels.lock().unwrap_or_else(PoisonError::into_inner).insert(index as usize, panel);
    })?;
    let panels = panels.into_inner().unwrap_or_else(PoisonError::into_inner);
    if args.latents.save_latents {
        making.keep_latents(&generation.latents(&(0..count as u64).collect::<Vec<_>>()))?;
    }
    let corner = Panel {
        planes: Array4::zeros((0, 0, 0, 0)),
        colors: Vec::new(),
        outline: None,
        caption: format!("slots {}", args.layers),
    };
    // The corner and the columns, then each row behind its header.
    let mut cells = vec![corner];
    cells.extend((0..columns).map(|column| panels[&(rows + column)].clone()));
    for row in 0..rows {
        cells.push(panels[&row].clone());
        let first = rows + columns + row * columns;
        cells.extend((first..first + columns).map(|cell| panels[&cell].clone()));
    }
    making.finish(&setup, &grid(&cells, columns + 1), &generation, fields(mode), fields(json!({})))
}
