// The norm of the gradients: every partial sum of every length counts.
#include <volute/kernels/update.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>

#include <cmath>
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
