// Pooling in blocks of channels: the bits of the kernels that read NCDHW, for windows of every kind, with zeros around and without.
#include "kernels_support.hpp"

#include <volute/kernels/pooling.hpp>
#include <volute/kernels/pooling_blocked.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>
#include <limits>

using namespace kernels_test;
using volute::ops::pool_geometry;
using volute::ops::volume_layout;

namespace {

constexpr pool_geometry geometry(std::int64_t planes, std::int64_t d, std::int64_t h, std::int64_t w, std::int64_t kernel,
                                 std::int64_t stride, std::int64_t pad, std::int64_t dilation = 1) {
  pool_geometry g;
  g.planes = planes;
  const std::int64_t in[]{d, h, w};
  for (int a = 0; a < 3; ++a) {
    g.in[a] = in[a], g.kernel[a] = kernel, g.stride[a] = stride, g.lo[a] = g.hi[a] = pad, g.dilation[a] = dilation;
    g.out[a] = (in[a] + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  }
  return g;
}
constexpr pool_geometry adaptive(std::int64_t planes, std::int64_t d, std::int64_t h, std::int64_t w, std::int64_t to) {
  pool_geometry g = geometry(planes, d, h, w, 1, 1, 0);
  for (std::int64_t& o : g.out) o = to;
  g.adaptive = true;
  return g;
}
constexpr pool_geometry divided(pool_geometry g, std::int64_t divisor, bool pad) {
  g.divisor = divisor, g.count_include_pad = pad;
  return g;
}

/// zeros: around each plane; 0 for none.
volume_layout layout(std::int64_t batch, std::int64_t channels, const std::int64_t (&size)[3], std::int64_t block, std::int64_t zeros) {
  return {block, batch, channels, size[0], size[1], size[2], zeros, size[1] + 2 * zeros, zeros, size[2] + 2 * zeros};
}
template <class T, class F>
void each_element(const volume_layout& l, F f) {
  std::int64_t i = 0;
  for (std::int64_t s = 0; s < l.batch; ++s)
    for (std::int64_t c = 0; c < l.channels; ++c)
      for (std::int64_t d = 0; d < l.planes; ++d)
        for (std::int64_t h = 0; h < l.rows; ++h)
          for (std::int64_t w = 0; w < l.columns; ++w, ++i)
            f(i, (s * (l.channels / l.block) + c / l.block) * l.planes * l.plane() + d * l.plane() + l.first() +
                     (h * l.all_columns + w) * l.block + c % l.block);
}

template <class T, std::int64_t Batch, pool_geometry G>
void check(std::int64_t block, std::int64_t zeros) {
  using namespace volute::kernels;
  const std::int64_t channels = G.planes / Batch;
  const volume_layout from = layout(Batch, channels, G.in, block, zeros), to = layout(Batch, channels, G.out, block, zeros);
  std::vector<T> x = numbers(7).vector<T>(G.planes * G.in[0] * G.in[1] * G.in[2]);
  for (std::size_t i = 0; i < x.size(); i += 17) x[i] = i % 2 ? std::numeric_limits<T>::quiet_NaN() : -std::numeric_limits<T>::infinity();
  const std::size_t results = static_cast<std::size_t>(G.planes * G.out[0] * G.out[1] * G.out[2]);
  std::vector<T> source(static_cast<std::size_t>(from.size())), wanted(results), plain(results);
  each_element<T>(from, [&](std::int64_t i, std::int64_t at) { source[static_cast<std::size_t>(at)] = x[static_cast<std::size_t>(i)]; });
  for (const bool most : {true, false}) {
    std::vector<T> target(static_cast<std::size_t>(to.size()), T(9));
    const auto run = [&](const volume_layout& l, T* out) {
      const auto lanes = [&](auto width) {
        constexpr int L = decltype(width)::value;
        if (most)
          pool_blocked<T, L, volute::ops::reduction::maximum>(G, from, l, source.data(), out);
        else
          pool_blocked<T, L, volute::ops::reduction::sum>(G, from, l, source.data(), out);
      };
      constexpr int few = block_lanes<T>(1), full = volute::simd::width<T>;
      if (block_lanes<T>(block) == few)
        lanes(std::integral_constant<int, few>{});
      else
        lanes(std::integral_constant<int, full>{});
    };
    run(to, target.data()), run({}, plain.data());
    if (most)
      max_pool3d<T, G>::forward(x.data(), wanted.data());
    else
      avg_pool3d<T, G>::forward(x.data(), wanted.data());
    const auto same = [](T a, T b) { return std::memcmp(&a, &b, sizeof(T)) == 0 || a == b || (std::isnan(a) && std::isnan(b)); };
    int wrong = 0;
    std::vector<char> inside(target.size(), 0);
    each_element<T>(to, [&](std::int64_t i, std::int64_t at) {
      const std::size_t here = static_cast<std::size_t>(at), k = static_cast<std::size_t>(i);
      wrong += !same(target[here], wanted[k]) || !same(plain[k], wanted[k]);
      inside[here] = 1;
    });
    for (std::size_t i = 0; i < target.size(); ++i) wrong += !inside[i] && target[i] != T(0);
    INFO("block " << block << ", zeros " << zeros << ", " << (most ? "maximum" : "average"));
    CHECK(wrong == 0);
  }
}
template <class T, std::int64_t Batch, pool_geometry G>
void check_all() {
  for (const std::int64_t block : {4, 8, 12, 24})
    for (const std::int64_t zeros : {0, 2}) check<T, Batch, G>(block, zeros);
}

}  // namespace

TEMPLATE_TEST_CASE("pooling in blocks has the bits of NCDHW", "[kernels][pooling]", float, double) {
  check_all<TestType, 1, geometry(24, 4, 6, 8, 2, 2, 0)>();
  check_all<TestType, 2, geometry(48, 5, 7, 6, 3, 2, 1)>();
  check_all<TestType, 1, divided(geometry(24, 5, 4, 9, 3, 1, 1), 0, false)>();
  check_all<TestType, 1, divided(geometry(24, 6, 6, 6, 2, 3, 1, 2), 5, true)>();
  check_all<TestType, 2, adaptive(48, 5, 6, 7, 3)>();
  check_all<TestType, 1, adaptive(24, 3, 4, 5, 1)>();
}
