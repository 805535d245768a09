// From the plan's description of a kernel to the function that runs it. Functions are instantiated for what a kernel is (geometry, program,
// access), not for the program that it stands in, so equal kernels of different programs are one function.
#pragma once

#include <volute/kernels/attention_gradient.hpp>
#include <volute/kernels/blocked_maps.hpp>
#include <volute/kernels/conv3d.hpp>
#include <volute/kernels/copy.hpp>
#include <volute/kernels/elementwise.hpp>
#include <volute/kernels/gather.hpp>
#include <volute/kernels/matmul.hpp>
#include <volute/kernels/moments.hpp>
#include <volute/kernels/pooling.hpp>
#include <volute/kernels/pooling_blocked.hpp>
#include <volute/kernels/random.hpp>
#include <volute/kernels/reduce.hpp>
#include <volute/runtime/planned.hpp>

namespace volute::runtime {
inline namespace VOLUTE_ISA {

/// The pointers of one launch.
template <class T>
struct operands {
  const T* in[graph::max_operands];
  T* out;
  T* scratch;
  const kernels::team<T>& workers;
  random_state random{};
};
template <class T>
using kernel_function = void (*)(const graph::launch&, const operands<T>&) noexcept;

constexpr ops::lanes unpack_lanes(std::int64_t packed) {
  ops::lanes l;
  for (int i = 0; i < ops::max_program_inputs; ++i) l.input[i] = static_cast<ops::lane>((packed >> (2 * i)) & 3);
  return l;
}
constexpr ops::epilogue unpack_epilogue(const ops::scalar_program& p, std::int64_t packed) {
  ops::epilogue e;
  e.program = p;
  for (int i = 0; i < ops::max_program_inputs; ++i) e.operand[i] = static_cast<ops::access>((packed >> (2 * i)) & 3);
  return e;
}

template <class T, ops::scalar_program P, ops::lanes L>
void run_elementwise(const graph::launch& c, const operands<T>& o) noexcept {
  kernels::elementwise<T, P, L>(c.nest, o.in, o.out, o.workers);
}
template <class T, ops::scalar_program P, ops::lanes L, ops::reduction R, bool Inner>
void run_reduce(const graph::launch& c, const operands<T>& o) noexcept {
  kernels::reduce<T, P, L, R, Inner>(c.nest, o.in, o.out, o.workers, c.value);
}
template <class T, int L, ops::epilogue E>
void run_elementwise_blocked(const graph::launch& c, const operands<T>& o) noexcept {
  kernels::map_blocked<T, L, E>(ops::layout_of(c.nest), o.in, o.out, o.workers);
}
template <class T, int L, ops::epilogue E, ops::reduction R, bool KeepsSamples>
void run_reduce_blocked(const graph::launch& c, const operands<T>& o) noexcept {
  kernels::reduce_blocked<T, L, E, R, KeepsSamples>(ops::layout_of(c.nest), o.in, o.out, o.workers, c.value);
}
template <class T, bool A, bool B>
void run_matmul(const graph::launch& c, const operands<T>& o) noexcept {
  const auto& n = c.nest;
  kernels::matmul<T, A, B>(n.extent[0], n.extent[1], n.extent[2], n.extent[3], o.in[0], n.stride[0][0], o.in[1], n.stride[1][0], o.out,
                           o.workers);
}
/// The kernels of a convolution and of its pack.
template <class T>
constexpr kernels::conv_family family_of(const graph::kernel_spec& k, const ops::conv_geometry& g) {
  if (k.second) return kernels::linked_family;
  return kernels::family_of<T>(g,
                               graph::face_of(k.kind) == ops::face::forward ? kernels::conv_side::forward : kernels::conv_side::backward);
}

template <class T, ops::conv_geometry G, ops::epilogue E, bool Scale, ops::conv_layouts L>
void run_forward(const graph::launch&, const operands<T>& o) noexcept {
  kernels::conv3d_forward<T, G, E, Scale, L>::run(o.in[0], o.in[1], o.out, o.in + (Scale ? 3 : 2), Scale ? o.in[2] : nullptr, o.scratch,
                                                  o.workers);
}
template <class T, ops::conv_geometry G, ops::epilogue E, bool Scale, ops::conv_layouts L, kernels::conv_family Family>
void run_data(const graph::launch&, const operands<T>& o) noexcept {
  kernels::conv3d_backward_data<T, G, E, Scale, L, Family>::run(o.in[0], o.in[1], o.out, o.in + (Scale ? 3 : 2), Scale ? o.in[2] : nullptr,
                                                                o.scratch, o.workers);
}
template <class T, ops::conv_geometry G, ops::conv_layouts L>
void run_weights(const graph::launch&, const operands<T>& o) noexcept {
  kernels::conv3d_backward_weights<T, G, L>::run(o.in[0], o.in[1], o.out, o.scratch, o.workers);
}
template <class T, ops::conv_geometry G>
void run_pack_forward(const graph::launch&, const operands<T>& o) noexcept {
  kernels::conv3d_pack_forward<T, G>::run(o.in[0], o.out, o.workers);
}
template <class T, ops::conv_geometry G, kernels::conv_family Family>
void run_pack_data(const graph::launch&, const operands<T>& o) noexcept {
  kernels::conv3d_pack_backward_data<T, G, Family>::run(o.in[0], o.out, o.workers);
}
template <class T, ops::pool_geometry G, graph::kernel_kind K>
void run_pool(const graph::launch&, const operands<T>& o) noexcept {
  using graph::kernel_kind;
  if constexpr (K == kernel_kind::max_pool)
    kernels::max_pool3d<T, G>::forward(o.in[0], o.out, o.workers);
  else if constexpr (K == kernel_kind::max_gather)
    kernels::max_pool3d<T, G>::gather(o.in[0], o.in[1], o.out, o.workers);
  else if constexpr (K == kernel_kind::max_scatter)
    kernels::max_pool3d<T, G>::scatter(o.in[0], o.in[1], o.out, o.workers);
  else if constexpr (K == kernel_kind::avg_pool)
    kernels::avg_pool3d<T, G>::forward(o.in[0], o.out, o.workers);
  else if constexpr (K == kernel_kind::avg_adjoint)
    kernels::avg_pool3d<T, G>::backward(o.in[0], o.out, o.workers);
  else
    static_assert(sizeof(ops::no_branch_for<K, "kernel_table.hpp: run_pool">) > 0);
}
template <class T, ops::pool_geometry G, ops::conv_layouts L, graph::kernel_kind K>
void run_pool_blocked(const graph::launch&, const operands<T>& o) noexcept {
  static constexpr ops::pool_geometry geometry = G;
  static constexpr ops::conv_layouts layouts = L;
  constexpr int lanes = kernels::block_lanes<T>(L.source.block);
  kernels::pool_blocked<T, lanes, K == graph::kernel_kind::max_pool ? ops::reduction::maximum : ops::reduction::sum>(
      geometry, layouts.source, layouts.target, o.in[0], o.out, o.workers);
}
template <class T>
void run_copy(const graph::launch& c, const operands<T>& o) noexcept {
  ops::copy_nest n;
  n.rank = c.nest.rank;
  for (int a = 0; a < n.rank; ++a)
    n.extent[a] = c.nest.extent[a], n.in_stride[a] = c.nest.stride[0][a], n.out_stride[a] = c.nest.stride[1][a];
  kernels::strided_copy<T>(n, o.in[0], o.out, o.workers);
}
template <class T>
void run_fill(const graph::launch& c, const operands<T>& o) noexcept {
  kernels::fill<T>(o.out, c.nest.extent[0], kernels::saturated<T>(c.value), o.workers);
}
template <class T>
void run_arange(const graph::launch& c, const operands<T>& o) noexcept {
  for (std::int64_t i = 0; i < c.nest.extent[0]; ++i) o.out[i] = static_cast<T>(i);
}
template <class T>
void run_random(const graph::launch& c, const operands<T>& o) noexcept {
  kernels::uniform<T>(o.out, c.nest.extent[0], o.random, static_cast<std::uint64_t>(c.value), o.workers);
}
template <class T, bool Adjoint>
void run_gather(const graph::launch& c, const operands<T>& o) noexcept {
  const std::int64_t* const e = c.nest.extent;
  const kernels::gather_sizes s{e[0], e[1], e[2], e[3], e[4], c.nest.stride[1][0] == 0};
  if constexpr (Adjoint)
    kernels::scatter<T>(s, o.in[0], o.in[1], o.out, o.workers);
  else
    kernels::gather<T>(s, o.in[0], o.in[1], o.out, o.workers);
}

template <class T, std::int64_t Form, bool Gradient>
void run_attention(const graph::launch& c, const operands<T>& o) noexcept {
  constexpr ops::attention_form f = ops::attention_form::of(Form);
  constexpr int bias = 3, mask = bias + f.bias, rest = mask + (f.mask != ops::attention_mask::none), further = rest + (Gradient ? 3 : 0);
  kernels::attention_operands<T> a{.q = o.in[0], .k = o.in[1], .v = o.in[2]};
  if constexpr (f.bias) a.bias = o.in[bias];
  if constexpr (f.mask != ops::attention_mask::none) a.mask = o.in[mask];
  T* more[3]{};
  for (int k = 0, at = further; k < 3; ++k)
    if ((f.further >> k & 1) != 0) more[k] = const_cast<T*>(o.in[at++]);  // a result of this launch
  if constexpr (Gradient) {
    a.result = o.in[rest], a.sums = o.in[rest + 1], a.slope = o.in[rest + 2];
    kernels::attention_gradient<T, f>(c.nest, c.value, a, {o.out, more[0], more[1], more[2]}, o.scratch, o.workers);
  } else {
    kernels::attention<T, f>(c.nest, c.value, a, o.out, more[0], o.scratch, o.workers);
  }
}
template <class T, int L, bool KeepsSamples>
void run_moments(const graph::launch& c, const operands<T>& o) noexcept {
  T* const mean = const_cast<T*>(o.in[1]);  // a result of this launch
  kernels::moments_of<T, L, KeepsSamples>(ops::layout_of(c.nest), o.in[0], mean, o.out, o.workers);
}
template <class T>
void run_all_reduce(const graph::launch& c, const operands<T>& o) noexcept {
  std::copy_n(o.in[0], c.nest.extent[0], o.out);
}
/// Of a slab by itself.
template <class T, bool Adjoint>
void run_halo(const graph::launch& c, const operands<T>& o) noexcept {
  const ops::halo_sizes h(c.nest);
  const std::int64_t inner = h.inner(), outer = h.outer(), low = h.lo * h.plane;
  ops::copy_nest n;
  n.rank = 2;
  n.extent[0] = h.channels, n.extent[1] = inner;
  n.in_stride[0] = Adjoint ? outer : inner, n.out_stride[0] = Adjoint ? inner : outer;
  n.in_stride[1] = n.out_stride[1] = 1;
  (Adjoint ? n.in_offset : n.out_offset) = low;
  kernels::strided_copy<T>(n, o.in[0], o.out, o.workers);
  for (std::int64_t k = 0; !Adjoint && k < h.channels; ++k) {
    T* const channel = o.out + k * outer;
    std::fill_n(channel, low, T(0));
    std::fill(channel + low + inner, channel + outer, T(0));
  }
}
template <class T>
void run_room(const graph::launch&, const operands<T>&) noexcept {}

/// The layouts of a convolution of a plan.
template <class Plan>
constexpr ops::conv_layouts layouts_of(const graph::kernel_spec& k) {
  const auto layout = [](int i) { return i < 0 ? ops::volume_layout{} : Plan::tables.layouts[i]; };
  return {layout(k.source), layout(k.target)};
}

/// The function of kernel K of a plan.
template <class T, class Plan, int K>
constexpr kernel_function<T> function_of() {
  using graph::kernel_kind;
  constexpr graph::kernel_spec k = Plan::tables.kernels[K];
  if constexpr (k.source >= 0 && (k.kind == kernel_kind::elementwise || k.kind == kernel_kind::reduce)) {
    constexpr ops::epilogue e = unpack_epilogue(Plan::tables.programs[k.program], k.lanes);
    constexpr int lanes = kernels::block_lanes<T>(Plan::tables.layouts[k.source].block);
    if constexpr (k.kind == kernel_kind::elementwise)
      return &run_elementwise_blocked<T, lanes, e>;
    else
      return &run_reduce_blocked<T, lanes, e, k.how, k.second>;
  } else if constexpr (k.kind == kernel_kind::elementwise) {
    return &run_elementwise<T, Plan::tables.programs[k.program], unpack_lanes(k.lanes)>;
  } else if constexpr (k.kind == kernel_kind::reduce) {
    return &run_reduce<T, Plan::tables.programs[k.program], unpack_lanes(k.lanes), k.how, k.first>;
  } else if constexpr (k.kind == kernel_kind::matmul) {
    return &run_matmul<T, k.first, k.second>;
  } else if constexpr (k.kind == kernel_kind::conv_forward || k.kind == kernel_kind::conv_data) {
    constexpr ops::epilogue e =
        k.program < 0 ? ops::epilogue{} : unpack_epilogue(Plan::tables.programs[k.program < 0 ? 0 : k.program], k.lanes);
    if constexpr (k.kind == kernel_kind::conv_forward)
      return &run_forward<T, Plan::tables.convolutions[k.geometry], e, k.first, layouts_of<Plan>(k)>;
    else
      return &run_data<T, Plan::tables.convolutions[k.geometry], e, k.first, layouts_of<Plan>(k),
                       family_of<T>(k, Plan::tables.convolutions[k.geometry])>;
  } else if constexpr (k.kind == kernel_kind::conv_weights) {
    return &run_weights<T, Plan::tables.convolutions[k.geometry], layouts_of<Plan>(k)>;
  } else if constexpr (k.kind == kernel_kind::pack_forward) {
    return &run_pack_forward<T, Plan::tables.convolutions[k.geometry]>;
  } else if constexpr (k.kind == kernel_kind::pack_data) {
    return &run_pack_data<T, Plan::tables.convolutions[k.geometry], family_of<T>(k, Plan::tables.convolutions[k.geometry])>;
  } else if constexpr (k.kind == kernel_kind::copy) {
    return &run_copy<T>;
  } else if constexpr (k.kind == kernel_kind::fill) {
    return &run_fill<T>;
  } else if constexpr (k.kind == kernel_kind::arange) {
    return &run_arange<T>;
  } else if constexpr (k.kind == kernel_kind::random) {
    return &run_random<T>;
  } else if constexpr (k.kind == kernel_kind::gather || k.kind == kernel_kind::scatter) {
    return &run_gather<T, k.kind == kernel_kind::scatter>;
  } else if constexpr (k.kind == kernel_kind::attention || k.kind == kernel_kind::attention_gradient) {
    return &run_attention<T, k.lanes, k.kind == kernel_kind::attention_gradient>;
  } else if constexpr (k.kind == kernel_kind::moments) {
    constexpr int lanes = k.source < 0 ? 1 : kernels::block_lanes<T>(Plan::tables.layouts[k.source < 0 ? 0 : k.source].block);
    return &run_moments<T, lanes, k.second>;
  } else if constexpr (k.kind == kernel_kind::all_reduce) {
    return &run_all_reduce<T>;
  } else if constexpr (k.kind == kernel_kind::halo) {
    return &run_halo<T, k.first>;
  } else if constexpr (k.kind == kernel_kind::room) {
    return &run_room<T>;
  } else if constexpr (k.source >= 0 && (k.kind == kernel_kind::max_pool || k.kind == kernel_kind::avg_pool)) {
    return &run_pool_blocked<T, Plan::tables.pools[k.geometry], layouts_of<Plan>(k), k.kind>;
  } else if constexpr (k.kind == kernel_kind::max_pool || k.kind == kernel_kind::max_gather || k.kind == kernel_kind::max_scatter ||
                       k.kind == kernel_kind::avg_pool || k.kind == kernel_kind::avg_adjoint) {
    return &run_pool<T, Plan::tables.pools[k.geometry], k.kind>;
  } else {
    static_assert(sizeof(ops::no_branch_for<k.kind, "kernel_table.hpp: function_of">) > 0);
    return nullptr;
  }
}

template <class T, int N>
struct kernel_table {
  kernel_function<T> function[static_cast<std::size_t>(N) + 1]{};
};
template <class T, class Plan>
inline constexpr auto kernel_table_of = []<std::size_t... K>(std::index_sequence<K...>) {
  return kernel_table<T, static_cast<int>(sizeof...(K))>{{function_of<T, Plan, static_cast<int>(K)>()...}};
}
(std::make_index_sequence<static_cast<std::size_t>(Plan::size.kernels)>{});

/// Elements of scratch memory that each worker of a team needs, but for the first: the most that any kernel of the plan asks for.
VOLUTE_EXHAUSTIVE_BEGIN
template <class T, class Plan>
constexpr std::int64_t worker_elements() {
  using graph::kernel_kind;
  std::int64_t most = 0;
  for (int i = 0; i < Plan::size.kernels; ++i) {
    const graph::kernel_spec& k = Plan::tables.kernels[i];
    std::int64_t n = 0;
    // clang-format off
    switch (k.kind) {
      case kernel_kind::conv_forward:
        n = kernels::conv3d_worker_size<T>(Plan::tables.convolutions[k.geometry], kernels::conv_side::forward, layouts_of<Plan>(k).source);
        break;
      case kernel_kind::conv_data:
        n = kernels::conv3d_worker_size<T>(Plan::tables.convolutions[k.geometry], kernels::conv_side::backward,
                                           family_of<T>(k, Plan::tables.convolutions[k.geometry]), layouts_of<Plan>(k).source);
        break;
      case kernel_kind::conv_weights:
        n = kernels::conv3d_backward_weights_worker_size<T>(Plan::tables.convolutions[k.geometry]);
        break;
      case kernel_kind::attention: case kernel_kind::attention_gradient:
        n = kernels::attention_scratch<T>(ops::attention_form::of(k.lanes), k.kind == kernel_kind::attention_gradient);
        break;
      case kernel_kind::elementwise: case kernel_kind::reduce: case kernel_kind::matmul: case kernel_kind::pack_forward:
      case kernel_kind::pack_data: case kernel_kind::max_pool: case kernel_kind::max_gather: case kernel_kind::max_scatter:
      case kernel_kind::avg_pool: case kernel_kind::avg_adjoint: case kernel_kind::copy: case kernel_kind::fill: case kernel_kind::arange:
      case kernel_kind::random: case kernel_kind::gather: case kernel_kind::scatter: case kernel_kind::moments:
      case kernel_kind::all_reduce: case kernel_kind::halo: case kernel_kind::room: break;
    }
    // clang-format on
    most = n > most ? n : most;
  }
  return (most + 15) / 16 * 16;
}
VOLUTE_EXHAUSTIVE_END

}  // namespace VOLUTE_ISA
}  // namespace volute::runtime
