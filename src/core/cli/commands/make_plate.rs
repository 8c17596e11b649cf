//! What the routes of `prepare` have in common: from an open source to a plate under its final name.
//!
//! Flags and settings are resolved in `prepare.rs` and `phantom.rs`; windows are cut and counts calibrated in
//! [`crate::prepare`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::digest::DigestFlag;
use crate::cli::open_it;
use crate::cli::preview;
use crate::cli::progress::Progress;
use crate::cli::record::Record;
use crate::cli::{Common, Failure, Outcome};
use crate::input::names::NamesTable;
use crate::input::source::Source;
use crate::output::write_file;
use crate::plate::intensity::Normalise;
use crate::plate::{
    Channel, LabelKind, LabelMeta, Modality, Origin, PlateMeta, PlateWriter, Split, display_color,
};
use crate::prepare::explain::no_test_part;
use crate::prepare::label_forms::LabelForms;
use crate::prepare::label_quality::LabelQuality;
use crate::prepare::linked_labels::LinkedLabels;
use crate::prepare::quality_page::{self, Quality};
use crate::prepare::survey_labels::SurveyedLabels;
use crate::prepare::tiles::coverage;
use crate::prepare::windows::{self, Cut, Plan};
use crate::prepare::write_windows::{self, Surveyed};
use crate::report::{Panel, overview};

/// Name of the contact sheet in the plate.
const PREVIEW: &str = "preview.png";
/// Sequences on it.
const PREVIEW_SEQUENCES: usize = 12;
/// Name of the report in the plate.
const REPORT: &str = "report.html";
/// Positions of which the report shows a sequence.
const REPORT_POSITIONS: usize = 24;

