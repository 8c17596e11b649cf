// Operators on lists of tensors, one kernel for many parameters, which the bindings leave out.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cstdint>

#include "../handle.h"

using at::Tensor;

namespace {

std::vector<Tensor> list(Tensor *const *tensors, size_t n) {
  std::vector<Tensor> all;
  all.reserve(n);
  for (size_t i = 0; i < n; ++i) all.push_back(*tensors[i]);
  return all;
}

} // namespace

extern "C" {
// Returns the 2-norm of all tensors together, float32. `[]`
Tensor *lapsegan_list_norm(Tensor *const *tensors, size_t n) {
  return lapsegan::guarded([&] {
    const c10::NoGradGuard guard;
    return at::stack(at::_foreach_norm(list(tensors, n), 2)).to(at::kFloat).norm();
  });
}

// The following change the first list in place and return a tensor that says only that it worked.

Tensor *lapsegan_list_scale(Tensor *const *tensors, size_t n, const Tensor *factor) {
  return lapsegan::guarded([&] {
    const c10::NoGradGuard guard;
    at::_foreach_mul_(list(tensors, n), *factor);
    return Tensor();
  });
}

// average += weight (current - average)
Tensor *lapsegan_list_lerp(Tensor *const *average, Tensor *const *current, size_t n, double weight) {
  return lapsegan::guarded([&] {
    const c10::NoGradGuard guard;
    at::_foreach_lerp_(list(average, n), list(current, n), weight);
    return Tensor();
  });
}

// One step of Adam without weight decay. `steps` hold the steps taken, this one included, float32 `[]` each.
Tensor *lapsegan_list_adam(Tensor *const *parameters, Tensor *const *gradients, Tensor *const *exp_avgs,
                           Tensor *const *exp_avg_sqs, Tensor *const *steps, size_t n, double lr, double beta1, double beta2,
                           double eps) {
  return lapsegan::guarded([&] {
    const c10::NoGradGuard guard;
    at::_fused_adam_(list(parameters, n), list(gradients, n), list(exp_avgs, n), list(exp_avg_sqs, n), {}, list(steps, n), lr,
                     beta1, beta2, 0.0, eps, false, false);
    return Tensor();
  });
}
}
