// CUDA graphs, in a library of its own that is opened only where libtorch_cuda is: the programs need none.
//
// A function gives null, or 0, where it failed; the reason is with `lapsegan_graph_problem`.
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#include <memory>
#include <string>

namespace {

thread_local std::string problem;

template <typename F> bool guarded(F body) {
  try {
    body();
    return true;
  } catch (const std::exception &error) {
    problem = error.what();
    return false;
  }
}

// All graphs of a device are replayed one after another, so they may use the same memory for what lies within them.
struct Recorder {
  explicit Recorder(c10::DeviceIndex device)
      : before(c10::cuda::getCurrentCUDAStream(device)), stream(c10::cuda::getStreamFromPool(false, device)),
        pool(at::cuda::graph_pool_handle()) {
    // A recording asks for the stream of the current device.
    c10::cuda::set_device(device);
    // The default stream cannot be recorded. From here on this thread works on another one, with all that it makes.
    before.synchronize();
    c10::cuda::setCurrentCUDAStream(stream);
  }

  ~Recorder() {
    guarded([&] {
      stream.synchronize();
      c10::cuda::setCurrentCUDAStream(before);
    });
  }

  // Libtorch's allocators believe in a recording that failed until they are told.
  void forget_recording() const {
    const std::string why = problem;
    guarded([&] {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(stream.device_index(), pool);
      c10::cuda::CUDACachingAllocator::releasePool(stream.device_index(), pool);
    });
    guarded([&] {
      auto *host = at::getHostAllocator(at::kCUDA);
      host->end_allocate_to_pool(pool);
      host->release_pool(pool);
    });
    problem = why;
  }

  c10::cuda::CUDAStream before, stream;
  at::cuda::MempoolId_t pool;
};

} // namespace

extern "C" {
const char *lapsegan_graph_problem() { return problem.c_str(); }

Recorder *lapsegan_graph_recorder(int64_t device) {
  Recorder *made = nullptr;
  guarded([&] { made = new Recorder(static_cast<c10::DeviceIndex>(device)); });
  return made;
}

void lapsegan_graph_recorder_free(Recorder *recorder) { delete recorder; }

// Begins to record what this thread, and the backward passes that it starts, ask of the device. Nothing is executed.
at::cuda::CUDAGraph *lapsegan_graph_begin(Recorder *recorder) {
  std::unique_ptr<at::cuda::CUDAGraph> graph;
  const bool begun = guarded([&] {
    graph = std::make_unique<at::cuda::CUDAGraph>();
    recorder->stream.synchronize();
    // What the executions before left unused is of no use to a graph, whose memory is its own.
    c10::cuda::CUDACachingAllocator::emptyCache();
    // A pool whose last graph is gone is still known here, and could not be used again.
    at::getHostAllocator(at::kCUDA)->empty_cache();
    // Backward passes run on a thread of libtorch, whose harmless questions to the driver must not end the recording.
    graph->capture_begin(recorder->pool, cudaStreamCaptureModeThreadLocal);
  });
  if (!begun) recorder->forget_recording();
  return begun ? graph.release() : nullptr;
}

bool lapsegan_graph_end(Recorder *recorder, at::cuda::CUDAGraph *graph) {
  const bool ended = guarded([&] { graph->capture_end(); });
  if (!ended) recorder->forget_recording();
  return ended;
}

bool lapsegan_graph_replay(at::cuda::CUDAGraph *graph) {
  return guarded([&] { graph->replay(); });
}

// A graph may be at work still.
void lapsegan_graph_free(Recorder *recorder, at::cuda::CUDAGraph *graph) {
  guarded([&] { recorder->stream.synchronize(); });
  guarded([&] { delete graph; });
}
}
