//! A recording as folders of frames: one folder per channel and label, with one sub-folder per position or none.
//!
//! Which files belong together is found in `pairing.rs`, whether their headers agree in `headers.rs`, and how channels
//! of different sizes lie on one grid in `align.rs`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, Axis};
use rayon::prelude::*;

use super::align::{self, Align, Grid, Plane};
use super::capacity::expect_memory;
use super::file_names::name;
use super::grid::{block_majority, block_mean};
use super::headers;
pub use super::pairing::Folder;
use super::pairing::{pair_frames, pair_positions};
use crate::error::DataError;
use crate::input::image_file::{read, read_labels};
use crate::input::source::{Extent, Frames, Place, Source, Survey};
use crate::labels::Neighbours;
use crate::labels::components::components;
use crate::plate::{LabelKind, LabelMeta};

/// Folders of frames with their file names paired and their headers read.
#[derive(Debug)]
pub struct Recording {
    channels: Vec<Folder>,
    labels: Vec<Folder>,
    /// Names of the labels that show structure, not objects.
    pub structure: Vec<String>,
    /// Names of the labels that are masks: the pieces of each frame's foreground become its objects.
    pub binary: Vec<String>,
    positions: Vec<Position>,
    /// Rows and columns of the files of each channel, then of each label.
    sizes: Vec<(usize, usize)>,
    /// How they come to one grid.
    grid: Grid,
    downscale: usize,
    /// Notes on what was done to the input (binning, downscale).
    pub notes: Vec<String>,
    /// Warnings to show to the user.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
struct Position {
    name: String,
    /// Files of all channels, then of all labels, by time index.
    frames: BTreeMap<usize, Vec<PathBuf>>,
}

impl Recording {
    /// Lists the files of the folders, pairs them, and reads the headers of all frames; channels of another size are
    /// guessed to be binned.
    ///
    /// # Errors
    /// [`DataError`] where a folder is missing or empty, where one has frames or positions that another lacks, where a
    /// frame differs from the others of its channel, or where sizes do not go together.
    pub fn open(channels: &[Folder], labels: &[Folder], downscale: usize) -> Result<Self, DataError> {
        Self::open_aligned(channels, labels, downscale, None)
    }

    /// As [`Recording::open`], where it is known what channels and labels of another size show.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn open_aligned(
        channels: &[Folder],
        labels: &[Folder],
        downscale: usize,
        align: Option<Align>,
    ) -> Result<Self, DataError> {
        if downscale == 0 {
            let expected = "at least 1".into();
            return Err(DataError::Setting { field: "--downscale", found: "0".into(), expected });
        }
        let folders: Vec<&Folder> = channels.iter().chain(labels).collect();
        let mut warnings = Vec::new();
        let positions = pair_positions(&folders)?
            .into_iter()
            .map(|(name, files)| {
                Ok(Position { frames: pair_frames(&folders, &files, &name, &mut warnings)?, name })
            })
            .collect::<Result<Vec<_>, DataError>>()?;
        // Every header is read before the long work, and by a dry run too.
        let planes = folders
            .iter()
            .enumerate()
            .map(|(i, folder)| {
                let labels = i >= channels.len();
                let what = format!("{} {}", if labels { "labels" } else { "channel" }, folder.name);
                let frames: Vec<&Path> =
                    positions.iter().flat_map(|p| p.frames.values()).map(|files| &*files[i]).collect();
                let size = headers::check(&what, &frames, labels)?.size;
                Ok(Plane { what, size, path: frames[0].to_owned(), labels })
            })
            .collect::<Result<Vec<_>, DataError>>()?;
        let real: Vec<Option<PathBuf>> =
            folders.iter().map(|folder| folder.path.canonicalize().ok()).collect();
        for (i, plane) in planes.iter().enumerate() {
            if let Some(first) = (0..i).find(|&first| real[first] == real[i]) {
                warnings.push(format!("{} and {} are the same folder", planes[first].what, plane.what));
            }
        }
        let grid = align::align(&planes, align)?;
        let mut notes = grid.notes.clone();
        warnings.extend(grid.warnings.iter().cloned());
        if downscale > 1 {
            let small = (grid.size.0 / downscale, grid.size.1 / downscale);
            notes.push(format!("downscaled {downscale} x from {} to {}", text(grid.size), text(small)));
        }
        let recording = Self {
            channels: channels.to_vec(),
            labels: labels.to_vec(),
            structure: Vec::new(),
            binary: Vec::new(),
            positions,
            sizes: planes.iter().map(|plane| plane.size).collect(),
            grid,
            downscale,
            notes,
            warnings,
        };
        // One frame is read as well, so that what no header shows comes before the long work in the usual case, in
        // which it is so in all frames.
        let first = recording.positions.first().and_then(|p| p.frames.keys().next()).copied().unwrap_or(0);
        recording.load(0, first..first + 1, None)?;
        Ok(recording)
    }

