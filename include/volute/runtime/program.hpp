// A program: the planned graph of some outputs, on a set of weights, with a workspace of its own. Construction makes the only allocations
// there ever are; use(executor) adds the scratch memory of further workers.
#pragma once

#include <volute/runtime/bind.hpp>
#include <volute/runtime/gradient_layout.hpp>
#include <volute/runtime/machine.hpp>
#include <volute/runtime/program_failure.hpp>
#include <volute/runtime/result_members.hpp>

#include <algorithm>
#include <cassert>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

namespace volute {

inline namespace VOLUTE_ISA {

/// Several results and the program that computes them: program<outputs(loss, gradient(loss, parameters))> step; auto [value, gradients] =
/// step(x = batch, t = labels). T is the type of every element.
///
/// A program can be moved, which leaves behind one that can only be assigned to or destroyed; copying it copies its weights, the results of
/// its last run and its random numbers. weights() is a handle on its weights, from which other programs are made that use the same ones.
template <auto Outputs, class T = float>
class program;

template <class... E, output_list<E...> Outputs, class T>
requires(!is_failed<E> && ...) class program<Outputs, T> : public runtime::parameter_members<program<Outputs, T>>,
                                                           public runtime::file_members<program<Outputs, T>>,
                                                           public runtime::result_members<program<Outputs, T>, E...> {
  using list = output_list<E...>;

 public:
  using facts = runtime::facts<list, T>;

 private:
  static constexpr int gradient_maps = runtime::gradient_maps(list{});
  using parts_failure = runtime::program_failure_t<list, runtime::unbound::allowed>;
  using failure =
      std::conditional_t<std::is_void_v<parts_failure>, decltype(runtime::index_failure<list, T>()), parts_failure>;
  template <class... Node>
  using unbound_failure =
      std::conditional_t<std::is_void_v<failure>, runtime::program_failure_t<list, runtime::unbound::parameters, Node...>, void>;
  template <class... Node>
  using run_failure = std::conditional_t<std::is_void_v<failure>, unbound_failure<Node...>, failure>;
  template <class... Node>
  using const_run_failure =
      std::conditional_t<std::is_void_v<run_failure<Node...>>, decltype(runtime::const_run_failure<facts::changes_states, Node...>()),
                         run_failure<Node...>>;
  using machine = runtime::machine<list, T>;

 public:
  using value_type = T;
  using weights_type = runtime::weight_set<facts, T>;
  static constexpr bool is_refused = !std::is_void_v<failure>;
  /// Which parameters there are gradients by, and where those lie.
  static constexpr const auto& gradient_layout = runtime::gradient_layout<list, facts>::table;

  /// With weights of its own, the layers' initial values for seed 0.
  program() : program(checked{}, weights_type(), workspace::of<program>()) {
    if constexpr (is_refused) static_assert(detail::accepted<detail::refused_for<failure>>::value);
  }
  /// On weights that other programs may use too, of the same parameters in the same order.
  explicit program(weights_type w) : program(checked{}, std::move(w), workspace::of<program>()) {
    if constexpr (is_refused) static_assert(detail::accepted<detail::refused_for<failure>>::value);
  }
  /// In this workspace, such as one in memory of the caller's. Throws shape_error if it is too small.
  program(weights_type w, workspace memory) : program(checked{}, std::move(w), std::move(memory)) {
    if constexpr (is_refused) static_assert(detail::accepted<detail::refused_for<failure>>::value);
  }
  program(program&&) noexcept = default;
  program& operator=(program&&) noexcept = default;
  program(const program& p) : program(checked{}, p.weights().clone(), workspace::of<program>()) {
    workspace_.set_random(p.random());
    if (executor* const e = p.workspace_.workers()) workspace_.use(*e);
    for (int i = 0; i < facts::graph.size.outputs; ++i)
      std::copy_n(machine::output(p.workspace_, i), facts::graph.shape(facts::graph.outputs[i]).size(), machine::output(workspace_, i));
  }
  program& operator=(const program& p) {
    if (this != &p) *this = program(p);
    return *this;
  }
  friend void swap(program& a, program& b) noexcept {
    program c(std::move(a));
    a = std::move(b);
    b = std::move(c);
  }

  /// The weights: parameters, states and packed filters. To run a program on several threads, either give each a program of its own on the
  /// same weights, or run one const program with a workspace for each thread. Whoever changes them does so while no program runs on them.
  weights_type& weights() noexcept { return machine_.weights(); }
  const weights_type& weights() const noexcept { return machine_.weights(); }

  /// Initial values of all parameters, from a seed; the same on every machine.
  void initialize(std::uint64_t seed) { weights().initialize(seed); }

  /// Random numbers begin anew, from this seed.
  void seed(std::uint64_t s) noexcept { workspace_.seed(s); }
  /// What the random numbers of the next run depend on: to be kept with a training that is to be resumed.
  random_state random() const noexcept { return workspace_.random(); }
  void set_random(random_state s) noexcept { workspace_.set_random(s); }

  /// The gradients of the last run, laid out as parameter_values (zeros in the gaps); outputs(...) must hold gradient(loss, parameters).
  /// Those by parameters_under<...> are laid out as if there were no other parameters.
  std::span<const T> gradient_values() const noexcept requires(gradient_maps > 0) {
    return {output_data(first_gradient), static_cast<std::size_t>(gradient_layout.elements)};
  }
  /// Path, shape and memory of the gradient by each learned parameter.
  auto gradient_table() noexcept requires(gradient_maps > 0) { return gradients(workspace_); }
  template <text Path>
  auto gradient() requires(gradient_maps > 0) {
    constexpr int parameter = runtime::find_parameter<Path>(facts::graph), place = gradient_place(parameter);
    if constexpr (place < 0) {
      static_assert(detail::accepted<detail::refused_for<typename runtime::unknown_path<Path>::failure>>::value);
      return runtime::nothing{};
    } else {
      return tensor_view<facts::graph.parameters[parameter].shape>(output_data(first_gradient + place));
    }
  }
  /// Later runs share their work with the workers of `e`, which must outlive this program or its next use(). No run creates a thread, and
  /// results have the same bits for any executor. This call allocates scratch memory for each worker beyond the first. Until it is made,
  /// the calling thread works alone.
  void use(executor& e) { workspace_.use(e); }

  /// Runs the program on bound inputs (and, if wanted, parameters). The results are views of the program's own memory, good until the next
  /// run; a scalar comes as a number, gradient(loss, parameters) as a table of (path, shape, data). A result may be bound as an input: it
  /// is read as it is before the run. Throws shape_error.
  template <class... Node, class... V>
  auto operator()(const binding<Node, V>&... b) {
    if constexpr (!(runtime::bindable<V> && ...)) {
      static_assert(detail::accepted<detail::refused_for<typename runtime::no_tensor<binding<Node, V>...>::failure>>::value);
      return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
    } else if constexpr (std::is_void_v<run_failure<Node...>>) {
      run_into(nullptr, b...);
      return results(workspace_, std::index_sequence_for<E...>{});
    } else {
      if constexpr (!is_refused) static_assert(detail::accepted<detail::refused_for<run_failure<Node...>>>::value);
      return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
    }
  }
  /// The same in a workspace of the caller's, where the results lie then. Several threads may do so at once, each with its own workspace.
  /// Only for inputs, and for programs that change no states.
  template <class... Node, class... V>
  auto operator()(workspace& w, const binding<Node, V>&... b) const {
    if constexpr (std::is_void_v<const_run_failure<Node...>>) {
      run_into(w, nullptr, b...);
      return results(w, std::index_sequence_for<E...>{});
    } else {
      if constexpr (!is_refused) static_assert(detail::accepted<detail::refused_for<const_run_failure<Node...>>>::value);
      return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
    }
  }

  /// The same, with the first result written to `destination` (dense) if it is not null.
  template <class... Node, class... V>
  void run_into(T* destination, const binding<Node, V>&... b) {
    run_observed([](int) {}, destination, b...);
  }
  template <class... Node, class... V>
  void run_into(workspace& w, T* destination, const binding<Node, V>&... b) const {
    if constexpr (std::is_void_v<const_run_failure<Node...>>) {
      (settle(b.value), ...);
      machine::release_results(w);
      (refuse_inside(w, b), ...);
      machine::enter(w);
      const T* in[facts::graph.size.inputs + 1]{};
      read_inputs(w, in, b...);
      run_taken(
          w, [](int) {}, destination, in);
    } else if constexpr (!is_refused) {
      static_assert(detail::accepted<detail::refused_for<const_run_failure<Node...>>>::value);
    }
  }
  /// The same with a call of observe(i) before launch i; see runtime/profile.hpp.
  template <class Observer, class... Node, class... V>
  void run_observed(Observer&& observe, T* destination, const binding<Node, V>&... b) {
    if constexpr (std::is_void_v<run_failure<Node...>>) {
      const T* in[facts::graph.size.inputs + 1]{};
      take(workspace_, in, b...);
      run_taken(workspace_, static_cast<Observer&&>(observe), destination, in);
    } else if constexpr (!is_refused) {
      static_assert(detail::accepted<detail::refused_for<run_failure<Node...>>>::value);
    }
  }

  /// Pointers in, pointers out: the whole program for code that uses no xtensor. Inputs in the order of facts::graph.inputs, dense, as the
  /// results. An input may overlap a result (it is read as it was before the run); results overlap neither each other nor parameters.
  void run(const T* const* inputs, T* const* outputs) noexcept {
    machine::enter(workspace_);
    check_results(outputs);
    machine_.run(workspace_, inputs, outputs, facts::results, [](int) {});
  }
  /// The same in a workspace of the caller's. Throws shape_error if that is too small.
  void run(workspace& w, const T* const* inputs, T* const* outputs) const {
    using obstacle = decltype(runtime::const_run_failure<facts::changes_states>());
    if constexpr (std::is_void_v<obstacle>) {
      for (int i = 0; i < facts::graph.size.inputs; ++i) machine::refuse_inside(w, i, inputs[i]);
      machine::enter(w);
      check_results(outputs);
      machine_.run(w, inputs, outputs, facts::results, [](int) {});
    } else {
      static_assert(detail::accepted<detail::refused_for<obstacle>>::value);
    }
  }
  /// Before the first run that must not be late: it takes as long as later ones then. A run on zeros, whose results nobody sees; parameters,
  /// states and random numbers stay as they are, results of the last run are lost. Once more after the parameters changed.
  void warm_up() { warm_up(workspace_); }
  /// The same for runs in a workspace of the caller's. Throws shape_error if that is too small.
  void warm_up(workspace& w) const {
    machine::enter(w);
    machine_.warm_up(w);
  }
  /// A run in parts, in a workspace of the caller's or memory(): see machine::run_part. take_inputs copies the inputs there; between two
  /// parts what a launch made may be changed at its place.
  template <class... Node, class... V>
  void take_inputs(workspace& w, const binding<Node, V>&... b) {
    if constexpr (std::is_void_v<run_failure<Node...>>) {
      const T* in[facts::graph.size.inputs + 1]{};
      take(w, in, b...);
      for (int i = 0; i < facts::graph.size.inputs; ++i)
        if (T* const to = machine::input(w, i); in[i] != to)
          std::memmove(static_cast<void*>(to), in[i], static_cast<std::size_t>(facts::graph.inputs[i].shape.size()) * sizeof(T));
    } else if constexpr (!is_refused) {
      static_assert(detail::accepted<detail::refused_for<run_failure<Node...>>>::value);
    }
  }
  template <class Observer>
  void run_part(workspace& w, int from, int to, Observer&& observe) {
    machine_.run_part(w, from, to, observe);
  }
  T* at(const workspace& w, const graph::place& p) const noexcept { return machine_.at(w, p); }
  void change_states(const workspace& w) noexcept { machine_.change_states(w); }
  /// Its own workspace.
  volute::workspace& memory() noexcept { return workspace_; }
  /// The program's own memory for a result, and for an input.
  T* output_data(int i) noexcept { return machine::output(workspace_, i); }
  const T* output_data(int i) const noexcept { return machine::output(workspace_, i); }
  T* input_data(int i) noexcept { return machine::input(workspace_, i); }
  /// The same in a workspace in which the program has run.
  static T* output_data(workspace& w, int i) noexcept { return machine::output(w, i); }
  static T* input_data(workspace& w, int i) noexcept { return machine::input(w, i); }

 private:
  static constexpr int first_gradient = static_cast<int>(sizeof...(E)) - gradient_maps;
  machine machine_;
  workspace workspace_;

  struct checked {};  // a refusal is reported by who calls: once, and with a short backtrace
  program(checked, weights_type w, workspace memory) : machine_(std::move(w)), workspace_(std::move(memory)) {
    if constexpr (!is_refused) machine::enter(workspace_);
  }

  static constexpr int gradient_place(int parameter) {
    for (int k = 0; k < gradient_layout.entry_count; ++k)
      if (gradient_layout.entries[k].parameter == parameter) return k;
    return -1;
  }

  template <class Observer>
  void run_taken(workspace& w, Observer&& observe, T* destination, const T* const* in) const {
    T* out[facts::graph.size.outputs + 1];
    for (int i = 0; i < facts::graph.size.outputs; ++i) out[i] = machine::output(w, i);  // new values of states are among them
    if (destination != nullptr) out[0] = destination;
    machine_.run(w, in, out, destination != nullptr ? 1 : 0, static_cast<Observer&&>(observe));
  }
  /// Inputs and parameters, each as it is before the run, whatever it is made of. What throws leaves the parameters alone.
  template <class... Node, class... V>
  void take(workspace& w, const T** in, const binding<Node, V>&... b) {
    if constexpr ((!runtime::is_input<Node> || ...)) {
      (check_bound(b), ...);
      const auto values = std::tuple{new_value(b)...};
      machine::enter(w);
      read_inputs(w, in, b...);
      for (int i = 0; i < facts::graph.size.inputs; ++i)
        if (in[i] != nullptr && among_weights(in[i])) {
          const auto size = static_cast<std::size_t>(facts::graph.inputs[i].shape.size());
          in[i] = static_cast<const T*>(std::memcpy(static_cast<void*>(machine::input(w, i)), in[i], size * sizeof(T)));
        }
      std::apply([&](const auto&... v) { (write(v), ...); }, values);
    } else {
      machine::enter(w);
      read_inputs(w, in, b...);
    }
  }
  template <class... Node, class... V>
  static void read_inputs(workspace& w, [[maybe_unused]] const T** in, const binding<Node, V>&... b) {
    // A lazy value may run this very program when it is read, over what has been taken; the second time it only hands out its result.
    for (int attempt = 0;; ++attempt) {
      const random_state before = w.random();
      (take_input(w, b, in), ...);
      if (!machine::owns(w)) fail("inputs: expected values, found an expression that runs another program in this workspace");
      if (w.random() == before) break;
      if (attempt == 2) fail("inputs: expected values, found an expression that runs this program each time it is read");
    }
  }

  /// A lazy value is computed before anything is written for this run.
  template <class V>
  static void settle(const V& v) {
    if constexpr (requires { v.settle(); }) v.settle();
  }
  template <text Name, extents S, class V>
  static void refuse_inside(const workspace& w, const binding<input_node<Name, S>, V>& b) {
    constexpr int slot = runtime::find_input<Name>(facts::graph);
    if constexpr (slot >= 0 && !std::is_arithmetic_v<std::remove_cvref_t<V>>)
      if (const T* const from = runtime::dense_data<T>(b.value)) machine::refuse_inside(w, slot, from);
  }

  /// Debug builds look whether the caller's results overlap each other.
  static void check_results([[maybe_unused]] T* const* outputs) noexcept {
#ifndef NDEBUG
    const auto size = [](int i) { return facts::graph.shape(facts::graph.outputs[i]).size(); };
    for (int i = 0; i < facts::results; ++i)
      for (int k = 0; k < i; ++k)
        assert((outputs[i] >= outputs[k] + size(k) || outputs[k] >= outputs[i] + size(i)) && "volute: two results in the same memory");
#endif
  }

  template <text Name, extents S, class V>
  static void take_input(workspace& w, const binding<input_node<Name, S>, V>& b, const T** in) {
    constexpr int slot = runtime::find_input<Name>(facts::graph);
    if constexpr (slot >= 0) in[slot] = runtime::accept<T>(b.value, S, "input", Name.view(), machine::input(w, slot));
  }
  template <class Node, class V>
  static void take_input(workspace&, const binding<Node, V>&, const T**) {}

  /// What a parameter is to be: values that lie dense somewhere else, or a copy of others, which may be made of parameters.
  template <int Slot>
  struct parameter_value {
    const T* elsewhere = nullptr;
    std::vector<T> copy;
    T number = 0;
  };
  bool among_weights(const T* p) const noexcept {
    const T* const begin = weights().parameter_values().data();
    return !std::less<>()(p, begin) && std::less<>()(p, begin + facts::parameter_elements);
  }
  template <class Node>
  static constexpr int parameter_slot() {
    return runtime::is_input<Node> ? -1 : runtime::find_parameter<Node::name>(facts::graph);
  }
  template <class Node, class V>
  static void check_bound(const binding<Node, V>& b) {
    constexpr bool input = runtime::is_input<Node>;
    if constexpr ((input ? runtime::find_input<Node::name>(facts::graph) : parameter_slot<Node>()) >= 0)
      runtime::check_shape<std::remove_cvref_t<V>>(b.value, Node::shape(), input ? "input" : "parameter", Node::name.view());
  }
  template <class Node, class V>
  auto new_value(const binding<Node, V>& b) const {
    constexpr int slot = parameter_slot<Node>();
    parameter_value<slot> v;
    if constexpr (slot >= 0 && std::is_arithmetic_v<std::remove_cvref_t<V>>) {
      v.number = static_cast<T>(b.value);
    } else if constexpr (slot >= 0) {
      v.elsewhere = runtime::dense_data<T>(std::as_const(b.value));
      if (v.elsewhere == nullptr || among_weights(v.elsewhere)) {
        v.elsewhere = nullptr;
        v.copy.resize(static_cast<std::size_t>(Node::shape().size()));
        std::transform(b.value.begin(), b.value.end(), v.copy.begin(), [](const auto& element) { return static_cast<T>(element); });
      }
    }
    return v;
  }
  template <int Slot>
  void write([[maybe_unused]] const parameter_value<Slot>& v) {
    if constexpr (Slot >= 0) {
      constexpr auto size = static_cast<std::size_t>(facts::graph.parameters[Slot].shape.size());
      const T* const from = v.elsewhere != nullptr ? v.elsewhere : !v.copy.empty() ? v.copy.data() : &v.number;
      if (size > 0) std::memcpy(static_cast<void*>(weights().parameter_data(Slot)), from, size * sizeof(T));
    }
  }

  template <std::size_t... I>
  static auto results(workspace& w, std::index_sequence<I...>) {
    int next = 0;
    return std::tuple{one_result<E>(w, next)...};  // braces: evaluated from left to right
  }
  template <class Out>
  static auto one_result(workspace& w, int& next) {
    if constexpr (lowering::makes_parameter_gradients<Out>) {
      return gradients(w);
    } else {
      T* const data = machine::output(w, next++);
      if constexpr (Out::shape().rank == 0)
        return T(*data);
      else
        return tensor_view<Out::shape()>(data);
    }
  }
  static auto gradients(workspace& w) {
    std::array<parameter_entry<T>, static_cast<std::size_t>(gradient_layout.entry_count)> t{};
    for (int i = 0; i < gradient_layout.entry_count; ++i) {
      const auto& p = facts::graph.parameters[gradient_layout.entries[i].parameter];
      t[static_cast<std::size_t>(i)] = {p.path.view(), p.shape, machine::output(w, first_gradient + i), p.learned};
    }
    return t;
  }
};

/// The program of a mistake: reports it unless that has been done, and absorbs the rest.
template <class... E, output_list<E...> Outputs, class T>
requires(is_failed<E> || ...) class program<Outputs, T> : public runtime::parameter_members<program<Outputs, T>>,
                                                          public runtime::file_members<program<Outputs, T>>,
                                                          public runtime::result_members<program<Outputs, T>, E...> {
  using failure = typename detail::first_failed<E...>::type;

 public:
  using value_type = T;
  using facts = runtime::facts<output_list<>, T>;
  using weights_type = runtime::weight_set<facts, T>;
  static constexpr bool is_refused = true;

  program() {
    if constexpr (!std::is_same_v<failure, reported>) static_assert(detail::accepted<detail::refused_for<failure>>::value);
  }
  template <class Weights, class... Memory>
  explicit program(const Weights&, Memory&&...) : program() {}
  weights_type& weights() noexcept { return weights_; }
  const weights_type& weights() const noexcept { return weights_; }
  void initialize(std::uint64_t) {}
  std::span<const T> gradient_values() const noexcept { return {}; }
  void seed(std::uint64_t) noexcept {}
  random_state random() const noexcept { return {}; }
  void set_random(random_state) noexcept {}
  std::span<parameter_entry<T>> gradient_table() noexcept { return {}; }
  template <text Path>
  runtime::nothing gradient() {
    return {};
  }
  void use(executor&) noexcept {}
  template <class... Node, class... V>
  auto operator()(const binding<Node, V>&...) {
    return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
  }
  template <class... Node, class... V>
  auto operator()(workspace&, const binding<Node, V>&...) const {
    return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
  }

 private:
  weights_type weights_;
};

}  // namespace VOLUTE_ISA
}  // namespace volute
