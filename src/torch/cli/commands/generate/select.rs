//! `generate --where` and `--balance`: draws sequences until enough of them are what is wanted.

use clap::Args;
use serde_json::json;

use super::plate::{Making, PlateArgs, Setup, fields, noted};
use crate::generation::GenerationError;
use crate::generation::keep::{Condition, Kinds, PILOT, Quantity, Wanted};
use crate::generation::run::Generation;
use lapsegan_core::cli::preview::{self, SHEET_SEQUENCES};
use lapsegan_core::cli::progress::Progress;
use lapsegan_core::cli::words::words;
use lapsegan_core::cli::{Common, Failure, Outcome};
use lapsegan_core::plate::PlateMeta;
use lapsegan_core::report::overview;

/// Draws for each sequence that is wanted, where nothing else is said.
const DRAWS_EACH: u64 = 100;

/// What sequences must show to be kept.
#[derive(Args, Debug)]
pub(super) struct SelectArgs {
    /// Keep only sequences whose labels are so, as in objects>=3, area<0.2, fluorescence>300; repeatable, all must hold
    ///
    /// objects: tracked objects of the sequence. area: share of pixels that are labelled. fluorescence: mean counts inside
    /// of objects, in the last channel of fluorescence.
    #[arg(long = "where", value_name = "CONDITION", help_heading = "Selection", conflicts_with = "latents")]
    conditions: Vec<Condition>,

    /// Keep equally many sequences of each kind
    ///
    /// Kinds are the numbers of objects, or five ranges of a quantity that is no number, which at least 2 in 100 of the
    /// first sequences show.
    #[arg(long, value_name = "QUANTITY", value_parser = words(&Quantity::WORDS), help_heading = "Selection", conflicts_with = "latents")]
    balance: Option<String>,

    /// Give up after so many draws, with exit code 65 and without a plate [default: 100 times --count]
    #[arg(long, value_name = "N", help_heading = "Selection", value_parser = clap::value_parser!(u64).range(1..))]
    most_draws: Option<u64>,
}

impl SelectArgs {
    /// Returns whether anything is asked of the sequences.
    pub(super) fn is_given(&self) -> bool {
        !self.conditions.is_empty() || self.balance.is_some()
    }

    /// Refuses a limit of draws where all of them are kept.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.most_draws {
            Some(most) if !self.is_given() => Err(Failure::usage(
                format!("--most-draws {most}: every sequence is kept"),
                "say what to keep with --where or --balance",
            )),
            _ => Ok(()),
        }
    }

    /// Checks that what is asked for can be told.
    pub(super) fn wanted(&self, plate: &PlateMeta) -> Result<Wanted, Failure> {
        let balance = self.balance.as_deref().map(|word| word.parse().expect("one of the words"));
        let wanted = Wanted { conditions: self.conditions.clone(), balance };
        for quantity in wanted.quantities() {
            if let Some(reason) = quantity.missing(plate) {
                return Err(Failure::usage(
                    format!("--where or --balance {}: {reason}", quantity.word()),
                    "ask for labels with --label-route and --label-channel, or for another quantity",
                ));
            }
        }
        Ok(wanted)
    }
}

/// Draws, keeps, and writes the plate.
pub(super) fn execute(
    args: &SelectArgs,
    (plate, save_latents): (&PlateArgs, bool),
    common: &Common,
    setup: &Setup,
    mut generation: Generation,
) -> Outcome {
    let count = setup.settings.count;
    let most = args.most_draws.unwrap_or(count.saturating_mul(DRAWS_EACH));
    if most < count {
        return Err(Failure::usage(
            format!("--most-draws {most}: fewer than the {count} sequences of --count"),
            "draw at least as many as are to be kept",
        ));
    }
    let meta = generation.plate_meta();
    let wanted = args.wanted(&meta)?;
    let words = wanted.words();
    let mut kinds = match wanted.balance {
        Some(quantity) => Some(kinds_of(quantity, &wanted, &meta, &mut generation, PILOT.min(most), count)?),
        None => None,
    };
    let making =
        Making::begin(plate, common, noted(&generation, format!("kept where {words}")), count as usize)?;
    let bar = Progress::new("keeping sequences", count, common.quiet);
    let (mut drawn, mut kept, mut panels) = (0, Vec::new(), Vec::new());
    generation.each_until(&mut |index, sequence| {
        drawn += 1;
        let take = wanted.holds(&meta, &sequence)
            && match (&mut kinds, wanted.balance) {
                (Some(kinds), Some(quantity)) => kinds.take(quantity.of(&meta, &sequence)),
                _ => true,
            };
        if take {
            let well = kept.len();
            making.write(well as u64, &sequence)?;
            if well < SHEET_SEQUENCES {
                panels.push(preview::panel(format!("{well}: draw {index}"), &making.meta, &sequence));
            }
            kept.push(index);
            bar.step();
        }
        Ok::<bool, Failure>((kept.len() as u64) < count && drawn < most)
    })?;
    if (kept.len() as u64) < count {
        let rarest = kinds.map_or_else(String::new, |kinds| format!(" ({})", kinds.rarest()));
        let kept = kept.len() as u64;
        return Err(GenerationError::GaveUp { drawn, kept, count, wanted: words, rarest }.into());
    }
    bar.finish();
    if save_latents {
        making.keep_latents(&generation.latents(&kept))?;
    }
    let selection = json!({ "selection": {
        "wanted": words,
        "drawn": drawn,
        "kept": kept.len(),
        "kinds": kinds.map(|kinds| kinds.to_json()),
        "draws": kept,
    }});
    let asked = json!({ "selection": {
        "where": wanted.conditions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "balance": wanted.balance.map(Quantity::word),
        "most_draws": most,
    }});
    making.finish(setup, &overview(&panels), &generation, fields(asked), fields(selection))
}

/// Draws a pilot and finds the kinds in it.
fn kinds_of(
    quantity: Quantity,
    wanted: &Wanted,
    meta: &PlateMeta,
    generation: &mut Generation,
    pilot: u64,
    count: u64,
) -> Result<Kinds, Failure> {
    let (mut drawn, mut values) = (0, Vec::new());
    generation.each_until(&mut |_, sequence| {
        drawn += 1;
        if wanted.holds(meta, &sequence) {
            values.push(quantity.of(meta, &sequence));
        }
        Ok::<bool, Failure>(drawn < pilot)
    })?;
    Kinds::new(quantity, &values, count).ok_or_else(|| {
        let wanted = wanted.words();
        GenerationError::GaveUp { drawn, kept: 0, count, wanted, rarest: String::new() }.into()
    })
}
