// What all kernels stand on: values in pieces of 16 bytes, and how a block's threads lie over channels and pixels.
//
// Features are channels last, float32 or bfloat16; arithmetic is float32. There are no atomics: a sum over pixels is one
// row per block, and `fold` adds the rows in their order. Every thread of a block comes to every barrier and shuffle.
#ifndef EMULATED
typedef unsigned int u32;
typedef unsigned short u16;
typedef long long i64;

// Two bfloat16, rounded to nearest, ties to even; the first in the lower half.
__device__ __forceinline__ u32 to_halves(float first, float second) {
  u32 bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
  return bits;
}
#endif

constexpr int kThreads = 256;
#ifdef EMULATED
#define KERNEL static void
#else
#define KERNEL extern "C" __global__ void __launch_bounds__(kThreads)
#endif
// Runs a call with `whole` set to whether pixels begin at multiples of 16 bytes.
#define BY_WIDTH(T, ...)                                                                                               \
  if (channels % Width<T>::value == 0) {                                                                               \
    constexpr bool whole = true;                                                                                       \
    __VA_ARGS__;                                                                                                       \
  } else {                                                                                                             \
    constexpr bool whole = false;                                                                                      \
    __VA_ARGS__;                                                                                                       \
  }
constexpr float kSlope = 0.2f;

struct bf16 {
  u16 bits;
};

// Values in 16 bytes.
template <typename T> struct Width;
template <> struct Width<float> {
  static constexpr int value = 4;
};
template <> struct Width<bf16> {
  static constexpr int value = 8;
};

__device__ __forceinline__ float value_of(float x) { return x; }
__device__ __forceinline__ float value_of(bf16 x) { return __uint_as_float(static_cast<u32>(x.bits) << 16); }
__device__ __forceinline__ void set(float *to, float x) { *to = x; }
__device__ __forceinline__ void set(bf16 *to, float x) { to->bits = static_cast<u16>(to_halves(x, 0.0f)); }

// Between 16 bytes and their values.
__device__ __forceinline__ void unpack(uint4 p, float (&f)[4]) {
  const u32 word[4] = {p.x, p.y, p.z, p.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) f[i] = __uint_as_float(word[i]);
}
__device__ __forceinline__ void unpack(uint4 p, float (&f)[8]) {
  const u32 word[4] = {p.x, p.y, p.z, p.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    f[2 * i] = __uint_as_float(word[i] << 16);
    f[2 * i + 1] = __uint_as_float(word[i] & 0xffff0000u);
  }
}
__device__ __forceinline__ uint4 packed(const float (&f)[4]) {
  return {__float_as_uint(f[0]), __float_as_uint(f[1]), __float_as_uint(f[2]), __float_as_uint(f[3])};
}
__device__ __forceinline__ uint4 packed(const float (&f)[8]) {
  return {to_halves(f[0], f[1]), to_halves(f[2], f[3]), to_halves(f[4], f[5]), to_halves(f[6], f[7])};
}

// Reads the values at `from`. `whole`: all are there, and 16 bytes are aligned; else the first `count`, zeros after them.
template <bool whole, typename T, int V> __device__ __forceinline__ void read(const T *from, int count, float (&f)[V]) {
  if (whole) {
#pragma unroll
    for (int i = 0; i < V; i += Width<T>::value) {
      float part[Width<T>::value];
      unpack(*reinterpret_cast<const uint4 *>(from + i), part);
#pragma unroll
      for (int j = 0; j < Width<T>::value; ++j) f[i + j] = part[j];
    }
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) f[i] = i < count ? value_of(from[i]) : 0.0f;
  }
}
template <bool whole, typename T, int V> __device__ __forceinline__ void write(T *to, int count, const float (&f)[V]) {
  if (whole) {
#pragma unroll
    for (int i = 0; i < V; i += Width<T>::value) {
      float part[Width<T>::value];
#pragma unroll
      for (int j = 0; j < Width<T>::value; ++j) part[j] = f[i + j];
      *reinterpret_cast<uint4 *>(to + i) = packed(part);
    }
  } else {
#pragma unroll
    for (int i = 0; i < V; ++i) {
      if (i < count) set(to + i, f[i]);
    }
  }
}

