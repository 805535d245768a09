// All primitives in one list; their place in it is the opcode of a graph's node. A new primitive is added here once.
#pragma once

#include <volute/ops/attention.hpp>
#include <volute/ops/convolution.hpp>
#include <volute/ops/gather.hpp>
#include <volute/ops/pooling.hpp>
#include <volute/ops/primitives.hpp>

#include <array>
#include <string_view>
#include <type_traits>

namespace volute::ops {

/// A list of primitives: place, decoding, and a check that a chain of branches names all of them.
template <class... Op>
struct op_list {
  static constexpr int size = sizeof...(Op);

  template <class Wanted>
  static constexpr int index_of() {
    int i = 0, found = -1;
    ((found = std::is_same_v<Op, Wanted> ? i : found, ++i), ...);
    return found;
  }

  template <class One, text Where, class... Known>
  struct among {
    static constexpr bool known = (std::is_same_v<One, Known> || ...);
    static_assert(sizeof(typename std::conditional_t<known, std::type_identity<char>, std::type_identity<no_branch<One, Where>>>::type));
  };
  /// `sizeof` of it does not compile if there is a primitive that is none of these. What tells primitives apart by other means than `visit`
  /// says so here.
  template <text Where, class... Known>
  struct all_among : among<Op, Where, Known...>... {};

  /// Calls f with the primitive of this opcode, decoded.
  template <class F>
  static constexpr void visit(int opcode, const attributes& a, F&& f) {
    int i = 0;
    (void)((i++ == opcode && (f(decode<Op>(a)), true)) || ...);
  }
};

/// Every kind of node that a graph has.
using primitives =
    op_list<input, parameter, fill, random, arange, barrier, elementwise, broadcast, reduce, reshape, transpose, slice, pad, concat, matmul,
            convolution, max_pool, avg_pool, gather, attention, attention_gradient, further_result, all_reduce, halo>;

/// Their names in reports.
inline constexpr std::string_view primitive_name[] = {
    "input",          "parameter",   "fill",     "random",    "arange", "barrier",   "elementwise",
    "broadcast",      "reduce",      "reshape",  "transpose", "slice",  "pad",       "concat",
    "matmul",         "convolution", "max_pool", "avg_pool",  "gather", "attention", "attention_gradient",
    "further_result", "all_reduce",  "halo"};
static_assert(sizeof(primitive_name) / sizeof(primitive_name[0]) == primitives::size, "volute: primitive_name names every primitive");

/// A primitive's place in the list: what a node stores.
template <class Op>
inline constexpr int opcode = primitives::index_of<Op>();

/// Whether a primitive has other values in each run by itself, or by other runs; the others have them by their operands, or not at all.
inline constexpr auto changes = [] {
  std::array<bool, primitives::size> c{};
  c[opcode<input>] = c[opcode<random>] = c[opcode<all_reduce>] = c[opcode<halo>] = true;
  return c;
}();
static_assert(
    sizeof(primitives::all_among<"ops/list.hpp: changes", input, random, all_reduce, halo,  // do; and these do not:
                                 parameter, fill, arange, barrier, elementwise, broadcast, reduce, reshape, transpose, slice, pad, concat,
                                 matmul, convolution, max_pool, avg_pool, gather, attention, attention_gradient, further_result>));

}  // namespace volute::ops
