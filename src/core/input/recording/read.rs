//! One frame of one channel or label, from its planes in files to the common grid.

use std::path::Path;

use ndarray::{Array2, Zip};

use super::{FocalPlane, Planes, Recording, text};
use crate::error::DataError;
use crate::input::file_names::name;
use crate::input::grid::{block_majority, block_mean};
use crate::input::image_file::as_labels;
use crate::input::listing::PlaneRef;
use crate::input::source::{Place, Survey};
use crate::labels::Neighbours;
use crate::labels::components::components;

impl Recording {
    /// Reads one frame of a channel: converted, projected, on the common grid, downscaled. `[H, W]`
    pub(super) fn channel(
        &self,
        c: usize,
        planes: &Planes,
        survey: Option<(&Survey, Place)>,
    ) -> Result<Array2<u16>, DataError> {
        let mut eight_bit = false;
        let mut read = |at: &PlaneRef| {
            let grey = at.read()?;
            self.expect_size(c, grey.size, &at.path)?;
            eight_bit |= grey.is_8_bit();
            grey.counts(&at.path, self.conversions[c])
        };
        let plane = match (&planes[..], self.depth) {
            ([at], _) => read(at)?,
            (all, Some(FocalPlane::Mean)) => {
                let mut sum = Array2::<u32>::zeros(self.sizes[c]);
                for at in all {
                    Zip::from(&mut sum).and(&read(at)?).for_each(|sum, v| *sum += u32::from(*v));
                }
                let n = all.len() as u32;
                sum.mapv(|v| ((v + n / 2) / n) as u16)
            }
            (all, _) => {
                let mut most = Array2::<u16>::zeros(self.sizes[c]);
                for at in all {
                    Zip::from(&mut most).and(&read(at)?).for_each(|most, v| *most = (*most).max(*v));
                }
                most
            }
        };
        if let Some((survey, place)) = survey {
            let at = &planes[0];
            let around = at.path.parent().map_or_else(String::new, name);
            survey.add(c, place, plane.view(), eight_bit, &format!("{around}/{}", at.name()));
        }
        let plane = self.grid.place(c, plane);
        Ok(if self.downscale > 1 { block_mean(plane.view(), self.downscale) } else { plane })
    }

    /// Checks that a frame has still the size that its header had.
    fn expect_size(&self, input: usize, size: (usize, usize), path: &Path) -> Result<(), DataError> {
        if size == self.sizes[input] {
            return Ok(());
        }
        Err(DataError::Size {
            path: path.to_owned(),
            found: text(size),
            expected: text(self.sizes[input]),
            of: "a moment ago".into(),
            hint: "another program changes the files; start again when it is done",
        })
    }

    /// Reads one frame of a label, on the common grid, downscaled. `[H, W]`
    pub(super) fn label(
        &self,
        index: usize,
        planes: &Planes,
        survey: Option<&Survey>,
    ) -> Result<Array2<u32>, DataError> {
        let (input, name) = (self.channels.len() + index, &self.labels[index].name);
        let mut ids = match planes.first() {
            Some(at) => at.read().and_then(|grey| grey.ids(&at.path)).map_err(as_labels)?,
            None => Array2::zeros(self.sizes[input]),
        };
        if let Some(at) = planes.first() {
            self.expect_size(input, ids.dim(), &at.path)?;
        }
        ids = self.grid.place(input, ids);
        if self.binary.contains(name) {
            ids = components(ids.mapv(|id| id != 0).view(), Neighbours::Eight).0;
        }
        if self.downscale == 1 {
            return Ok(ids);
        }
        let small = block_majority(ids.view(), self.downscale);
        if let Some(survey) = survey {
            survey.add_downscaled(name, self.downscale, ids.view(), small.view());
        }
        Ok(small)
    }
}
