// The registers of a micro-kernel: arrays of vectors, of one or more axes, that lie in memory one vector after the other. All loops are of
// constant length and unrolled, so that no array is ever one in memory.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/machine.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

using std::int64_t;

/// f(0), f(1) ... f(N - 1), each of a type of its own.
template <int... I, class F>
VOLUTE_INLINE void unrolled(std::integer_sequence<int, I...>, F f) {
  (f(std::integral_constant<int, I>{}), ...);
}
template <int N, class F>
VOLUTE_INLINE void unrolled(F f) {
  unrolled(std::make_integer_sequence<int, N>{}, f);
}

/// f(vector, its number) for all of them.
template <class V, int N, class F>
VOLUTE_INLINE void for_each_vector(V (&list)[N], F f, int first = 0) noexcept {
  VOLUTE_EACH(i, N) {
    if constexpr (std::is_array_v<V>)
      for_each_vector(list[i], f, first + i * int(sizeof(V) / sizeof(std::remove_all_extents_t<V>)));
    else
      f(list[i], first + i);
  }
}
/// f(vector, where it lies in memory, of which `first` is the first one's).
template <class A, class T, class F>
VOLUTE_INLINE void for_each_place(A& list, T* first, F f) noexcept {
  for_each_vector(list, [&]<class V>(V& v, int i) VOLUTE_ALWAYS_INLINE { f(v, first + i * simd::lanes<V>); });
}
template <class A>
VOLUTE_INLINE void set_zero(A& list) noexcept {
  for_each_vector(list, []<class V>(V& v, int) VOLUTE_ALWAYS_INLINE { v = V(0); });
}
template <class A, class T>
VOLUTE_INLINE void load_all(A& list, const T* from) noexcept {
  for_each_place(list, from, []<class V>(V& v, const T* at) VOLUTE_ALWAYS_INLINE { v = simd::load<V>(at); });
}
/// The same of what each of R rows of accumulators reads. Of 16 registers g++ would rather spare these and let every product read memory: 17
/// loads for 12 products, 8.5 cycles of two ports for 6 of the products (24 -> 24 channels, 3x3x3, 48^3, Zen 3: 63 -> 52 ms).
template <int R, class A, class T>
VOLUTE_INLINE void load_operands(A& list, const T* from) noexcept {
  constexpr int N = int(std::extent_v<A>);
  load_all(list, from);
  if constexpr (machine.registers == 16 && R > 1 && (R + 1) * N + 1 <= machine.registers)
    for_each_vector(list, []<class V>(V& v, int) VOLUTE_ALWAYS_INLINE { simd::keep(v); });
}
/// Stream: past the caches.
template <bool Stream = false, class A, class T>
VOLUTE_INLINE void store_all(const A& list, T* to) noexcept {
  for_each_place(list, to, [](const auto& v, T* at) VOLUTE_ALWAYS_INLINE { Stream ? simd::stream(at, v) : simd::store(at, v); });
}
/// sum += factor * x.
template <class V, int N>
VOLUTE_INLINE void add_products(V (&sum)[N], const V& factor, const V (&x)[N]) noexcept {
  VOLUTE_EACH(i, N) sum[i] = simd::fma(factor, x[i], sum[i]);
}

/// The first n elements of a vector, 1 or more; the others are zeros, or stay as they are.
template <class V, class T>
VOLUTE_INLINE V load_first(const T* p, int64_t n) noexcept {
  return n >= simd::lanes<V> ? simd::load<V>(p) : simd::load_partial<V>(p, int(n));
}
template <class V, class T>
VOLUTE_INLINE void store_first(T* p, V v, int64_t n) noexcept {
  n >= simd::lanes<V> ? simd::store(p, v) : simd::store_partial(p, v, int(n));
}

/// What memory holds, added at the end of a block: in one chain through all blocks, the sums of a large volume would lose digits (2 million
/// pixels, numbers in [0, 1): 6e-4 of the value, so 5e-6).
template <class Tile, class T>
VOLUTE_INLINE void add_tile(Tile& tile, const T* from) noexcept {
  for_each_place(tile, from, []<class V>(V& v, const T* at) VOLUTE_ALWAYS_INLINE { v = simd::load<V>(at) + v; });
}
/// The sum of each one's lanes.
template <class Tile, class T>
VOLUTE_INLINE void reduce_tile(Tile& tile, T* to) noexcept {
  for_each_vector(tile, [to](const auto& v, int i) VOLUTE_ALWAYS_INLINE { to[i] = simd::reduce_add(v); });
}

/// e = sum, or (add) their sum.
template <class T>
VOLUTE_INLINE void put_sum(T& e, T sum, bool add) noexcept {
  e = add ? e + sum : sum;
}
/// The same of to[t][k] and sums[t][k]: t < rows, k < count.
template <class T>
VOLUTE_INLINE void put_sums(const T* sums, int64_t row, int64_t rows, int64_t count, T* to, int64_t to_row, bool add) noexcept {
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t k = 0; k < count; ++k) put_sum(to[t * to_row + k], sums[t * row + k], add);
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
