//! `generate` with latents: kept and given, walks, mixes, sweeps, and sequences that are kept by their labels.

use std::fs;
use std::path::{Path, PathBuf};

use lapsegan::generation::latents::{LatentFile, Noise};
use lapsegan_core::plate::Plate;
use lapsegan_core::plate::digest::Digest;
use serde_json::Value;
use tch::{Kind, Tensor};

use super::generate::{generate, untrained};
use crate::support::programs::{expect_nothing_left, fail, succeed};
use crate::support::root;

/// The checkpoint of the demo, whose sequences differ.
fn trained() -> PathBuf {
    root().join("test-data/phantom-tiny.safetensors")
}

/// Returns a call of a subcommand, without `--count`.
fn call<'a>(command: &'a str, checkpoint: &'a Path, output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![command];
    all.extend(["--checkpoint", checkpoint.to_str().unwrap(), "--output", output.to_str().unwrap()]);
    all.extend(["--device", "cpu", "--threads", "1", "-q"]);
    all.extend(more);
    all
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns the wells of two plates that show other images or labels.
fn different(a: &Path, b: &Path) -> Vec<usize> {
    let (a, b) = (Plate::open(a).unwrap(), Plate::open(b).unwrap());
    assert_eq!(a.wells.len(), b.wells.len());
    let same = |i: usize| {
        let (a, b) = (a.read(i).unwrap(), b.read(i).unwrap());
        a.image == b.image && a.labels == b.labels
    };
    (0..a.wells.len()).filter(|&i| !same(i)).collect()
}

#[test]
fn kept_latents_give_the_same_bytes_in_parts_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (checkpoint, whole) = (trained(), at("whole.ome.zarr"));
    let more = ["--count", "7", "--batch", "3", "--save-latents", "--truncation-psi", "0.7"];
    succeed("generate", &generate(&checkpoint, &whole, &more));
    let kept = fs::read(whole.join("latents.safetensors")).unwrap();

    let again = at("again.ome.zarr");
    let mut call =
        vec!["--checkpoint", text(&checkpoint), "--output", text(&again), "--latents", text(&whole)];
    call.extend(["--batch", "3", "--save-latents", "--device", "cpu", "--threads", "1", "-q"]);
    // As they were used, so that nothing is truncated a second time. The threshold of labels follows from the seed's own
    // sequences, which are not truncated here.
    call.extend(["--label-route", "none"]);
    succeed("generate", &call);
    let (a, b) = (Plate::open(&whole).unwrap(), Plate::open(&again).unwrap());
    assert!((0..7).all(|i| a.read(i).unwrap().image == b.read(i).unwrap().image));
    assert_eq!(fs::read(again.join("latents.safetensors")).unwrap(), kept);

    let parts: Vec<PathBuf> = (1..=2).map(|i| at(&format!("part-{i}.ome.zarr"))).collect();
    for (part, shard) in parts.iter().zip(["1/2", "2/2"]) {
        succeed("generate", &generate(&checkpoint, part, &[&more[..], &["--shard", shard]].concat()));
    }
    let merged = at("merged.ome.zarr");
    let merge = ["merge", "-q", "--output", text(&merged), text(&parts[1]), text(&parts[0])];
    succeed("generate", &merge);
    assert_eq!(Digest::of(&merged).unwrap(), Digest::of(&whole).unwrap());

    fs::remove_file(parts[0].join("latents.safetensors")).unwrap();
    let words = ["latents.safetensors is missing", "--save-latents"];
    fail("generate", &[&merge[..], &["--overwrite"]].concat(), 65, &words);
}

