//! `segment-benchmark quality`: how good the labels of every synthetic sequence are, and a plate of those that are good.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::benchmark::plates::{View, calibrations, channel_indices, training};
use crate::benchmark::quality::{Least, SequenceQuality, brighter, judge};
use crate::benchmark::segmenter::Segmenter;
use crate::benchmark::settings::BenchmarkSettings;
use crate::benchmark::train::{TrainSettings, UNetSegmenter};
use crate::cli::device;
use crate::cli::out_of_memory::guard;
use lapsegan_core::cli::outputs::Outputs;
use lapsegan_core::cli::progress::Progress;
use lapsegan_core::cli::{Common, Failure, Outcome, settings};
use lapsegan_core::error::Exit;
use lapsegan_core::labels::codec::DecodeSettings;
use lapsegan_core::output::{OutputKind, write_file};
use lapsegan_core::plate::{Modality, Plate, PlateMeta, PlateWriter};

/// Sequences in the result on stdout, the worst ones.
const WORST: usize = 5;
/// Below this average precision on its own training labels a segmenter has learned nothing.
const NOTHING_LEARNT: f64 = 0.1;
/// Steps of the one training, which has no others to be averaged with.
const STEPS: usize = 600;

/// How good the labels of every synthetic sequence are, without a truth
///
/// Three figures per sequence: average_precision of its labels against a small
/// U-Net that learned the real labels the generator learned from; margin, how
/// clearly the generator drew them; brighter, the probability that a labelled
/// pixel is brighter in fluorescence than one that is not. With --kept, sequences
/// that reach all given --least-... figures are written as a plate.
#[derive(Args, Debug)]
pub struct QualityArgs {
    /// Synthetic plate with labels
    #[arg(value_name = "PLATE", help_heading = "Input")]
    synthetic: PathBuf,

    /// Real plate with labels that the generator was trained on
    #[arg(long, value_name = "PLATE", help_heading = "Input")]
    real: PathBuf,

    /// File for the figures of all sequences, in the order of the plate
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: PathBuf,

    /// Plate for the sequences that reach the least figures
    #[arg(long, value_name = "PLATE", help_heading = "Output")]
    kept: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags,

    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug, Serialize)]
struct Flags {
    /// Label image [default: the only one of objects]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    label: Option<String>,

    /// Image channel the U-Net sees; repeatable [default: the first one]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    #[serde(rename = "channels")]
    channel: Vec<String>,

    /// Learn from all real training sequences, not from those alone whose labels the generator learned from
    #[arg(long, help_heading = "Input")]
    all_labels: bool,

    /// Keep sequences of at least this average precision, 0 to 1
    #[arg(long, value_name = "AP", help_heading = "Filter")]
    least_ap: Option<f64>,

    /// Keep sequences of at least this margin, 0 to 1
    #[arg(long, value_name = "MARGIN", help_heading = "Filter")]
    least_margin: Option<f64>,

    /// Keep sequences whose labelled pixels are brighter with at least this probability, 0 to 1
    #[arg(long, value_name = "P", help_heading = "Filter")]
    least_brighter: Option<f64>,
}

/// What is compared, and what is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QualitySettings {
    label: Option<String>,
    channels: Vec<String>,
    all_labels: bool,
    least_ap: Option<f64>,
    least_margin: Option<f64>,
    least_brighter: Option<f64>,
    train: TrainSettings,
    decode: DecodeSettings,
}

impl AsRef<Common> for QualityArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Examples that end the help page.
pub const EXAMPLES: &str = "\
Examples:
  segment-benchmark quality synthetic.ome.zarr --real phantom.ome.zarr --output quality.json
  segment-benchmark quality synthetic.ome.zarr --real phantom.ome.zarr --output quality.json \\
      --least-ap 0.3 --least-margin 0.6 --kept good.ome.zarr";

/// Runs the command.
///
/// # Errors
/// [`Failure`] for plates without labels or that do not belong together, and where nothing is kept.
pub fn execute(args: &QualityArgs) -> Outcome {
    guard("lower train.batch", || quality(args))
}

