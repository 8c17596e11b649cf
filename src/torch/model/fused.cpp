// Autograd functions that libtorch has no fused kernel for: what lies between the convolutions, in one pass over memory.
//
// All work on tensors whose channels are last in memory, in float32 or bfloat16, on the CPU; arithmetic is float32.
// Where a derivative is itself differentiated (R1, path length), the backward pass is composed of libtorch's own
// operations, so that derivatives of any order are right; the kernels serve the first order.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fused_kernels.h"
#include "../handle.h"

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

namespace {

// Pixels a partial sum covers: fixed, so that sums do not depend on the number of threads.
constexpr int64_t kChunk = 512;

Tensor last(const Tensor &x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }
Tensor floats(const Tensor &x) { return x.to(at::kFloat).contiguous(); }

// Calls `kernel` with pointers of the tensor's type.
template <typename F> void typed(const Tensor &x, F kernel) {
  if (x.scalar_type() == at::kFloat) {
    kernel(static_cast<float *>(nullptr));
  } else {
    kernel(static_cast<uint16_t *>(nullptr));
  }
}
template <typename T> T *at_start(const Tensor &x, const T *) { return static_cast<T *>(x.data_ptr()); }

// Runs `body(sample, chunk, first pixel, pixels)` over all samples in chunks of pixels, in parallel.
template <typename F> void over_pixels(int64_t samples, int64_t pixels, F body) {
  const int64_t chunks = (pixels + kChunk - 1) / kChunk;
  at::parallel_for(0, samples * chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t start = i % chunks * kChunk;
      body(i / chunks, i % chunks, start, std::min(kChunk, pixels - start));
    }
  });
}

// For the composed forms: [N, C] -> [N, C, 1, 1].
Tensor wide(const Tensor &x, const Tensor &like) { return x.unsqueeze(-1).unsqueeze(-1).to(like.scalar_type()); }
Tensor masked(const Tensor &g, const Tensor &y) { return at::leaky_relu_backward(g, y.detach(), kSlope, false); }

struct Epilogue : torch::autograd::Function<Epilogue> {
  // x [N, C, H, W], d [N, C], noise [N or 1, 1, H, W], b [C]
  static Tensor run(const Tensor &input, const Tensor &d_, const Tensor &noise_, const Tensor &b_, bool in_place) {
    const Tensor x = last(input), d = floats(d_), noise = floats(noise_), b = floats(b_);
    const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3);
    const Tensor y = in_place ? x : at::empty_like(x);
    const float *dp = d.data_ptr<float>(), *np = noise.data_ptr<float>(), *bp = b.data_ptr<float>();
    const int64_t noise_step = noise.size(0) == 1 ? 0 : pixels;
    typed(x, [&](auto *type) {
      auto *yp = at_start(y, type), *xp = at_start(x, type);
      over_pixels(n, pixels, [&](int64_t i, int64_t, int64_t start, int64_t count) {
        const int64_t offset = (i * pixels + start) * c;
        run_epilogue(yp + offset, xp + offset, dp + i * c, np + i * noise_step + start, bp, count, c);
      });
    });
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
    const bool shared = context->saved_data["shared_noise"].toBool();
    if (at::GradMode::is_enabled()) {
      const Tensor &x = saved[0], &d = saved[1], m = masked(grads[0], saved[2]);
      const auto sum = [](const Tensor &t, at::IntArrayRef over, bool keep) { return at::sum(t, over, keep, at::kFloat); };
      Tensor gn = sum(m, {1}, true);
      if (shared) gn = gn.sum(0, true);
      return {m * wide(d, m), sum(m * x, {2, 3}, false), gn, sum(m, {0, 2, 3}, false)};
    }
    const Tensor x = last(saved[0]), d = floats(saved[1]), y = saved[2], g = last(grads[0]);
    const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3), chunks = (pixels + kChunk - 1) / kChunk;
    const Tensor gx = at::empty_like(x);
    Tensor gn = at::empty({n, 1, x.size(2), x.size(3)}, d.options());
    const Tensor partial = at::zeros({2, n, chunks, c}, d.options());
    float *sums = partial.data_ptr<float>(), *gnp = gn.data_ptr<float>();
    const float *dp = d.data_ptr<float>();
    typed(x, [&](auto *type) {
      auto *gxp = at_start(gx, type), *gp = at_start(g, type), *yp = at_start(y, type), *xp = at_start(x, type);
      over_pixels(n, pixels, [&](int64_t i, int64_t chunk, int64_t start, int64_t count) {
        const int64_t offset = (i * pixels + start) * c;
        float *gd = sums + (i * chunks + chunk) * c;
        run_epilogue_backward(gxp + offset, gnp + i * pixels + start, gd, gd + n * chunks * c, gp + offset, yp + offset,
                              xp + offset, dp + i * c, count, c);
      });
    });
    if (shared) gn = gn.sum(0, true);
    return {gx, partial[0].sum(1), gn, partial[1].sum(at::IntArrayRef{0, 1})};
  }
};

