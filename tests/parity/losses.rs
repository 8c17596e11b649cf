//! `losses`: the logistic loss in all the places where it is used.

use lapsegan::losses::adversarial::{call_fake, call_real};
use tch::{Kind, Tensor};

use super::{FORWARD, fixture};

#[test]
fn logistic_losses_match_with_gradients() {
    let Some(case) = fixture("losses") else { return };
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
