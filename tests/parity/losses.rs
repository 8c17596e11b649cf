//! `losses`, `cutmix`, `topk`: loss terms, mixed images, selection. Hinge and Wasserstein losses are not built: the
//! published programs never use them.

use lapsegan::losses::adversarial::{call_fake, call_real};
use lapsegan::losses::cut_mix::{Cut, consistency_loss, cut_mix_loss, mix};
use lapsegan::losses::path_length::path_length;
use lapsegan::model::Logits;
use lapsegan::training::config::TopKConfig;
use lapsegan::training::phases::top_k;
use lapsegan::training::schedule::{kept, top_k_fraction};
use tch::{Device, Kind, Tensor};

use super::{FORWARD, fixtures, relative_error};

#[test]
fn logistic_losses_match_with_gradients() {
    for case in fixtures("losses") {
        let inputs = ["real", "fake", "real_pixel", "fake_pixel"];
        let [real, fake, real_pixel, fake_pixel] = inputs.map(|name| case.input(&format!("in.{name}")));
        let weight = Some(case.get("in.weight"));
        let d = [
            call_real(&real, None),
            call_fake(&fake, None),
            call_real(&real_pixel, None),
            call_fake(&fake_pixel, None),
            call_real(&real_pixel, weight),
            call_fake(&fake_pixel, weight),
        ];
        let d = Tensor::stack(&d, 0);
        case.expect("out.ns_d", &d, FORWARD);
        for (name, input) in inputs.iter().zip([&real, &fake, &real_pixel, &fake_pixel]) {
            case.expect_input_gradient(&d.sum(Kind::Float), input, &format!("grad.ns_d.{name}"));
        }
        let g = [call_real(&fake, None), call_real(&fake_pixel, None), call_real(&fake_pixel, weight)];
        let g = Tensor::stack(&g, 0);
        case.expect("out.ns_g", &g, FORWARD);
        case.expect_input_gradient(&g.sum(Kind::Float), &fake, "grad.ns_g.fake");
        case.expect_input_gradient(&g.sum(Kind::Float), &fake_pixel, "grad.ns_g.fake_pixel");
    }
}

#[test]
fn cut_mix_losses_match_with_gradients() {
    for case in fixtures("losses") {
        let (pixel, map) = (case.input("in.fake_pixel"), case.get("in.label"));
        let (real, generated) = cut_mix_loss(&pixel, map);
        let values = Tensor::stack(&[real, generated], 0);
        case.expect("out.ns_cutmix", &values, FORWARD);
        case.expect_input_gradient(&values.sum(Kind::Float), &pixel, "grad.ns_cutmix.fake_pixel");
        let consistency = consistency_loss(case.get("in.real_pixel"), case.get("in.fake_pixel"));
        case.expect("out.mse_consistency", &consistency, FORWARD);
    }
}

#[test]
fn path_length_follows_its_running_mean() {
    for case in fixtures("losses") {
        let mut mean = Tensor::zeros([], (Kind::Float, Device::Cpu));
        for call in 0..case.get("pl.out.length").size()[0] {
            let gradient = case.get("pl.in.grads").get(call) * (call + 1) as f64;
            let term = path_length(&gradient, &mean, 0.01);
            for (key, value) in [("penalty", &term.penalty), ("length", &term.length), ("mean", &term.mean)] {
                let expected = case.get(&format!("pl.out.{key}")).get(call);
                assert!(relative_error(value, &expected) <= FORWARD, "{key} of call {call}");
            }
            mean = term.mean;
        }
    }
}

#[test]
fn cut_mix_maps_images_and_targets_match() {
    for case in fixtures("cutmix") {
        let params = case.get("map.params");
        for row in 0..params.size()[0] {
            let p = Vec::<i64>::try_from(params.get(row)).unwrap();
            let cut = Cut { y: p[0], x: p[1], top_left: p[2] == 1, inverted: p[3] == 1 };
            let expected = case.get("out.map").get(row);
            let map = cut.map(expected.size()[0], expected.size()[1], Device::Cpu);
            assert_eq!(map.squeeze(), expected, "{}map {row}", case.name);
        }
        let (real, pred_real) = (case.get("in.real"), case.get("in.pred_real"));
        let n = real.size()[0];
        let [fake, pred_fake] = ["in.fake", "in.pred_fake"].map(|key| case.get(key).narrow(0, 0, n));
        let mut checked = 0;
        for sub in case.cases() {
            let Some(row) = sub
                .name
                .rsplit(": ")
                .next()
                .and_then(|n| n.trim_end_matches('.').get(3..)?.parse::<i64>().ok())
            else {
                continue;
            };
            let map = case.get("out.map").get(row).unsqueeze(0).unsqueeze(0).unsqueeze(0);
            if !sub.has("out.image") {
                continue;
            }
            sub.expect("out.image", &mix(real, &fake, &map), FORWARD);
            if sub.has("out.label") {
                let (called_real, called_fake) = cut_mix_loss(pred_real, sub.get("out.label"));
                sub.expect("out.loss", &Tensor::stack(&[called_real, called_fake], 0), FORWARD);
            } else {
                let target = mix(pred_real, &pred_fake, &map);
                sub.expect("out.target", &target, FORWARD);
                sub.expect("out.loss", &consistency_loss(pred_real, &target), FORWARD);
            }
            checked += 1;
        }
        assert!(checked > 0, "{}no mixed images", case.name);
    }
}

#[test]
fn top_k_shares_counts_and_selection_match() {
    for case in fixtures("topk") {
        for schedule in case.cases().iter().filter(|c| c.has("params")) {
            let params = Vec::<i64>::try_from(schedule.get("params")).unwrap();
            // The schedule knows starts as shares of the run; these are exact ones.
            let total = 1_u64 << 40;
            let share = |iteration: i64| (iteration as f64 + 1e-9) / total as f64;
            let config =
                TopKConfig { enabled: true, start: share(params[0]), end: share(params[1]), fraction: 0.5 };
            let expected = Vec::<f64>::try_from(schedule.get("out.v")).unwrap();
            let counts = Vec::<i64>::try_from(schedule.get("out.k")).unwrap();
            for (call, (v, k)) in expected.iter().zip(&counts).enumerate() {
                let fraction = top_k_fraction(call as u64 + 1, total, &config);
                assert!(
                    (fraction - v).abs() <= 1e-12,
                    "{}call {}: {fraction} != {v}",
                    schedule.name,
                    call + 1
                );
                assert_eq!(kept(params[2], fraction), *k, "{}call {}", schedule.name, call + 1);
            }
        }
        let logits = Logits {
            scalar: case.get("sel.in.pred").shallow_clone(),
            pixel: case.get("sel.in.pixel").shallow_clone(),
            labels: None,
        };
        let best = top_k(&logits, 0.5);
        case.expect("sel.out.values", &best.scalar.view([-1]), 0.0);
        case.expect("sel.out.pixel", &best.pixel, 0.0);
    }
}
