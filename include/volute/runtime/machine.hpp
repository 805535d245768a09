// Execution: the loop over a program's launches, on weights that it reads and a workspace that it writes. Knows nothing of xtensor.
#pragma once

#include <volute/runtime/weights.hpp>
#include <volute/runtime/workspace.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace volute {
namespace runtime {
inline namespace VOLUTE_ISA {

/// A program on a set of weights.
template <class Outputs, class T>
class machine {
 public:
  using info = facts<Outputs, T>;
  using plan = typename info::plan;
  using weights_type = weight_set<info, T>;
  static constexpr const graph::view& graph = info::graph;
  static constexpr int input_count = graph.size.inputs, parameter_count = graph.size.parameters, output_count = graph.size.outputs;

  explicit machine(weights_type w) : weights_(std::move(w)) {
    const auto wanted = info::derived();
    for (int k = 0; k < info::derived_count; ++k) {
      derived_[k] = &weights_.store().find(wanted.value[k].key, wanted.value[k].size);
      derived_data_[k] = derived_[k]->data;
    }
  }
  machine(machine&& m) noexcept : weights_(std::move(m.weights_)) { take(m); }
  machine& operator=(machine&& m) noexcept {
    weights_ = std::move(m.weights_);
    take(m);
    return *this;
  }

  weights_type& weights() noexcept { return weights_; }
  const weights_type& weights() const noexcept { return weights_; }

  static T* data(const workspace& w) noexcept { return reinterpret_cast<T*>(w.data_); }
  static T* input(const workspace& w, int i) noexcept { return data(w) + info::layout.inputs[i]; }
  static T* output(const workspace& w, int i) noexcept { return data(w) + info::layout.outputs[i]; }

  /// Whether this program was the last one there.
  static bool owns(const workspace& w) noexcept { return w.tenant_ == &tag; }
  /// Throws shape_error if input i lies in a workspace that another program has left.
  static void refuse_inside(const workspace& w, int i, const T* from) {
    if (!owns(w)) w.refuse_inside(from, graph.inputs[i].shape.size() * static_cast<std::int64_t>(sizeof(T)));
  }
  /// Lazy results that lie there take their copies.
  static void release_results(workspace& w) noexcept { w.release_result(); }
  /// Makes a workspace this program's: there is room, and the gaps between its results are zeros (a norm over gradient_values is the norm
  /// of the gradients). Throws shape_error.
  static void enter(workspace& w) {
    if (w.tenant_ == &tag) return;
    w.require(info::workspace_bytes, info::worker_bytes);
    for (int i = 0; i < output_count; ++i) {
      const std::int64_t end = info::layout.outputs[i] + graph.shape(graph.outputs[i]).size();
      std::memset(static_cast<void*>(data(w) + end), 0, static_cast<std::size_t>(info::layout.outputs[i + 1] - end) * sizeof(T));
    }
    w.tenant_ = &tag;
  }

  /// Runs the program in a workspace that was entered. `inputs` and `outputs` point to dense tensors; an input that overlaps a result is
  /// read as if it had been copied, and is if the plan needs it; results overlap neither each other nor parameters. The first `foreign`
  /// results lie in the caller's memory, the others in the workspace. Calls observe(i) before launch i (see runtime/profile.hpp). Allocates
  /// nothing, throws nothing but what observe throws.
  template <class Observer>
  void run(workspace& w, const T* const* inputs, T* const* outputs, int foreign, Observer&& observe) const {
    const occupation here(w.busy_);
    w.release_result();
    const T* in[input_count + 1]{};
    for (int i = 0; i < input_count; ++i) in[i] = apart(w, i, inputs[i], outputs, foreign);
    launches(w, in, outputs, 0, plan::size.launches, observe);
    ++w.random_.run;
    change_states(w);
  }

  /// A run in parts, for those who do something between two launches (distributed/lockstep.hpp): launches [from, to) on inputs that lie in
  /// the workspace, with results there; states stay until change_states, so that runs in several workspaces can take turns.
  template <class Observer>
  void run_part(workspace& w, int from, int to, Observer&& observe) const {
    const occupation here(w.busy_);
    w.release_result();
    const T* in[input_count + 1]{};
    T* out[output_count + 1]{};
    for (int i = 0; i < input_count; ++i) in[i] = input(w, i);
    for (int i = 0; i < output_count; ++i) out[i] = output(w, i);
    launches(w, in, out, from, to, observe);
  }
  /// A run on zeros that nobody sees: states and random numbers stay as they are. What the first run finds is then as for later ones:
  /// packed filters, pages of memory and code, workers awake.
  void warm_up(workspace& w) const {
    for (int i = 0; i < input_count; ++i)
      std::memset(static_cast<void*>(input(w, i)), 0, static_cast<std::size_t>(graph.inputs[i].shape.size()) * sizeof(T));
    run_part(w, 0, plan::size.launches, [](int) {});
  }
  /// Where a launch of run_part reads or writes.
  T* at(const workspace& w, const graph::place& p) const noexcept {
    switch (p.where) {
      case graph::space::parameters:
        return weights_.store().parameters() + p.offset;
      case graph::space::input:
        return input(w, p.slot) + p.offset;
      case graph::space::output:
        return output(w, p.slot) + p.offset;
      case graph::space::derived:
        return derived_data_[p.slot] + p.offset;
      default:
        return data(w) + p.offset;
    }
  }
  /// States become what the run in this workspace made of them.
  void change_states(const workspace& w) const noexcept {
    if constexpr (info::changes_states) {
      for (int i = info::learned; i < parameter_count; ++i)
        if (const int from = graph.parameters[i].update; from >= 0)
          std::memcpy(static_cast<void*>(weights_.store().parameters() + graph.parameters[i].offset), output(w, from),
                      static_cast<std::size_t>(graph.parameters[i].shape.size()) * sizeof(T));
      weights_.store().changed();
    }
  }

 private:
  static constexpr char tag = 0;  // its address stands for this program

  weights_type weights_;
  typename weight_store<T>::derived* derived_[info::derived_count + 1]{};
  T* derived_data_[info::derived_count + 1]{};
  mutable std::atomic<std::uint64_t> prepared_{0};  // the version of the weights that all derived values are known to be of

  /// Launches [first, last); what the parameters alone determine belongs to the first one.
  template <class Observer>
  void launches(workspace& w, const T* const* in, T* const* outputs, int first, int last, Observer& observe) const {
    // A cache line apart: 16 elements are 64 bytes of float.
    constexpr std::int64_t each = info::worker_bytes / static_cast<std::int64_t>(sizeof(T));
    const kernels::team<T> workers{w.workers_, reinterpret_cast<T*>(w.scratch_), each};
    T* const parameters = weights_.store().parameters();
    const auto at = [&](const graph::place& p) {
      switch (p.where) {
        case graph::space::parameters:
          return parameters + p.offset;
        case graph::space::input:
          return const_cast<T*>(in[p.slot]) + p.offset;
        case graph::space::output:
          return (p.slot < info::results ? outputs[p.slot] : output(w, p.slot)) + p.offset;
        case graph::space::derived:
          return derived_data_[p.slot] + p.offset;
        default:
          return data(w) + p.offset;
      }
    };
    const auto launch = [&](int i) {
      observe(i);
      const graph::launch& c = plan::tables.launches[i];
      operands<T> o{{}, at(c.out), at(c.scratch), workers, w.random_};
      for (int k = 0; k < c.count; ++k) o.in[k] = at(c.in[k]);
      kernel_table_of<T, plan>.function[c.kernel](c, o);
    };
    if constexpr (plan::size.prologue > 0)
      if (first == 0 && prepared_.load(std::memory_order_acquire) != weights_.store().version()) prepare(launch);
    for (int i = first < plan::size.prologue ? plan::size.prologue : first; i < last; ++i) launch(i);
  }

  void take(const machine& m) noexcept {
    std::copy_n(m.derived_, info::derived_count, derived_);
    std::copy_n(m.derived_data_, info::derived_count, derived_data_);
    prepared_.store(m.prepared_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }

  /// Makes what the parameters alone determine, as far as no other program on these weights has: one thread does it, others wait.
  template <class Launch>
  void prepare(Launch launch) const {
    weight_store<T>& store = weights_.store();
    const detail::lock lock(store.mutex);
    const std::uint64_t version = store.version();
    bool stale[info::derived_count + 1];
    for (int k = 0; k < info::derived_count; ++k) stale[k] = derived_[k]->version != version;
    for (int i = 0; i < plan::size.prologue; ++i)
      if (stale[plan::tables.launches[i].out.slot]) launch(i);
    for (int k = 0; k < info::derived_count; ++k) derived_[k]->version = version;
    prepared_.store(version, std::memory_order_release);
  }

  /// Where input i is read: copied to the workspace if a result that is begun before the last of it is read lies over it.
  static const T* apart(workspace& w, int i, const T* from, T* const* outputs, int foreign) noexcept {
    const std::int64_t size = graph.inputs[i].shape.size();
    const bool inside = from + size > output(w, 0) && from < output(w, output_count);
    for (int k = 0; k < (inside ? info::results : foreign); ++k) {
      const bool overlaps = from < outputs[k] + graph.shape(graph.outputs[k]).size() && outputs[k] < from + size;
      if (!overlaps) continue;
      const auto& order = info::overlap();
      const int first = order.first_write[k], last = order.last_read[i];
      if (first > last || (first == last && order.in_place[i] && from == outputs[k])) continue;
      return static_cast<const T*>(std::memcpy(static_cast<void*>(input(w, i)), from, static_cast<std::size_t>(size) * sizeof(T)));
    }
    return from;
  }

  /// A workspace while it is in use. Plain loads and stores: an exclusive one would cost the smallest programs a tenth.
  class occupation {
   public:
    explicit occupation(std::atomic<bool>& busy) noexcept : busy_(busy) {
      if (busy_.load(std::memory_order_relaxed)) {
        std::fputs("volute: two runs in one workspace at once: give each thread a workspace of its own\n", stderr);
        std::abort();
      }
      busy_.store(true, std::memory_order_relaxed);
    }
    ~occupation() { busy_.store(false, std::memory_order_relaxed); }
    occupation(const occupation&) = delete;
    occupation& operator=(const occupation&) = delete;

   private:
    std::atomic<bool>& busy_;
  };
};

}  // namespace VOLUTE_ISA
}  // namespace runtime
}  // namespace volute
