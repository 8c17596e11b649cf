//! Small plates of moving discs, for tests that need a plate but no particular biology.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lapsegan::data::plate::{
    Calibration, Channel, Labels, Origin, PlateMeta, PlateWriter, Sequence, SequenceMeta, Split,
};
use ndarray::{Array3, Array4};

/// Writes `groups` split groups of `per_group` sequences of 3 frames and 2 channels, and returns the plate's path.
///
/// The groups go to train, val, test in turn. Discs differ by group and sequence; fluorescence is bright inside.
pub(crate) fn discs(folder: &Path, name: &str, size: usize, groups: usize, per_group: usize) -> PathBuf {
    let path = folder.join(name);
    let calibration = Calibration { lo: 100.0, hi: 1100.0, clipped_low: 0.0, clipped_high: 0.0 };
    let channel = |name: &str, color| Channel { name: name.into(), color, calibration };
    let meta = PlateMeta {
        tool: "test".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        origin: Origin::Phantom,
        seed: 0,
        frames: 3,
        height: size,
        width: size,
        channels: vec![channel("brightfield", [255, 255, 255]), channel("gfp", [0, 255, 0])],
        labels: vec!["cells".into()],
        label_route: Some("phantom_truth".into()),
        pixel_size_um: Some(0.5),
        frame_interval_s: Some(60.0),
        single_movie: false,
        normalise: "percentile".into(),
        trained_on: Vec::new(),
        notes: Vec::new(),
    };
    let writer = PlateWriter::create(&path, &meta, groups * per_group, false).unwrap();
    for group in 0..groups {
        for i in 0..per_group {
            let index = group * per_group + i;
            writer.write(index, &sequence(size, group, i)).unwrap();
        }
    }
    writer.finish().unwrap();
    path
}

fn sequence(size: usize, group: usize, i: usize) -> Sequence {
    let mut image = Array4::zeros((3, 2, size, size));
    let mut ids = Array3::zeros((3, size, size));
    let radius = size as f64 / 6.0;
    for t in 0..3 {
        for y in 0..size {
            for x in 0..size {
                let grain = ((x * 31 + y * 17 + t * 7 + i * 3 + group * 5) % 23) as u16 * 4;
                image[[t, 0, y, x]] = 500 + grain;
                image[[t, 1, y, x]] = 150 + grain;
                for cell in 0..2_usize {
                    let centre = |axis: usize| {
                        let start = size / 4 + cell * size / 2;
                        (start + (group * 3 + i * 2 + axis * 5) % 5 + t) as f64 - 2.0
                    };
                    let distance = ((y as f64 - centre(0)).powi(2) + (x as f64 - centre(1)).powi(2)).sqrt();
                    if distance < radius {
                        image[[t, 0, y, x]] = 250 + grain;
                        image[[t, 1, y, x]] = 800 + grain;
                        ids[[t, y, x]] = cell as u32 + 1;
                    }
                }
            }
        }
    }
    Sequence {
        meta: SequenceMeta {
            source: format!("discs {group}"),
            first_frame: i,
            split: [Split::Train, Split::Val, Split::Test][group % 3],
            split_group: format!("group-{group}"),
            frame_ranges: None,
        },
        image,
        labels: BTreeMap::from([("cells".to_owned(), Labels { ids, parents: BTreeMap::new() })]),
    }
}
