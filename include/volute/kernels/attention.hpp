// Attention whose scores are never built (Dao et al. 2022, https://arxiv.org/abs/2205.14135). Queries are the lanes of
// vectors: a block of scores has a row for each key and a lane for each query, so maxima and sums of softmax go down columns, keys and
// values are read where they lie, and only queries and results are turned. All sums of an element have one order, whatever the blocks.
#pragma once

#include <volute/kernels/math.hpp>
#include <volute/kernels/matmul.hpp>
#include <volute/ops/attention.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// A block of scores: this many keys by this many queries (the lanes of a tile of matmul); and how many blocks of queries share the keys
/// that a cache holds.
template <class T>
struct attention_block {
  static constexpr std::int64_t keys = 64, queries = matmul_block<T>::columns;
  static constexpr std::int64_t scores = keys * queries;
  /// `rows`: numbers that are kept for each query; 192 KiB of them stay in the second cache.
  static constexpr std::int64_t together(std::int64_t rows) {
    const std::int64_t n = 192 * 1024 / (queries * rows * static_cast<std::int64_t>(sizeof(T)));
    return n < 1 ? 1 : n < 6 ? n : 6;
  }
};

/// Rows of numbers that one query needs: itself and its result; itself, the gradient that arrives, and its own gradient.
constexpr std::int64_t attention_rows(const ops::attention_form& f, bool gradient) {
  return gradient ? 2 * f.features + f.values + 2 : f.features + f.values + 3;
}
/// Elements of scratch memory of a worker.
template <class T>
constexpr std::int64_t attention_scratch(const ops::attention_form& f, bool gradient) {
  using block = attention_block<T>;
  const std::int64_t rows = attention_rows(f, gradient);
  return block::together(rows) * rows * block::queries + (gradient ? 4 : 3) * block::scores;
}

/// What attention reads; the gradient reads all of it.
template <class T>
struct attention_operands {
  const T *q = nullptr, *k = nullptr, *v = nullptr, *bias = nullptr, *mask = nullptr, *result = nullptr, *sums = nullptr, *slope = nullptr;
};
/// What the gradient makes; null: not wanted.
template <class T>
struct attention_slopes {
  T *q, *k, *v, *bias;
};

/// exp(a) of an `a` that is no larger than rounding makes it: 0 below the smallest normal result; NaN stays. Within 2.5 times the
/// machine's epsilon.
template <class V>
VOLUTE_INLINE V exp_of_score(V a) {
  using T = typename V::value_type;
  using integer = xsimd::as_integer_t<T>;
  constexpr bool single = std::is_same_v<T, float>;
  const V low(T(single ? -87.3365 : -708.396)), magic(T(single ? 0x1.8p23 : 0x1.8p52));
  const V x = simd::max(a, low);
  const V shifted = simd::fma(x, V(T(1.4426950408889634)), magic), n = shifted - magic;
  V r = simd::fma(n, V(T(single ? -0x1.62e300p-1 : -0x1.62e42feep-1)), x);
  r = simd::fma(n, V(T(single ? -9.0580006145e-06 : -1.90821492927058770002e-10)), r);
  constexpr int terms = single ? 6 : 12;
  constexpr double inverse_factorial[]{1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,      1.0 / 720,
                                       1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600};
  V p = V(T(inverse_factorial[terms]));
  VOLUTE_UNROLL
  for (int i = terms - 1; i >= 0; --i) p = simd::fma(p, r, V(T(inverse_factorial[i])));
  const auto bits = simd::bits_as<integer>(shifted) << (single ? 23 : 52);
  const V y = simd::bits_as<T>(simd::bits_as<integer>(p) + bits);
  return xsimd::select(a < low, V(T(0)), math::restore(a, y));
}

