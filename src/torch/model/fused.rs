//! What lies between the convolutions, in one pass over memory: `fused.cpp` behind safe functions.
//!
//! These passes cost as much as the convolutions themselves where libtorch does them one by one. The compiled forms serve
//! float32 and bfloat16 with channels last, on the CPU and on a GPU whose kernels are loaded; everything else takes the
//! composed form beside them, which also defines them. Derivatives of any order work in both.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use tch::{Device, Kind, Tensor};

use super::equalized::SLOPE;
use crate::cuda;
use crate::handle::{RawTensor, adopt, raw};

unsafe extern "C" {
    fn lapsegan_epilogue(
        x: RawTensor,
        d: RawTensor,
        noise: RawTensor,
        bias: RawTensor,
        in_place: bool,
    ) -> RawTensor;
    fn lapsegan_bias_leaky_relu(x: RawTensor, bias: RawTensor) -> RawTensor;
    fn lapsegan_scale(x: RawTensor, s: RawTensor) -> RawTensor;
    fn lapsegan_project(x: RawTensor, w: RawTensor) -> RawTensor;
    fn lapsegan_prepare(w: RawTensor, gain: f64, half: bool) -> RawTensor;
    fn lapsegan_leaky_relu(x: RawTensor) -> RawTensor;
    fn lapsegan_filter(
        x: RawTensor,
        kernel: RawTensor,
        padding: i64,
        offset: i64,
        gain: f64,
        fused: bool,
    ) -> RawTensor;
    fn lapsegan_double(x: RawTensor, kernel: RawTensor, gain: f64) -> RawTensor;
    fn lapsegan_add(a: RawTensor, b: RawTensor) -> RawTensor;
    fn lapsegan_fork(x: RawTensor, second: *mut RawTensor) -> RawTensor;
}

/// Returns `lrelu(d x + noise + bias)` and takes `x` over, whose memory it may use.
///
/// # Shapes
/// `x [N, C, H, W]`, `d [N, C]`, `noise [N or 1, 1, H, W]`, `bias [C]`.
pub(super) fn epilogue(x: Tensor, d: &Tensor, noise: &Tensor, bias: &Tensor) -> Tensor {
    if serves(&x) {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_epilogue(raw(&x), raw(d), raw(noise), raw(bias), true) });
    }
    let noise = noise.to_kind(x.kind());
    let shifted = noise.addcmul(&x, &wide(d, &x)) + bias.to_kind(x.kind()).view([1, -1, 1, 1]);
    leaky_relu(shifted)
}

/// Returns `lrelu(x + bias)`. `x [N, C, H, W]`, `bias [C]`
pub(super) fn bias_leaky_relu(x: &Tensor, bias: &Tensor) -> Tensor {
    if serves(x) {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_bias_leaky_relu(raw(x), raw(bias)) });
    }
    leaky_relu(x + bias.to_kind(x.kind()).view([1, -1, 1, 1]))
}

/// Returns `x` with every channel of every sample times its own factor. `x [N, C, H, W]`, `s [N, C]`.
pub(super) fn scale(x: &Tensor, s: &Tensor) -> Tensor {
    if serves(x) {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_scale(raw(x), raw(s)) });
    }
    x * wide(s, x)
}

/// Returns a weighted sum of the channels for every map and sample, in float32.
///
/// `x [N, C, H, W]`, `w [N, M, C]` in float32 -> `[N, M, H, W]`
pub(super) fn project(x: &Tensor, w: &Tensor) -> Tensor {
    if serves(x) {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_project(raw(x), raw(w)) });
    }
    let (_, _, height, width) = x.size4().expect("x has four axes");
    // [N, HW, C] [N, C, M] -> [N, HW, M], whose channels are last.
    let maps = x.flatten(2, 3).transpose(1, 2).matmul(&w.to_kind(x.kind()).transpose(1, 2));
    let maps = if x.kind() == Kind::Double { maps } else { maps.to_kind(Kind::Float) };
    maps.unflatten(1, [height, width]).permute([0, 3, 1, 2])
}

