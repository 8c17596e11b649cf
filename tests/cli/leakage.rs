//! Leakage is found by frames: `prepare` on recordings that are the same or not, under the same or other names.

use std::collections::BTreeSet;
use std::path::Path;

use lapsegan_core::input::tiff;
use lapsegan_core::plate::compare::{Comparison, Finding, Scope, compare};
use lapsegan_core::plate::{Origin, Plate, Split};
use ndarray::Array2;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::programs::{result, run_in};

const HELD_OUT: &[Split] = &[Split::Val, Split::Test];

/// Writes noisy frames of 32 x 32 pixels as `movie/<position>/t*.tif`, the first `blank` of each without a picture.
fn record(folder: &Path, positions: &[&str], frames: u16, blank: u16, seed: u64) {
    for (p, position) in positions.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(100 * seed + p as u64);
        for t in 0..frames {
            let noise = Array2::from_shape_simple_fn((32, 32), || rng.random_range(300..900));
            let plane = if t < blank { Array2::from_elem((32, 32), 200) } else { noise };
            tiff::write(&folder.join("movie").join(position).join(format!("t{t:03}.tif")), plane.view())
                .unwrap();
        }
    }
}

/// Prepares `movie` of a folder.
fn prepare(folder: &Path, more: &[&str]) -> Plate {
    let output = format!("plate{}.ome.zarr", more.join(""));
    result(&run_in(
        folder,
        "prepare",
        &[&["--channel", "phase=movie", "--output", &output, "-q"], more].concat(),
    ));
    Plate::open(&folder.join(output)).unwrap()
}

/// Returns what a generator that was trained on a plate would write.
fn generated(from: &Plate) -> Plate {
    let mut meta = from.meta.clone();
    (meta.trained_on, meta.groups, meta.origin) = (from.training_groups(), Vec::new(), Origin::Synthetic);
    Plate { path: "synthetic.ome.zarr".into(), meta, wells: from.wells.clone() }
}

fn judge(real: &Plate, synthetic: &Plate) -> Comparison {
    compare(real, synthetic, Scope { channels: None, held_out: HELD_OUT })
}

/// Returns the held-out groups of `real` whose frames `synthetic` was trained on.
fn leaked(real: &Plate, synthetic: &Plate) -> BTreeSet<String> {
    let comparison = judge(real, synthetic);
    let doubt = |f: &Finding| matches!(f, Finding::SameNames { .. } | Finding::NamesOnly);
    assert!(!comparison.findings.iter().any(doubt), "{comparison:?}");
    comparison.leaked_groups().into_iter().collect()
}

fn names(plate: &Plate, splits: &[Split]) -> BTreeSet<String> {
    plate.groups(splits).into_iter().map(|group| group.name).collect()
}

const POSITIONS: [&str; 6] = ["p0", "p1", "p2", "p3", "p4", "p5"];

#[test]
fn renamed_positions_and_other_tiles_hide_nothing() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &POSITIONS, 6, 0, 1);
    let a = prepare(dir.path(), &["--size", "32"]);
    let synthetic = generated(&a);
    assert_eq!(leaked(&a, &synthetic), BTreeSet::new());
    let copy = tempfile::tempdir().unwrap();
    record(copy.path(), &["xy0", "xy1", "xy2", "xy3", "xy4", "xy5"], 6, 0, 1);
    let trained = names(&a, &[Split::Train]);
    let mut found = 0;
    for seed in ["1", "2", "3"] {
        let more = ["--size", "16", "--downscale", "2", "--stride", "1", "--seed", seed];
        for (folder, more) in [(&copy, &["--size", "32", "--seed", seed][..]), (&dir, &more)] {
            let b = prepare(folder.path(), more);
            let old = |name: &String| name.replace("xy", "p");
            let expected: BTreeSet<String> =
                names(&b, HELD_OUT).into_iter().filter(|name| trained.contains(&old(name))).collect();
            assert_eq!(leaked(&b, &synthetic), expected, "{more:?}");
            found += expected.len();
        }
    }
    assert!(found > 0, "the seeds deal the positions alike");
}

#[test]
fn equal_names_of_an_unrelated_recording_accuse_nobody_even_with_blank_frames() {
    let dirs = [(), ()].map(|()| tempfile::tempdir().unwrap());
    for (seed, dir) in dirs.iter().enumerate() {
        record(dir.path(), &POSITIONS, 6, 2, seed as u64);
    }
    let [a, b] = dirs.map(|dir| prepare(dir.path(), &["--size", "32", "--seed", "5"]));
    assert_eq!(names(&a, HELD_OUT), names(&b, HELD_OUT));
    let mut synthetic = generated(&a);
    assert_eq!(leaked(&b, &synthetic), BTreeSet::new());
    // Without digests the same plates are under suspicion, by their names.
    synthetic.meta.trained_on = b.groups(&[Split::Test]);
    for group in &mut synthetic.meta.trained_on {
        *group = serde_json::from_value(group.name.clone().into()).unwrap();
    }
    assert_eq!(
        judge(&b, &synthetic).leaked_groups(),
        names(&b, &[Split::Test]).into_iter().collect::<Vec<_>>()
    );
}

#[test]
fn blocks_of_another_length_of_one_movie_are_found() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), &["only"], 60, 0, 3);
    let [a, b] = ["4", "9"].map(|block| prepare(dir.path(), &["--size", "32", "--block", block]));
    assert!(a.meta.single_movie);
    let leaked = leaked(&b, &generated(&a));
    assert!(!leaked.is_empty());
    // By its number alone another block would be accused.
    assert_ne!(leaked, &names(&a, &[Split::Train]) & &names(&b, HELD_OUT));
}
