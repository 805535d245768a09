// Pooling against the definition, window by window: padding, dilation, ceil_mode, divisors, adaptive windows, ties, NaN, adjoints.
#include "kernels_support.hpp"

#include <volute/kernels/pooling.hpp>

#include <catch2/catch.hpp>

using namespace kernels_test;
using volute::ops::pool_geometry;

namespace {

/// f(plane-relative input position) for the taps of window (od, oh, ow) in scan order; returns the product of the counts.
template <class F>
double window(const pool_geometry& g, const std::int64_t (&o)[3], F f) {
  double padded = 1, inside = 1;
  std::vector<std::int64_t> at[3];
  for (int a = 0; a < 3; ++a) {
    int on_padding = 0;
    if (g.adaptive) {
      for (std::int64_t p = o[a] * g.in[a] / g.out[a]; p < ((o[a] + 1) * g.in[a] + g.out[a] - 1) / g.out[a]; ++p) at[a].push_back(p);
    } else {
      for (std::int64_t k = 0; k < g.kernel[a]; ++k) {
        const std::int64_t p = o[a] * g.stride[a] - g.lo[a] + k * g.dilation[a];
        if (p >= 0 && p < g.in[a]) at[a].push_back(p);
        if (p < g.in[a] + g.hi[a]) ++on_padding;
      }
    }
    inside *= double(at[a].size());
    padded *= g.adaptive ? double(at[a].size()) : on_padding;
  }
  for (auto d : at[0])
    for (auto h : at[1])
      for (auto w : at[2]) f((d * g.in[1] + h) * g.in[2] + w);
  return g.divisor > 0 ? double(g.divisor) : g.count_include_pad ? padded : inside;
}

template <class F>
void for_each_window(const pool_geometry& g, F f) {
  std::size_t to = 0;
  for (std::int64_t p = 0; p < g.planes; ++p)
    for (std::int64_t d = 0; d < g.out[0]; ++d)
      for (std::int64_t h = 0; h < g.out[1]; ++h)
        for (std::int64_t w = 0; w < g.out[2]; ++w) f(to++, p * g.in[0] * g.in[1] * g.in[2], {d, h, w});
}

template <class T>
int differences(const std::vector<T>& got, const std::vector<double>& want) {
  int wrong = 0;
  for (std::size_t i = 0; i < want.size(); ++i)
    if (!near(double(got[i]), want[i], tolerance<T>() * 4)) ++wrong;
  return wrong;
}

// What does not depend on the geometry as a type is compiled once and not for each of them.

/// The kernels of a geometry.
template <class T>
struct max_kernels {
  void (*forward)(const T*, T*), (*gather)(const T*, const T*, T*), (*scatter)(const T*, const T*, T*);
};
template <class T>
struct average_kernels {
  void (*forward)(const T*, T*), (*backward)(const T*, T*);
};

/// `kind` 0: random; 1: many ties; 2: with NaN; 3: with -infinity.
template <class T>
void check_max(const pool_geometry& g, int kind, const max_kernels<T>& pool) {
  const std::int64_t in = g.planes * g.in[0] * g.in[1] * g.in[2], out = g.planes * g.out[0] * g.out[1] * g.out[2];
  numbers rnd(static_cast<std::uint64_t>(kind) + 1);
  std::vector<T> x = rnd.vector<T>(in);
  const std::vector<T> v = rnd.vector<T>(in), grad = rnd.vector<T>(out);
  for (T& e : x) {
    if (kind == 1) e = T(rnd.below(3));
    if (kind == 2 && rnd.below(4) == 0) e = std::numeric_limits<T>::quiet_NaN();
    if (kind == 3 && rnd.below(8) != 0) e = -std::numeric_limits<T>::infinity();
  }
  const double lowest = -std::numeric_limits<double>::infinity();
  std::vector<double> best(static_cast<std::size_t>(out), lowest), picked(best.size(), 0), dx(x.size(), 0);
  for_each_window(g, [&](std::size_t to, std::int64_t base, const std::int64_t (&o)[3]) {
    std::int64_t at = -1;
    double top = lowest;
    window(g, o, [&](std::int64_t p) {
      const double e = double(x[static_cast<std::size_t>(base + p)]);
      if (at < 0) at = p;
      if (e > top || std::isnan(e)) top = e, at = p;
    });
    best[to] = top;
    if (at < 0) return;
    picked[to] = double(v[static_cast<std::size_t>(base + at)]);
    dx[static_cast<std::size_t>(base + at)] += double(grad[to]);
  });
  std::vector<T> got(best.size() + 1, T(77)), got_dx(x.size() + 1, T(77));
  pool.forward(x.data(), got.data());
  CHECK(differences(got, best) == 0);
  pool.gather(x.data(), x.data(), got.data());
  CHECK(differences(got, best) == 0);
  pool.gather(x.data(), v.data(), got.data());
  CHECK(differences(got, picked) == 0);
  pool.scatter(x.data(), grad.data(), got_dx.data());
  CHECK(differences(got_dx, dx) == 0);
  CHECK(got.back() == T(77));
  CHECK(got_dx.back() == T(77));
}

template <class T>
void check_average(const pool_geometry& g, const average_kernels<T>& pool) {
  const std::int64_t in = g.planes * g.in[0] * g.in[1] * g.in[2], out = g.planes * g.out[0] * g.out[1] * g.out[2];
  numbers rnd(9);
  const std::vector<T> x = rnd.vector<T>(in), grad = rnd.vector<T>(out);
  std::vector<double> y(static_cast<std::size_t>(out), 0), dx(x.size(), 0);
  for_each_window(g, [&](std::size_t to, std::int64_t base, const std::int64_t (&o)[3]) {
    double sum = 0;
    const double count = window(g, o, [&](std::int64_t p) { sum += double(x[static_cast<std::size_t>(base + p)]); });
    y[to] = count > 0 ? sum / count : 0;
    window(g, o, [&](std::int64_t p) { dx[static_cast<std::size_t>(base + p)] += double(grad[to]) / count; });
  });
  std::vector<T> got(y.size() + 1, T(77)), got_dx(x.size() + 1, T(77));
  pool.forward(x.data(), got.data());
  CHECK(differences(got, y) == 0);
  pool.backward(grad.data(), got_dx.data());
  CHECK(differences(got_dx, dx) == 0);
  CHECK(got.back() == T(77));
  CHECK(got_dx.back() == T(77));
}

template <class T, pool_geometry G>
void check() {
  using max = volute::kernels::max_pool3d<T, G>;
  using average = volute::kernels::avg_pool3d<T, G>;
  for (int kind = 0; kind < 4; ++kind)
    check_max<T>(G, kind, {[](const T* x, T* y) { max::forward(x, y); }, [](const T* x, const T* v, T* y) { max::gather(x, v, y); },
                           [](const T* x, const T* g, T* dx) { max::scatter(x, g, dx); }});
  check_average<T>(G, {[](const T* x, T* y) { average::forward(x, y); }, [](const T* g, T* dx) { average::backward(g, dx); }});
}

using list = std::int64_t[3];

constexpr pool_geometry make(std::int64_t planes, const list& in, const list& kernel, const list& stride, const list& lo, const list& hi,
                             const list& dilation, bool ceil_mode = false, std::int64_t divisor = 0, bool include = true) {
  pool_geometry g;
  g.planes = planes, g.divisor = divisor, g.count_include_pad = include;
  for (int a = 0; a < 3; ++a) {
    g.in[a] = in[a], g.kernel[a] = kernel[a], g.stride[a] = stride[a], g.lo[a] = lo[a], g.hi[a] = hi[a], g.dilation[a] = dilation[a];
    const std::int64_t room = in[a] + lo[a] + hi[a] - dilation[a] * (kernel[a] - 1) - 1;
    g.out[a] = (room + (ceil_mode ? stride[a] - 1 : 0)) / stride[a] + 1;
    if (ceil_mode && (g.out[a] - 1) * stride[a] >= in[a] + lo[a]) --g.out[a];  // PyTorch: the last window starts on the input or the low padding
  }
  return g;
}

constexpr pool_geometry adaptive(std::int64_t planes, const list& in, const list& out) {
  pool_geometry g;
  g.planes = planes, g.adaptive = true;
  for (int a = 0; a < 3; ++a) g.in[a] = in[a], g.out[a] = out[a];
  return g;
}

constexpr list one{1, 1, 1}, two{2, 2, 2}, three{3, 3, 3}, none{0, 0, 0};

}  // namespace

