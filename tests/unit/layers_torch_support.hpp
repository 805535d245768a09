// Layers beside PyTorch: values and gradients for the inputs and parameters of layers_torch.py's formulas, in double.
#pragma once

#include <volute/volute.hpp>

#include "layers_torch.hpp"

#include <catch2/catch.hpp>
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace layers_test {

using namespace volute;

inline double number(std::size_t i, std::size_t multiplier, std::size_t shift, std::size_t modulus) {
  return static_cast<double>((i * multiplier + shift) % modulus) / static_cast<double>(modulus / 2) - 1;
}

inline void compare(const double*& expected, const double* got, std::size_t n, const std::string& what) {
  for (std::size_t i = 0; i < n; ++i) {
    INFO(what << ", element " << i);
    REQUIRE(got[i] == Approx(*expected++).margin(1e-11).epsilon(1e-11));
  }
}

/// y, and the gradients of sum(y * c) by x and by every parameter.
template <class Y, class X>
constexpr auto outputs_of(Y y, X x) {
  constexpr auto loss = sum(Y{} * input_node<"c", Y::shape()>{});
  return outputs(y, gradient(loss, x), gradient(loss, parameters));
}

template <class Y, class X, std::size_t N>
void check_torch(const double (&expected)[N], Y, X x) {
  program<outputs_of(Y{}, X{}), double> p;
  const auto filled = [](const extents& e, std::size_t multiplier, std::size_t shift, std::size_t modulus) {
    std::vector<double> v(static_cast<std::size_t>(e.size()));
    for (std::size_t i = 0; i < v.size(); ++i) v[i] = number(i, multiplier, shift, modulus);
    return v;
  };
  std::size_t k = 0;
  for (const auto& entry : p.parameter_table()) {  // learned ones, then states: those are positive
    const auto v = filled(entry.shape, 29, 7 * k++ + 3, 53);
    std::transform(v.begin(), v.end(), entry.data, [&](double a) { return entry.learned ? a : std::abs(a) + 0.5; });
  }
  const auto c = filled(Y::shape(), 53, 17, 97);
  const auto [y, dx, dp] = p(x = filled(X::shape(), 37, 11, 101), input_node<"c", Y::shape()>{} = c);
  const double* next = expected;
  compare(next, y.data(), c.size(), "y");
  compare(next, dx.data(), static_cast<std::size_t>(X::shape().size()), "gradient by x");
  for (const auto& entry : dp) compare(next, entry.data, static_cast<std::size_t>(entry.shape.size()), "gradient by " + std::string(entry.path));
  for (const auto& entry : p.parameter_table())
    if (!entry.learned) compare(next, entry.data, static_cast<std::size_t>(entry.shape.size()), std::string(entry.path));
  CHECK(next == expected + N);
}

}  // namespace layers_test
