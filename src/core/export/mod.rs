//! Plates as files that other tools read: frames, OME-TIFF, OME-Zarr 0.4, the Cell Tracking Challenge, and the training
//! layouts of Cellpose, StarDist, Omnipose, nnU-Net and COCO.
//!
//! An exporter writes one sequence at a time, several at once; what belongs to all of them is written at the end.

mod coco;
mod ctc;
mod frames;
mod nnunet;
mod ome_tiff;
mod ome_zarr_04;
mod ozx;
mod pairs;
mod plate_tree;
mod tiff;

use std::path::Path;

use ndarray::{ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::DataError;
use crate::plate::{Plate, PlateMeta, Sequence, Split};

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// One TIFF file per frame, channel and label.
    #[serde(rename = "tiff")]
    Tiff,
    /// The same as PNG.
    #[serde(rename = "png")]
    Png,
    /// One OME-TIFF per sequence, and one per label.
    #[serde(rename = "ome-tiff")]
    OmeTiff,
    /// A plate of OME-Zarr 0.4 (Zarr 2).
    #[serde(rename = "ome-zarr-0.4")]
    OmeZarr04,
    /// A plate of OME-Zarr 0.5 in one zipped file.
    #[serde(rename = "ozx")]
    Ozx,
    /// A data set of the Cell Tracking Challenge.
    #[serde(rename = "ctc")]
    Ctc,
    /// `NAME.tif` and `NAME_masks.tif` per frame.
    #[serde(rename = "cellpose")]
    Cellpose,
    /// `images/NAME.tif` and `masks/NAME.tif` per frame.
    #[serde(rename = "stardist")]
    Stardist,
    /// As Cellpose.
    #[serde(rename = "omnipose")]
    Omnipose,
    /// `imagesTr`, `labelsTr` and `dataset.json`.
    #[serde(rename = "nnunet")]
    Nnunet,
    /// Images and `annotations/instances_SPLIT.json`.
    #[serde(rename = "coco")]
    Coco,
}

impl Format {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 11] = [
        ("tiff", "16-bit TIFF frames in folders by channel and label: CHANNEL/SEQUENCE/t000.tif"),
        ("png", "The same as 16-bit PNG"),
        ("ome-tiff", "One OME-TIFF per sequence in images/, and one per label in LABEL/"),
        ("ome-zarr-0.4", "A plate of OME-Zarr 0.4 (Zarr 2), for QuPath, Bio-Formats and Vitessce"),
        ("ozx", "A plate of OME-Zarr 0.5 in one zipped file, plate.ozx, to send and to keep"),
        ("ctc", "Cell Tracking Challenge: 01/, 01_GT/SEG, 01_GT/TRA with man_track.txt"),
        ("cellpose", "Cellpose: train/NAME.tif with train/NAME_masks.tif, and test/"),
        ("stardist", "StarDist: train/images/NAME.tif with train/masks/NAME.tif, and test/"),
        ("omnipose", "Omnipose: as Cellpose"),
        ("nnunet", "nnU-Net: Dataset001_NAME with border and core of objects as classes"),
        ("coco", "COCO: SPLIT/NAME.png and annotations/instances_SPLIT.json with run lengths"),
    ];

    /// Returns whether it takes one label of objects only.
    pub fn takes_one_label(self) -> bool {
        !matches!(self, Self::Tiff | Self::Png | Self::OmeTiff | Self::OmeZarr04 | Self::Ozx)
    }

    /// Returns whether it takes one channel only.
    pub fn takes_one_channel(self) -> bool {
        matches!(self, Self::Ctc | Self::Coco)
    }
}

/// What of a plate is written.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Indices of channels.
    pub channels: Vec<usize>,
    /// Names of labels.
    pub labels: Vec<String>,
    /// Indices of sequences.
    pub sequences: Vec<usize>,
}

/// One sequence on its way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Its number, from 0.
    pub(crate) number: usize,
    /// `seq0001` and so on.
    pub(crate) name: &'a str,
    pub(crate) sequence: &'a Sequence,
    pub(crate) meta: &'a PlateMeta,
    pub(crate) selection: &'a Chosen,
}

