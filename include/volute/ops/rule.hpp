// What a shape rule returns, and the small vocabulary that the rules share.
#pragma once

#include <volute/core/text.hpp>

#include <bit>
#include <cstdint>

namespace volute::ops {

/// The result of a shape rule: a shape, or a refusal in two short lines (clang cuts a string argument at 32 characters).
struct inferred {
  extents shape{};
  line wanted{};
  line got{};
  constexpr bool ok() const { return wanted.empty(); }
};

/// A refusal: what was wanted, what was found.
constexpr inferred refuse(const line& wanted, const line& got) { return {{}, wanted, got}; }

/// More elements no machine can address; with them as a bound, the bytes of thousands of tensors still are 64-bit numbers.
inline constexpr std::int64_t most_elements = std::int64_t{1} << 48;
/// Refuses what has more elements or a negative extent.
constexpr inferred check_size(const extents& e) {
  for (int i = 0; i < e.rank; ++i)
    if (e[i] < 0) return refuse(line("a tensor: extents >= 0"), line("got ") << e);
  if (e.size() > most_elements) return refuse(line("a tensor: at most 2^48 elements"), line("got ") << e);
  return {e, {}, {}};
}

/// Attributes of any primitive in a form that a graph can store and compare: its fields as 64-bit words.
struct attributes {
  static constexpr int capacity = 26;
  std::int64_t word[capacity]{};
  int words = 0;
};

/// The fields of a primitive. (No std::array: an index into one is two calls more, which g++ keeps until a constant evaluation ends.)
template <class Op>
struct fields_of {
  static_assert(sizeof(Op) % sizeof(std::int64_t) == 0, "volute: a primitive holds 64-bit fields only");
  static constexpr int count = static_cast<int>(sizeof(Op) / sizeof(std::int64_t));
  static_assert(count <= attributes::capacity, "volute: a primitive has more fields than attributes::capacity");
  std::int64_t word[count];
};

/// Primitives hold only 64-bit fields, so that encoding is a bit_cast.
template <class Op>
constexpr attributes encode(const Op& op) {
  attributes a;
  if constexpr (sizeof(Op) >= sizeof(std::int64_t)) {
    const auto fields = std::bit_cast<fields_of<Op>>(op);
    a.words = fields.count;
    for (int i = 0; i < fields.count; ++i) a.word[i] = fields.word[i];
  }
  return a;
}

/// The primitive back from its words.
template <class Op>
constexpr Op decode(const attributes& a) {
  if constexpr (sizeof(Op) >= sizeof(std::int64_t)) {
    fields_of<Op> fields{};
    for (int i = 0; i < fields.count; ++i) fields.word[i] = a.word[i];
    return std::bit_cast<Op>(fields);
  } else {
    return Op{};
  }
}

/// Something has no branch in a chain over all primitives, functions or kernels. Never defined: `sizeof` of it is the error message. clang
/// prints a text of more than 31 characters as numbers.
template <class Primitive, text Where>
struct no_branch;
template <auto Kind, text Where>
struct no_branch_for;

/// A switch between these two that leaves out an enumerator does not compile: an error names it. It has no default.
#define VOLUTE_EXHAUSTIVE_BEGIN _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic error \"-Wswitch\"")
#define VOLUTE_EXHAUSTIVE_END _Pragma("GCC diagnostic pop")

/// A set of axes as a bit mask.
using axis_set = std::int64_t;
constexpr axis_set axis_bit(int a) { return axis_set{1} << a; }
inline constexpr int axis_twice = max_rank + 1;  // no axis: the mark of a set in which one was said twice
constexpr bool contains(axis_set s, int a) { return ((s >> a) & 1) != 0; }
constexpr axis_set all_axes(int rank) { return (axis_set{1} << rank) - 1; }

/// The common shape of operands that broadcast: aligned at the last axis, extents equal or 1 (as in NumPy).
constexpr inferred broadcast_shape(const extents& a, const extents& b) {
  extents r;
  r.rank = a.rank > b.rank ? a.rank : b.rank;
  for (int i = 1; i <= r.rank; ++i) {
    const std::int64_t p = i <= a.rank ? a[a.rank - i] : 1, q = i <= b.rank ? b[b.rank - i] : 1;
    if (p != q && p != 1 && q != 1) return refuse(line("wants shapes that broadcast"), line("got ") << a << " and " << b);
    r[r.rank - i] = p == 1 ? q : p;
  }
  return {r, {}, {}};
}

/// True where `from` can be repeated to fill `to`.
constexpr bool broadcasts_to(const extents& from, const extents& to) {
  const inferred r = broadcast_shape(from, to);
  return r.ok() && r.shape == to;
}

}  // namespace volute::ops
