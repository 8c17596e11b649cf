//! For tests: a form and its derivatives to the second order against float64.

use std::cell::Cell;

use lapsegan_core::seed::Stream;
use tch::{Device, Kind, Tensor};

thread_local! {
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

/// Returns the next random numbers of this thread. Libtorch's generator is that of all threads, so that its numbers
/// would depend on what other tests draw meanwhile.
pub(super) fn random(shape: &[i64]) -> Tensor {
    let n = DRAWN.replace(DRAWN.get() + 1);
    crate::tensor_rng::randn(Stream::GeneratorNoise, &[n], shape)
}

/// Checks value, gradients, and the gradients of a function of the gradients, in float32, against the composed form,
/// which is what float64 gets.
pub(super) fn check(name: &str, inputs: &[Tensor], form: &dyn Fn(&[Tensor]) -> Tensor) {
    check_against(name, inputs, form, form);
}

/// The same, against another form.
pub(super) fn check_against(
    name: &str,
    inputs: &[Tensor],
    form: &dyn Fn(&[Tensor]) -> Tensor,
    definition: &dyn Fn(&[Tensor]) -> Tensor,
) {
    let run = |form: &dyn Fn(&[Tensor]) -> Tensor, kind: Kind| {
        let leaves: Vec<Tensor> =
            inputs.iter().map(|x| x.to_kind(kind).detach().set_requires_grad(true)).collect();
        let y = form(&leaves);
        let weight = Tensor::arange(y.numel() as i64, (kind, Device::Cpu)).cos().view_as(&y);
        let order_1 = Tensor::run_backward(&[(&y * weight).sum(y.kind())], &leaves, true, true);
        let penalty: Tensor = order_1.iter().map(|g| g.square().sum(g.kind())).sum();
        let order_2 = Tensor::run_backward(&[&penalty + y.square().sum(y.kind())], &leaves, true, false);
        // Once more without a graph: the compiled backward pass.
        let y_again = form(&leaves);
        let weight = Tensor::arange(y.numel() as i64, (kind, Device::Cpu)).cos().view_as(&y);
        let plain = Tensor::run_backward(&[(&y_again * weight).sum(y.kind())], &leaves, false, false);
        let inference = tch::no_grad(|| form(&leaves.iter().map(Tensor::copy).collect::<Vec<_>>()));
        (vec![y, inference], order_1, plain, order_2)
    };
    let want = run(definition, Kind::Double);
    let got = run(form, Kind::Float);
    for (part, got, want, bound) in [
        ("value", &got.0, &want.0, 1e-6),
        ("gradient with graph", &got.1, &want.1, 5e-6),
        ("gradient", &got.2, &want.1, 5e-6),
        ("second order", &got.3, &want.3, 2e-5),
    ] {
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            // Terms of size 1 may cancel, and leave their rounding.
            let size = want.norm() + 0.1 * (want.numel() as f64).sqrt();
            let error = (got.to_kind(Kind::Double) - want).norm() / size;
            let error = error.double_value(&[]);
            assert!(error < bound, "{name}, {part} {i}: relative error {error}");
        }
    }
}

/// Checks value and gradients in bfloat16 against float64 of the same rounded inputs.
pub(super) fn check_half(name: &str, inputs: &[Tensor], form: &dyn Fn(&[Tensor]) -> Tensor, bound: f64) {
    let run = |kind: Kind| {
        let leaf = |x: &Tensor| x.to_kind(Kind::BFloat16).to_kind(kind).detach().set_requires_grad(true);
        let leaves: Vec<Tensor> = inputs.iter().map(leaf).collect();
        let y = form(&leaves);
        let weight = Tensor::arange(y.numel() as i64, (Kind::Double, Device::Cpu)).cos().view_as(&y);
        let loss = (&y * weight.to_kind(Kind::BFloat16).to_kind(y.kind())).sum(Kind::Double);
        let gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        std::iter::once(y).chain(gradients).collect::<Vec<_>>()
    };
    for (i, (got, want)) in run(Kind::BFloat16).iter().zip(run(Kind::Double)).enumerate() {
        let size = want.norm() + 0.1 * (want.numel() as f64).sqrt();
        let error = ((got.to_kind(Kind::Double) - want).norm() / size).double_value(&[]);
        assert!(error < bound, "{name} in bfloat16, result {i}: relative error {error}");
    }
}
