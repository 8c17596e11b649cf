// Tensors across the border to Rust: a function gives a new handle, or null and the reason.
#pragma once
#include <ATen/ATen.h>

#include <exception>
#include <string>

namespace lapsegan {

// Why this thread's last call gave null.
inline thread_local std::string problem;

template <typename F> at::Tensor *guarded(F body) {
  try {
    return new at::Tensor(body());
  } catch (const std::exception &error) {
    problem = error.what();
    return nullptr;
  }
}

} // namespace lapsegan