/// Strides of a product c (m, n) = or += a (m, k) b (k, n): rows and columns of a, rows of b and c, whose columns are contiguous. They are
/// constants: a tile's addresses are one pointer and what stands in its instructions.
struct product_strides {
  std::int64_t a_row, a_column, b_row, c_row;
};
/// M rows of N vectors, the last one of `last` lanes.
template <int M, int N, product_strides S, bool Add, class T>
__attribute__((noinline)) void attention_tile(std::int64_t k, const T* a, const T* b, T* c, int last) noexcept {
  product_tile<M, N>(k, {a, S.a_row, S.a_column}, b, S.b_row, c, S.c_row, last, last != simd::width<T>, Add);
}
/// All m rows of N vectors.
template <int N, product_strides S, bool Add, class T>
void attention_panel(std::int64_t m, std::int64_t k, const T* a, const T* b, T* c, int last = simd::width<T>) noexcept {
  constexpr int most = (matmul_block<T>::rows * 3 / N) < 12 ? matmul_block<T>::rows * 3 / N : 12;
  const auto tiles = [&](auto rows) VOLUTE_ALWAYS_INLINE {
    for (; m >= rows; m -= rows, a += rows * S.a_row, c += rows * S.c_row)
      attention_tile<decltype(rows)::value, N, S, Add, T>(k, a, b, c, last);
  };
  tiles(std::integral_constant<int, most>{});
  tiles(std::integral_constant<int, most / 2>{});
  tiles(std::integral_constant<int, 1>{});
}

/// f(integral constant 1, 2 or 3) for as many vectors.
template <class F>
VOLUTE_INLINE void for_vectors(int n, F&& f) {
  if (n == 3)
    f(std::integral_constant<int, 3>{});
  else if (n == 2)
    f(std::integral_constant<int, 2>{});
  else
    f(std::integral_constant<int, 1>{});
}

/// The sizes of one launch, and the walk over the axes that lead.
template <class T>
struct attention_walk {
  const ops::loop_nest& nest;
  std::int64_t queries, keys, batch = 1;
  static constexpr int bias = 0, mask = 1;  // which strides of the nest

  explicit attention_walk(const ops::loop_nest& n) noexcept : nest(n), queries(n.extent[n.rank - 2]), keys(n.extent[n.rank - 1]) {
    for (int a = 0; a + 2 < n.rank; ++a) batch *= n.extent[a];
  }
  /// Where the bias or the mask of matrix `at` of the batch begins.
  std::int64_t offset(int which, std::int64_t at) const noexcept {
    std::int64_t o = 0;
    for (int a = nest.rank - 3; a >= 0; at /= nest.extent[a], --a) o += at % nest.extent[a] * nest.stride[which][a];
    return o;
  }
  std::int64_t row(int which) const noexcept { return nest.stride[which][nest.rank - 2]; }
  std::int64_t column(int which) const noexcept { return nest.stride[which][nest.rank - 1]; }
  /// Matrices of the batch that have a bias in common: how many, and the matrix of each.
  std::int64_t members() const noexcept {
    std::int64_t n = 1;
    for (int a = 0; a + 2 < nest.rank; ++a) n *= nest.stride[bias][a] == 0 ? nest.extent[a] : 1;
    return n;
  }
  std::int64_t matrix_of(std::int64_t group, std::int64_t member) const noexcept {
    std::int64_t at = 0, step = 1;
    for (int a = nest.rank - 3; a >= 0; --a) {
      std::int64_t& from = nest.stride[bias][a] == 0 ? member : group;
      at += from % nest.extent[a] * step;
      from /= nest.extent[a];
      step *= nest.extent[a];
    }
    return at;
  }
};

/// One block of queries: lanes [0, count) of `vectors` vectors.
struct query_block {
  std::int64_t first, count;
  int vectors;
  std::int64_t lanes_of(int width) const noexcept { return vectors * width; }
};
template <class T>
query_block query_block_at(std::int64_t first, std::int64_t end) noexcept {
  const std::int64_t count = end - first < attention_block<T>::queries ? end - first : attention_block<T>::queries;
  return {first, count, static_cast<int>((count + simd::width<T> - 1) / simd::width<T>)};
}

