// A model: a network and its inputs, with the parameters in its own memory.
#pragma once

#include <volute/runtime/evaluate.hpp>

namespace volute {
inline namespace VOLUTE_ISA {

/// `basic_model<double, net, input<"x", 4, 1, 10, 10, 10>> m;` allocates once, when it is constructed; m(batch) is lazy until assigned and
/// computes straight into where it goes. Parameters start at the layers' initial values for seed 0.
template <class T, class Net, auto... Inputs>
class basic_model : public runtime::file_members<basic_model<T, Net, Inputs...>> {
 public:
  /// The network applied to its inputs. A mistake inside it is reported here, once.
  using output = decltype(invoke<Net>(std::remove_const_t<decltype(Inputs)>{}...));
  using value_type = T;
  using program_type = program<output_list<output>{}, T>;
  using facts = typename program_type::facts;

  static constexpr bool is_refused = program_type::is_refused;

  static constexpr extents output_shape() { return output::shape(); }

  void initialize(std::uint64_t seed) { program_.initialize(seed); }
  auto parameter_values() noexcept { return program_.parameter_values(); }
  auto parameter_table() noexcept { return program_.parameter_table(); }
  template <text Path>
  auto parameter() {
    if constexpr (!is_refused && runtime::find_parameter<Path>(facts::graph) < 0) {
      static_assert(detail::accepted<detail::refused_for<typename runtime::unknown_path<Path>::failure>>::value);
      return runtime::nothing{};
    } else {
      return program_.template parameter<Path>();
    }
  }
  auto state_values() noexcept { return program_.state_values(); }
  void seed(std::uint64_t s) noexcept { program_.seed(s); }
  random_state random() const noexcept { return program_.random(); }
  void set_random(random_state s) noexcept { program_.set_random(s); }
  void parameters_changed() noexcept { program_.parameters_changed(); }
  /// Later runs share their work with the workers of `e`, which must outlive the model or its next use(); see program::use.
  void use(executor& e) { program_.use(e); }

  /// Takes over the parameters of another model or program with the same paths in the same order, for instance of the step that trained
  /// them.
  template <class Other>
  void copy_parameters(Other&& from) {
    using source_type = std::remove_reference_t<Other>;
    constexpr int here = facts::graph.size.parameters, there = source_type::facts::graph.size.parameters;
    if constexpr (is_refused || source_type::is_refused) {
      return;
    } else if constexpr (here != there) {
      constexpr line wanted = line("a copy wants ") << here << " parameters";
      constexpr line got = line("got ") << there;
      static_assert(detail::accepted<detail::refused_for<failed<text(""), to_text<wanted>(), to_text<got>()>>>::value);
    } else {
      const auto source = from.parameter_table();
      const auto mine = parameter_table();
      for (std::size_t i = 0; i < mine.size(); ++i)
        if (source[i].path != mine[i].path || !(source[i].shape == mine[i].shape))
          fail("parameter '" + std::string(mine[i].path) + "': the other program has '" + std::string(source[i].path) + "' in its place");
      for (std::size_t i = 0; i < mine.size(); ++i)
        for (std::int64_t k = 0; k < mine[i].shape.size(); ++k) mine[i].data[k] = static_cast<T>(source[i].data[k]);
    }
  }

  /// The network of these tensors, one for each input, in their order.
  template <class... V>
  requires(sizeof...(V) == sizeof...(Inputs)) auto operator()(V&&... v) {
    if constexpr (is_failed<output>) {
      return runtime::nothing{};
    } else {
      auto run = [this, ... bound = binding<std::remove_const_t<decltype(Inputs)>, V>{static_cast<V&&>(v)}](T* destination) -> const T* {
        program_.run_into(destination, bound...);
        return program_.output_data(0);
      };
      return lazy<decltype(run), output::shape(), T>(std::move(run));
    }
  }

  /// Pointers in, pointer out, for code that uses no xtensor.
  void run(const T* const* inputs, T* result) noexcept { program_.run(inputs, &result); }

 private:
  program_type program_;
};

/// A model in float.
template <class Net, auto... Inputs>
using model = basic_model<float, Net, Inputs...>;

}  // namespace VOLUTE_ISA
}  // namespace volute
