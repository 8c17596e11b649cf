//! Channels and labels of different sizes: how they lie on one grid.
//!
//! A file does not say whether a smaller frame shows the same field with larger pixels (camera binning) or a part of
//! it with the same pixels (a camera region, ROI). Binning is the usual case and the guess; `--align` says it.

use std::path::{Path, PathBuf};

use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use super::file_names::name;
use super::grid::replicate;
use super::recording::text;
use crate::error::DataError;

/// What a frame of another size shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// The same field with larger pixels.
    Bin,
    /// The middle of the field with the same pixels.
    Crop,
    /// Not known: other sizes are refused.
    None,
}

impl Align {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 3] = [
        ("bin", "The same field, recorded with camera binning: its pixels are repeated"),
        ("crop", "The middle of the field (a camera region): all are cropped to the smallest"),
        ("none", "Nothing that is known: other sizes are refused"),
    ];
}

/// A channel or label whose frames are to be aligned.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    /// `channel gfp`, `labels cells`.
    pub(super) what: String,
    /// Rows and columns of its frames.
    pub(super) size: (usize, usize),
    /// One of them, for messages.
    pub(super) path: PathBuf,
    /// Whether it holds object ids.
    pub(super) labels: bool,
}

/// How a frame comes to the common grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placing {
    /// It is there.
    Whole,
    /// Every pixel `k` x `k` times.
    Repeat(usize),
    /// The part that begins at this row and column.
    Part(usize, usize),
}

/// The common grid.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// Rows and columns.
    pub(super) size: (usize, usize),
    /// One per plane.
    pub(super) placings: Vec<Placing>,
    /// What was done, for people.
    pub(super) notes: Vec<String>,
    /// What was guessed.
    pub(super) warnings: Vec<String>,
}

impl Grid {
    /// Returns plane `index` on the grid. `[h, w]` -> `[H, W]`
    pub(super) fn place<A: Copy>(&self, index: usize, plane: Array2<A>) -> Array2<A> {
        let (h, w) = self.size;
        match self.placings[index] {
            Placing::Whole => plane,
            Placing::Repeat(k) => replicate(plane.view(), k),
            Placing::Part(y, x) => plane.slice(s![y..y + h, x..x + w]).to_owned(),
        }
    }
}

/// Finds the grid of some channels and labels, channels first; `None` guesses binning for channels and nothing for
/// labels.
///
/// # Errors
/// [`DataError::Size`] where sizes do not go together in that way.
pub(super) fn align(planes: &[Plane], align: Option<Align>) -> Result<Grid, DataError> {
    let channels = planes.iter().filter(|p| !p.labels);
    // The first of the largest sets the grid.
    let largest = channels.rev().max_by_key(|p| p.size).unwrap_or(&planes[0]);
    if planes.iter().all(|p| p.size == largest.size) {
        let placings = vec![Placing::Whole; planes.len()];
        return Ok(Grid { size: largest.size, placings, notes: Vec::new(), warnings: Vec::new() });
    }
    match align {
        Some(Align::Crop) => Ok(crop(planes)),
        Some(Align::Bin) | None => bin(planes, largest, align.is_none()),
        Some(Align::None) => {
            let other = planes.iter().find(|p| p.size != largest.size).unwrap_or(largest);
            Err(unlike(
                other,
                largest,
                "as --align none asks for",
                "take --align bin or --align crop, whichever is so",
            ))
        }
    }
}

