//! What the routes of `prepare` have in common: from an open source to a plate under its final name.
//!
//! Flags and settings are resolved in `bin/prepare.rs`; windows are cut and counts calibrated in [`crate::data`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use super::digest::DigestFlag;
use super::preview;
use super::progress::Progress;
use super::record::Record;
use super::{Common, Failure, Outcome};
use crate::data::assembly::{self, Surveyed};
use crate::data::intensity::Normalise;
use crate::data::output::write_file;
use crate::data::plate::{Channel, Origin, PlateMeta, PlateWriter, Split, display_color};
use crate::data::recording::Folder;
use crate::data::samplesheet::is_plain;
use crate::data::sequence::{self, Cut, Plan};
use crate::data::source::Source;
use crate::report::overview;

/// Name of the contact sheet in the plate.
const PREVIEW: &str = "preview.png";
/// Sequences on it.
const PREVIEW_SEQUENCES: usize = 12;

/// What both routes have in common once their source is open.
pub struct Job<'a> {
    /// Frames.
    pub source: &'a dyn Source,
    /// How windows are cut; its seed is that of the plate.
    pub cut: Cut,
    /// How counts become the networks' range.
    pub normalise: Normalise,
    /// Recording or phantom.
    pub origin: Origin,
    /// How the labels came about.
    pub label_route: Option<String>,
    /// Micrometres, where known.
    pub pixel_size_um: Option<f64>,
    /// Seconds, where known.
    pub frame_interval_s: Option<f64>,
    /// What was done to the input, for people.
    pub notes: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
    /// Final name of the plate.
    pub output: &'a Path,
    /// Where the digest of the plate goes.
    pub digest: &'a DigestFlag,
    /// Flags of every program.
    pub common: &'a Common,
}

