// The register blocks of the adjoint in the filter: sums stay in registers, and go to memory as tiles.
#pragma once

#include <volute/kernels/conv3d/registers.hpp>

#include <cstdint>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

using std::int64_t;

/// From memory, or zeros where nothing is there yet.
template <class Tile, class T>
VOLUTE_INLINE void load_tile(Tile& tile, const T* from, bool there) noexcept {
  there ? load_all(tile, from) : set_zero(tile);
}
/// What memory holds, added at the end of a block: in one chain through all blocks, the sums of a large volume would lose digits (2 million
/// pixels, numbers in [0, 1): 6e-4 of the value, so 5e-6).
template <class Tile, class T>
VOLUTE_INLINE void add_tile(Tile& tile, const T* from) noexcept {
  for_each_vector(tile, [from]<class V>(V& v, int i) VOLUTE_ALWAYS_INLINE { v = simd::load<V>(from + i * simd::lanes<V>) + v; });
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
