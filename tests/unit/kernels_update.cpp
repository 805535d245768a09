// The norm of the gradients: every partial sum of every length counts. What an update makes of an infinite weight.
#include <volute/kernels/update.hpp>
#include <volute/train/optimiser.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <vector>

TEMPLATE_TEST_CASE("the norm of any number of elements", "", float, double) {
  using namespace volute;
  const auto room = [](std::int64_t n) { return (n + kernels::update_unit - 1) / kernels::update_unit * kernels::update_unit; };
  for (const std::int64_t n : {1, 31, 4095, 4096, 4097, 4160, 8191, 8192, 8193, 12288, 12289, 40000}) {
    for (const bool both : {false, true}) {
      std::vector<TestType> memory(static_cast<std::size_t>(2 * room(n) + 16), TestType(0));
      TestType* const g = memory.data() + (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64 / sizeof(TestType);
      TestType* const earlier = g + room(n);
      kernels_test::numbers r(static_cast<std::uint64_t>(n));
      double wanted = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        g[i] = static_cast<TestType>(r.uniform(-1, 1)), earlier[i] = static_cast<TestType>(r.uniform(-1, 1));
        if (i == n - 1) g[i] = 50;  // the last one cannot be left out
        const double v = static_cast<double>(g[i]) + (both ? static_cast<double>(earlier[i]) : 0);
        wanted += v * v;
      }
      std::vector<double> partial(static_cast<std::size_t>(kernels::norm_partials(room(n))));
      const double found = kernels::norm(g, both ? earlier : nullptr, room(n), partial.data()).value();
      CAPTURE(n, both);
      CHECK(found == Approx(std::sqrt(wanted)).epsilon(1e-5));
    }
  }
}

namespace {
/// One weight and its state after a step whose gradient is 0.
template <class T, class Optimiser>
T stepped(const Optimiser& o, T weight) {
  using V = volute::simd::vec<T>;
  V p(weight), s[3]{V(T(0)), V(T(0)), V(T(0))};
  o.template rule<T>(0)(p, V(T(0)), s);
  return p.get(0);
}
}  // namespace

TEMPLATE_TEST_CASE("an infinite weight stays what it is without decay", "", float, double) {
  using namespace volute;
  constexpr TestType infinite = std::numeric_limits<TestType>::infinity();
  for (const TestType weight : {infinite, -infinite, TestType(3)}) {
    CHECK(stepped(sgd{.lr = 0.1}, weight) == weight);
    CHECK(stepped(sgd{.lr = 0.1, .momentum = 0.9, .nesterov = true}, weight) == weight);
    CHECK(stepped(adam{}, weight) == weight);
    CHECK(stepped(adamw{.weight_decay = 0}, weight) == weight);
    CHECK(stepped(rmsprop{.centered = true}, weight) == weight);
  }
  CHECK(stepped(sgd{.lr = 0.5, .weight_decay = 0.5}, TestType(4)) == 3);
  CHECK(stepped(adamw{.lr = 0.5, .weight_decay = 0.5}, TestType(4)) == 3);
}
