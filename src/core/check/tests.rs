//! A good store, and what is done to it.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Array4};
use serde_json::{Value, json};

use super::*;
use crate::plate::groups::SplitGroup;
use crate::plate::{
    Calibration, Channel, LabelKind, LabelMeta, Labels, Origin, PlateMeta, PlateWriter, Sequence,
    SequenceMeta, Split,
};

fn plate(folder: &Path) -> PathBuf {
    let calibration = Calibration { lo: 0.0, hi: 1000.0, clipped_low: 0.0, clipped_high: 0.0 };
    let meta = PlateMeta {
        seed: 1,
        labels: vec![LabelMeta { name: "cells".into(), kind: LabelKind::Objects, route: None }],
        pixel_size_um: Some(0.1),
        frame_interval_s: Some(60.0),
        groups: vec![SplitGroup::new("p0", [1, 2]), SplitGroup::new("p1", [3, 4])],
        ..PlateMeta::new(
            "test",
            Origin::Recording,
            [2, 8, 8],
            vec![Channel { name: "bf".into(), color: [255; 3], recorded: None, calibration }],
        )
    };
    let path = folder.join("p.ome.zarr");
    let writer = PlateWriter::create(&path, &meta, 2, false).unwrap();
    for (index, split) in [Split::Train, Split::Test].into_iter().enumerate() {
        let ids = Array3::from_shape_fn((2, 8, 8), |(_, y, _)| u32::from(y > 3) * 5);
        let labels = Labels { ids, parents: std::collections::BTreeMap::new() };
        let image = Array4::from_shape_fn((2, 1, 8, 8), |(t, _, y, x)| (t * 100 + y * 8 + x) as u16);
        let meta = SequenceMeta {
            source: "s".into(),
            first_frame: 0,
            split,
            split_group: format!("p{index}"),
            frame_ranges: None,
            label_margin: None,
        };
        let sequence = Sequence { meta, image, labels: [("cells".to_owned(), labels)].into() };
        writer.write(index, &sequence).unwrap();
    }
    writer.finish().unwrap();
    path
}

/// Changes a JSON file.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn problems(path: &Path) -> Vec<String> {
    store(path, &|| {}).unwrap().problems.iter().map(|p| format!("{}: {}", p.path, p.found)).collect()
}

#[test]
fn a_plate_that_was_just_written_is_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = plate(dir.path());
    let found = store(&path, &|| {}).unwrap();
    assert_eq!(found.problems, []);
    assert_eq!((found.images, found.labels, found.arrays, found.chunks), (2, 2, 4, 4));
    assert_eq!(found.what, "OME-Zarr 0.5 plate");
}

