// The operators on the CPU: loops over chunks of pixels in parallel, arithmetic in float32.
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "cpu_loops.h"
#include "ops.h"

namespace lapsegan::cpu {

namespace {

// Pixels a partial sum covers: fixed, so that sums do not depend on the number of threads.
constexpr int64_t kChunk = 512;

struct Size {
  int64_t n, c, pixels, chunks;
  explicit Size(const Tensor &x)
      : n(x.size(0)), c(x.size(1)), pixels(x.size(2) * x.size(3)), chunks((pixels + kChunk - 1) / kChunk) {}
};

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
template <typename F> void over_pixels(const Size &size, F body) {
  at::parallel_for(0, size.n * size.chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t start = i % size.chunks * kChunk;
      body(i / size.chunks, i % size.chunks, start, std::min(kChunk, size.pixels - start));
    }
  });
}

// A convolution of every channel by itself.
Tensor depthwise(const Tensor &x, const Tensor &kernel, int64_t stride, int64_t padding) {
  return at::conv2d(x, kernel, {}, stride, padding, 1, kernel.size(0));
}

} // namespace

void epilogue(const Tensor &y, const Tensor &x, const Tensor &d, const Tensor &noise, const Tensor &b) {
  const Size size(x);
  const float *dp = d.data_ptr<float>(), *np = noise.data_ptr<float>(), *bp = b.data_ptr<float>();
  const int64_t c = size.c, noise_step = noise.size(0) == 1 ? 0 : size.pixels;
  typed(x, [&](auto *type) {
    auto *yp = at_start(y, type), *xp = at_start(x, type);
    over_pixels(size, [&](int64_t i, int64_t, int64_t start, int64_t count) {
      const int64_t offset = (i * size.pixels + start) * c;
      run_epilogue(yp + offset, xp + offset, dp + i * c, np + i * noise_step + start, bp, count, c);
    });
  });
}

Four epilogue_backward(const Tensor &g, const Tensor &y, const Tensor &x, const Tensor &d) {
  const Size size(x);
  const int64_t n = size.n, c = size.c, chunks = size.chunks;
  const Tensor gx = at::empty_like(x), gn = at::empty({n, 1, x.size(2), x.size(3)}, d.options());
  const Tensor partial = at::zeros({2, n, chunks, c}, d.options());
  float *sums = partial.data_ptr<float>(), *gnp = gn.data_ptr<float>();
  const float *dp = d.data_ptr<float>();
  typed(x, [&](auto *type) {
    auto *gxp = at_start(gx, type), *gp = at_start(g, type), *yp = at_start(y, type), *xp = at_start(x, type);
    over_pixels(size, [&](int64_t i, int64_t chunk, int64_t start, int64_t count) {
      const int64_t offset = (i * size.pixels + start) * c;
      float *gd = sums + (i * chunks + chunk) * c;
      run_epilogue_backward(gxp + offset, gnp + i * size.pixels + start, gd, gd + n * chunks * c, gp + offset, yp + offset,
                            xp + offset, dp + i * c, count, c);
    });
  });
  return {gx, partial[0].sum(1), gn, partial[1].sum(at::IntArrayRef{0, 1})};
}

void bias_leaky_relu(const Tensor &y, const Tensor &x, const Tensor &b) {
  const Size size(x);
  const float *bp = b.data_ptr<float>();
  typed(x, [&](auto *type) {
    auto *yp = at_start(y, type), *xp = at_start(x, type);
    over_pixels(size, [&](int64_t i, int64_t, int64_t start, int64_t count) {
      const int64_t offset = (i * size.pixels + start) * size.c;
      run_bias_leaky_relu(yp + offset, xp + offset, bp, count, size.c);
    });
  });
}

Two bias_leaky_relu_backward(const Tensor &g, const Tensor &y) {
  const Size size(g);
  const Tensor gx = at::empty_like(g), partial = at::zeros({size.n, size.chunks, size.c}, g.options().dtype(at::kFloat));
  float *sums = partial.data_ptr<float>();
  typed(g, [&](auto *type) {
    auto *gxp = at_start(gx, type), *gp = at_start(g, type), *yp = at_start(y, type);
    over_pixels(size, [&](int64_t i, int64_t chunk, int64_t start, int64_t count) {
      const int64_t offset = (i * size.pixels + start) * size.c;
      run_bias_leaky_relu_backward(gxp + offset, sums + (i * size.chunks + chunk) * size.c, gp + offset, yp + offset,
                                   count, size.c);
    });
  });
  return {gx, partial.sum(at::IntArrayRef{0, 1})};
}

Tensor scale(const Tensor &x, const Tensor &s) {
  const Size size(x);
  const Tensor y = at::empty_like(x);
  const float *sp = s.data_ptr<float>();
  typed(x, [&](auto *type) {
    auto *yp = at_start(y, type), *xp = at_start(x, type);
    over_pixels(size, [&](int64_t i, int64_t, int64_t start, int64_t count) {
      const int64_t offset = (i * size.pixels + start) * size.c;
      run_scale(yp + offset, xp + offset, sp + i * size.c, count, size.c);
    });
  });
  return y;
}

