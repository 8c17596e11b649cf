//! Joining the parts of a run that several jobs shared into the plate of the whole run.
//!
//! Pixels are not touched: the wells of a part have the names and the bytes of the whole run, so their files are
//! linked.

use std::path::PathBuf;

use rayon::prelude::*;

use super::ome_zarr;
use super::{Part, Plate, PlateMeta, PlateWriter};
use crate::error::DataError;
use crate::json_diff::differences;
use crate::output::Taken;
use crate::side_file;

/// Missing parts that are listed before it is said how many more there are.
const LISTED: usize = 10;

/// All parts of one run, in order.
#[derive(Debug)]
pub struct Parts {
    /// Metadata of the whole plate.
    pub meta: PlateMeta,
    /// The parts in their order.
    pub plates: Vec<Plate>,
    /// Warnings to show to the user.
    pub warnings: Vec<String>,
}

impl Parts {
    /// Opens parts, given in any order, and checks that together they are the whole run.
    ///
    /// # Errors
    /// What [`Plate::open`] says, and [`DataError::Parts`] for a plate that is no part, for parts of different runs,
    /// and for parts that are missing, given twice, or overlap; all of them are named.
    pub fn open(paths: &[PathBuf]) -> Result<Self, DataError> {
        let mut plates: Vec<Plate> = paths.iter().map(|path| Plate::open(path)).collect::<Result<_, _>>()?;
        for plate in &plates {
            check_part(plate)?;
        }
        let name = |plate: &Plate| plate.path.display().to_string();
        for other in &plates[1..] {
            let fields = differences(&shared(&plates[0]), &shared(other));
            if !fields.is_empty() {
                return Err(DataError::Parts {
                    found: format!(
                        "{} and {} are parts of different runs: {}",
                        name(&plates[0]),
                        name(other),
                        fields.join("; ")
                    ),
                    hint: "generate all parts with one checkpoint, seed and settings; --shard alone differs",
                });
            }
        }
        plates.sort_by_key(|plate| part(plate).index);
        for pair in plates.windows(2) {
            if part(&pair[0]).index == part(&pair[1]).index {
                let Part { index, of, .. } = part(&pair[0]);
                return Err(DataError::Parts {
                    found: format!(
                        "part {index} of {of} is given twice: {} and {}",
                        name(&pair[0]),
                        name(&pair[1])
                    ),
                    hint: "name every part once",
                });
            }
        }
        refuse_missing(&plates)?;
        let mut next = 0;
        for plate in &plates {
            let Part { index, of, first, count, .. } = part(plate);
            if *first != next {
                return Err(DataError::Parts {
                    found: format!(
                        "{}: part {index} of {of} begins with sequence {first}, the part before ends before {next}",
                        name(plate)
                    ),
                    hint: "generate this part again",
                });
            }
            next = first + count;
        }
        let meta = PlateMeta { part: None, ..plates[0].meta.clone() };
        let warnings = warnings(&plates);
        Ok(Self { meta, plates, warnings })
    }

    /// Returns the number of sequences of the whole.
    pub fn sequences(&self) -> usize {
        part(&self.plates[0]).sequences
    }

    /// Adds the sequences of all parts to a plate; `on_part` is called after each part.
    ///
    /// # Errors
    /// [`DataError::Io`] with the file.
    pub fn write(&self, writer: &PlateWriter, on_part: &(dyn Fn() + Sync)) -> Result<Taken, DataError> {
        let mut all = Taken::default();
        for plate in &self.plates {
            let Part { first, count, .. } = part(plate);
            let taken: Vec<Taken> = (*first..first + count)
                .into_par_iter()
                .map(|index| writer.adopt(index, &plate.path))
                .collect::<Result<_, _>>()?;
            all.linked += taken.iter().map(|t| t.linked).sum::<u64>();
            all.copied += taken.iter().map(|t| t.copied).sum::<u64>();
            on_part();
        }
        Ok(all)
    }

    /// Returns the plate and the place in it of sequence `index` of the whole.
    pub fn place(&self, index: usize) -> Option<(&Plate, usize)> {
        let plate =
            self.plates.iter().find(|p| (part(p).first..part(p).first + part(p).count).contains(&index))?;
        Some((plate, index - part(plate).first))
    }
}

