// Copies to a GPU from pinned memory, which the host does not wait for.
#include <ATen/ATen.h>

#include <cstdint>

#include "handle.h"

extern "C" {
// Returns a tensor of the host on GPU `index`. Libtorch keeps the pinned memory until the copy is done.
at::Tensor *lapsegan_upload(const at::Tensor *x, int64_t index) {
  return lapsegan::guarded([&] {
    const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(index));
    return x->pin_memory().to(device, x->scalar_type(), /*non_blocking=*/true);
  });
}

// Returns a tensor of a GPU in pinned memory of the host, which libtorch keeps for the next one of its size.
at::Tensor *lapsegan_download(const at::Tensor *x) {
  return lapsegan::guarded([&] {
    return at::empty(x->sizes(), x->options().device(at::kCPU).pinned_memory(true)).copy_(*x);
  });
}
}