#[test]
fn latents_that_do_not_fit_are_refused_by_name_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (checkpoint, output) = (trained(), dir.path().join("out.ome.zarr"));
    let file = dir.path().join("latents.safetensors");
    let refused = |code, words: &[&str]| {
        let call =
            ["--checkpoint", text(&checkpoint), "--latents", text(&file), "--output", text(&output), "-q"];
        fail("generate", &call, code, words);
        expect_nothing_left(&output);
    };
    refused(66, &["latents.safetensors"]);
    let write = |name: &str, tensor: &Tensor| Tensor::write_safetensors(&[(name, tensor)], &file).unwrap();
    let good = Tensor::zeros([2, 8, 64], (Kind::Float, tch::Device::Cpu));
    for (tensor, words) in [
        (good.narrow(2, 0, 32).contiguous(), ["[2, 8, 32]", "[N, 8, 64]"]),
        (good.narrow(1, 0, 6).contiguous(), ["[2, 6, 64]", "styled layers"]),
        (good.select(1, 0).contiguous(), ["[2, 64]", "repeated"]),
        (good.narrow(0, 0, 0).contiguous(), ["no latents", "at least one"]),
        (good.to_kind(Kind::Int64), ["I64", "F32"]),
        (good.get(0).fill(f64::NAN).unsqueeze(0), ["sequence 0", "NaN"]),
    ] {
        write("latents", &tensor);
        refused(65, &words);
    }
    let both: [(&str, &Tensor); 2] = [("latents", &good), ("noise_keys", &good)];
    Tensor::write_safetensors(&both, &file).unwrap();
    refused(65, &["noise_keys", "seed and index"]);
    let both: [(&str, &Tensor); 2] = [("latents", &good), ("noise.0.0", &good)];
    Tensor::write_safetensors(&both, &file).unwrap();
    refused(65, &["noise.0.0", "F32 [2, 1, 4, 4]"]);
    let both: [(&str, &Tensor); 2] = [("a", &good), ("b", &good)];
    Tensor::write_safetensors(&both, &file).unwrap();
    refused(65, &["tensors a, b", "latents"]);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    refused(65, &["cut off"]);
    fs::copy(&checkpoint, &file).unwrap();
    refused(65, &["--checkpoint"]);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused(65, &["without latents.safetensors", "--save-latents"]);

    // Of other programs: one tensor of any name, of 64 bits, without noise.
    let file = dir.path().join("numpy.safetensors");
    Tensor::write_safetensors(&[("w", &good.to_kind(Kind::Double))], &file).unwrap();
    let call = ["--checkpoint", text(&checkpoint), "--latents", text(&file), "--output", text(&output), "-q"];
    assert_eq!(succeed("generate", &call)["sequences"], 2);
    let usage = [&call[..], &["--count", "1", "--overwrite"]].concat();
    let output = crate::support::programs::run("generate", &usage);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_walk_meets_its_sequences_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (checkpoint, plain, walk) = (trained(), at("plain.ome.zarr"), at("walk.ome.zarr"));
    succeed("generate", &generate(&checkpoint, &plain, &["--count", "4", "--save-latents"]));
    let more = ["--sequences", "3,0,2", "--steps", "4", "--loop", "--gif", "--save-latents"];
    let result = succeed("generate", &call("interpolate", &checkpoint, &walk, &more));
    assert_eq!(result["sequences"], 12);
    let (a, b) = (Plate::open(&plain).unwrap(), Plate::open(&walk).unwrap());
    // The same latents and noise; a convolution rounds differently for another batch size.
    let near = |i: usize, j: usize| {
        let (a, b) = (a.read(i).unwrap().image, b.read(j).unwrap().image);
        let worst = a.iter().zip(&b).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        (worst <= 2, a != b)
    };
    assert!(near(3, 0).0 && !near(0, 4).0 && b.wells[5].1.source.contains("0.250 of the way"));
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(walk.join("walk.png")).unwrap()));
    assert_eq!(decoder.read_info().unwrap().info().animation_control.unwrap().num_frames, 12);
    assert!(fs::read(walk.join("walk.gif")).unwrap().starts_with(b"GIF89a"));

    // From the file, in equal words, and the kept latents of the walk give the walk.
    let other = at("other.ome.zarr");
    let from_file = [&more[..], &["--latents", text(&plain)]].concat();
    succeed("generate", &call("interpolate", &checkpoint, &other, &from_file));
    assert!(different(&walk, &other).is_empty());
    let again = at("again.ome.zarr");
    let given = ["--checkpoint", text(&checkpoint), "--output", text(&again), "--latents", text(&walk)];
    succeed("generate", &[&given[..], &["--device", "cpu", "--threads", "1", "-q"]].concat());
    assert!(different(&walk, &again).is_empty());

    let original = at("original.ome.zarr");
    let result = call("interpolate", &checkpoint, &original, &["--original", "--points", "31"]);
    assert_eq!(succeed("generate", &result)["sequences"], 31);
    let run: Value = serde_json::from_slice(&fs::read(original.join("run.json")).unwrap()).unwrap();
    let walk = &run["config"]["walk"];
    assert_eq!(
        (&walk["space"], &walk["curve"], &walk["noise"]),
        (&"z".into(), &"linear".into(), &"stored".into())
    );
    assert_eq!((walk["sequences"].as_array().unwrap().len(), &walk["fps"]), (16, &60.into()));
}

