//! Convolutions whose derivatives of every order are convolutions of ordinary shape: `convolution.cpp` behind safe functions.
//!
//! What libtorch's own convolution does in the second order, R1 and path length, has an image for a kernel; see there.
#![allow(unsafe_code)]

use tch::Tensor;

use crate::handle::{RawTensor, adopt, raw};

unsafe extern "C" {
    fn lapsegan_convolution(
        x: RawTensor,
        w: RawTensor,
        bias: RawTensor,
        stride: i64,
        padding: i64,
        transposed: bool,
    ) -> RawTensor;
}

/// Returns `x [N, I, H, W]` convolved with `w [O, I, k, k]`, plus `bias [O]`. `[N, O, H', W']`
pub(super) fn conv2d(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, stride: i64, padding: i64) -> Tensor {
    call(x, w, bias, stride, padding, false)
}

/// Returns `x [N, I, H, W]` convolved with `w [I, O, k, k]` after spreading its pixels by `stride`. `[N, O, H', W']`
pub(super) fn conv_transpose2d(x: &Tensor, w: &Tensor, stride: i64) -> Tensor {
    call(x, w, None, stride, 0, true)
}

fn call(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: i64,
    padding: i64,
    transposed: bool,
) -> Tensor {
    let bias = bias.map_or(std::ptr::null(), raw);
    // SAFETY: see `handle`; a bias may be null.
    adopt(unsafe { lapsegan_convolution(raw(x), raw(w), bias, stride, padding, transposed) })
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::super::derivatives::{check_against, random};
    use super::super::equalized::channels_last;
    use super::*;
    use crate::operators::{Operator, record};

    #[test]
    fn all_forms_equal_those_of_libtorch_to_the_second_order() {
        let w = |o, i, k| random(&[o, i, k, k]) / ((i * k * k) as f64).sqrt();
        for (h, wide, k, stride, padding) in
            [(6, 7, 3, 1, 1), (8, 6, 3, 2, 0), (7, 7, 3, 2, 0), (5, 9, 1, 1, 0), (9, 6, 3, 2, 1)]
        {
            let x = channels_last(&random(&[3, 4, h, wide]));
            let name = format!("conv2d {h} x {wide}, kernel {k}, stride {stride}, padding {padding}");
            check_against(
                &name,
                &[x, w(5, 4, k), random(&[5])],
                &|i| conv2d(&i[0], &i[1], Some(&i[2]), stride, padding),
                &|i| i[0].conv2d(&i[1], Some(&i[2]), stride, padding, 1, 1),
            );
        }
        for (k, stride) in [(2, 2), (3, 2), (3, 1)] {
            let x = channels_last(&random(&[2, 4, 5, 6]));
            check_against(
                &format!("conv_transpose2d, kernel {k}, stride {stride}"),
                &[x, w(4, 5, k)],
                &|i| conv_transpose2d(&i[0], &i[1], stride),
                &|i| i[0].conv_transpose2d(&i[1], None::<Tensor>, stride, 0, 0, 1, 1),
            );
        }
    }

    /// Returns the operators of a penalty on the gradient and of its derivative.
    fn second_order(form: &dyn Fn(&Tensor, &Tensor) -> Tensor) -> Vec<Operator> {
        let x = channels_last(&random(&[2, 4, 16, 16])).set_requires_grad(true);
        let w = random(&[4, 4, 3, 3]).set_requires_grad(true);
        let run = || {
            let gradient = Tensor::run_backward(&[form(&x, &w).square().sum(Kind::Float)], &[&x], true, true);
            Tensor::run_backward(&[gradient[0].square().sum(Kind::Float)], &[&w], false, false)
        };
        record(run).1
    }

    /// Returns the largest side of a kernel of a convolution.
    fn largest_kernel(operators: &[Operator]) -> i64 {
        let kernel = |o: &Operator| match o.name.as_str() {
            "convolution" => o.sizes[1][2..].iter().copied().max(),
            "convolution_backward" => o.sizes[2][2..].iter().copied().max(),
            _ => None,
        };
        operators.iter().filter_map(kernel).max().expect("there are convolutions")
    }

    #[test]
    fn no_kernel_is_as_large_as_an_image() {
        assert_eq!(largest_kernel(&second_order(&|x, w| conv2d(x, w, None, 1, 1))), 3);
        assert_eq!(largest_kernel(&second_order(&|x, w| conv_transpose2d(x, w, 2))), 3);
        // What it is for; should libtorch mend this, the file has no purpose any more.
        assert!(largest_kernel(&second_order(&|x, w| x.conv2d(w, None::<Tensor>, 1, 1, 1, 1))) >= 16);
    }
}
