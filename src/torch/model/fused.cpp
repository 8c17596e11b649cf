// What lies between the convolutions, in one pass over memory, with derivatives: autograd functions that call the operators
// of ours (ops/ops.h) below autograd, on whatever device the tensors are.
//
// All work on tensors whose channels are last in memory, in float32 or bfloat16; arithmetic is float32.
// Where a derivative is itself differentiated (R1, path length), the backward pass is composed of libtorch's own
// operations, so that derivatives of any order are right; the kernels serve the first order.
#include <torch/csrc/autograd/custom_function.h>

#include <cstdint>

#include "../handle.h"
#include "../ops/ops.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;
namespace op = lapsegan::op;

namespace {

constexpr float kSlope = 0.2f;

Tensor last(const Tensor &x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }
Tensor floats(const Tensor &x) { return x.to(at::kFloat).contiguous(); }

// Whether the kernels are those of a GPU.
bool on_gpu(const Tensor &x) { return x.is_cuda() || lapsegan::emulating(); }

// For the composed forms: [N, C] -> [N, C, 1, 1].
Tensor wide(const Tensor &x, const Tensor &like) { return x.unsqueeze(-1).unsqueeze(-1).to(like.scalar_type()); }
Tensor masked(const Tensor &g, const Tensor &y) { return at::leaky_relu_backward(g, y.detach(), kSlope, false); }
Tensor total(const Tensor &t, at::IntArrayRef over, bool keep) { return at::sum(t, over, keep, at::kFloat); }

struct Epilogue : torch::autograd::Function<Epilogue> {
  // x [N, C, H, W], d [N, C], noise [N or 1, 1, H, W], b [C]
  static Tensor run(const Tensor &input, const Tensor &d, const Tensor &noise, const Tensor &b, bool in_place) {
    const Tensor x = last(input), y = in_place ? x : at::empty_like(x);
    op::epilogue(y, x, floats(d), floats(noise), floats(b));
    return y;
  }

  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &d, const Tensor &noise, const Tensor &b) {
    const Tensor y = run(x, d, noise, b, false);
    context->save_for_backward({x, d, y});
    context->saved_data["shared_noise"] = noise.size(0) == 1 && x.size(0) > 1;
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &d = saved[1], &y = saved[2];
    const bool shared = context->saved_data["shared_noise"].toBool();
    if (at::GradMode::is_enabled()) {
      const Tensor m = masked(grads[0], y);
      Tensor gn = total(m, {1}, true);
      if (shared) gn = gn.sum(0, true);
      return {m * wide(d, m), total(m * x, {2, 3}, false), gn, total(m, {0, 2, 3}, false)};
    }
    auto [gx, gd, gn, gb] = op::epilogue_backward(last(grads[0]), y, last(x), floats(d));
    if (shared) gn = gn.sum(0, true);
    return {gx, gd, gn, gb};
  }
};

struct BiasLeakyRelu : torch::autograd::Function<BiasLeakyRelu> {
  // x [N, C, H, W], b [C]
  static Tensor forward(AutogradContext *context, const Tensor &input, const Tensor &b) {
    const Tensor x = last(input), y = at::empty_like(x);
    op::bias_leaky_relu(y, x, floats(b));
    context->save_for_backward({y});
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const Tensor y = context->get_saved_variables()[0];
    if (at::GradMode::is_enabled()) {
      const Tensor m = masked(grads[0], y);
      return {m, total(m, {0, 2, 3}, false)};
    }
    const auto [gx, gb] = op::bias_leaky_relu_backward(last(grads[0]), y);
    return {gx, gb};
  }
};

struct Scale : torch::autograd::Function<Scale> {
  // x [N, C, H, W], s [N, C]
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &s) {
    context->save_for_backward({x, s});
    return op::scale(last(x), floats(s));
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &s = saved[1], &g = grads[0];
    if (at::GradMode::is_enabled()) return {g * wide(s, g), total(g * x, {2, 3}, false)};
    const auto [gx, gs] = op::scale_backward(last(g), last(x), floats(s));
    return {gx, gs};
  }
};

