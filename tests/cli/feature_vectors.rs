//! Feature vectors of plates, and distances of plates by them.

use std::path::Path;

use lapsegan_core::features::file::FeatureFile;
use lapsegan_core::plate::Plate;
use serde_json::Value;
use tch::Tensor;

use crate::support::drawings::Drawing;
use crate::support::programs::{fail, succeed};

const CPU: [&str; 5] = ["-q", "--threads", "1", "--device", "cpu"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn vectors_say_what_they_were_made_of_and_belong_to_their_sequences() {
    let dir = tempfile::tempdir().unwrap();
    let [real, all, some] =
        ["real.ome.zarr", "all.safetensors", "some.safetensors"].map(|n| dir.path().join(n));
    Drawing { splits: [4, 2, 2], side: 16, ..Drawing::real() }.write(&real);
    let plate = Plate::open(&real).unwrap();
    let frames = plate.meta.frames;
    let line = |output, more: &[&'static str]| {
        let fixed = ["features", text(&real), "--output", text(output)];
        succeed("segment-benchmark", &[&fixed[..], &CPU, more].concat())
    };
    let told = line(&all, &[]);
    assert_eq!(told["vectors"], plate.wells.len() * frames);
    line(&some, &["--split", "held-out", "--channel", "gfp"]);
    let (whole, part) = (FeatureFile::read(&all).unwrap(), FeatureFile::read(&some).unwrap());
    let about = part.about.as_ref().unwrap();
    assert_eq!((about.split.as_str(), about.sequences, about.sample.as_str()), ("held-out", 4, "frames"));
    assert_eq!(whole.channels.len(), plate.meta.channels.len());
    assert_eq!(part.channels[0].1.features.dim(), (4 * frames, 2048));
    // One network for both, so the held-out rows of the whole are those of the part, within rounding.
    let gfp = whole.channels.iter().find(|(name, _)| name.as_deref() == Some("gfp")).unwrap();
    let first =
        plate.wells.iter().position(|(_, well)| well.split != lapsegan_core::plate::Split::Train).unwrap();
    let (a, b) = (gfp.1.features.row(first * frames), part.channels[0].1.features.row(0));
    let most = a.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    assert!(most > 0.0 && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-4 * most));
    // Frames of a sequence share its group.
    assert_eq!(part.groups[0], part.groups[frames - 1]);

    // Another part of the same plate is the same to the network, other ranges are not.
    let same = ["features", "--real", text(&some), "--synthetic", text(&some), "-q", "--resamples", "0"];
    let found = succeed("evaluate", &same);
    assert!(found["channels"][0]["frechet_distance"].as_f64().unwrap().abs() < 1e-6, "{found}");
    let other = ["features", "--real", text(&some), "--synthetic", text(&all), "-q"];
    fail("evaluate", &other, 65, &["was not made as the real vectors were", "channels gfp and"]);
}

