//! Writing a plate: sequences in any order and from several threads, the plate's own metadata last.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ndarray::{Array3, Axis};
use serde::Serialize;
use serde_json::{Value, json};

use super::names;
use super::ome_zarr;
use super::store::Files;
use super::well_digest::WellDigest;
use super::{FORMAT, Labels, Origin, PlateMeta, Sequence};
use crate::error::DataError;
use crate::output::{self, OutputKind, PendingFolder, Taken};

/// Writes a plate to a temporary sibling, which gets the final name only when all of it is there.
#[derive(Debug)]
pub struct PlateWriter {
    pending: PendingFolder,
    name: String,
    meta: PlateMeta,
    written: Mutex<Vec<bool>>,
    /// Indices of the sequences to write: all of them, or those of one part of a run.
    wanted: Range<usize>,
}

impl PlateWriter {
    /// Starts a plate of `count` sequences that will be named `path`. For a part of a run (`meta.part`), `count` is the
    /// number of sequences of the whole run, of which only those of the part are written.
    ///
    /// # Errors
    /// [`DataError::OutputExists`] where `path` exists and `overwrite` is false, or [`DataError::Io`].
    pub fn create(path: &Path, meta: &PlateMeta, count: usize, overwrite: bool) -> Result<Self, DataError> {
        let wanted = meta.part.as_ref().map_or(0..count, |p| p.first..count.min(p.first + p.count));
        if let Err((field, found)) = names::check(meta) {
            return Err(unfit(wanted.start, field, &found, "names that are safe in paths"));
        }
        if wanted.is_empty() {
            return Err(unfit(wanted.start, "count", "0 sequences", "at least one"));
        }
        // The name does not follow from the path, so that equal plates have equal bytes wherever they are written.
        let name = match meta.origin {
            Origin::Recording => "recording",
            Origin::Phantom => "phantom",
            Origin::Synthetic => "synthetic",
        };
        Ok(Self {
            pending: PendingFolder::create(path, OutputKind::Plate, overwrite)?,
            name: name.to_owned(),
            meta: meta.clone(),
            written: Mutex::new(vec![false; count]),
            wanted,
        })
    }

    /// Writes sequence `index`; may be called from several threads, in any order.
    ///
    /// # Errors
    /// [`DataError::Unfit`] where shape, labels or index are not those of the plate, or [`DataError::Io`].
    pub fn write(&self, index: usize, sequence: &Sequence) -> Result<(), DataError> {
        let count = self.claim(index)?;
        self.check(index, sequence)?;
        let files = Files::keeping(self.folder());
        let well = ome_zarr::well_path(index, count);
        let image = format!("{well}/0");
        let attributes = json!({
            "ome": ome_zarr::image_object(&format!("{} {well}", self.name), &self.meta),
            "lapsegan": to_json(&sequence.meta),
        });
        ome_zarr::write_group(&files, &image, attributes)?;
        ome_zarr::write_array(&files, &format!("{image}/0"), sequence.image.view())?;
        if !self.meta.labels.is_empty() {
            let labels = json!({ "ome": ome_zarr::labels_object(&self.meta.label_names()) });
            ome_zarr::write_group(&files, &format!("{image}/labels"), labels)?;
        }
        for name in self.meta.label_names() {
            self.write_labels(&files, &format!("{image}/labels/{name}"), name, &sequence.labels[name])?;
        }
        let digest = WellDigest::of_written(&well, &files.take_kept());
        let attributes = json!({ "ome": ome_zarr::well_object(), "lapsegan": to_json(&digest) });
        ome_zarr::write_group(&files, &well, attributes)
    }

    /// Takes over the files of sequence `index` from the same well of another plate, by hard links where the file
    /// system allows.
    ///
    /// # Errors
    /// [`DataError::Unfit`] for an index that is not this plate's, or [`DataError::Io`].
    pub fn adopt(&self, index: usize, plate: &Path) -> Result<Taken, DataError> {
        let well = ome_zarr::well_path(index, self.claim(index)?);
        output::take(&plate.join(&well), &self.folder().join(&well))
    }

