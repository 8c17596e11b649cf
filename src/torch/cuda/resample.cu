// The [1, 3, 3, 1] filter along both axes: blur, and bilinear doubling with its adjoint. What lies outside is zero.
//
// Grid (columns, strips of rows, samples). A thread walks down a strip of one column and keeps the sums along the rows
// above, so that every value is read once per column beside it.

// f = the sum of `taps` neighbours in a row of `width` pixels, the first at `column`, with weights [1, 3, 3, 1].
template <bool whole, typename T, int V>
__device__ __forceinline__ void along(const T *line, bool inside, int column, int width, int channels, int count,
                                      float (&f)[V]) {
#pragma unroll
  for (int i = 0; i < V; ++i) f[i] = 0.0f;
  if (!inside) return;
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const int c = column + t;
    if (c < 0 || c >= width) continue;
    float x[V];
    read<whole>(line + static_cast<i64>(c) * channels, count, x);
    const float weight = t == 0 || t == 3 ? 1.0f : 3.0f;
#pragma unroll
    for (int i = 0; i < V; ++i) f[i] = fmaf(weight, x[i], f[i]);
  }
}

// y [N, H', W', C] from x [N, H, W, C]: the sum of 4 x 4 pixels, of which the first is `stride` times the output's place
// plus `offset`, times `gain` / 64. Stride 1 is the blur, stride 2 with offset -1 the adjoint of doubling.
template <typename T, bool whole, int stride>
__device__ __forceinline__ void filter(T *y, const T *x, float gain, int offset, int height, int width, int out_height,
                                       int out_width, int channels, int log_lanes, int strip) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V;
  const int column = blockIdx.x * l.rows + l.row;
  const i64 sample = blockIdx.z;
  const int begin = blockIdx.y * strip, end = min(out_height, begin + strip);
  if (l.count == 0 || column >= out_width) return;
  const T *from = x + sample * height * width * channels + l.first;
  const float factor = gain / 64.0f;
  float f[4][V];
  const auto fetch = [&](int row, float(&to)[V]) {
    along<whole>(from + static_cast<i64>(row) * width * channels, 0 <= row && row < height, column * stride + offset, width,
                 channels, l.count, to);
  };
#pragma unroll
  for (int t = 0; t < 4 - stride; ++t) fetch(begin * stride + offset + t, f[t]);
  for (int row = begin; row < end; ++row) {
#pragma unroll
    for (int t = 4 - stride; t < 4; ++t) fetch(row * stride + offset + t, f[t]);
    float out[V];
#pragma unroll
    for (int i = 0; i < V; ++i) {
      out[i] = factor * (f[0][i] + 3.0f * (f[1][i] + f[2][i]) + f[3][i]);
#pragma unroll
      for (int t = 0; t < 4 - stride; ++t) f[t][i] = f[t + stride][i];
    }
    write<whole>(y + ((sample * out_height + row) * out_width + column) * channels + l.first, l.count, out);
  }
}

// y [N, 2H, 2W, C]: values lie at quarters between those of x, in a frame of zeros, times `gain`.
template <typename T, bool whole>
__device__ __forceinline__ void doubled(T *y, const T *x, float gain, int height, int width, int channels, int log_lanes,
                                        int strip) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V;
  const int column = blockIdx.x * l.rows + l.row;
  const i64 sample = blockIdx.z;
  const int begin = blockIdx.y * strip, end = min(height, begin + strip);
  if (l.count == 0 || column >= width) return;
  const T *from = x + sample * height * width * channels + l.first;
  // Of three rows: the left and the right one of the two values that a pixel becomes.
  float left[3][V], right[3][V];
  const auto fetch = [&](int row, float(&a)[V], float(&b)[V]) {
    float x[3][V];
#pragma unroll
    for (int t = 0; t < 3; ++t) {
      const int c = column + t - 1;
      if (row >= 0 && row < height && c >= 0 && c < width) {
        read<whole>(from + (static_cast<i64>(row) * width + c) * channels, l.count, x[t]);
      } else {
#pragma unroll
        for (int i = 0; i < V; ++i) x[t][i] = 0.0f;
      }
    }
#pragma unroll
    for (int i = 0; i < V; ++i) {
      a[i] = gain * (0.25f * x[0][i] + 0.75f * x[1][i]);
      b[i] = gain * (0.75f * x[1][i] + 0.25f * x[2][i]);
    }
  };
  fetch(begin - 1, left[0], right[0]);
  fetch(begin, left[1], right[1]);
  for (int row = begin; row < end; ++row) {
    fetch(row + 1, left[2], right[2]);
    T *to = y + ((sample * 2 * height + 2 * row) * 2 * width + 2 * column) * channels + l.first;
#pragma unroll
    for (int lower = 0; lower < 2; ++lower) {
      float a[V], b[V];
#pragma unroll
      for (int i = 0; i < V; ++i) {
        a[i] = 0.75f * left[1][i] + 0.25f * left[2 * lower][i];
        b[i] = 0.75f * right[1][i] + 0.25f * right[2 * lower][i];
      }
      write<whole>(to, l.count, a);
      write<whole>(to + channels, l.count, b);
      to += static_cast<i64>(2) * width * channels;
    }
#pragma unroll
    for (int i = 0; i < V; ++i) {
      left[0][i] = left[1][i];
      left[1][i] = left[2][i];
      right[0][i] = right[1][i];
      right[1][i] = right[2][i];
    }
  }
}

#define KERNELS(T, suffix)                                                                                             \
  KERNEL filter_##suffix(T *y, const T *x, float gain, int offset, int height, int width, int out_height,              \
                         int out_width, int channels, int log_lanes, int strip) {                                      \
    BY_WIDTH(T, filter<T, whole, 1>(y, x, gain, offset, height, width, out_height, out_width, channels, log_lanes,     \
                                    strip))                                                                            \
  }                                                                                                                    \
  KERNEL doubled_backward_##suffix(T *gx, const T *g, float gain, int height, int width, int channels, int log_lanes,   \
                                  int strip) {                                                                         \
    BY_WIDTH(T, filter<T, whole, 2>(gx, g, 4.0f * gain, -1, 2 * height, 2 * width, height, width, channels, log_lanes, \
                                    strip))                                                                            \
  }                                                                                                                    \
  KERNEL doubled_##suffix(T *y, const T *x, float gain, int height, int width, int channels, int log_lanes,             \
                         int strip) {                                                                                  \
    BY_WIDTH(T, doubled<T, whole>(y, x, gain, height, width, channels, log_lanes, strip))                              \
  }
KERNELS(float, f32)
KERNELS(bf16, bf16)
#undef KERNELS
