//! A recording as folders of frames: one folder per channel and label, with one sub-folder per position or none.
//!
//! Which files belong together is found in `pairing.rs`. A channel recorded with camera binning is brought to the grid of
//! the largest one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, Axis};
use rayon::prelude::*;

use super::DataError;
use super::file_names::name;
use super::grid::{block_majority, block_mean, replicate};
use super::image_file::{read, read_labels};
pub use super::pairing::Folder;
use super::pairing::{pair_frames, pair_positions};
use super::sequence::Extent;
use super::source::{Frames, Source, Survey};

/// Folders of frames that were looked through: names paired, sizes of the first frames known.
#[derive(Debug)]
pub struct Recording {
    channels: Vec<Folder>,
    labels: Vec<Folder>,
    positions: Vec<Position>,
    /// Binning of each channel relative to the largest.
    binning: Vec<usize>,
    /// Rows and columns of the largest channel.
    raw_size: (usize, usize),
    downscale: usize,
    /// What was done to the input, for people.
    pub notes: Vec<String>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
struct Position {
    name: String,
    /// Files of all channels, then of all labels, by time index.
    frames: BTreeMap<usize, Vec<PathBuf>>,
}

impl Recording {
    /// Looks through the folders and reads the first frame of each.
    ///
    /// # Errors
    /// [`DataError`] where a folder is missing or empty, where one has frames or positions that another lacks, or where
    /// sizes do not go together.
    pub fn open(channels: &[Folder], labels: &[Folder], downscale: usize) -> Result<Self, DataError> {
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
        let first = positions.first().and_then(|p| p.frames.values().next()).map_or(&[][..], Vec::as_slice);
        let sizes: Vec<(usize, usize)> = first[..channels.len()]
            .iter()
            .map(|path| Ok(read(path)?.size))
            .collect::<Result<_, DataError>>()?;
        let raw_size = sizes.iter().copied().max().unwrap_or((0, 0));
        let largest = sizes.iter().position(|&s| s == raw_size).unwrap_or(0);
        let mut notes = Vec::new();
        let mut binning = Vec::new();
        for (i, &size) in sizes.iter().enumerate() {
            let k = raw_size.0 / size.0;
            if (size.0 * k, size.1 * k) != raw_size {
                return Err(DataError::Size {
                    path: first[i].clone(),
                    found: text(size),
                    expected: format!("{} or a whole fraction of it (camera binning)", text(raw_size)),
                    of: name(&first[largest]),
                    hint: "channels must show the same field; crop them alike, or leave one out",
                });
            }
            if k > 1 {
                notes.push(format!(
                    "channel {} was recorded with binning {k} ({}); each pixel was repeated {k} x {k} times",
                    channels[i].name,
                    text(size)
                ));
            }
            binning.push(k);
        }
        if downscale > 1 {
            let small = (raw_size.0 / downscale, raw_size.1 / downscale);
            notes.push(format!("downscaled {downscale} x from {} to {}", text(raw_size), text(small)));
        }
        let recording = Self {
            channels: channels.to_vec(),
            labels: labels.to_vec(),
            positions,
            binning,
            raw_size,
            downscale,
            notes,
            warnings,
        };
        // The first frame of every position, labels included, before anything long starts.
        for position in 0..recording.positions.len() {
            let first = recording.positions[position].frames.keys().next().copied().unwrap_or(0);
            recording.load(position, first..first + 1, None)?;
        }
        Ok(recording)
    }

    fn channel(&self, c: usize, path: &Path, survey: Option<&Survey>) -> Result<Array2<u16>, DataError> {
        let grey = read(path)?;
        let (size, eight_bit) = (grey.size, grey.is_8_bit());
        let expected = (self.raw_size.0 / self.binning[c], self.raw_size.1 / self.binning[c]);
        if size != expected {
            return Err(DataError::Size {
                path: path.to_owned(),
                found: text(size),
                expected: text(expected),
                of: format!("the first frame of channel {}", self.channels[c].name),
                hint: "all frames of a channel must have one size; prepare recordings of other sizes on their own",
            });
        }
        let mut plane = grey.counts(path)?;
        if let Some(survey) = survey {
            let around = path.parent().map_or_else(String::new, name);
            survey.add(c, plane.view(), eight_bit, &format!("{around}/{}", name(path)));
        }
        if self.binning[c] > 1 {
            plane = replicate(plane.view(), self.binning[c]);
        }
        Ok(if self.downscale > 1 { block_mean(plane.view(), self.downscale) } else { plane })
    }

    fn label(&self, path: &Path) -> Result<Array2<u32>, DataError> {
        let ids = read_labels(path)?;
        if ids.dim() != self.raw_size {
            return Err(DataError::Size {
                path: path.to_owned(),
                found: text(ids.dim()),
                expected: text(self.raw_size),
                of: "the images".into(),
                hint: "label images must have the size of the images; enlarge them without interpolation",
            });
        }
        Ok(if self.downscale > 1 { block_majority(ids.view(), self.downscale) } else { ids })
    }
}

impl Source for Recording {
    fn channels(&self) -> Vec<String> {
        self.channels.iter().map(|c| c.name.clone()).collect()
    }

    fn labels(&self) -> Vec<String> {
        self.labels.iter().map(|l| l.name.clone()).collect()
    }

    fn extent(&self) -> Extent {
        Extent {
            positions: self
                .positions
                .iter()
                .map(|p| (p.name.clone(), runs(p.frames.keys().copied())))
                .collect(),
            size: (self.raw_size.0 / self.downscale, self.raw_size.1 / self.downscale),
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
        let files: Vec<&Vec<PathBuf>> =
            self.positions[position].frames.range(range).map(|(_, files)| files).collect();
        let mut image = Array4::zeros((n, channels, h, w));
        let mut labels: BTreeMap<String, Array3<u32>> =
            self.labels.iter().map(|l| (l.name.clone(), Array3::zeros((n, h, w)))).collect();
        let planes = files.par_iter().map(|files| {
            let counts: Vec<Array2<u16>> =
                (0..channels).map(|c| self.channel(c, &files[c], survey)).collect::<Result<_, _>>()?;
            let ids: Vec<Array2<u32>> =
                files[channels..].iter().map(|path| self.label(path)).collect::<Result<_, _>>()?;
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

fn text((height, width): (usize, usize)) -> String {
    format!("{width} x {height}")
}

#[cfg(test)]
mod tests {
    use super::super::{png, tiff};
    use super::*;

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
