// A list of the operators that libtorch runs on this thread, with the sizes of their tensors.
#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <string>
#include <vector>

namespace {

struct Entry {
  std::string name;
  std::string sizes;
  // No other operator ran inside it.
  bool innermost;
};

thread_local std::vector<Entry> entries;
// Entries that have begun and not ended.
thread_local std::vector<size_t> open;
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
  if (!open.empty()) entries[open.back()].innermost = false;
  open.push_back(entries.size());
  entries.push_back({function.name(), std::move(sizes), true});
  return nullptr;
}

void end(const at::RecordFunction &, at::ObserverContext *) {
  if (!open.empty()) open.pop_back();
}

} // namespace

extern "C" {
void lapsegan_operators_begin() {
  entries.clear();
  open.clear();
  handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(&begin, &end).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

// Returns a line per operator: `*` where it is innermost, its name, and the sizes. Valid until the next call.
const char *lapsegan_operators_end() {
  at::removeCallback(handle);
  text.clear();
  for (const Entry &entry : entries) {
    text += (entry.innermost ? "*\t" : "-\t") + entry.name + '\t' + entry.sizes + '\n';
  }
  return text.c_str();
}
}
