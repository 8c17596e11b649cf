//! A recording as folders of frames: one folder per channel and label, with one sub-folder per position or none.
//!
//! Frames of different folders belong together by the number at the end of their names. A channel recorded with camera
//! binning is brought to the grid of the largest one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, Array4, Axis};
use rayon::prelude::*;

use super::DataError;
use super::file_names::{list, name, trailing_number};
use super::grid::{block_majority, block_mean, replicate};
use super::image_file::{read, read_labels};
use super::sequence::Extent;
use super::source::{Frames, Source, Survey};

/// A named folder of frames, `NAME=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// Channel or label name.
    pub name: String,
    /// Folder of frames, or of one sub-folder per position.
    pub path: PathBuf,
}

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

/// Image files, one list per channel or label folder.
type FilesByFolder = Vec<Vec<PathBuf>>;

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

/// Returns the image files of every position, one list per folder.
fn pair_positions(folders: &[&Folder]) -> Result<Vec<(String, FilesByFolder)>, DataError> {
    let expected = "a folder of TIFF or PNG frames, or of one sub-folder of them per position";
    let mut all: Vec<BTreeMap<String, Vec<PathBuf>>> = Vec::new();
    let mut order: Vec<String> = Vec::new();
    for (i, folder) in folders.iter().enumerate() {
        let listing = list(&folder.path, expected)?;
        if !listing.images.is_empty() && !listing.folders.is_empty() {
            return Err(DataError::Frames {
                path: folder.path.clone(),
                found: "holds frames as well as sub-folders".into(),
                expected: "either frames of one position, or one sub-folder per position".into(),
            });
        }
        let mut positions = BTreeMap::new();
        if listing.folders.is_empty() {
            // One position, named after the folder around the channels.
            let around = folders[0].path.canonicalize().ok().and_then(|p| p.parent().map(name));
            let around = around.filter(|n| !n.is_empty()).unwrap_or_else(|| "recording".into());
            positions.insert(around, listing.images);
        }
        for sub in listing.folders {
            positions.insert(name(&sub), list(&sub, expected)?.images);
        }
        if let Some((position, _)) = positions.iter().find(|(_, images)| images.is_empty()) {
            let sub = folder.path.join(position);
            let path = if sub.is_dir() { sub } else { folder.path.clone() };
            return Err(DataError::Missing {
                path: path.join("*.tif"),
                expected: "frames as TIFF or PNG files".into(),
            });
        }
        if i == 0 {
            order = positions.keys().cloned().collect();
            order.sort_by(|a, b| super::file_names::natural(a, b));
        } else {
            let lacking = all[0].keys().find(|p| !positions.contains_key(*p));
            let extra = positions.keys().find(|p| !all[0].contains_key(*p));
            if let Some(position) = lacking.or(extra) {
                let verb = if lacking.is_some() { "has no" } else { "has a" };
                return Err(DataError::Frames {
                    path: folder.path.clone(),
                    found: format!("{verb} position {position}"),
                    expected: format!("the positions of {}", folders[0].name),
                });
            }
        }
        all.push(positions);
    }
    Ok(order
        .into_iter()
        .map(|position| {
            let files = all.iter_mut().map(|p| p.remove(&position).unwrap_or_default()).collect();
            (position, files)
        })
        .collect())
}

/// Returns the files of every folder by time index.
fn pair_frames(
    folders: &[&Folder],
    files: &[Vec<PathBuf>],
    position: &str,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<usize, Vec<PathBuf>>, DataError> {
    let numbered: Option<Vec<BTreeMap<u64, &PathBuf>>> = files.iter().map(|list| numbers(list)).collect();
    let Some(numbered) = numbered else {
        return pair_by_order(folders, files);
    };
    for (folder, (list, by_number)) in folders.iter().zip(files.iter().zip(&numbered)) {
        if list.len() != by_number.len() {
            let double =
                list.iter().find(|p| trailing_number(p).is_some_and(|n| by_number.get(&n) != Some(p)));
            return Err(DataError::Frames {
                path: folder.path.clone(),
                found: format!(
                    "two files of one frame, such as {}",
                    double.map_or_else(String::new, |p| name(p))
                ),
                expected: "one file per frame, positions in sub-folders".into(),
            });
        }
    }
    let union: BTreeSet<u64> = numbered.iter().flat_map(BTreeMap::keys).copied().collect();
    for &number in &union {
        if let Some(i) = numbered.iter().position(|by_number| !by_number.contains_key(&number)) {
            let other = numbered.iter().position(|by_number| by_number.contains_key(&number)).unwrap_or(0);
            let file = numbered[other].get(&number).map_or_else(String::new, |p| name(p));
            return Err(DataError::Frames {
                path: files[i].first().and_then(|p| p.parent()).unwrap_or(&folders[i].path).to_owned(),
                found: format!("{}: frame {number} is missing", folders[i].name),
                expected: format!("one beside {file} of {}", folders[other].name),
            });
        }
    }
    let first = union.first().copied().unwrap_or(0);
    let step = union.iter().fold(0, |step, n| gcd(step, n - first)).max(1);
    let slots = union.last().map_or(0, |last| (last - first) / step + 1) as usize;
    // Numbers such as time stamps are an order, not a frame count.
    let regular = slots <= 2 * union.len();
    if regular && slots > union.len() {
        let missing = (0..slots as u64).map(|i| first + i * step).find(|n| !union.contains(n)).unwrap_or(0);
        warnings.push(format!(
            "{position}: {} frame(s) are missing in all channels, the first is {missing}; no window crosses them",
            slots - union.len()
        ));
    }
    Ok(union
        .iter()
        .enumerate()
        .map(|(i, number)| {
            let index = if regular { ((number - first) / step) as usize } else { i };
            (index, numbered.iter().map(|by_number| by_number[number].clone()).collect())
        })
        .collect())
}

fn pair_by_order(
    folders: &[&Folder],
    files: &[Vec<PathBuf>],
) -> Result<BTreeMap<usize, Vec<PathBuf>>, DataError> {
    let count = files[0].len();
    if let Some(i) = files.iter().position(|list| list.len() != count) {
        let (n, short) = (files[i].len(), count.min(files[i].len()));
        let (longer, shorter) = if n > count { (i, 0) } else { (0, i) };
        return Err(DataError::Frames {
            path: folders[shorter].path.clone(),
            found: format!(
                "{} has {short} frames, so frame {short} (from 0) is missing",
                folders[shorter].name
            ),
            expected: format!("one beside {} of {}", name(&files[longer][short]), folders[longer].name),
        });
    }
    Ok((0..count).map(|t| (t, files.iter().map(|list| list[t].clone()).collect())).collect())
}

/// Returns files by the number their names end with, or `None` where one has no number.
fn numbers(files: &[PathBuf]) -> Option<BTreeMap<u64, &PathBuf>> {
    files.iter().map(|path| Some((trailing_number(path)?, path))).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
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
