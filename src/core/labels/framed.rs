//! Images in a frame of one pixel, flat: a neighbour is a fixed step away and never outside.

use ndarray::{Array2, ArrayView2, s};

use super::{Neighbours, STEPS};

/// The layout of an image with its frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed {
    height: usize,
    width: usize,
}

impl Framed {
    /// Returns the layout of images of `[height, width]`.
    pub(super) fn new((height, width): (usize, usize)) -> Self {
        Self { height, width }
    }

    /// Returns the steps to the neighbours of a pixel, in the order of [`Neighbours::of`].
    pub(super) fn steps(self, neighbours: Neighbours) -> Vec<isize> {
        let row = self.width as isize + 2;
        STEPS[..neighbours.count()].iter().map(|(dy, dx)| dy * row + dx).collect()
    }

    /// Returns an image in a frame of `edge`.
    pub(super) fn put<T: Copy>(self, image: ArrayView2<T>, edge: T) -> Vec<T> {
        let mut framed = vec![edge; (self.height + 2) * (self.width + 2)];
        for (to, row) in framed.chunks_exact_mut(self.width + 2).skip(1).zip(image.outer_iter()) {
            to[1..=self.width].iter_mut().zip(row).for_each(|(to, &value)| *to = value);
        }
        framed
    }

    /// Returns an image without its frame.
    pub(super) fn take<T: Copy>(self, framed: &[T]) -> Array2<T> {
        let shape = (self.height + 2, self.width + 2);
        let all = ArrayView2::from_shape(shape, framed).expect("as long as `put` makes it");
        all.slice(s![1..=self.height, 1..=self.width]).to_owned()
    }

    /// Returns `[y, x]` of a place in the frame.
    pub(super) fn pixel(self, at: usize) -> [usize; 2] {
        [at / (self.width + 2) - 1, at % (self.width + 2) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn steps_lead_to_the_neighbours() {
        let image = arr2(&[[1, 2, 3], [4, 5, 6]]);
        let frame = Framed::new(image.dim());
        let framed = frame.put(image.view(), 0);
        assert_eq!(frame.take(&framed), image);
        for (at, _) in framed.iter().enumerate().filter(|(_, value)| **value != 0) {
            for neighbours in [Neighbours::Four, Neighbours::Eight] {
                let there = frame.steps(neighbours).into_iter().map(|step| at.wrapping_add_signed(step));
                let inside: Vec<_> =
                    there.filter(|&next| framed[next] != 0).map(|n| frame.pixel(n)).collect();
                assert_eq!(inside, neighbours.of(frame.pixel(at), 2, 3).collect::<Vec<_>>());
            }
        }
    }
}