#[test]
fn whatever_is_wrong_is_found_and_named() {
    type Change = fn(&Path);
    let cases: [(Change, &str); 16] = [
        (|p| fs::remove_file(p.join("A/1/0/0/c/0/0/0/0")).unwrap(), "A/1/0/0/c/0/0/0/0: is missing"),
        (
            |p| {
                let file = p.join("A/1/0/0/c/0/0/0/0");
                let bytes = fs::read(&file).unwrap();
                fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
            },
            "A/1/0/0/c/0/0/0/0: is cut or changed",
        ),
        (
            |p| {
                let file = p.join("A/1/0/labels/cells/0/c/0/0/0/0");
                let mut bytes = fs::read(&file).unwrap();
                bytes[12] ^= 4;
                fs::write(&file, bytes).unwrap();
            },
            "A/1/0/labels/cells/0/c/0/0/0/0: is cut or changed",
        ),
        (
            |p| {
                change(&p.join("A/1/0/zarr.json"), |v| {
                    v["attributes"]["ome"]["omero"]["channels"][0]["color"] = json!("#FF0000");
                });
            },
            "A/1/0: channel 0 has the colour `#FF0000`",
        ),
        (
            |p| {
                change(&p.join("A/1/0/zarr.json"), |v| {
                    v["attributes"]["ome"]["omero"]["channels"] = json!([]);
                });
            },
            "A/1/0: describes 0 channels (omero), and has 1",
        ),
        (
            |p| {
                change(&p.join("A/1/0/zarr.json"), |v| {
                    let level = &mut v["attributes"]["ome"]["multiscales"][0]["datasets"][0];
                    level["coordinateTransformations"][0]["scale"] = json!([1, 1, 0, 1]);
                });
            },
            "A/1/0/0: has a scale that is not above 0",
        ),
        (
            |p| {
                change(&p.join("A/1/0/zarr.json"), |v| {
                    v["attributes"]["ome"]["multiscales"][0]["axes"][2]["unit"] = json!("um");
                });
            },
            "A/1/0: has the unit `um`",
        ),
        (
            |p| {
                change(&p.join("A/1/0/zarr.json"), |v| {
                    let axes = v["attributes"]["ome"]["multiscales"][0]["axes"].as_array_mut().unwrap();
                    axes.swap(0, 1);
                });
            },
            "A/1/0: has axes out of order",
        ),
        (
            |p| change(&p.join("A/1/0/0/zarr.json"), |v| v["dimension_names"] = json!(["c", "t", "y", "x"])),
            "dimension_names",
        ),
        (
            |p| {
                change(&p.join("A/1/0/labels/zarr.json"), |v| {
                    v["attributes"]["ome"]["labels"] = json!(["cells", "buds"]);
                });
            },
            "A/1/0/labels/buds: is listed, and is not there",
        ),
        (
            |p| change(&p.join("A/1/0/labels/zarr.json"), |v| v["attributes"]["ome"]["labels"] = json!([])),
            "A/1/0/labels: holds cells, which is not listed",
        ),
        (
            |p| {
                change(&p.join("A/1/0/labels/cells/zarr.json"), |v| {
                    v["attributes"]["ome"]["image-label"]["properties"] = json!([{ "label-value": 9 }]);
                });
            },
            "A/1/0/labels/cells: 1 of its ids have no properties, the first is 5",
        ),
        (
            |p| {
                change(&p.join("A/1/0/labels/cells/zarr.json"), |v| {
                    v["attributes"]["ome"]["image-label"]["colors"] = json!([]);
                });
            },
            "A/1/0/labels/cells: has an empty list of colours",
        ),
        (
            |p| {
                change(&p.join("zarr.json"), |v| {
                    v["attributes"]["ome"]["plate"]["wells"][0]["rowIndex"] = json!(7);
                });
            },
            ": the well `A/1` is not the one of its row and column index",
        ),
        (
            |p| {
                change(&p.join("zarr.json"), |v| {
                    let groups = v["attributes"]["lapsegan"]["groups"].as_array_mut().unwrap();
                    groups[1]["frames"] = json!("0000000000000002");
                });
            },
            ": p0 (train) and p1 (test) share frames",
        ),
        (|p| fs::write(p.join("A/1/0/zarr.json"), "{").unwrap(), "A/1/0: its attributes are no JSON"),
    ];
    for (change, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = plate(dir.path());
        change(&path);
        let found = problems(&path);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{expected} is not in {found:#?}");
    }
}

#[test]
fn levels_are_compared_with_the_first() {
    let level = |shape: [u64; 2], kind: &str| array::About {
        shape: shape.to_vec(),
        kind: kind.into(),
        axes: None,
        ids: None,
    };
    let of = |second: array::About, scale: f64| {
        let log = Log { findings: Mutex::default() };
        let levels = image::Levels {
            axes: vec!["y".into(), "x".into()],
            arrays: vec![level([101, 100], "uint16"), second],
        };
        image::compare(&levels, &[vec![1.0, 1.0], vec![scale, scale]], "", &log);
        let problems = log.findings.into_inner().unwrap().problems;
        problems.into_iter().map(|p| p.rule).collect::<Vec<_>>()
    };
    assert_eq!(of(level([50, 50], "uint16"), 2.0), [""; 0]);
    assert_eq!(of(level([51, 50], "uint16"), 2.0), [""; 0]);
    assert_eq!(of(level([50, 50], "uint8"), 2.0), ["type"]);
    assert_eq!(of(level([202, 200], "uint16"), 0.5), ["shape"]);
    assert_eq!(of(level([50, 50], "uint16"), 4.0), ["scale", "scale"]);
}

#[test]
fn what_is_no_store_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(store(dir.path(), &|| {}).is_err());
    fs::write(dir.path().join("zarr.json"), r#"{"attributes": {"ome": {}}}"#).unwrap();
    assert_eq!(store(dir.path(), &|| {}).unwrap().errors(), 1);
}