Two scale_backward(const Tensor &g, const Tensor &x, const Tensor &s) {
  const Size size(x);
  const Tensor gx = at::empty_like(x), partial = at::zeros({size.n, size.chunks, size.c}, s.options());
  float *sums = partial.data_ptr<float>();
  const float *sp = s.data_ptr<float>();
  typed(x, [&](auto *type) {
    auto *gxp = at_start(gx, type), *gp = at_start(g, type), *xp = at_start(x, type);
    over_pixels(size, [&](int64_t i, int64_t chunk, int64_t start, int64_t count) {
      const int64_t offset = (i * size.pixels + start) * size.c;
      run_scale_backward(gxp + offset, sums + (i * size.chunks + chunk) * size.c, gp + offset, xp + offset,
                         sp + i * size.c, count, size.c);
    });
  });
  return {gx, partial.sum(1)};
}

Tensor project(const Tensor &x, const Tensor &w) {
  const Size size(x);
  const int64_t c = size.c, maps = w.size(1);
  const Tensor y = at::empty({size.n, maps, x.size(2), x.size(3)}, w.options(), at::MemoryFormat::ChannelsLast);
  float *yp = y.data_ptr<float>();
  const float *wp = w.data_ptr<float>();
  typed(x, [&](auto *type) {
    auto *xp = at_start(x, type);
    over_pixels(size, [&](int64_t i, int64_t, int64_t start, int64_t count) {
      const int64_t first = i * size.pixels + start;
      run_project(yp + first * maps, xp + first * c, wp + i * maps * c, count, c, maps);
    });
  });
  return y;
}

Two project_backward(const Tensor &g, const Tensor &x, const Tensor &w) {
  const Size size(x);
  const int64_t c = size.c, maps = w.size(1);
  const Tensor gx = at::empty_like(x), partial = at::zeros({size.n, size.chunks, maps, c}, w.options());
  float *sums = partial.data_ptr<float>();
  const float *wp = w.data_ptr<float>(), *gp = g.data_ptr<float>();
  typed(x, [&](auto *type) {
    auto *gxp = at_start(gx, type), *xp = at_start(x, type);
    over_pixels(size, [&](int64_t i, int64_t chunk, int64_t start, int64_t count) {
      const int64_t first = i * size.pixels + start;
      std::vector<float> row(c);
      run_project_backward(gxp + first * c, sums + (i * size.chunks + chunk) * maps * c, row.data(), gp + first * maps,
                           xp + first * c, wp + i * maps * c, count, c, maps);
    });
  });
  return {gx, partial.sum(1)};
}

Tensor prepare(const Tensor &w, double gain, bool half) {
  const int64_t outputs = w.size(0), inputs = w.size(1), taps = w.size(2) * w.size(3);
  const auto options = w.options().dtype(half ? at::kBFloat16 : at::kFloat);
  const Tensor y = at::empty(w.sizes(), options, at::MemoryFormat::ChannelsLast);
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
  return y;
}

Tensor prepare_backward(const Tensor &g, double gain) {
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
  return gw;
}

void leaky_relu(const Tensor &y, const Tensor &x) {
  typed(x, [&](auto *type) {
    auto *yp = at_start(y, type), *xp = at_start(x, type);
    at::parallel_for(0, x.numel(), 32768, [&](int64_t a, int64_t b) { run_leaky_relu(yp + a, xp + a, b - a); });
  });
}

Tensor leaky_relu_backward(const Tensor &g, const Tensor &y) {
  const Tensor gx = at::empty_like(y);
  typed(y, [&](auto *type) {
    auto *gxp = at_start(gx, type), *gp = at_start(g, type), *yp = at_start(y, type);
    at::parallel_for(0, y.numel(), 32768,
                     [&](int64_t a, int64_t b) { run_leaky_relu_backward(gxp + a, gp + a, yp + a, b - a); });
  });
  return gx;
}

Tensor add(const Tensor &a, const Tensor &b) {
  const Tensor y = at::empty_like(a);
  typed(a, [&](auto *type) {
    auto *yp = at_start(y, type), *ap = at_start(a, type), *bp = at_start(b, type);
    at::parallel_for(0, a.numel(), 32768, [&](int64_t i, int64_t j) { run_add(yp + i, ap + i, bp + i, j - i); });
  });
  return y;
}

Tensor filter(const Tensor &x, const Tensor &kernel, int64_t padding, int64_t, double) {
  return depthwise(x, kernel, 1, padding);
}

Tensor doubled(const Tensor &x, double gain) {
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

Tensor doubled_backward(const Tensor &g, const Tensor &kernel, double) { return depthwise(g, kernel, 2, 1); }

} // namespace lapsegan::cpu