#[test]
fn walks_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (checkpoint, plain) = (trained(), dir.path().join("plain.ome.zarr"));
    succeed("generate", &generate(&checkpoint, &plain, &["--count", "2", "--save-latents"]));
    let output = dir.path().join("out.ome.zarr");
    for (more, words) in [
        (&["--sequences", "3"][..], ["two sequences", "--sequences"]),
        (&["--space", "w", "--curve", "slerp"], ["slerp", "--space z"]),
        (&["--steps", "0"], ["--steps", "12 steps"]),
        (&["--points", "99999999"], ["99999999", "100000"]),
        (&["--latents", text(&plain), "--space", "z"], ["holds w", "--latents"]),
        (&["--latents", text(&plain), "--sequences", "0,2"], ["sequence 2", "0 to 1"]),
        (&["--latents", text(&plain), "--sequences", "0,3:1"], ["sequence 3:1", "SEED:NUMBER"]),
        (&["--truncation-cutoff", "99"], ["--truncation-cutoff 99", "8 style slots"]),
    ] {
        fail("generate", &call("interpolate", &checkpoint, &output, more), 2, &words);
        expect_nothing_left(&output);
    }
    let mix = ["--rows", "0", "--columns", "1", "--layers", "7-8"];
    fail("generate", &call("mix", &checkpoint, &output, &mix), 2, &["no style slot 8", "0 to 7"]);
    expect_nothing_left(&output);
}

#[test]
fn a_mix_of_all_slots_is_its_column_and_one_of_none_of_its_rows_images_differs() {
    let dir = tempfile::tempdir().unwrap();
    // Untrained noise strengths are zero: nothing but styles differs.
    let run = untrained(dir.path());
    let at = |name: &str| dir.path().join(name);
    let image = |plate: &Path, i: usize| Plate::open(plate).unwrap().read(i).unwrap().image;
    let mix = |name: &str, layers: &str| {
        let more = ["--rows", "0,1", "--columns", "2-4", "--layers", layers, "--label-route", "none"];
        assert_eq!(succeed("generate", &call("mix", &run, &at(name), &more))["sequences"], 11);
        at(name)
    };
    let all = mix("all.ome.zarr", "0-5");
    // Two rows, three columns, then the cells row by row.
    for (cell, column) in [(5, 2), (6, 3), (7, 4), (8, 2), (9, 3), (10, 4)] {
        assert_eq!(image(&all, cell), image(&all, column));
    }
    let some = mix("some.ome.zarr", "2-3");
    assert_ne!(image(&some, 5), image(&some, 0));
    assert_ne!(image(&some, 5), image(&some, 2));
    assert_eq!(image(&some, 0), image(&all, 0));
    assert!(some.join("contact_sheet.png").is_file());
}

#[test]
fn a_sweep_ends_with_the_plain_sequences_and_begins_without_variety() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (checkpoint, sweep) = (trained(), at("sweep.ome.zarr"));
    let real = at("real.ome.zarr");
    let phantom =
        ["phantom", "--output", text(&real), "--set", "positions=3", "--frames-per-position", "6", "-q"];
    succeed("prepare", &phantom);
    let more = ["--psi", "0,0.5,1", "--sequences", "0-5", "--real", text(&real)];
    let result = succeed("generate", &call("sweep", &checkpoint, &sweep, &more));
    assert_eq!(result["sequences"], 18);
    let of = |k: usize| result["by_psi"][k]["spread"]["brightfield"].as_f64().unwrap();
    assert!(of(0) < 0.1 * of(2) && of(0) < of(1) && of(1) < of(2), "{result}");
    assert!(result["by_psi"][2]["swd_x1e3"].as_f64().unwrap() > 0.0);
    assert!(result["spread_of_real"]["gfp"].as_f64().unwrap() > 0.0);
    let plate = Plate::open(&sweep).unwrap();
    assert!(plate.wells[17].1.source.ends_with("psi 1, sequence 5"));

    // Only the coarse slots are pulled to the mean.
    let cut = at("cut.ome.zarr");
    let more = ["--psi", "0", "--sequences", "0-5", "--truncation-cutoff", "2"];
    let result = succeed("generate", &call("sweep", &checkpoint, &cut, &more));
    assert!(result["by_psi"][0]["spread"]["brightfield"].as_f64().unwrap() > of(0));
    assert!(result["by_psi"][0]["swd_x1e3"].is_null());
}