/// Rows of lanes, all of one number.
template <class T>
void set_lanes(T* to, std::int64_t rows, T value) noexcept {
  using V = simd::vec<T>;
  for (std::int64_t f = 0; f < rows; ++f)
    for (int j = 0; j < matmul_block<T>::vectors; ++j, to += simd::width<T>) simd::store(to, V(value));
}

/// Rows of `features` numbers, one a query, become lanes: (features, queries), the rest zeros.
template <class T>
void queries_to_lanes(const query_block& b, const T* rows, std::int64_t features, T scale, T* lanes) noexcept {
  using V = simd::vec<T>;
  constexpr std::int64_t row = attention_block<T>::queries;
  transpose_plane(rows + b.first * features, features, lanes, row, b.count, features);
  for (std::int64_t f = 0; f < features; ++f) {
    T* const at = lanes + f * row;
    for (std::int64_t i = b.count; i < b.lanes_of(simd::width<T>); ++i) at[i] = T(0);
    for (int j = 0; j < b.vectors; ++j) simd::store(at + j * simd::width<T>, simd::load<V>(at + j * simd::width<T>) * V(scale));
  }
}

/// A block of a tensor like the scores, keys down and queries across.
template <class T>
void scores_to_lanes(const query_block& b, std::int64_t key, std::int64_t keys, const T* from, std::int64_t row, std::int64_t column,
                     T* to) noexcept {
  constexpr std::int64_t to_row = attention_block<T>::queries;
  from += b.first * row + key * column;
  if (row != 0 && column == 1) return transpose_plane(from, row, to, to_row, b.count, keys);
  for (std::int64_t k = 0; k < keys; ++k)
    for (std::int64_t i = 0; i < b.count; ++i) to[k * to_row + i] = from[i * row + k * column];
}

/// What is added to a block of scores: the biases, and -infinity where a mask is 0 or the key is behind the query.
template <class T, ops::attention_form F>
struct score_addends {
  static constexpr bool masked = F.mask != ops::attention_mask::none, terms = F.mask == ops::attention_mask::terms,
                        like_scores = terms || F.mask == ops::attention_mask::elements;
  const attention_walk<T>& walk;
  const T *bias, *mask;  // of the matrix at hand
  T *to, *masks;         // a block each

  bool any(const query_block& b, std::int64_t key, std::int64_t keys) const noexcept {
    return F.bias || masked || (F.causal && key + keys - 1 > b.first);
  }
  void make(const query_block& b, std::int64_t key, std::int64_t keys) const noexcept {
    using V = simd::vec<T>;
    using W = attention_walk<T>;
    constexpr int width = simd::width<T>;
    constexpr std::int64_t row = attention_block<T>::queries;
    const V nothing(-std::numeric_limits<T>::infinity()), zero(T(0));
    if (!F.bias || b.count < b.lanes_of(width)) set_lanes(to, keys, T(0));
    if constexpr (F.bias) scores_to_lanes(b, key, keys, bias, walk.row(W::bias), walk.column(W::bias), to);
    if constexpr (like_scores) {
      if (b.count < b.lanes_of(width)) set_lanes(masks, keys, T(terms ? 0 : 1));
      scores_to_lanes(b, key, keys, mask, walk.row(W::mask), walk.column(W::mask), masks);
    } else if constexpr (masked) {
      for (std::int64_t i = 0; i < b.lanes_of(width); ++i) masks[i] = i < b.count ? mask[b.first + i] : T(0);
    }
    alignas(64) T numbers[row];
    if constexpr (F.causal)
      for (std::int64_t i = 0; i < row; ++i) numbers[i] = static_cast<T>(b.first + i);
    for (std::int64_t k = 0; k < keys; ++k)
      for (int j = 0; j < b.vectors; ++j) {
        V s = simd::load<V>(to + k * row + j * width);
        if constexpr (terms)
          s = s + simd::load<V>(masks + k * row + j * width);
        else if constexpr (like_scores)
          s = s + xsimd::select(simd::load<V>(masks + k * row + j * width) == zero, nothing, zero);
        else if constexpr (masked)
          s = s + xsimd::select(simd::load<V>(masks + j * width) == V(mask[key + k]), zero, nothing);
        if constexpr (F.causal) s = s + xsimd::select(simd::load<V>(numbers + j * width) < V(static_cast<T>(key + k)), nothing, zero);
        simd::store(to + k * row + j * width, s);
      }
  }
};

