// For tests: the kernels as C++, run on a CPU, with a launch like that of NVIDIA's driver.
//
// Where a block's threads meet they are fibres that take turns: each runs to the next barrier or shuffle, to which all of
// them come.
#undef _FORTIFY_SOURCE // whose longjmp stays on one stack
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using u32 = uint32_t;
using u16 = uint16_t;
using i64 = long long;
using std::max;
using std::min;

struct uint4 {
  u32 x, y, z, w;
};
struct Index {
  unsigned x, y, z;
};
Index threadIdx, blockIdx, blockDim, gridDim;

float __uint_as_float(u32 bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
u32 __float_as_uint(float value) {
  u32 bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
u32 half_of(float value) {
  const u32 bits = __float_as_uint(value);
  return value == value ? (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 : 0x7fc0;
}
u32 to_halves(float first, float second) { return half_of(first) | half_of(second) << 16; }

struct Fibre {
  ucontext_t first; // its beginning
  jmp_buf place;    // where it waits
  bool begun, done;
  std::vector<char> stack = std::vector<char>(1 << 16);
};
std::vector<Fibre> fibres;
jmp_buf scheduler;
// What the fibre at work runs.
void (*body)(void **);
void **arguments;

void __syncthreads() {
  if (fibres.empty()) std::abort(); // a kernel that is listed as without barriers
  if (_setjmp(fibres[threadIdx.x].place) == 0) _longjmp(scheduler, 1);
}

float __shfl_xor_sync(u32, float value, int distance) {
  // Two turns of one after the other, so that nobody writes what another has still to read.
  static std::vector<float> slots[2];
  static std::vector<unsigned> turns;
  if (turns.size() != fibres.size()) {
    turns.assign(fibres.size(), 0);
    for (auto &s : slots) s.assign(fibres.size(), 0.0f);
  }
  const unsigned me = threadIdx.x, turn = turns[me]++ % 2;
  slots[turn][me] = value;
  __syncthreads();
  return slots[turn][me ^ static_cast<unsigned>(distance)];
}

} // namespace

#define EMULATED
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static
#include "kernels.cu"

namespace {

template <typename... A, size_t... I>
void call(void (*kernel)(A...), void **from, std::index_sequence<I...>) {
  kernel(*static_cast<A *>(from[I])...);
}
template <auto kernel> struct Caller;
template <typename... A, void (*kernel)(A...)> struct Caller<kernel> {
  static void run(void **from) { call(kernel, from, std::index_sequence_for<A...>()); }
};

struct Entry {
  const char *name;
  void (*run)(void **);
  bool meets; // at barriers
};
#define ONE(name, meets) {#name, &Caller<&name>::run, meets},
#define MEETING(name) ONE(name##_f32, true) ONE(name##_bf16, true)
#define ALONE(name) ONE(name##_f32, false) ONE(name##_bf16, false)
const Entry kEntries[] = {
    ONE(fold, true) MEETING(epilogue_backward) MEETING(bias_leaky_relu_backward) MEETING(scale_backward) MEETING(project)
        MEETING(project_weight) ALONE(epilogue) ALONE(bias_leaky_relu) ALONE(scale) ALONE(leaky_relu)
            ALONE(leaky_relu_backward) ALONE(add) ALONE(prepare) ALONE(prepare_backward) ALONE(project_input) ALONE(filter)
                ALONE(doubled) ALONE(doubled_backward)};

void fibre() {
  body(arguments);
  fibres[threadIdx.x].done = true;
  _longjmp(scheduler, 1);
}

void make_ready(Fibre &f) {
  f.begun = f.done = false;
  getcontext(&f.first);
  f.first.uc_stack.ss_sp = f.stack.data();
  f.first.uc_stack.ss_size = f.stack.size();
  makecontext(&f.first, fibre, 0);
}

// Runs a fibre until it waits or ends: jumps between stacks, which are much cheaper than swaps of whole contexts.
void go_on(Fibre &f) {
  if (_setjmp(scheduler) != 0) return;
  if (f.begun) _longjmp(f.place, 1);
  f.begun = true;
  setcontext(&f.first);
}

void run_block(unsigned threads, bool meets) {
  if (!meets) {
    fibres.clear();
    for (unsigned t = 0; t < threads; ++t) {
      threadIdx = {t, 0, 0};
      body(arguments);
    }
    return;
  }
  fibres.resize(threads);
  for (Fibre &f : fibres) make_ready(f);
  for (bool any = true; any;) {
    any = false;
    for (unsigned t = 0; t < threads; ++t) {
      if (fibres[t].done) continue;
      threadIdx = {t, 0, 0};
      go_on(fibres[t]);
      any = true;
    }
  }
}

} // namespace

extern "C" {
void *lapsegan_emulated(const char *name) {
  for (const Entry &entry : kEntries) {
    if (std::strcmp(entry.name, name) == 0) return const_cast<Entry *>(&entry);
  }
  return nullptr;
}

int lapsegan_emulate(void *kernel, unsigned x, unsigned y, unsigned z, unsigned threads, void **from) {
  static std::mutex one;
  const std::lock_guard<std::mutex> lock(one);
  const Entry &entry = *static_cast<Entry *>(kernel);
  body = entry.run;
  arguments = from;
  gridDim = {x, y, z};
  blockDim = {threads, 1, 1};
  for (blockIdx.z = 0; blockIdx.z < z; ++blockIdx.z) {
    for (blockIdx.y = 0; blockIdx.y < y; ++blockIdx.y) {
      for (blockIdx.x = 0; blockIdx.x < x; ++blockIdx.x) run_block(threads, entry.meets);
    }
  }
  return 0;
}
}
