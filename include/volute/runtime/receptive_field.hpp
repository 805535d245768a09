// The receptive field of a network while it compiles: static_assert(receptive_field<net, input<"x", 1, 1, 32, 32, 32>>.depth.low == 7).
#pragma once

#include <volute/graph/receptive_field.hpp>
#include <volute/runtime/compile.hpp>

#include <limits>

namespace volute {

/// What a voxel of a result sees of an input along one axis: voxel j sees those from floor(j * stride) - low to floor(j * stride) + high.
struct axis_field {
  static constexpr std::int64_t all = std::numeric_limits<std::int64_t>::max();
  /// The smallest that hold for every voxel whose windows lie inside, and for mirrored or repeated borders; negative where it looks past
  /// itself (a border that is cut off); `all` where it sees everything.
  std::int64_t low = 0, high = 0;
  /// Voxels of the input between two neighbours of the result: 16, or 1/2 after upsampling.
  ratio stride{1};
  /// Where the middle of the windows of voxel 0 lies: 0 if the result lies on the input's grid, 1/2 after pooling by 2.
  ratio phase{};
  /// The layer and the operation that look at everything, or "".
  line where{};

  constexpr bool everything() const { return low == all; }
  friend constexpr bool operator==(const axis_field& a, const axis_field& b) {
    return a.low == b.low && a.high == b.high && a.stride == b.stride && a.phase == b.phase && a.where == b.where;
  }
};

/// The same along depth, height and width of (N, C, D, H, W).
struct volume_field {
  axis_field depth, height, width;
  constexpr const axis_field& operator[](int a) const { return a == 0 ? depth : a == 1 ? height : width; }
  constexpr bool everything() const { return depth.everything() || height.everything() || width.everything(); }
};

namespace graph {

/// The innermost layer that made a node.
constexpr line path_of(const view& g, int node) {
  line path;
  for (int i = 0; i < g.size.layers; ++i)
    if (g.layers[i].first_node <= node && node < g.layers[i].last_node) path = g.layers[i].path;
  return path;
}

/// What a node that looks at everything does, in words.
constexpr line deed_of(const view& g, const sight& s) {
  const int node = s.cause;
  if (s.kind == sight_kind::placed) return "another value at each place";
  if (g.is<ops::reduce>(node)) {
    constexpr const char* name[] = {"sum", "maximum", "mean"};
    return line("a ") << name[g.as<ops::reduce>(node).kind] << " over all voxels";
  }
  if (g.is<ops::attention>(node)) return "attention between voxels";
  if (g.is<ops::matmul>(node)) return "a product of matrices over voxels";
  if (g.is<ops::max_pool>(node) || g.is<ops::avg_pool>(node)) return "pooling that adapts to the size";
  if (g.is<ops::broadcast>(node)) return "one voxel for all";
  if (g.is<ops::elementwise>(node) || g.is<ops::concat>(node)) return "voxels of several places together";
  return line("voxels in another order: ") << ops::primitive_name[g.nodes[node].op];
}

constexpr axis_field field_of(const view& g, const sight& s, std::int64_t result_extent, std::int64_t input_extent) {
  axis_field f;
  if (s.is_blind()) {
    f.low = f.high = axis_field::all;
    f.where = path_of(g, s.cause);
    if (!f.where.empty()) f.where << ": ";
    f.where << deed_of(g, s).view();
    return f;
  }
  f.stride = s.step, f.phase = s.middle;
  if (!s.is_local()) return f;
  const auto whole = [&](std::int64_t j) { return (s.step * ratio(j)).floor(); };
  for (std::int64_t j = 0; j < s.step.den; ++j) {
    const std::int64_t low = whole(j) - first_seen(s, j), high = last_seen(s, j) - whole(j);
    if (j == 0 || low > f.low) f.low = low;
    if (j == 0 || high > f.high) f.high = high;
  }
  const std::int64_t end = result_extent - 1;
  if (s.near > f.high) f.high = s.near;
  if (s.far >= 0 && whole(end) - (input_extent - 1 - s.far) > f.low) f.low = whole(end) - (input_extent - 1 - s.far);
  return f;
}

/// What result `r` of a graph sees of input `i`, both of rank 5.
constexpr volume_field field_of(const view& g, int r, int i) {
  const field_walk walk(g, 1u << i, field_question::reach);
  const sights s = walk.result(r);
  const extents &y = g.shape(g.outputs[r]), &x = g.inputs[i].shape;
  return {field_of(g, s.axis[1], y[2], x[2]), field_of(g, s.axis[2], y[3], x[3]), field_of(g, s.axis[3], y[4], x[4])};
}

}  // namespace graph

namespace runtime {

/// Why a receptive field is refused, or void.
template <class... E>
constexpr auto field_failure(output_list<E...>, auto result, auto input) {
  using first = typename detail::first_failed<E...>::type;
  if constexpr (!std::is_void_v<first>) {
    return first{};
  } else {
    constexpr auto& g = lowering::compiled<output_list<E...>>::graph;
    if constexpr (!g.wanted.empty()) {
      return failed<to_text<g.where>(), to_text<g.wanted>(), to_text<g.got>()>{};
    } else if constexpr (result >= g.size.outputs || input >= g.size.inputs) {
      return failed<text(""), text("a field of a result and an input"), text("got a number beyond the last")>{};
    } else {
      constexpr extents y = g.shapes[g.nodes[g.outputs[result]].shape], x = g.inputs[input].shape;
      constexpr line got = line("got ") << x << " and " << y;
      if constexpr (x.rank != 5 || y.rank != 5) return failed<text(""), text("a field wants (N,C,D,H,W)"), to_text<got>()>{};
    }
  }
}
template <class Outputs, int Result, int Input>
consteval volume_field field_of() {
  using failure = decltype(field_failure(Outputs{}, std::integral_constant<int, Result>{}, std::integral_constant<int, Input>{}));
  if constexpr (std::is_void_v<failure>)
    return graph::field_of(graph::view_of(lowering::compiled<Outputs>::graph), Result, Input);
  else if constexpr (!std::is_same_v<failure, reported>)
    static_assert(detail::accepted<detail::refused_for<failure>>::value);
  return {};
}

}  // namespace runtime

/// What a voxel of a network's result sees of its first input: of a program of these extents, so let no axis shrink to one voxel inside.
template <class Net, auto... Inputs>
inline constexpr volume_field receptive_field =
    runtime::field_of<output_list<decltype(invoke<Net>(std::remove_const_t<decltype(Inputs)>{}...))>, 0, 0>();

/// What result `Result` of `outputs(...)` sees of input `Input`, in the order in which the expressions name them.
template <auto Outputs, int Result = 0, int Input = 0>
inline constexpr volume_field receptive_field_of = runtime::field_of<std::remove_const_t<decltype(Outputs)>, Result, Input>();

}  // namespace volute
