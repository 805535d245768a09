// The gradient of attention: scores are computed again, block by block, and never built (see kernels/attention.hpp).
#pragma once

#include <volute/kernels/attention.hpp>

#include <cmath>
#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// c (m, Width) += a (m, k) b (k, Width): a block of scores, keys down, by the rows of its queries.
template <std::int64_t Width, class T>
void add_product(std::int64_t m, std::int64_t k, const T* a, const T* b, T* c) noexcept {
  constexpr std::int64_t width = simd::width<T>, vectors = (Width + width - 1) / width;
  constexpr std::int64_t most = matmul_block<T>::rows > 4 ? 4 : 3;  // vectors of a tile
  constexpr std::int64_t panels = (vectors + most - 1) / most, each = (vectors + panels - 1) / panels;
  constexpr product_strides s{attention_block<T>::queries, 1, Width, Width};
  constexpr std::int64_t whole = vectors / each - (vectors % each == 0 && Width % width != 0 ? 1 : 0);  // panels of whole vectors
  for (std::int64_t j = 0; j < whole; ++j)
    attention_panel<static_cast<int>(each), s, true>(m, k, a, b + j * each * width, c + j * each * width);
  if constexpr (constexpr std::int64_t left = Width - whole * each * width; left > 0)
    attention_panel<static_cast<int>((left + width - 1) / width), s, true>(m, k, a, b + whole * each * width, c + whole * each * width,
                                                                           static_cast<int>((left - 1) % width + 1));
}

/// Weights p = exp(score - sum) and slopes p * (along - inner) of a block, in the place of scores and along.
template <int N, bool Add, class T>
__attribute__((noinline)) void slope_step(std::int64_t keys, T* scores, const T* add, T* along, const T* sums, const T* inner) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  constexpr std::int64_t row = attention_block<T>::queries;
  V sum[N], taken[N];
  unroll<N>([&](auto j) VOLUTE_ALWAYS_INLINE { sum[j] = simd::load<V>(sums + j * width), taken[j] = simd::load<V>(inner + j * width); });
  for (std::int64_t k = 0; k < keys; ++k)
    unroll<N>([&](auto j) VOLUTE_ALWAYS_INLINE {
      V s = simd::load<V>(scores + k * row + j * width);
      if constexpr (Add) s = s + simd::load<V>(add + k * row + j * width);
      const V p = exp_of_score(s - sum[j]);
      simd::store(scores + k * row + j * width, p);
      simd::store(along + k * row + j * width, p * (simd::load<V>(along + k * row + j * width) - taken[j]));
    });
}

/// Adds the slopes of a block to the gradient of the bias.
template <class T>
void add_bias_slopes(const query_block& b, std::int64_t key, std::int64_t keys, const T* slopes, std::int64_t row, std::int64_t column,
                     T* turned, T* to) noexcept {
  constexpr std::int64_t from_row = attention_block<T>::queries;
  to += b.first * row + key * column;
  if (row == 0 || column != 1) {
    for (std::int64_t k = 0; k < keys; ++k)
      for (std::int64_t i = 0; i < b.count; ++i) to[i * row + k * column] += slopes[k * from_row + i];
    return;
  }
  using V = simd::vec<T>;
  transpose_plane(slopes, from_row, turned, attention_block<T>::keys, keys, b.count);
  for (std::int64_t i = 0; i < b.count; ++i, turned += attention_block<T>::keys, to += row) {
    std::int64_t k = 0;
    for (; k + simd::width<T> <= keys; k += simd::width<T>) simd::store(to + k, simd::load<V>(to + k) + simd::load<V>(turned + k));
    for (; k < keys; ++k) to[k] += turned[k];
  }
}

