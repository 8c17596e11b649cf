//! `ops_upfirdn2d`, `ops_basic`: resampling, activation, equalized layers, normalisations.

use lapsegan::model::equalized::{BiasActivation, Conv, Linear, pixel_norm};
use lapsegan::model::resample::{Blur, Upsample, append_minibatch_std, upfirdn2d};
use tch::{Kind, Tensor};

use super::{Case, FORWARD, GRADIENT, fixtures, relative_error, store, weighted_sum};

#[test]
fn resampling_equals_the_definition_and_its_fast_forms_too() {
    for file in fixtures("ops_upfirdn2d") {
        let (mut blurs, mut upsamples) = (0, 0);
        for case in file.cases() {
            let parameters = Vec::<i64>::try_from(case.get("up_down_pad")).unwrap();
            let [up, down, p0, p1] = parameters[..] else { panic!("four parameters") };
            let kernel = case.get("kernel");
            let check = |form: &dyn Fn(&Tensor) -> Tensor| {
                let x = case.input("x");
                let y = form(&x);
                case.expect("out.y", &y, FORWARD);
                case.expect_input_gradient(&weighted_sum(&y, case.get("gy")), &x, "grad.x");
            };
            check(&|x| upfirdn2d(x, kernel, up, down, (p0, p1)));

            let sum = kernel.sum(Kind::Float).double_value(&[]);
            let separable = kernel.size() == [4, 4]
                && relative_error(&lapsegan::model::resample::filter_1331(sum, kernel.device()), kernel)
                    < 1e-6;
            if separable && (up, down) == (1, 1) && [(2, 1), (2, 2)].contains(&(p0, p1)) {
                check(&|x| Blur::new(sum, (p0, p1)).forward(x));
                blurs += 1;
            }
            if separable && (up, down, p0, p1) == (2, 1, 2, 1) {
                check(&|x| Upsample::new(sum).forward(x));
                upsamples += 1;
            }
        }
        assert!(blurs > 0 && upsamples > 0, "no case for a fast form");
    }
}

#[test]
fn activation_and_normalisations_match_with_gradients() {
    for file in fixtures("ops_basic") {
        for name in ["flrelu2d.", "flrelu4d."] {
            let case = file.below(name);
            let vs = store();
            let layer = BiasActivation::new(&vs.root(), case.get("bias").size()[0]);
            case.load(&vs, "");
            let x = case.input("x");
            let y = layer.forward(&x);
            case.expect("out.y", &y, FORWARD);
            case.expect_gradients(&weighted_sum(&y, case.get("gy")), &vs, "grad.");
            let gy = case.input("gy");
            let grad_x =
                &Tensor::run_backward(&[weighted_sum(&layer.forward(&x), &gy)], &[&x], true, true)[0];
            case.expect("grad.x", grad_x, GRADIENT);
            // Second order: d <grad_x, v> / d gy.
            case.expect_input_gradient(&weighted_sum(grad_x, case.get("v")), &gy, "grad2.gy");
        }
        let check = |name: &str, form: &dyn Fn(&Tensor) -> Tensor| {
            let case = file.below(name);
            let x = case.input("x");
            let y = form(&x);
            case.expect("out.y", &y, FORWARD);
            case.expect_input_gradient(&weighted_sum(&y, case.get("gy")), &x, "grad.x");
        };
        check("pixelnorm.", &pixel_norm);
        check("mbstd.", &|x: &Tensor| append_minibatch_std(x, 0));
    }
}

#[test]
fn equalized_layers_match_with_gradients() {
    for file in fixtures("ops_basic") {
        let check = |case: &Case, vs: &tch::nn::VarStore, layer: &dyn Fn(&Tensor) -> Tensor| {
            case.load(vs, "w.");
            let x = case.input("x");
            let y = layer(&x);
            case.expect("out.y", &y, FORWARD);
            let loss = weighted_sum(&y, case.get("gy"));
            case.expect_input_gradient(&loss, &x, "grad.x");
            case.expect_gradients(&loss, vs, "grad.w.");
        };
        let mut layers = 0;
        for case in file.cases() {
            if !case.has("w.weight") {
                continue;
            }
            layers += 1;
            let size = case.get("w.weight").size();
            let bias = case.has("w.bias");
            let vs = store();
            if size.len() == 2 {
                let layer = Linear::new(&vs.root(), size[1], size[0], bias.then_some(0.0));
                check(&case, &vs, &|x| layer.forward(x));
            } else {
                // Stride and padding are told by the sizes: 3x3 keeps or halves, 1x1 keeps.
                let (input, output) = (case.get("x").size()[2], case.get("out.y").size()[2]);
                let (stride, padding) = if input == output { (1, size[2] / 2) } else { (2, 0) };
                let layer = Conv::new(&vs.root(), size[1], size[0], size[2], stride, padding, bias);
                check(&case, &vs, &|x| layer.forward(x));
            }
        }
        assert!(layers > 0, "no layer in the file");
    }
}
