// All primitives in one list; their place in it is the opcode of a graph's node. A new primitive is added here once.
#pragma once

#include <volute/ops/convolution.hpp>
#include <volute/ops/pooling.hpp>
#include <volute/ops/primitives.hpp>

#include <string_view>
#include <type_traits>

namespace volute::ops {

template <class... Op>
struct op_list {
  static constexpr int size = sizeof...(Op);

  template <class Wanted>
  static constexpr int index_of() {
    int i = 0, found = -1;
    ((found = std::is_same_v<Op, Wanted> ? i : found, ++i), ...);
    return found;
  }

  /// Calls f with the primitive of this opcode, decoded.
  template <class F>
  static constexpr void visit(int opcode, const attributes& a, F&& f) {
    int i = 0;
    (void)((i++ == opcode && (f(decode<Op>(a)), true)) || ...);
  }
};

using primitives = op_list<input, parameter, fill, random, arange, barrier, elementwise, broadcast, reduce, reshape, transpose, slice, pad,
                           concat, matmul, convolution, max_pool, avg_pool>;

inline constexpr std::string_view primitive_name[] = {"input",       "parameter", "fill",   "random",    "arange", "barrier",
                                                      "elementwise", "broadcast", "reduce", "reshape",   "transpose", "slice",
                                                      "pad",         "concat",    "matmul", "convolution", "max_pool",  "avg_pool"};
static_assert(sizeof(primitive_name) / sizeof(primitive_name[0]) == primitives::size);

template <class Op>
inline constexpr int opcode = primitives::index_of<Op>();

}  // namespace volute::ops
