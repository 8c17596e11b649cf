//! Predictions against truth: two plates, or two folders of label images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Axis};
use serde::{Deserialize, Serialize};

use super::ScoreError;
use crate::error::DataError;
use crate::input::ctc::parents_in;
use crate::input::image_file;
use crate::input::names::matching::matching;
use crate::plate::{Labels, Origin, Plate, Sequence, Split};

/// Truth and prediction, opened.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one in a whole run")]
pub enum Pairs {
    /// Two plates, matched by well.
    Plates {
        /// The truth.
        truth: Plate,
        /// The prediction.
        prediction: Plate,
        /// Label image read from the truth, and from the prediction.
        labels: [String; 2],
        /// Index of each pair of wells in both plates.
        wells: Vec<(usize, usize)>,
    },
    /// Two folders, matched by the names of their files.
    Files(FilePairs),
}

/// The labels of a pair, of one size, with their parents where these are known. `[T, H, W]`
#[derive(Clone, Debug)]
pub struct Pair {
    /// File name or well.
    pub name: String,
    /// The truth.
    pub truth: Labels,
    /// The prediction.
    pub prediction: Labels,
}

/// Label images of two folders; of each pair one may be missing, which counts as an image without object.
#[derive(Clone, Debug)]
pub struct FilePairs {
    /// Truth and prediction.
    pub pairs: Vec<[Option<PathBuf>; 2]>,
    /// Files that are left out, truth and prediction.
    pub left_out: [Vec<PathBuf>; 2],
    /// Parents of both, where both folders have a list of tracks (of the Cell Tracking Challenge): their images are then the
    /// frames of one sequence.
    pub parents: Option<[BTreeMap<u32, u32>; 2]>,
    /// Why links are not scored although there is a list of tracks.
    pub doubts: Vec<String>,
}

/// What is done with images that only one of two folders has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OneSided {
    /// They are an error.
    #[default]
    Error,
    /// They are left out.
    Skip,
    /// The other one is taken for an image without object.
    Empty,
}

impl OneSided {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 3] = [
        ("error", "They are an error"),
        ("skip", "They are left out, and listed"),
        ("empty", "The one that is missing counts as an image without object"),
    ];
}

impl FilePairs {
    /// Reads the lists of tracks, where both folders have one and no frame is left out.
    fn read_tracks(&mut self, truth: &Path, prediction: &Path) {
        let found = [truth, prediction].map(parents_in);
        let mut doubt = |why: String| self.doubts.push(format!("links over frames are not scored: {why}"));
        match found {
            [Ok(None), Ok(None)] => {}
            [Ok(Some(of_truth)), Ok(Some(of_prediction))] => {
                if self.left_out.iter().all(Vec::is_empty) {
                    self.parents = Some([of_truth, of_prediction]);
                } else {
                    doubt("frames are left out; --missing empty keeps them".into());
                }
            }
            [Err(error), _] | [_, Err(error)] => doubt(error.to_string()),
            [_, Ok(None)] => doubt(format!("{} has no list of tracks", prediction.display())),
            [Ok(None), _] => doubt(format!("{} has no list of tracks", truth.display())),
        }
    }
}

