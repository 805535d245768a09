// The one shim over xtensor, the tensor type at the edge. From 0.26 on its headers live in folders of their own.
#pragma once

#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xnoalias.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xtensor.hpp>
#endif

#include <volute/core/extents.hpp>

#include <array>
#include <cstddef>

namespace volute {

/// A shape as xtensor wants it.
template <extents E>
inline constexpr auto xtensor_shape = [] {
  std::array<std::size_t, static_cast<std::size_t>(E.rank)> s{};
  for (int i = 0; i < E.rank; ++i) s[static_cast<std::size_t>(i)] = static_cast<std::size_t>(E.dim[i]);
  return s;
}();

/// A tensor of this shape over memory that somebody else owns. Allocates nothing.
template <extents E, class T>
auto tensor_view(T* data) {
  return xt::adapt(data, static_cast<std::size_t>(E.size()), xt::no_ownership(), xtensor_shape<E>);
}

/// A tensor of this rank that owns its memory.
template <class T, int Rank>
using owned_tensor = xt::xtensor<T, static_cast<std::size_t>(Rank)>;

}  // namespace volute
