// One autograd node that hands gradients computed in the forward pass to the backward pass, and libtorch's thread pool.
// It knows no loss. No C++ exception leaves this file.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_coalesced.h>
#include <ATen/ops/_indices.h>
#include <ATen/ops/_sparse_coo_tensor_unsafe.h>
#include <ATen/ops/_values.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/isfinite.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/functions/utils.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

namespace {

using torch::autograd::edge_list;
using torch::autograd::variable_list;

constexpr const char* kTwice =
    "the fused backend of masked-loss is differentiable once; for a second derivative use Backend::Composed";

// libtorch held nodes by std::shared_ptr up to 2.12 or so, and by its own intrusive_ptr since.
template <typename T, typename... Arguments>
auto make_node(Arguments&&... arguments) {
  using Held = decltype(torch::autograd::Edge::function);
  if constexpr (std::is_same_v<Held, std::shared_ptr<torch::autograd::Node>>) {
    return std::make_shared<T>(std::forward<Arguments>(arguments)...);
  } else {
    return c10::make_intrusive<T>(std::forward<Arguments>(arguments)...);
  }
}

struct Precomputed : torch::autograd::Node {
  // Of each input its gradient, undefined where it has none.
  Precomputed(std::vector<at::Tensor> gradients, std::vector<at::ScalarType> kinds, edge_list next)
      : Node(std::move(next)), gradients_(std::move(gradients)), kinds_(std::move(kinds)) {}

  std::string name() const override { return "MaskedLossBackward"; }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    released_ = true;
    gradients_.clear();
  }

  variable_list apply(variable_list&& upstreams) override {
    const at::Tensor& upstream = upstreams[0];
    if (!upstream.defined()) return variable_list(kinds_.size());
    const bool keep = torch::autograd::get_current_graph_task_keep_graph();
    const bool record = at::GradMode::is_enabled();
    variable_list results;
    {
      at::NoGradGuard no_grad;
      results = take(keep);
      for (size_t i = 0; i < results.size(); ++i) {
        if (results[i].defined()) results[i] = scaled(std::move(results[i]), kinds_[i], upstream, keep);
      }
    }
    for (size_t i = 0; record && i < results.size(); ++i) {
      if (results[i].defined()) {
        torch::autograd::set_history(results[i], make_node<torch::autograd::Error>(kTwice, edge_list{next_edge(i)}));
      }
    }
    return results;
  }

 private:
  // Two backward passes may run at once: where the graph is not kept, the gradients go to one of them.
  std::vector<at::Tensor> take(bool keep) {
    std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(!released_, torch::autograd::ERR_BACKWARD_TWICE);
    released_ = !keep;
    return keep ? gradients_ : std::move(gradients_);
  }

  // Of a sparse gradient, the rows that it holds.
  static at::Tensor scaled(at::Tensor gradient, at::ScalarType kind, const at::Tensor& upstream, bool keep) {
    if (!gradient.is_sparse()) return scaled_rows(std::move(gradient), kind, upstream, keep);
    const at::Tensor rows = scaled_rows(gradient._values(), kind, upstream, keep);
    return at::_sparse_coo_tensor_unsafe(gradient._indices(), rows, gradient.sizes())._coalesced_(true);
  }

  // The gradient times the upstream one, in the input's kind. Where it is exactly zero, as at every missing entry, it
  // stays so, whatever comes from upstream. In place unless the graph is kept.
  static at::Tensor scaled_rows(at::Tensor gradient, at::ScalarType kind, const at::Tensor& upstream, bool keep) {
    if (upstream.numel() == 1) {
      const double factor = upstream.item<double>();
      if (std::isfinite(factor)) {
        if (factor != 1.0) {
          gradient = keep ? gradient.mul(factor) : gradient.mul_(factor);
        } else if (keep && gradient.scalar_type() == kind) {
          gradient = gradient.clone();
        }
        return gradient.to(kind);
      }
    }
    return gradient.mul(upstream).masked_fill_(gradient.eq(0), 0).to(kind);
  }

  std::vector<at::Tensor> gradients_;  // of an input in half precision in float: narrowed only when it has been scaled
  std::vector<at::ScalarType> kinds_;  // the inputs'
  bool released_ = false;
};