/// Returns a convolution's weight `[O, I, k, k]` times `gain`, in the kind of the features.
pub(super) fn prepare(weight: &Tensor, gain: f64, kind: Kind) -> Tensor {
    // In float32 the order of sums would differ for nothing.
    if kind != Kind::BFloat16 {
        return prepared(weight, gain, kind);
    }
    let key = (weight.data_ptr() as usize, gain.to_bits());
    let known = PREPARED.with_borrow(|all| all.as_ref()?.get(&key).map(Tensor::shallow_clone));
    known.unwrap_or_else(|| {
        let made = prepared(weight, gain, kind);
        PREPARED.with_borrow_mut(|all| all.as_mut().map(|all| all.insert(key, made.shallow_clone())));
        made
    })
}

/// Runs passes between which no weight changes: each is brought to bfloat16 once for all of them.
pub fn sharing_weights<T>(passes: impl FnOnce() -> T) -> T {
    /// Forgets the weights even where a pass panics.
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            PREPARED.set(None);
        }
    }
    PREPARED.set(Some(HashMap::new()));
    let _forget = Forget;
    passes()
}

fn prepared(weight: &Tensor, gain: f64, kind: Kind) -> Tensor {
    if serves(weight) && matches!(kind, Kind::Float | Kind::BFloat16) {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_prepare(raw(weight), gain, kind == Kind::BFloat16) });
    }
    (weight * gain).to_kind(kind)
}

/// Returns `lrelu(x)` with slope 0.2 and takes `x` over, whose memory it may use.
///
/// The mask is cut from the graph: the derivative of a leaky ReLU's mask is zero, but autograd would push those zeros
/// through the whole network in every second-order step such as R1.
pub(super) fn leaky_relu(x: Tensor) -> Tensor {
    if serves(&x) {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_leaky_relu(raw(&x)) });
    }
    x.detach().leaky_relu_backward(&x, SLOPE, false)
}

/// Returns `x` blurred by the [1, 3, 3, 1] filter of sum `gain`, which begins two pixels before each. `kernel [C, 1, k, k]`
/// is that filter as a convolution that pads by two, with zeros at its end. The derivative is a blur too.
pub(super) fn blur(x: &Tensor, kernel: &Tensor, gain: f64) -> Tensor {
    // SAFETY: see `handle`.
    adopt(unsafe { lapsegan_filter(raw(x), raw(kernel), 2, -2, gain, serves(x)) })
}

/// Returns `x [N, C, H, W]` bilinearly doubled in a frame of zeros and times `gain`; `kernel [C, 1, 4, 4]` belongs to the
/// adjoint, a convolution with stride 2.
pub(super) fn double(x: &Tensor, kernel: impl FnOnce() -> Tensor, gain: f64) -> Tensor {
    if serves(x) {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_double(raw(x), raw(&kernel()), gain) });
    }
    let (_, _, h, w) = x.size4().expect("x has four axes");
    let framed = x.constant_pad_nd([1, 1, 1, 1]);
    let large = framed.upsample_bilinear2d([2 * (h + 2), 2 * (w + 2)], false, None, None);
    large.narrow(2, 2, 2 * h).narrow(3, 2, 2 * w) * gain
}

/// Returns `a + b`, of equal shape and kind.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Tensor {
    if serves(a) && a.kind() == b.kind() {
        // SAFETY: see `handle`.
        return adopt(unsafe { lapsegan_add(raw(a), raw(b)) });
    }
    a + b
}

/// Returns `x` twice, for two layers that read it: their gradients meet in one pass.
pub(super) fn fork(x: &Tensor) -> (Tensor, Tensor) {
    if serves(x) && x.requires_grad() {
        let mut second = std::ptr::null();
        // SAFETY: see `handle`; the second tensor is there where the first is.
        let first = adopt(unsafe { lapsegan_fork(raw(x), &raw mut second) });
        return (first, adopt(second));
    }
    (x.shallow_clone(), x.shallow_clone())
}

