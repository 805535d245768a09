// Attention and its gradient against the definition in double: every number of lanes and of keys that is left over, for float and double.
#include "kernels_support.hpp"

#include <volute/kernels/attention_gradient.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using namespace volute;
using namespace kernels_test;

namespace {

using doubles = std::vector<double>;

/// What a launch reads and makes, in T; matrices of a batch of 2 x 2.
template <class T>
struct data {
  ops::loop_nest nest;
  std::vector<T> q, k, v, bias, mask, slope, result, sums, dq, dk, dv, db;

  data(const ops::attention_form& f, std::int64_t queries, std::int64_t keys, bool row_bias) {
    numbers r(static_cast<std::uint64_t>(queries * 1000 + keys));
    r.bits();
    nest = make_nest({2, 2, queries, keys}, 0, {});
    q = r.vector<T>(4 * queries * f.features), k = r.vector<T>(4 * keys * f.features), v = r.vector<T>(4 * keys * f.values);
    slope = r.vector<T>(4 * queries * f.values);
    if (f.bias) {  // (2, 1, L, S), or (2, 1, 1, S)
      nest.stride[0][0] = (row_bias ? 1 : queries) * keys, nest.stride[0][2] = row_bias ? 0 : keys, nest.stride[0][3] = 1;
      bias = r.vector<T>(2 * nest.stride[0][0], -2, 2);
    }
    if (f.mask == ops::attention_mask::elements || f.mask == ops::attention_mask::terms) {  // (2, L, S)
      nest.stride[1][1] = queries * keys, nest.stride[1][2] = keys, nest.stride[1][3] = 1;
      mask = r.vector<T>(2 * queries * keys);
      for (std::size_t i = 0; i < mask.size() && f.mask == ops::attention_mask::elements; ++i)
        mask[i] = mask[i] > T(0.2) || static_cast<std::int64_t>(i) < keys ? T(0) : mask[i];
    } else if (f.mask == ops::attention_mask::groups) {  // (2, 1, 1, S)
      nest.stride[1][0] = keys, nest.stride[1][3] = 1;
      mask = r.vector<T>(2 * keys, 0, 3);
      for (T& m : mask) m = std::floor(m);
    }
    result.resize(slope.size()), sums.resize(static_cast<std::size_t>(4 * queries));
    dq.resize(q.size()), dk.resize(k.size()), dv.resize(v.size()), db.resize(bias.size());
  }
  kernels::attention_operands<T> operands() const {
    return {q.data(), k.data(), v.data(), bias.data(), mask.empty() ? nullptr : mask.data(), result.data(), sums.data(), slope.data()};
  }
};

/// Result, dq, dk, dv and the bias's gradient by their definition.
template <class T>
void define(const ops::attention_form& f, double scale, const data<T>& d, doubles (&y)[5]) {
  const std::int64_t L = d.nest.extent[2], S = d.nest.extent[3], D = f.features, E = f.values;
  const std::size_t sizes[]{d.result.size(), d.q.size(), d.k.size(), d.v.size(), d.bias.size()};
  for (int i = 0; i < 5; ++i) y[i].assign(sizes[i], 0);
  const auto at = [](const auto& x, std::int64_t i) { return static_cast<double>(x[static_cast<std::size_t>(i)]); };
  const auto place = [&](int which, std::int64_t m, std::int64_t i, std::int64_t j) {
    const std::int64_t* s = d.nest.stride[which];
    return m / 2 * s[0] + m % 2 * s[1] + i * s[2] + j * s[3];
  };
  const auto add = [](doubles& to, std::int64_t i, double by) { to[static_cast<std::size_t>(i)] += by; };
  for (std::int64_t row = 0; row < 4 * L; ++row) {
    const std::int64_t m = row / L, i = row % L;
    doubles p(static_cast<std::size_t>(S)), along(p.size());
    double sum = 0, inner = 0;
    for (std::int64_t j = 0; j < S; ++j) {
      double s = 0;
      for (std::int64_t c = 0; c < D; ++c) s += scale * at(d.q, row * D + c) * at(d.k, (m * S + j) * D + c);
      if (f.bias) s += at(d.bias, place(0, m, i, j));
      if (f.mask == ops::attention_mask::terms) s += at(d.mask, place(1, m, i, j));
      const bool seen = f.mask == ops::attention_mask::none || f.mask == ops::attention_mask::terms ||
                        (f.mask == ops::attention_mask::elements ? at(d.mask, place(1, m, i, j)) != 0
                                                                 : at(d.mask, place(1, m, 0, i)) == at(d.mask, place(1, m, 0, j)));
      p[static_cast<std::size_t>(j)] = seen && !(f.causal && j > i) ? std::exp(s) : 0;
      sum += p[static_cast<std::size_t>(j)];
    }
    for (std::int64_t j = 0; j < S; ++j) {
      double& w = p[static_cast<std::size_t>(j)];
      w = sum > 0 ? w / sum : 0;
      for (std::int64_t e = 0; e < E; ++e) {
        const std::int64_t to = row * E + e, from = (m * S + j) * E + e;
        add(y[0], to, w * at(d.v, from)), add(y[3], from, w * at(d.slope, to));
        along[static_cast<std::size_t>(j)] += at(d.slope, to) * at(d.v, from);
      }
      inner += w * along[static_cast<std::size_t>(j)];
    }
    for (std::int64_t j = 0; j < S; ++j) {
      const double slope = p[static_cast<std::size_t>(j)] * (along[static_cast<std::size_t>(j)] - inner);
      if (f.bias) add(y[4], place(0, m, i, j), slope);
      for (std::int64_t c = 0; c < D; ++c) {
        add(y[1], row * D + c, scale * slope * at(d.k, (m * S + j) * D + c));
        add(y[2], (m * S + j) * D + c, scale * slope * at(d.q, row * D + c));
      }
    }
  }
}

template <class T, ops::attention_form F>
void check(std::int64_t queries, std::int64_t keys, bool row_bias = false) {
  INFO(queries << " queries, " << keys << " keys, " << sizeof(T) << " bytes");
  constexpr double scale = 0.6;
  data<T> d(F, queries, keys, row_bias);
  std::vector<T> scratch(
      static_cast<std::size_t>(std::max(kernels::attention_scratch<T>(F, false), kernels::attention_scratch<T>(F, true))));
  const auto run = [&](const kernels::team<T>& workers) {
    for (std::vector<T>* made : {&d.result, &d.sums, &d.dq, &d.dk, &d.dv, &d.db}) std::fill(made->begin(), made->end(), T(7));
    std::fill(scratch.begin(), scratch.end(), std::numeric_limits<T>::quiet_NaN());
    kernels::attention<T, F>(d.nest, scale, d.operands(), d.result.data(), d.sums.data(), scratch.data(), workers);
    std::fill(scratch.begin(), scratch.end(), std::numeric_limits<T>::quiet_NaN());
    kernels::attention_gradient<T, F>(d.nest, scale, d.operands(), {d.dq.data(), d.dk.data(), d.dv.data(), F.bias ? d.db.data() : nullptr},
                                      scratch.data(), workers);
  };
  run({});
  doubles y[5];
  define(F, scale, d, y);
  const std::vector<T>* made[]{&d.result, &d.dq, &d.dk, &d.dv, &d.db};
  for (int i = 0; i < 5; ++i) {
    double largest = 1, off = 0;
    for (std::size_t n = 0; n < y[i].size(); ++n) {
      largest = std::fmax(largest, std::abs(y[i][n]));
      off = std::fmax(off, std::isfinite((*made[i])[n]) ? std::abs(static_cast<double>((*made[i])[n]) - y[i][n]) : 1e9);
    }
    INFO("result " << i);
    REQUIRE(off <= 2 * tolerance<T>() * largest);
  }
  if (queries * keys < 40000) return;
  const data<T> alone = d;
  for (const int threads : {2, 5}) {  // fewer than matrices, and more
    spinning_pool pool(threads);
    const std::int64_t each = static_cast<std::int64_t>(scratch.size());
    std::vector<T> others(static_cast<std::size_t>(each * (threads - 1)));
    run({&pool, others.data(), each});
    CHECK((d.result == alone.result && d.dq == alone.dq && d.dk == alone.dk && d.dv == alone.dv && d.db == alone.db));
  }
}

template <class T>
void check_all() {
  using ops::attention_mask;
  for (const std::int64_t queries : {1, 2, 5, 8, 13, 16, 24, 31, 49}) check<T, {7, 5}>(queries, 70);
  for (const std::int64_t keys : {1, 63, 64, 65, 130}) check<T, {7, 5}>(19, keys);
  check<T, {7, 5}>(310, 200);
  check<T, {16, 40, true, true}>(70, 90);
  check<T, {16, 40, true, true}>(90, 70, true);
  check<T, {16, 40, true, true}>(300, 150);
  check<T, {3, 17, true, false, attention_mask::elements}>(50, 66);
  check<T, {3, 17, false, true, attention_mask::groups}>(60, 60);
  check<T, {3, 17, true, true, attention_mask::terms}>(50, 66);
}

}  // namespace

