// The operators on a GPU: outputs of ATen's allocator, and launches of the kernels beside this file. Without any header of
// CUDA: the kernels and the launch itself are pointers that the loader (mod.rs) gives, or for tests the emulation.
//
// Everything here may be recorded in a CUDA graph: nothing waits, nothing is copied between host and device.
#include "../ops/ops.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

namespace lapsegan::cuda {

namespace {

// As in common.cu.
constexpr int kThreads = 256;
constexpr int kLogThreads = 8;

enum Kernel {
  kFold,
  kEpilogue,
  kEpilogueBackward,
  kBiasLeakyRelu,
  kBiasLeakyReluBackward,
  kScale,
  kScaleBackward,
  kLeakyRelu,
  kLeakyReluBackward,
  kAdd,
  kPrepare,
  kPrepareBackward,
  kProject,
  kProjectInput,
  kProjectWeight,
  kFilter,
  kDoubled,
  kDoubledBackward,
  kKernels
};
#define BOTH(name) name "_f32", name "_bf16"
constexpr const char *kNames[2 * kKernels] = {
    "fold", "fold", BOTH("epilogue"), BOTH("epilogue_backward"), BOTH("bias_leaky_relu"), BOTH("bias_leaky_relu_backward"),
    BOTH("scale"), BOTH("scale_backward"), BOTH("leaky_relu"), BOTH("leaky_relu_backward"), BOTH("add"), BOTH("prepare"),
    BOTH("prepare_backward"), BOTH("project"), BOTH("project_input"), BOTH("project_weight"), BOTH("filter"),
    BOTH("doubled"), BOTH("doubled_backward")};

// Launches a kernel of a grid (x, y, z) of blocks with so many threads; 0, or the driver's number of an error.
using Launch = int (*)(void *kernel, unsigned x, unsigned y, unsigned z, unsigned threads, void **arguments);

struct Table {
  Launch launch = nullptr;
  std::array<void *, 2 * kKernels> kernels{};
};
Table driver, emulation;

struct Grid {
  int64_t x = 1, y = 1, z = 1;
};

int half(const Tensor &x) { return x.scalar_type() == at::kBFloat16 ? 1 : 0; }
int width(const Tensor &x) { return half(x) ? 8 : 4; }

// `like` is of the type of the kernel. The other arguments have the types of the kernel's parameters.
template <typename... A> void launch(Kernel kernel, const Tensor &like, Grid grid, A... arguments) {
  static_assert(((std::is_pointer_v<A> || std::is_same_v<A, int> || std::is_same_v<A, float> ||
                  std::is_same_v<A, int64_t>) && ...));
  const Table &table = emulating() ? emulation : driver;
  const int index = 2 * kernel + half(like);
  TORCH_CHECK(table.launch != nullptr, "the kernels of the GPU are not loaded");
  void *pointers[] = {static_cast<void *>(&arguments)...};
  const int code = table.launch(table.kernels[index], grid.x, grid.y, grid.z, kThreads, pointers);
  TORCH_CHECK(code == 0, "the GPU refused ", kNames[index], " with ", like.sizes(), ": CUDA error ", code);
}

// For reads of 16 bytes; only views into other tensors begin elsewhere. Features by channels need no look: where channels
// fill 16 bytes, every sample and row begins at a multiple of them.
Tensor aligned(const Tensor &x) { return reinterpret_cast<uintptr_t>(x.data_ptr()) % 16 == 0 ? x : x.clone(); }

// How features lie over the threads: lanes take 16 bytes of channels, rows of lanes take pixels.
struct Layout {
  int channels, pixels, log_lanes, rows;
  int64_t n;

  explicit Layout(const Tensor &x, int most_log_lanes = kLogThreads)
      : channels(x.size(1)), pixels(x.size(2) * x.size(3)), log_lanes(0), n(x.size(0)) {
    while (log_lanes < most_log_lanes && (width(x) << log_lanes) < channels) ++log_lanes;
    rows = kThreads >> log_lanes;
  }