struct Scale : torch::autograd::Function<Scale> {
  // x [N, C, H, W], s [N, C]
  static Tensor forward(AutogradContext *context, const Tensor &input, const Tensor &s_) {
    const Tensor x = last(input), s = floats(s_);
    const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3);
    const Tensor y = at::empty_like(x);
    const float *sp = s.data_ptr<float>();
    typed(x, [&](auto *type) {
      auto *yp = at_start(y, type), *xp = at_start(x, type);
      over_pixels(n, pixels, [&](int64_t i, int64_t, int64_t start, int64_t count) {
        const int64_t offset = (i * pixels + start) * c;
        run_scale(yp + offset, xp + offset, sp + i * c, count, c);
      });
    });
    context->save_for_backward({input, s_});
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto saved = context->get_saved_variables();
    if (at::GradMode::is_enabled()) {
      const Tensor &x = saved[0], &s = saved[1], &g = grads[0];
      return {g * wide(s, g), at::sum(g * x, {2, 3}, false, at::kFloat)};
    }
    const Tensor x = last(saved[0]), s = floats(saved[1]), g = last(grads[0]);
    const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3), chunks = (pixels + kChunk - 1) / kChunk;
    const Tensor gx = at::empty_like(x), partial = at::zeros({n, chunks, c}, s.options());
    float *sums = partial.data_ptr<float>();
    const float *sp = s.data_ptr<float>();
    typed(x, [&](auto *type) {
      auto *gxp = at_start(gx, type), *gp = at_start(g, type), *xp = at_start(x, type);
      over_pixels(n, pixels, [&](int64_t i, int64_t chunk, int64_t start, int64_t count) {
        const int64_t offset = (i * pixels + start) * c;
        run_scale_backward(gxp + offset, sums + (i * chunks + chunk) * c, gp + offset, xp + offset, sp + i * c, count, c);
      });
    });
    return {gx, partial.sum(1)};
  }
};