impl Pairs {
    /// Opens two plates or two folders of TIFF or PNG label images.
    ///
    /// Only sequences of `split` are scored where it is given; folders have no splits. `label` may be left out where a
    /// plate has labels of one kind of object only.
    ///
    /// # Errors
    /// [`ScoreError`] where one is a plate and the other a folder, where names or numbers do not agree, or
    /// where the label is not there.
    pub fn open(
        truth: &Path,
        prediction: &Path,
        label: Option<&str>,
        split: Option<Split>,
        missing: OneSided,
    ) -> Result<Self, ScoreError> {
        let is_plate = |path: &Path| path.join("zarr.json").exists();
        for path in [truth, prediction] {
            if !path.exists() {
                let expected = "a plate (*.ome.zarr) or a folder of label images".into();
                return Err(DataError::Missing { path: path.to_owned(), expected }.into());
            }
            if !path.is_dir() {
                return Err(ScoreError::input(
                    format!(
                        "{}: is a file, expected a plate (*.ome.zarr) or a folder of label images",
                        path.display()
                    ),
                    "give the folder around it, with one label image per frame",
                ));
            }
        }
        match (is_plate(truth), is_plate(prediction)) {
            (true, true) => Self::plates(Plate::open(truth)?, Plate::open(prediction)?, label, split),
            (false, false) if split.is_some() => Err(ScoreError::input(
                format!("{}: a folder of label images has no splits", truth.display()),
                "leave out --split",
            )),
            (false, false) => {
                let mut files = files(truth, prediction, missing)?;
                files.read_tracks(truth, prediction);
                Ok(Self::Files(files))
            }
            (plate, _) => Err(ScoreError::input(
                format!(
                    "{} is {}, {} is {}",
                    truth.display(),
                    if plate { "a plate" } else { "a folder of files" },
                    prediction.display(),
                    if plate { "a folder of files" } else { "a plate" },
                ),
                "give two plates, or two folders of label images",
            )),
        }
    }

    fn plates(
        truth: Plate,
        prediction: Plate,
        label: Option<&str>,
        split: Option<Split>,
    ) -> Result<Self, ScoreError> {
        let chosen = |plate: &Plate| plate.any_label(label).map(|found| found.name.clone());
        let labels = [chosen(&truth)?, chosen(&prediction)?];
        let mut wells = Vec::new();
        for (at, (well, meta)) in truth.wells.iter().enumerate() {
            if split.is_some_and(|wanted| meta.split != wanted) {
                continue;
            }
            let Some(other) = prediction.wells.iter().position(|(name, _)| name == well) else {
                return Err(ScoreError::input(
                    format!("{}: no well {well}, which the truth has", prediction.path.display()),
                    "predict every sequence of the truth, or choose some with --split",
                ));
            };
            wells.push((at, other));
        }
        if wells.is_empty() {
            return Err(ScoreError::input(
                format!("{}: no sequence to score", truth.path.display()),
                "choose another --split",
            ));
        }
        Ok(Self::Plates { truth, prediction, labels, wells })
    }