TEST_CASE("attention in float is what its definition says") { check_all<float>(); }
TEST_CASE("attention in double is what its definition says") { check_all<double>(); }

TEST_CASE("exp of a score") {
  const auto check = [](auto number) {
    using T = decltype(number);
    using V = simd::vec<T>;
    const T infinity = std::numeric_limits<T>::infinity();
    double most = 0;
    alignas(64) T x[simd::width<T>], y[simd::width<T>];
    const auto run = [&](T a) {
      std::fill(std::begin(x), std::end(x), a);
      simd::store(y, kernels::exp_of_score(simd::load<V>(x)));
      return y[0];
    };
    numbers r(5);
    for (int i = 0; i < 200000; ++i) {
      const T a = static_cast<T>(i < 1000 ? r.uniform(-1e-3, 1e-3) : r.uniform(sizeof(T) == 4 ? -87.3 : -708, 0.5));
      const double wanted = std::exp(static_cast<double>(a)), got = static_cast<double>(run(a));
      most = std::fmax(most, std::abs(got - wanted) / wanted);
    }
    CHECK(most < 2.5 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    CHECK(run(T(0)) == T(1));
    CHECK(run(-infinity) == T(0));
    CHECK(run(T(-1000)) == T(0));
    CHECK(std::isnan(run(std::numeric_limits<T>::quiet_NaN())));
  };
  check(1.0f);
  check(1.0);
}
