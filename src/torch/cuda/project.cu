// A weighted sum of the channels for every map: y [N, pixels, M] = x [N, pixels, C] w^T, w [N, M, C], y in float32.

// Grid (blocks of pixels, samples). Up to 32 lanes go over the channels of 4 pixels and 4 maps at a time.
template <typename T, bool whole>
__device__ __forceinline__ void project(float *y, const T *x, const float *w, int pixels, int channels, int maps,
                                        int log_lanes, int per_block) {
  constexpr int V = Width<T>::value, P = 4, M = 4;
  const int lanes = 1 << log_lanes, lane = threadIdx.x & (lanes - 1), row = threadIdx.x >> log_lanes;
  const int rows = kThreads >> log_lanes;
  const i64 sample = blockIdx.y;
  const T *xs = x + sample * pixels * channels;
  const float *ws = w + sample * maps * channels;
  const int begin = blockIdx.x * per_block, end = min(pixels, begin + per_block);
  for (int start = begin; start < end; start += P * rows) {
    for (int first = 0; first < maps; first += M) {
      float sums[P * M];
#pragma unroll
      for (int i = 0; i < P * M; ++i) sums[i] = 0.0f;
      for (int c = lane * V; c < channels; c += lanes * V) {
        const int count = min(V, channels - c);
        float f[P][V];
#pragma unroll
        for (int p = 0; p < P; ++p) {
          const int q = min(start + p * rows + row, pixels - 1); // beyond the end: summed, and not written
          read<whole>(xs + static_cast<i64>(q) * channels + c, count, f[p]);
        }
#pragma unroll
        for (int m = 0; m < M; ++m) {
          if (first + m >= maps) break;
          float factor[V];
          read<whole>(ws + static_cast<i64>(first + m) * channels + c, count, factor);
#pragma unroll
          for (int p = 0; p < P; ++p) {
#pragma unroll
            for (int i = 0; i < V; ++i) sums[p * M + m] = fmaf(f[p][i], factor[i], sums[p * M + m]);
          }
        }
      }
      sum_in_warp(sums, lanes);
#pragma unroll
      for (int p = 0; p < P; ++p) {
        const int q = start + p * rows + row;
        if (lane != 0 || q >= end) continue;
        float *to = y + (sample * pixels + q) * maps + first;
        if (maps % M == 0) {
          const float four[M] = {sums[p * M], sums[p * M + 1], sums[p * M + 2], sums[p * M + 3]};
          write<true>(to, M, four);
        } else {
#pragma unroll
          for (int m = 0; m < M; ++m) {
            if (first + m < maps) to[m] = sums[p * M + m];
          }
        }
      }
    }
  }
}

// gx = g w. Grid (blocks of pixels, samples).
template <typename T, bool whole>
__device__ __forceinline__ void project_input(T *gx, const float *g, const float *w, int pixels, int channels, int maps,
                                              int log_lanes, int per_block) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V, U = 4;
  if (l.count == 0) return;
  const i64 sample = blockIdx.y;
  const float *gs = g + sample * pixels * maps, *ws = w + sample * maps * channels + l.first;
  const int begin = blockIdx.x * per_block, end = min(pixels, begin + per_block);
  for (int p = begin + l.row; p < end; p += U * l.rows) {
    float f[U][V];
#pragma unroll
    for (int u = 0; u < U; ++u) {
#pragma unroll
      for (int i = 0; i < V; ++i) f[u][i] = 0.0f;
    }
    for (int m = 0; m < maps; ++m) {
      float factor[V];
      read<whole>(ws + static_cast<i64>(m) * channels, l.count, factor);
#pragma unroll
      for (int u = 0; u < U; ++u) {
        const float upper = gs[static_cast<i64>(min(p + u * l.rows, pixels - 1)) * maps + m];
#pragma unroll
        for (int i = 0; i < V; ++i) f[u][i] = fmaf(upper, factor[i], f[u][i]);
      }
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q < end) write<whole>(gx + (sample * pixels + q) * channels + l.first, l.count, f[u]);
    }
  }
}

// Rows of gw = g^T x: sums [N, blocks, M, C]. Grid (blocks of pixels, samples, fours of maps).
template <typename T, bool whole>
__device__ __forceinline__ void project_weight(float *sums, const float *g, const T *x, int pixels, int channels, int maps,
                                               int log_lanes, int per_block) {
  const Lanes<T> l(channels, log_lanes);
  constexpr int V = Lanes<T>::V, M = 4, U = 2;
  const i64 sample = blockIdx.y;
  const int first = blockIdx.z * M;
  float gw[M][V];
#pragma unroll
  for (int m = 0; m < M; ++m) {
#pragma unroll
    for (int i = 0; i < V; ++i) gw[m][i] = 0.0f;
  }
  const int begin = blockIdx.x * per_block, end = l.count > 0 ? min(pixels, begin + per_block) : 0;
  for (int p = begin + l.row; p < end; p += U * l.rows) {
    float f[U][V];
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = min(p + u * l.rows, end - 1);
      read<whole>(x + (sample * pixels + q) * channels + l.first, l.count, f[u]);
    }
#pragma unroll
    for (int u = 0; u < U; ++u) {
      const int q = p + u * l.rows;
      if (q >= end) break;
      const float *upper = g + (sample * pixels + q) * maps + first;
#pragma unroll
      for (int m = 0; m < M; ++m) {
        const float factor = first + m < maps ? upper[m] : 0.0f;
#pragma unroll
        for (int i = 0; i < V; ++i) gw[m][i] = fmaf(factor, f[u][i], gw[m][i]);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < M; ++m) {
    sum_rows(gw[m], l.lanes, l.rows);
    if (l.row == 0 && l.count > 0 && first + m < maps) {
      const i64 row = (sample * gridDim.x + blockIdx.x) * maps + first + m;
      write<whole>(sums + row * channels + l.first, l.count, gw[m]);
    }
  }
}

#define KERNELS(T, suffix)                                                                                             \
  KERNEL project_##suffix(float *y, const T *x, const float *w, int pixels, int channels, int maps, int                \
      log_lanes, int per_block) {                                                                                      \
    BY_WIDTH(T, project<T, whole>(y, x, w, pixels, channels, maps, log_lanes, per_block))                              \
  }                                                                                                                    \
  KERNEL project_input_##suffix(T *gx, const float *g, const float *w, int pixels, int channels, int maps, int         \
      log_lanes, int per_block) {                                                                                      \
    BY_WIDTH(T, project_input<T, whole>(gx, g, w, pixels, channels, maps, log_lanes, per_block))                       \
  }                                                                                                                    \
  KERNEL project_weight_##suffix(float *sums, const float *g, const T *x, int pixels, int channels, int maps,          \
      int log_lanes, int per_block) {                                                                                  \
    BY_WIDTH(T, project_weight<T, whole>(sums, g, x, pixels, channels, maps, log_lanes, per_block))                    \
  }
KERNELS(float, f32)
KERNELS(bf16, bf16)
#undef KERNELS
