//! `style_mapping`, `modulated_conv`, `d_blocks`: the building blocks of both networks.

use lapsegan::model::mapping::Mapping;
use lapsegan::model::modulated_conv::{Mode, ModulatedConv, Style};
use lapsegan::model::non_local::NonLocalBlock;
use lapsegan::model::residual::ResidualBlock;
use lapsegan::model::scale::{Downscale, Upscale};
use lapsegan::model::synthesis::{OutputBlock, StyledConv};
use tch::Tensor;

use super::{FORWARD, fixtures, store, weighted_sum};

#[test]
fn mapping_matches_with_gradients() {
    for case in fixtures("style_mapping") {
        let depth =
            case.tensors.keys().filter(|k| k.starts_with("w.layers.") && k.ends_with("weight")).count();
        let vs = store();
        let mapping = Mapping::new(&vs.root(), case.get("z").size()[1], depth);
        case.load(&vs, "w.");
        let z = case.input("z");
        let w = mapping.forward(&z);
        case.expect("out.w", &w, FORWARD);
        let loss = weighted_sum(&w, case.get("gy"));
        case.expect_input_gradient(&loss, &z, "grad.z");
        case.expect_gradients(&loss, &vs, "grad.w.");
    }
}

#[test]
fn modulated_convolutions_match_with_gradients() {
    for file in fixtures("modulated_conv") {
        for case in file.cases() {
            let inner = if case.has("w.weight") { "w." } else { "w.modulated_convolution." };
            let weight = case.get(&format!("{inner}weight")).size(); // [1, O, I, k, k]
            let (outputs, inputs) = (weight[1], weight[2]);
            let mode = match weight[3] {
                1 => Mode::Output,
                2 => Mode::Up,
                _ => Mode::Plain,
            };
            let affine = case.tensors.get(&format!("{inner}modulation_mapping.weight"));
            let latent = affine.map(|affine| affine.size()[1]);
            let (x, given) = (case.input("x"), case.input("style"));
            // A shared style is stored as [N, 1, I, 1, 1].
            let flat = if latent.is_some() { given.shallow_clone() } else { given.flatten(1, -1) };
            let style = if latent.is_some() { Style::Latent(&flat) } else { Style::Shared(&flat) };

            let vs = store();
            let root = vs.root();
            let (y, used) = if case.has("noise") {
                let layer = StyledConv::new(&root, inputs, outputs, latent, mode, 1.0);
                case.load(&vs, "w.");
                layer.forward(&x, &style, case.get("noise"))
            } else if case.has("w.bias") {
                let skip = case.tensors.get("skip");
                let layer = OutputBlock::new(&root, inputs, outputs, latent, skip.is_none(), 1.0);
                case.load(&vs, "w.");
                layer.forward(&x, &style, skip)
            } else {
                let layer = ModulatedConv::new(&root, inputs, outputs, latent, mode);
                case.load(&vs, "w.");
                layer.forward(&x, &style, None)
            };
            case.expect("out.y", &y, FORWARD);
            if case.has("out.modulated_style") {
                case.expect("out.modulated_style", &used.view([-1, 1, inputs, 1, 1]), FORWARD);
            }
            let loss = weighted_sum(&y, case.get("gy"));
            case.expect_input_gradient(&loss, &x, "grad.x");
            case.expect_input_gradient(&loss, &given, "grad.style");
            case.expect_gradients(&loss, &vs, "grad.w.");
        }
    }
}

#[test]
fn discriminator_blocks_match_with_gradients() {
    for file in fixtures("d_blocks") {
        for case in file.cases() {
            let (inputs, outputs) = (case.get("x").size()[1], case.get("out.y").size()[1]);
            let vs = store();
            let root = vs.root();
            let layer: Box<dyn Fn(&Tensor) -> Tensor> = if case.has("w.gamma") {
                let block = NonLocalBlock::new(&root, inputs, outputs);
                Box::new(move |x| block.forward(x))
            } else if case.has("w.main_mapping.0.weight") {
                let minibatch_std =
                    (case.get("w.main_mapping.0.weight").size()[1] == inputs + 1).then_some(0);
                let block = ResidualBlock::new(&root, inputs, outputs, minibatch_std);
                Box::new(move |x| block.forward(x))
            } else if case.has("w.0.weight") {
                let down = Downscale::new(&root, inputs);
                Box::new(move |x| down.forward(x))
            } else {
                let up = Upscale::new(&root, inputs, outputs, 1.0);
                Box::new(move |x| up.forward(x))
            };
            case.load(&vs, "w.");
            let x = case.input("x");
            let y = layer(&x);
            case.expect("out.y", &y, FORWARD);
            let loss = weighted_sum(&y, case.get("gy"));
            case.expect_input_gradient(&loss, &x, "grad.x");
            case.expect_gradients(&loss, &vs, "grad.w.");
        }
    }
}
