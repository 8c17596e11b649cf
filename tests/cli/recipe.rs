//! The whole recipe through the programs: every phase, label domain, reduced precision, other domain counts.

use std::fs;
use std::path::Path;

use crate::support::drawings::Drawing;
use crate::support::programs::{fail, run, stderr, succeed};

/// Networks that train in seconds.
const SMALL: [&str; 10] = [
    "training.tick_kimg=0.02",
    "training.batch=4",
    "model.generator.channels=[16,16,16]",
    "model.generator.latent=16",
    "model.discriminator.encoder=[8,16,16]",
    "model.discriminator.decoder=[[24,16],[16,8]]",
    "training.kimg=0.06",
    "training.keep_checkpoints=9",
    "model.generator.mapping_depth=2",
    "training.r1_interval=2",
];

/// Everything that `tiny` leaves out.
const WHOLE: [&str; 9] = [
    "training.style_mixing_probability=0.9",
    "training.path_length.weight=2.0",
    "training.path_length.interval=2",
    "training.ada.enabled=true",
    "training.ada.initial_p=0.5",
    "training.ada.interval=2",
    "training.top_k.enabled=true",
    "training.cut_mix.probability=1.0",
    "training.wrong_order.enabled=true",
];

fn arguments(data: &Path, output: &Path, sets: &[&str], more: &[&str]) -> Vec<String> {
    let mut all: Vec<String> =
        ["--threads", "1", "--device", "cpu", "-q", "--data"].map(String::from).to_vec();
    all.extend([data.display().to_string(), "--output".into(), output.display().to_string()]);
    all.extend(SMALL.iter().chain(sets).flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
    all.extend(more.iter().map(|m| (*m).to_owned()));
    all
}

fn train(data: &Path, output: &Path, sets: &[&str], more: &[&str]) {
    let all = arguments(data, output, sets, more);
    succeed("train", &all.iter().map(String::as_str).collect::<Vec<_>>());
}

fn last_tick(run: &Path) -> serde_json::Value {
    let stats = fs::read_to_string(run.join("stats.jsonl")).unwrap();
    serde_json::from_str(stats.lines().last().unwrap()).unwrap()
}

fn final_tensors(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoints/kimg_000000.060.safetensors")).unwrap()
}

#[test]
fn the_whole_recipe_runs_resumes_to_the_same_bytes_and_reports_every_term() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("discs.ome.zarr");
    Drawing { splits: [8; 3], side: 16, frames: 3, ..Drawing::real() }.write(&data);
    for geometry in ["original", "composed"] {
        let geometry_set = format!("training.ada.geometry={geometry}");
        let sets: Vec<&str> = WHOLE.into_iter().chain([geometry_set.as_str()]).collect();
        let (whole, parts) =
            (dir.path().join(format!("whole-{geometry}")), dir.path().join(format!("parts-{geometry}")));
        train(&data, &whole, &sets, &[]);
        // Every call stops after one iteration, with a checkpoint.
        let mut calls = 0;
        while !parts.join("run.json").exists() {
            let all = arguments(&data, &parts, &sets, &["--time-budget", "0", "--resume"]);
            run("train", &all.iter().map(String::as_str).collect::<Vec<_>>());
            calls += 1;
            assert!(calls < 40, "the run does not come to its end");
        }
        assert!(calls > 5, "the run was not interrupted");
        assert!(final_tensors(&whole) == final_tensors(&parts), "{geometry}: the bytes differ");
        let tick = last_tick(&whole);
        for term in [
            "loss_path_length",
            "path_length",
            "loss_cut_mix",
            "loss_consistency",
            "ada_p",
            "spread",
            "r1_penalty",
        ] {
            assert!(tick[term].is_number(), "{geometry}: no {term} in {tick}");
        }
    }
}

#[test]
fn a_batch_may_be_taken_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("discs.ome.zarr");
    Drawing { splits: [8; 3], side: 16, ..Drawing::real() }.write(&data);
    for micro in ["training.micro_batch=0", "training.micro_batch=2"] {
        let output = dir.path().join(&micro[21..]);
        train(&data, &output, &[micro], &[]);
        assert!(last_tick(&output)["loss_generator"].is_number());
    }
}