// Large buffers that this thread keeps: a fresh one costs more in page faults than the kernel in arithmetic. One whose
// only owner is this list is free to be reused.
constexpr size_t kKept = 2;
constexpr size_t kLarge = size_t{1} << 20;
thread_local bool gone = false;  // outlives the list: a thread may still compute while it ends
struct Kept : std::vector<at::Storage> {
  ~Kept() { gone = true; }
};
thread_local Kept kept;

// Pages of 2 MiB take one fault, and one entry of the processor's table, where those of 4 KiB take 512. Whether there are
// any is the system's affair.
void ask_for_large_pages([[maybe_unused]] void* start, [[maybe_unused]] size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t kPage = uintptr_t{1} << 21;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(start) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(start) + bytes) / kPage * kPage;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#endif
}

at::Tensor buffer_like(const at::Tensor& like) {
  const at::ScalarType kind = at::isReducedFloatingType(like.scalar_type()) ? at::kFloat : like.scalar_type();
  const at::TensorOptions options = like.options().dtype(kind);
  const size_t bytes = like.numel() * at::elementSize(kind);
  if (bytes < kLarge || gone) return at::empty(like.sizes(), options);
  for (at::Storage& storage : kept) {
    if (storage.use_count() == 1 && storage.nbytes() == bytes) {
      // What the last reader, perhaps on another thread, did with it is over.
      std::atomic_thread_fence(std::memory_order_acquire);
      return at::empty({0}, options).set_(storage, 0, like.sizes(), like.strides());
    }
  }
  at::Tensor fresh = at::empty(like.sizes(), options);
  ask_for_large_pages(fresh.mutable_data_ptr(), bytes);
  const auto idle = std::find_if(kept.begin(), kept.end(), [](const at::Storage& s) { return s.use_count() == 1; });
  if (idle != kept.end()) {
    *idle = fresh.storage();
  } else if (kept.size() < kKept) {
    kept.push_back(fresh.storage());
  }
  return fresh;
}

char* message(const std::exception& error) { return strdup(error.what()); }

}  // namespace

extern "C" {

// Makes `value` depend on `count` inputs with the given gradients, null for an input that has none. Null, or an error's text
// for the caller to free.
char* masked_loss_attach(at::Tensor* value, const at::Tensor* const* inputs, const at::Tensor* const* gradients, size_t count) {
  try {
    std::vector<at::Tensor> variables, computed;
    std::vector<at::ScalarType> kinds;
    for (size_t i = 0; i < count; ++i) {
      variables.push_back(*inputs[i]);
      computed.push_back(gradients[i] ? *gradients[i] : at::Tensor());
      kinds.push_back(inputs[i]->scalar_type());
    }
    edge_list next = torch::autograd::collect_next_edges(variables);
    torch::autograd::set_history(
        *value, make_node<Precomputed>(std::move(computed), std::move(kinds), std::move(next)));
    return nullptr;
  } catch (const std::exception& error) {
    return message(error);
  }
}

// An uninitialised contiguous tensor of `like`'s size, `like` being contiguous, and kind, or float for half precision.
// Null, with an error's text for the caller to free, where memory ran out.
at::Tensor* masked_loss_buffer(const at::Tensor* like, char** error) {
  try {
    at::NoGradGuard no_grad;
    return new at::Tensor(buffer_like(*like));
  } catch (const std::exception& failure) {
    *error = message(failure);
    return nullptr;
  }
}

// Frees what this thread keeps.
void masked_loss_release_buffers() {
  if (!gone) kept.clear();
}

// Whether a defined tensor lies in memory by strides, and not sparse or in a library's own layout.
bool masked_loss_strided(const at::Tensor* tensor) { return tensor->layout() == at::kStrided; }

// Whether a result of `input` is to be recorded for backward.
bool masked_loss_records(const at::Tensor* input) { return at::GradMode::is_enabled() && input->requires_grad(); }

// Calls `body(context, begin, end)` for ranges that cover [0, count), at least `grain` long, over libtorch's threads.
char* masked_loss_parallel(int64_t count, int64_t grain, void (*body)(void*, int64_t, int64_t), void* context) {
  try {
    at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) { body(context, begin, end); });
    return nullptr;
  } catch (const std::exception& error) {
    return message(error);
  }
}
}
