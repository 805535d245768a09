// The scalar functions on vectors: errors in units of the last place against long double, and the special values of each.
#include "kernels_support.hpp"

#include <volute/kernels/scalar_program.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <string>

using volute::ops::fn;

namespace {

template <class T>
constexpr T inf = std::numeric_limits<T>::infinity();
template <class T>
constexpr T nan_of = std::numeric_limits<T>::quiet_NaN();

/// The function of one number, in all lanes; every lane must give the same bits.
template <fn F, class T>
__attribute__((noinline)) T one(T a, T b = 0, T c = 0) {
  using V = volute::simd::vec<T>;
  T r[volute::simd::width<T>];
  volute::simd::store(r, volute::kernels::apply<F, V>(V(a), V(b), V(c)));
  for (const T& e : r)
    if (std::memcmp(&e, r, sizeof(T)) != 0 && !std::isnan(e)) return T(12345);
  return r[volute::simd::width<T> - 1];
}

/// The largest error of F over [lo, hi] in units of the last place.
template <fn F, class T, class R>
double worst(R reference, double lo, double hi, bool logarithmic = false, T second = 0) {
  double most = 0;
  constexpr int steps = 8000;
  for (int i = 0; i <= steps; ++i) {
    const double t = double(i) / steps;
    const T x = static_cast<T>(logarithmic ? std::exp(std::log(lo) + t * (std::log(hi) - std::log(lo))) : lo + t * (hi - lo));
    const long double want = reference(static_cast<long double>(x), static_cast<long double>(second));
    const T rounded = static_cast<T>(want), got = one<F, T>(x, second);
    if (std::isinf(rounded) || std::isnan(rounded)) {
      if (!(got == rounded || (std::isnan(rounded) && std::isnan(got)))) return 1e30;
      continue;
    }
    int exponent = 0;
    (void)std::frexp(rounded, &exponent);
    exponent = std::max(exponent, std::numeric_limits<T>::min_exponent);
    const double ulp = std::ldexp(1.0, exponent - std::numeric_limits<T>::digits);
    const double error = std::abs(static_cast<double>((static_cast<long double>(got) - want))) / ulp;
    if (!(error <= most)) most = error;
  }
  return most;
}

/// Equal, a zero with its sign, NaN to NaN, and rounded within 4 units.
template <class T>
bool same(T got, T want) {
  if (std::isnan(want)) return std::isnan(got);
  if (want == 0 || std::isinf(want)) return got == want && std::signbit(got) == std::signbit(want);
  return std::abs(got - want) <= 4 * std::numeric_limits<T>::epsilon() * std::abs(want) + 2 * std::numeric_limits<T>::denorm_min();
}

template <class T>
struct special {
  T a, b, want;
};

template <fn F, class T>
void check(std::initializer_list<special<T>> list) {
  for (const special<T>& s : list) {
    const T got = one<F, T>(s.a, s.b);
    CAPTURE(static_cast<int>(F), s.a, s.b, s.want, got);
    CHECK(same(got, s.want));
  }
}

}  // namespace

#define REFERENCE(expression) [](long double x, [[maybe_unused]] long double y) -> long double { return expression; }

TEMPLATE_TEST_CASE("math: errors of exponentials and logarithms", "[kernels][math]", float, double) {
  using T = TestType;
  const bool f = sizeof(T) == 4;
  CHECK(worst<fn::exp, T>(REFERENCE(std::exp(x)), f ? -103.5 : -744, f ? 88.72 : 709.78) < 2.5);
  CHECK(worst<fn::exp, T>(REFERENCE(std::exp(x)), -1, 1) < 2);
  CHECK(worst<fn::expm1, T>(REFERENCE(std::expm1(x)), -45, f ? 88.72 : 709.78) < 3);
  CHECK(worst<fn::expm1, T>(REFERENCE(std::expm1(x)), 1e-12, 1, true) < 3);
  CHECK(worst<fn::log, T>(REFERENCE(std::log(x)), f ? 1e-44 : 1e-322, std::numeric_limits<T>::max(), true) < 2);
  CHECK(worst<fn::log, T>(REFERENCE(std::log(x)), 0.5, 2) < 3);
  CHECK(worst<fn::log1p, T>(REFERENCE(std::log1p(x)), -0.9999, 3) < 4);
  CHECK(worst<fn::log1p, T>(REFERENCE(std::log1p(x)), 1e-30, 1e30, true) < 4);
  CHECK(worst<fn::softplus, T>(REFERENCE(x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x))), f ? -87 : -700, 100) < 4);
  CHECK(worst<fn::sigmoid, T>(REFERENCE(1 / (1 + std::exp(-x))), f ? -87 : -700, 50) < 4);
}

