// Convolutions whose derivatives of every order are convolutions of ordinary shape.
//
// Libtorch takes the second derivative with respect to a weight by a convolution whose kernel is as large as the image,
// for which cuDNN has no fast form. But the gradient of the input of a convolution is the transposed convolution with the
// same weight, and the other way round, so two functions that name each other as their derivatives are enough.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>
#include <tuple>

#include "../handle.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

namespace {

// How a weight [O, I, k, k] is laid over images: plain takes I channels to O, transposed takes O to I.
struct Form {
  int64_t stride;
  int64_t padding;
  bool transposed;
  // Rows and columns that a transposed convolution appends to its output.
  int64_t rows, columns;

  // Returns the form that takes gradients `g` of the output back to the input `x`.
  Form adjoint(const Tensor &g, const Tensor &x, const Tensor &w) const {
    if (transposed) return {stride, padding, false, 0, 0};
    const auto left = [&](int axis) { return x.size(axis) - ((g.size(axis) - 1) * stride - 2 * padding + w.size(axis)); };
    return {stride, padding, true, left(2), left(3)};
  }
};

Tensor convolve(const Tensor &x, const Tensor &w, const c10::optional<Tensor> &bias, Form f) {
  return at::convolution(x, w, bias, {f.stride, f.stride}, {f.padding, f.padding}, {1, 1}, f.transposed,
                         {f.rows, f.columns}, 1);
}

// Gradients of input, weight and bias, those that are wanted.
std::tuple<Tensor, Tensor, Tensor> gradients(const Tensor &g, const Tensor &x, const Tensor &w, Form f,
                                             std::array<bool, 3> wanted) {
  const int64_t outputs = g.size(1);
  return at::convolution_backward(g, x, w, at::IntArrayRef{outputs}, {f.stride, f.stride}, {f.padding, f.padding}, {1, 1},
                                  f.transposed, {f.rows, f.columns}, 1, wanted);
}

void keep(AutogradContext *context, Form f) {
  context->saved_data["stride"] = f.stride;
  context->saved_data["padding"] = f.padding;
  context->saved_data["transposed"] = f.transposed;
  context->saved_data["rows"] = f.rows;
  context->saved_data["columns"] = f.columns;
}

Form kept(AutogradContext *context) {
  return {context->saved_data["stride"].toInt(), context->saved_data["padding"].toInt(),
          context->saved_data["transposed"].toBool(), context->saved_data["rows"].toInt(),
          context->saved_data["columns"].toInt()};
}

Tensor weight_gradient(const Tensor &g, const Tensor &x, const Tensor &w, Form f);

struct Convolution : torch::autograd::Function<Convolution> {
  // x [N, I, H, W], w [O, I, k, k], bias [O] -> [N, O, H', W'] (plain; O and I change places transposed)
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &w, const c10::optional<Tensor> &bias,
                        int64_t stride, int64_t padding, bool transposed, int64_t rows, int64_t columns) {
    const Form f{stride, padding, transposed, rows, columns};
    context->save_for_backward({x, w});
    keep(context, f);
    context->saved_data["bias"] = bias.has_value();
    return convolve(x, w, bias, f);
  }

  static Tensor of(const Tensor &x, const Tensor &w, const c10::optional<Tensor> &bias, Form f) {
    return apply(x, w, bias, f.stride, f.padding, f.transposed, f.rows, f.columns);
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], &g = grads[0];
    const Form f = kept(context);
    const bool has_bias = context->saved_data["bias"].toBool();
    const std::array<bool, 3> wanted{context->needs_input_grad(0), context->needs_input_grad(1),
                                     has_bias && context->needs_input_grad(2)};
    Tensor gx, gw, gb;
    if (at::GradMode::is_enabled()) {
      if (wanted[0]) gx = of(g, w, c10::nullopt, f.adjoint(g, x, w));
      if (wanted[1]) gw = weight_gradient(g, x, w, f);
      if (wanted[2]) gb = g.sum(at::IntArrayRef{0, 2, 3});
    } else {
      std::tie(gx, gw, gb) = gradients(g, x, w, f, wanted);
    }
    return {gx, gw, gb, Variable(), Variable(), Variable(), Variable(), Variable()};
  }
};

// The gradient of a convolution's weight: linear in the gradient of its output, and in its input.
struct WeightGradient : torch::autograd::Function<WeightGradient> {
  // g [N, O, H', W'], x [N, I, H, W], like [O, I, k, k], whose values do not matter
  static Tensor forward(AutogradContext *context, const Tensor &g, const Tensor &x, const Tensor &like, int64_t stride,
                        int64_t padding, bool transposed, int64_t rows, int64_t columns) {
    const Form f{stride, padding, transposed, rows, columns};
    context->save_for_backward({g, x});
    keep(context, f);
    return std::get<1>(gradients(g, x, like, f, {false, true, false}));
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &g = saved[0], &x = saved[1], &direction = grads[0];
    const Form f = kept(context);
    Tensor gg, gx;
    if (context->needs_input_grad(0)) gg = Convolution::of(x, direction, c10::nullopt, f);
    if (context->needs_input_grad(1)) {
      gx = Convolution::of(g, direction, c10::nullopt, f.adjoint(g, x, direction));
    }
    return {gg, gx, Variable(), Variable(), Variable(), Variable(), Variable(), Variable()};
  }
};

Tensor weight_gradient(const Tensor &g, const Tensor &x, const Tensor &w, Form f) {
  return WeightGradient::apply(g, x, w.detach(), f.stride, f.padding, f.transposed, f.rows, f.columns);
}

} // namespace

extern "C" {
// `bias` may be null.
Tensor *lapsegan_convolution(const Tensor *x, const Tensor *w, const Tensor *bias, int64_t stride, int64_t padding, bool transposed) {
  return lapsegan::guarded([&] {
    const auto optional = bias == nullptr ? c10::nullopt : c10::optional<Tensor>(*bias);
    return Convolution::of(*x, *w, optional, {stride, padding, transposed, 0, 0});
  });
}
}