/// The keys that a block of queries sees end here.
template <ops::attention_form F>
constexpr std::int64_t keys_seen(const query_block& b, std::int64_t keys) {
  return F.causal && b.first + b.count < keys ? b.first + b.count : keys;
}

/// Turns a block of scores into exp(score - largest so far) and takes the largest, their sum and the result along. `state`: rows largest,
/// sum, and room for what the result is multiplied by.
template <int N, bool Add, class T>
__attribute__((noinline)) bool softmax_step(std::int64_t keys, T* scores, const T* add, T* state) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  constexpr std::int64_t row = attention_block<T>::queries;
  const V none(-std::numeric_limits<T>::infinity());
  V largest[N], sum[N], factor[N];
  unroll<N>([&](auto j) VOLUTE_ALWAYS_INLINE { largest[j] = simd::load<V>(state + j * width); });
  for (std::int64_t k = 0; k < keys; ++k)
    unroll<N>([&](auto j) VOLUTE_ALWAYS_INLINE {
      V s = simd::load<V>(scores + k * row + j * width);
      if constexpr (Add) {
        s = s + simd::load<V>(add + k * row + j * width);
        simd::store(scores + k * row + j * width, s);
      }
      largest[j] = simd::max(largest[j], s);
    });
  bool grown = false;
  unroll<N>([&](auto j) VOLUTE_ALWAYS_INLINE {
    const V before = simd::load<V>(state + j * width);
    simd::store(state + j * width, largest[j]);
    grown = grown || xsimd::any(before != largest[j]);
    largest[j] = xsimd::select(largest[j] == none, V(T(0)), largest[j]);  // nothing seen so far: exp(-infinity) is 0
    factor[j] = exp_of_score(before - largest[j]);
    sum[j] = simd::load<V>(state + row + j * width) * factor[j];
    simd::store(state + 2 * row + j * width, factor[j]);
  });
  for (std::int64_t k = 0; k < keys; ++k)
    unroll<N>([&](auto j) VOLUTE_ALWAYS_INLINE {
      const V p = exp_of_score(simd::load<V>(scores + k * row + j * width) - largest[j]);
      simd::store(scores + k * row + j * width, p);
      sum[j] = sum[j] + p;
    });
  unroll<N>([&](auto j) VOLUTE_ALWAYS_INLINE { simd::store(state + row + j * width, sum[j]); });
  return grown;
}

/// rows[f][lane] *= factor[lane].
template <class T>
void scale_lanes(const query_block& b, std::int64_t rows, T* to, const T* factor) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>;
  for (std::int64_t f = 0; f < rows; ++f, to += attention_block<T>::queries)
    for (int j = 0; j < b.vectors; ++j) simd::store(to + j * width, simd::load<V>(to + j * width) * simd::load<V>(factor + j * width));
}

