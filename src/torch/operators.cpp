// A list of the operators that libtorch runs on this thread, with the sizes of their tensors.
#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <string>
#include <vector>

namespace {

struct Entry {
  std::string name;
  std::string sizes;
  // How many others it runs inside of.
  size_t depth;
};

thread_local std::vector<Entry> entries;
// Operators that have begun and not ended.
thread_local size_t depth = 0;
thread_local at::CallbackHandle handle = at::INVALID_CALLBACK_HANDLE;
thread_local std::string text;

void write_sizes(std::string &out, const c10::IValue &value) {
  if (value.isTensor() && value.toTensor().defined()) {
    out += '[';
    for (const int64_t n : value.toTensor().sizes()) out += std::to_string(n) + ',';
    out += ']';
  } else if (value.isTensorList()) {
    for (const at::Tensor &tensor : value.toTensorVector()) write_sizes(out, tensor);
  }
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction &function) {
  std::string sizes;
  for (const c10::IValue &input : function.inputs()) write_sizes(sizes, input);
  entries.push_back({function.name(), std::move(sizes), depth++});
  return nullptr;
}

void end(const at::RecordFunction &, at::ObserverContext *) {
  if (depth > 0) --depth;
}

} // namespace

extern "C" {
void lapsegan_operators_begin() {
  entries.clear();
  depth = 0;
  handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(&begin, &end).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

// Returns a line per operator, in the order of their beginnings: its depth, its name, the sizes. Valid until the next call.
const char *lapsegan_operators_end() {
  at::removeCallback(handle);
  text.clear();
  for (const Entry &entry : entries) {
    text += std::to_string(entry.depth) + '\t' + entry.name + '\t' + entry.sizes + '\n';
  }
  return text.c_str();
}
}