    /// Returns the label that is scored; for files there is none.
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Plates { labels, .. } => Some(&labels[0]),
            Self::Files(_) => None,
        }
    }

    /// Returns whether ids follow objects over the frames of a pair, so that links can be scored.
    pub fn are_tracked(&self) -> bool {
        matches!(self, Self::Plates { truth, .. } if truth.meta.frames > 1)
    }

    /// Returns why links are not scored although there is a list of tracks.
    pub fn doubts(&self) -> &[String] {
        match self {
            Self::Plates { .. } => &[],
            Self::Files(files) => &files.doubts,
        }
    }

    /// Returns the parents of both sides where all pairs are the frames of one sequence.
    pub fn as_one_sequence(&self) -> Option<[&BTreeMap<u32, u32>; 2]> {
        match self {
            Self::Plates { .. } => None,
            Self::Files(files) => files.parents.as_ref().map(|[truth, prediction]| [truth, prediction]),
        }
    }

    /// Returns the size of a pixel in micrometres, where it is known.
    pub fn pixel_size_um(&self) -> Option<f64> {
        match self {
            Self::Plates { truth, prediction, .. } => {
                let sizes = [truth.meta.pixel_size_um, prediction.meta.pixel_size_um];
                sizes.into_iter().flatten().find(|size| *size > 0.0)
            }
            Self::Files(_) => None,
        }
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        match self {
            Self::Plates { wells, .. } => wells.len(),
            Self::Files(files) => files.pairs.len(),
        }
    }

    /// Returns whether there is no pair; [`Pairs::open`] refuses that.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the labels of a pair.
    ///
    /// # Errors
    /// [`ScoreError::Data`] for files that cannot be read, [`ScoreError::Shape`] where they differ in size.
    pub fn read(&self, index: usize) -> Result<Pair, ScoreError> {
        let pair = self.labels(index)?;
        let [truth, prediction] = [&pair.truth, &pair.prediction].map(|labels| labels.ids.shape().to_vec());
        if truth != prediction {
            return Err(ScoreError::Shape { truth, prediction }.at(pair.name));
        }
        Ok(pair)
    }

    fn labels(&self, index: usize) -> Result<Pair, ScoreError> {
        match self {
            Self::Plates { truth, prediction, labels, wells } => {
                let (a, b) = wells[index];
                let well = &truth.wells[a].0;
                let [mut of_truth, mut of_prediction] = [truth.read(a)?, prediction.read(b)?];
                if !show_the_same((truth, &of_truth), (prediction, &of_prediction)) {
                    let [t, p] = [&of_truth, &of_prediction].map(|s| s.meta.source.as_str());
                    return Err(ScoreError::input(
                        format!("{well} shows other frames in the prediction ({p:.200}) than in the truth ({t:.200})"),
                        "predict labels for the frames of the truth, for instance in a copy of its plate",
                    )
                    .at(prediction.path.display().to_string()));
                }
                let taken = |sequence: &mut Sequence, label: &String| {
                    sequence.labels.remove(label).ok_or_else(|| {
                        ScoreError::input(format!("no labels {label}"), "write the plate again").at(well)
                    })
                };
                Ok(Pair {
                    name: well.clone(),
                    truth: taken(&mut of_truth, &labels[0])?,
                    prediction: taken(&mut of_prediction, &labels[1])?,
                })
            }
            Self::Files(files) => {
                // [H, W] -> [1, H, W]
                let ids =
                    |path: &Path| Ok::<_, DataError>(image_file::read_labels(path)?.insert_axis(Axis(0)));
                let [truth, prediction] = &files.pairs[index];
                let name = truth.as_deref().or(prediction.as_deref()).map_or_else(String::new, file_name);
                let [truth, prediction] = [truth, prediction].map(|p| p.as_deref().map(ids).transpose());
                let (truth, prediction) = (truth?, prediction?);
                // A missing image shows no object, and is as large as its partner.
                let size = truth.as_ref().or(prediction.as_ref()).map_or((1, 0, 0), Array3::dim);
                let or_empty = |image: Option<Array3<u32>>| Labels {
                    ids: image.unwrap_or_else(|| Array3::zeros(size)),
                    parents: BTreeMap::new(),
                };
                Ok(Pair { name, truth: or_empty(truth), prediction: or_empty(prediction) })
            }
        }
    }

    /// Returns the name of the prediction of a pair, and both where one is missing.
    pub fn partner(&self, index: usize) -> Option<String> {
        match self {
            Self::Plates { .. } => None,
            Self::Files(files) => files.pairs[index][1].as_deref().map(file_name),
        }
    }

    /// Returns the names of files that are left out, of the truth and of the prediction.
    pub fn left_out(&self) -> [Vec<String>; 2] {
        match self {
            Self::Plates { .. } => [Vec::new(), Vec::new()],
            Self::Files(files) => {
                files.left_out.clone().map(|all| all.iter().map(|p| file_name(p)).collect())
            }
        }
    }
}

/// Returns whether two sequences are of the same frames: they have the same pixels, or they are the same tile and time of
/// split groups that hold a frame in common. Of recordings prepared before there were digests of frames, source and first
/// frame must be the same.
fn show_the_same(a: (&Plate, &Sequence), b: (&Plate, &Sequence)) -> bool {
    if a.1.image == b.1.image {
        return true;
    }
    let place = |s: &Sequence| (s.meta.source.clone(), s.meta.first_frame);
    // The end of a source, `y=0 x=256`; frames may have other names in the other plate.
    let tile = |s: &Sequence| s.meta.source.rsplit_once(" y=").map(|(_, corner)| corner.to_owned());
    let [of_a, of_b] = [a, b].map(|(plate, sequence)| {
        plate.meta.groups.iter().find(|group| group.is_known() && group.name == sequence.meta.split_group)
    });
    match (of_a, of_b) {
        (Some(of_a), Some(of_b)) => {
            of_a.shares_frame(of_b) && a.1.meta.first_frame == b.1.meta.first_frame && tile(a.1) == tile(b.1)
        }
        _ => place(a.1) == place(b.1) && [a, b].iter().all(|(p, _)| p.meta.origin == Origin::Recording),
    }
}

