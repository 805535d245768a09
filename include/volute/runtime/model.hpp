// A model: a network and its inputs.
#pragma once

#include <volute/runtime/evaluate.hpp>

namespace volute {
namespace runtime {
inline namespace VOLUTE_ISA {

/// A call of a model on these values: references to named ones, the objects themselves if they were temporary.
template <class Model, class... V>
class model_run {
 public:
  template <class... U>
  model_run(Model& m, workspace& w, U&&... v) : model_(&m), workspace_(&w), values_(static_cast<U&&>(v)...) {}
  auto operator()(typename Model::value_type* destination) {
    return std::apply([&](const auto&... v) { return model_->run_bound(*workspace_, destination, v...); }, values_);
  }
  workspace* memory() const noexcept { return workspace_; }

 private:
  Model* model_;
  workspace* workspace_;
  std::tuple<V...> values_;
};

}  // namespace VOLUTE_ISA
}  // namespace runtime

inline namespace VOLUTE_ISA {

/// `basic_model<double, net, input<"x", 4, 1, 10, 10, 10>> m;` allocates when it is constructed and never again; m(batch) is lazy until
/// assigned and computes straight into where it goes. A network with several results is run at once, and they come in the structure in
/// which it returns them, as views of the model's memory: auto [mask, features] = m(batch); result<"mask">() and result<0>() find them
/// later. Parameters start at the layers' initial values for seed 0. Moving, copying and
/// sharing are those of a program: `decltype(m) second(m.weights())` has the same parameters and packed filters, and a workspace of its
/// own.
template <class T, class Net, auto... Inputs>
class basic_model : public runtime::parameter_members<basic_model<T, Net, Inputs...>>,
                    public runtime::file_members<basic_model<T, Net, Inputs...>> {
 public:
  /// The network applied to its inputs. A mistake inside it is reported here, once.
  using output = decltype(invoke<Net>(std::remove_const_t<decltype(Inputs)>{}...));
  using value_type = T;
  using program_type = program<outputs(output{}), T>;
  using facts = typename program_type::facts;
  using weights_type = typename program_type::weights_type;

  static constexpr bool is_refused = program_type::is_refused;

  /// The shape of the result, of a network that has one.
  static constexpr extents output_shape() requires expression<output> { return output::shape(); }

  /// With weights of its own.
  basic_model() = default;
  /// On weights that others may use too: those of a model of another batch or volume size, or of the trainer that changes them.
  explicit basic_model(weights_type w) : program_(std::move(w)) {}
  /// In this workspace. Throws shape_error if it is too small.
  basic_model(weights_type w, workspace memory) : program_(std::move(w), std::move(memory)) {}

  /// Parameters, states and packed filters, for other models on the same ones; see program::weights.
  weights_type& weights() noexcept { return program_.weights(); }
  const weights_type& weights() const noexcept { return program_.weights(); }

  /// Initial values of all parameters, from a seed; the same on every machine.
  void initialize(std::uint64_t seed) { program_.initialize(seed); }
  /// Random numbers begin anew, from this seed; where they stand, to be kept and set again.
  void seed(std::uint64_t s) noexcept { program_.seed(s); }
  random_state random() const noexcept { return program_.random(); }
  void set_random(random_state s) noexcept { program_.set_random(s); }
  /// Later runs share their work with the workers of `e`, which must outlive the model or its next use(); see program::use.
  void use(executor& e) { program_.use(e); }

  /// Takes over the parameters of another model or program with the same paths in the same order, for instance of the step that trained
  /// them.
  template <class Other>
  void copy_parameters(const Other& from) {
    constexpr int here = facts::graph.size.parameters, there = Other::facts::graph.size.parameters;
    if constexpr (is_refused || Other::is_refused) {
      return;
    } else if constexpr (here != there) {
      constexpr line wanted = line("a copy wants ") << here << " parameters";
      constexpr line got = line("got ") << there;
      static_assert(detail::accepted<detail::refused_for<failed<text(""), to_text<wanted>(), to_text<got>()>>>::value);
    } else {
      const auto theirs = from.parameter_table();
      const auto mine = this->parameter_table();
      for (std::size_t i = 0; i < mine.size(); ++i)
        if (theirs[i].path != mine[i].path || !(theirs[i].shape == mine[i].shape))
          fail("parameter '" + std::string(mine[i].path) + "': the other program has '" + std::string(theirs[i].path) + "' in its place");
      for (std::size_t i = 0; i < mine.size(); ++i)
        for (std::int64_t k = 0; k < mine[i].shape.size(); ++k) mine[i].data[k] = static_cast<T>(theirs[i].data[k]);
    }
  }

  /// The network of these tensors, one for each input, in their order.
  template <class... V>
  requires(sizeof...(V) == sizeof...(Inputs)) [[nodiscard]] auto operator()(V&&... v) {
    if constexpr (is_failed<output>) {
      return runtime::nothing{};
    } else if constexpr (!expression<output>) {
      return in_structure(program_(binding<std::remove_const_t<decltype(Inputs)>, const V&>{v}...));
    } else {
      using run = runtime::model_run<basic_model, V...>;
      return lazy<run, output::shape(), T>(run(*this, program_.memory(), static_cast<V&&>(v)...));
    }
  }
  /// The same in a workspace of the caller's: threads that each have one may do so at once.
  template <class... V>
  requires(sizeof...(V) == sizeof...(Inputs)) [[nodiscard]] auto operator()(workspace& w, V&&... v) const {
    if constexpr (is_failed<output>) {
      return runtime::nothing{};
    } else if constexpr (!expression<output>) {
      return in_structure(program_(w, binding<std::remove_const_t<decltype(Inputs)>, const V&>{v}...));
    } else {
      using run = runtime::model_run<const basic_model, V...>;
      return lazy<run, output::shape(), T>(run(*this, w, static_cast<V&&>(v)...));
    }
  }

  /// Pointers in, pointer out, for code that uses no xtensor; see program::run.
  void run(const T* const* inputs, T* result) noexcept requires expression<output> { program_.run(inputs, &result); }
  /// The same in a workspace of the caller's. Throws shape_error if that is too small.
  void run(workspace& w, const T* const* inputs, T* result) const requires expression<output> { program_.run(w, inputs, &result); }
  /// The same of a network with several results.
  void run(const T* const* inputs, T* const* results) noexcept { program_.run(inputs, results); }
  void run(workspace& w, const T* const* inputs, T* const* results) const { program_.run(w, inputs, results); }

  /// Before the first run that must not be late, and once more after the parameters changed; see program::warm_up.
  void warm_up() { program_.warm_up(); }
  void warm_up(workspace& w) const { program_.warm_up(w); }

  /// A result of the last run, by the name that the network gave it, or by its place; see runtime/result_members.hpp.
  template <text Name>
  auto result() noexcept {
    return program_.template result<Name>();
  }
  template <int Place>
  auto result() noexcept {
    return program_.template result<Place>();
  }

 private:
  template <class Model, class... V>
  friend class runtime::model_run;
  program_type program_;

  template <class Views>
  static auto in_structure(Views views) {
    return detail::structure<output>::template build<0>([&](auto i) { return std::get<decltype(i)::value>(views); });
  }
  template <class... V>
  const T* run_bound(workspace&, T* destination, const V&... v) {
    program_.run_into(destination, binding<std::remove_const_t<decltype(Inputs)>, const V&>{v}...);
    return program_.output_data(0);
  }
  template <class... V>
  const T* run_bound(workspace& w, T* destination, const V&... v) const {
    program_.run_into(w, destination, binding<std::remove_const_t<decltype(Inputs)>, const V&>{v}...);
    return program_type::output_data(w, 0);
  }
};

/// A model in float.
template <class Net, auto... Inputs>
using model = basic_model<float, Net, Inputs...>;

}  // namespace VOLUTE_ISA
}  // namespace volute
