//! Whether the kernels of a GPU compute what they should on the GPU that is there, before a network relies on them.

use tch::{Device, Kind, Tensor};

use super::equalized::channels_last;
use super::fused;
use super::resample::{Blur, Upsample};

/// Largest relative difference to the composed form in float32, which a GPU may itself compute with 10 significant bits.
const TOLERANCES: [(Kind, f64); 2] = [(Kind::Float, 5e-3), (Kind::BFloat16, 2e-2)];

type Form = fn(&[Tensor]) -> Tensor;

/// Compares every fused form and its gradients with the composed one.
///
/// # Errors
/// Which form differs, and by how much.
pub fn check_kernels(device: Device) -> Result<(), String> {
    for (kind, tolerance) in TOLERANCES {
        for (name, inputs, form) in forms(kind, device) {
            let fused = with_gradients(&inputs, kind, form);
            // The same numbers, with all digits on the way.
            let exact: Vec<Tensor> = inputs.iter().map(|x| x.to_kind(Kind::Float)).collect();
            let composed = fused::composed(|| with_gradients(&exact, kind, form));
            for (fused, composed) in fused.iter().zip(&composed) {
                let error = difference(fused, composed);
                if !error.is_finite() || error > tolerance {
                    return Err(format!("{name} in {kind:?} differs by {error:.1e} from its definition"));
                }
            }
        }
    }
    Ok(())
}

/// Returns `|a - b| / |b|`.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let [a, b] = [a, b].map(|x| x.to_kind(Kind::Double));
    crate::transfer::number(&((a - &b).norm() / (b.norm() + 1e-6)))
}

/// Returns the gradients of all inputs, and the output.
fn with_gradients(inputs: &[Tensor], kind: Kind, form: Form) -> Vec<Tensor> {
    let leaves: Vec<Tensor> = inputs.iter().map(|x| x.detach().set_requires_grad(true)).collect();
    let y = form(&leaves);
    // Positive, so that sums do not cancel, and exact in both kinds.
    let weight = (waves(&y.size(), 1.3, &y.to_kind(Kind::Float)) + 1.5).to_kind(kind).to_kind(y.kind());
    let mut all = Tensor::run_backward(&[(&y * weight).sum(Kind::Float)], &leaves, false, false);
    all.push(y.detach());
    all
}

/// Returns numbers without order, of the kind and on the device of `like`.
fn waves(shape: &[i64], frequency: f64, like: &Tensor) -> Tensor {
    let n = shape.iter().product::<i64>();
    let phases = Tensor::arange(n, (Kind::Float, like.device())) * frequency;
    phases.sin().view(shape).to_kind(like.kind())
}

/// Returns the forms with inputs of a usual shape: channels that fill 16 bytes, and some more.
fn forms(kind: Kind, device: Device) -> Vec<(&'static str, Vec<Tensor>, Form)> {
    let (n, h, w) = (3, 10, 14);
    let float = Tensor::zeros([1], (Kind::Float, device));
    let features = Tensor::zeros([1], (kind, device));
    let mut all: Vec<(&'static str, Vec<Tensor>, Form)> = Vec::new();
    for c in [40, 21] {
        let x = channels_last(&waves(&[n, c, h, w], 0.7, &features));
        let of = |shape: &[i64]| waves(shape, 2.1, &float);
        let (d, noise, bias) = (of(&[n, c]) + 1.5, of(&[n, 1, h, w]), of(&[c]));
        let epilogue: Form = |i| fused::epilogue(&i[0] * 1.0, &i[1], &i[2], &i[3]);
        all.push(("epilogue", vec![x.shallow_clone(), d, noise, bias.shallow_clone()], epilogue));
        let pair = |second: Tensor| vec![x.shallow_clone(), second];
        all.push(("bias and leaky ReLU", pair(bias), |i| fused::bias_leaky_relu(&i[0], &i[1])));
        all.push(("scale", pair(of(&[n, c])), |i| fused::scale(&i[0], &i[1])));
        all.push(("projection", pair(of(&[n, 6, c])), |i| fused::project(&i[0], &i[1])));
        all.push(("leaky ReLU", pair(x.shallow_clone()), |i| fused::leaky_relu(&i[0] * &i[1])));
        all.push(("sum", pair(x.shallow_clone()), |i| fused::add(&i[0], &i[1])));
        let alone = || vec![x.shallow_clone()];
        all.push(("blur", alone(), |i| Blur::new(4.0, (2, 1)).forward(&i[0])));
        all.push(("doubling", alone(), |i| Upsample::new(3.0).forward(&i[0])));
        let prepare: Form = match kind {
            Kind::BFloat16 => |i| fused::prepare(&i[0], 0.7, Kind::BFloat16),
            _ => |i| fused::prepare(&i[0], 0.7, Kind::Float),
        };
        all.push(("weights", vec![of(&[c, 24, 3, 3])], prepare));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::emulation::{emulated, not_launched};

    #[test]
    fn the_kernels_pass_and_all_are_looked_at() {
        emulated(|| check_kernels(Device::Cpu)).unwrap();
        assert!(not_launched("_f32").is_empty() && not_launched("_bf16").is_empty());
    }

    #[test]
    fn a_pixel_that_is_wrong_is_seen() {
        let y = waves(&[2, 8, 8, 8], 0.3, &Tensor::zeros([1], (Kind::Float, Device::Cpu)));
        let wrong = y.copy();
        let _ = wrong.narrow(2, 3, 1).narrow(3, 5, 1).fill_(1.0);
        assert!(difference(&wrong, &y) > 2e-2 && difference(&y, &y) == 0.0);
    }
}
