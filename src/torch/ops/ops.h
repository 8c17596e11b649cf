// The operators that libtorch lacks, without derivatives: their implementation for each device, and their call, which
// libtorch's dispatcher leads to the device of the tensors. Derivatives are in model/fused.cpp.
//
// Features x, y, g are channels last, float32 or bfloat16; all other tensors are float32 and contiguous. `y` of the
// operators that write into it may be x.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <tuple>

namespace lapsegan {

using at::Tensor;
using Two = std::tuple<Tensor, Tensor>;
using Four = std::tuple<Tensor, Tensor, Tensor, Tensor>;

// Whether this thread's tensors on the CPU go through the kernels of a GPU, emulated: for tests.
bool &emulating();

// An operator is called by the type of its implementations.
template <auto implementation> struct Operator;
template <typename R, typename... A, R (*implementation)(A...)> struct Operator<implementation> {
  const char *name;

  R operator()(A... arguments) const {
    static const auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, "").template typed<R(A...)>();
    const at::AutoDispatchBelowADInplaceOrView no_derivatives;
    if (emulating()) return handle.redispatch(c10::DispatchKeySet(c10::DispatchKey::CUDA), arguments...);
    return handle.call(arguments...);
  }
};

#define OPERATOR(result, name, ...)                                                                                    \
  namespace cpu {                                                                                                      \
  result name(__VA_ARGS__);                                                                                            \
  }                                                                                                                    \
  namespace cuda {                                                                                                     \
  result name(__VA_ARGS__);                                                                                            \
  }                                                                                                                    \
  namespace op {                                                                                                       \
  inline constexpr Operator<cpu::name> name{"lapsegan::" #name};                                                       \
  }

// y = lrelu(d x + noise + b); x [N, C, H, W], d [N, C], noise [N or 1, 1, H, W], b [C]
OPERATOR(void, epilogue, const Tensor &y, const Tensor &x, const Tensor &d, const Tensor &noise, const Tensor &b)
// Gradients of x, d, noise [N, 1, H, W], b
OPERATOR(Four, epilogue_backward, const Tensor &g, const Tensor &y, const Tensor &x, const Tensor &d)
// y = lrelu(x + b); b [C]
OPERATOR(void, bias_leaky_relu, const Tensor &y, const Tensor &x, const Tensor &b)
OPERATOR(Two, bias_leaky_relu_backward, const Tensor &g, const Tensor &y)
// s x; s [N, C]
OPERATOR(Tensor, scale, const Tensor &x, const Tensor &s)
OPERATOR(Two, scale_backward, const Tensor &g, const Tensor &x, const Tensor &s)
// [N, M, H, W] in float32: the sum of x [N, C, H, W] over its channels with weights w [N, M, C]
OPERATOR(Tensor, project, const Tensor &x, const Tensor &w)
OPERATOR(Two, project_backward, const Tensor &g, const Tensor &x, const Tensor &w)
// gain w [O, I, k, k], channels last, in bfloat16 where `half`
OPERATOR(Tensor, prepare, const Tensor &w, double gain, bool half)
OPERATOR(Tensor, prepare_backward, const Tensor &g, double gain)
OPERATOR(void, leaky_relu, const Tensor &y, const Tensor &x)
OPERATOR(Tensor, leaky_relu_backward, const Tensor &g, const Tensor &y)
OPERATOR(Tensor, add, const Tensor &a, const Tensor &b)
// x convolved with kernel [C, 1, k, k], which is [1, 3, 3, 1] along both axes, of sum `gain`, beginning at `offset`
// of an output's place, and padded by zeros to an even `padding`
OPERATOR(Tensor, filter, const Tensor &x, const Tensor &kernel, int64_t padding, int64_t offset, double gain)
// x [N, C, H, W] -> [N, C, 2H, 2W], bilinear in a frame of zeros, times `gain`
OPERATOR(Tensor, doubled, const Tensor &x, double gain)
// Its adjoint, a convolution with kernel [C, 1, 4, 4] and stride 2
OPERATOR(Tensor, doubled_backward, const Tensor &g, const Tensor &kernel, double gain)

#undef OPERATOR

} // namespace lapsegan