struct Project : torch::autograd::Function<Project> {
  // x [N, C, H, W], w [N, M, C] -> float32 [N, M, H, W]
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &w) {
    context->save_for_backward({x, w});
    return op::project(last(x), floats(w));
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1];
    if (at::GradMode::is_enabled()) {
      const Tensor g = grads[0].flatten(2); // [N, M, HW]
      const Tensor gx = at::matmul(g.transpose(1, 2), w).transpose(1, 2).reshape(x.sizes()).to(x.scalar_type());
      return {gx, at::matmul(g, x.flatten(2).transpose(1, 2).to(at::kFloat))};
    }
    const auto [gx, gw] = op::project_backward(last(grads[0]), last(x), floats(w));
    return {gx, gw};
  }
};

// A weight [O, I, k, k] as its convolution reads it: scaled, in the network's precision, channels last.
struct Prepare : torch::autograd::Function<Prepare> {
  static Tensor forward(AutogradContext *context, const Tensor &w, double gain, bool half) {
    context->saved_data["gain"] = gain;
    return op::prepare(w.contiguous(), gain, half);
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const double gain = context->saved_data["gain"].toDouble();
    if (at::GradMode::is_enabled()) return {grads[0].to(at::kFloat) * gain, Variable(), Variable()};
    return {op::prepare_backward(last(grads[0]), gain), Variable(), Variable()};
  }
};

struct LeakyRelu : torch::autograd::Function<LeakyRelu> {
  static Tensor run(const Tensor &input, bool in_place) {
    const Tensor x = last(input), y = in_place ? x : at::empty_like(x);
    op::leaky_relu(y, x);
    return y;
  }

  static Tensor forward(AutogradContext *context, const Tensor &x) {
    const Tensor y = run(x, false);
    context->save_for_backward({y});
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const Tensor y = context->get_saved_variables()[0];
    if (at::GradMode::is_enabled()) return {masked(grads[0], y)};
    return {op::leaky_relu_backward(last(grads[0]), y)};
  }
};

// A symmetric depthwise filter is its own adjoint up to the padding, so its derivative is again a forward convolution,
// which is several times faster than the backward pass of a depthwise convolution.
struct Filter : torch::autograd::Function<Filter> {
  // x [N, C, H, W], kernel [C, 1, k, k]; `padding` of a (k - 1 - padding) adjoint; see ops.h. `fused`: by our operator.
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &kernel, int64_t padding, int64_t offset,
                        double gain, bool fused) {
    context->save_for_backward({kernel});
    context->saved_data["padding"] = padding;
    context->saved_data["offset"] = offset;
    context->saved_data["gain"] = gain;
    context->saved_data["fused"] = fused;
    if (fused) return op::filter(last(x), kernel, padding, offset, gain);
    return at::conv2d(last(x), kernel, {}, 1, padding, 1, kernel.size(0));
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const Tensor kernel = context->get_saved_variables()[0], &g = grads[0];
    const int64_t padding = kernel.size(2) - 1 - context->saved_data["padding"].toInt();
    const int64_t offset = -3 - context->saved_data["offset"].toInt();
    const double gain = context->saved_data["gain"].toDouble();
    const bool fused = context->saved_data["fused"].toBool();
    // The kernels of a GPU know their weights.
    const Tensor flipped = fused && on_gpu(g) ? kernel : kernel.flip({2, 3});
    const Variable none;
    return {Filter::apply(g, flipped, padding, offset, gain, fused), none, none, none, none, none};
  }
};

// Bilinear doubling in a frame of zeros; its adjoint is a depthwise convolution with stride 2.
struct Double : torch::autograd::Function<Double> {
  // x [N, C, H, W] -> [N, C, 2H, 2W]; kernel [C, 1, 4, 4] of the adjoint
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &kernel, double gain) {
    context->save_for_backward({kernel});
    context->saved_data["gain"] = gain;
    return op::doubled(last(x), gain);
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads);
};

