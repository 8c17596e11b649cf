//! The headers of all frames, read before any pixel: size, depth, one page, nothing cut off.
//!
//! A frame that differs from the others is found in a blink, by a dry run as well, instead of after hours. Frames of
//! two depths in one channel are refused: their counts mean different things, and no conversion is known.

use rayon::prelude::*;

use super::image_file::{Header, as_labels};
use super::listing::PlaneRef;
use super::recording::text;
use crate::error::DataError;

/// Reads the headers of all frames of a channel or label, `what` in words (`channel gfp`), and returns what they have
/// in common.
///
/// # Errors
/// [`DataError`] naming the first frame that cannot be read, or that differs from most others.
pub(super) fn check(what: &str, frames: &[&PlaneRef], labels: bool) -> Result<Header, DataError> {
    let read = |at: &&PlaneRef| if labels { at.header().map_err(as_labels) } else { at.header() };
    let all: Vec<Result<Header, DataError>> = frames.par_iter().map(read).collect();
    let headers = all.into_iter().collect::<Result<Vec<Header>, DataError>>()?;
    let sizes: Vec<_> = headers.iter().map(|h| h.size).collect();
    if let Some(odd) = odd_one(&sizes) {
        return Err(DataError::Size {
            path: frames[odd.index].path.to_path_buf(),
            found: text(sizes[odd.index]),
            expected: text(sizes[odd.usual]),
            of: format!("{} of the {} frames of {what}", odd.count, frames.len()),
            hint: "all frames of a channel must have one size; prepare recordings of other sizes on their own",
        });
    }
    let depths: Vec<_> = headers.iter().map(|h| h.depth).collect();
    if let Some(odd) = odd_one(&depths).filter(|_| !labels) {
        return Err(DataError::Unusable {
            path: frames[odd.index].path.to_path_buf(),
            found: format!("has {}", depths[odd.index].words()),
            expected: format!(
                "{} as {} of the {} frames of {what}",
                depths[odd.usual].words(),
                odd.count,
                frames.len()
            ),
            hint:
                "frames of one channel must count alike; export all of them from the microscope with 16 bits"
                    .into(),
        });
    }
    headers
        .first()
        .copied()
        .ok_or_else(|| DataError::Missing { path: what.into(), expected: "at least one frame".into() })
}

/// The first frame that is not as most are.
struct Odd {
    /// Its index.
    index: usize,
    /// Index of one that is as most are.
    usual: usize,
    /// How many are as most are.
    count: usize,
}

/// Returns the first value that is not the most frequent one; of equally frequent ones the earliest is the usual.
fn odd_one<A: PartialEq>(values: &[A]) -> Option<Odd> {
    let mut kinds: Vec<(usize, usize)> = Vec::new();
    for (i, value) in values.iter().enumerate() {
        match kinds.iter_mut().find(|(first, _)| values[*first] == *value) {
            Some((_, n)) => *n += 1,
            None => kinds.push((i, 1)),
        }
    }
    let &(usual, count) = kinds.iter().rev().max_by_key(|(_, n)| *n)?;
    let index = values.iter().position(|value| *value != values[usual])?;
    Some(Odd { index, usual, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_one_is_the_first_that_is_not_as_most_are() {
        let odd = |values: &[u8]| odd_one(values).map(|o| (o.index, o.usual, o.count));
        assert_eq!(odd(&[16, 16, 8, 16, 8]), Some((2, 0, 3)));
        assert_eq!(odd(&[8, 16, 16]), Some((0, 1, 2)));
        assert_eq!(odd(&[8, 16]), Some((1, 0, 1)));
        assert_eq!(odd(&[8, 8]), None);
        assert_eq!(odd(&[]), None);
    }
}