TEMPLATE_TEST_CASE("math: errors of the other functions", "[kernels][math]", float, double) {
  using T = TestType;
  CHECK(worst<fn::tanh, T>(REFERENCE(std::tanh(x)), -12, 12) < 4);
  CHECK(worst<fn::tanh, T>(REFERENCE(std::tanh(x)), 1e-12, 1, true) < 4);
  CHECK(worst<fn::erf, T>(REFERENCE(std::erf(x)), -6, 6) < (sizeof(T) == 4 ? 4 : 80));  // 7.5e-15
  CHECK(worst<fn::erf, T>(REFERENCE(std::erf(x)), 1e-12, 1, true) < (sizeof(T) == 4 ? 4 : 30));
  CHECK(worst<fn::sin, T>(REFERENCE(std::sin(x)), -100, 100) < 4);
  CHECK(worst<fn::cos, T>(REFERENCE(std::cos(x)), -100, 100) < 4);
  CHECK(worst<fn::sin, T>(REFERENCE(std::sin(x)), 100, 1e8, true) < 4);
  CHECK(worst<fn::sqrt, T>(REFERENCE(std::sqrt(x)), std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), true) < 0.6);
  CHECK(worst<fn::rsqrt, T>(REFERENCE(1 / std::sqrt(x)), std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), true) < 1.6);
}

TEMPLATE_TEST_CASE("math: errors of powers", "[kernels][math]", float, double) {
  using T = TestType;
  const double wide = sizeof(T) == 4 ? 1e30 : 1e300;
  const auto reference = REFERENCE(std::pow(x, y));
  for (T y : {T(2), T(3), T(0.5), T(-1), T(-2.5), T(7.3), T(1.0 / 3)}) CHECK(worst<fn::power, T>(reference, 1e-3, 1e3, true, y) < 2.5);
  CHECK(worst<fn::power, T>(reference, -10, 10, false, T(3)) < 2.5);
  CHECK(worst<fn::power, T>(reference, 1 / wide, wide, true, T(1.0001)) < 2.5);
  CHECK(worst<fn::power, T>(reference, 0.99, 1.01, false, T(4000)) < 2.5);
  CHECK(worst<fn::power, T>(reference, 1e-5, 1e5, true, T(-7.7)) < 2.5);
}

TEMPLATE_TEST_CASE("math: special values of simple functions", "[kernels][math]", float, double) {
  using T = TestType;
  constexpr T i = inf<T>, n = nan_of<T>;
  check<fn::relu, T>({{n, 0, n}, {-i, 0, 0}, {i, 0, i}, {-1, 0, 0}, {2, 0, 2}});
  check<fn::minimum, T>({{n, 1, n}, {1, n, n}, {1, 2, 1}, {-i, 2, -i}});
  check<fn::maximum, T>({{n, 1, n}, {1, n, n}, {1, 2, 2}, {-i, 2, 2}});
  check<fn::abs, T>({{T(-0.0), 0, 0}, {n, 0, n}, {-i, 0, i}});
  check<fn::negate, T>({{0, 0, T(-0.0)}, {3, 0, -3}, {i, 0, -i}, {n, 0, n}});
  check<fn::sign, T>({{n, 0, 0}, {0, 0, 0}, {-3, 0, -1}, {i, 0, 1}});  // NaN gives 0, as torch.sign
  check<fn::step, T>({{n, 0, 0}, {0, 0, 0}, {1, 0, 1}, {-1, 0, 0}});
  check<fn::reciprocal, T>({{0, 0, i}, {T(-0.0), 0, -i}, {i, 0, 0}, {4, 0, T(0.25)}});
  check<fn::sqrt, T>({{-1, 0, n}, {i, 0, i}, {0, 0, 0}});
  check<fn::rsqrt, T>({{-1, 0, n}, {i, 0, 0}, {0, 0, i}, {n, 0, n}});
  check<fn::less, T>({{n, 1, 0}, {1, 2, 1}, {2, 2, 0}});
  check<fn::less_equal, T>({{n, n, 0}, {2, 2, 1}, {3, 2, 0}});
  check<fn::equal, T>({{n, n, 0}, {2, 2, 1}, {T(-0.0), 0, 1}});
  CHECK(one<fn::select, T>(0, n, 3) == 3);
  CHECK(one<fn::select, T>(1, 5, n) == 5);
  CHECK(one<fn::select, T>(n, 5, 3) == 5);  // NaN is not 0
}

