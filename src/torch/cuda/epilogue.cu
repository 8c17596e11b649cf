// What follows a convolution: y = lrelu(d x + noise + b), or lrelu(x + b); and factors per channel.
//
// Grid (blocks of pixels, samples). A thread keeps its channels' constants and walks over pixels, several at a time, all of
// which are read before one is written: x may be y.
template <typename T, bool whole, bool styled>
__device__ __forceinline__ void epilogue(T *y, const T *x, const float *d, const float *noise, const float *b, int pixels,
                                         int channels, int log_lanes, int noise_step, int per_block) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V, U = 4;
  if (l.count == 0) return;
  const i64 sample = blockIdx.y;
  float factor[V], shift[V];
  if (styled) read<whole>(d + sample * channels + l.first, l.count, factor);
  read<whole>(b + l.first, l.count, shift);
  const int begin = blockIdx.x * per_block, end = min(pixels, begin + per_block);
  for (int p = begin + l.row; p < end; p += U * l.rows) {
    float f[U][V], z[U];
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q < end) {
        read<whole>(x + (sample * pixels + q) * channels + l.first, l.count, f[u]);
        z[u] = styled ? noise[sample * noise_step + q] : 0.0f;
      }
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q >= end) break;
#pragma unroll
      for (int i = 0; i < V; ++i) {
        f[u][i] = leaky(styled ? fmaf(factor[i], f[u][i], z[u] + shift[i]) : f[u][i] + shift[i]);
      }
      write<whole>(y + (sample * pixels + q) * channels + l.first, l.count, f[u]);
    }
  }
}

// With m the derivative behind the leaky ReLU: gx = d m; gn = sum of m over channels; rows of the sums over pixels,
// gd of m x and gb of m: sums [1 or 2, samples, blocks, channels], gd first.
template <typename T, bool whole, bool styled>
__device__ __forceinline__ void epilogue_backward(T *gx, float *gn, float *sums, const T *g, const T *y, const T *x,
                                                  const float *d, int pixels, int channels, int log_lanes, int per_block) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V, U = 2;
  const i64 sample = blockIdx.y;
  float factor[V], gd[V], gb[V];
#pragma unroll
  for (int i = 0; i < V; ++i) factor[i] = gd[i] = gb[i] = 0.0f;
  if (styled && l.count > 0) read<whole>(d + sample * channels + l.first, l.count, factor);
  const int begin = blockIdx.x * per_block, end = min(pixels, begin + per_block);
  for (int start = begin; start < end; start += U * l.rows) {
    float m[U][V], out[U][V], in[U][V], total[U];
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = start + u * l.rows + l.row;
      if (q < end && l.count > 0) {
        const i64 at = (sample * pixels + q) * channels + l.first;
        read<whole>(g + at, l.count, m[u]);
        read<whole>(y + at, l.count, out[u]);
        if (styled) read<whole>(x + at, l.count, in[u]);
      } else {
#pragma unroll
        for (int i = 0; i < V; ++i) m[u][i] = out[u][i] = in[u][i] = 0.0f;
      }
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      total[u] = 0.0f;
#pragma unroll
      for (int i = 0; i < V; ++i) {
        m[u][i] = leaky_slope(m[u][i], out[u][i]);
        gb[i] += m[u][i];
        if (styled) {
          gd[i] = fmaf(m[u][i], in[u][i], gd[i]);
          total[u] += m[u][i];
          m[u][i] *= factor[i];
        }
      }
      const int q = start + u * l.rows + l.row;
      if (q < end && l.count > 0) write<whole>(gx + (sample * pixels + q) * channels + l.first, l.count, m[u]);
    }
    if (styled) {
      sum_lanes(total, l.lanes);
#pragma unroll
      for (int u = 0; u < U; ++u) {
        const int q = start + u * l.rows + l.row;
        if (l.lane == 0 && q < end) gn[sample * pixels + q] = total[u];
      }
    }
  }
  const i64 row = (sample * gridDim.x + blockIdx.x) * channels + l.first;
  if (styled) {
    sum_rows(gd, l.lanes, l.rows);
    if (l.row == 0 && l.count > 0) write<whole>(sums + row, l.count, gd);
    sums += static_cast<i64>(gridDim.y) * gridDim.x * channels;
  }
  sum_rows(gb, l.lanes, l.rows);
  if (l.row == 0 && l.count > 0) write<whole>(sums + row, l.count, gb);
}

