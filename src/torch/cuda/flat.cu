// What goes value by value: leaky ReLU, sums, and weights as their convolutions read them.
//
// A grid of one axis; every thread takes 16 bytes of the output, and one of them what is left at the end.
template <typename T, typename F> __device__ __forceinline__ void over_pieces(T *y, i64 n, F values) {
  constexpr int V = Width<T>::value;
  const i64 at = (static_cast<i64>(blockIdx.x) * kThreads + threadIdx.x) * V;
  if (at >= n) return;
  float f[V];
  if (at + V <= n) {
    values(at, V, f);
    write<true>(y + at, V, f);
  } else {
    values(at, static_cast<int>(n - at), f);
    write<false>(y + at, static_cast<int>(n - at), f);
  }
}
// Reads what `over_pieces` asks for.
template <typename T, int V> __device__ __forceinline__ void piece(const T *x, i64 at, int count, float (&f)[V]) {
  if (count == V) {
    read<true>(x + at, V, f);
  } else {
    read<false>(x + at, count, f);
  }
}

template <typename T> __device__ __forceinline__ void leaky_relu(T *y, const T *x, i64 n) {
  constexpr int V = Width<T>::value;
  over_pieces(y, n, [&](i64 at, int count, float (&f)[V]) {
    piece(x, at, count, f);
#pragma unroll
    for (int i = 0; i < V; ++i) f[i] = leaky(f[i]);
  });
}

template <typename T> __device__ __forceinline__ void leaky_relu_backward(T *gx, const T *g, const T *y, i64 n) {
  constexpr int V = Width<T>::value;
  over_pieces(gx, n, [&](i64 at, int count, float (&f)[V]) {
    float out[V];
    piece(g, at, count, f);
    piece(y, at, count, out);
#pragma unroll
    for (int i = 0; i < V; ++i) f[i] = leaky_slope(f[i], out[i]);
  });
}

template <typename T> __device__ __forceinline__ void add(T *y, const T *a, const T *b, i64 n) {
  constexpr int V = Width<T>::value;
  over_pieces(y, n, [&](i64 at, int count, float (&f)[V]) {
    float other[V];
    piece(a, at, count, f);
    piece(b, at, count, other);
#pragma unroll
    for (int i = 0; i < V; ++i) f[i] += other[i];
  });
}

// [outputs, rows, columns] -> gain * [outputs, columns, rows], with `size` = rows * columns. Neighbouring threads read
// what lies in the same lines of the cache.
template <typename T, typename S>
__device__ __forceinline__ void transpose(T *y, const S *x, float gain, int rows, int columns, i64 n) {
  constexpr int V = Width<T>::value;
  over_pieces(y, n, [&](i64 at, int count, float (&f)[V]) {
    const int size = rows * columns;
    i64 output = at / size;
    int left = static_cast<int>(at - output * size), column = left / rows, row = left - column * rows;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      f[i] = i < count ? gain * value_of(x[output * size + static_cast<i64>(row) * columns + column]) : 0.0f;
      if (++row == rows) {
        row = 0;
        if (++column == columns) {
          column = 0;
          ++output;
        }
      }
    }
  });
}

#define KERNELS(T, suffix)                                                                                             \
  KERNEL leaky_relu_##suffix(T *y, const T *x, i64 n) { leaky_relu(y, x, n); }                                         \
  KERNEL leaky_relu_backward_##suffix(T *gx, const T *g, const T *y, i64 n) { leaky_relu_backward(gx, g, y, n); }      \
  KERNEL add_##suffix(T *y, const T *a, const T *b, i64 n) { add(y, a, b, n); }                                        \
  KERNEL prepare_##suffix(T *y, const float *w, float gain, int inputs, int taps, i64 n) {                             \
    transpose(y, w, gain, inputs, taps, n);                                                                            \
  }                                                                                                                    \
  KERNEL prepare_backward_##suffix(float *gw, const T *g, float gain, int inputs, int taps, i64 n) {                   \
    transpose(gw, g, gain, taps, inputs, n);                                                                           \
  }
KERNELS(float, f32)
KERNELS(bf16, bf16)
#undef KERNELS