#[test]
fn plates_are_compared_in_one_call_beside_their_floor() {
    let dir = tempfile::tempdir().unwrap();
    let [real, synthetic, out] =
        ["real.ome.zarr", "synthetic.ome.zarr", "fid.json"].map(|n| dir.path().join(n));
    Drawing { splits: [8, 4, 4], side: 16, ..Drawing::real() }.write(&real);
    Drawing { side: 16, ..Drawing::synthetic() }.write(&synthetic);
    let fixed = ["features", "--real", text(&real), "--synthetic", text(&synthetic)];
    let line = [&fixed[..], &CPU, &["--count", "8", "--resamples", "20", "--output", text(&out)]].concat();
    let found = succeed("evaluate", &line);
    let written: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!(written["channels"], found["channels"]);
    assert_eq!(found["inputs"]["real"]["split"], "held-out");
    assert_eq!(found["inputs"]["training"]["split"], "train");
    for channel in found["channels"].as_array().unwrap() {
        let number = |pointer: &str| channel.pointer(pointer).and_then(Value::as_f64).unwrap();
        assert!(number("/floor/frechet_distance") >= 0.0, "{channel}");
        assert!(number("/times_floor/frechet_distance") > 0.0, "{channel}");
        assert_eq!(channel["figure"], "random_inception2048_frame");
        // Fewer vectors than dimensions are warned of.
        assert!(
            channel["warnings"]
                .as_array()
                .unwrap()
                .iter()
                .any(|w| w.as_str().unwrap().contains("dimensions"))
        );
    }
    let planned = succeed("evaluate", &[&fixed[..], &CPU, &["--dry-run"]].concat());
    assert_eq!(planned["extraction"]["protocol"], "random");

    // The evaluation asks the network too, and its page shows what it said.
    let folder = dir.path().join("evaluation");
    let asked = ["--features", "random", "--count", "8", "--set", "draws=2", "--output", text(&folder)];
    succeed("evaluate", &[&fixed[1..], &CPU, &asked].concat());
    let metrics: Value =
        serde_json::from_slice(&std::fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    let distance = |of: &Value| of["channels"][0]["frechet_distance"].as_f64().unwrap();
    assert!((distance(&metrics["features"]) - distance(&found)).abs() < 1e-9);
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("By features of a network") && page.contains("Protocol random, 8 sequences"));
}

#[test]
fn protocols_without_their_weights_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [real, weights, out] =
        ["real.ome.zarr", "other.safetensors", "out.safetensors"].map(|n| dir.path().join(n));
    Drawing { splits: [2, 1, 1], side: 16, ..Drawing::real() }.write(&real);
    Tensor::write_safetensors(&[("a.weight", Tensor::zeros([2, 2], tch::kind::FLOAT_CPU))], &weights)
        .unwrap();
    let fixed = ["features", text(&real), "--output", text(&out)];
    let call = |more: &[&str], code, words: &[&str]| {
        fail("segment-benchmark", &[&fixed[..], &CPU, more].concat(), code, words);
        assert!(!out.exists());
    };
    call(&["--protocol", "standard-fid"], 2, &["needs --weights", "pt_inception-2015-12-05-6726825d.pth"]);
    let with = |name| ["--protocol", name, "--weights", text(&weights)];
    call(&with("standard-fid"), 65, &["other.safetensors", "Conv2d_1a_3x3.conv.weight", "a.weight"]);
    call(&with("original-fvd"), 65, &["Conv3d_1a_7x7.conv3d.weight"]);
    call(&with("random"), 2, &["needs no --weights"]);
    call(&["--channel", "rfp"], 65, &["no channel rfp", "gfp"]);
    call(&["--channel", "gfp", "--channel", "gfp"], 2, &["gfp is given twice"]);
    // What the other program says comes through, with its exit code.
    let synthetic = dir.path().join("synthetic.ome.zarr");
    Drawing { side: 16, ..Drawing::synthetic() }.write(&synthetic);
    let evaluate = ["features", "--real", text(&real), "--synthetic", text(&synthetic)];
    let line = [&evaluate[..], &CPU, &with("standard-fid")].concat();
    fail("evaluate", &line, 65, &["segment-benchmark features", "Conv2d_1a_3x3.conv.weight"]);
    let mixed = ["features", "--real", text(&real), "--synthetic", text(&weights), "-q"];
    fail("evaluate", &mixed, 2, &["one is a folder"]);
    let absent = ["features", "--real", "absent.ome.zarr", "--synthetic", text(&synthetic), "-q"];
    fail("evaluate", &absent, 66, &["absent.ome.zarr"]);
    // Other sizes are refused before anything is computed, as evaluate does.
    let other = dir.path().join("other.ome.zarr");
    Drawing { side: 24, ..Drawing::synthetic() }.write(&other);
    let line = ["features", "--real", text(&real), "--synthetic", text(&other), "-q"];
    fail("evaluate", &line, 65, &["other.ome.zarr", "24x24"]);
}