fn bin(planes: &[Plane], largest: &Plane, guess: bool) -> Result<Grid, DataError> {
    let (mut placings, mut notes, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for plane in planes {
        let (size, grid) = (plane.size, largest.size);
        if size == grid {
            placings.push(Placing::Whole);
            continue;
        }
        if plane.labels && guess {
            return Err(unlike(
                plane,
                largest,
                "the size of the images",
                "label images must have the size of the images; if they were drawn on a binned channel, take --align \
                 bin, if on a region in the middle, --align crop",
            ));
        }
        let k = grid.0 / size.0;
        if k < 2 || (size.0 * k, size.1 * k) != grid {
            return Err(unlike(
                plane,
                largest,
                "or a whole fraction of it (camera binning)",
                "channels must show the same field; --align crop takes the smaller one for its middle, else crop them \
                 alike, or leave one out",
            ));
        }
        placings.push(Placing::Repeat(k));
        let sizes = format!("{} is {}, {} {}", plane.what, text(size), largest.what, text(grid));
        let done = format!("each of its pixels was repeated {k} x {k} times");
        if guess {
            let guess = format!(
                "{sizes}: taken for camera binning {k}, {done}. This is a guess: --align bin confirms it, --align crop \
                 takes it for the middle of the field"
            );
            notes.push(guess.clone());
            warnings.push(guess);
        } else {
            notes.push(format!("{sizes}: camera binning {k} (--align bin), {done}"));
        }
    }
    Ok(Grid { size: largest.size, placings, notes, warnings })
}

fn crop(planes: &[Plane]) -> Grid {
    let least = |side: fn(&Plane) -> usize| planes.iter().map(side).min().unwrap_or(0);
    let (h, w) = (least(|p| p.size.0), least(|p| p.size.1));
    let (mut placings, mut notes) = (Vec::new(), Vec::new());
    for plane in planes {
        if plane.size == (h, w) {
            placings.push(Placing::Whole);
            continue;
        }
        let (y, x) = ((plane.size.0 - h) / 2, (plane.size.1 - w) / 2);
        placings.push(Placing::Part(y, x));
        notes.push(format!(
            "{} is {}: cropped to the {} in its middle, from row {y} and column {x} (--align crop)",
            plane.what,
            text(plane.size),
            text((h, w))
        ));
    }
    Grid { size: (h, w), placings, notes, warnings: Vec::new() }
}

fn unlike(plane: &Plane, largest: &Plane, as_what: &str, hint: &'static str) -> DataError {
    let of = |path: &Path| format!("{} ({})", largest.what, name(path));
    DataError::Size {
        path: plane.path.clone(),
        found: text(plane.size),
        expected: format!("{}, {as_what},", text(largest.size)),
        of: of(&largest.path),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn plane(what: &str, size: (usize, usize)) -> Plane {
        let labels = what.starts_with("labels");
        Plane { what: what.into(), size, path: format!("{what}/t1.tif").into(), labels }
    }

    #[test]
    fn a_smaller_channel_is_guessed_to_be_binned_and_the_guess_is_said() {
        let planes = [plane("channel gfp", (4, 6)), plane("channel bf", (8, 12))];
        let grid = align(&planes, None).unwrap();
        assert_eq!((grid.size, &grid.placings[..]), ((8, 12), &[Placing::Repeat(2), Placing::Whole][..]));
        assert_eq!(grid.notes, grid.warnings);
        assert!(
            grid.warnings[0].contains("gfp is 6 x 4, channel bf 12 x 8")
                && grid.warnings[0].contains("guess")
        );
        let said = align(&planes, Some(Align::Bin)).unwrap();
        assert_eq!((said.placings, said.warnings.len(), said.notes.len()), (grid.placings, 0, 1));
    }

    #[test]
    fn a_region_in_the_middle_crops_the_others() {
        let planes =
            [plane("channel bf", (8, 9)), plane("channel gfp", (4, 4)), plane("labels cells", (8, 9))];
        let grid = align(&planes, Some(Align::Crop)).unwrap();
        assert_eq!(grid.size, (4, 4));
        assert_eq!(grid.placings, [Placing::Part(2, 2), Placing::Whole, Placing::Part(2, 2)]);
        let field = Array2::from_shape_fn((8, 9), |(y, x)| 10 * y + x);
        assert_eq!(grid.place(0, field).row(0), array![22, 23, 24, 25]);
    }

    #[test]
    fn labels_are_never_guessed_and_none_takes_no_other_size() {
        let planes = [plane("channel bf", (8, 8)), plane("labels cells", (4, 4))];
        assert!(align(&planes, None).unwrap_err().to_string().contains("4 x 4, expected 8 x 8"));
        assert_eq!(align(&planes, Some(Align::Bin)).unwrap().placings[1], Placing::Repeat(2));
        let channels = [plane("channel bf", (8, 8)), plane("channel gfp", (4, 4))];
        assert!(align(&channels, Some(Align::None)).is_err());
        assert!(align(&channels[..1], Some(Align::None)).is_ok());
        let odd = [plane("channel bf", (9, 9)), plane("channel gfp", (4, 4))];
        assert!(align(&odd, None).is_err() && align(&odd, Some(Align::Crop)).is_ok());
    }
}
