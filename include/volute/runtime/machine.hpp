// What a program is at run time, without any knowledge of xtensor: its facts, its memory, and the loop over its launches.
#pragma once

#include <volute/runtime/kernel_table.hpp>

#include <cstring>
#include <memory>
#include <new>

namespace volute {
namespace runtime {
inline namespace VOLUTE_ISA {

/// The plan of a program, and what can be asked of it while compiling.
template <class Outputs, class T>
struct facts {
  using plan = lowering::planned<Outputs, T>;
  static constexpr graph::view graph = graph::view_of(plan::compiled_graph::graph);

  /// Numbers of a program as the user counts them: learned ones, and those of states.
  static constexpr std::int64_t parameters = [] {
    std::int64_t n = 0;
    for (int i = 0; i < graph.size.parameters; ++i) n += graph.parameters[i].learned ? graph.parameters[i].shape.size() : 0;
    return n;
  }();
  static constexpr std::int64_t states = [] {
    std::int64_t n = -parameters;
    for (int i = 0; i < graph.size.parameters; ++i) n += graph.parameters[i].shape.size();
    return n;
  }();
  /// How many learned tensors; those of states follow them in every table.
  static constexpr int learned = [] {
    int n = 0;
    while (n < graph.size.parameters && graph.parameters[n].learned) ++n;
    return n;
  }();
  static constexpr std::int64_t arena_bytes = plan::arena_elements * static_cast<std::int64_t>(sizeof(T));
  /// What is kept between runs: packed weights and other functions of the parameters; part of arena_bytes.
  static constexpr std::int64_t prologue_bytes = plan::prologue_elements * static_cast<std::int64_t>(sizeof(T));
  /// What use(executor) allocates for each worker beyond the first: the most that any kernel asks for.
  static constexpr std::int64_t worker_bytes = worker_elements<T, plan>() * static_cast<std::int64_t>(sizeof(T));
  /// The lower bound of arena_bytes: the most that is alive at once in this order.
  static constexpr std::int64_t live_bytes = plan::live_elements * static_cast<std::int64_t>(sizeof(T));
  /// Elements of the largest tensor that is stored.
  static constexpr std::int64_t largest_tensor = [] {
    std::int64_t n = 0;
    for (int i = 0; i < plan::value_count; ++i)
      if (plan::tables.values[i].size > n) n = plan::tables.values[i].size;
    return n;
  }();
  /// Nominal floating-point operations of one run (taps on padding count; the functions of parameters alone do not).
  static constexpr double flops = [] {
    double n = 0;
    const int count = graph.size.nodes;
    buffer<bool> live(count, false);
    for (int i = 0; i < graph.size.outputs; ++i) live[graph.outputs[i]] = true;
    for (int i = count - 1; i >= 0; --i) {
      if (!live.data[i]) continue;
      for (int k = 0; k < graph.nodes[i].count; ++k) live.data[graph.operand(i, k)] = true;
      n += graph::flops_of(graph, i);
    }
    return n;
  }();
};

template <text Name>
constexpr int find_input(const graph::view& g) {
  for (int i = 0; i < g.size.inputs; ++i)
    if (g.inputs[i].name.view() == Name.view()) return i;
  return -1;
}
template <text Path>
constexpr int find_parameter(const graph::view& g) {
  for (int i = 0; i < g.size.parameters; ++i)
    if (g.parameters[i].path.view() == Path.view()) return i;
  return -1;
}

/// Memory and execution, without any knowledge of xtensor.
template <class Outputs, class T>
class machine {
 public:
  using info = facts<Outputs, T>;
  using plan = typename info::plan;
  static constexpr const graph::view& graph = info::graph;
  static constexpr int input_count = graph.size.inputs, parameter_count = graph.size.parameters, output_count = graph.size.outputs;

  machine() : block_(static_cast<T*>(::operator new (static_cast<std::size_t>(layout_.total) * sizeof(T), std::align_val_t{64}))) {
    std::memset(static_cast<void*>(block_ + layout_.parameters), 0,
                static_cast<std::size_t>(layout_.inputs[0] - layout_.parameters) * sizeof(T));
    for (int i = 0; i < output_count; ++i) {  // the gaps between results as well: a norm over gradient_values is the norm of the gradients
      const std::int64_t end = layout_.outputs[i] + graph.shape(graph.outputs[i]).size();
      std::memset(static_cast<void*>(block_ + end), 0, static_cast<std::size_t>(layout_.outputs[i + 1] - end) * sizeof(T));
    }
  }
  ~machine() { ::operator delete (block_, std::align_val_t{64}); }
  machine(const machine&) = delete;
  machine& operator=(const machine&) = delete;

  T* parameter(int i) noexcept { return block_ + layout_.parameters + graph.parameters[i].offset; }
  T* parameter_block() noexcept { return block_ + layout_.parameters; }
  static constexpr std::int64_t parameter_elements() { return layout_.states; }
  T* state_block() noexcept { return block_ + layout_.parameters + layout_.states; }
  static constexpr std::int64_t state_elements() { return layout_.inputs[0] - layout_.parameters - layout_.states; }
  T* input(int i) noexcept { return block_ + layout_.inputs[i]; }
  T* output(int i) noexcept { return block_ + layout_.outputs[i]; }

  /// Later runs share their work with these workers. Allocates the scratch memory of all but the first.
  void use(executor& e) {
    const int helpers = e.threads() - 1;
    if (helpers == 0) {
      workers_ = {};
      scratch_.reset();
      return;
    }
    // One element more: a kernel without scratch has an address too. A cache line apart: 16 elements are 64 bytes of float.
    constexpr std::int64_t each = info::worker_bytes / static_cast<std::int64_t>(sizeof(T));
    const std::size_t bytes = static_cast<std::size_t>(each * helpers + 16) * sizeof(T);
    scratch_.reset(static_cast<T*>(::operator new (bytes, std::align_val_t{64})));
    workers_ = {&e, scratch_.get(), each};
  }

  /// What the parameters alone determine is worked out again before the next run.
  void parameters_changed() noexcept { stale_ = true; }

  /// What the next run's random numbers depend on.
  random_state random{};

  /// Runs the program. `inputs` and `outputs` point to dense tensors. Allocates nothing, throws nothing.
  void run(const T* const* inputs, T* const* outputs) noexcept {
    run(inputs, outputs, [](int) {});
  }
  /// The same with a call of observe(i) before launch i (see runtime/profile.hpp).
  template <class Observer>
  void run(const T* const* inputs, T* const* outputs, Observer&& observe) {
    const auto at = [&](const graph::place& p) {
      switch (p.where) {
        case graph::space::parameters:
          return block_ + layout_.parameters + p.offset;
        case graph::space::input:
          return const_cast<T*>(inputs[p.slot]) + p.offset;
        case graph::space::output:
          return (p.slot < user_outputs ? outputs[p.slot] : output(p.slot)) + p.offset;
        default:
          return block_ + p.offset;
      }
    };
    for (int i = stale_ ? 0 : plan::size.prologue; i < plan::size.launches; ++i) {
      observe(i);
      const graph::launch& c = plan::tables.launches[i];
      operands<T> o{{}, at(c.out), at(c.scratch), workers_, random};
      for (int k = 0; k < c.count; ++k) o.in[k] = at(c.in[k]);
      kernel_table_of<T, plan>.function[c.kernel](c, o);
    }
    stale_ = false;
    ++random.run;
    for (int i = info::learned; i < parameter_count && user_outputs < output_count; ++i)
      if (const int from = graph.parameters[i].update; from >= 0)
        std::memcpy(static_cast<void*>(parameter(i)), output(from), static_cast<std::size_t>(graph.parameters[i].shape.size()) * sizeof(T));
  }

 private:
  static constexpr int user_outputs = output_count - graph.size.updates;  // the others are new values of states
  struct layout {
    std::int64_t parameters = 0;
    std::int64_t states = 0;  // from parameters
    std::int64_t inputs[static_cast<std::size_t>(input_count) + 1]{};
    std::int64_t outputs[static_cast<std::size_t>(output_count) + 1]{};
    std::int64_t total = 0;
  };
  // arena | parameters | staging of inputs | staging of outputs. Staging that is never needed is never touched, so it costs no physical
  // memory.
  static constexpr layout layout_ = [] {
    const auto rounded = [](std::int64_t n) { return (n + 15) / 16 * 16; };
    layout l;
    std::int64_t at = rounded(plan::arena_elements);
    l.parameters = at;
    for (int i = 0; i < parameter_count; ++i) {
      if (i == info::learned) l.states = at - l.parameters;
      at += rounded(graph.parameters[i].shape.size());
    }
    if (info::learned == parameter_count) l.states = at - l.parameters;
    for (int i = 0; i < input_count; ++i) l.inputs[i] = at, at += rounded(graph.inputs[i].shape.size());
    l.inputs[input_count] = at;
    for (int i = 0; i < output_count; ++i) l.outputs[i] = at, at += rounded(graph.shape(graph.outputs[i]).size());
    l.outputs[output_count] = at;
    l.total = at + 16;
    return l;
  }();

  struct aligned_delete {
    void operator()(T* p) const noexcept { ::operator delete (p, std::align_val_t{64}); }
  };

  T* block_;
  std::unique_ptr<T, aligned_delete> scratch_;
  kernels::team<T> workers_;
  bool stale_ = true;
};

}  // namespace VOLUTE_ISA
}  // namespace runtime
}  // namespace volute