struct Project : torch::autograd::Function<Project> {
  // x [N, C, H, W], w [N, M, C] -> float32 [N, M, H, W]
  static Tensor forward(AutogradContext *context, const Tensor &input, const Tensor &w_) {
    const Tensor x = last(input), w = floats(w_);
    const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3), maps = w.size(1);
    const Tensor y = at::empty({n, maps, x.size(2), x.size(3)}, w.options(), at::MemoryFormat::ChannelsLast);
    float *yp = y.data_ptr<float>();
    const float *wp = w.data_ptr<float>();
    typed(x, [&](auto *type) {
      auto *xp = at_start(x, type);
      over_pixels(n, pixels, [&](int64_t i, int64_t, int64_t start, int64_t count) {
        const int64_t first = i * pixels + start;
        run_project(yp + first * maps, xp + first * c, wp + i * maps * c, count, c, maps);
      });
    });
    context->save_for_backward({input, w_});
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto saved = context->get_saved_variables();
    if (at::GradMode::is_enabled()) {
      const Tensor &x = saved[0], &w = saved[1];
      const Tensor g = grads[0].flatten(2); // [N, M, HW]
      const Tensor gx = at::matmul(g.transpose(1, 2), w).transpose(1, 2).reshape(x.sizes()).to(x.scalar_type());
      return {gx, at::matmul(g, x.flatten(2).transpose(1, 2).to(at::kFloat))};
    }
    const Tensor x = last(saved[0]), w = floats(saved[1]), g = last(grads[0]);
    const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3), maps = w.size(1);
    const int64_t chunks = (pixels + kChunk - 1) / kChunk;
    const Tensor gx = at::empty_like(x), partial = at::zeros({n, chunks, maps, c}, w.options());
    float *sums = partial.data_ptr<float>();
    const float *wp = w.data_ptr<float>(), *gp = g.data_ptr<float>();
    typed(x, [&](auto *type) {
      auto *gxp = at_start(gx, type), *xp = at_start(x, type);
      over_pixels(n, pixels, [&](int64_t i, int64_t chunk, int64_t start, int64_t count) {
        const int64_t first = i * pixels + start;
        std::vector<float> row(c);
        run_project_backward(gxp + first * c, sums + (i * chunks + chunk) * maps * c, row.data(), gp + first * maps,
                             xp + first * c, wp + i * maps * c, count, c, maps);
      });
    });
    return {gx, partial.sum(1)};
  }
};

// A weight [O, I, k, k] as its convolution reads it: scaled, in the network's precision, channels last.
struct Prepare : torch::autograd::Function<Prepare> {
  static Tensor forward(AutogradContext *context, const Tensor &input, double gain, int64_t kind) {
    const Tensor w = input.contiguous();
    const int64_t outputs = w.size(0), inputs = w.size(1), taps = w.size(2) * w.size(3);
    const Tensor y = at::empty(w.sizes(), w.options().dtype(static_cast<at::ScalarType>(kind)), at::MemoryFormat::ChannelsLast);
    const float *wp = w.data_ptr<float>();
    const float factor = static_cast<float>(gain);
    typed(y, [&](auto *type) {
      auto *yp = at_start(y, type);
      at::parallel_for(0, outputs, 1 + 16384 / (inputs * taps), [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) {
          for (int64_t t = 0; t < taps; ++t) {
            auto *to = yp + (o * taps + t) * inputs;
            const float *from = wp + o * inputs * taps + t;
            for (int64_t i = 0; i < inputs; ++i) store(to + i, factor * from[i * taps]);
          }
        }
      });
    });
    context->saved_data["gain"] = gain;
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const double gain = context->saved_data["gain"].toDouble();
    if (at::GradMode::is_enabled()) return {grads[0].to(at::kFloat) * gain, Variable(), Variable()};
    const Tensor g = last(grads[0]);
    const int64_t outputs = g.size(0), inputs = g.size(1), taps = g.size(2) * g.size(3);
    const Tensor gw = at::empty(g.sizes(), g.options().dtype(at::kFloat), at::MemoryFormat::Contiguous);
    float *to = gw.data_ptr<float>();
    const float factor = static_cast<float>(gain);
    typed(g, [&](auto *type) {
      auto *gp = at_start(g, type);
      at::parallel_for(0, outputs, 1 + 16384 / (inputs * taps), [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) {
          for (int64_t i = 0; i < inputs; ++i) {
            for (int64_t t = 0; t < taps; ++t) {
              to[(o * inputs + i) * taps + t] = factor * load(gp[(o * taps + t) * inputs + i]);
            }
          }
        }
      });
    });
    return {gw, Variable(), Variable()};
  }
};

struct LeakyRelu : torch::autograd::Function<LeakyRelu> {
  static Tensor run(const Tensor &input, bool in_place) {
    const Tensor x = last(input), y = in_place ? x : at::empty_like(x);
    typed(x, [&](auto *type) {
      auto *yp = at_start(y, type), *xp = at_start(x, type);
      at::parallel_for(0, x.numel(), 32768, [&](int64_t a, int64_t b) { run_leaky_relu(yp + a, xp + a, b - a); });
    });
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
    const Tensor g = last(grads[0]), gx = at::empty_like(y);
    typed(y, [&](auto *type) {
      auto *gxp = at_start(gx, type), *gp = at_start(g, type), *yp = at_start(y, type);
      at::parallel_for(0, y.numel(), 32768,
                       [&](int64_t a, int64_t b) { run_leaky_relu_backward(gxp + a, gp + a, yp + a, b - a); });
    });
    return {gx};
  }
};

