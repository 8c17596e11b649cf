//! `adam_clip_ema`: optimiser, gradient clipping, moving average.

use lapsegan::optim::clip::clip_gradient_norm;
use lapsegan::optim::{Adam, AdamConfig, ema};
use tch::Tensor;

use super::{FORWARD, fixtures};

#[test]
fn adam_follows_the_golden_steps_with_zero_gradients_not_skipped() {
    for case in fixtures("adam_clip_ema") {
        let parameters = vec![case.get("adam.p0").copy(), case.get("adam.q0").copy()];
        let mut adam =
            Adam::new(AdamConfig { beta1: 0.0, beta2: 0.999, eps: 1e-8 }, parameters, vec![2e-4, 2e-6]);
        for step in 0..case.get("adam.gp").size()[0] {
            adam.step(&["adam.gp", "adam.gq"].map(|key| Some(case.get(key).get(step))));
            for (parameter, key) in adam.parameters().iter().zip(["adam.out.p", "adam.out.q"]) {
                let error = (parameter - case.get(key).get(step)).abs().max().double_value(&[]);
                // Against the learning rate of the group: a weight's float32 spacing is a good part of the small one.
                let allowed = if key.ends_with('p') { 0.05 * 2e-4 } else { 0.3 * 2e-6 };
                assert!(error <= allowed, "{key} after step {step}: {error:e}");
            }
        }
        let state = adam.state();
        let moments = state[0].as_ref().unwrap();
        case.expect("adam.out.p_exp_avg", &moments.exp_avg, FORWARD);
        case.expect("adam.out.p_exp_avg_sq", &moments.exp_avg_sq, FORWARD);
    }
}

#[test]
fn clipping_scales_large_gradients_and_leaves_small_ones() {
    for case in fixtures("adam_clip_ema") {
        for name in ["clip_big.", "clip_small."] {
            let case = case.below(name);
            let mut gradients = ["g0", "g1"].map(|key| Some(case.get(key).copy()));
            let norm = clip_gradient_norm(&mut gradients, 5.0);
            case.expect("out.norm", &norm, FORWARD);
            for (gradient, key) in gradients.iter().flatten().zip(["out.g0", "out.g1"]) {
                case.expect(key, gradient, FORWARD);
            }
        }
    }
}

#[test]
fn moving_average_matches_after_one_and_ten_steps() {
    for case in fixtures("adam_clip_ema") {
        let read = |part: &str| ["weight", "bias"].map(|name| case.get(&format!("ema.{part}.{name}")).copy());
        let (mut average, train): ([Tensor; 2], [Tensor; 2]) = (read("before"), read("train"));
        for step in 1..=10 {
            ema::update(&mut average, &train, 0.999);
            if step == 1 || step == 10 {
                case.expect(&format!("ema.out.after{step}.weight"), &average[0], FORWARD);
                case.expect(&format!("ema.out.after{step}.bias"), &average[1], FORWARD);
            }
        }
    }
}
