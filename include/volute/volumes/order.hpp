// When two programs of one network add in the same order, so that the voxels that they share have the same bits.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/kernels/conv3d.hpp>
#include <volute/runtime/facts.hpp>

namespace volute {
namespace volumes {
inline namespace VOLUTE_ISA {

/// What the order of a program's sums depends on: of each convolution its family, the order of its filters, and that its sums never leave
/// their registers before they are complete (or wait there plane by plane); 0 where it is not known: products of matrices, reductions,
/// filters that are taken in parts.
template <class Facts, class T>
constexpr std::uint64_t order_of_sums() {
  using plan = typename Facts::plan;
  using graph::kernel_kind;
  hash h;
  for (int i = plan::size.prologue; i < plan::size.launches; ++i) {
    const graph::kernel_spec& k = plan::tables.kernels[plan::tables.launches[i].kernel];
    if (k.kind == kernel_kind::matmul || k.kind == kernel_kind::reduce || k.kind == kernel_kind::moments ||
        k.kind == kernel_kind::conv_weights)
      return 0;
    if (!graph::convolves(k.kind)) continue;
    const ops::conv_geometry& g = plan::tables.convolutions[k.geometry];
    const auto side = k.kind == kernel_kind::conv_forward ? kernels::conv_side::forward : kernels::conv_side::backward;
    const kernels::conv_family family = runtime::family_of<T>(k, g);
    const auto s = kernels::schedule_of<T>(family, {kernels::canonical(g), side});
    if (s.carried == kernels::carry::tile) return 0;
    h.put(kernels::conv3d_facts<T>(g, side, family).order);
    h.put(static_cast<int>(side)), h.put(static_cast<int>(s.lanes)), h.put(static_cast<int>(s.copy)), h.put(static_cast<int>(s.carried));
  }
  return h.value;
}

}  // namespace VOLUTE_ISA
}  // namespace volumes

/// Whether two programs (tiled, model, ...) of one network and element type give the voxels that both compute the same bits: true where
/// every sum has the same order in both, wherever in the volume its voxel lies. Depends on the instruction set.
template <class A, class B>
inline constexpr bool same_bits = volumes::order_of_sums<typename A::facts, typename A::value_type>() != 0 &&
                                  volumes::order_of_sums<typename A::facts, typename A::value_type>() ==
                                      volumes::order_of_sums<typename B::facts, typename B::value_type>();

}  // namespace volute
