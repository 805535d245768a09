// A program: the planned graph of some outputs, with its memory. Construction makes the only allocation there ever is; use(executor) adds
// the scratch memory of further workers.
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/runtime/bind.hpp>
#include <volute/runtime/files.hpp>
#include <volute/runtime/gradient_layout.hpp>
#include <volute/runtime/initialize.hpp>
#include <volute/runtime/kernel_table.hpp>
#include <volute/runtime/nothing.hpp>

#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <tuple>

namespace volute {

/// A parameter of a program at run time.
template <class T>
struct parameter_entry {
  std::string_view path;  // as in PyTorch's state_dict: "3.conv1.weight"
  extents shape;
  T* data;
  bool learned = true;  // else a state, such as running statistics
};

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

/// Why a program is refused, or void. Its parts must fit together, and its inputs be bound to something. A program keeps its parameters;
/// for a single evaluation they must be bound too: they would silently be zero.
enum class unbound { allowed, parameters, none };
template <class... E>
constexpr int gradient_maps(output_list<E...>) {
  return (0 + ... + static_cast<int>(lowering::makes_parameter_gradients<E>));
}
template <class Outputs, unbound Allowed, class... Node>
constexpr auto program_failure() {
  constexpr auto& g = lowering::compiled<Outputs>::graph;
  constexpr line missing = [] {
    const auto bound = []([[maybe_unused]] std::string_view name) { return ((Node::name.view() == name) || ...); };
    for (int i = 0; Allowed != unbound::allowed && i < g.size.inputs; ++i)
      if (!bound(g.inputs[i].name.view())) return line("a value for input ") << g.inputs[i].name.view();
    for (int i = 0; Allowed == unbound::none && i < g.size.parameters; ++i)
      if (!bound(g.parameters[i].path.view())) return line("a value for parameter ") << g.parameters[i].path.view();
    return line();
  }();
  if constexpr (gradient_maps(Outputs{}) > 0 && Allowed == unbound::none)
    return failed<text(""), text("a program for its parameters"), text("got evaluate")>{};
  else if constexpr (gradient_maps(Outputs{}) > 1)
    return failed<text(""), text("gradient(loss, parameters) once"), text("got several in outputs(...)")>{};
  else if constexpr (!g.wanted.empty())
    return failed<to_text<g.where>(), to_text<g.wanted>(), to_text<g.got>()>{};
  else if constexpr (!missing.empty())
    return failed<text(""), to_text<missing>(), text("got none")>{};
}
template <class Outputs, unbound Allowed, class... Node>
using program_failure_t = decltype(program_failure<Outputs, Allowed, Node...>());

/// A parameter's path that the program does not have.
template <text Path>
struct unknown_path {
  static constexpr line wanted = line("a parameter named ") << Path.view();
  using failure = failed<text(""), to_text<wanted>(), text("got no such path")>;
};

}  // namespace VOLUTE_ISA
}  // namespace runtime