struct DoubleAdjoint : torch::autograd::Function<DoubleAdjoint> {
  static Tensor forward(AutogradContext *context, const Tensor &g, const Tensor &kernel, double gain) {
    context->save_for_backward({kernel});
    context->saved_data["gain"] = gain;
    return op::doubled_backward(last(g), kernel, gain);
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const Tensor kernel = context->get_saved_variables()[0];
    return {Double::apply(grads[0], kernel, context->saved_data["gain"].toDouble()), Variable(), Variable()};
  }
};

variable_list Double::backward(AutogradContext *context, const variable_list &grads) {
  const Tensor kernel = context->get_saved_variables()[0], &g = grads[0];
  const double gain = context->saved_data["gain"].toDouble();
  if (!at::GradMode::is_enabled()) return {op::doubled_backward(last(g), kernel, gain), Variable(), Variable()};
  if (on_gpu(g)) return {DoubleAdjoint::apply(g, kernel, gain), Variable(), Variable()};
  return {at::conv2d(last(g), kernel, {}, 2, 1, 1, kernel.size(0)), Variable(), Variable()};
}

Tensor sum_of(const Tensor &a, const Tensor &b) { return op::add(last(a), last(b)); }

struct Add : torch::autograd::Function<Add> {
  static Tensor forward(AutogradContext *, const Tensor &a, const Tensor &b) { return sum_of(a, b); }
  static variable_list backward(AutogradContext *, const variable_list &grads) { return {grads[0], grads[0]}; }
};

// Features that two layers read: their gradients meet in our own sum.
struct Fork : torch::autograd::Function<Fork> {
  static variable_list forward(AutogradContext *context, const Tensor &x) {
    context->set_materialize_grads(false);
    return {x.alias(), x.alias()};
  }
  static variable_list backward(AutogradContext *, const variable_list &grads) {
    const Tensor &a = grads[0], &b = grads[1];
    if (!a.defined()) return {b};
    if (!b.defined()) return {a};
    return {at::GradMode::is_enabled() ? a + b : sum_of(a, b)};
  }
};

} // namespace

using lapsegan::guarded;

extern "C" {
const char *lapsegan_problem() { return lapsegan::problem.c_str(); }
// `in_place`: where no graph is kept, x may be written over.
Tensor *lapsegan_epilogue(const Tensor *x, const Tensor *d, const Tensor *noise, const Tensor *b, bool in_place) {
  return guarded([&] {
    if (!at::GradMode::is_enabled()) return Epilogue::run(*x, *d, *noise, *b, in_place);
    return Epilogue::apply(*x, *d, *noise, *b);
  });
}
Tensor *lapsegan_bias_leaky_relu(const Tensor *x, const Tensor *b) {
  return guarded([&] { return BiasLeakyRelu::apply(*x, *b); });
}
Tensor *lapsegan_scale(const Tensor *x, const Tensor *s) {
  return guarded([&] { return Scale::apply(*x, *s); });
}
Tensor *lapsegan_project(const Tensor *x, const Tensor *w) {
  return guarded([&] { return Project::apply(*x, *w); });
}
Tensor *lapsegan_prepare(const Tensor *w, double gain, bool half) {
  return guarded([&] { return Prepare::apply(*w, gain, half); });
}
Tensor *lapsegan_leaky_relu(const Tensor *x) {
  return guarded([&] {
    if (!at::GradMode::is_enabled()) return LeakyRelu::run(*x, true);
    return LeakyRelu::apply(*x);
  });
}
Tensor *lapsegan_filter(const Tensor *x, const Tensor *kernel, int64_t padding, int64_t offset, double gain, bool fused) {
  return guarded([&] { return Filter::apply(*x, *kernel, padding, offset, gain, fused); });
}
Tensor *lapsegan_double(const Tensor *x, const Tensor *kernel, double gain) {
  return guarded([&] { return Double::apply(*x, *kernel, gain); });
}
Tensor *lapsegan_add(const Tensor *a, const Tensor *b) {
  return guarded([&] { return Add::apply(*a, *b); });
}
Tensor *lapsegan_fork(const Tensor *x, Tensor **second) {
  return guarded([&] {
    const variable_list both = Fork::apply(*x);
    *second = new Tensor(both[1]);
    return both[0];
  });
}
}