fn quality(args: &QualityArgs) -> Outcome {
    let common = &args.common;
    let _locks = Outputs::new(common)
        .reads("PLATE", &args.synthetic)
        .reads("--real", &args.real)
        .writes("--output", args.output.as_path(), OutputKind::Quality)
        .writes("--kept", args.kept.as_deref(), OutputKind::Plate)
        .claim()?;
    let settings = resolve(args)?;
    let (real, synthetic) = (Plate::open(&args.real)?, Plate::open(&args.synthetic)?);
    let label = real.any_label(settings.label.as_deref())?.name.clone();
    synthetic.any_label(Some(&label))?;
    let labelled = if settings.all_labels {
        real.indices(lapsegan_core::plate::Split::Train)
    } else {
        training(&real, &synthetic)?
    };
    let channels = match settings.channels.as_slice() {
        [] => real.meta.channels.iter().take(1).map(|c| c.name.clone()).collect(),
        named => named.to_vec(),
    };
    for plate in [&real, &synthetic] {
        expect_channels(plate, &channels)?;
    }
    let device = device::select(&common.device, common.thread_count())?;
    let inputs = json!({
        "synthetic": args.synthetic, "real": args.real, "label": label, "labelled_sequences": labelled.len(),
        "settings": settings, "seed": common.seed, "device": device::name(device),
    });
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "inputs": inputs }));
    }

    let all: Vec<usize> = (0..synthetic.wells.len()).collect();
    let view = View { channels: &channels, calibration: calibrations(&real.meta, &channels), label: &label };
    let bar = Progress::new("reading sequences", (labelled.len() + all.len()) as u64, common.quiet);
    let learned = view.read(&real, &labelled, &mut || bar.step())?;
    let judged = view.read(&synthetic, &all, &mut || bar.step())?;
    bar.finish();
    if learned.iter().all(|sequence| sequence.labels.iter().all(|&id| id == 0)) {
        return Err(Failure {
            message: format!("{}: no object in the labels {label} to learn from", args.real.display()),
            hint: Some("name sequences in which objects are labelled, or take --all-labels".into()),
            exit: Exit::BadInput,
            findings: None,
        });
    }
    let segmenter = UNetSegmenter { train: settings.train, decode: settings.decode, device };
    let bar = Progress::new("training", segmenter.steps() as u64, common.quiet);
    let told = judge(&segmenter, &learned, &judged, common.seed, &mut || bar.step())?;
    bar.finish();
    if told.on_learned.is_none_or(|ap| ap < NOTHING_LEARNT) {
        tracing::warn!(
            "the U-Net finds the labels that it learned with an average precision of {:.3}: what it says of others means \
             nothing; raise train.steps, or name another --channel",
            told.on_learned.unwrap_or(0.0)
        );
    }
    let fluorescence = synthetic
        .meta
        .channels
        .iter()
        .rposition(|channel| channel.modality() == Some(Modality::Fluorescence));
    let bright = match fluorescence {
        Some(channel) => brighter(&synthetic, &all, &label, channel)?,
        None => vec![None; all.len()],
    };
    let sequences: Vec<SequenceQuality> = synthetic
        .wells
        .iter()
        .zip(told.synthetic)
        .zip(bright)
        .map(|(((well, meta), (objects, average_precision)), brighter)| SequenceQuality {
            well: well.clone(),
            objects,
            average_precision,
            margin: meta.label_margin,
            brighter,
        })
        .collect();
    let least = Least {
        average_precision: settings.least_ap,
        margin: settings.least_margin,
        brighter: settings.least_brighter,
    };
    let kept: Vec<usize> = all.iter().copied().filter(|&i| least.keeps(&sequences[i])).collect();
    expect_figures(&sequences, least)?;
    let dropped = sequences.len() - kept.len();
    tracing::info!(
        "{} of {} sequences reach the least figures, {dropped} do not",
        kept.len(),
        sequences.len()
    );
    let mut result = json!({
        "inputs": inputs,
        "average_precision_on_learned": told.on_learned,
        "summary": summary(&sequences),
        "kept": kept.len(),
        "dropped": dropped,
        "kept_plate": args.kept,
    });
    let mut full = result.clone();
    full["sequences"] = json!(sequences);
    // All but its name, then the figures: neither is there without the other. Without any sequence the figures stay.
    let plate = match &args.kept {
        Some(_) if kept.is_empty() => None,
        Some(path) => Some(write_kept(
            path,
            &synthetic,
            &kept,
            &kept_meta(&settings, &real, &synthetic, kept.len()),
            common,
        )?),
        None => None,
    };
    write_file(&args.output, format!("{full:#}\n").as_bytes())?;
    plate.map_or(Ok(()), PlateWriter::finish)?;
    if args.kept.is_some() && kept.is_empty() {
        return Err(Failure {
            message: format!("--kept: none of {} sequences reaches the least figures", sequences.len()),
            hint: Some(format!("look at them in {}, and ask for less", args.output.display())),
            exit: Exit::BadInput,
            findings: None,
        });
    }
    let mut worst: Vec<&SequenceQuality> = sequences.iter().collect();
    worst.sort_by(|a, b| a.average_precision.unwrap_or(1.0).total_cmp(&b.average_precision.unwrap_or(1.0)));
    result["worst"] = json!(worst.iter().take(WORST).collect::<Vec<_>>());
    result["output"] = json!(args.output);
    Ok(result)
}

