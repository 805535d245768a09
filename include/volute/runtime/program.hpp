// A program: the planned graph of some outputs, with its memory. Construction makes the only allocation there ever is; use(executor) adds
// the scratch memory of further workers.
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/runtime/bind.hpp>
#include <volute/runtime/files.hpp>
#include <volute/runtime/gradient_layout.hpp>
#include <volute/runtime/initialize.hpp>
#include <volute/runtime/machine.hpp>
#include <volute/runtime/nothing.hpp>

#include <cstring>
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
