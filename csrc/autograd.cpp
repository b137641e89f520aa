// One autograd node that hands a gradient computed in the forward pass to the backward pass, and libtorch's thread pool.
// It knows no loss. No C++ exception leaves this file.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/isfinite.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/basic_ops.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

namespace {

using torch::autograd::edge_list;
using torch::autograd::variable_list;

constexpr const char* kTwice =
    "the fused path of masked-loss is differentiable once; for a second derivative use Path::Composed";

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
  Precomputed(at::Tensor gradient, edge_list next)
      : Node(std::move(next)), gradient_(std::move(gradient)) {}

  std::string name() const override { return "MaskedLossBackward"; }

  void release_variables() override { gradient_.reset(); }

  variable_list apply(variable_list&& upstreams) override {
    const at::Tensor& upstream = upstreams[0];
    if (!upstream.defined()) return {at::Tensor()};
    TORCH_CHECK(gradient_.defined(), torch::autograd::ERR_BACKWARD_TWICE);
    const bool keep = torch::autograd::get_current_graph_task_keep_graph();
    const bool record = at::GradMode::is_enabled();
    at::Tensor result;
    {
      at::NoGradGuard no_grad;
      result = scaled(upstream, keep);
    }
    if (record) {
      torch::autograd::set_history(result, make_node<torch::autograd::Error>(kTwice, edge_list{next_edge(0)}));
    }
    return {result};
  }

 private:
  // The gradient times the upstream one. Where it is exactly zero, as at every missing entry, it stays so, whatever
  // comes from upstream.
  at::Tensor scaled(const at::Tensor& upstream, bool keep) {
    const bool scalar = upstream.numel() == 1;
    if (scalar) {
      const double factor = upstream.item<double>();
      if (factor == 1.0) return keep ? gradient_.clone() : gradient_;
      if (std::isfinite(factor)) return keep ? gradient_.mul(factor) : gradient_.mul_(factor);
    }
    return gradient_.mul(upstream).to(gradient_.scalar_type()).masked_fill_(gradient_.eq(0), 0);
  }

  at::Tensor gradient_;
};

// Large buffers that this thread keeps: a fresh one costs more in page faults than the kernel in arithmetic. One whose
// only owner is this list is free to be lent again.
constexpr size_t kKept = 2;
constexpr size_t kLarge = size_t{1} << 20;
thread_local std::vector<at::Storage> kept;

at::Tensor buffer_like(const at::Tensor& like) {
  const size_t bytes = like.nbytes();
  if (bytes < kLarge) return at::empty_like(like);
  for (at::Storage& storage : kept) {
    if (storage.use_count() == 1 && storage.nbytes() == bytes) {
      return at::empty({0}, like.options()).set_(storage, 0, like.sizes(), like.strides());
    }
  }
  at::Tensor fresh = at::empty_like(like);
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

// Makes `value` depend on `input` with the given gradient. Null, or an error's text for the caller to free.
char* masked_loss_attach(at::Tensor* value, const at::Tensor* input, const at::Tensor* gradient) {
  try {
    torch::autograd::set_history(
        *value, make_node<Precomputed>(*gradient, torch::autograd::collect_next_edges(*input)));
    return nullptr;
  } catch (const std::exception& error) {
    return message(error);
  }
}

// An uninitialised contiguous tensor of `like`'s size and kind, `like` being contiguous. Null, with an error's text for
// the caller to free, where memory ran out.
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
void masked_loss_release_buffers() { kept.clear(); }

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
