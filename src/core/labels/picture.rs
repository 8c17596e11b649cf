//! Label images, masks and grey images typed as pictures, for examples and tests.
//!
//! Every row stands in brackets of its own, pixels are parted by spaces, and a dot is background: [`labels!`] makes a
//! label image, [`mask!`] a mask, [`image!`] an image of any type of numbers. Rows of different lengths do not compile.
//!
//! [`labels!`]: macro@crate::labels
//! [`mask!`]: macro@crate::mask
//! [`image!`]: macro@crate::image

use ndarray::Array2;

/// Returns the image with these rows; what the picture macros expand to. `[H, W]`
pub fn from_rows<P, const H: usize, const W: usize>(rows: [[P; W]; H]) -> Array2<P> {
    Array2::from(Vec::from(rows))
}

/// Makes a label image, an `Array2<u32>` `[H, W]`, from a picture: a dot is background, a number an object's id.
///
/// # Examples
/// ```
/// use lapsegan_core::labels;
///
/// let two_cells = labels![
///     [. 1 1 . .]
///     [. 1 1 . 2]
///     [. . . . 2]
/// ];
/// assert_eq!(two_cells.dim(), (3, 5));
/// assert_eq!(two_cells[[1, 4]], 2);
/// assert_eq!(two_cells.iter().filter(|&&id| id == 0).count(), 15 - 4 - 2);
/// ```
///
/// A row that is shorter than the first does not compile:
///
/// ```compile_fail,E0308
/// let ragged = lapsegan_core::labels![
///     [. 1 1]
///     [. 1]
/// ];
/// ```
///
/// Nor does an id that is not a whole number:
///
/// ```compile_fail,E0308
/// let fraction = lapsegan_core::labels![[. 0.5]];
/// ```
#[macro_export]
macro_rules! labels {
    (@pixel .) => { 0_u32 };
    (@pixel $id:literal) => {{ let id: u32 = $id; id }};
    ($([$($pixel:tt)+])+) => {
        $crate::labels::picture::from_rows([$([$($crate::labels!(@pixel $pixel)),+]),+])
    };
}

/// Makes a mask, an `Array2<bool>` `[H, W]`, from a picture: a dot is outside, an `x` inside.
///
/// # Examples
/// ```
/// use lapsegan_core::mask;
///
/// let ring = mask![
///     [x x x]
///     [x . x]
///     [x x x]
/// ];
/// assert!(!ring[[1, 1]]);
/// assert_eq!(ring.iter().filter(|&&inside| inside).count(), 8);
/// ```
///
/// As with [`labels!`](macro@crate::labels), all rows have one length:
///
/// ```compile_fail,E0308
/// let ragged = lapsegan_core::mask![[x x] [x x x]];
/// ```
#[macro_export]
macro_rules! mask {
    (@pixel .) => { false };
    (@pixel x) => { true };
    ($([$($pixel:tt)+])+) => {
        $crate::labels::picture::from_rows([$([$($crate::mask!(@pixel $pixel)),+]),+])
    };
}

/// Makes an image `[H, W]` from a picture: a dot is 0, and the numbers have the type that their use asks for.
///
/// # Examples
/// ```
/// use lapsegan_core::image;
/// use ndarray::Array2;
///
/// let counts: Array2<u16> = image![
///     [100 101  99]
///     [102 950 103]
/// ];
/// assert_eq!(counts[[1, 1]], 950);
///
/// let probability: Array2<f32> = image![
///     [.  0.5  . ]
///     [.  1.0 0.5]
/// ];
/// assert_eq!(probability.sum(), 2.0);
/// ```
///
/// As with [`labels!`](macro@crate::labels), all rows have one length:
///
/// ```compile_fail,E0308
/// let ragged = lapsegan_core::image![[0.5 1.0] [0.5]];
/// ```
#[macro_export]
macro_rules! image {
    (@pixel .) => { ::core::default::Default::default() };
    (@pixel $value:literal) => { $value };
    ($([$($pixel:tt)+])+) => {
        $crate::labels::picture::from_rows([$([$($crate::image!(@pixel $pixel)),+]),+])
    };
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    #[test]
    fn rows_and_pixels_stand_where_the_picture_has_them() {
        let picture = labels![
            [. 1 1]
            [70000 . 2]
        ];
        assert_eq!(picture, arr2(&[[0, 1, 1], [70000, 0, 2]]));
        assert_eq!(mask![[. x] [x .]], arr2(&[[false, true], [true, false]]));
    }

    #[test]
    fn an_image_takes_the_type_that_is_asked_for() {
        let real: Array2<f32> = image![[. 0.5]];
        let counts: Array2<u16> = image![[. 65535]];
        assert_eq!((real, counts), (arr2(&[[0.0, 0.5]]), arr2(&[[0, 65535]])));
    }
}