/// What queries [begin, end) and keys [from, to) of one matrix give to the gradients, for those that are not null.
template <class T, ops::attention_form F>
void slopes_of(const attention_walk<T>& w, T scale, const attention_operands<T>& a, std::int64_t matrix, std::int64_t begin,
               std::int64_t end, std::int64_t from, std::int64_t to, const attention_slopes<T>& g, T* scratch) noexcept {
  using block = attention_block<T>;
  using W = attention_walk<T>;
  constexpr std::int64_t d = F.features, e = F.values, row = block::queries, each = attention_rows(F, true) * row;
  const T *const q = a.q + matrix * w.queries * d, *const k = a.k + matrix * w.keys * d, *const v = a.v + matrix * w.keys * e;
  const T *const result = a.result + matrix * w.queries * e, *const slope = a.slope + matrix * w.queries * e;
  const std::int64_t blocks = (end - begin + row - 1) / row;
  T *const scores = scratch + blocks * each, *const along = scores + block::scores;
  const score_addends<T, F> add{w, F.bias ? a.bias + w.offset(W::bias, matrix) : nullptr,
                                a.mask != nullptr ? a.mask + w.offset(W::mask, matrix) : nullptr, along + block::scores,
                                along + 2 * block::scores};
  for (std::int64_t i = 0; i < blocks; ++i) {
    const query_block b = query_block_at<T>(begin + i * row, end);
    T *const lanes = scratch + i * each, *const sums = lanes + (2 * d + e) * row;
    queries_to_lanes(b, q, d, scale, lanes);
    queries_to_lanes(b, slope, e, T(1), lanes + d * row);
    if (g.q != nullptr) set_lanes(lanes + (d + e) * row, d, T(0));
    for (std::int64_t j = 0; j < row; ++j) {
      sums[j] = j < b.count ? a.sums[matrix * w.queries + b.first + j] : std::numeric_limits<T>::infinity();
      T inner = 0;
      if (j < b.count)
        for (std::int64_t f = 0; f < e; ++f) inner += result[(b.first + j) * e + f] * slope[(b.first + j) * e + f];
      sums[row + j] = inner;
    }
  }
  for (std::int64_t key = from; key < to; key += block::keys)
    for (std::int64_t i = 0; i < blocks; ++i) {
      const query_block b = query_block_at<T>(begin + i * row, end);
      const std::int64_t last = keys_seen<F>(b, w.keys) < to ? keys_seen<F>(b, w.keys) : to;
      const std::int64_t keys = last - key < block::keys ? last - key : block::keys;
      if (keys <= 0) continue;
      T *const lanes = scratch + i * each, *const own = lanes + (d + e) * row, *const sums = own + d * row;
      const bool adds = add.any(b, key, keys);
      if (adds) add.make(b, key, keys);
      for_vectors(b.vectors, [&](auto count) {
        constexpr int N = decltype(count)::value;
        attention_panel<N, product_strides{d, 1, row, row}, false>(keys, d, k + key * d, lanes, scores);
        attention_panel<N, product_strides{e, 1, row, row}, false>(keys, e, v + key * e, lanes + d * row, along);
        if (adds)
          slope_step<N, true>(keys, scores, add.to, along, sums, sums + row);
        else
          slope_step<N, false>(keys, scores, add.to, along, sums, sums + row);
        if (g.q != nullptr) attention_panel<N, product_strides{1, d, row, row}, true>(d, keys, k + key * d, along, own);
      });
      if (g.v != nullptr) add_product<e>(keys, b.count, scores, slope + b.first * e, g.v + (matrix * w.keys + key) * e);
      if (g.k != nullptr) add_product<d>(keys, b.count, along, q + b.first * d, g.k + (matrix * w.keys + key) * d);
      if (g.bias != nullptr)
        add_bias_slopes(b, key, keys, along, w.row(W::bias), w.column(W::bias), scores, g.bias + w.offset(W::bias, matrix));
    }
  for (std::int64_t i = 0; i < blocks && g.q != nullptr; ++i) {
    const query_block b = query_block_at<T>(begin + i * row, end);
    T *const lanes = scratch + i * each, *const own = lanes + (d + e) * row;
    for (std::int64_t j = 0; j < row; ++j) lanes[j] = scale;
    scale_lanes(b, d, own, lanes);
    transpose_plane(own, row, g.q + (matrix * w.queries + b.first) * d, d, d, b.count);
  }
}

