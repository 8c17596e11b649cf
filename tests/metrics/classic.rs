//! Otsu, distance transform, components, morphology, Gaussian filter, peaks and watershed against SciPy/scikit-image.

use lapsegan_core::labels::components::components;
use lapsegan_core::labels::distance::squared_distance;
use lapsegan_core::labels::morphology::{dilate, erode, fill_holes, opening, remove_small};
use lapsegan_core::labels::peaks::local_maxima;
use lapsegan_core::labels::smooth::gaussian;
use lapsegan_core::labels::watershed::watershed;
use lapsegan_core::labels::{Neighbours, otsu};
use ndarray::{Array2, Ix2};

use super::{entries, fixture};
use crate::support::safetensors::Tensors;

fn image(tensors: &Tensors, key: &str) -> Array2<f64> {
    tensors.get(key).into_dimensionality::<Ix2>().unwrap()
}

fn mask(tensors: &Tensors, key: &str) -> Array2<bool> {
    image(tensors, key).mapv(|v| v != 0.0)
}

fn labels(tensors: &Tensors, key: &str) -> Array2<u32> {
    image(tensors, key).mapv(|v| v as u32)
}

fn neighbours(case: &serde_json::Value) -> Neighbours {
    if case["connectivity"] == 8 { Neighbours::Eight } else { Neighbours::Four }
}

#[test]
fn otsu_thresholds_equal_scikit_image() {
    let (json, tensors) = fixture("classic");
    for case in entries(&json["otsu"]) {
        let key = case["key"].as_str().unwrap();
        let pixels = image(&tensors, &format!("{key}.image"));
        let expected = case["threshold"].as_f64().unwrap();
        let got = if case["dtype"] == "float32" {
            let values: Vec<f32> = pixels.iter().map(|&v| v as f32).collect();
            f64::from(otsu::threshold(&values).unwrap().value)
        } else {
            let values: Vec<u16> = pixels.iter().map(|&v| v as u16).collect();
            f64::from(otsu::threshold_counts(&values).unwrap())
        };
        let tolerance = if case["dtype"] == "float32" { 1e-6 } else { 0.0 };
        assert!((got - expected).abs() <= tolerance, "{key}: {got}, expected {expected}");
        let foreground = pixels.iter().filter(|&&v| v > got).count();
        assert_eq!(foreground as u64, case["foreground_pixels"].as_u64().unwrap(), "{key}");
    }
}

#[test]
fn distances_equal_scipy() {
    let (json, tensors) = fixture("classic");
    for case in entries(&json["distance_transform"]) {
        let key = case["key"].as_str().unwrap();
        let sampling = [0, 1].map(|axis| case["sampling"][axis].as_f64().unwrap());
        let got = squared_distance(mask(&tensors, &format!("{key}.mask")).view(), sampling).unwrap();
        if tensors.has(&format!("{key}.squared")) {
            assert_eq!(got, image(&tensors, &format!("{key}.squared")), "{key}");
        } else {
            let expected = image(&tensors, &format!("{key}.distance"));
            assert!(got.iter().zip(&expected).all(|(g, e)| (g.sqrt() - e).abs() < 1e-5), "{key}");
        }
    }
}

#[test]
fn components_are_numbered_as_scipy_does() {
    let (json, tensors) = fixture("classic");
    for case in entries(&json["connected_components"]) {
        let key = case["key"].as_str().unwrap();
        let (got, count) = components(mask(&tensors, &format!("{key}.mask")).view(), neighbours(case));
        assert_eq!(u64::from(count), case["count"].as_u64().unwrap(), "{key}");
        let name = format!("{key}.labels_{}", case["connectivity"]);
        assert_eq!(got, labels(&tensors, &name), "{name}");
    }
}

#[test]
fn morphology_equals_scipy() {
    let (_, tensors) = fixture("classic");
    let input = mask(&tensors, "morph.mask");
    let input = input.view();
    for (name, got) in [
        ("fill_holes", fill_holes(input)),
        ("remove_small_below_20_conn4", remove_small(input, 20, Neighbours::Four)),
        ("erosion_cross", erode(input, Neighbours::Four)),
        ("dilation_square", dilate(input, Neighbours::Eight)),
        ("opening_cross", opening(input, Neighbours::Four)),
    ] {
        assert_eq!(got, mask(&tensors, &format!("morph.{name}")), "{name}");
    }
}

#[test]
fn gaussian_filter_equals_scipy() {
    let (_, tensors) = fixture("classic");
    let input = image(&tensors, "gauss.input").mapv(|v| v as f32);
    for sigma in ["0.8", "2.0"] {
        let got = gaussian(input.view(), sigma.parse().unwrap());
        let expected = image(&tensors, &format!("gauss.sigma_{sigma}"));
        let worst = got.iter().zip(&expected).map(|(g, e)| (f64::from(*g) - e).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-5, "sigma {sigma}: off by {worst}");
    }
}

#[test]
fn peaks_equal_scikit_image() {
    let (json, tensors) = fixture("classic");
    let case = &json["peaks"][0];
    let input = image(&tensors, "peaks.input").mapv(|v| v as f32);
    let distance = case["min_distance"].as_u64().unwrap() as usize;
    let got = local_maxima(input.view(), distance, case["threshold_abs"].as_f64().unwrap() as f32);
    let expected: Vec<[usize; 2]> = image(&tensors, "peaks.coordinates")
        .rows()
        .into_iter()
        .map(|row| [row[0] as usize, row[1] as usize])
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn watershed_equals_scikit_image_pixel_by_pixel() {
    let (json, tensors) = fixture("classic");
    for case in entries(&json["watershed"]) {
        let key = case["key"].as_str().unwrap();
        let inputs = key.strip_suffix("_8").unwrap_or(key);
        let elevation = image(&tensors, &format!("{inputs}.elevation")).mapv(|v| v as f32);
        let got = watershed(
            elevation.view(),
            labels(&tensors, &format!("{inputs}.markers")).view(),
            mask(&tensors, &format!("{inputs}.mask")).view(),
            neighbours(case),
        );
        assert_eq!(got, labels(&tensors, &format!("{key}.labels")), "{key}");
    }
}