inline namespace VOLUTE_ISA {

/// Several results and the program that computes them: program<outputs(loss, gradient(loss, parameters))> step; auto [value, gradients] =
/// step(x = batch, t = labels). T is the type of every element.
template <auto Outputs, class T = float>
class program;

template <class... E, output_list<E...> Outputs, class T>
requires(!is_failed<E> && ...) class program<Outputs, T> : public runtime::file_members<program<Outputs, T>> {
  using list = output_list<E...>;
  static constexpr int gradient_maps = runtime::gradient_maps(list{});
  using failure = runtime::program_failure_t<list, runtime::unbound::allowed>;
  template <class... Node>
  using unbound_failure =
      std::conditional_t<std::is_void_v<failure>, runtime::program_failure_t<list, runtime::unbound::parameters, Node...>, void>;

 public:
  using value_type = T;
  using facts = runtime::facts<list, T>;
  static constexpr bool is_refused = !std::is_void_v<failure>;
  /// Which parameters there are gradients by, and where those lie.
  static constexpr const auto& gradient_layout = runtime::gradient_layout<list, facts>::table;

  program() {
    if constexpr (!is_refused)
      initialize(0);
    else
      static_assert(detail::accepted<detail::refused_for<failure>>::value);
  }

  /// Initial values of all parameters, from a seed; the same on every machine.
  void initialize(std::uint64_t seed) {
    const auto& g = facts::graph;
    for (int i = 0; i < g.size.parameters; ++i) {
      const auto& p = g.parameters[i];
      runtime::initialize(machine_.parameter(i), p.shape.size(), static_cast<initializer::kind_t>(p.init_kind), p.init_scale, seed,
                          p.path.view());
    }
    machine_.parameters_changed();
  }

  /// Random numbers begin anew, from this seed.
  void seed(std::uint64_t s) noexcept { machine_.random = {s, 0}; }
  /// What the random numbers of the next run depend on: to be kept with a training that is to be resumed.
  random_state random() const noexcept { return machine_.random; }
  void set_random(random_state s) noexcept { machine_.random = s; }

  /// All learned parameters as one block, in the order of parameter_table, each beginning on a cache line (the gaps hold zeros). Writing
  /// counts as a change.
  std::span<T> parameter_values() noexcept {
    machine_.parameters_changed();
    return {machine_.parameter_block(), static_cast<std::size_t>(machine_.parameter_elements())};
  }
  /// The gradients of the last run, laid out as parameter_values (zeros in the gaps); outputs(...) must hold gradient(loss, parameters).
  /// Those by parameters_under<...> are laid out as if there were no other parameters.
  std::span<const T> gradient_values() noexcept requires(gradient_maps > 0) {
    return {machine_.output(first_gradient), static_cast<std::size_t>(gradient_layout.elements)};
  }
  /// All states as one block, laid out in the same way.
  std::span<T> state_values() noexcept {
    machine_.parameters_changed();
    return {machine_.state_block(), static_cast<std::size_t>(machine_.state_elements())};
  }
  /// Path, shape and memory of each parameter; states come last.
  auto parameter_table() noexcept {
    machine_.parameters_changed();
    return table<facts::graph.size.parameters>([](int i) { return i; }, [this](int i) { return machine_.parameter(i); });
  }
  /// The same of the gradients by learned parameters.
  auto gradient_table() noexcept requires(gradient_maps > 0) {
    return table<gradient_layout.entry_count>([](int i) { return gradient_layout.entries[i].parameter; },
                                              [this](int i) { return machine_.output(first_gradient + i); });
  }
  /// One parameter by its path, as a tensor: parameter<"0.weight">().
  template <text Path>
  auto parameter() {
    machine_.parameters_changed();
    return view_of<Path>([this](int i) { return machine_.parameter(i); });
  }
  template <text Path>
  auto gradient() requires(gradient_maps > 0) {
    constexpr int place = gradient_place(runtime::find_parameter<Path>(facts::graph));
    if constexpr (place < 0) {
      static_assert(detail::accepted<detail::refused_for<typename runtime::unknown_path<Path>::failure>>::value);
      return runtime::nothing{};
    } else {
      return view_of<Path>([this](int) { return machine_.output(first_gradient + place); });
    }
  }
  /// Later runs share their work with the workers of `e`, which must outlive this program or its next use(). No run creates a thread, and
  /// results have the same bits for any executor. This call allocates scratch memory for each worker beyond the first. Until it is made,
  /// the calling thread works alone.
  void use(executor& e) { machine_.use(e); }

  /// To be called after parameters were written through a view that was taken earlier.
  void parameters_changed() noexcept { machine_.parameters_changed(); }

  /// Runs the program on bound inputs (and, if wanted, parameters). The results are views of the program's own memory, good until the next
  /// run; a scalar comes as a number, gradient(loss, parameters) as a table of (path, shape, data).
  template <class... Node, class... V>
  auto operator()(const binding<Node, V>&... b) {
    if constexpr (std::is_void_v<failure> && std::is_void_v<unbound_failure<Node...>>) {
      run_into(nullptr, b...);
      return results(std::index_sequence_for<E...>{});
    } else {
      if constexpr (std::is_void_v<failure>) static_assert(detail::accepted<detail::refused_for<unbound_failure<Node...>>>::value);
      return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
    }
  }

  /// The same, with the first result written to `destination` (dense) if it is not null.
  template <class... Node, class... V>
  void run_into(T* destination, const binding<Node, V>&... b) {
    run_observed([](int) {}, destination, b...);
  }
  /// The same with a call of observe(i) before launch i; see runtime/profile.hpp.
  template <class Observer, class... Node, class... V>
  void run_observed(Observer&& observe, T* destination, const binding<Node, V>&... b) {
    if constexpr (!std::is_void_v<unbound_failure<Node...>>)
      static_assert(detail::accepted<detail::refused_for<unbound_failure<Node...>>>::value);
    const T* in[facts::graph.size.inputs + 1]{};
    (take(b, in), ...);
    T* out[facts::graph.size.outputs + 1];
    for (int i = 0; i < facts::graph.size.outputs; ++i) out[i] = machine_.output(i);  // new values of states are among them
    if (destination != nullptr) out[0] = destination;
    machine_.run(in, out, static_cast<Observer&&>(observe));
  }

  /// Pointers in, pointers out: the whole program for code that uses no xtensor. Inputs in the order of facts::graph.inputs.
  void run(const T* const* inputs, T* const* outputs) noexcept { machine_.run(inputs, outputs); }
  /// The program's own memory for a result.
  T* output_data(int i) noexcept { return machine_.output(i); }
  T* input_data(int i) noexcept { return machine_.input(i); }

 private:
  static constexpr int first_gradient = static_cast<int>(sizeof...(E)) - gradient_maps;
  runtime::machine<list, T> machine_;
  static constexpr int gradient_place(int parameter) {
    for (int k = 0; k < gradient_layout.entry_count; ++k)
      if (gradient_layout.entries[k].parameter == parameter) return k;
    return -1;
  }

  template <int N, class Which, class At>
  auto table(Which which, At at) noexcept {
    std::array<parameter_entry<T>, static_cast<std::size_t>(N)> t{};
    for (int i = 0; i < N; ++i) {
      const auto& p = facts::graph.parameters[which(i)];
      t[static_cast<std::size_t>(i)] = {p.path.view(), p.shape, at(i), p.learned};
    }
    return t;
  }

  template <text Path, class At>
  auto view_of(At at) {
    constexpr int i = runtime::find_parameter<Path>(facts::graph);
    if constexpr (i < 0) {
      static_assert(detail::accepted<detail::refused_for<typename runtime::unknown_path<Path>::failure>>::value);
      return runtime::nothing{};
    } else {
      return tensor_view<facts::graph.parameters[i].shape>(at(i));
    }
  }

  template <text Name, extents S, class V>
  void take(const binding<input_node<Name, S>, V>& b, const T** in) {
    constexpr int slot = runtime::find_input<Name>(facts::graph);
    if constexpr (slot >= 0) in[slot] = runtime::accept<T>(b.value, S, "input", Name.view(), machine_.input(slot));
  }
  template <text Name, extents S, initializer I, class V>
  void take(const binding<parameter_node<Name, S, I>, V>& b, const T**) {
    take_parameter<Name, S>(b.value);
  }
  template <text Name, extents S, initializer I, class V>
  void take(const binding<state_node<Name, S, I>, V>& b, const T**) {
    take_parameter<Name, S>(b.value);
  }
  template <text Name, extents S, class V>
  void take_parameter(const V& v) {
    constexpr int slot = runtime::find_parameter<Name>(facts::graph);
    if constexpr (slot >= 0) {
      T* const to = machine_.parameter(slot);
      const T* const from = runtime::accept<T>(v, S, "parameter", Name.view(), to);
      if (from != to) std::memcpy(static_cast<void*>(to), from, static_cast<std::size_t>(S.size()) * sizeof(T));
      machine_.parameters_changed();
    }
  }

  template <std::size_t... I>
  auto results(std::index_sequence<I...>) {
    int next = 0;
    return std::tuple{result<E>(next)...};  // braces: evaluated from left to right
  }
  template <class Out>
  auto result(int& next) {
    if constexpr (lowering::makes_parameter_gradients<Out>) {
      return gradient_table();
    } else {
      T* const data = machine_.output(next++);
      if constexpr (Out::shape().rank == 0)
        return T(*data);
      else
        return tensor_view<Out::shape()>(data);
    }
  }
};

/// The program of a mistake: reports it unless that has been done, and absorbs the rest.
template <class... E, output_list<E...> Outputs, class T>
requires(is_failed<E> || ...) class program<Outputs, T> : public runtime::file_members<program<Outputs, T>> {
  using failure = typename detail::first_failed<E...>::type;

 public:
  using value_type = T;
  using facts = runtime::facts<output_list<>, T>;
  static constexpr bool is_refused = true;

  program() {
    if constexpr (!std::is_same_v<failure, reported>) static_assert(detail::accepted<detail::refused_for<failure>>::value);
  }
  void initialize(std::uint64_t) {}
  std::span<T> parameter_values() noexcept { return {}; }
  std::span<const T> gradient_values() noexcept { return {}; }
  std::span<T> state_values() noexcept { return {}; }
  void seed(std::uint64_t) noexcept {}
  random_state random() const noexcept { return {}; }
  void set_random(random_state) noexcept {}
  std::span<parameter_entry<T>> parameter_table() noexcept { return {}; }
  std::span<parameter_entry<T>> gradient_table() noexcept { return {}; }
  template <text Path>
  runtime::nothing parameter() {
    return {};
  }
  template <text Path>
  runtime::nothing gradient() {
    return {};
  }
  void parameters_changed() noexcept {}
  void use(executor&) noexcept {}
  template <class... Node, class... V>
  auto operator()(const binding<Node, V>&...) {
    return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute
