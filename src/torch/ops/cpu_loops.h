// The loops of cpu.cpp: channels last, float32 or the bits of bfloat16, arithmetic in float32; compiled for several
// instruction sets, of which the best is taken at run time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace {

constexpr float kSlope = 0.2f;


#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_ALL_CPUS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_ALL_CPUS
#endif
#define INLINE inline __attribute__((always_inline))

INLINE float load(float value) { return value; }
INLINE float load(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}
INLINE void store(float *to, float value) { *to = value; }
INLINE void store(uint16_t *to, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16; // to nearest, ties to even
  *to = static_cast<uint16_t>(value == value ? rounded : 0x7fc0);
}

// y = lrelu(d x + noise + b) of `pixels` pixels of one sample.
template <typename T>
INLINE void epilogue(T *y, const T *x, const float *d, const float *noise, const float *b, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p) {
    const float shift = noise[p];
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const float v = d[c] * load(x[p * channels + c]) + (shift + b[c]);
      store(y + p * channels + c, v > 0 ? v : kSlope * v);
    }
  }
}

// Its gradients: gx per value, gn per pixel, sums gd and gb per channel.
template <typename T>
INLINE void epilogue_backward(T *gx, float *gn, float *gd, float *gb, const T *g, const T *y, const T *x, const float *d,
                              int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = p * channels + c;
      const float upper = load(g[i]);
      const float m = load(y[i]) > 0 ? upper : kSlope * upper;
      store(gx + i, m * d[c]);
      gd[c] += m * load(x[i]);
      gb[c] += m;
      sum += m;
    }
    gn[p] = sum;
  }
}

// y = lrelu(x + b), and its gradients: gx per value, sums gb per channel.
template <typename T> INLINE void bias_leaky_relu(T *y, const T *x, const float *b, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const float v = load(x[p * channels + c]) + b[c];
      store(y + p * channels + c, v > 0 ? v : kSlope * v);
    }
  }
}
template <typename T>
INLINE void bias_leaky_relu_backward(T *gx, float *gb, const T *g, const T *y, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = p * channels + c;
      const float upper = load(g[i]);
      const float m = load(y[i]) > 0 ? upper : kSlope * upper;
      store(gx + i, m);
      gb[c] += m;
    }
  }
}

template <typename T> INLINE void scale(T *y, const T *x, const float *s, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) store(y + p * channels + c, s[c] * load(x[p * channels + c]));
  }
}

template <typename T>
INLINE void scale_backward(T *gx, float *gs, const T *g, const T *x, const float *s, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t i = p * channels + c;
      const float upper = load(g[i]);
      store(gx + i, upper * s[c]);
      gs[c] += upper * load(x[i]);
    }
  }
}

// y [pixels, M] = x [pixels, C] w^T, w [M, C].
template <typename T>
INLINE void project(float *y, const T *x, const float *w, int64_t pixels, int64_t channels, int64_t maps) {
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t m = 0; m < maps; ++m) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < channels; ++c) sum += load(x[p * channels + c]) * w[m * channels + c];
      y[p * maps + m] = sum;
    }
  }
}

// gx = g w, gw += g^T x; `row [C]` is scratch.
template <typename T>
INLINE void project_backward(T *gx, float *gw, float *row, const float *g, const T *x, const float *w, int64_t pixels,
                             int64_t channels, int64_t maps) {
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t m = 0; m < maps; ++m) {
      const float upper = g[p * maps + m];
      const float *wm = w + m * channels;
      float *gwm = gw + m * channels;
#pragma omp simd
      for (int64_t c = 0; c < channels; ++c) {
        row[c] = (m == 0 ? 0 : row[c]) + upper * wm[c];
        gwm[c] += upper * load(x[p * channels + c]);
      }
    }
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) store(gx + p * channels + c, row[c]);
  }
}

template <typename T> INLINE void add(T *y, const T *a, const T *b, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) store(y + i, load(a[i]) + load(b[i]));
}

