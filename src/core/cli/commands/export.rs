//! `export`: a plate as files that other tools read. `prepare` and `generate` both offer it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::outputs::Outputs;
use crate::cli::progress::Progress;
use crate::cli::record::Record;
use crate::cli::words::words;
use crate::cli::{Common, Failure, Outcome, settings};
use crate::export::{self, Chosen, Format};
use crate::output::{OutputKind, PendingFolder};
use crate::plate::{Plate, Split};

/// Write a plate as files that other tools read
///
/// Frames as TIFF or PNG, OME-TIFF, OME-Zarr 0.4, one .ozx file, or what a tool trains on: Cellpose, StarDist, Omnipose, nnU-Net, COCO,
/// the Cell Tracking Challenge. Counts and ids are kept as they are; where a layout cannot hold them, it is an error.
/// sequences.json says which sequence of the plate each one is, and its split.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Plate of prepare or generate (NAME.ome.zarr)
    #[arg(value_name = "PLATE", help_heading = "Input")]
    plate: PathBuf,

    #[command(flatten)]
    flags: Flags,

    /// Folder to create
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    output: PathBuf,

    #[command(flatten)]
    common: Common,
}

#[derive(Args, Debug, Serialize)]
struct Flags {
    /// Layout of the files
    #[arg(long, value_name = "FORMAT", value_parser = words(&Format::WORDS), help_heading = "Output")]
    format: Option<String>,

    /// Channel to write; repeatable [default: all, or the first where a layout takes one]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    channel: Vec<String>,

    /// Label to write; repeatable [default: all, or the only one of objects where a layout takes one]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    label: Vec<String>,

    /// Write this split only [default: all sequences]
    #[arg(long, value_name = "SPLIT", value_parser = words(&Split::WORDS), help_heading = "Input")]
    split: Option<String>,
}

/// What is written.
#[derive(Debug, Serialize, Deserialize)]
struct ExportSettings {
    format: Option<Format>,
    channel: Vec<String>,
    label: Vec<String>,
    split: Option<Split>,
}

impl AsRef<Common> for ExportArgs {
    fn as_ref(&self) -> &Common {
        &self.common
    }
}