/// n elements times a number.
template <class T>
void scale_elements(T* to, std::int64_t n, T by) noexcept {
  for (std::int64_t i = 0; i < n; ++i) to[i] *= by;
}

/// The gradients of sum(result * slope). Scores are computed again. One thread makes all of a matrix in one pass; where there are fewer
/// matrices than threads, they share blocks of queries for q and the bias, then blocks of keys for k and v: the same sums in the same
/// order. Matrices with a bias in common are one thread's.
template <class T, ops::attention_form F>
void attention_gradient(const ops::loop_nest& nest, double scale_of_scores, const attention_operands<T>& a, const attention_slopes<T>& g,
                        T* scratch, const team<T>& workers = {}) noexcept {
  using W = attention_walk<T>;
  const W w(nest);
  const T scale = static_cast<T>(scale_of_scores);
  constexpr std::int64_t step = attention_block<T>::together(attention_rows(F, true)) * attention_block<T>::queries;
  const std::int64_t members = g.bias != nullptr ? w.members() : 1, groups = w.batch / members;
  const auto matrix_of = [&](std::int64_t group, std::int64_t member) { return g.bias != nullptr ? w.matrix_of(group, member) : group; };
  const auto least = [](std::int64_t one, std::int64_t other) { return one < other ? one : other; };
  /// All of these gradients that queries [begin, end) and keys [from, to) of a group give.
  const auto run = [&](std::int64_t group, std::int64_t begin, std::int64_t end, std::int64_t from, std::int64_t to,
                       const attention_slopes<T>& into, T* memory) noexcept {
    for (std::int64_t m = 0; m < members; ++m) {
      const std::int64_t matrix = matrix_of(group, m);
      if (into.k != nullptr) fill(into.k + (matrix * w.keys + from) * F.features, (to - from) * F.features, T(0));
      if (into.v != nullptr) fill(into.v + (matrix * w.keys + from) * F.values, (to - from) * F.values, T(0));
      for (std::int64_t i = begin; i < end; i += step)
        slopes_of<T, F>(w, scale, a, matrix, i, least(end, i + step), from, to, into, memory);
      if (into.k != nullptr) scale_elements(into.k + (matrix * w.keys + from) * F.features, (to - from) * F.features, scale);
    }
  };
  if (g.bias != nullptr) {
    std::int64_t n = 1;
    for (int i = 0; i < nest.rank; ++i) n *= nest.stride[W::bias][i] == 0 ? 1 : nest.extent[i];
    fill(g.bias, n, T(0));
  }
  const double work = static_cast<double>(w.batch * w.queries * w.keys * (3 * F.features + 2 * F.values)) / 40;
  const team<T> shared = work < worth_sharing ? team<T>{} : workers;
  if (shared.alone() || groups >= shared.workers->threads())
    return share(shared, groups,
                 [&](std::int64_t task, int worker) noexcept { run(task, 0, w.queries, 0, w.keys, g, workers.memory(worker, scratch)); });
  const std::int64_t parts =
      g.bias != nullptr && w.row(W::bias) == 0 ? 1 : (w.queries + step - 1) / step;  // a row of the bias is one part's
  share(shared, groups * parts, [&](std::int64_t task, int worker) noexcept {
    const std::int64_t begin = task % parts * step;
    run(task / parts, begin, parts == 1 ? w.queries : least(w.queries, begin + step), 0, w.keys, {g.q, nullptr, nullptr, g.bias},
        workers.memory(worker, scratch));
  });
  if (g.k == nullptr && g.v == nullptr) return;
  constexpr std::int64_t some = 4 * attention_block<T>::keys;
  const std::int64_t pieces = (w.keys + some - 1) / some;
  share(shared, groups * pieces, [&](std::int64_t task, int worker) noexcept {
    const std::int64_t from = task % pieces * some;
    run(task / pieces, 0, w.queries, from, least(w.keys, from + some), {nullptr, g.k, g.v, nullptr}, workers.memory(worker, scratch));
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