#[test]
fn sequences_are_kept_by_what_their_labels_say() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let checkpoint = trained();
    let keep = |name: &str, more: &[&str]| {
        let more = [&["--count", "6", "--batch", "8", "--save-latents"], more].concat();
        (at(name), succeed("generate", &generate(&checkpoint, &at(name), &more)))
    };
    let objects = |plate: &Path| -> Vec<u32> {
        let plate = Plate::open(plate).unwrap();
        let most = |i| plate.read(i).unwrap().labels["cells"].ids.iter().copied().max().unwrap();
        (0..plate.wells.len()).map(most).collect()
    };
    let (crowded, result) = keep("crowded.ome.zarr", &["--where", "objects>=6"]);
    assert!(objects(&crowded).iter().all(|&n| n >= 6), "{:?}", objects(&crowded));
    assert_eq!(result["selection"]["kept"], 6);
    assert!(result["selection"]["drawn"].as_u64().unwrap() > 6);
    let (again, _) = keep("again.ome.zarr", &["--where", "objects>=6"]);
    assert_eq!(Digest::of(&again).unwrap(), Digest::of(&crowded).unwrap());
    // Draws have the numbers that they have in a plate without a choice, and latents to draw them again.
    let last = result["selection"]["draws"][5].as_u64().unwrap();
    let name = format!("synthetic-{last}");
    assert_eq!(Plate::open(&crowded).unwrap().wells[5].1.split_group, name);
    let given = at("given.ome.zarr");
    let call = ["--checkpoint", text(&checkpoint), "--output", text(&given), "--latents", text(&crowded)];
    succeed("generate", &[&call[..], &["--device", "cpu", "--threads", "1", "-q", "--batch", "8"]].concat());
    let (a, b) = (Plate::open(&crowded).unwrap(), Plate::open(&given).unwrap());
    let (a, b) = (a.read(5).unwrap().image, b.read(5).unwrap().image);
    assert!(a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= 2));

    let (balanced, result) = keep("balanced.ome.zarr", &["--balance", "objects", "--where", "objects<=4"]);
    let kinds = result["selection"]["kinds"].as_array().unwrap();
    let counts: Vec<u64> = kinds.iter().map(|kind| kind["kept"].as_u64().unwrap()).collect();
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{result}");
    assert!(counts.len() > 1 && objects(&balanced).len() == 6);

    let output = at("none.ome.zarr");
    let refused = |code, more: &[&str], words: &[&str]| {
        let more = [&["--count", "3", "--batch", "8"], more].concat();
        fail("generate", &generate(&checkpoint, &output, &more), code, words);
        expect_nothing_left(&output);
    };
    refused(65, &["--where", "objects>=90", "--most-draws", "40"], &["of 40 sequences", "0 are objects>=90"]);
    refused(2, &["--where", "objects>=3", "--label-route", "none"], &["no labels", "--label-route"]);
    refused(2, &["--where", "objects>=3", "--shard", "1/2"], &["--shard 1/2", "--seed"]);
    let wrong = generate(&checkpoint, &output, &["--where", "cells>3"]);
    let wrong = crate::support::programs::run("generate", &wrong);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("objects>=3"));
}

#[test]
fn a_file_of_latents_keeps_noise_of_each_kind() {
    let checkpoint = lapsegan::training::checkpoint::read(&trained()).unwrap();
    let shape = lapsegan::generation::latents::LatentShape::of(&checkpoint.manifest.config.model);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latents.safetensors");
    for rows in [1, 3] {
        let maps = lapsegan::model::noise::LayerNoise::new(shape.draws, rows, |_, layer, shape| {
            Tensor::full(shape, layer as f64, (Kind::Float, tch::Device::Cpu))
        });
        let ws = Tensor::ones([3, shape.slots, shape.width], (Kind::Float, tch::Device::Cpu));
        let latents = LatentFile { ws, noise: Some(Noise::Maps(maps)), checkpoint: None, origin: None };
        fs::write(&path, latents.to_bytes()).unwrap();
        let found = LatentFile::read(&path, shape).unwrap();
        let Some(Noise::Maps(maps)) = found.noise else { panic!("maps stay maps") };
        assert_eq!((maps.len(), maps.0[1][2].double_value(&[0, 0, 0, 0])), (rows as usize, 2.0));
        assert_eq!(found.ws, latents.ws);
    }
}
