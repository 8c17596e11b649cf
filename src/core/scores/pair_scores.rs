//! Scores of all pairs of a truth and a prediction, pooled, per image and by what people see.

use ndarray::Axis;
use rayon::prelude::*;
use serde::Serialize;

use super::ScoreError;
use super::boundary::{Disc, Edges, edges};
use super::counts::{Counts, Report, Scores, mean_over_defined_images};
use super::ctc::Detected;
use super::mistakes::{Mistakes, mistakes};
use super::one_object::OneObject;
use super::overlap::OverlapTable;
use super::pairs::{Pair, Pairs};
use super::sizes::{SizeClass, Sizes};
use super::tracking::{Linked, linked};

/// Distance within which an edge is found, in micrometres: about what light microscopy resolves.
const TOLERANCE_UM: f64 = 0.5;
/// The same in pixels where their size is not known.
const TOLERANCE_PX: f64 = 2.0;
/// Least and largest distance in pixels.
const LEAST_PX: f64 = 1.0;
const MOST_PX: f64 = 100.0;

/// How far predicted edges may be from true ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// In micrometres, where the size of a pixel is known.
    pub um: Option<f64>,
    /// In pixels, 1 to 100.
    pub px: f64,
}

impl Tolerance {
    /// Returns the tolerance for pixels of a size; `um` where it is not the usual one.
    ///
    /// # Errors
    /// [`ScoreError::Input`] where micrometres are wanted and the size of a pixel is not known, or they are no length of
    /// 1 to 100 pixels.
    pub fn new(um: Option<f64>, pixel_size_um: Option<f64>) -> Result<Self, ScoreError> {
        let (wanted, pixel) = match (um, pixel_size_um) {
            (None, None) => return Ok(Self { um: None, px: TOLERANCE_PX }),
            (None, Some(pixel)) => {
                return Ok(Self::of(TOLERANCE_UM.clamp(LEAST_PX * pixel, MOST_PX * pixel), pixel));
            }
            (Some(wanted), Some(pixel)) => (wanted, pixel),
            (Some(wanted), None) => {
                return Err(ScoreError::input(
                    format!("a tolerance of {wanted} um needs the size of a pixel, which is not known here"),
                    "give it with --pixel-size, or leave out --boundary-tolerance",
                ));
            }
        };
        if !(LEAST_PX..=MOST_PX).contains(&(wanted / pixel)) {
            return Err(ScoreError::input(
                format!("a tolerance of {wanted} um is {:.3} pixels of {pixel} um", wanted / pixel),
                "take 1 to 100 pixels",
            ));
        }
        Ok(Self::of(wanted, pixel))
    }

    fn of(um: f64, pixel: f64) -> Self {
        Self { um: Some(um), px: um / pixel }
    }
}

/// Scores of all pairs.
#[derive(Clone, Debug, Serialize)]
pub struct PairScores {
    /// Counts of all frames summed first: the number to report.
    pub pooled: Report,
    /// Scores per frame, averaged over frames where they are defined.
    pub mean_over_defined_images: Scores,
    /// The other figures, of all frames.
    #[serde(flatten)]
    pub seen: Seen,
    /// Small, middling and large true objects apart.
    pub by_size: Vec<SizeClass>,
    /// One entry per file or sequence.
    pub pairs: Vec<PairScore>,
    /// Warnings to show to the user.
    pub warnings: Vec<String>,
    /// One entry per frame.
    #[serde(skip)]
    pub images: Vec<ImageScore>,
}

/// Figures beside the scores of matched objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// F-score of edges, see [`Edges::f`].
    pub boundary_f: Option<f64>,
    /// Merged and cut objects.
    #[serde(flatten)]
    pub mistakes: Mistakes,
    /// Links over frames, where ids follow objects.
    pub tracking: Option<Tracking>,
}

/// Scores of links over frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tracking {
    /// TRA: cells and links.
    pub tra: Option<f64>,
    /// LNK: links alone.
    pub lnk: Option<f64>,
    /// What they are made of.
    #[serde(flatten)]
    pub links: Linked,
}

impl Tracking {
    fn of(links: Linked, detected: &Detected) -> Self {
        Self { tra: links.tra(detected), lnk: links.lnk(), links }
    }
}

/// Scores of one file or sequence.
#[derive(Clone, Debug, Serialize)]
pub struct PairScore {
    /// File name or well.
    pub name: String,
    /// Name of the predicted image, where files are compared; none where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
    /// Counts of its frames, summed.
    #[serde(flatten)]
    pub pooled: Report,
    /// The other figures.
    #[serde(flatten)]
    pub seen: Seen,
}

/// Scores of one frame.
#[derive(Clone, Debug)]
pub struct ImageScore {
    /// File name or well.
    pub name: String,
    /// Frame, from 0.
    pub frame: usize,
    counts: Counts,
    edges: Edges,
    mistakes: Mistakes,
}

/// What is found in one pair.
struct Found {
    name: String,
    frames: Vec<ImageScore>,
    tables: Vec<OverlapTable>,
    links: Option<Linked>,
    sides: [OneObject; 2],
}