TEMPLATE_TEST_CASE("pooling: kernel 2, stride 2", "[kernels][pooling]", float, double) {
  check<TestType, make(3, {4, 4, 4}, two, two, none, none, one)>();
  check<TestType, make(2, {5, 7, 9}, two, two, none, none, one)>();
  check<TestType, make(2, {4, 8, 16}, two, two, none, none, one)>();  // two rows in a vector
  check<TestType, make(2, {3, 9, 8}, two, two, none, none, one)>();
  check<TestType, make(1, {2, 6, 24}, two, two, none, none, one)>();
  check<TestType, make(1, {2, 2, 48}, two, two, none, none, one)>();
  check<TestType, make(1, {2, 4, 37}, two, two, none, none, one)>();
  check<TestType, make(1, {2, 4, 64}, two, two, none, none, one)>();
}

TEMPLATE_TEST_CASE("pooling: pairs of columns, other windows along the rest", "[kernels][pooling]", float, double) {
  check<TestType, make(2, {5, 7, 21}, {3, 2, 2}, {1, 2, 2}, {1, 1, 0}, {1, 1, 0}, one)>();        // overlapping
  check<TestType, make(2, {8, 6, 12}, {2, 1, 2}, {3, 2, 2}, none, none, {2, 1, 1})>();            // gaps
  check<TestType, make(1, {3, 5, 38}, two, {5, 2, 2}, {4, 0, 0}, {3, 0, 0}, {1, 1, 1}, true)>();  // a window on padding alone
}