/// Returns which part of the run a plate is; [`check_part`] was called before.
fn part(plate: &Plate) -> &Part {
    plate.meta.part.as_ref().expect("every plate was checked to be a part")
}

/// Checks that a plate is a part of a run and holds the sequences that its metadata names.
fn check_part(plate: &Plate) -> Result<(), DataError> {
    let Some(part) = &plate.meta.part else {
        return Err(DataError::Parts {
            found: format!("{}: is a whole plate, expected a part of one", plate.path.display()),
            hint: "merge joins the plates of `generate --shard I/N`",
        });
    };
    let Part { index, of, sequences, first, count, .. } = *part;
    let expected = || (first..first.saturating_add(count)).map(|i| ome_zarr::well_path(i, sequences));
    // These numbers come from a file: they are checked before memory is reserved for as many sequences.
    let fits =
        (1..=of).contains(&index) && count == plate.wells.len() && first.saturating_add(count) <= sequences;
    if !fits || !expected().eq(plate.wells.iter().map(|(well, _)| well.clone())) {
        return Err(DataError::Metadata {
            path: plate.path.join("zarr.json"),
            field: "lapsegan.part".into(),
            found: format!(
                "part {index} of {of} with sequences {first} to {} of {sequences} does not fit its {} wells",
                first.saturating_add(count),
                plate.wells.len()
            ),
        });
    }
    Ok(())
}

/// Returns the metadata that must be equal in all parts.
fn shared(plate: &Plate) -> PlateMeta {
    let mut meta = plate.meta.clone();
    // Notes may differ. The checkpoint's digest is compared as one of the settings.
    meta.notes = Vec::new();
    if let Some(part) = &mut meta.part {
        (part.index, part.first, part.count) = (0, 0, 0);
        part.label_settings = serde_json::Value::Null;
    }
    meta
}

fn refuse_missing(plates: &[Plate]) -> Result<(), DataError> {
    let Part { of, sequences, .. } = part(&plates[0]);
    let there = |index: usize| plates.binary_search_by_key(&index, |plate| part(plate).index).is_ok();
    let missing: Vec<usize> = (1..=*of).filter(|&index| !there(index)).collect();
    if missing.is_empty() {
        let ends_at = plates.last().map_or(0, |plate| part(plate).first + part(plate).count);
        if ends_at == *sequences {
            return Ok(());
        }
        return Err(DataError::Parts {
            found: format!("the last part ends before sequence {ends_at}, the run has {sequences}"),
            hint: "generate the last part again",
        });
    }
    let shown: Vec<String> = missing.iter().take(LISTED).map(ToString::to_string).collect();
    let more =
        if missing.len() > LISTED { format!(" and {} more", missing.len() - LISTED) } else { String::new() };
    Err(DataError::Parts {
        found: format!("of {of} parts {} are missing: {}{more}", missing.len(), shown.join(", ")),
        hint: "name the plates of all parts; generate those that are missing with --shard",
    })
}

fn warnings(plates: &[Plate]) -> Vec<String> {
    let first = &plates[0];
    let other = |differs: &dyn Fn(&Plate) -> bool| plates.iter().find(|plate| differs(plate));
    let labels = |plate: &Plate| part(plate).label_settings.clone();
    let differ = other(&|plate| labels(plate) != labels(first)).map(|plate| {
        format!(
            "{} and {} were labelled with thresholds that differ in rounding: the bytes are not quite those of one run",
            first.path.display(),
            plate.path.display()
        )
    });
    let count = threads(first);
    let threads = other(&|plate| threads(plate) != count).map(|plate| {
        let words = |plate: &Plate| threads(plate).map_or_else(|| "an unknown number of".into(), |n| n.to_string());
        format!(
            "{} was made with {} threads, {} with {}: the last bits of sequences may differ from those of one run; hint: \
             give all parts the same --threads",
            first.path.display(),
            words(first),
            plate.path.display(),
            words(plate)
        )
    });
    [differ, threads].into_iter().flatten().collect()
}

/// Returns how many threads a part was made with, as its `run.json` says; `None` without one.
fn threads(plate: &Plate) -> Option<u64> {
    let bytes = side_file::read(&plate.path.join("run.json"), side_file::METADATA).ok()?;
    serde_json::from_slice::<serde_json::Value>(&bytes).ok()?.get("threads")?.as_u64()
}
