//! Radial power spectra and the sliced Wasserstein distance against NumPy, OpenCV and SciPy.

use lapsegan_core::labels::properties::shapes;
use lapsegan_core::realism::{pyramid, sliced, spectrum};
use ndarray::{Array1, Array2, Array3, Array4, Axis, Ix1, Ix2, Ix3, Ix4};

use super::{entries, fixture};
use crate::support::safetensors::Tensors;

const WINDOWS: [(&str, spectrum::Taper); 2] =
    [("none", spectrum::Taper::None), ("hann", spectrum::Taper::Hann)];

/// Returns one image as a batch of one. `[1, H, W]`
fn image(tensors: &Tensors, key: &str) -> Array3<f64> {
    tensors.get(key).into_dimensionality::<Ix2>().unwrap().insert_axis(Axis(0))
}

fn spectrum_of(tensors: &Tensors, key: &str, window: spectrum::Taper) -> Array1<f64> {
    spectrum::radial_power(image(tensors, &format!("{key}.image")).view(), window).remove_axis(Axis(0))
}

#[test]
fn spectra_equal_numpy_from_bin_one_on() {
    let (json, tensors) = fixture("image_statistics");
    let mut keys: Vec<&str> =
        entries(&json["spectrum"]["images"]).iter().map(|case| case["key"].as_str().unwrap()).collect();
    keys.push("spectrum.constant");
    for key in keys {
        for (name, window) in WINDOWS {
            let expected = format!("{key}.log10_power_{name}");
            if !tensors.has(&expected) {
                continue;
            }
            let got = spectrum::log10_power(spectrum_of(&tensors, key, window).view());
            let expected = tensors.get(&expected).into_dimensionality::<Ix1>().unwrap();
            assert_eq!(got.len(), expected.len(), "{key} {name}");
            for (bin, (g, e)) in got.iter().zip(&expected).enumerate().skip(1) {
                assert!((g - e).abs() <= 1e-6, "{key} {name} bin {bin}: {g}, expected {e}");
            }
        }
    }
}

#[test]
fn spectral_distance_equals_numpy() {
    let (json, tensors) = fixture("image_statistics");
    for (name, window) in WINDOWS {
        let expected = &json["spectrum"]["distance_image0_image1_bins_1_to_64"][name];
        let [a, b] = ["spectrum.0", "spectrum.1"].map(|key| spectrum_of(&tensors, key, window));
        let got = spectrum::distance(a.view(), b.view()).unwrap();
        for (g, key) in [(got.rms_db, "log_spectral_distance_db"), (got.mean_abs_db, "mean_abs_db")] {
            let e = expected[key].as_f64().unwrap();
            // Ten times the tolerance of the decimal logarithm.
            assert!((g - e).abs() <= 1e-5, "{name} {key}: {g}, expected {e}");
        }
    }
}

#[test]
fn sliced_wasserstein_distance_equals_the_reference_level_by_level() {
    let (json, tensors) = fixture("image_statistics");
    for case in entries(&json["swd"]) {
        let name = case["name"].as_str().unwrap();
        let get = |key: &str| tensors.get(&format!("swd.{name}.{key}"));
        let images = |key: &str| -> Array4<f64> { get(key).into_dimensionality::<Ix4>().unwrap() };
        let directions: Array2<f64> = get("directions").into_dimensionality::<Ix2>().unwrap();
        let expected_levels = entries(&case["levels"]);
        assert_eq!(pyramid::level_count(64, 64), expected_levels.len());
        let [a, b] = ["A", "B"].map(|side| sliced::levels(&images(side), expected_levels.len()));

        let mut sum = 0.0;
        for (level, expected) in expected_levels.iter().enumerate() {
            let pyramid = get(&format!("{level}.pyramid_A0")).into_dimensionality::<Ix2>().unwrap();
            let own = a[level][0].index_axis(Axis(0), 0);
            for (g, e) in own.iter().zip(&pyramid) {
                assert!((g - e).abs() <= 1e-4, "{name} level {level}: {g}, expected {e}");
            }

            let side = |images: &[Array3<f64>], key: &str| {
                let drawn = get(&format!("{level}.{key}")).into_dimensionality::<Ix3>().unwrap();
                let positions: Vec<Vec<[usize; 2]>> = drawn
                    .outer_iter()
                    .map(|image| image.outer_iter().map(|p| [p[0] as usize, p[1] as usize]).collect())
                    .collect();
                let mut rows = sliced::patches(images, &positions);
                sliced::standardise(&mut rows);
                sliced::sorted_projections(&rows, &directions)
            };
            let (rows_a, rows_b) = (side(&a[level], "pos_A"), side(&b[level], "pos_B"));
            let per_direction = get(&format!("{level}.per_direction"));
            for (g, e) in sliced::per_direction(&rows_a, &rows_b).iter().zip(&per_direction) {
                // Stored as f32.
                assert!((g - e).abs() <= 1e-6 * e.abs().max(0.1), "{name} level {level}: {g}, expected {e}");
            }
            let (g, e) = (sliced::swd_x1e3(&rows_a, &rows_b), expected["swd_x1e3"].as_f64().unwrap());
            assert!((g - e).abs() <= 1e-6 * e, "{name} level {level}: {g}, expected {e}");
            sum += g;
        }
        let (g, e) = (sum / expected_levels.len() as f64, case["mean_x1e3"].as_f64().unwrap());
        assert!((g - e).abs() <= 1e-6 * e, "{name}: {g}, expected {e}");
    }
}

#[test]
fn shapes_of_objects_equal_scikit_image() {
    let (json, tensors) = fixture("image_statistics");
    let about = &json["regionprops"];
    let columns: Vec<&str> = entries(&about["columns"]).iter().map(|name| name.as_str().unwrap()).collect();
    let column = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let mut compared = 0;
    for image in entries(&about["images"]) {
        let key = image["key"].as_str().unwrap();
        let labels = tensors.get(&format!("{key}.labels")).into_dimensionality::<Ix2>().unwrap();
        let table = tensors.get(&format!("{key}.table")).into_dimensionality::<Ix2>().unwrap();
        let found = shapes(labels.mapv(|v| v as u32).view());
        assert_eq!(found.len(), table.nrows(), "{key}");
        for (shape, row) in found.iter().zip(table.rows()) {
            assert_eq!(f64::from(shape.id), row[column("label")], "{key}");
            for (name, value) in [
                ("area", shape.area),
                ("centroid_row", shape.centre[0]),
                ("centroid_col", shape.centre[1]),
                ("eccentricity", shape.eccentricity),
                ("solidity", shape.solidity),
            ] {
                let expected = row[column(name)];
                let tolerance = 1e-6 * expected.abs() + 1e-9;
                // The root of a difference of nearly equal moments keeps half of the digits.
                let tolerance = if name == "eccentricity" && expected < 1e-3 { 1e-6 } else { tolerance };
                assert!(
                    (value - expected).abs() <= tolerance,
                    "{key} {} {name}: {value}, {expected}",
                    shape.id
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "a fixture without objects");
}
