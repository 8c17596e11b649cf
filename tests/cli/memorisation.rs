//! The memorisation test of `evaluate` from the outside: what is copied is found, what is not is left alone.

use std::fs;
use std::path::Path;

use lapsegan_core::plate::{Plate, PlateWriter, Sequence, Split};
use ndarray::{Array4, Axis};
use serde_json::Value;

use crate::support::drawings::Drawing;
use crate::support::programs::{program, result};

/// A real plate of 40 training and 32 held-out sequences in eight groups.
fn real() -> Drawing {
    Drawing { splits: [40, 16, 16], ..Drawing::real() }
}

fn synthetic(count: usize) -> Drawing {
    Drawing { splits: [count, 0, 0], ..Drawing::synthetic() }
}

fn written(real: &Drawing, synthetic: &Drawing) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    real.write(&dir.path().join("real.ome.zarr"));
    synthetic.write(&dir.path().join("synthetic.ome.zarr"));
    dir
}

/// Runs `evaluate` and returns `memorisation`, the warnings and the page.
fn evaluated(dir: &Path, more: &[&str]) -> (Value, String, String) {
    let mut command = program("evaluate");
    command.current_dir(dir).args("--real real.ome.zarr --synthetic synthetic.ome.zarr".split(' '));
    command.args("--output out --overwrite --set swd_directions=4 --set swd_patches=4".split(' '));
    command.args("--set draws=1 --set half_draws=2".split(' ')).args(more);
    result(&command.output().unwrap());
    let read = |name: &str| fs::read_to_string(dir.join("out").join(name)).unwrap();
    let metrics: Value = serde_json::from_str(&read("metrics.json")).unwrap();
    (metrics["memorisation"].clone(), metrics["warnings"].to_string(), read("report.html"))
}

/// Replaces every `every`-th synthetic sequence by a copy of a real one of the given splits: mirrored, turned, moved by a
/// pixel and with other noise. Returns the wells that were copied.
fn copy(dir: &Path, every: usize, splits: &[Split]) -> Vec<String> {
    let real = Plate::open(&dir.join("real.ome.zarr")).unwrap();
    let path = dir.join("synthetic.ome.zarr");
    let plate = Plate::open(&path).unwrap();
    let sources: Vec<usize> =
        (0..real.wells.len()).filter(|i| splits.contains(&real.wells[*i].1.split)).collect();
    let mut copied = Vec::new();
    let sequences: Vec<Sequence> = (0..plate.wells.len())
        .map(|i| {
            let mut sequence = plate.read(i).unwrap();
            if i % every == 0 {
                let source = sources[(7 * i) % sources.len()];
                sequence.image = disguised(&real.read(source).unwrap().image, i);
                copied.push(real.wells[source].0.clone());
            }
            sequence
        })
        .collect();
    let writer = PlateWriter::create(&path, &plate.meta, sequences.len(), true).unwrap();
    for (i, sequence) in sequences.iter().enumerate() {
        writer.write(i, sequence).unwrap();
    }
    writer.finish().unwrap();
    copied
}

