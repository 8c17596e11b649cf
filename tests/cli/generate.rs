//! `generate`: same seed, same bytes; checkpoints that do not fit.

use std::fs;
use std::path::{Path, PathBuf};

use lapsegan_core::plate::digest::Digest;
use lapsegan_core::plate::groups::SplitGroup;
use lapsegan_core::plate::{Origin, Plate};

use crate::support::drawings::Drawing;
use crate::support::programs::{expect_nothing_left, fail, names, succeed};
use crate::support::small_disk::SmallDisk;

/// Trains nothing and returns a run folder with the untrained networks.
pub(super) fn untrained(dir: &Path) -> PathBuf {
    let data = dir.join("discs.ome.zarr");
    Drawing { splits: [4; 3], side: 16, ..Drawing::real() }.write(&data);
    let run = dir.join("run");
    let (data, output) = (data.to_str().unwrap(), run.to_str().unwrap());
    succeed("train", &["--data", data, "--output", output, "--kimg", "0", "--device", "cpu", "-q"]);
    run
}

pub(super) fn generate<'a>(checkpoint: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["--checkpoint", checkpoint.to_str().unwrap(), "--output", output.to_str().unwrap()];
    all.extend(["--device", "cpu", "--threads", "1", "-q"]);
    if !more.contains(&"--count") {
        all.extend(["--count", "5"]);
    }
    all.extend(more);
    all
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    let plate = |name: &str, more: &[&str]| {
        let path = dir.path().join(name);
        succeed("generate", &generate(&run, &path, more));
        path
    };
    let (a, b) = (plate("a.ome.zarr", &[]), plate("b.ome.zarr", &[]));
    assert_eq!(Digest::of(&a).unwrap(), Digest::of(&b).unwrap());
    let c = plate("c.ome.zarr", &["--seed", "1"]);
    assert_ne!(Digest::of(&a).unwrap(), Digest::of(&c).unwrap());

    let plate = Plate::open(&a).unwrap();
    assert_eq!(plate.meta.origin, Origin::Synthetic);
    let trained_on: Vec<&str> = plate.meta.trained_on.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(trained_on, ["train-0", "train-1", "train-2", "train-3"]);
    // What these groups show travels along, for whoever must not be tested on it.
    let data = Plate::open(&dir.path().join("discs.ome.zarr")).unwrap();
    assert_eq!(plate.meta.trained_on, data.training_groups());
    assert!(plate.meta.trained_on.iter().all(SplitGroup::is_known) && plate.meta.groups.is_empty());
    assert_eq!(plate.meta.label_route(), Some("fluorescence_threshold"));
    assert_eq!(plate.wells.len(), 5);
    let sequence = plate.read(4).unwrap();
    assert_eq!(sequence.image.dim(), (3, 2, 16, 16));
    // Counts lie within the calibration of the training data.
    assert!(sequence.image.iter().all(|&counts| (100..=1100).contains(&counts)));
    assert!(sequence.labels.contains_key("cells"));
    assert!(a.join("contact_sheet.png").is_file() && a.join("run.json").is_file());
}

#[test]
fn truncation_to_zero_gives_every_sequence_the_mean_style() {
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    let path = dir.path().join("mean.ome.zarr");
    // Untrained noise strengths are zero, so that nothing but the latent differs between sequences.
    succeed("generate", &generate(&run, &path, &["--truncation-psi", "0", "--label-route", "none"]));
    let plate = Plate::open(&path).unwrap();
    assert_eq!(plate.read(0).unwrap().image, plate.read(4).unwrap().image);
    assert!(plate.meta.labels.is_empty());
}

#[test]
fn checkpoints_that_do_not_fit_are_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    let output = dir.path().join("out.ome.zarr");
    let name = fs::read_to_string(run.join("checkpoints/latest")).unwrap();
    let tensors = run.join("checkpoints").join(name.trim());

    fail("generate", &generate(Path::new("nowhere.safetensors"), &output, &[]), 66, &["nowhere.safetensors"]);
    fail("generate", &generate(&run, &output, &["--label-channel", "rfp"]), 2, &["rfp", "gfp"]);
    fail("generate", &generate(&run, &output, &["--truncation-psi", "-3"]), 2, &["--truncation-psi"]);

    // A side file that claims another network.
    let side = tensors.with_extension("json");
    let text = fs::read_to_string(&side).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    manifest["config"]["model"]["generator"]["latent"] = 32.into();
    fs::write(&side, manifest.to_string()).unwrap();
    fail("generate", &generate(&tensors, &output, &[]), 65, &["own digest"]);
    fs::write(&side, "{}").unwrap();
    fail("generate", &generate(&tensors, &output, &[]), 65, &["missing field"]);
    fs::write(&side, text).unwrap();

    let bytes = fs::read(&tensors).unwrap();
    fs::write(&tensors, &bytes[..100]).unwrap();
    fail("generate", &generate(&tensors, &output, &[]), 65, &["digest"]);
    expect_nothing_left(&output);
    fs::write(&tensors, bytes).unwrap();
    succeed("generate", &generate(&tensors, &output, &[]));
    fail("generate", &generate(&tensors, &output, &[]), 73, &["already exists"]);
}

#[test]
fn a_full_disk_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = untrained(dir.path());
    let output = disk.path().join("out.ome.zarr");
    fail("generate", &generate(&run, &output, &[]), 1, &["No space left", "free space"]);
    assert!(names(disk.path()).is_empty(), "{:?}", names(disk.path()));
}