thread_local! {
    /// By place in memory, which a parameter keeps, and gain, while passes share them.
    static PREPARED: RefCell<Option<HashMap<(usize, u64), Tensor>>> = const { RefCell::new(None) };
    static COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with the composed forms, as a GPU without kernels does: what they are there for can be counted and compared
/// on a CPU.
pub fn composed<T>(work: impl FnOnce() -> T) -> T {
    let outer = COMPOSED.replace(true);
    let result = work();
    COMPOSED.set(outer);
    result
}

fn serves(x: &Tensor) -> bool {
    !COMPOSED.get()
        && x.dim() == 4
        && matches!(x.kind(), Kind::Float | Kind::BFloat16)
        && match x.device() {
            Device::Cpu => !is_emulating() || fits_gpu(x),
            Device::Cuda(index) => cuda::is_loaded(index) && fits_gpu(x),
            _ => false,
        }
}

/// Whether a block of 256 threads, 16 bytes each, holds the channels of a pixel, and a grid the samples.
fn fits_gpu(x: &Tensor) -> bool {
    let per_thread = if x.kind() == Kind::BFloat16 { 8 } else { 4 };
    let size = x.size();
    x.numel() > 0 && size[0] < 1 << 16 && size[1] <= 256 * per_thread && size[2] * size[3] < 1 << 30
}

#[cfg(test)]
fn is_emulating() -> bool {
    cuda::emulation::is_on()
}
#[cfg(not(test))]
fn is_emulating() -> bool {
    false
}

/// `[N, C] -> [N, C, 1, 1]`, of the kind of `like`.
fn wide(factor: &Tensor, like: &Tensor) -> Tensor {
    factor.unsqueeze(-1).unsqueeze(-1).to_kind(like.kind())
}

#[cfg(test)]
mod tests {
    use super::super::derivatives::{check, check_half, random};
    use super::super::equalized::channels_last;
    use super::super::resample::{Blur, Upsample, filter_1331, upfirdn2d};
    use super::*;
    use crate::cuda::emulation::{emulated, not_launched};

    const SHAPES: [[i64; 4]; 5] =
        [[2, 5, 3, 7], [3, 64, 32, 20], [1, 1, 1, 1], [2, 512, 8, 8], [2, 96, 5, 9]];

    type Form<'a> = &'a dyn Fn(&[Tensor]) -> Tensor;

    /// Calls `check` with every form and inputs that it may have.
    fn for_all_forms([n, c, h, w]: [i64; 4], check: &dyn Fn(&str, &[Tensor], Form)) {
        let x = || channels_last(&random(&[n, c, h, w]));
        for noises in [1, n] {
            let others = [random(&[n, c]).abs() + 0.1, random(&[noises, 1, h, w]), random(&[c])];
            let [d, noise, bias] = others;
            check("epilogue", &[x(), d, noise, bias], &|i| epilogue(&i[0] * 1.0, &i[1], &i[2], &i[3]));
        }
        check("bias_leaky_relu", &[x(), random(&[c])], &|i| bias_leaky_relu(&i[0], &i[1]));
        check("scale", &[x(), random(&[n, c])], &|i| scale(&i[0], &i[1]));
        for maps in [4, 6] {
            check("project", &[x(), random(&[n, maps, c])], &|i| project(&i[0], &i[1]));
        }
        check("leaky_relu", &[x()], &|i| leaky_relu(&i[0] * 1.0));
        check("prepare", &[random(&[n, c, 3, 3])], &|i| {
            let half = i[0].kind() == Kind::BFloat16;
            prepare(&(if half { i[0].to_kind(Kind::Float) } else { i[0].shallow_clone() }), 0.7, i[0].kind())
        });
        check("add", &[x(), random(&[n, c, h, w])], &|i| add(&i[0], &i[1]));
        check("fork", &[x(), random(&[n, c])], &|i| {
            let (a, b) = fork(&i[0]);
            scale(&a, &i[1]) * b.square() + fork(&i[0]).1
        });
        check("double", &[x()], &|i| Upsample::new(3.0).forward(&i[0]));
        for pad in [(2, 1), (2, 2)] {
            check("blur", &[x()], &|i| Blur::new(4.0, pad).forward(&i[0]));
        }
        // Not channels last, and not at a multiple of 16 bytes.
        check("leaky_relu, rows last", &[random(&[n, c, h, w])], &|i| leaky_relu(&i[0] * 1.0));
        check("leaky_relu, of a part", &[random(&[n + 1, c, h, w])], &|i| {
            leaky_relu(i[0].narrow(0, 1, n) * 1.0)
        });
        check("add, of parts", &[random(&[n + 1, c, h, w])], &|i| {
            add(&i[0].narrow(0, 1, n), &i[0].narrow(0, 0, n))
        });
    }

    #[test]
    fn compiled_forms_equal_the_composed_ones_to_the_second_order() {
        for shape in SHAPES {
            for_all_forms(shape, &|name, inputs, form| check(name, inputs, form));
        }
    }

    #[test]
    fn kernels_of_a_gpu_equal_the_composed_forms_to_the_second_order() {
        for shape in SHAPES {
            emulated(|| for_all_forms(shape, &|name, inputs, form| check(name, inputs, form)));
        }
        assert!(not_launched("_f32").is_empty() && not_launched("fold").is_empty());
    }

    #[test]
    fn kernels_of_a_gpu_equal_the_composed_forms_in_bfloat16() {
        // Every rounding is one of 2^-9 at most; `fork` is of several operations.
        for shape in SHAPES {
            emulated(|| for_all_forms(shape, &|name, inputs, form| check_half(name, inputs, form, 8e-3)));
        }
        assert!(not_launched("_bf16").is_empty());
    }

    #[test]
    fn filters_equal_their_definition_to_the_second_order() {
        compare_filters();
        emulated(compare_filters);
    }

    #[test]
    fn a_weight_is_prepared_once_for_passes_that_share_it() {
        let weight = random(&[8, 6, 3, 3]).set_requires_grad(true);
        let run = |sharing: bool| {
            let passes = || {
                let [a, b] = [0.7, 0.7].map(|gain| prepare(&weight, gain, Kind::BFloat16));
                let other = prepare(&weight, 0.5, Kind::BFloat16);
                let y = (&a * &a).sum(Kind::Float) + b.sum(Kind::Float) + other.sum(Kind::Float);
                (a.data_ptr() == b.data_ptr(), a.data_ptr() == other.data_ptr(), y)
            };
            let (same, other, y) = if sharing { sharing_weights(passes) } else { passes() };
            assert_eq!((same, other), (sharing, false));
            [Tensor::run_backward(&[&y], &[&weight], false, false).remove(0), y.detach()]
        };
        for (shared, alone) in run(true).iter().zip(run(false)) {
            assert!(((shared - &alone).norm() / alone.norm()).double_value(&[]) < 5e-3);
        }
        assert!(PREPARED.with_borrow(Option::is_none));
    }

    fn compare_filters() {
        let kernel = filter_1331(4.0, Device::Cpu);
        let x = channels_last(&random(&[2, 3, 6, 5]));
        for pad in [(2, 1), (2, 2)] {
            let fast = |x: &Tensor| Blur::new(4.0, pad).forward(x);
            let plain = |x: &Tensor| upfirdn2d(x, &kernel.to_kind(x.kind()), 1, 1, pad);
            compare(&x, &fast, &plain);
        }
        compare(&x, &|x| Upsample::new(1.0).forward(x), &|x| {
            upfirdn2d(x, &filter_1331(1.0, Device::Cpu).to_kind(x.kind()), 2, 1, (2, 1))
        });
    }

    fn compare(x: &Tensor, fast: &dyn Fn(&Tensor) -> Tensor, plain: &dyn Fn(&Tensor) -> Tensor) {
        let run = |form: &dyn Fn(&Tensor) -> Tensor| {
            let x = x.copy().set_requires_grad(true);
            let y = form(&x);
            let gradient = Tensor::run_backward(&[y.pow_tensor_scalar(3).sum(y.kind())], &[&x], true, true);
            let second = Tensor::run_backward(&[gradient[0].square().sum(y.kind())], &[&x], false, false);
            [y, gradient[0].shallow_clone(), second[0].shallow_clone()]
        };
        for (got, want) in run(fast).iter().zip(run(plain)) {
            let error = ((got - &want).norm() / want.norm()).double_value(&[]);
            assert!(error < 2e-6, "relative error {error}");
        }
    }
}