/// `[T, C, H, W]`
fn disguised(image: &Array4<u16>, k: usize) -> Array4<u16> {
    let mut view = image.view();
    for (bit, axis) in [(1, 2), (2, 3)] {
        if k & bit != 0 {
            view.invert_axis(Axis(axis));
        }
    }
    if k & 4 != 0 {
        view.swap_axes(2, 3);
    }
    let last = image.dim().2 - 1;
    Array4::from_shape_fn(image.dim(), |(t, c, y, x)| {
        let noise = (13 * t + 5 * c + 31 * y + 17 * x * x + k) % 15;
        view[[t, c, (y + k % 2).min(last), x]] + noise as u16
    })
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn copies_of_training_sequences_are_found_out_and_shown() {
    let dir = written(&real(), &synthetic(24));
    let copied = copy(dir.path(), 1, &[Split::Train]);
    let (found, warnings, page) = evaluated(dir.path(), &[]);
    assert_eq!(found["suspicious"], true, "{found:#}");
    assert!(number(&found["beyond"]["synthetic"]) > 0.9, "{found:#}");
    assert!(number(&found["beyond"]["interval"][0]) > 0.5, "{found:#}");
    assert!(number(&found["ratio_synthetic"]["median"]) < 0.7, "{found:#}");
    let worst = found["worst"].as_array().unwrap();
    assert_eq!(worst.len(), 20);
    for pair in worst {
        assert!(copied.contains(&pair["training"]["well"].as_str().unwrap().to_owned()), "{pair}");
    }
    assert!(worst.iter().any(|pair| pair["training"]["symmetry"] != "as it is"));
    assert!(warnings.contains("Memorisation: "), "{warnings}");
    assert!(
        page.contains("Are training sequences repeated?") && page.contains("nearest to a training sequence")
    );
}

#[test]
fn a_third_of_copies_is_enough() {
    let dir = written(&real(), &synthetic(48));
    copy(dir.path(), 3, &[Split::Train]);
    let (found, ..) = evaluated(dir.path(), &[]);
    assert_eq!(found["suspicious"], true, "{found:#}");
    let share = number(&found["beyond"]["synthetic"]);
    assert!((0.3..0.6).contains(&share), "{found:#}");
}

#[test]
fn independent_sequences_are_not_called_copies() {
    for seed in [2, 3] {
        let dir = written(&real(), &Drawing { seed, ..synthetic(40) });
        let (found, warnings, _) = evaluated(dir.path(), &[]);
        assert_eq!(found["suspicious"], false, "{found:#}");
        assert!(!warnings.contains("Memorisation"), "{warnings}");
        assert!(found["finding"].as_str().unwrap().contains("no proof"), "{found:#}");
    }
}

#[test]
fn copies_of_held_out_sequences_are_no_memorisation() {
    let dir = written(&real(), &synthetic(24));
    copy(dir.path(), 1, &[Split::Val, Split::Test]);
    let (found, ..) = evaluated(dir.path(), &[]);
    assert_eq!(found["suspicious"], false, "{found:#}");
    assert!(number(&found["ratio_synthetic"]["median"]) > 1.3, "{found:#}");
    assert!(number(&found["closer"]["synthetic"]) < number(&found["closer"]["held_out"]), "{found:#}");
}

#[test]
fn equal_seeds_give_equal_numbers_and_other_ones_other_draws() {
    let dir = written(&real(), &synthetic(16));
    let [first, again, other] = ["1", "1", "2"].map(|seed| evaluated(dir.path(), &["--seed", seed]).0);
    assert_eq!(first, again);
    assert_ne!(first["closer"], other["closer"]);
    assert_eq!(first["threshold"], other["threshold"]);
}

#[test]
fn with_few_held_out_sequences_it_says_why_there_is_none() {
    let dir = written(&Drawing { splits: [12, 2, 4], ..Drawing::real() }, &synthetic(8));
    let (found, _, page) = evaluated(dir.path(), &[]);
    assert!(found["missing"].as_str().unwrap().contains("6 held-out sequences"), "{found}");
    assert!(found.get("beyond").is_none() && page.contains("Not tested"), "{found}");
}

#[test]
fn constant_images_single_frames_and_any_number_of_channels_have_numbers() {
    let cases = [
        Drawing { noise: 0, discs: 0, ..real() },
        Drawing { frames: 1, channels: vec!["phase"], ..real() },
        Drawing { channels: vec!["a", "b", "c", "d", "e"], splits: [12, 8, 8], ..real() },
    ];
    for (case, real) in cases.into_iter().enumerate() {
        let like = Drawing { seed: 5, ..synthetic(12) };
        let synthetic = Drawing {
            frames: real.frames,
            channels: real.channels.clone(),
            noise: real.noise,
            discs: real.discs,
            ..like
        };
        let (found, ..) = evaluated(written(&real, &synthetic).path(), &[]);
        assert!(!found.to_string().contains("null"), "case {case}: {found:#}");
        assert_eq!(found["suspicious"], false, "case {case}: {found:#}");
        if case == 0 {
            assert_eq!(number(&found["ratio_synthetic"]["median"]), 1.0);
            assert_eq!(number(&found["closer"]["synthetic"]), 0.5);
        }
    }
}
