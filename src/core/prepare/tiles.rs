//! Which tiles are cut from a frame, and how much of it they show.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::prepare::spans::Span;

/// Rows and columns of the smallest tile.
pub const LEAST_SIZE: usize = 8;
/// Rows and columns of the largest tile that is chosen where none is asked for.
const LARGEST_DEFAULT: usize = 256;

/// Which tiles are cut from a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tiles {
    /// As few as cover the whole frame, overlapping where its sides are no multiples of a tile's.
    Grid,
    /// One, from the middle.
    Centre,
    /// One on every labelled object, and some without any.
    Objects,
    /// One on every trap: on what labels of structure show, or on given coordinates.
    Trap,
}

impl Tiles {
    /// The words of the settings, with what they mean.
    pub const WORDS: [(&'static str, &'static str); 4] = [
        ("grid", "As few as cover the whole frame; they overlap where its sides are no multiples of PX"),
        ("centre", "One, from the middle"),
        ("objects", "One on every labelled object, neighbours in one; --empty adds some without any"),
        ("trap", "One on every trap that --structure shows, or on every line of --centres"),
    ];
}

/// Returns the size of tiles for frames of `(rows, columns)` that were downscaled already: the one wanted, or the
/// largest power of two that fits.
///
/// # Errors
/// [`DataError::Setting`] where the wanted one is larger than a downscaled frame; [`DataError::Unusable`], naming the
/// folder, where no tile fits.
pub fn tile_size(
    wanted: Option<usize>,
    (rows, columns): (usize, usize),
    downscale: usize,
    folder: &Path,
) -> Result<usize, DataError> {
    let side = rows.min(columns);
    let after = if downscale > 1 { format!(" after --downscale {downscale}") } else { String::new() };
    if side < LEAST_SIZE {
        let hint =
            if downscale > 1 { "lower --downscale" } else { "nothing can be learnt from frames this small" };
        return Err(DataError::Unusable {
            path: folder.to_owned(),
            found: format!("frames are {columns} x {rows} pixels{after}"),
            expected: format!("at least {LEAST_SIZE} x {LEAST_SIZE}"),
            hint: hint.into(),
        });
    }
    match wanted {
        Some(size) if size > side => Err(DataError::Setting {
            field: "--size",
            found: size.to_string(),
            expected: format!("at most {side}, as frames are {columns} x {rows} pixels{after}"),
        }),
        Some(size) => Ok(size),
        None => Ok((1 << side.ilog2()).min(LARGEST_DEFAULT)),
    }
}

/// First rows and columns of tiles.
#[derive(Debug)]
pub(super) enum Corners {
    /// The same in every frame.
    Same(Vec<(usize, usize)>),
    /// By position and first frame of a span.
    Placed(BTreeMap<(usize, usize), Vec<(usize, usize)>>),
}

impl Corners {
    /// Returns those of a span.
    pub(super) fn of(&self, span: &Span) -> &[(usize, usize)] {
        match self {
            Self::Same(corners) => corners,
            Self::Placed(corners) => {
                corners.get(&(span.position, span.first_frame)).map_or(&[], Vec::as_slice)
            }
        }
    }
}

/// Returns the first row and column of every tile of a frame, where they are the same in all.
pub(super) fn corners((rows, columns): (usize, usize), size: usize, tiles: Tiles) -> Vec<(usize, usize)> {
    let across = starts(columns, size, tiles);
    starts(rows, size, tiles).into_iter().flat_map(|y| across.iter().map(move |&x| (y, x))).collect()
}

/// Returns the share of a frame's pixels that its tiles show, in [0, 1], where they are the same in all frames.
pub fn coverage((rows, columns): (usize, usize), size: usize, tiles: Tiles) -> f64 {
    let shown = |length: usize| {
        let mut end = 0;
        let mut shown = 0;
        for start in starts(length, size, tiles) {
            shown += start + size - end.max(start);
            end = start + size;
        }
        shown as f64 / length as f64
    };
    shown(rows) * shown(columns)
}

/// Returns tile starts along one axis: as few as cover it, the first and the last flush with the borders, the others
/// spread evenly between.
fn starts(length: usize, size: usize, tiles: Tiles) -> Vec<usize> {
    match (tiles, length.div_ceil(size)) {
        (Tiles::Centre, _) | (_, 1) => vec![(length - size) / 2],
        (_, count) => (0..count).map(|i| (i * (length - size)) / (count - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Advice;

    #[test]
    fn tiles_cover_from_edge_to_edge() {
        let grid = |length| starts(length, 32, Tiles::Grid);
        assert_eq!(grid(32), [0]);
        assert_eq!(grid(40), [0, 8]);
        assert_eq!(grid(64), [0, 32]);
        assert_eq!(grid(75), [0, 21, 43]);
        assert_eq!(grid(90), [0, 29, 58]);
        assert_eq!(starts(40, 32, Tiles::Centre), [4]);
        assert_eq!(corners((32, 40), 32, Tiles::Grid), [(0, 0), (0, 8)]);
    }

    #[test]
    fn the_share_of_a_frame_that_is_shown() {
        assert_eq!(coverage((400, 400), 256, Tiles::Grid), 1.0);
        assert_eq!(coverage((640, 424), 256, Tiles::Grid), 1.0);
        assert_eq!(coverage((64, 128), 32, Tiles::Centre), 0.125);
    }

    #[test]
    fn the_size_that_fits_is_chosen_and_the_cause_named_where_none_does() {
        let size = |wanted, frame, downscale| tile_size(wanted, frame, downscale, Path::new("movie/bf"));
        assert_eq!(size(None, (300, 700), 1).unwrap(), 256);
        assert_eq!(size(None, (2048, 700), 1).unwrap(), 256);
        assert_eq!(size(None, (20, 20), 1).unwrap(), 16);
        assert_eq!(size(Some(8), (20, 20), 1).unwrap(), 8);
        let error = size(Some(32), (8, 8), 4).unwrap_err().to_string();
        assert!(
            error.contains("--size: is 32, expected at most 8") && error.contains("after --downscale 4"),
            "{error}"
        );
        let error = size(None, (7, 9), 1).unwrap_err();
        assert!(
            error.to_string().contains("movie/bf: frames are 9 x 7 pixels, expected at least 8 x 8"),
            "{error}"
        );
        assert!(size(None, (2, 2), 100).unwrap_err().hint().unwrap().contains("--downscale"));
    }
}