// One row of the doubled image: [H, W, C] -> [2W, C] of row `row`, bilinear in a frame of zeros, times `gain`.
template <typename T>
INLINE void double_row(T *y, const T *x, int64_t row, float gain, int64_t height, int64_t width, int64_t channels) {
  const int64_t top = (row + 1) / 2 - 1; // this source row and the next
  const float lower = row % 2 == 0 ? 0.75f : 0.25f;
  const float rows[2] = {top >= 0 ? gain * (1 - lower) : 0.0f, top + 1 < height ? gain * lower : 0.0f};
  const T *line[2] = {x + std::max<int64_t>(top, 0) * width * channels, x + std::min(top + 1, height - 1) * width * channels};
  for (int64_t column = 0; column < 2 * width; ++column) {
    const int64_t left = (column + 1) / 2 - 1;
    const float right = column % 2 == 0 ? 0.75f : 0.25f;
    const float columns[2] = {left >= 0 ? 1 - right : 0.0f, left + 1 < width ? right : 0.0f};
    const int64_t a = std::max<int64_t>(left, 0) * channels, b = std::min(left + 1, width - 1) * channels;
    const float w00 = rows[0] * columns[0], w01 = rows[0] * columns[1], w10 = rows[1] * columns[0], w11 = rows[1] * columns[1];
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      store(y + column * channels + c, w00 * load(line[0][a + c]) + w01 * load(line[0][b + c]) +
                                           w10 * load(line[1][a + c]) + w11 * load(line[1][b + c]));
    }
  }
}

template <typename T> INLINE void leaky_relu(T *y, const T *x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float v = load(x[i]);
    store(y + i, v > 0 ? v : kSlope * v);
  }
}

template <typename T> INLINE void leaky_relu_backward(T *gx, const T *g, const T *y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float upper = load(g[i]);
    store(gx + i, load(y[i]) > 0 ? upper : kSlope * upper);
  }
}

// Clones for several instruction sets need plain functions: one per kernel and type.
#define KERNELS(T)                                                                                                     \
  FOR_ALL_CPUS void run_epilogue(T *y, const T *x, const float *d, const float *n, const float *b, int64_t p,         \
                                 int64_t c) {                                                                          \
    epilogue<T>(y, x, d, n, b, p, c);                                                                                  \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_epilogue_backward(T *gx, float *gn, float *gd, float *gb, const T *g, const T *y, const T *x, \
                                          const float *d, int64_t p, int64_t c) {                                      \
    epilogue_backward<T>(gx, gn, gd, gb, g, y, x, d, p, c);                                                            \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_bias_leaky_relu(T *y, const T *x, const float *b, int64_t p, int64_t c) {                      \
    bias_leaky_relu<T>(y, x, b, p, c);                                                                                 \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_bias_leaky_relu_backward(T *gx, float *gb, const T *g, const T *y, int64_t p, int64_t c) {     \
    bias_leaky_relu_backward<T>(gx, gb, g, y, p, c);                                                                   \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_scale(T *y, const T *x, const float *s, int64_t p, int64_t c) { scale<T>(y, x, s, p, c); }    \
  FOR_ALL_CPUS void run_scale_backward(T *gx, float *gs, const T *g, const T *x, const float *s, int64_t p,           \
                                       int64_t c) {                                                                    \
    scale_backward<T>(gx, gs, g, x, s, p, c);                                                                          \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_project(float *y, const T *x, const float *w, int64_t p, int64_t c, int64_t m) {              \
    project<T>(y, x, w, p, c, m);                                                                                      \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_project_backward(T *gx, float *gw, float *row, const float *g, const T *x, const float *w,    \
                                         int64_t p, int64_t c, int64_t m) {                                            \
    project_backward<T>(gx, gw, row, g, x, w, p, c, m);                                                                \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_add(T *y, const T *a, const T *b, int64_t n) { add<T>(y, a, b, n); }                          \
  FOR_ALL_CPUS void run_double_row(T *y, const T *x, int64_t row, float gain, int64_t h, int64_t w, int64_t c) {      \
    double_row<T>(y, x, row, gain, h, w, c);                                                                           \
  }                                                                                                                    \
  FOR_ALL_CPUS void run_leaky_relu(T *y, const T *x, int64_t n) { leaky_relu<T>(y, x, n); }                           \
  FOR_ALL_CPUS void run_leaky_relu_backward(T *gx, const T *g, const T *y, int64_t n) {                               \
    leaky_relu_backward<T>(gx, g, y, n);                                                                               \
  }
KERNELS(float)
KERNELS(uint16_t)

} // namespace