fn resolve(args: &QualityArgs) -> Result<QualitySettings, Failure> {
    let quick = BenchmarkSettings::quick();
    let base = QualitySettings {
        label: None,
        channels: Vec::new(),
        all_labels: false,
        least_ap: None,
        least_margin: None,
        least_brighter: None,
        train: TrainSettings { steps: STEPS, ..quick.train },
        decode: quick.decode,
    };
    let common = &args.common;
    let settings: QualitySettings =
        settings::resolve(&base, common.config.as_deref(), &common.set, &args.flags)?;
    BenchmarkSettings { train: settings.train, decode: settings.decode, ..quick }.check()?;
    let figures = [
        ("--least-ap", settings.least_ap),
        ("--least-margin", settings.least_margin),
        ("--least-brighter", settings.least_brighter),
    ];
    for (flag, value) in figures {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            let message = format!("{flag} {}: expected 0 to 1", value.unwrap_or_default());
            return Err(Failure::usage(message, "look at quality.json of a run without it first"));
        }
    }
    if args.kept.is_some() && figures.iter().all(|(_, value)| value.is_none()) {
        return Err(Failure::usage(
            "--kept: nothing says which sequences to keep",
            "give --least-ap, --least-margin or --least-brighter",
        ));
    }
    Ok(settings)
}

fn expect_channels(plate: &Plate, channels: &[String]) -> Result<(), Failure> {
    channel_indices(&plate.meta, channels).map(|_| ()).map_err(|name| Failure {
        message: format!("{}: no channel {name}", plate.path.display()),
        hint: Some(format!("name one of {} with --channel", plate.meta.channel_names().join(", "))),
        exit: Exit::BadInput,
        findings: None,
    })
}

/// Refuses a least figure that no sequence has: it would drop nothing.
fn expect_figures(sequences: &[SequenceQuality], least: Least) -> Result<(), Failure> {
    let has =
        |figure: &dyn Fn(&SequenceQuality) -> Option<f64>| sequences.iter().any(|s| figure(s).is_some());
    let asked = [
        ("--least-ap", least.average_precision, has(&|s| s.average_precision)),
        ("--least-margin", least.margin, has(&|s| s.margin)),
        ("--least-brighter", least.brighter, has(&|s| s.brighter)),
    ];
    match asked.iter().find(|(_, least, there)| least.is_some() && !there) {
        None => Ok(()),
        Some((flag, ..)) => Err(Failure {
            message: format!("{flag}: no sequence of the plate has this figure"),
            hint: Some("margin is told where labels were drawn with the images, brighter where a channel shows fluorescence".into()),
            exit: Exit::BadInput,
            findings: None,
        }),
    }
}

/// Returns the metadata of the kept plate: what its sequences were chosen by has gone into it.
fn kept_meta(settings: &QualitySettings, real: &Plate, synthetic: &Plate, kept: usize) -> PlateMeta {
    let mut meta = PlateMeta { part: None, ..synthetic.meta.clone() };
    let total = synthetic.wells.len();
    let asked = [
        ("average precision", settings.least_ap),
        ("margin", settings.least_margin),
        ("probability of being brighter", settings.least_brighter),
    ];
    let asked: Vec<String> = asked
        .iter()
        .filter_map(|(name, least)| least.map(|least| format!("{name} of at least {least}")))
        .collect();
    meta.notes.push(format!(
        "{} of {total} sequences dropped, kept are those with {}",
        total - kept,
        asked.join(", ")
    ));
    if settings.least_ap.is_some() {
        for group in real.training_groups() {
            if !meta.trained_on.contains(&group) {
                meta.trained_on.push(group);
            }
        }
        if settings.all_labels {
            meta.labelled.clear();
        }
    }
    meta
}

/// Writes the sequences that are kept, in their order, but for the plate's name.
fn write_kept(
    path: &Path,
    synthetic: &Plate,
    kept: &[usize],
    meta: &PlateMeta,
    common: &Common,
) -> Result<PlateWriter, Failure> {
    let writer = PlateWriter::create(path, meta, kept.len(), common.overwrite)?;
    for (to, &from) in kept.iter().enumerate() {
        writer.write(to, &synthetic.read(from)?)?;
    }
    Ok(writer)
}

/// Returns median, 5th and 95th percentile of every figure.
fn summary(sequences: &[SequenceQuality]) -> Value {
    let of = |figure: &dyn Fn(&SequenceQuality) -> Option<f64>| {
        let mut values: Vec<f64> = sequences.iter().filter_map(figure).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64).round() as usize);
        json!({ "sequences": values.len(), "p5": at(0.05), "median": at(0.5), "p95": at(0.95) })
    };
    json!({
        "average_precision": of(&|s| s.average_precision),
        "margin": of(&|s| s.margin),
        "brighter": of(&|s| s.brighter),
    })
}