  // Pixels of a block: so many that the GPU has a few blocks per processor, and no more rows of partial sums than needed.
  int per_block() const {
    const int64_t unit = 4 * rows, blocks = std::max<int64_t>(1, 2048 / n);
    return static_cast<int>(((pixels + blocks - 1) / blocks + unit - 1) / unit * unit);
  }
  Grid grid() const { return {(pixels + per_block() - 1) / per_block(), n, 1}; }
};

Grid flat(const Tensor &y) { return {(y.numel() + kThreads * width(y) - 1) / (kThreads * width(y)), 1, 1}; }

// Columns, strips of rows, samples.
struct Strips {
  int rows;
  Grid grid;
  Strips(const Layout &l, int64_t height, int64_t width) {
    const int64_t columns = (width + l.rows - 1) / l.rows;
    // A strip reads three rows more than it writes.
    const int64_t most = std::max<int64_t>(1, 2048 / (columns * l.n));
    rows = static_cast<int>(std::clamp<int64_t>((height + most - 1) / most, std::min<int64_t>(height, 4), 64));
    grid = {columns, (height + rows - 1) / rows, l.n};
  }
};

// [groups..., rows, columns...] -> the sums over the rows, in their order, of shape `sizes`
Tensor folded(const Tensor &partial, int64_t groups, int64_t rows, at::IntArrayRef sizes) {
  if (rows == 1) return partial.view(sizes);
  const Tensor out = at::empty(sizes, partial.options());
  const int columns = static_cast<int>(out.numel() / groups);
  launch(kFold, partial, {(columns + 31) / 32, groups, 1}, out.data_ptr<float>(), partial.data_ptr<float>(),
         static_cast<int>(rows), columns);
  return out;
}

} // namespace

void epilogue(const Tensor &y, const Tensor &x, const Tensor &d_, const Tensor &noise, const Tensor &b_) {
  const Layout l(x);
  const Tensor d = aligned(d_), b = aligned(b_);
  launch(kEpilogue, x, l.grid(), y.data_ptr(), x.data_ptr(), d.data_ptr<float>(), noise.data_ptr<float>(),
         b.data_ptr<float>(), l.pixels, l.channels, l.log_lanes, noise.size(0) == 1 ? 0 : l.pixels, l.per_block());
}

Four epilogue_backward(const Tensor &g, const Tensor &y, const Tensor &x, const Tensor &d_) {
  const Layout l(x);
  const Grid grid = l.grid();
  const Tensor d = aligned(d_), gx = at::empty_like(x), gn = at::empty({l.n, 1, x.size(2), x.size(3)}, d.options());
  const Tensor sums = at::empty({2, l.n, grid.x, l.channels}, d.options());
  launch(kEpilogueBackward, x, grid, gx.data_ptr(), gn.data_ptr<float>(), sums.data_ptr<float>(), g.data_ptr(),
         y.data_ptr(), x.data_ptr(), d.data_ptr<float>(), l.pixels, l.channels, l.log_lanes, l.per_block());
  const Tensor both = folded(sums, 2 * l.n, grid.x, {2, l.n, l.channels});
  return {gx, both[0], gn, both[1].sum(0)};
}

void bias_leaky_relu(const Tensor &y, const Tensor &x, const Tensor &b_) {
  const Layout l(x);
  const Tensor b = aligned(b_);
  launch(kBiasLeakyRelu, x, l.grid(), y.data_ptr(), x.data_ptr(), b.data_ptr<float>(), l.pixels, l.channels, l.log_lanes,
         l.per_block());
}

Two bias_leaky_relu_backward(const Tensor &g, const Tensor &y) {
  const Layout l(g);
  const Grid grid = l.grid();
  const Tensor gx = at::empty_like(g), sums = at::empty({l.n, grid.x, l.channels}, g.options().dtype(at::kFloat));
  launch(kBiasLeakyReluBackward, g, grid, gx.data_ptr(), sums.data_ptr<float>(), g.data_ptr(), y.data_ptr(), l.pixels,
         l.channels, l.log_lanes, l.per_block());
  return {gx, folded(sums, l.n, grid.x, {l.n, l.channels}).sum(0)};
}

Tensor scale(const Tensor &x, const Tensor &s_) {
  const Layout l(x);
  const Tensor s = aligned(s_), y = at::empty_like(x);
  launch(kScale, x, l.grid(), y.data_ptr(), x.data_ptr(), s.data_ptr<float>(), l.pixels, l.channels, l.log_lanes,
         l.per_block());
  return y;
}

Two scale_backward(const Tensor &g, const Tensor &x, const Tensor &s_) {
  const Layout l(x);
  const Grid grid = l.grid();
  const Tensor s = aligned(s_), gx = at::empty_like(x), sums = at::empty({l.n, grid.x, l.channels}, s.options());
  launch(kScaleBackward, x, grid, gx.data_ptr(), sums.data_ptr<float>(), g.data_ptr(), x.data_ptr(), s.data_ptr<float>(),
         l.pixels, l.channels, l.log_lanes, l.per_block());
  return {gx, folded(sums, l.n, grid.x, {l.n, l.channels})};
}

Tensor project(const Tensor &x, const Tensor &w_) {
  const Layout l(x, 5); // lanes of one warp
  const Tensor w = aligned(w_);
  const Tensor y = at::empty({l.n, w.size(1), x.size(2), x.size(3)}, w.options(), at::MemoryFormat::ChannelsLast);
  launch(kProject, x, l.grid(), y.data_ptr<float>(), x.data_ptr(), w.data_ptr<float>(), l.pixels, l.channels,
         static_cast<int>(w.size(1)), l.log_lanes, l.per_block());
  return y;
}

Two project_backward(const Tensor &g, const Tensor &x, const Tensor &w_) {
  const Layout l(x);
  const Grid grid = l.grid();
  const int maps = static_cast<int>(w_.size(1));
  const Tensor w = aligned(w_), gx = at::empty_like(x), sums = at::empty({l.n, grid.x, maps, l.channels}, w.options());
  launch(kProjectInput, x, grid, gx.data_ptr(), g.data_ptr<float>(), w.data_ptr<float>(), l.pixels, l.channels, maps,
         l.log_lanes, l.per_block());
  launch(kProjectWeight, x, {grid.x, grid.y, (maps + 3) / 4}, sums.data_ptr<float>(), g.data_ptr<float>(), x.data_ptr(),
         l.pixels, l.channels, maps, l.log_lanes, l.per_block());
  return {gx, folded(sums, l.n, grid.x, {l.n, maps, l.channels})};
}

Tensor prepare(const Tensor &w, double gain, bool half) {
  const auto options = w.options().dtype(half ? at::kBFloat16 : at::kFloat);
  const Tensor y = at::empty(w.sizes(), options, at::MemoryFormat::ChannelsLast);
  launch(kPrepare, y, flat(y), y.data_ptr(), w.data_ptr<float>(), static_cast<float>(gain), static_cast<int>(w.size(1)),
         static_cast<int>(w.size(2) * w.size(3)), y.numel());
  return y;
}

Tensor prepare_backward(const Tensor &g, double gain) {
  const Tensor gw = at::empty(g.sizes(), g.options().dtype(at::kFloat), at::MemoryFormat::Contiguous);
  launch(kPrepareBackward, g, flat(gw), gw.data_ptr<float>(), g.data_ptr(), static_cast<float>(gain),
         static_cast<int>(g.size(1)), static_cast<int>(g.size(2) * g.size(3)), gw.numel());
  return gw;
}

void leaky_relu(const Tensor &y, const Tensor &x_) {
  const Tensor x = aligned(x_), out = aligned(y);
  launch(kLeakyRelu, x, flat(x), out.data_ptr(), x.data_ptr(), x.numel());
  if (!out.is_same(y)) y.copy_(out);
}

Tensor leaky_relu_backward(const Tensor &g_, const Tensor &y_) {
  const Tensor g = aligned(g_), y = aligned(y_), gx = at::empty_like(y);
  launch(kLeakyReluBackward, y, flat(y), gx.data_ptr(), g.data_ptr(), y.data_ptr(), y.numel());
  return gx;
}

Tensor add(const Tensor &a_, const Tensor &b_) {
  const Tensor a = aligned(a_), b = aligned(b_), y = at::empty_like(a);
  launch(kAdd, a, flat(a), y.data_ptr(), a.data_ptr(), b.data_ptr(), a.numel());
  return y;
}

Tensor filter(const Tensor &x, const Tensor &kernel, int64_t padding, int64_t offset, double gain) {
  const Layout l(x);
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  const int more = static_cast<int>(2 * padding - kernel.size(2) + 1);
  const Tensor y = at::empty({l.n, l.channels, height + more, width + more}, x.options(), at::MemoryFormat::ChannelsLast);
  const Strips strips(l, height + more, width + more);
  launch(kFilter, x, strips.grid, y.data_ptr(), x.data_ptr(), static_cast<float>(gain), static_cast<int>(offset), height,
         width, height + more, width + more, l.channels, l.log_lanes, strips.rows);
  return y;
}

Tensor doubled(const Tensor &x, double gain) {
  const Layout l(x);
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  const Tensor y = at::empty({l.n, l.channels, 2 * height, 2 * width}, x.options(), at::MemoryFormat::ChannelsLast);
  const Strips strips(l, height, width);
  launch(kDoubled, x, strips.grid, y.data_ptr(), x.data_ptr(), static_cast<float>(gain), height, width, l.channels,
         l.log_lanes, strips.rows);
  return y;
}

Tensor doubled_backward(const Tensor &g, const Tensor &, double gain) {
  const Layout l(g);
  const int height = static_cast<int>(g.size(2) / 2), width = static_cast<int>(g.size(3) / 2);
  const Tensor gx = at::empty({l.n, l.channels, height, width}, g.options(), at::MemoryFormat::ChannelsLast);
  const Strips strips(l, height, width);
  launch(kDoubledBackward, g, strips.grid, gx.data_ptr(), g.data_ptr(), static_cast<float>(gain), height, width,
         l.channels, l.log_lanes, strips.rows);
  return gx;
}

} // namespace lapsegan::cuda

extern "C" {
// Returns the name of the kernel at a place of the table; null after the last.
const char *lapsegan_kernel_name(int index) {
  using namespace lapsegan::cuda;
  return 0 <= index && index < 2 * kKernels ? kNames[index] : nullptr;
}
// Fills the table with kernels in the order of their names.
void lapsegan_kernels(int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, void **), void *const *kernels,
                      bool emulated) {
  using namespace lapsegan::cuda;
  Table &table = emulated ? emulation : driver;
  std::copy_n(kernels, 2 * kKernels, table.kernels.begin());
  table.launch = launch;
}
void lapsegan_emulating(bool now) { lapsegan::emulating() = now; }
}