__device__ __forceinline__ float leaky(float x) { return x > 0.0f ? x : kSlope * x; }
// The derivative is that of the output, whose sign is that of the input.
__device__ __forceinline__ float leaky_slope(float upper, float y) { return y > 0.0f ? upper : kSlope * upper; }

// A block's threads: `lanes` (a power of two) take V channels each, rows of lanes take pixels.
template <typename T> struct Lanes {
  static constexpr int V = Width<T>::value;
  int lanes, rows, row, lane, channels, first, count;

  __device__ __forceinline__ Lanes(int channels_, int log_lanes)
      : lanes(1 << log_lanes), rows(kThreads >> log_lanes), row(threadIdx.x >> log_lanes),
        lane(threadIdx.x & ((1 << log_lanes) - 1)), channels(channels_), first(lane * V) {
    count = max(0, min(V, channels - first)); // 0 for lanes beyond the channels
  }
};

// Sums over the rows of a block; the first row has the result. `V` values per thread.
template <int V> __device__ __forceinline__ void sum_rows(float (&f)[V], int lanes, int rows) {
  __shared__ float shared[V][kThreads];
#pragma unroll
  for (int i = 0; i < V; ++i) shared[i][threadIdx.x] = f[i];
  __syncthreads();
  for (int step = rows / 2; step > 0; step /= 2) {
    if (static_cast<int>(threadIdx.x) < step * lanes) {
#pragma unroll
      for (int i = 0; i < V; ++i) shared[i][threadIdx.x] += shared[i][threadIdx.x + step * lanes];
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < V; ++i) f[i] = shared[i][threadIdx.x];
  __syncthreads(); // before the next use
}

// Sums each of U values over neighbouring lanes, 32 at most; all of them have the result.
template <int U> __device__ __forceinline__ void sum_in_warp(float (&f)[U], int lanes) {
  for (int step = min(lanes, 32) / 2; step > 0; step /= 2) {
#pragma unroll
    for (int u = 0; u < U; ++u) f[u] += __shfl_xor_sync(0xffffffffu, f[u], step);
  }
}

// The same over all lanes, up to a whole block; the first lane has the result.
template <int U> __device__ __forceinline__ void sum_lanes(float (&f)[U], int lanes) {
  sum_in_warp(f, lanes);
  if (lanes <= 32) return;
  __shared__ float shared[U][kThreads / 32];
  const int warp = threadIdx.x / 32, warps = lanes / 32;
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
#pragma unroll
    for (int u = 0; u < U; ++u) shared[u][warp] = f[u];
  }
  __syncthreads();
#pragma unroll
  for (int u = 0; u < U; ++u) {
    f[u] = 0.0f;
    const int start = warp / warps * warps;
    for (int i = 0; i < warps; ++i) f[u] += shared[u][start + i];
  }
}

// out [groups, columns] = sum over rows of in [groups, rows, columns]. Grid (columns / 32, groups).
KERNEL fold(float *out, const float *in, int rows, int columns) {
  const int column = blockIdx.x * 32 + threadIdx.x % 32, start = threadIdx.x / 32;
  float sum[1] = {0.0f};
  if (column < columns) {
    const float *from = in + static_cast<i64>(blockIdx.y) * rows * columns + column;
#pragma unroll 4
    for (int r = start; r < rows; r += kThreads / 32) sum[0] += from[static_cast<i64>(r) * columns];
  }
  sum_rows(sum, 32, kThreads / 32);
  if (start == 0 && column < columns) out[static_cast<i64>(blockIdx.y) * columns + column] = sum[0];
}