/// Something that writes sequences as files of one layout.
pub(crate) trait Exporter: Sync {
    /// Writes a sequence, and returns what [`Exporter::finish`] needs to know of it.
    ///
    /// # Errors
    /// [`DataError`] with the file, also where the layout cannot hold what the sequence holds.
    fn sequence(&self, folder: &Path, item: &Item<'_>) -> Result<Value, DataError>;

    /// Writes what belongs to all sequences; `notes` are what [`Exporter::sequence`] returned, in their order.
    ///
    /// # Errors
    /// As [`Exporter::sequence`].
    fn finish(
        &self,
        _folder: &Path,
        _meta: &PlateMeta,
        _selection: &Chosen,
        _notes: &[Value],
    ) -> Result<(), DataError> {
        Ok(())
    }
}

fn exporter(format: Format) -> Box<dyn Exporter> {
    match format {
        Format::Tiff => Box::new(frames::Frames { ending: "tif" }),
        Format::Png => Box::new(frames::Frames { ending: "png" }),
        Format::OmeTiff => Box::new(ome_tiff::OmeTiff),
        Format::OmeZarr04 => Box::new(ome_zarr_04::OmeZarr04),
        Format::Ozx => Box::new(ozx::Ozx),
        Format::Ctc => Box::new(ctc::Ctc),
        Format::Cellpose | Format::Omnipose => Box::new(pairs::Pairs::Beside),
        Format::Stardist => Box::new(pairs::Pairs::Folders),
        Format::Nnunet => Box::new(nnunet::Nnunet),
        Format::Coco => Box::new(coco::Coco),
    }
}

/// Writes the selected sequences of a plate into a folder; `on_sequence` is called after each.
///
/// # Errors
/// [`DataError`] of the plate or of a file.
pub fn write(
    plate: &Plate,
    format: Format,
    selection: &Chosen,
    folder: &Path,
    on_sequence: &(dyn Fn() + Sync),
) -> Result<(), DataError> {
    let exporter = exporter(format);
    let one = |(number, &index): (usize, &usize)| {
        let name = name(number);
        let sequence = plate.read(index)?;
        let item = Item { number, name: &name, sequence: &sequence, meta: &plate.meta, selection };
        let note = exporter.sequence(folder, &item)?;
        on_sequence();
        Ok(note)
    };
    let notes =
        selection.sequences.par_iter().enumerate().map(one).collect::<Result<Vec<Value>, DataError>>()?;
    exporter.finish(folder, &plate.meta, selection, &notes)?;
    let listed: Vec<Value> = selection
        .sequences
        .iter()
        .enumerate()
        .map(|(number, &index)| {
            let (well, meta) = &plate.wells[index];
            json!({ "name": name(number), "well": well, "split": meta.split, "split_group": meta.split_group })
        })
        .collect();
    let text = format!("{:#}\n", json!({ "format": format, "plate": plate.path, "sequences": listed }));
    self::text(&folder.join("sequences.json"), &text)
}

/// Writes a text, and the folder around it.
fn text(path: &Path, text: &str) -> Result<(), DataError> {
    crate::plate::store::write(path, text.as_bytes()).map_err(DataError::io(path))
}

/// Returns the number of files below a folder.
///
/// # Errors
/// [`DataError::Io`] with the folder.
pub fn count_files(folder: &Path) -> Result<usize, DataError> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        count += if path.is_dir() { count_files(&path)? } else { 1 };
    }
    Ok(count)
}

/// Returns the name of a sequence in an export.
fn name(number: usize) -> String {
    format!("seq{number:04}")
}

/// Returns the folder of a split in layouts that know training and test only: what is for validation is left to the
/// tool, which takes its own part of the training images.
fn part(split: Split) -> &'static str {
    match split {
        Split::Train | Split::Val => "train",
        Split::Test => "test",
    }
}

impl Item<'_> {
    /// Returns the ids of the only label. `[H, W]`
    fn ids(&self, t: usize) -> ArrayView2<'_, u32> {
        self.sequence.labels[&self.selection.labels[0]].ids.index_axis(Axis(0), t)
    }

    /// Returns a frame of a channel. `[H, W]`
    fn counts(&self, t: usize, channel: usize) -> ArrayView2<'_, u16> {
        self.sequence.image.slice(s![t, channel, .., ..])
    }

    /// Returns ids as 16-bit numbers. `[H, W]`
    ///
    /// # Errors
    /// [`DataError::Unusable`] where an id is larger.
    fn ids_16(&self, ids: ArrayView2<'_, u32>, path: &Path) -> Result<ndarray::Array2<u16>, DataError> {
        match ids.iter().find(|id| **id > u32::from(u16::MAX)) {
            None => Ok(ids.mapv(|id| id as u16)),
            Some(id) => Err(DataError::Unusable {
                path: path.to_owned(),
                found: format!("{} holds the object id {id}", self.name),
                expected: "at most 65535, as its pixels have 16 bits".into(),
                hint: "export as tiff or ome-tiff, whose label images may have 32 bits".into(),
            }),
        }
    }
}
