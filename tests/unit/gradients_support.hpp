// Symbolic gradients against central differences, first and second order, in double.
#pragma once

#include <volute/runtime/program.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace gradients_test {

using namespace volute;

/// What the elements are drawn from: magnitudes in [lo, hi], with both signs unless `positive`.
struct values {
  double lo = 0.2, hi = 1.2;
  bool positive = false;
};
inline constexpr values positive{0.3, 1.5, true};

/// n elements, no two closer than (hi - lo) / n and none near 0, so that a difference never crosses a kink. Another `phase` (in 0 .. 1) gives others.
inline std::vector<double> draw(std::int64_t n, values from, double phase, kernels_test::numbers& random) {
  std::vector<double> v(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) v[static_cast<std::size_t>(i)] = from.lo + (from.hi - from.lo) * (static_cast<double>(i) + phase) / static_cast<double>(n);
  for (std::int64_t i = n - 1; i > 0; --i) std::swap(v[static_cast<std::size_t>(i)], v[static_cast<std::size_t>(random.below(i + 1))]);
  if (!from.positive)
    for (double& x : v)
      if (random.below(2) == 0) x = -x;
  return v;
}

/// A program over plain vectors. What does not depend on the program's type stands here, so that it is compiled once.
struct tables {
  std::vector<std::string> names;  // of the inputs
  std::vector<std::vector<double>> in, out;
  std::vector<const double*> in_data;
  std::vector<double*> out_data;

  virtual ~tables() = default;
  virtual void run() = 0;
  /// After the inputs were assigned.
  void run_all() {
    for (std::size_t i = 0; i < in.size(); ++i) in_data[i] = in[i].data();
    run();
  }

  std::vector<double>& input(const std::string& name) {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == name) return in[i];
    FAIL("no input " << name);
    return in[0];
  }

  /// Compares `gradient` with the central differences of scalar result `of` in the elements of `at`, which a run reads.
  void check_differences(std::size_t of, double* at, const std::vector<double>& gradient, const std::string& what) {
    constexpr double h = 1e-4;
    double size = 1;
    for (double g : gradient) size = std::fmax(size, std::abs(g));
    for (std::size_t k = 0; k < gradient.size(); ++k) {
      const double middle = at[k];
      at[k] = middle + h, run();
      const double above = out[of][0];
      at[k] = middle - h, run();
      const double below = out[of][0];
      at[k] = middle;
      INFO(what << ", element " << k);
      REQUIRE(gradient[k] == Approx((above - below) / (2 * h)).margin(2e-6 * size).epsilon(2e-6));
    }
  }

  /// Results are s, its gradients by `variables`, h, and its gradients.
  void check(values from, const std::vector<std::string>& variables) {
    kernels_test::numbers random(in.size() + in[0].size());
    for (auto& v : in) v = draw(static_cast<std::int64_t>(v.size()), values{}, 0.5, random);
    double phase = 0.65;
    for (auto& name : variables) input(name) = draw(static_cast<std::int64_t>(input(name).size()), from, phase -= 0.15, random);
    run_all();
    const auto result = out;
    const std::size_t n = variables.size();
    for (std::size_t i = 0; i < n; ++i) {
      double* const at = input(variables[i]).data();
      check_differences(0, at, result[1 + i], "first order by " + variables[i]);
      check_differences(1 + n, at, result[2 + n + i], "second order by " + variables[i]);
    }
  }
};

template <class Program>
struct runner : tables {
  Program program;

  runner() {
    const auto& g = Program::facts::graph;
    for (int i = 0; i < g.size.inputs; ++i) {
      names.emplace_back(g.inputs[i].name.view());
      in.emplace_back(static_cast<std::size_t>(g.inputs[i].shape.size()));
    }
    for (int i = 0; i < g.size.outputs; ++i) out.emplace_back(static_cast<std::size_t>(g.shape(g.outputs[i]).size()), 1e300);
    in_data.resize(in.size() + 1);
    for (auto& v : out) out_data.push_back(v.data());
  }
  void run() override { program.run(in_data.data(), out_data.data()); }
};

template <int I>
constexpr auto direction_name() {
  text name("direction 0");
  name.data[10] = static_cast<char>('0' + I);
  return name;
}

/// Gradients by one or several variables, always as a tuple.
template <expression S, expression... X>
constexpr auto gradients(S s, X... x) {
  if constexpr (sizeof...(X) == 1)
    return std::tuple{gradient(s, x...)};
  else
    return gradient(s, x...);
}

/// s = sum(y * cotangent), its gradients g by x..., h = sum over all g * direction, and the gradients of h: both compared with central differences.
template <expression Y, expression... X>
struct checked_program {
  template <std::size_t... I>
  static constexpr auto make(std::index_sequence<I...>) {
    constexpr auto s = sum(Y{} * input_node<"cotangent", Y::shape()>{});
    constexpr auto first = gradients(s, X{}...);
    constexpr auto h = (sum(std::get<I>(first) * input_node<direction_name<static_cast<int>(I)>(), X::shape()>{}) + ...);
    constexpr auto second = gradients(h, X{}...);
    return outputs(s, std::get<I>(first)..., h, std::get<I>(second)...);
  }
  using type = program<make(std::index_sequence_for<X...>{}), double>;
};

template <expression Y, expression... X>
void check(values from, Y, X...) {
  runner<typename checked_program<Y, X...>::type>().check(from, {std::string(X::name.view())...});
}
template <expression Y, expression... X>
void check(Y y, X... of) {
  check(values{}, y, of...);
}

}  // namespace gradients_test
