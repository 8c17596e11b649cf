// The operators and their implementations in libtorch's dispatcher.
#include <torch/library.h>

#include "ops.h"

namespace lapsegan {

bool &emulating() {
  static thread_local bool now = false;
  return now;
}

} // namespace lapsegan

TORCH_LIBRARY(lapsegan, m) {
  m.def("epilogue(Tensor(a!) y, Tensor x, Tensor d, Tensor noise, Tensor b) -> ()");
  m.def("epilogue_backward(Tensor g, Tensor y, Tensor x, Tensor d) -> (Tensor, Tensor, Tensor, Tensor)");
  m.def("bias_leaky_relu(Tensor(a!) y, Tensor x, Tensor b) -> ()");
  m.def("bias_leaky_relu_backward(Tensor g, Tensor y) -> (Tensor, Tensor)");
  m.def("scale(Tensor x, Tensor s) -> Tensor");
  m.def("scale_backward(Tensor g, Tensor x, Tensor s) -> (Tensor, Tensor)");
  m.def("project(Tensor x, Tensor w) -> Tensor");
  m.def("project_backward(Tensor g, Tensor x, Tensor w) -> (Tensor, Tensor)");
  m.def("prepare(Tensor w, float gain, bool half) -> Tensor");
  m.def("prepare_backward(Tensor g, float gain) -> Tensor");
  m.def("leaky_relu(Tensor(a!) y, Tensor x) -> ()");
  m.def("leaky_relu_backward(Tensor g, Tensor y) -> Tensor");
  m.def("add(Tensor a, Tensor b) -> Tensor");
  m.def("filter(Tensor x, Tensor kernel, int padding, int offset, float gain) -> Tensor");
  m.def("doubled(Tensor x, float gain) -> Tensor");
  m.def("doubled_backward(Tensor g, Tensor kernel, float gain) -> Tensor");
}

#define IMPLEMENTED(device)                                                                                            \
  m.impl("epilogue", lapsegan::device::epilogue);                                                                      \
  m.impl("epilogue_backward", lapsegan::device::epilogue_backward);                                                    \
  m.impl("bias_leaky_relu", lapsegan::device::bias_leaky_relu);                                                        \
  m.impl("bias_leaky_relu_backward", lapsegan::device::bias_leaky_relu_backward);                                      \
  m.impl("scale", lapsegan::device::scale);                                                                            \
  m.impl("scale_backward", lapsegan::device::scale_backward);                                                          \
  m.impl("project", lapsegan::device::project);                                                                        \
  m.impl("project_backward", lapsegan::device::project_backward);                                                      \
  m.impl("prepare", lapsegan::device::prepare);                                                                        \
  m.impl("prepare_backward", lapsegan::device::prepare_backward);                                                      \
  m.impl("leaky_relu", lapsegan::device::leaky_relu);                                                                  \
  m.impl("leaky_relu_backward", lapsegan::device::leaky_relu_backward);                                                \
  m.impl("add", lapsegan::device::add);                                                                                \
  m.impl("filter", lapsegan::device::filter);                                                                          \
  m.impl("doubled", lapsegan::device::doubled);                                                                        \
  m.impl("doubled_backward", lapsegan::device::doubled_backward)

TORCH_LIBRARY_IMPL(lapsegan, CPU, m) { IMPLEMENTED(cpu); }
TORCH_LIBRARY_IMPL(lapsegan, CUDA, m) { IMPLEMENTED(cuda); }
