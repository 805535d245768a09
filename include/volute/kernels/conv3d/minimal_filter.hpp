// Minimal filtering (Winograd 1980; Lavin and Gray 2015, https://arxiv.org/abs/1509.09308) along one axis: F(m, r) computes m neighbouring
// results of a filter of r taps with m + r - 1 products instead of m r. Data, filter and products go through three small linear
// transforms, the values of polynomials at some points. All of it is derived here, while compiling, from the points alone; transforms
// along several axes follow each other.
#pragma once

#include <volute/core/simd.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// A number that the points of a filter are made of: exact.
struct rational {
  std::int64_t numerator = 0, denominator = 1;
  constexpr double value() const { return double(numerator) / double(denominator); }
  constexpr bool one() const { return numerator == denominator; }
  friend constexpr rational operator*(rational a, rational b) { return reduced(a.numerator * b.numerator, a.denominator * b.denominator); }
  friend constexpr rational operator-(rational a, rational b) {
    return reduced(a.numerator * b.denominator - b.numerator * a.denominator, a.denominator * b.denominator);
  }
  friend constexpr rational operator/(rational a, rational b) {
    const std::int64_t sign = b.numerator < 0 ? -1 : 1;
    return reduced(sign * a.numerator * b.denominator, sign * a.denominator * b.numerator);
  }
  friend constexpr bool operator==(const rational&, const rational&) = default;