/// Queries [begin, end) of one matrix, at most attention_block::together blocks of them.
template <class T, ops::attention_form F>
void attend_queries(const attention_walk<T>& w, T scale, const attention_operands<T>& a, std::int64_t matrix, std::int64_t begin,
                    std::int64_t end, T* result, T* sums, T* scratch) noexcept {
  using block = attention_block<T>;
  using W = attention_walk<T>;
  constexpr std::int64_t d = F.features, e = F.values, row = block::queries, each = attention_rows(F, false) * row;
  const T *const q = a.q + matrix * w.queries * d, *const k = a.k + matrix * w.keys * d, *const v = a.v + matrix * w.keys * e;
  const std::int64_t blocks = (end - begin + row - 1) / row;
  T* const scores = scratch + blocks * each;
  const score_addends<T, F> add{w, F.bias ? a.bias + w.offset(W::bias, matrix) : nullptr,
                                a.mask != nullptr ? a.mask + w.offset(W::mask, matrix) : nullptr, scores + block::scores,
                                scores + 2 * block::scores};
  for (std::int64_t i = 0; i < blocks; ++i) {
    T* const lanes = scratch + i * each;
    queries_to_lanes(query_block_at<T>(begin + i * row, end), q, d, scale, lanes);
    set_lanes(lanes + d * row, e + 3, T(0));
    set_lanes(lanes + (d + e) * row, 1, -std::numeric_limits<T>::infinity());
  }
  for (std::int64_t key = 0; key < w.keys; key += block::keys)
    for (std::int64_t i = 0; i < blocks; ++i) {
      const query_block b = query_block_at<T>(begin + i * row, end);
      const std::int64_t seen = keys_seen<F>(b, w.keys) - key, keys = seen < block::keys ? seen : block::keys;
      if (keys <= 0) continue;
      T *const lanes = scratch + i * each, *const out = lanes + d * row, *const state = out + e * row;
      const bool adds = add.any(b, key, keys);
      if (adds) add.make(b, key, keys);
      for_vectors(b.vectors, [&](auto count) {
        constexpr int N = decltype(count)::value;
        attention_panel<N, product_strides{d, 1, row, row}, false>(keys, d, k + key * d, lanes, scores);
        const bool grown = adds ? softmax_step<N, true>(keys, scores, add.to, state) : softmax_step<N, false>(keys, scores, add.to, state);
        if (grown) scale_lanes(b, e, out, state + 2 * row);
        attention_panel<N, product_strides{1, e, row, row}, true>(e, keys, v + key * e, scores, out);
      });
    }
  for (std::int64_t i = 0; i < blocks; ++i) {
    const query_block b = query_block_at<T>(begin + i * row, end);
    T *const out = scratch + i * each + d * row, *const state = out + e * row;
    for (std::int64_t j = 0; j < row; ++j) {
      const T largest = state[j], sum = state[row + j];
      if (sums != nullptr && j < b.count)  // a row that sees nothing: exp(score - infinity) is 0 in the gradient
        sums[matrix * w.queries + b.first + j] = sum == T(0) ? std::numeric_limits<T>::infinity() : largest + std::log(sum);
      state[row + j] = sum == T(0) ? T(0) : T(1) / sum;
    }
    scale_lanes(b, e, out, state + row);
    transpose_plane(out, row, result + (matrix * w.queries + b.first) * e, e, e, b.count);
  }
}

/// result (lead..., L, E) = softmax(scale q k^T + addends) v; a row that sees no key is 0. `sums` (lead..., L), if it is not null:
/// log(sum(exp(score))), infinite in such a row.
template <class T, ops::attention_form F>
void attention(const ops::loop_nest& nest, double scale, const attention_operands<T>& a, T* result, T* sums, T* scratch,
               const team<T>& workers = {}) noexcept {
  const attention_walk<T> w(nest);
  constexpr std::int64_t step = attention_block<T>::together(attention_rows(F, false)) * attention_block<T>::queries;
  const std::int64_t parts = (w.queries + step - 1) / step;
  const double work = static_cast<double>(w.batch * w.queries * w.keys * (F.features + F.values)) / 40;
  share(work < worth_sharing ? team<T>{} : workers, w.batch * parts, [&](std::int64_t task, int worker) noexcept {
    const std::int64_t begin = task % parts * step, end = begin + step < w.queries ? begin + step : w.queries;
    attend_queries<T, F>(w, static_cast<T>(scale), a, task / parts, begin, end, result, sums, workers.memory(worker, scratch));
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