    fn write_labels(
        &self,
        files: &Arc<Files>,
        group: &str,
        name: &str,
        labels: &Labels,
    ) -> Result<(), DataError> {
        let ids: BTreeSet<u32> = labels.ids.iter().copied().collect();
        let object = ome_zarr::label_object(name, &self.meta, &ids, &labels.parents);
        ome_zarr::write_group(files, group, json!({ "ome": object }))?;
        // [T, H, W] -> [T, 1, H, W]
        let pixels = labels.ids.view().insert_axis(Axis(1));
        let array = format!("{group}/0");
        if ids.last().is_some_and(|&id| id > u32::from(u16::MAX)) {
            ome_zarr::write_array(files, &array, pixels)
        } else {
            ome_zarr::write_array(files, &array, pixels.mapv(|id| id as u16).view())
        }
    }

    /// Returns the folder being written, for side files such as `run.json`.
    pub fn folder(&self) -> &Path {
        self.pending.path()
    }

    /// Gives the plate its final name. A writer dropped before this leaves nothing behind.
    ///
    /// # Errors
    /// [`DataError::Unfit`] where a sequence was never written, or [`DataError::Io`].
    pub fn finish(self) -> Result<(), DataError> {
        let written = self.written.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(index) = self.wanted.clone().find(|&index| !written[index]) {
            return Err(unfit(index, "state", "not written", &format!("all {} written", self.wanted.len())));
        }
        let mut lapsegan = json!({ "format": FORMAT });
        if let (Value::Object(all), Value::Object(meta)) = (&mut lapsegan, to_json(&self.meta)) {
            all.extend(meta);
        }
        let plate = ome_zarr::plate_object(&self.name, written.len(), self.wanted.clone());
        let folder = self.pending.path();
        let files = Files::new(folder);
        // A row is a group of its own, so that a walk from the plate down to an image meets metadata at every level.
        let rows: BTreeSet<String> = self
            .wanted
            .filter_map(|i| {
                ome_zarr::well_path(i, written.len()).split_once('/').map(|(row, _)| row.to_owned())
            })
            .collect();
        for row in &rows {
            ome_zarr::write_group(&files, row, json!({}))?;
        }
        ome_zarr::write_group(&files, "", json!({ "ome": plate, "lapsegan": lapsegan }))?;
        ome_zarr::sync(folder)?;
        self.pending.finish()
    }

    fn claim(&self, index: usize) -> Result<usize, DataError> {
        let mut written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = written.len();
        match written.get_mut(index).filter(|_| self.wanted.contains(&index)) {
            Some(done) if !*done => *done = true,
            Some(_) => return Err(unfit(index, "state", "written already", "each sequence once")),
            None => {
                return Err(unfit(index, "index", &index.to_string(), &format!("one of {:?}", self.wanted)));
            }
        }
        Ok(count)
    }

    fn check(&self, index: usize, sequence: &Sequence) -> Result<(), DataError> {
        let plate = &self.meta;
        let (t, h, w) = (plate.frames, plate.height, plate.width);
        let (found, expected) = (sequence.image.shape(), [t, plate.channels.len(), h, w]);
        if found != expected {
            return Err(unfit(
                index,
                "image shape",
                &format!("{found:?}"),
                &format!("{expected:?} [T, C, H, W]"),
            ));
        }
        let expected: BTreeSet<&str> = plate.label_names().into_iter().collect();
        let found: BTreeSet<&str> = sequence.labels.keys().map(String::as_str).collect();
        if found != expected {
            return Err(unfit(index, "label names", &format!("{found:?}"), &format!("{expected:?}")));
        }
        let shape = |labels: &Array3<u32>| labels.dim() == (t, h, w);
        let wrong = sequence.labels.iter().find(|(_, labels)| !shape(&labels.ids));
        if let Some((name, labels)) = wrong {
            let found = format!("{name} {:?}", labels.ids.shape());
            return Err(unfit(index, "label shape", &found, &format!("{:?} [T, H, W]", [t, h, w])));
        }
        Ok(())
    }
}

fn unfit(index: usize, field: &'static str, found: &str, expected: &str) -> DataError {
    DataError::Unfit { index, field, found: found.into(), expected: expected.into() }
}