/// Returns a name as what sorts like numbers: its digits as numbers, and the rest as text.
fn numbers_in(name: &str) -> Vec<(u64, String)> {
    let mut parts = vec![(0_u64, String::new())];
    for c in name.chars() {
        let last = parts.last_mut().expect("one part at least");
        match c.to_digit(10) {
            Some(digit) if last.1.is_empty() => {
                last.0 = last.0.saturating_mul(10).saturating_add(digit.into());
            }
            Some(digit) => parts.push((digit.into(), String::new())),
            None => last.1.push(c),
        }
    }
    parts
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Names that a message lists.
const LISTED: usize = 3;

/// Returns the label images of two folders, paired by name.
fn files(truth: &Path, prediction: &Path, missing: OneSided) -> Result<FilePairs, ScoreError> {
    let (a, b) = (label_files(truth)?, label_files(prediction)?);
    let some = |paths: &[PathBuf]| {
        let more = if paths.len() > LISTED { ", ..." } else { "" };
        let names: Vec<String> = paths.iter().take(LISTED).map(|p| file_name(p)).collect();
        format!("{}{more}", names.join(", "))
    };
    let matched = matching(&a, &b).map_err(|found| {
        let hint = "give one label image per frame";
        ScoreError::input(format!("{} and {}: {found}", truth.display(), prediction.display()), hint)
    })?;
    if matched.pairs.is_empty() {
        return Err(ScoreError::input(
            format!(
                "no image of {} ({}) and {} ({}) have the same name or number",
                truth.display(),
                some(&a),
                prediction.display(),
                some(&b)
            ),
            "name predictions like the true images; zeros before numbers and endings such as _cp_masks make no difference",
        ));
    }
    let mut pairs: Vec<[Option<PathBuf>; 2]> =
        matched.pairs.into_iter().map(|(a, b)| [Some(a), Some(b)]).collect();
    let sides = [(truth, prediction), (prediction, truth)];
    match missing {
        OneSided::Error => {
            let one_sided = matched.left.iter().zip(sides).find(|(left, _)| !left.is_empty());
            if let Some((left, (of, other))) = one_sided {
                return Err(ScoreError::input(
                    format!(
                        "{}: {} of its images have no partner in {}: {}",
                        of.display(),
                        left.len(),
                        other.display(),
                        some(left)
                    ),
                    "give one prediction per true image; --missing skip leaves out the others, --missing empty counts them \
                     against images without object",
                ));
            }
            Ok(FilePairs { pairs, left_out: Default::default(), parents: None, doubts: Vec::new() })
        }
        OneSided::Skip => Ok(FilePairs { pairs, left_out: matched.left, parents: None, doubts: Vec::new() }),
        OneSided::Empty => {
            let [truths, predictions] = matched.left;
            pairs.extend(truths.into_iter().map(|path| [Some(path), None]));
            pairs.extend(predictions.into_iter().map(|path| [None, Some(path)]));
            // In the order of time, also where one side has a gap.
            pairs.sort_by_key(|[truth, prediction]| {
                truth.as_ref().or(prediction.as_ref()).map(|path| numbers_in(&file_name(path)))
            });
            Ok(FilePairs { pairs, left_out: Default::default(), parents: None, doubts: Vec::new() })
        }
    }
}

fn label_files(folder: &Path) -> Result<Vec<PathBuf>, ScoreError> {
    let io = |source| DataError::Io { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        let image = path
            .extension()
            .is_some_and(|e| ["tif", "tiff", "png"].iter().any(|x| e.eq_ignore_ascii_case(x)));
        if image && !hidden {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(ScoreError::input(
            format!("{}: no label image (.tif, .tiff or .png)", folder.display()),
            "give a plate, or a folder with one label image per frame",
        ));
    }
    files.sort();
    Ok(files)
}