// A symmetric depthwise filter is its own adjoint up to the padding, so its derivative is again a forward convolution,
// which is several times faster than the backward pass of a depthwise convolution.
struct Filter : torch::autograd::Function<Filter> {
  // x [N, C, H, W], kernel [C, 1, k, k]; `padding` of a (k - 1 - padding) adjoint
  static Tensor forward(AutogradContext *context, const Tensor &x, const Tensor &kernel, int64_t padding) {
    context->save_for_backward({kernel});
    context->saved_data["padding"] = padding;
    return at::conv2d(last(x), kernel, {}, 1, padding, 1, kernel.size(0));
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const Tensor kernel = context->get_saved_variables()[0];
    const int64_t padding = kernel.size(2) - 1 - context->saved_data["padding"].toInt();
    const Tensor flipped = kernel.flip({2, 3});
    return {Filter::apply(grads[0], flipped, padding), Variable(), Variable()};
  }
};

// Bilinear doubling in a frame of zeros; its adjoint is a depthwise convolution with stride 2.
struct Double : torch::autograd::Function<Double> {
  // x [N, C, H, W] -> [N, C, 2H, 2W]; kernel [C, 1, 4, 4] of the adjoint
  static Tensor forward(AutogradContext *context, const Tensor &input, const Tensor &kernel, double gain) {
    context->save_for_backward({kernel});
    const Tensor x = last(input);
    const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
    const Tensor y = at::empty({n, c, 2 * h, 2 * w}, x.options(), at::MemoryFormat::ChannelsLast);
    const float factor = static_cast<float>(gain);
    typed(x, [&](auto *type) {
      auto *yp = at_start(y, type), *xp = at_start(x, type);
      at::parallel_for(0, n * 2 * h, 1 + 8192 / (w * c), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          run_double_row(yp + i * 2 * w * c, xp + i / (2 * h) * h * w * c, i % (2 * h), factor, h, w, c);
        }
      });
    });
    return y;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const Tensor kernel = context->get_saved_variables()[0];
    return {at::conv2d(last(grads[0]), kernel, {}, 2, 1, 1, kernel.size(0)), Variable(), Variable()};
  }
};

Tensor sum_of(const Tensor &a_, const Tensor &b_) {
  const Tensor a = last(a_), b = last(b_), y = at::empty_like(a);
  typed(a, [&](auto *type) {
    auto *yp = at_start(y, type), *ap = at_start(a, type), *bp = at_start(b, type);
    at::parallel_for(0, a.numel(), 32768, [&](int64_t i, int64_t j) { run_add(yp + i, ap + i, bp + i, j - i); });
  });
  return y;
}

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
Tensor *lapsegan_scale(const Tensor *x, const Tensor *s) {
  return guarded([&] { return Scale::apply(*x, *s); });
}
Tensor *lapsegan_project(const Tensor *x, const Tensor *w) {
  return guarded([&] { return Project::apply(*x, *w); });
}
Tensor *lapsegan_prepare(const Tensor *w, double gain, bool half) {
  return guarded([&] { return Prepare::apply(*w, gain, static_cast<int64_t>(half ? at::kBFloat16 : at::kFloat)); });
}
Tensor *lapsegan_leaky_relu(const Tensor *x) {
  return guarded([&] {
    if (!at::GradMode::is_enabled()) return LeakyRelu::run(*x, true);
    return LeakyRelu::apply(*x);
  });
}
Tensor *lapsegan_filter(const Tensor *x, const Tensor *kernel, int64_t padding) {
  return guarded([&] { return Filter::apply(*x, *kernel, padding); });
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
