// Every layer: the gradients of L = s + <ds/dx, direction>, s = sum(y * cotangent), by its inputs and by its parameters. L holds first and second derivatives.
#pragma once

#include <volute/nn/nn.hpp>

#include "gradients_support.hpp"

namespace gradients_test {

template <class Layer, expression X, expression... More>
constexpr auto layer_outputs() {
  constexpr auto y = Layer{}(X{}, More{}...);
  constexpr auto s = sum(y * input_node<"cotangent", y.shape()>{});
  constexpr auto l = s + sum(gradient(s, X{}) * input_node<"direction", X::shape()>{});
  if constexpr (sizeof...(More) == 0)
    return outputs(l, gradient(l, X{}), gradient(l, parameters));
  else
    return std::apply([=](auto... g) { return outputs(l, g..., gradient(l, parameters)); }, gradient(l, X{}, More{}...));
}

template <class Layer, expression X, expression... More>
void check_layer(X, More...) {
  using step = program<layer_outputs<Layer, X, More...>(), double>;
  runner<step> run;
  run.program.initialize(3);
  kernels_test::numbers random(5);
  for (auto& v : run.in) v = draw(static_cast<std::int64_t>(v.size()), values{}, 0.5, random);
  run.run_all();
  const auto result = run.out;
  std::size_t next = 1;
  for (const std::string& name : {std::string(X::name.view()), std::string(More::name.view())...}) run.check_differences(0, run.input(name).data(), result[next++], "by " + name);
  for (const auto& p : run.program.parameter_table())
    if (p.learned) run.check_differences(0, p.data, result[next++], "by " + std::string(p.path));
  CHECK(next + static_cast<std::size_t>(step::facts::graph.size.updates) == result.size());  // new values of states come last
}

}  // namespace gradients_test