TEMPLATE_TEST_CASE("math: special values of exponentials and logarithms", "[kernels][math]", float, double) {
  using T = TestType;
  constexpr T i = inf<T>, n = nan_of<T>, big = std::numeric_limits<T>::max(), tiny = std::numeric_limits<T>::denorm_min() * 5;
  check<fn::exp, T>({{i, 0, i}, {-i, 0, 0}, {n, 0, n}, {big, 0, i}, {-big, 0, 0}, {0, 0, 1}, {1000, 0, i}, {-1000, 0, 0}});
  check<fn::expm1, T>({{i, 0, i}, {-i, 0, -1}, {n, 0, n}, {0, 0, 0}, {1000, 0, i}, {-1000, 0, -1}, {tiny, 0, tiny}});
  check<fn::log, T>({{0, 0, -i}, {T(-0.0), 0, -i}, {-1, 0, n}, {-i, 0, n}, {i, 0, i}, {n, 0, n}, {1, 0, 0}});
  check<fn::log1p, T>({{-1, 0, -i}, {-2, 0, n}, {-i, 0, n}, {i, 0, i}, {n, 0, n}, {0, 0, 0}, {tiny, 0, tiny}, {big, 0, std::log(big)}});
  check<fn::tanh, T>({{i, 0, 1}, {-i, 0, -1}, {n, 0, n}, {0, 0, 0}, {100, 0, 1}, {T(-1e4), 0, -1}, {tiny, 0, tiny}});
  check<fn::sigmoid, T>({{i, 0, 1}, {-i, 0, 0}, {n, 0, n}, {0, 0, T(0.5)}, {T(1e4), 0, 1}, {T(-1e4), 0, 0}});
  check<fn::softplus, T>({{i, 0, i}, {-i, 0, 0}, {n, 0, n}, {T(1e4), 0, T(1e4)}, {T(-1e4), 0, 0}});
  check<fn::erf, T>({{i, 0, 1}, {-i, 0, -1}, {n, 0, n}, {0, 0, 0}, {10, 0, 1}, {-100, 0, -1}});
  check<fn::sin, T>({{i, 0, n}, {n, 0, n}, {0, 0, 0}, {tiny, 0, tiny}});
  check<fn::cos, T>({{i, 0, n}, {n, 0, n}, {0, 0, 1}});
}

TEMPLATE_TEST_CASE("math: special values of powers are those of std::pow", "[kernels][math]", float, double) {
  using T = TestType;
  const T i = inf<T>, n = nan_of<T>;
  const T values[] = {0,  T(-0.0), 1,       -1,      2,       -2,        T(0.5),    T(-0.5),  3,      -3,       i,      -i,
                      n,  T(1e-3), T(1e10), T(-1e10), T(1e20), T(16777217), T(0.9999), T(1.0001), T(2.5), T(-2.5), T(1e30), T(-1e-30)};
  for (T a : values)
    for (T b : values) {
      const T got = one<fn::power, T>(a, b), want = std::pow(a, b);
      CAPTURE(a, b, got, want);
      CHECK(same(got, want));
    }
}