fn to_json(meta: &impl Serialize) -> Value {
    serde_json::to_value(meta).expect("plate metadata has string keys only")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;

    use ndarray::Array4;
    use proptest::prelude::*;

    use super::*;
    use crate::error::{Advice, Exit};
    use crate::plate::{Calibration, Channel, LabelKind, LabelMeta, Origin, Plate, SequenceMeta, Split};

    fn meta(frames: usize, channels: usize, size: usize, labels: &[&str]) -> PlateMeta {
        PlateMeta {
            seed: 7,
            labels: labels
                .iter()
                .map(|&l| LabelMeta { name: l.into(), kind: LabelKind::of_name(l), route: None })
                .collect(),
            pixel_size_um: Some(0.065),
            ..PlateMeta::new(
                "prepare",
                Origin::Phantom,
                [frames, size, size],
                (0..channels)
                    .map(|c| Channel {
                        name: format!("channel{c}"),
                        color: [255, 10, c as u8],
                        recorded: None,
                        calibration: Calibration {
                            lo: 100.0,
                            hi: 2100.5,
                            clipped_low: 0.001,
                            clipped_high: 0.0,
                        },
                    })
                    .collect(),
            )
        }
    }

    fn sequence(meta: &PlateMeta, seed: u32, ids: u32) -> Sequence {
        let (t, c, h, w) = (meta.frames, meta.channels.len(), meta.height, meta.width);
        let noise = |i: usize| (i as u32 + 1).wrapping_mul(2_654_435_761).wrapping_add(seed) >> 7;
        let flat = |t: usize, y: usize, x: usize| (t * h + y) * w + x;
        Sequence {
            meta: SequenceMeta {
                source: "here".into(),
                first_frame: seed as usize,
                split: if seed.is_multiple_of(2) { Split::Train } else { Split::Test },
                split_group: format!("position-{seed}"),
                frame_ranges: None,
                label_margin: None,
            },
            image: Array4::from_shape_fn((t, c, h, w), |(t, c, y, x)| noise(flat(t * 8 + c, y, x)) as u16),
            labels: meta
                .labels
                .iter()
                .map(|label| {
                    let ids = Array3::from_shape_fn((t, h, w), |(t, y, x)| noise(flat(t, y, x)) % (ids + 1));
                    let parents =
                        if ids.iter().any(|&i| i == 2) { BTreeMap::from([(2, 1)]) } else { BTreeMap::new() };
                    (label.name.clone(), Labels { ids, parents })
                })
                .collect(),
        }
    }

    fn write(path: &Path, meta: &PlateMeta, sequences: &[Sequence]) {
        let writer = PlateWriter::create(path, meta, sequences.len(), false).unwrap();
        for (i, sequence) in sequences.iter().enumerate().rev() {
            writer.write(i, sequence).unwrap();
        }
        writer.finish().unwrap();
    }

    fn small(dir: &Path) -> PathBuf {
        let meta = meta(2, 2, 8, &["cells"]);
        let path = dir.join("p.ome.zarr");
        write(&path, &meta, &[sequence(&meta, 0, 3), sequence(&meta, 1, 0)]);
        path
    }

    fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(at) = folders.pop() {
            for entry in fs::read_dir(at).unwrap().map(|e| e.unwrap().path()) {
                if entry.is_dir() {
                    folders.push(entry);
                } else {
                    found.insert(entry.strip_prefix(folder).unwrap().to_owned(), fs::read(&entry).unwrap());
                }
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_written_is_read(
            frames in 1_usize..5, channels in 1_usize..4, size in 1_usize..20, count in 1_usize..6, ids in 0_u32..4,
            wide in any::<bool>(), named in 0_usize..3,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("p.ome.zarr");
            let meta = meta(frames, channels, size, &["cells", "structure"][..named]);
            let mut sequences: Vec<_> = (0..count).map(|i| sequence(&meta, i as u32, ids)).collect();
            if let Some(labels) = sequences[0].labels.get_mut("cells").filter(|_| wide) {
                labels.ids[[0, 0, 0]] = 70_000;
            }
            write(&path, &meta, &sequences);
            let plate = Plate::open(&path).unwrap();
            prop_assert_eq!(&plate.meta, &meta);
            for (i, sequence) in sequences.iter().enumerate() {
                prop_assert_eq!(&plate.read(i).unwrap(), sequence);
            }
        }
    }

    #[test]
    fn equal_plates_are_equal_bytes() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b) = (files(&small(a.path())), files(&small(b.path())));
        assert!(a.len() > 10 && a == b);
    }

    #[test]
    fn a_missing_cut_or_changed_shard_is_an_error_that_names_the_file() {
        for shard in ["A/1/0/0/c/0/0/0/0", "A/2/0/labels/cells/0/c/0/0/0/0"] {
            let dir = tempfile::tempdir().unwrap();
            let path = small(dir.path());
            let file = path.join(shard);
            let index = usize::from(shard.starts_with("A/2"));
            let good = fs::read(&file).unwrap();
            let read = || Plate::open(&path).unwrap().read(index);
            let check = |what: &str| {
                let error = read().unwrap_err();
                assert_eq!(error.exit(), Exit::BadInput, "{what}: {error}");
                assert!(error.to_string().contains(shard), "{what}: {error}");
                assert!(error.hint().is_some());
            };
            for cut in [0, 1, 10, good.len() / 2, good.len() - 1] {
                fs::write(&file, &good[..cut]).unwrap();
                check(&format!("cut to {cut}"));
            }
            for at in 0..good.len() {
                let mut bad = good.clone();
                // Bit 0, since bit 4 has no meaning in the first byte of a zstd frame.
                bad[at] ^= 0x01;
                fs::write(&file, &bad).unwrap();
                check(&format!("flipped byte {at} of {}", good.len()));
            }
            fs::remove_file(&file).unwrap();
            assert!(matches!(Plate::open(&path), Err(DataError::MissingPixels { path }) if path == file));
            assert!(matches!(
                Plate::open_unseen(&path).unwrap().read(index),
                Err(DataError::MissingPixels { .. })
            ));
        }
    }

    #[test]
    fn other_stores_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = small(dir.path());
        let json = path.join("zarr.json");
        let good = fs::read_to_string(&json).unwrap();
        let open_error = || Plate::open(&path).unwrap_err();
        for (from, to, part) in [
            ("\"version\": \"0.5\"", "\"version\": \"0.6\"", "OME-Zarr 0.6"),
            ("\"lapsegan\"", "\"other\"", "not a LapseGAN plate"),
            ("\"ome\"", "\"omen\"", "not OME-Zarr"),
            ("\"seed\"", "\"seat\"", "seed"),
            ("\"format\": 2", "\"format\": 3", "plate format 3"),
            ("\"format\": 2", "\"format\": 0", "format: 0, expected"),
            ("\"format\": 2", "\"format\": -1", "format: -1, expected"),
            ("\"format\": 2", "\"format\": 1.5", "format: 1.5, expected"),
            ("\"format\": 2", "\"format\": true", "format: true, expected"),
            ("\"format\": 2", "\"format\": \"x\"", "format: \"x\", expected"),
            ("{", "", "no JSON"),
        ] {
            fs::write(&json, good.replacen(from, to, 1)).unwrap();
            let error = open_error();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit(), Exit::BadInput);
        }
        fs::remove_file(&json).unwrap();
        assert!(open_error().to_string().contains("no zarr.json"));
        fs::write(path.join(".zattrs"), "{}").unwrap();
        assert!(open_error().to_string().contains("0.4"));
        assert_eq!(Plate::open(&dir.path().join("none")).unwrap_err().exit(), Exit::InputMissing);
    }

    #[test]
    fn a_sequence_that_does_not_fit_is_refused_and_an_unfinished_plate_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let plate = meta(2, 1, 8, &["cells"]);
        let writer = PlateWriter::create(&dir.path().join("p"), &plate, 2, false).unwrap();
        assert!(writer.write(0, &sequence(&meta(3, 1, 8, &["cells"]), 0, 1)).is_err());
        assert!(writer.write(1, &sequence(&meta(2, 1, 8, &["nuclei"]), 0, 1)).is_err());
        assert!(writer.write(2, &sequence(&plate, 0, 1)).is_err());
        drop(writer);
        let writer = PlateWriter::create(&dir.path().join("p"), &plate, 2, false).unwrap();
        writer.write(0, &sequence(&plate, 0, 1)).unwrap();
        assert!(writer.write(0, &sequence(&plate, 0, 1)).is_err());
        assert!(writer.finish().unwrap_err().to_string().contains("sequence 1"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn frame_ranges_take_the_place_of_the_channel_calibration() {
        let plate = meta(2, 1, 1, &[]);
        let mut sequence = sequence(&plate, 0, 0);
        sequence.image.fill(1100);
        sequence.meta.frame_ranges = Some(vec![vec![[1000.0, 1200.0]], vec![[0.0, 550.0]]]);
        assert_eq!(sequence.normalised(&plate).into_raw_vec_and_offset().0, [0.5, 1.0]);
        sequence.meta.frame_ranges = None;
        assert!((sequence.normalised(&plate)[[0, 0, 0, 0]] - 1000.0 / 2000.5).abs() < 1e-6);
    }
}
