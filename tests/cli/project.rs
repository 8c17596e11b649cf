//! `generate project`: what the generator has drawn is found again, what it has learned less well, noise not at all.

use std::fs;
use std::path::{Path, PathBuf};

use lapsegan_core::plate::{Plate, PlateWriter};
use ndarray::Array4;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::support::drawings::Drawing;
use crate::support::programs::{expect_nothing_left, fail, succeed};
use crate::support::root;

fn checkpoint() -> PathBuf {
    root().join("test-data/phantom-tiny.safetensors")
}

fn project<'a>(real: &'a Path, output: &'a Path, checkpoint: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let text = |path: &'a Path| path.to_str().unwrap();
    let mut all = vec!["project", "--checkpoint", text(checkpoint), "--real", text(real)];
    all.extend(["--output", text(output), "--device", "cpu", "--threads", "1", "-q"]);
    all.extend(more);
    all
}

/// Writes a plate like another one, of pixels that know nothing of each other.
fn noise(like: &Path, path: &Path) {
    let like = Plate::open(like).unwrap();
    let writer = PlateWriter::create(path, &like.meta, 2, false).unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    for i in 0..2 {
        let mut sequence = like.read(i).unwrap();
        let mut image = Array4::zeros(sequence.image.dim());
        for (c, channel) in like.meta.channels.iter().enumerate() {
            let range = channel.calibration;
            image
                .index_axis_mut(ndarray::Axis(1), c)
                .mapv_inplace(|_| rng.random_range(range.lo..range.hi) as u16);
        }
        sequence.image = image;
        writer.write(i, &sequence).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn own_images_are_found_phantoms_less_well_and_noise_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let checkpoint = checkpoint();
    let (own, phantom, random) = (at("own.ome.zarr"), at("phantom.ome.zarr"), at("noise.ome.zarr"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let cpu = ["--device", "cpu", "--threads", "1", "-q"];
    let generate = ["--checkpoint", &text(&checkpoint), "--output", &text(&own), "--count", "2"];
    succeed("generate", &[&generate[..], &cpu].concat());
    let made = ["phantom", "--output", &text(&phantom), "--seed", "77", "--set", "positions=4", "-q"];
    succeed("prepare", &[&made[..], &["--frames-per-position", "6"]].concat());
    noise(&phantom, &random);
    let residual = |real: &Path, name: &str| -> f64 {
        let more = ["--sequences", "0,1", "--steps", "200"];
        let result = succeed("generate", &project(real, &at(name), &checkpoint, &more));
        assert_eq!(result["projection"]["worst"].as_array().unwrap().len(), 2);
        result["projection"]["mean_residual"].as_f64().unwrap()
    };
    let found = [(&own, "a"), (&phantom, "b"), (&random, "c")]
        .map(|(real, name)| residual(real, &format!("{name}.ome.zarr")));
    // Measured: see docs/latent-space.md.
    assert!(found[0] < 0.05 && found[1] > 1.5 * found[0] && found[1] < 0.5 && found[2] > 0.7, "{found:?}");

    // Whoever is tested on these sequences must not learn from their projections.
    let (real, plate) = (Plate::open(&phantom).unwrap(), Plate::open(&at("b.ome.zarr")).unwrap());
    let group = &real.wells[0].1.split_group;
    assert!(plate.meta.trained_on.iter().any(|seen| seen.name == *group));
    let table: Value = serde_json::from_slice(&fs::read(at("b.ome.zarr/projection.json")).unwrap()).unwrap();
    let rows = table["sequences"].as_array().unwrap();
    assert!(rows[0]["residual"].as_f64() >= rows[1]["residual"].as_f64());
    assert!(rows[0]["mse_counts"]["gfp"].as_f64().unwrap() > 0.0 && rows[0]["swd_x1e3"].is_number());

    // Latents and noise are kept: they give the projections again.
    let again = at("again.ome.zarr");
    let given = ["--checkpoint", &text(&checkpoint), "--output", &text(&again)];
    let latents = ["--latents", &text(&at("b.ome.zarr"))];
    succeed("generate", &[&given[..], &latents, &cpu].concat());
    let again = Plate::open(&again).unwrap();
    assert_eq!(again.read(1).unwrap().image, plate.read(1).unwrap().image);
}

#[test]
fn a_projection_goes_on_to_the_same_bytes_and_refuses_what_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (checkpoint, real) = (checkpoint(), at("real.ome.zarr"));
    let made = ["phantom", "--output", real.to_str().unwrap(), "--set", "positions=4", "-q"];
    succeed("prepare", &[&made[..], &["--frames-per-position", "6"]].concat());
    let (file, file_text) = (at("found.safetensors"), at("found.safetensors"));
    let file_text = file_text.to_str().unwrap();
    let keep = |sequences, name: &str| {
        let more = ["--sequences", sequences, "--steps", "5", "--batch", "2", "--resume", file_text];
        succeed("generate", &project(&real, &at(name), &checkpoint, &more))["projection"]["taken_over"]
            .clone()
    };
    assert_eq!(keep("0,1", "first.ome.zarr"), 0);
    assert_eq!(keep("0-3", "second.ome.zarr"), 2);
    let whole = ["--sequences", "0-3", "--steps", "5", "--batch", "2"];
    succeed("generate", &project(&real, &at("whole.ome.zarr"), &checkpoint, &whole));
    let latents = |name: &str| fs::read(at(name).join("latents.safetensors")).unwrap();
    assert_eq!(latents("second.ome.zarr"), latents("whole.ome.zarr"));

    let output = at("out.ome.zarr");
    let refused = |code, real: &Path, more: &[&str], words: &[&str]| {
        fail("generate", &project(real, &output, &checkpoint, more), code, words);
        expect_nothing_left(&output);
    };
    refused(65, &real, &["--steps", "6", "--resume", file_text], &["6 steps", "another --resume"]);
    refused(2, &real, &["--sequences", "0,9999"], &["--sequences 9999", "from 0"]);
    refused(2, &real, &["--learning-rate", "0"], &["--learning-rate 0"]);
    refused(2, &real, &["--truncation-psi", "0.5"], &["--truncation-psi"]);
    let other = at("other.ome.zarr");
    Drawing::real().write(&other);
    refused(65, &other, &[], &["channels phase, gfp", "channels brightfield, gfp"]);
    fs::write(&file, "notes").unwrap();
    refused(73, &real, &["--resume", file_text], &["found.safetensors"]);
}