/// Scores all pairs, every frame an image; `on_pair` is called after each.
///
/// # Errors
/// [`ScoreError`] naming the pair that cannot be read or differs in size.
pub fn score(
    pairs: &Pairs,
    tolerance: Tolerance,
    on_pair: &(dyn Fn() + Sync),
) -> Result<PairScores, ScoreError> {
    let disc = Disc::new(tolerance.px);
    let found: Vec<Result<Found, ScoreError>> = (0..pairs.len())
        .into_par_iter()
        .map(|index| {
            let found = look(&pairs.read(index)?, pairs.are_tracked(), &disc);
            on_pair();
            found
        })
        .collect();
    let (mut all, mut sizes) = (Sum::default(), Sizes::default());
    let (mut each, mut images) = (Vec::new(), Vec::new());
    let mut sides = [OneObject::default(); 2];
    // Of several errors the first pair's is told, whichever thread was faster.
    let found: Vec<Found> = found.into_iter().collect::<Result<_, _>>()?;
    if let Some(parents) = pairs.as_one_sequence() {
        let tables: Vec<&OverlapTable> = found.iter().flat_map(|pair| &pair.tables).collect();
        all.links = Some(linked(&tables, parents));
    }
    for (index, pair) in found.into_iter().enumerate() {
        let mut sum = Sum::default();
        pair.frames.iter().for_each(|frame| sum.add(frame));
        sum.links = pair.links;
        all.join(&sum);
        pair.tables.iter().for_each(|table| sizes.add(table));
        for (side, seen) in sides.iter_mut().zip(pair.sides) {
            *side += seen;
        }
        let prediction = pairs.partner(index);
        each.push(PairScore { name: pair.name, prediction, pooled: sum.counts.report(), seen: sum.seen() });
        images.extend(pair.frames);
    }
    let scores: Vec<Scores> = images.iter().map(|image: &ImageScore| image.counts.scores()).collect();
    let named = ["truth", "prediction"].into_iter().zip(sides);
    Ok(PairScores {
        pooled: all.counts.report(),
        mean_over_defined_images: mean_over_defined_images(&scores),
        seen: all.seen(),
        by_size: sizes.thirds(),
        pairs: each,
        warnings: named
            .filter_map(|(side, watch)| watch.warning(side))
            .chain(pairs.doubts().iter().cloned())
            .collect(),
        images,
    })
}

/// Compares the frames of a pair.
fn look(pair: &Pair, tracked: bool, disc: &Disc) -> Result<Found, ScoreError> {
    let (truth, prediction) = (&pair.truth.ids, &pair.prediction.ids);
    let mut sides = [OneObject::default(); 2];
    let (mut frames, mut tables) = (Vec::new(), Vec::new());
    for (frame, (t, p)) in truth.axis_iter(Axis(0)).zip(prediction.axis_iter(Axis(0))).enumerate() {
        sides[0].look(t);
        sides[1].look(p);
        let table = OverlapTable::new(t, p)?;
        frames.push(ImageScore {
            name: pair.name.clone(),
            frame,
            counts: Counts::of_table(&table),
            edges: edges(t, p, disc),
            mistakes: mistakes(&table),
        });
        tables.push(table);
    }
    let links = tracked
        .then(|| linked(&tables.iter().collect::<Vec<_>>(), [&pair.truth.parents, &pair.prediction.parents]));
    Ok(Found { name: pair.name.clone(), frames, tables, links, sides })
}

/// Counts of several frames.
#[derive(Default)]
struct Sum {
    counts: Counts,
    edges: Edges,
    mistakes: Mistakes,
    links: Option<Linked>,
}

impl Sum {
    fn add(&mut self, frame: &ImageScore) {
        self.counts += frame.counts;
        self.edges += frame.edges;
        self.mistakes += frame.mistakes;
    }

    fn join(&mut self, other: &Self) {
        self.counts += other.counts;
        self.edges += other.edges;
        self.mistakes += other.mistakes;
        if let Some(links) = other.links {
            *self.links.get_or_insert_default() += links;
        }
    }

    fn seen(&self) -> Seen {
        let tracking = self.links.map(|links| Tracking::of(links, &self.counts.detected));
        Seen { boundary_f: self.edges.f(), mistakes: self.mistakes, tracking }
    }
}

/// Columns of a table of images.
const COLUMNS: [&str; 20] = [
    "name",
    "frame",
    "n_true",
    "n_pred",
    "tp50",
    "fp50",
    "fn50",
    "ap50",
    "ap75",
    "mean_ap",
    "f1_50",
    "pq50",
    "aji",
    "aji_plus",
    "dice",
    "seg",
    "det",
    "boundary_f",
    "merges",
    "splits",
];

/// Returns one row per image as CSV; a score that is not defined is left empty.
///
/// # Errors
/// None but those of memory.
pub fn csv(images: &[ImageScore]) -> std::io::Result<Vec<u8>> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    rows.write_record(COLUMNS)?;
    for image in images {
        let report = image.counts.report();
        let scores = &report.scores;
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.6}"));
        let whole = [report.n_true, report.n_pred, report.tp[0], report.fp[0], report.fn_[0]];
        let shares = [
            scores.ap[0],
            scores.ap[5],
            scores.mean_ap,
            scores.f1[0],
            scores.pq[0],
            scores.aji,
            scores.aji_plus,
            scores.dice,
            scores.seg,
            scores.det,
            image.edges.f(),
        ];
        let mistakes = [image.mistakes.merges, image.mistakes.splits];
        let row = [image.name.clone(), image.frame.to_string()]
            .into_iter()
            .chain(whole.map(|n| n.to_string()))
            .chain(shares.map(number))
            .chain(mistakes.map(|n| n.to_string()));
        rows.write_record(row)?;
    }
    rows.into_inner().map_err(csv::IntoInnerError::into_error)
}
