//! Features, logits and the mean of every block.

use lapsegan::features::resize::Resizing;
use lapsegan::features::{I3d, Inception, Variant, Weights, normalise};
use tch::{Device, Kind, Tensor};

use super::{close, entries, fixture, formula, json, tensors};

/// Returns the weights of a network through a file, as users have them.
fn weights(keys: &str, probe: &str) -> Weights {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    Tensor::write_safetensors(&tensors(keys), &path).unwrap();
    Weights::read(&path, probe).unwrap()
}

fn inception(variant: Variant, keys: &str) -> Inception {
    let weights = weights(keys, "Conv2d_1a_3x3.conv.weight");
    Inception::new(&weights, variant, Device::Cpu, Kind::Float).unwrap()
}

/// Returns the images of the fixture in [-1, 1] at 299 pixels.
fn images() -> Vec<Tensor> {
    let images = entries(&fixture().0["inception"]["images"]).iter();
    images.map(|about| Resizing::Bilinear.apply(&(formula::image(about) / 255.0), 299) * 2.0 - 1.0).collect()
}

fn mean_of_map(x: &Tensor) -> Tensor {
    x.flatten(2, -1).mean_dim(Some([2].as_slice()), false, None::<Kind>)
}

#[test]
fn the_formula_is_that_of_the_fixture() {
    let json_of = &fixture().0;
    for vector in entries(&json_of["hash_test_vectors"]) {
        let name = vector["name"].as_str().unwrap();
        let seed = formula::seed(json_of["salt"].as_str().unwrap(), name);
        assert_eq!(format!("{seed:016x}"), vector["seed_hex"].as_str().unwrap(), "{name}");
        for (i, expected) in entries(&vector["u"]).iter().enumerate() {
            assert_eq!(formula::u(seed, i as u64), expected.as_f64().unwrap(), "{name} {i}");
        }
    }
    for spot in entries(&json_of["input_spots"]) {
        let place = ["n", "c", "t", "y", "x"].map(|key| spot[key].as_i64().unwrap());
        assert_eq!(formula::pixel(place), spot["v"].as_i64().unwrap(), "{spot}");
    }
    for keys in ["inception_fid_keys.json", "inception_torchvision_keys.json", "i3d_rgb_keys.json"] {
        let sums = json(keys);
        for (name, tensor) in tensors(keys) {
            let entry = entries(&sums).iter().find(|entry| entry["key"] == name.as_str()).unwrap();
            let (sum, expected) =
                (tensor.sum(Kind::Double).double_value(&[]), entry["sum"].as_f64().unwrap());
            assert!((sum - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{name}: {sum}, {expected}");
        }
    }
}

#[test]
fn inception_of_the_frechet_distance_is_wired_as_published() {
    let net = inception(Variant::Fid, "inception_fid_keys.json");
    let json_of = &fixture().0["inception"];
    let images = images();
    let tapped = json_of["tap_image"].as_u64().unwrap() as usize;
    let order: Vec<&str> = entries(&json_of["tap_order"]).iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(order, net.blocks.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let mut x = images[tapped].shallow_clone();
    for (name, block) in &net.blocks {
        x = block.forward(&x);
        close(name, &mean_of_map(&x), &format!("inception.fid.tap.{name}"), None);
    }
    for (row, image) in images.iter().enumerate() {
        let features = net.features(image);
        close("features", &features, "inception.fid.features", Some(row));
        close("logits", &net.logits(&features, true), "inception.fid.logits", Some(row));
        close("unbiased", &net.logits(&features, false), "inception.fid.logits_unbiased", Some(row));
    }
    for (row, about) in entries(&json_of["images"]).iter().enumerate() {
        let image = (Resizing::Tf1.apply(&formula::image(about), 299) - 128.0) / 128.0;
        close("TF1", &net.features(&image), "inception.fid.features_tf1_resize_norm128", Some(row));
    }
}

#[test]
fn inception_of_torchvision_is_wired_as_published() {
    let net = inception(Variant::Torchvision, "inception_torchvision_keys.json");
    for (row, image) in images().iter().enumerate() {
        let features = net.features(image);
        close("features", &features, "inception.torchvision.features", Some(row));
        if row == 0 {
            close("logits", &net.logits(&features, true), "inception.torchvision.logits", Some(0));
        }
    }
}

#[test]
fn i3d_is_wired_as_published() {
    let weights = weights("i3d_rgb_keys.json", "Conv3d_1a_7x7.conv3d.weight");
    let net = I3d::new(&weights, Device::Cpu, Kind::Float).unwrap();
    let json_of = &fixture().0["i3d"];
    let order: Vec<&str> = entries(&json_of["order"]).iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(order, net.blocks.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (j, about) in entries(&json_of["clips"]).iter().enumerate() {
        let clip = formula::clip(about) / 127.5 - 1.0;
        let mut x = clip.shallow_clone();
        for (name, block) in &net.blocks {
            x = block.forward(&x);
            if j == 0 {
                close(name, &mean_of_map(&x), &format!("i3d.tap.{name}"), None);
            }
        }
        let shape: Vec<i64> = entries(&about["out_shape"]).iter().map(|n| n.as_i64().unwrap()).collect();
        assert_eq!(x.size()[2..], shape[..], "clip {j}");
        close("features", &net.features(&x), &format!("i3d.{j}.features"), None);
        if fixture().1.has(&format!("i3d.{j}.logits")) {
            let steps = net.logits_per_step(&x);
            close("steps", &steps.transpose(1, 2), &format!("i3d.{j}.logits_per_step"), None);
            close(
                "logits",
                &steps.mean_dim(Some([2].as_slice()), false, None::<Kind>),
                &format!("i3d.{j}.logits"),
                None,
            );
        }
    }
    assert!((0..9).any(|j| fixture().1.has(&format!("i3d.{j}.logits"))), "a fixture without logits of clips");
}

#[test]
fn images_are_resized_as_published() {
    for about in entries(&fixture().0["resize"]) {
        let image = formula::image(about).select(1, about["channel"].as_i64().unwrap());
        let rows: Vec<i64> = entries(&about["rows"]).iter().map(|n| n.as_i64().unwrap()).collect();
        let rows = Tensor::from_slice(&rows);
        for (mode, way) in [
            ("bilinear", Resizing::Bilinear),
            ("bilinear_antialias", Resizing::Triangle),
            ("tf1_bilinear", Resizing::Tf1),
            ("pil_bicubic_clean_fid", Resizing::Bicubic),
        ] {
            let found = way.apply(&image, 299).clamp(0.0, 255.0).index_select(-2, &rows);
            let key = format!("resize.{}.{mode}", about["index"]);
            let expected: Vec<f64> = fixture().1.get(&key).iter().copied().collect();
            let off = formula::values(&found)
                .iter()
                .zip(&expected)
                .fold(0.0_f64, |off, (a, b)| off.max((a - b).abs()));
            assert!(off <= 2e-3, "{key}: {off}");
        }
    }
}

#[test]
fn the_shift_of_torchvision_turns_its_statistics_into_those_of_tensorflow() {
    let by_channel = |values: [f64; 3]| Tensor::from_slice(&values).view([1, 3, 1, 1]);
    let (mean, deviation) = (by_channel([0.485, 0.456, 0.406]), by_channel([0.229, 0.224, 0.225]));
    let image = Tensor::from_slice(&[0.0, 0.2, 0.7, 1.0]).view([1, 1, 2, 2]).expand([1, 3, 2, 2], false);
    let found = normalise::imagenet(&((&image - mean) / deviation));
    assert!(found.allclose(&(image * 2.0 - 1.0), 1e-9, 1e-9, false));
}
