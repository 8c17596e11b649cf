//! Classic operations on masks and label images, and the label route that needs no annotation.
//!
//! Everything here is plain `ndarray`: a mask is `[H, W]` of `bool`, a label image `[H, W]` of `u32` in which 0 is
//! background and every other value one object. No network and no file is known here. Start with [`fluorescence`]
//! for labels out of a recording and with [`codec`] for labels as smooth maps that a network can learn.

pub mod codec;
pub mod components;
pub mod distance;
mod edges;
pub mod fluorescence;
mod framed;
pub mod link;
pub mod maps;
pub mod morphology;
pub mod otsu;
pub mod peaks;
mod per_label;
pub mod picture;
pub mod properties;
pub mod smooth;
pub mod survey;
pub mod watershed;

pub use fluorescence::{ROUTE, RouteSettings, label_sequence};

/// Which pixels touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// Those that share an edge.
    Four,
    /// Those that share an edge or a corner.
    Eight,
}

/// Steps `(dy, dx)` in the order up, left, right, down, then the corners. The watershed relies on this order.
const STEPS: [(isize, isize); 8] = [(-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)];

impl Neighbours {
    /// Returns how many there are.
    const fn count(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    /// Returns the neighbours of `[y, x]` within an image of `height` rows and `width` columns.
    ///
    /// # Examples
    /// In the upper left corner of an image only those to the right and below are left:
    ///
    /// ```
    /// use lapsegan_core::labels::Neighbours;
    /// use lapsegan_core::mask;
    ///
    /// let touching = |neighbours: Neighbours| {
    ///     let mut touched = ndarray::Array2::from_elem((3, 3), false);
    ///     neighbours.of([0, 0], 3, 3).for_each(|at| touched[at] = true);
    ///     touched
    /// };
    /// assert_eq!(
    ///     touching(Neighbours::Four),
    ///     mask![
    ///         [. x .]
    ///         [x . .]
    ///         [. . .]
    ///     ]
    /// );
    /// assert_eq!(
    ///     touching(Neighbours::Eight),
    ///     mask![
    ///         [. x .]
    ///         [x x .]
    ///         [. . .]
    ///     ]
    /// );
    /// ```
    pub fn of(self, [y, x]: [usize; 2], height: usize, width: usize) -> impl Iterator<Item = [usize; 2]> {
        STEPS[..self.count()].iter().filter_map(move |&(dy, dx)| {
            let (y, x) = (y.checked_add_signed(dy)?, x.checked_add_signed(dx)?);
            (y < height && x < width).then_some([y, x])
        })
    }
}
