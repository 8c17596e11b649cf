//! Is one side of a comparison a binary mask, where every object should have a number of its own?

use std::ops::AddAssign;

use ndarray::ArrayView2;

use crate::labels::survey::measure;

/// Share of the frames in which the one object must fall into pieces.
const MOST_IN_PIECES: f64 = 0.5;

/// Watches the label images of one side as they are scored.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneObject {
    frames: u64,
    in_pieces: u64,
    more_than_one: bool,
}

impl OneObject {
    /// Looks at one label image. `[H, W]`
    pub fn look(&mut self, ids: ArrayView2<'_, u32>) {
        // What has two objects once is no binary mask.
        if self.more_than_one {
            return;
        }
        let found = measure(ids).objects;
        self.more_than_one = found.len() > 1;
        self.frames += u64::from(!found.is_empty());
        self.in_pieces += u64::from(found.first().is_some_and(|object| object.pieces > 1));
    }

    /// Returns a warning where all that was seen looks like a binary mask; `side` is `truth` or `prediction`.
    pub fn warning(&self, side: &str) -> Option<String> {
        let binary = !self.more_than_one && self.in_pieces as f64 > MOST_IN_PIECES * self.frames as f64;
        binary.then(|| {
            format!(
                "--{side}: no frame has more than one object, and it falls into pieces that do not touch: a binary mask? \
                 It is scored as one object; hint: give every object a number of its own (connected components, such \
                 as skimage.measure.label), or for a plate: prepare --labels-are binary"
            )
        })
    }
}

impl AddAssign for OneObject {
    fn add_assign(&mut self, other: Self) {
        self.frames += other.frames;
        self.in_pieces += other.in_pieces;
        self.more_than_one |= other.more_than_one;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(frames: &[ndarray::Array2<u32>]) -> bool {
        let mut watch = OneObject::default();
        for frame in frames {
            watch.look(frame.view());
        }
        watch.warning("truth").is_some()
    }

    #[test]
    fn one_number_in_pieces_is_a_binary_mask_and_one_cell_is_none() {
        let [pieces, cell, two, empty] =
            [[9, 0, 9], [9, 9, 0], [1, 0, 2], [0, 0, 0]].map(|row| ndarray::arr2(&[row]));
        assert!(warned(&[pieces.clone(), pieces.clone(), cell.clone(), empty.clone()]));
        assert!(!warned(&[cell.clone(), cell.clone(), pieces.clone()]));
        assert!(!warned(&[pieces.clone(), pieces, two]));
        assert!(!warned(&[empty]) && !warned(&[cell]) && !warned(&[]));
    }
}