TEMPLATE_TEST_CASE("pooling: stride 1 and padding", "[kernels][pooling]", float, double) {
  check<TestType, make(2, {4, 5, 6}, three, one, one, one, one)>();
  check<TestType, make(2, {4, 5, 35}, three, one, one, one, one, false, 0, false)>();
  check<TestType, make(1, {3, 3, 49}, {2, 3, 4}, one, {1, 0, 2}, {0, 1, 1}, one)>();
  check<TestType, make(1, {1, 1, 1}, one, one, none, none, one)>();
}

TEMPLATE_TEST_CASE("pooling: stride 2 and 3, padding, dilation", "[kernels][pooling]", float, double) {
  check<TestType, make(2, {7, 8, 33}, three, two, one, one, one)>();
  check<TestType, make(2, {7, 8, 33}, three, two, one, one, one, false, 0, false)>();
  check<TestType, make(2, {7, 8, 61}, three, {2, 1, 3}, one, one, {1, 2, 3}, false, 5)>();
  check<TestType, make(1, {6, 9, 30}, two, three, {1, 0, 1}, {0, 1, 1}, {3, 1, 4})>();
}

TEMPLATE_TEST_CASE("pooling: ceil_mode", "[kernels][pooling]", float, double) {
  check<TestType, make(2, {4, 6, 8}, three, two, none, none, one, true)>();
  check<TestType, make(2, {4, 6, 8}, three, two, one, one, one, true)>();
  check<TestType, make(2, {4, 6, 20}, three, two, one, one, one, true, 0, false)>();
  check<TestType, make(1, {5, 5, 36}, two, three, one, one, one, true, 7)>();
  // windows larger than the input and its padding
  check<TestType, make(2, {1, 4, 4}, two, two, none, none, one, true)>();
  check<TestType, make(2, {1, 2, 3}, {4, 3, 5}, {4, 2, 3}, none, none, one, true, 0, false)>();
  check<TestType, make(1, {2, 1, 5}, {3, 3, 9}, {2, 3, 7}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}, true)>();
}

TEMPLATE_TEST_CASE("pooling: windows that miss the input", "[kernels][pooling]", float, double) {
  check<TestType, make(1, {1, 2, 3}, two, one, {2, 2, 4}, {2, 2, 3}, {3, 1, 1}, false, 0, false)>();
}

TEMPLATE_TEST_CASE("pooling: adaptive", "[kernels][pooling]", float, double) {
  check<TestType, adaptive(2, {5, 7, 9}, {2, 3, 4})>();
  check<TestType, adaptive(2, {4, 4, 40}, {1, 1, 1})>();
  check<TestType, adaptive(1, {3, 3, 5}, {4, 5, 7})>();  // more windows than inputs
  check<TestType, adaptive(1, {2, 3, 1500}, {1, 2, 1})>();
  check<TestType, adaptive(1, {2, 3, 3000}, {1, 2, 7})>();
}

TEMPLATE_TEST_CASE("pooling: rows longer than the buffer, windows wider than it", "[kernels][pooling]", float, double) {
  check<TestType, make(1, {2, 2, 2500}, two, two, none, none, one)>();
  check<TestType, make(1, {2, 2, 2500}, {2, 2, 3}, one, {0, 0, 1}, {0, 0, 1}, one)>();
  check<TestType, make(1, {2, 2, 2500}, {1, 2, 1100}, {1, 1, 300}, {0, 0, 9}, {0, 0, 9}, one)>();
}

TEST_CASE("pooling: numbers of the definition", "[kernels][pooling]") {
  // one axis 1 2 3, kernel 2, stride 2, low padding 1: windows (pad, 1) and (2, 3)
  constexpr pool_geometry g = make(1, {1, 1, 3}, {1, 1, 2}, {1, 1, 2}, {0, 0, 1}, none, one);
  const float x[] = {1, 2, 3};
  float y[2];
  volute::kernels::avg_pool3d<float, g>::forward(x, y);
  CHECK(y[0] == 0.5f);
  CHECK(y[1] == 2.5f);
  volute::kernels::max_pool3d<float, g>::forward(x, y);
  CHECK(y[0] == 1);
  CHECK(y[1] == 3);
  // ceil_mode of 1 .. 4 with kernel 3, stride 2, no padding: torch.nn.AvgPool1d(3, 2, ceil_mode=True) gives 2 and (3 + 4) / 2
  constexpr pool_geometry c = make(1, {1, 1, 4}, {1, 1, 3}, {1, 1, 2}, none, none, one, true);
  const float z[] = {1, 2, 3, 4};
  static_assert(c.out[2] == 2);
  volute::kernels::avg_pool3d<float, c>::forward(z, y);
  CHECK(y[0] == 2);
  CHECK(y[1] == 3.5f);
}