    fn channel(
        &self,
        c: usize,
        path: &Path,
        survey: Option<(&Survey, Place)>,
    ) -> Result<Array2<u16>, DataError> {
        let grey = read(path)?;
        let (size, eight_bit) = (grey.size, grey.is_8_bit());
        self.expect_size(c, size, path)?;
        let plane = grey.counts(path)?;
        if let Some((survey, place)) = survey {
            let around = path.parent().map_or_else(String::new, name);
            survey.add(c, place, plane.view(), eight_bit, &format!("{around}/{}", name(path)));
        }
        let plane = self.grid.place(c, plane);
        Ok(if self.downscale > 1 { block_mean(plane.view(), self.downscale) } else { plane })
    }

    /// Checks that a frame has still the size that its header had.
    fn expect_size(&self, folder: usize, size: (usize, usize), path: &Path) -> Result<(), DataError> {
        if size == self.sizes[folder] {
            return Ok(());
        }
        Err(DataError::Size {
            path: path.to_owned(),
            found: text(size),
            expected: text(self.sizes[folder]),
            of: "a moment ago".into(),
            hint: "another program changes the files; start again when it is done",
        })
    }

    fn label(&self, index: usize, path: &Path, survey: Option<&Survey>) -> Result<Array2<u32>, DataError> {
        let mut ids = read_labels(path)?;
        let (folder, name) = (self.channels.len() + index, &self.labels[index].name);
        self.expect_size(folder, ids.dim(), path)?;
        ids = self.grid.place(folder, ids);
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

impl Source for Recording {
    fn channels(&self) -> Vec<String> {
        self.channels.iter().map(|c| c.name.clone()).collect()
    }

    fn labels(&self) -> Vec<LabelMeta> {
        let kind = |name: &str| {
            if self.structure.iter().any(|s| s == name) {
                LabelKind::Structure
            } else {
                LabelKind::of_name(name)
            }
        };
        let label = |l: &Folder| LabelMeta { name: l.name.clone(), kind: kind(&l.name), route: None };
        self.labels.iter().map(label).collect()
    }

    fn extent(&self) -> Extent {
        Extent {
            positions: self
                .positions
                .iter()
                .map(|p| (p.name.clone(), runs(p.frames.keys().copied())))
                .collect(),
            size: (self.grid.size.0 / self.downscale, self.grid.size.1 / self.downscale),
        }
    }

    fn load(
        &self,
        position: usize,
        range: Range<usize>,
        survey: Option<&Survey>,
    ) -> Result<Frames, DataError> {
        let (h, w) = self.extent().size;
        let (n, channels) = (range.len(), self.channels.len());
        let files: Vec<(usize, &Vec<PathBuf>)> =
            self.positions[position].frames.range(range).map(|(&t, files)| (t, files)).collect();
        if let Some(first) = files.first().and_then(|(_, files)| files.first()) {
            // Planes as they were read, and the same in one array.
            let frame = (h * w) as u64 * (2 * channels + 4 * self.labels.len()) as u64;
            let what = format!("{n} frame(s) of {} from here on", text((h, w)));
            expect_memory(first, &what, frame.saturating_mul(2 * n as u64))?;
        }
        let mut image = Array4::zeros((n, channels, h, w));
        let mut labels: BTreeMap<String, Array3<u32>> =
            self.labels.iter().map(|l| (l.name.clone(), Array3::zeros((n, h, w)))).collect();
        let planes = files.par_iter().map(|&(frame, files)| {
            let place = survey.map(|survey| (survey, Place { position, frame }));
            let counts: Vec<Array2<u16>> =
                (0..channels).map(|c| self.channel(c, &files[c], place)).collect::<Result<_, _>>()?;
            let ids: Vec<Array2<u32>> = files[channels..]
                .iter()
                .enumerate()
                .map(|(i, path)| self.label(i, path, survey))
                .collect::<Result<_, _>>()?;
            Ok((counts, ids))
        });
        for (t, (counts, ids)) in planes.collect::<Result<Vec<_>, DataError>>()?.into_iter().enumerate() {
            for (c, plane) in counts.iter().enumerate() {
                image.index_axis_mut(Axis(0), t).index_axis_mut(Axis(0), c).assign(plane);
            }
            for (folder, plane) in self.labels.iter().zip(ids) {
                if let Some(all) = labels.get_mut(&folder.name) {
                    all.index_axis_mut(Axis(0), t).assign(&plane);
                }
            }
        }
        Ok(Frames { image, labels })
    }

    fn parents(&self, _: usize, _: &str) -> BTreeMap<u32, u32> {
        BTreeMap::new()
    }

    fn describe(&self, position: usize, range: Range<usize>) -> String {
        let position = &self.positions[position];
        let file =
            |t| position.frames.get(&t).and_then(|files| files.first()).map_or_else(String::new, |p| name(p));
        let (first, last) = (file(range.start), file(range.end.saturating_sub(1)));
        if first == last {
            format!("{}/{first}", position.name)
        } else {
            format!("{}/{first}..{last}", position.name)
        }
    }
}

/// Returns the runs of consecutive indices.
fn runs(indices: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for i in indices {
        match runs.last_mut() {
            Some(run) if run.end == i => run.end += 1,
            _ => runs.push(i..i + 1),
        }
    }
    runs
}

/// Returns a size as people write it, width first.
pub(super) fn text((height, width): (usize, usize)) -> String {
    format!("{width} x {height}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{png, tiff};

    fn folder(name: &str, path: PathBuf) -> Folder {
        Folder { name: name.into(), path }
    }

    fn frames(dir: &Path, numbers: &[usize], size: (usize, usize)) -> PathBuf {
        for &n in numbers {
            let plane = Array2::from_shape_fn(size, |(y, x)| (1000 * n + 10 * y + x) as u16);
            tiff::write(&dir.join(format!("t{n:03}.tif")), plane.view()).unwrap();
        }
        dir.to_owned()
    }

    #[test]
    fn binned_channels_come_to_one_grid() {
        let dir = tempfile::tempdir().unwrap();
        let phase = folder("phase", frames(&dir.path().join("phase"), &[9, 10, 11], (8, 8)));
        let gfp = folder("gfp", frames(&dir.path().join("gfp"), &[9, 10, 11], (4, 4)));
        let cells = dir.path().join("cells");
        for n in 9..12 {
            png::write(&cells.join(format!("m{n}.png")), Array2::from_elem((8, 8), n as u16).view()).unwrap();
        }
        let recording = Recording::open(&[phase, gfp], &[folder("cells", cells)], 2).unwrap();
        assert_eq!(recording.extent().size, (4, 4));
        let loaded = recording.load(0, 0..3, None).unwrap();
        assert_eq!(loaded.image[[1, 1, 2, 3]], 10_023);
        assert_eq!(loaded.image[[1, 0, 2, 3]], 10_052); // 10,051.5 rounded
        assert_eq!(loaded.labels["cells"][[2, 0, 0]], 11);
        assert_eq!(recording.notes.len(), 2);
        assert!(recording.describe(0, 0..3).ends_with("/t009.tif..t011.tif"));
    }

    #[test]
    fn the_first_missing_frame_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let a = folder("phase", frames(&dir.path().join("a"), &[1, 2, 3, 4], (4, 4)));
        let b = folder("gfp", frames(&dir.path().join("b"), &[1, 2, 4], (4, 4)));
        let error = Recording::open(&[a.clone(), b.clone()], &[], 1).unwrap_err().to_string();
        assert!(error.contains("gfp: frame 3 is missing, expected one beside t003.tif of phase"), "{error}");
        let error = Recording::open(&[b, a], &[], 1).unwrap_err().to_string();
        assert!(error.contains("gfp: frame 3 is missing"), "{error}");
    }

    #[test]
    fn a_folder_given_under_two_names_is_pointed_out() {
        let dir = tempfile::tempdir().unwrap();
        let a = frames(&dir.path().join("a"), &[1, 2], (4, 4));
        let [bf, gfp, cells] = ["bf", "gfp", "cells"].map(|name| folder(name, a.clone()));
        let b = folder("rfp", frames(&dir.path().join("b"), &[1, 2], (4, 4)));
        let recording = Recording::open(&[bf.clone(), gfp], std::slice::from_ref(&cells), 1).unwrap();
        let expected = [
            "channel bf and channel gfp are the same folder",
            "channel bf and labels cells are the same folder",
        ];
        assert_eq!(recording.warnings, expected);
        assert_eq!(Recording::open(&[bf, b], &[], 1).unwrap().warnings, [""; 0]);
    }

    #[test]
    fn a_frame_missing_everywhere_splits_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let a = folder("phase", frames(&dir.path().join("a"), &[10, 20, 40, 50], (4, 4)));
        let recording = Recording::open(&[a], &[], 1).unwrap();
        assert_eq!(recording.extent().positions[0].1, [0..2, 3..5]);
        assert!(recording.warnings[0].contains("the first is 30"), "{:?}", recording.warnings);
    }

    #[test]
    fn positions_are_sub_folders_and_must_be_in_every_channel() {
        let dir = tempfile::tempdir().unwrap();
        for (channel, positions) in [("bf", &["p1", "p2", "p10"][..]), ("gfp", &["p1", "p2"])] {
            for p in positions {
                frames(&dir.path().join(channel).join(p), &[1, 2], (4, 4));
            }
        }
        let (bf, gfp) = (folder("bf", dir.path().join("bf")), folder("gfp", dir.path().join("gfp")));
        let recording = Recording::open(std::slice::from_ref(&bf), &[], 1).unwrap();
        let names: Vec<String> = recording.extent().positions.into_iter().map(|p| p.0).collect();
        assert_eq!(names, ["p1", "p2", "p10"]);
        let error = Recording::open(&[bf, gfp], &[], 1).unwrap_err().to_string();
        assert!(error.contains("has no position p10"), "{error}");
    }

    #[test]
    fn sizes_that_do_not_go_together_name_both() {
        let dir = tempfile::tempdir().unwrap();
        let a = folder("phase", frames(&dir.path().join("a"), &[1], (9, 9)));
        let b = folder("gfp", frames(&dir.path().join("b"), &[1], (4, 4)));
        let error = Recording::open(&[a.clone(), b.clone()], &[], 1).unwrap_err().to_string();
        assert!(error.contains("4 x 4") && error.contains("9 x 9"), "{error}");
        let error = Recording::open(&[a], &[b], 1).unwrap_err().to_string();
        assert!(error.contains("4 x 4") && error.contains("9 x 9"), "{error}");
    }
}
