// Recorded work on a CPU, see emulated.rs.
#include <ATen/ATen.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/boxing/KernelFunction.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace {

// A key that libtorch leaves to others, below automatic differentiation and above all that computes.
constexpr auto kKey = c10::DispatchKey::Fake;

struct Operation {
  c10::OperatorHandle op;
  torch::jit::Stack arguments, results;
};

using Graph = std::vector<Operation>;
thread_local std::unique_ptr<Graph> recording;

void record(const c10::OperatorHandle &op, c10::DispatchKeySet keys, torch::jit::Stack *stack) {
  const auto taken = op.schema().arguments().size(), given = op.schema().returns().size();
  torch::jit::Stack arguments(stack->end() - static_cast<int64_t>(taken), stack->end());
  {
    // What an operation is made of is done again with it.
    c10::impl::ExcludeDispatchKeyGuard inside(kKey);
    op.redispatchBoxed(keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, kKey), stack);
  }
  recording->push_back({op, std::move(arguments), {stack->end() - static_cast<int64_t>(given), stack->end()}});
}

void collect(const c10::IValue &value, std::vector<at::Tensor> &into) {
  if (value.isTensor()) {
    into.push_back(value.toTensor());
  } else if (value.isTensorList()) {
    for (const at::Tensor &tensor : value.toTensorList()) into.push_back(tensor);
  } else if (value.isList()) {
    for (const c10::IValue &one : value.toListRef()) collect(one, into);
  }
}

std::vector<at::Tensor> tensors(const torch::jit::Stack &values) {
  std::vector<at::Tensor> found;
  for (const c10::IValue &value : values) collect(value, found);
  return found;
}

void replay(const Operation &operation) {
  const std::vector<at::Tensor> arguments = tensors(operation.arguments);
  torch::jit::Stack stack = operation.arguments;
  operation.op.callBoxed(&stack);
  const std::vector<at::Tensor> results = tensors(operation.results), again = tensors(stack);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].defined()) continue;
    const auto shares = [&](const at::Tensor &argument) { return argument.defined() && argument.is_alias_of(results[i]); };
    // Views of arguments, and arguments that were written, are there already.
    if (std::none_of(arguments.begin(), arguments.end(), shares)) results[i].copy_(again[i]);
  }
}

} // namespace

extern "C" {
void lapsegan_emulated_begin() {
  static const auto registered = c10::Dispatcher::singleton().registerFallback(
      kKey, c10::KernelFunction::makeFromBoxedFunction<&record>(), "lapsegan: recorded work");
  recording = std::make_unique<Graph>();
  c10::impl::tls_set_dispatch_key_included(kKey, true);
}

Graph *lapsegan_emulated_end() {
  c10::impl::tls_set_dispatch_key_included(kKey, false);
  return recording.release();
}

bool lapsegan_emulated_replay(Graph *graph) {
  try {
    at::AutoDispatchBelowADInplaceOrView below;
    for (const Operation &operation : *graph) replay(operation);
    return true;
  } catch (const std::exception &) {
    return false;
  }
}

int64_t lapsegan_emulated_operations(const Graph *graph) { return static_cast<int64_t>(graph->size()); }

void lapsegan_emulated_free(Graph *graph) { delete graph; }
}