/// Plans, surveys and writes; `before_naming` runs when all of the plate is written but not named yet.
pub fn make_plate(
    job: Job<'_>,
    settings: &impl Serialize,
    record: &Record,
    before_naming: impl FnOnce() -> Result<(), Failure>,
) -> Outcome {
    let Job { source, cut, normalise, common, .. } = &job;
    let plan = sequence::plan(&source.extent(), cut)?;
    let mut warnings = job.warnings.clone();
    if plan.single_movie {
        warnings.push("all splits are blocks of one movie: no evidence for a new one".into());
    }
    if !plan.windows.iter().any(|w| w.split == Split::Test) {
        warnings.push("the movie is too short for a test part: all sequences are for training".into());
    }
    if job.output.extension().is_none_or(|e| e != "zarr") {
        warnings.push("--output does not end in .ome.zarr: some programs open it by that ending only".into());
    }
    if common.dry_run {
        let planned = result(&job, &plan, None, &warnings);
        return Ok(
            json!({ "dry_run": true, "settings": settings, "seed": common.seed, "would_write": planned }),
        );
    }
    let surveyed = assembly::survey(*source, &plan, cut, *normalise)?;
    for quality in &surveyed.quality {
        warnings.extend(quality.warnings());
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let channels = source.channels().into_iter().zip(&surveyed.calibrations);
    let meta = PlateMeta {
        tool: "prepare".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        origin: job.origin,
        seed: common.seed,
        frames: cut.frames,
        height: cut.size,
        width: cut.size,
        channels: channels
            .map(|(name, &calibration)| Channel { color: display_color(&name), name, calibration })
            .collect(),
        labels: source.labels(),
        label_route: job.label_route.clone(),
        pixel_size_um: job.pixel_size_um,
        frame_interval_s: job.frame_interval_s,
        single_movie: plan.single_movie,
        normalise: normalise.name().into(),
        trained_on: Vec::new(),
        notes: job.notes.clone(),
        part: None,
    };
    let count = plan.windows.len();
    let writer = PlateWriter::create(job.output, &meta, count, common.overwrite)?;
    let progress = Progress::new("writing sequences", count as u64, common.quiet);
    let shown = count.min(PREVIEW_SEQUENCES);
    let shown: BTreeSet<usize> = (0..shown).map(|i| i * count / shown).collect();
    let panels = Mutex::new(BTreeMap::new());
    let done = AtomicU64::new(0);
    assembly::write(*source, &plan, cut, *normalise, &writer, &|index, sequence| {
        if shown.contains(&index) {
            let caption = format!("{index} {}", sequence.meta.split_group);
            let panel = preview::panel(caption, &meta, sequence);
            panels.lock().unwrap_or_else(PoisonError::into_inner).insert(index, panel);
        }
        progress.set(done.fetch_add(1, Ordering::Relaxed) + 1);
    })?;
    progress.finish();
    let panels: Vec<_> = panels.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect();
    overview(&panels).write_png(&writer.folder().join(PREVIEW))?;
    let result = result(&job, &plan, Some(&surveyed), &warnings);
    let quality = json!({ "channels": surveyed.quality, "warnings": warnings });
    write_file(&writer.folder().join("quality.json"), format!("{quality:#}\n").as_bytes())?;
    record.write(writer.folder(), settings, "cpu", &result)?;
    before_naming()?;
    writer.finish()?;
    job.digest.write(job.output)?;
    Ok(result)
}

/// Checks a flag whose value is a number above 0 where it is given.
pub fn positive(flag: &str, value: Option<f64>) -> Result<(), Failure> {
    match value {
        Some(v) if !(v.is_finite() && v > 0.0) => Err(Failure::usage(
            format!("{flag}: is {v}, expected a number above 0"),
            format!("leave {flag} out where it is not known"),
        )),
        _ => Ok(()),
    }
}

/// Returns the folders of `NAME=DIR` arguments.
pub fn folders(flag: &str, pairs: &[String]) -> Result<Vec<Folder>, Failure> {
    let mut folders: Vec<Folder> = Vec::new();
    for pair in pairs {
        let hint = format!("write {flag} NAME=DIR, as in {flag} gfp=movie/gfp");
        let Some((name, path)) =
            pair.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            return Err(Failure::usage(format!("{flag} {pair}: expected NAME=DIR"), hint));
        };
        if !is_plain(name) {
            let message = format!(
                "{flag} {pair}: the name {name} holds other characters than letters, digits, _ and -"
            );
            return Err(Failure::usage(message, hint));
        }
        if folders.iter().any(|f| f.name == name) {
            return Err(Failure::usage(format!("{flag} {pair}: the name {name} is given twice"), hint));
        }
        folders.push(Folder { name: name.into(), path: path.into() });
    }
    Ok(folders)
}

fn result(job: &Job<'_>, plan: &Plan, surveyed: Option<&Surveyed>, warnings: &[String]) -> Value {
    let splits = [Split::Train, Split::Val, Split::Test];
    let windows = |split| plan.windows.iter().filter(move |w| w.split == split);
    let per_split = |count: &dyn Fn(Split) -> usize| json!({ "train": count(splits[0]), "val": count(splits[1]), "test": count(splits[2]) });
    let groups = |split| windows(split).map(|w| &w.group).collect::<BTreeSet<_>>().len();
    let channels: Vec<Value> = job
        .source
        .channels()
        .into_iter()
        .enumerate()
        .map(|(i, name)| match surveyed {
            Some(s) => json!({ "name": name, "calibration": s.calibrations[i], "quality": s.quality[i] }),
            None => json!({ "name": name }),
        })
        .collect();
    json!({
        "plate": job.output,
        "preview": job.output.join(PREVIEW),
        "sequences": plan.windows.len(),
        "sequences_per_split": per_split(&|split| windows(split).count()),
        "groups_per_split": per_split(&groups),
        "frames": job.cut.frames,
        "size_px": job.cut.size,
        "channels": channels,
        "labels": job.source.labels(),
        "single_movie": plan.single_movie,
        "dropped_frames": plan.dropped_frames,
        "notes": job.notes,
        "warnings": warnings,
    })
}