/// Returns the examples that end the help page, for the program that offers the command.
pub fn examples(program: &str) -> String {
    format!(
        "Examples:
  {program} export synthetic.ome.zarr --format cellpose --output for-cellpose
  {program} export synthetic.ome.zarr --format ome-tiff --split test --output for-fiji"
    )
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for what is not in the plate, and where a file cannot be read or written.
pub fn execute(args: &ExportArgs, program: &'static str) -> Outcome {
    let common = &args.common;
    if common.config.is_some() || !common.set.is_empty() {
        return Err(Failure::usage("export has no settings", "leave out --config and --set"));
    }
    let _locks = Outputs::new(common)
        .reads("PLATE", &args.plate)
        .writes("--output", args.output.as_path(), OutputKind::Export)
        .claim()?;
    let base = ExportSettings { format: None, channel: Vec::new(), label: Vec::new(), split: None };
    let settings: ExportSettings = settings::resolve(&base, None, &[], &args.flags)?;
    let format = settings.format.ok_or_else(|| {
        let all = Format::WORDS.map(|(word, _)| word).join(", ");
        Failure::usage("--format is missing", format!("name the layout: one of {all}"))
    })?;
    let mut record = Record::begin(program, common);
    let plate = Plate::open(&args.plate)?;
    let selection = select(&plate, format, &settings)?;
    let mut result = json!({
        "output": args.output,
        "format": format,
        "sequences": selection.sequences.len(),
        "frames": selection.sequences.len() * plate.meta.frames,
        "channels": selection.channels.iter().map(|&c| &plate.meta.channels[c].name).collect::<Vec<_>>(),
        "labels": selection.labels,
        "read_it": read_it(format, args),
    });
    if common.dry_run {
        return Ok(json!({ "dry_run": true, "would_write": result }));
    }
    record.input("plate", &plate.path)?;
    let pending = PendingFolder::create(&args.output, OutputKind::Export, common.overwrite)?;
    let bar = Progress::new("exporting sequences", selection.sequences.len() as u64, common.quiet);
    let done = AtomicU64::new(0);
    export::write(&plate, format, &selection, pending.path(), &|| {
        bar.set(done.fetch_add(1, Ordering::Relaxed) + 1);
    })?;
    bar.finish();
    result["files"] = json!(export::count_files(pending.path())?);
    record.write(pending.path(), &settings, "cpu", &result)?;
    pending.finish()?;
    if let Some(command) = result["read_it"].as_str() {
        tracing::info!("open it: {command}");
    }
    Ok(result)
}

/// Chooses channels, labels and sequences, as far as the layout takes them.
fn select(plate: &Plate, format: Format, settings: &ExportSettings) -> Result<Chosen, Failure> {
    let names = plate.meta.channel_names();
    let mut channels = Vec::new();
    for wanted in &settings.channel {
        let index = names.iter().position(|name| name == wanted).ok_or_else(|| {
            Failure::usage(
                format!("--channel {wanted}: the channels are {}", names.join(", ")),
                "name one of them",
            )
        })?;
        channels.push(index);
    }
    if channels.is_empty() {
        channels = if format.takes_one_channel() { vec![0] } else { (0..names.len()).collect() };
    }
    if format.takes_one_channel() && channels.len() > 1 {
        return Err(Failure::usage(
            format!("--channel: {} are named, and the layout takes one", channels.len()),
            "export each into a folder of its own",
        ));
    }
    let labels = if format.takes_one_label() {
        let wanted = settings.label.first().map(String::as_str);
        if settings.label.len() > 1 {
            let message = format!("--label: {} are named, and the layout takes one", settings.label.len());
            return Err(Failure::usage(message, "export each into a folder of its own"));
        }
        vec![plate.any_label(wanted)?.name.clone()]
    } else if settings.label.is_empty() {
        plate.meta.label_names().into_iter().map(str::to_owned).collect()
    } else {
        let chosen = settings.label.iter().map(|name| Ok(plate.any_label(Some(name))?.name.clone()));
        chosen.collect::<Result<Vec<String>, Failure>>()?
    };
    let wanted = |meta: &crate::plate::SequenceMeta| settings.split.is_none_or(|split| meta.split == split);
    let sequences: Vec<usize> =
        plate.wells.iter().enumerate().filter(|(_, (_, meta))| wanted(meta)).map(|(i, _)| i).collect();
    if sequences.is_empty() {
        let split = settings.split.map_or("", Split::name);
        let message = format!("{}: no sequence of split `{split}`", plate.path.display());
        return Err(Failure::usage(message, "choose another --split, or leave it out"));
    }
    Ok(Chosen { channels, labels, sequences })
}

/// Returns the command that opens the export.
fn read_it(format: Format, args: &ExportArgs) -> Value {
    let at = args.output.display();
    let text = match format {
        Format::Tiff | Format::Png | Format::OmeTiff => {
            format!("prepare {at} --output again.ome.zarr; Fiji: File > Open, or Import > Image Sequence")
        }
        Format::OmeZarr04 => format!("QuPath or Fiji (Bio-Formats): {at}/A/1/0; napari {at}"),
        Format::Ozx => {
            format!(
                "prepare {at}/plate.ozx --output again.ome.zarr; python: zarr.storage.ZipStore('{at}/plate.ozx')"
            )
        }
        Format::Ctc => format!("prepare {at} --output again.ome.zarr"),
        Format::Cellpose => {
            format!("cellpose --train --dir {at}/train --test_dir {at}/test --mask_filter _masks")
        }
        Format::Omnipose => format!("omnipose --train --dir {at}/train --mask_filter _masks"),
        Format::Stardist => format!("python: skimage.io.ImageCollection('{at}/train/images/*.tif')"),
        Format::Nnunet => format!("nnUNet_raw={at} nnUNetv2_plan_and_preprocess -d 1"),
        Format::Coco => format!("python: pycocotools.coco.COCO('{at}/annotations/instances_train.json')"),
    };
    json!(text)
}
