//! Mirror images and quarter turns of a picture, and where a sequence lies upon another.

use ndarray::{ArrayView3, Axis};
use serde::{Serialize, Serializer};

/// One of the eight symmetries of a square: mirrored along rows and columns, then rows and columns exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Symmetry {
    /// Mirrored top to bottom, and left to right.
    pub mirrored: [bool; 2],
    /// Rows and columns are exchanged, after mirroring.
    pub exchanged: bool,
}

impl Symmetry {
    /// The picture as it is.
    pub const NONE: Self = Self { mirrored: [false, false], exchanged: false };

    /// Returns the symmetries that keep the form of a picture: eight of a square, else four.
    pub fn all(height: usize, width: usize) -> Vec<Self> {
        let exchanged = if height == width { &[false, true][..] } else { &[false] };
        let mirrored = [[false, false], [false, true], [true, false], [true, true]];
        exchanged
            .iter()
            .flat_map(|&exchanged| mirrored.map(|mirrored| Self { mirrored, exchanged }))
            .collect()
    }

    /// Returns the transformed planes without copying them. `[P, H, W]`
    pub fn of<'a, T>(&self, planes: ArrayView3<'a, T>) -> ArrayView3<'a, T> {
        let mut view = planes;
        for (axis, mirrored) in self.mirrored.into_iter().enumerate() {
            if mirrored {
                view.invert_axis(Axis(axis + 1));
            }
        }
        if self.exchanged {
            view.swap_axes(1, 2);
        }
        view
    }

    /// Returns, for rows and columns of the transformed picture, whether they run backwards.
    pub fn backwards(&self) -> [bool; 2] {
        let [y, x] = self.mirrored;
        if self.exchanged { [x, y] } else { [y, x] }
    }

    /// Returns what was done to the picture, in words.
    pub fn words(&self) -> &'static str {
        match (self.exchanged, self.mirrored) {
            (false, [false, false]) => "as it is",
            (false, [false, true]) => "mirrored left to right",
            (false, [true, false]) => "mirrored top to bottom",
            (false, [true, true]) => "turned by 180 degrees",
            (true, [false, false]) => "mirrored along the diagonal",
            (true, [false, true]) => "turned by 90 degrees to the left",
            (true, [true, false]) => "turned by 90 degrees to the right",
            (true, [true, true]) => "mirrored along the other diagonal",
        }
    }
}

impl Serialize for Symmetry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// How a real sequence is laid upon a synthetic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Alignment {
    /// What is done to the real sequence first.
    pub symmetry: Symmetry,
    /// Pixels that it is moved downwards and to the right then.
    pub shift: [i64; 2],
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn picture() -> Array3<u8> {
        array![[[1, 2], [3, 4]]]
    }

    #[test]
    fn words_say_what_is_done() {
        let turned = |words: &str| -> Vec<u8> {
            let symmetry = Symmetry::all(2, 2).into_iter().find(|s| s.words() == words).unwrap();
            symmetry.of(picture().view()).iter().copied().collect()
        };
        assert_eq!(turned("mirrored left to right"), [2, 1, 4, 3]);
        assert_eq!(turned("mirrored top to bottom"), [3, 4, 1, 2]);
        assert_eq!(turned("turned by 180 degrees"), [4, 3, 2, 1]);
        assert_eq!(turned("mirrored along the diagonal"), [1, 3, 2, 4]);
        assert_eq!(turned("turned by 90 degrees to the right"), [3, 1, 4, 2]);
        assert_eq!(turned("turned by 90 degrees to the left"), [2, 4, 1, 3]);
        assert_eq!(turned("mirrored along the other diagonal"), [4, 2, 3, 1]);
    }

    #[test]
    fn a_square_has_eight_and_another_picture_four() {
        let pictures: std::collections::BTreeSet<Vec<u8>> =
            Symmetry::all(2, 2).iter().map(|s| s.of(picture().view()).iter().copied().collect()).collect();
        assert_eq!(pictures.len(), 8);
        assert_eq!(Symmetry::all(2, 3).len(), 4);
        assert!(Symmetry::all(2, 3).iter().all(|s| !s.exchanged));
    }
}
