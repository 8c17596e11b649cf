//! `ada_p`, `ada_geometric`, `ada_pipeline`: adaptive augmentation as published.

use lapsegan::model::Logits;
use lapsegan::training::augment::Geometry;
use lapsegan::training::augment::controller::{AdaConfig, Controller, Signal, statistic};
use lapsegan::training::augment::plan::{mirror, quarter_turns, shift};
use lapsegan::training::augment::published::{PublishedWarps, anisotropic, isotropic, rotation};
use lapsegan::training::augment::warp::{Matrix, thetas, warp};
use tch::Tensor;

use super::{Case, GRADIENT, fixtures, weighted_sum};

/// Sampling positions are float32.
const GEOMETRY: f64 = 5e-5;

#[test]
fn the_probability_follows_its_trajectories() {
    for file in fixtures("ada_p") {
        for case in file.cases() {
            let params = Vec::<f64>::try_from(case.get("params")).unwrap();
            let config = AdaConfig {
                enabled: true,
                initial_p: params[4],
                max_p: params[3],
                step: params[1],
                target: params[0],
                interval: params[2] as usize,
                signal: Signal::Generated,
                geometry: Geometry::Original,
                turns: true,
            };
            let mut controller = Controller::new(config.initial_p);
            let is_real = Vec::<i64>::try_from(case.get("is_real")).unwrap();
            let expected = Vec::<f64>::try_from(case.get("out.p")).unwrap();
            for (call, (real, p)) in is_real.iter().zip(&expected).enumerate() {
                if *real == 0 {
                    let at = |key: &str| case.get(key).get(call as i64);
                    controller.observe(&statistic(
                        &Logits { scalar: at("scalar"), pixel: at("pixel"), labels: None },
                        None,
                    ));
                    controller.adapt(&config);
                }
                assert!(
                    (controller.p - p).abs() <= 1e-12,
                    "{}call {call}: {} != {p}",
                    case.name,
                    controller.p
                );
            }
        }
    }
}

#[test]
fn single_transforms_match_with_gradients() {
    for file in fixtures("ada_geometric") {
        for case in file.cases() {
            let x = case.input("x");
            let size = x.size()[2] as f64;
            for (name, quarters) in [("0", 0), ("90", 1), ("m90", -1), ("180", 2)] {
                case.expect(&format!("rot90.out.{name}"), &quarter_turns(&x, quarters), GEOMETRY);
            }
            case.expect("hflip.out", &mirror(&x), 0.0);
            let pixels = Vec::<i64>::try_from(case.get("translate.shift")).unwrap();
            case.expect("translate.out", &shift(&x, [pixels[0], pixels[1]]), 0.0);

            let scales = floats(case.get("iso.scale"));
            let check = |name: &str, matrices: Vec<Matrix>| {
                check_warp(&case.below(&format!("{name}.")), &x, &matrices);
            };
            check("iso", scales.iter().map(|s| isotropic(*s, size)).collect());
            let pairs = floats(case.get("aniso.scale"));
            check("aniso", pairs.chunks(2).map(|s| anisotropic([s[0], s[1]], size)).collect());
            check("rot", floats(case.get("rot.angle")).iter().map(|a| rotation(*a, size)).collect());
        }
    }
}

fn check_warp(case: &Case, x: &Tensor, matrices: &[Matrix]) {
    let flat: Vec<f64> = matrices.iter().flatten().copied().collect();
    case.expect("out.matrix", &Tensor::from_slice(&flat).view([-1, 2, 3]), GEOMETRY);
    let theta = thetas(matrices, [x.size()[2], x.size()[3]], x.device());
    let y = warp(x, &theta);
    case.expect("out.y", &y, GEOMETRY);
    case.expect_input_gradient(&weighted_sum(&y, case.get("gy")), x, "grad.x");
    const { assert!(GRADIENT >= GEOMETRY) };
}

#[test]
fn the_pipeline_matches_with_recorded_draws() {
    for case in fixtures("ada_pipeline") {
        let p = case.get("in.p").double_value(&[]);
        let draws = case.below("draw.");
        let selected = |step: i64, p: f64| -> Vec<bool> {
            floats(&draws.get("u").get(step)).iter().map(|u| *u <= p).collect()
        };
        // Parameters are stored for the selected samples only.
        let given = |step: i64, p: f64, key: &str| {
            let mut values = floats(draws.get(key)).into_iter();
            selected(step, p).into_iter().map(|on| on.then(|| values.next().unwrap())).collect::<Vec<_>>()
        };
        let pairs = floats(draws.get("aniso_scale"));
        let mut pairs = pairs.chunks(2).map(|s| [s[0], s[1]]);
        let p_rotation = 1.0 - (1.0 - p).sqrt();
        let pixels = Vec::<i64>::try_from(draws.get("shift_pixels")).unwrap();
        let draws = PublishedWarps {
            mirror: selected(0, p),
            quarter: selected(1, p),
            quarters: (draws.get("angle90").double_value(&[]) / 90.0).round() as i64,
            shift: selected(2, p),
            pixels: [pixels[0], pixels[1]],
            isotropic: given(3, p, "iso_scale"),
            rotation1: given(4, p_rotation, "rot1_angle"),
            anisotropic: selected(5, p).into_iter().map(|on| on.then(|| pairs.next().unwrap())).collect(),
            rotation2: given(6, p_rotation, "rot2_angle"),
        };
        let x = case.get("in.x");
        case.expect("out.y", &draws.plan(x.size()[3], x.device()).apply(x), GEOMETRY);
    }
}

fn floats(values: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(values.flatten(0, -1).to_kind(tch::Kind::Double)).unwrap()
}