  static constexpr rational reduced(std::int64_t n, std::int64_t d) {
    std::int64_t a = n < 0 ? -n : n, b = d;
    while (b != 0) {
      const std::int64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a > 1 ? rational{n / a, d / a} : rational{n, d};
  }
};

/// F(outputs, taps) over the points 0, +-p[0], +-p[1], ..., infinity. One tap: no transform, one point.
struct minimal_filter {
  int outputs = 1, taps = 1;
  rational p[2]{};
  /// Products, and elements of the data that they need: 1, 4 or 6.
  constexpr int size() const { return outputs + taps - 1; }
  constexpr int pairs() const { return size() / 2 - 1; }
  friend constexpr bool operator==(const minimal_filter&, const minimal_filter&) = default;
};

/// The points of a size. With 5/8 and 5/4 the largest error of F(4, 3) in two axes and F(2, 3) in the third is a quarter of that with 1
/// and 2 (1.55e-6 beside 6.2e-6 of the largest value, 64 channels, float); 3/4 and 3/2 are as good in the filter's adjoint, where the
/// roles of taps and outputs are exchanged (2.4e-6 beside 1.1e-5); 2/3 and 3/2 are better for four and five taps (F(3, 4) and F(2, 5) in
/// three axes: 1.8e-6 and 1.4e-6 on average, beside 2.9e-6 and 2.3e-6 with 5/8 and 5/4).
constexpr minimal_filter minimal_filter_of(int outputs, int taps, bool adjoint = false) {
  minimal_filter f{outputs, taps, {}};
  if (f.size() == 4) f.p[0] = {1, 1};
  if (f.size() == 6 && adjoint) f.p[0] = {3, 4}, f.p[1] = {3, 2};
  if (f.size() == 6 && !adjoint) f.p[0] = taps < 4 ? rational{5, 8} : rational{2, 3}, f.p[1] = taps < 4 ? rational{5, 4} : rational{3, 2};
  return f;
}

/// The product of (point - q) over all other finite points q: of point 0, or of +-p[pair], which have the same.
constexpr rational minimal_weight(const minimal_filter& f, int pair) {
  rational n{1, 1};
  if (pair < 0) {
    for (int i = 0; i < f.pairs(); ++i) n = n * (rational{0, 1} - f.p[i] * f.p[i]);
    return n;
  }
  const rational square = f.p[pair] * f.p[pair];
  n = rational{2, 1} * square;
  for (int i = 0; i < f.pairs(); ++i)
    if (i != pair) n = n * (square - f.p[i] * f.p[i]);
  return n;
}

/// The pair of points that transformed element i belongs to: -1 for 0 and infinity.
constexpr int minimal_pair(const minimal_filter& f, int i) { return i == 0 || i + 1 == f.size() ? -1 : (i - 1) / 2; }

/// 1 / minimal_weight of transformed element i: what the product there is multiplied by, once, in the filter or at the end.
constexpr double minimal_scale(const minimal_filter& f, int i) {
  if (f.size() == 1 || i + 1 == f.size()) return 1;
  return 1 / minimal_weight(f, minimal_pair(f, i)).value();
}

/// a + c * b, or a + b.
template <rational C, class V>
VOLUTE_INLINE V minimal_add(V a, V b) {
  using T = typename V::value_type;
  if constexpr (C.one())
    return a + b;
  else if constexpr (C == rational{-1, 1})
    return a - b;
  else
    return simd::fma(V(static_cast<T>(C.value())), b, a);
}

/// Data, x[0 ... size): y[i] = the coefficients of the product of (x - q) over all points q but the i-th, times x. Points +-p share their
/// even and odd parts: 4 operations for both with size 6.
template <minimal_filter F, class V>
VOLUTE_INLINE void minimal_data(const V* x, V* y) {
  constexpr rational a = F.p[0] * F.p[0], b = F.p[1] * F.p[1], none{};
  if constexpr (F.size() == 1) {
    y[0] = x[0];
  } else if constexpr (F.size() == 4) {
    y[0] = minimal_add<none - a>(x[2], x[0]);
    y[1] = minimal_add<F.p[0]>(x[2], x[1]);
    y[2] = minimal_add<none - F.p[0]>(x[2], x[1]);
    y[3] = minimal_add<none - a>(x[3], x[1]);
  } else {
    static_assert(F.size() == 6);
    constexpr rational sum = none - a - b;
    const V even_a = minimal_add<none - b>(x[4], x[2]), odd_a = minimal_add<none - b>(x[3], x[1]);
    const V even_b = minimal_add<none - a>(x[4], x[2]), odd_b = minimal_add<none - a>(x[3], x[1]);
    y[0] = minimal_add<a * b>(minimal_add<sum>(x[4], x[2]), x[0]);
    y[1] = minimal_add<F.p[0]>(even_a, odd_a);
    y[2] = minimal_add<none - F.p[0]>(even_a, odd_a);
    y[3] = minimal_add<F.p[1]>(even_b, odd_b);
    y[4] = minimal_add<none - F.p[1]>(even_b, odd_b);
    y[5] = minimal_add<a * b>(minimal_add<sum>(x[5], x[3]), x[1]);
  }
}

/// p[pair]^exponent.
template <minimal_filter F, int Pair, int Exponent>
constexpr rational minimal_power() {
  rational power{1, 1};
  for (int e = 0; e < Exponent; ++e) power = power * F.p[Pair];
  return power;
}

/// Values of the polynomial with coefficients w[0 ... N) at p[Pair] and at its negative.
template <minimal_filter F, int N, int Pair, class V>
VOLUTE_INLINE void minimal_values_of_pair(const V* w, V* y) {
  constexpr int last_even = (N - 1) / 2 * 2, last_odd = N / 2 * 2 - 1;
  constexpr rational p = F.p[Pair], square = p * p;
  V even = w[last_even], odd = w[last_odd];
  if constexpr (last_even >= 4) even = minimal_add<square>(w[last_even - 2], even);
  if constexpr (last_even >= 2) even = minimal_add<square>(w[0], even);
  if constexpr (last_odd >= 5) odd = minimal_add<square>(w[last_odd - 2], odd);
  if constexpr (last_odd >= 3) odd = minimal_add<square>(w[1], odd);
  y[0] = minimal_add<p>(even, odd);
  y[1] = minimal_add<rational{0, 1} - p>(even, odd);
}

/// The same at all points; at infinity the last coefficient.
template <minimal_filter F, int N, class V>
VOLUTE_INLINE void minimal_values(const V* w, V* y) {
  static_assert(N <= 6 && (N > 1 || F.size() == 1));
  y[0] = w[0];
  if constexpr (F.size() > 1) {
    minimal_values_of_pair<F, N, 0>(w, y + 1);
    if constexpr (F.pairs() > 1) minimal_values_of_pair<F, N, 1>(w, y + 3);
    y[F.size() - 1] = w[N - 1];
  }
}

/// Product sums to result K of N: see minimal_results().
template <minimal_filter F, int N, int K, class V>
VOLUTE_INLINE V minimal_result(const V* m, const V* sum, const V* difference) {
  const V* const terms = K % 2 == 0 ? sum : difference;
  V total = terms[0];
  if constexpr (F.pairs() > 1) {  // the first pair's factor comes out of the sum: one operation less
    constexpr rational first = minimal_power<F, 0, K>(), second = minimal_power<F, 1, K>();
    if constexpr (K == 0 || K == N - 1)
      return minimal_add<second>(minimal_add<first>(K == 0 ? m[0] : m[F.size() - 1], terms[0]), terms[1]);
    else
      total = minimal_add<second>(V(static_cast<typename V::value_type>(first.value())) * terms[0], terms[1]);
  }
  static_assert(F.pairs() > 1 || F.p[0].one());
  return K == 0 ? total + m[0] : K == N - 1 ? total + m[F.size() - 1] : total;
}

/// Products, m[0 ... size), to N results: y[k] = the sum over the points of point^k times the product there; that at infinity comes to the
/// last one.
template <minimal_filter F, int N, class V>
VOLUTE_INLINE void minimal_results(const V* m, V* y) {
  static_assert(N <= 5 && (N > 1 || F.size() == 1));
  if constexpr (F.size() == 1) {
    y[0] = m[0];
  } else {
    const V sum[2]{m[1] + m[2], F.pairs() > 1 ? m[F.size() - 3] + m[F.size() - 2] : m[0]};
    const V difference[2]{m[1] - m[2], F.pairs() > 1 ? m[F.size() - 3] - m[F.size() - 2] : m[0]};
    y[0] = minimal_result<F, N, 0>(m, sum, difference);
    y[1] = minimal_result<F, N, 1>(m, sum, difference);
    if constexpr (N > 2) y[2] = minimal_result<F, N, 2>(m, sum, difference);
    if constexpr (N > 3) y[3] = minimal_result<F, N, 3>(m, sum, difference);
    if constexpr (N > 4) y[4] = minimal_result<F, N, 4>(m, sum, difference);
  }
}

/// How much the transforms can enlarge a rounding error, beside the results' size: the product of the largest row sums of the absolute
/// values of the three matrices, of what each product passes. 1 for one tap; a measure to compare choices of points with.
constexpr double minimal_error(const minimal_filter& f) {
  if (f.size() == 1) return 1;
  const auto size = [](double x) { return x < 0 ? -x : x; };
  double worst = 0;
  for (int k = 0; k < f.outputs; ++k) {
    double total = 0;
    for (int i = 0; i < f.size(); ++i) {
      const int pair = minimal_pair(f, i);
      const double point = pair < 0 ? 0 : f.p[pair].value();
      double power = i == 0 ? (k == 0) : pair < 0 ? (k + 1 == f.outputs) : 1, filter = pair < 0, data = 1;
      if (pair >= 0) {
        for (int e = 0; e < k; ++e) power *= point;
        double term = 1;
        for (int e = 0; e < f.taps; ++e, term *= point) filter += term;
      }
      for (int j = 0; j < f.pairs(); ++j)
        if (j != pair) data *= 1 + f.p[j].value() * f.p[j].value();
      if (pair >= 0) data *= 1 + point;
      total += power * filter * size(minimal_scale(f, i)) * data;
    }
    if (total > worst) worst = total;
  }
  return worst;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
