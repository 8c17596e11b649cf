//! Objects that are too small to be seen after downscaling.

use std::sync::PoisonError;

use ndarray::ArrayView2;
use serde::Serialize;

use super::source::Survey;
use crate::labels::survey::ids;

/// How many objects of a label downscaling leaves; an object counts in every frame that shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Downscaled {
    /// Blocks are this wide.
    pub factor: usize,
    /// Objects before.
    pub before: u64,
    /// Objects that are gone after.
    pub lost: u64,
    /// Their pixels before.
    pub lost_px: u64,
}

impl Downscaled {
    /// Returns the largest factor below this one that leaves an object of the mean size of those lost, wherever it
    /// lies: a square as large holds a whole block from a side of twice the block's, less one pixel, on.
    pub fn smaller(&self) -> usize {
        let side = (self.lost_px as f64 / self.lost.max(1) as f64).sqrt();
        let fits = f64::midpoint(side, 1.0) as usize;
        fits.min(self.factor.saturating_sub(1)).max(1)
    }
}

impl Survey {
    /// Adds one frame of a label before and after downscaling by `factor`.
    pub fn add_downscaled(
        &self,
        label: &str,
        factor: usize,
        raw: ArrayView2<'_, u32>,
        small: ArrayView2<'_, u32>,
    ) {
        let (before, after) = (ids(raw), ids(small));
        let gone: Vec<u32> = before.iter().copied().filter(|id| after.binary_search(id).is_err()).collect();
        let lost_px =
            if gone.is_empty() { 0 } else { raw.iter().filter(|id| gone.binary_search(id).is_ok()).count() };
        let mut all = self.downscaled.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = all.entry(label.to_owned()).or_default();
        *sum = Downscaled {
            factor,
            before: sum.before + before.len() as u64,
            lost: sum.lost + gone.len() as u64,
            lost_px: sum.lost_px + lost_px as u64,
        };
    }

    /// Returns what downscaling left of a label; `None` where nothing was downscaled.
    pub fn downscaled(&self, label: &str) -> Option<Downscaled> {
        self.downscaled.lock().unwrap_or_else(PoisonError::into_inner).get(label).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    #[test]
    fn objects_count_as_lost_in_every_frame_that_no_longer_shows_them() {
        let survey = Survey::new(1);
        let (raw, small) = (labels![[3 3 . 5] [3 3 . .]], labels![[3 .]]);
        for _ in 0..2 {
            survey.add_downscaled("cells", 2, raw.view(), small.view());
        }
        assert_eq!(
            survey.downscaled("cells"),
            Some(Downscaled { factor: 2, before: 4, lost: 2, lost_px: 2 })
        );
        assert_eq!(survey.downscaled("buds"), None);
    }

    #[test]
    fn the_smaller_factor_leaves_objects_of_that_size_wherever_they_lie() {
        let smaller = |factor, lost_px| Downscaled { factor, before: 9, lost: 1, lost_px }.smaller();
        assert_eq!([smaller(4, 4), smaller(4, 9), smaller(4, 30), smaller(2, 30)], [1, 2, 3, 1]);
        for factor in [2, 3] {
            let side = 2 * factor - 1;
            for (y, x) in (0..factor).flat_map(|y| (0..factor).map(move |x| (y, x))) {
                let mut frame = ndarray::Array2::zeros((12, 12));
                frame.slice_mut(ndarray::s![y..y + side, x..x + side]).fill(1);
                assert_eq!(ids(super::super::grid::block_majority(frame.view(), factor).view()), [1]);
            }
        }
    }
}