// y = s x
template <typename T, bool whole>
__device__ __forceinline__ void scale(T *y, const T *x, const float *s, int pixels, int channels, int log_lanes,
                                      int per_block) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V, U = 4;
  if (l.count == 0) return;
  const i64 sample = blockIdx.y;
  float factor[V];
  read<whole>(s + sample * channels + l.first, l.count, factor);
  const int begin = blockIdx.x * per_block, end = min(pixels, begin + per_block);
  for (int p = begin + l.row; p < end; p += U * l.rows) {
    float f[U][V];
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q < end) read<whole>(x + (sample * pixels + q) * channels + l.first, l.count, f[u]);
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q >= end) break;
#pragma unroll
      for (int i = 0; i < V; ++i) f[u][i] *= factor[i];
      write<whole>(y + (sample * pixels + q) * channels + l.first, l.count, f[u]);
    }
  }
}

// gx = s g, and rows of the sums of g x: sums [samples, blocks, channels].
template <typename T, bool whole>
__device__ __forceinline__ void scale_backward(T *gx, float *sums, const T *g, const T *x, const float *s, int pixels,
                                               int channels, int log_lanes, int per_block) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V, U = 2;
  const i64 sample = blockIdx.y;
  float factor[V], gs[V];
#pragma unroll
  for (int i = 0; i < V; ++i) factor[i] = gs[i] = 0.0f;
  if (l.count > 0) read<whole>(s + sample * channels + l.first, l.count, factor);
  const int begin = blockIdx.x * per_block, end = l.count > 0 ? min(pixels, begin + per_block) : 0;
  for (int p = begin + l.row; p < end; p += U * l.rows) {
    float f[U][V], in[U][V];
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q < end) {
        const i64 at = (sample * pixels + q) * channels + l.first;
        read<whole>(g + at, l.count, f[u]);
        read<whole>(x + at, l.count, in[u]);
      }
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q >= end) break;
#pragma unroll
      for (int i = 0; i < V; ++i) {
        gs[i] = fmaf(f[u][i], in[u][i], gs[i]);
        f[u][i] *= factor[i];
      }
      write<whole>(gx + (sample * pixels + q) * channels + l.first, l.count, f[u]);
    }
  }
  sum_rows(gs, l.lanes, l.rows);
  if (l.row == 0 && l.count > 0) {
    write<whole>(sums + (sample * gridDim.x + blockIdx.x) * channels + l.first, l.count, gs);
  }
}

#define KERNELS(T, suffix)                                                                                             \
  KERNEL epilogue_##suffix(T *y, const T *x, const float *d, const float *noise, const float *b, int pixels,           \
      int channels, int log_lanes, int noise_step, int per_block) {                                                    \
    BY_WIDTH(T, epilogue<T, whole, true>(y, x, d, noise, b, pixels, channels, log_lanes, noise_step, per_block))       \
  }                                                                                                                    \
  KERNEL bias_leaky_relu_##suffix(T *y, const T *x, const float *b, int pixels, int channels, int log_lanes,           \
      int per_block) {                                                                                                 \
    BY_WIDTH(T, epilogue<T, whole, false>(y, x, nullptr, nullptr, b, pixels, channels, log_lanes, 0, per_block))       \
  }                                                                                                                    \
  KERNEL epilogue_backward_##suffix(T *gx, float *gn, float *sums, const T *g, const T *y, const T *x, const           \
      float *d, int pixels, int channels, int log_lanes, int per_block) {                                              \
    BY_WIDTH(T, epilogue_backward<T, whole, true>(gx, gn, sums, g, y, x, d, pixels, channels, log_lanes, per_block))   \
  }                                                                                                                    \
  KERNEL bias_leaky_relu_backward_##suffix(T *gx, float *sums, const T *g, const T *y, int pixels, int                 \
      channels, int log_lanes, int per_block) {                                                                        \
    BY_WIDTH(T, epilogue_backward<T, whole, false>(gx, nullptr, sums, g, y, nullptr, nullptr, pixels,                  \
        channels, log_lanes, per_block))                                                                               \
  }                                                                                                                    \
  KERNEL scale_##suffix(T *y, const T *x, const float *s, int pixels, int channels, int log_lanes, int per_block) {    \
    BY_WIDTH(T, scale<T, whole>(y, x, s, pixels, channels, log_lanes, per_block))                                      \
  }                                                                                                                    \
  KERNEL scale_backward_##suffix(T *gx, float *sums, const T *g, const T *x, const float *s, int pixels, int           \
      channels, int log_lanes, int per_block) {                                                                        \
    BY_WIDTH(T, scale_backward<T, whole>(gx, sums, g, x, s, pixels, channels, log_lanes, per_block))                   \
  }
KERNELS(float, f32)
KERNELS(bf16, bf16)
#undef KERNELS