#[test]
fn labels_are_learnt_as_a_domain_and_generated_with_the_images() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("discs.ome.zarr");
    Drawing { splits: [8; 3], side: 16, ..Drawing::real() }.write(&data);
    let run_folder = dir.path().join("run");
    train(&data, &run_folder, &["model.precision=bfloat16"], &["--label-domain", "--allow-slow-bfloat16"]);
    let config = fs::read_to_string(run_folder.join("config.toml")).unwrap();
    assert!(config.contains("foreground") && config.contains("distance"), "{config}");

    let plate = dir.path().join("synthetic.ome.zarr");
    let (checkpoint, output) = (run_folder.to_str().unwrap(), plate.to_str().unwrap());
    let printed =
        succeed("generate", &["--checkpoint", checkpoint, "--output", output, "--count", "3", "-q"]);
    assert_eq!(printed["label_route"], "joint");

    let none = dir.path().join("none.ome.zarr");
    Drawing { splits: [8; 3], side: 16, labels: Vec::new(), ..Drawing::real() }.write(&none);
    let all = arguments(&none, &dir.path().join("no"), &[], &["--label-domain"]);
    fail(
        "train",
        &all.iter().map(String::as_str).collect::<Vec<_>>(),
        65,
        &["none.ome.zarr", "no labels of objects"],
    );
}

#[test]
fn of_several_labels_the_one_that_is_named_is_learned_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("two.ome.zarr");
    Drawing { splits: [8; 3], side: 16, labels: vec!["zeta", "alpha"], ..Drawing::real() }.write(&data);
    let run_folder = dir.path().join("run");
    let all = arguments(&data, &run_folder, &[], &["--label-domain"]);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    fail("train", &all, 2, &["zeta, alpha", "--label zeta"]);

    train(&data, &run_folder, &[], &["--label", "alpha"]);
    let plate = dir.path().join("synthetic.ome.zarr");
    let (checkpoint, output) = (run_folder.to_str().unwrap(), plate.to_str().unwrap());
    let printed =
        succeed("generate", &["--checkpoint", checkpoint, "--output", output, "--count", "2", "-q"]);
    assert_eq!(printed["labels"], serde_json::json!(["alpha"]));

    // The same run cannot go on with other labels.
    let other = arguments(&data, &run_folder, &[], &["--label", "zeta", "--resume"]);
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    fail("train", &other, 65, &["alpha", "zeta"]);
}

#[test]
fn any_number_of_channels_and_frames_trains() {
    let dir = tempfile::tempdir().unwrap();
    for (channels, frames) in [(vec!["phase"], 1), (vec!["phase", "gfp", "rfp"], 4)] {
        let data = dir.path().join(format!("{}.ome.zarr", channels.len()));
        Drawing { splits: [8; 3], side: 16, frames, channels: channels.clone(), ..Drawing::real() }
            .write(&data);
        let output = dir.path().join(channels.len().to_string());
        train(&data, &output, &[], &[]);
        let weights = output.join("checkpoints/kimg_000000.060.safetensors");
        // Another channel count keeps what fits and names what does not.
        if channels.len() == 1 {
            continue;
        }
        let first = dir.path().join("1/checkpoints/kimg_000000.060.safetensors");
        let all = arguments(&data, &dir.path().join("init"), &[], &["--init", first.to_str().unwrap()]);
        let all: Vec<&str> = all.iter().map(String::as_str).filter(|a| *a != "-q").collect();
        let told = stderr(&run("train", &all));
        assert!(told.contains("do not fit") && told.contains("starting_convolution_3"), "{told}");
        assert!(weights.exists());
    }
}

#[test]
fn a_run_that_diverges_stops_and_keeps_its_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("discs.ome.zarr");
    Drawing { splits: [8; 3], side: 16, ..Drawing::real() }.write(&data);
    let output = dir.path().join("run");
    let sets = ["training.generator_lr=1e30", "training.gradient_clip=1e30"];
    let all = arguments(&data, &output, &sets, &["--checkpoint-interval", "0"]);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    fail("train", &all, 1, &["kimg", "generator_lr"]);
    assert!(!output.join("run.json").exists());
    let kept = lapsegan::training::checkpoint::newest(&output).unwrap().unwrap();
    let finite = |t: &tch::Tensor| t.isfinite().all().int64_value(&[]) == 1;
    assert!(kept.tensors.values().all(finite), "{} holds numbers that are none", kept.path.display());
}

#[test]
fn the_preset_auto_decides_from_the_data_and_writes_it_down() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("discs.ome.zarr");
    Drawing { splits: [24; 3], side: 16, ..Drawing::real() }.write(&data);
    let run = dir.path().join("run");
    train(&data, &run, &["training.kimg=0.008"], &["--preset", "auto"]);
    let config: toml::Table = fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap();
    let (training, model) = (&config["training"], &config["model"]);
    assert_eq!(training["symmetries"].as_str(), Some("set"));
    assert_eq!(training["dihedral"], training["ada"]["turns"]);
    let channels = model["range"].as_array().unwrap().len();
    assert_eq!(model["curve"].as_array().unwrap().len(), channels);
    // The same command goes on with what was decided.
    train(&data, &run, &["training.kimg=0.016"], &["--preset", "auto", "--resume"]);
    let tick = last_tick(&run);
    assert!(tick["spread"].is_number() && tick["ada_signal"].is_number(), "{tick}");
}