/// What both routes have in common once their source is open.
pub struct Job<'a> {
    /// Frames.
    pub source: &'a dyn Source,
    /// How windows are cut; its seed is that of the plate.
    pub cut: Cut,
    /// How counts become the networks' range.
    pub normalise: Normalise,
    /// Percentiles of the calibration, in percent.
    pub percentiles: [f64; 2],
    /// Recording or phantom.
    pub origin: Origin,
    /// Names of channels that the user says are fluorescence.
    pub fluorescence: Vec<String>,
    /// How the labels came about.
    pub label_route: Option<String>,
    /// What the numbers in label images stand for.
    pub label_forms: LabelForms,
    /// Micrometres, where known.
    pub pixel_size_um: Option<f64>,
    /// Seconds, where known.
    pub frame_interval_s: Option<f64>,
    /// Display colours of channels, where the input tells them.
    pub colors: BTreeMap<String, [u8; 3]>,
    /// How names of files were read.
    pub names: Vec<NamesTable>,
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
    mut job: Job<'_>,
    settings: &impl Serialize,
    record: &Record,
    before_naming: impl FnOnce() -> Result<(), Failure>,
) -> Outcome {
    let extent = job.source.extent();
    let plan = windows::plan(job.source, &job.cut)?;
    // Which frames are in no sequence can be read from the plate itself.
    let mut plate_notes = job.notes.clone();
    plate_notes.extend(plan.placed.as_ref().map(|placed| placed.sentence(&job.cut)));
    if let Some((sentence, many)) = plan.dropped.sentence(&extent, &job.cut) {
        if many { &mut job.warnings } else { &mut job.notes }.push(sentence);
    }
    let Job { source, cut, normalise, common, .. } = &job;
    let mut warnings = job.warnings.clone();
    if plan.single_movie {
        warnings.push("all splits are blocks of one movie: no evidence for a new one".into());
    }
    if !plan.windows.iter().any(|w| w.split == Split::Test) {
        warnings.push(no_test_part(&extent, cut, plan.dropped.without_tile));
    }
    if job.output.extension().is_none_or(|e| e != "zarr") {
        warnings.push("--output does not end in .ome.zarr: some programs open it by that ending only".into());
    }
    for note in job.notes.iter().filter(|note| !warnings.contains(note)) {
        tracing::info!("{note}");
    }
    if let Some(placed) = &plan.placed {
        tracing::info!("{}", placed.sentence(cut));
    } else {
        let tiles = plan.windows.iter().map(|w| w.corner).collect::<BTreeSet<_>>().len();
        let shown = 100.0 * coverage(extent.size, cut.size, cut.tiles);
        // Of a large frame one tile is little, but not 0 %.
        let digits = if shown < 1.0 { 2 } else { 0 };
        tracing::info!("{tiles} tile(s) of {0} x {0} pixels show {shown:.digits$} % of each frame", cut.size);
    }
    if common.dry_run {
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let planned = result(&job, &plan, None, &warnings);
        return Ok(
            json!({ "dry_run": true, "settings": settings, "seed": common.seed, "would_write": planned }),
        );
    }
    let surveyed = write_windows::survey(*source, &plan, cut, *normalise, job.percentiles, &job.label_forms)?;
    for quality in &surveyed.quality {
        warnings.extend(quality.warnings());
    }
    warnings.extend(surveyed.warnings.iter().cloned());
    warnings.extend(look_at_labels(&surveyed.labels));
    if let Some(sentence) = surveyed.frames.sentence() {
        tracing::info!("{sentence}");
    }
    let source = LinkedLabels { source: *source, tracks: &surveyed.labels.tracks };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let channels = source.channels().into_iter().zip(&surveyed.calibrations);
    let meta = PlateMeta {
        seed: common.seed,
        labels: source
            .labels()
            .into_iter()
            .map(|label| LabelMeta { route: job.label_route.clone(), ..label })
            .collect(),
        pixel_size_um: job.pixel_size_um,
        frame_interval_s: job.frame_interval_s,
        single_movie: plan.single_movie,
        normalise: normalise.name().into(),
        groups: surveyed.groups.clone(),
        notes: notes(&plate_notes, Some(&surveyed)),
        ..PlateMeta::new(
            "prepare",
            job.origin,
            [cut.frames, cut.size, cut.size],
            channels
                .map(|(name, &calibration)| Channel {
                    recorded: job.fluorescence.contains(&name).then_some(Modality::Fluorescence),
                    color: job.colors.get(&name).copied().unwrap_or_else(|| display_color(&name)),
                    name,
                    calibration,
                })
                .collect(),
        )
    };
    let count = plan.windows.len();
    let writer = PlateWriter::create(job.output, &meta, count, common.overwrite)?;
    let progress = Progress::new("writing sequences", count as u64, common.quiet);
    let shown = count.min(PREVIEW_SEQUENCES);
    let shown: BTreeSet<usize> = (0..shown).map(|i| i * count / shown).collect();
    // The first sequence of each position.
    let mut of_position: BTreeMap<usize, usize> = BTreeMap::new();
    for (index, window) in plan.windows.iter().enumerate() {
        of_position.entry(window.position).or_insert(index);
    }
    let positions: BTreeSet<usize> = of_position.values().copied().take(REPORT_POSITIONS).collect();
    let panels = Mutex::new(BTreeMap::new());
    let done = AtomicU64::new(0);
    write_windows::write(&source, &plan, cut, *normalise, &writer, &|index, sequence| {
        if shown.contains(&index) || positions.contains(&index) {
            let caption = format!("{index} {}", sequence.meta.split_group);
            let panel = preview::panel(caption, &meta, sequence);
            panels.lock().unwrap_or_else(PoisonError::into_inner).insert(index, panel);
        }
        progress.set(done.fetch_add(1, Ordering::Relaxed) + 1);
    })?;
    progress.finish();
    let panels = panels.into_inner().unwrap_or_else(PoisonError::into_inner);
    let some = |wanted: &BTreeSet<usize>| -> Vec<Panel> {
        panels.iter().filter(|(index, _)| wanted.contains(index)).map(|(_, panel)| panel.clone()).collect()
    };
    overview(&some(&shown)).write_png(&writer.folder().join(PREVIEW))?;
    let result = result(&job, &plan, Some(&surveyed), &warnings);
    let quality = json!({
        "channels": surveyed.quality,
        "frames": surveyed.frames,
        "labels": surveyed.labels.quality,
        "warnings": warnings,
    });
    let in_split = |split| plan.windows.iter().filter(|w| w.split == split).count();
    let page = quality_page::page(&Quality {
        meta: &meta,
        sequences: [Split::Train, Split::Val, Split::Test].map(in_split),
        channels: &surveyed.quality,
        frames: &surveyed.frames,
        labels: &surveyed.labels.quality,
        names: &job.names,
        notes: &notes(&job.notes, Some(&surveyed)),
        warnings: &warnings,
        previews: &some(&positions),
        not_shown: of_position.len() - positions.len(),
    })?;
    write_file(&writer.folder().join(REPORT), page.as_bytes())?;
    write_file(&writer.folder().join("quality.json"), format!("{quality:#}\n").as_bytes())?;
    record.write(writer.folder(), settings, "cpu", &result)?;
    before_naming()?;
    writer.finish()?;
    job.digest.write(job.output)?;
    open_it::plate(job.output);
    open_it::page(&job.output.join(REPORT));
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

/// Says what the labels hold and what was done to them, and returns what a person should look at.
fn look_at_labels(surveyed: &SurveyedLabels) -> Vec<String> {
    let quality = &surveyed.quality;
    let objects = quality.iter().filter(|label| label.kind == LabelKind::Objects).count();
    for label in quality {
        tracing::info!("{}", label.line());
        if let Some(note) = label.note() {
            tracing::info!("{note}");
        }
    }
    quality.iter().flat_map(|label| label.warnings(objects == 1)).collect()
}

/// Returns what was done to the input, labels included once they are surveyed.
fn notes(input: &[String], surveyed: Option<&Surveyed>) -> Vec<String> {
    let labels = surveyed.into_iter().flat_map(|s| &s.labels.quality);
    input.iter().cloned().chain(labels.filter_map(LabelQuality::note)).collect()
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
            Some(s) => json!({
                "name": name,
                "calibration": s.calibrations[i],
                "clipped_light": s.clipped_light[i],
                "quality": s.quality[i],
            }),
            None => json!({ "name": name }),
        })
        .collect();
    json!({
        "plate": job.output,
        "preview": job.output.join(PREVIEW),
        "report": job.output.join(REPORT),
        "sequences": plan.windows.len(),
        "sequences_per_split": per_split(&|split| windows(split).count()),
        "groups_per_split": per_split(&groups),
        "frames": job.cut.frames,
        "size_px": job.cut.size,
        "frame_coverage":
            plan.placed.is_none().then(|| coverage(job.source.extent().size, job.cut.size, job.cut.tiles)),
        "placed_tiles": plan.placed,
        "channels": channels,
        "labels": job.source.labels().into_iter().map(|label| label.name).collect::<Vec<_>>(),
        "pixel_size_um": job.pixel_size_um,
        "frame_interval_s": job.frame_interval_s,
        "names": job.names,
        "single_movie": plan.single_movie,
        "dropped_frames": plan.dropped_frames,
        "label_survey": surveyed.map(|s| &s.labels.quality),
        "notes": notes(&job.notes, surveyed),
        "warnings": warnings,
    })
}
