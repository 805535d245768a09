// Graphs and plans on their way from one constant evaluation to the next, as plain words: an array of structures of this length would cost
// the compiler more than the graph. What a structure holds is said once, for both directions; every description names all members, so
// that a member more or less is a compile-time error here ("only 5 names provided for structured binding").
#pragma once

#include <volute/graph/launch.hpp>

#include <bit>
#include <cstdint>
#include <type_traits>

namespace volute::lowering {

/// Words that are written. What finds no room is left out, and `full` says so.
template <int Capacity>
struct words {
  static constexpr bool writes = true;
  static constexpr int capacity = Capacity;
  std::int64_t word[capacity]{};
  int size = 0;
  bool full = false;
};
/// The same words, read in the same order.
struct reader {
  static constexpr bool writes = false;
  const std::int64_t* word;
};

// A compiler keeps each call of a constant evaluation with its arguments, a reference to each number would take more memory than the
// number: so the words go to and fro without calls, by macros that end with this file.
#define VOLUTE_ROOM                                                     \
  if constexpr (V::writes) { /* no structure has more than 256 words */ \
    if (v.size > V::capacity - 256) return void(v.full = true);         \
  }
#define VOLUTE_WORD(x)                                              \
  {                                                                 \
    if constexpr (V::writes)                                        \
      v.word[v.size++] = static_cast<std::int64_t>(x);              \
    else                                                            \
      x = static_cast<std::remove_cvref_t<decltype(x)>>(*v.word++); \
  }
#define VOLUTE_WORDS(a, n) \
  for (int k = 0; k < n; ++k) VOLUTE_WORD(a[k])
#define VOLUTE_REAL(x)                                   \
  {                                                      \
    if constexpr (V::writes)                             \
      v.word[v.size++] = std::bit_cast<std::int64_t>(x); \
    else                                                 \
      x = std::bit_cast<double>(*v.word++);              \
  }

/// visit(v, s): all members of an S, in their order, through words or a reader.
template <class S>
struct fields;

// clang-format off

template <>
struct fields<line> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [data, size] = s;
    VOLUTE_WORD(size)
    for (int i = 0; i < size; i += 7) {  // seven characters a word
      std::int64_t w = 0;
      if constexpr (V::writes)
        for (int k = i; k < i + 7 && k < size; ++k) w |= static_cast<std::int64_t>(static_cast<unsigned char>(data[k])) << (8 * (k - i));
      VOLUTE_WORD(w)
      if constexpr (!V::writes)
        for (int k = i; k < i + 7 && k < size; ++k) data[k] = static_cast<char>((w >> (8 * (k - i))) & 255);
    }
  }
};
template <>
struct fields<extents> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [dim, rank] = s;
    VOLUTE_WORD(rank)
    VOLUTE_WORDS(dim, rank)
  }
};

// ---- a graph
template <>
struct fields<ops::attributes> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [word, count] = s;
    VOLUTE_WORD(count)
    VOLUTE_WORDS(word, count)
  }
};
template <>
struct fields<graph::input_info> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [name, shape, node] = s;
    fields<line>::visit(v, name);
    fields<extents>::visit(v, shape);
    VOLUTE_WORD(node)
  }
};
template <>
struct fields<graph::parameter_info> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [path, shape, kind, scale, node, offset, learned, update] = s;
    fields<line>::visit(v, path);
    fields<extents>::visit(v, shape);
    VOLUTE_REAL(scale)
    VOLUTE_WORD(kind) VOLUTE_WORD(node) VOLUTE_WORD(offset) VOLUTE_WORD(learned) VOLUTE_WORD(update)
  }
};
template <>
struct fields<layer_info> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [path, kind, shape, first_node, last_node, first_parameter, last_parameter] = s;
    fields<line>::visit(v, path);
    fields<line>::visit(v, kind);
    fields<extents>::visit(v, shape);
    VOLUTE_WORD(first_node) VOLUTE_WORD(last_node) VOLUTE_WORD(first_parameter) VOLUTE_WORD(last_parameter)
  }
};

/// A frozen graph, or what will become one: a struct with as many members, of which the arrays can be indexed.
template <class V, class G>
constexpr void graph_fields(V& v, G& g, const graph::graph_size& size) {
  auto& [nodes, operands, shapes, attributes, inputs, parameters, outputs, layers, forward, where, wanted, got] = g;
  [[maybe_unused]] const auto& [node_count, operand_count, shape_count, attribute_count, input_count, parameter_count, output_count,
                                layer_count, updates] = size;
  VOLUTE_ROOM
  VOLUTE_WORD(forward)
  fields<line>::visit(v, where);
  fields<line>::visit(v, wanted);
  fields<line>::visit(v, got);
  for (int i = 0; i < node_count; ++i) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [op, attribute, shape, first, count] = nodes[i];
    VOLUTE_WORD(op) VOLUTE_WORD(attribute) VOLUTE_WORD(shape) VOLUTE_WORD(first) VOLUTE_WORD(count)
  }
  for (int k = 0; k < operand_count; ++k) {
    VOLUTE_ROOM
    VOLUTE_WORD(operands[k])
  }
  for (int i = 0; i < shape_count; ++i) fields<extents>::visit(v, shapes[i]);
  for (int i = 0; i < attribute_count; ++i) fields<ops::attributes>::visit(v, attributes[i]);
  for (int i = 0; i < input_count; ++i) fields<graph::input_info>::visit(v, inputs[i]);
  for (int i = 0; i < parameter_count; ++i) fields<graph::parameter_info>::visit(v, parameters[i]);
  for (int k = 0; k < output_count; ++k) {
    VOLUTE_ROOM
    VOLUTE_WORD(outputs[k])
  }
  for (int i = 0; i < layer_count; ++i) fields<layer_info>::visit(v, layers[i]);
}

// ---- a plan
template <>
struct fields<graph::place> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [where, slot, offset] = s;
    VOLUTE_WORD(where) VOLUTE_WORD(slot) VOLUTE_WORD(offset)
  }
};
template <>
struct fields<graph::launch> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [kernel, node, count, in, out, scratch, scratch_size, value, nest] = s;
    VOLUTE_WORD(kernel) VOLUTE_WORD(node) VOLUTE_WORD(count) VOLUTE_WORD(scratch_size)
    VOLUTE_REAL(value)
    fields<graph::place>::visit(v, out);
    fields<graph::place>::visit(v, scratch);
    for (int i = 0; i < count; ++i) fields<graph::place>::visit(v, in[i]);
    [[maybe_unused]] auto& [rank, kept, extent, stride] = nest;
    VOLUTE_WORD(rank) VOLUTE_WORD(kept)
    VOLUTE_WORDS(extent, rank)
    // A copy's result has strides too; a convolution, which may have more operands than rows, has no nest.
    const int rows = rank == 0 ? 0 : count < 2 ? 2 : count < ops::max_program_inputs ? count : ops::max_program_inputs;
    for (int i = 0; i < rows; ++i) VOLUTE_WORDS(stride[i], rank)
  }
};
template <>
struct fields<graph::kernel_spec> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [kind, program, lanes, geometry, first, second, how, source, target] = s;
    VOLUTE_WORD(kind) VOLUTE_WORD(program) VOLUTE_WORD(lanes) VOLUTE_WORD(geometry) VOLUTE_WORD(first) VOLUTE_WORD(second) VOLUTE_WORD(how)
    VOLUTE_WORD(source) VOLUTE_WORD(target)
  }
};
template <>
struct fields<ops::scalar_program> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [inputs, constants, length, constant, code] = s;
    VOLUTE_WORD(inputs) VOLUTE_WORD(constants) VOLUTE_WORD(length)
    for (int i = 0; i < constants; ++i) VOLUTE_REAL(constant[i])
    for (int i = 0; i < length; ++i) {
      [[maybe_unused]] auto& [f, a, b, c] = code[i];
      VOLUTE_WORD(f) VOLUTE_WORD(a) VOLUTE_WORD(b) VOLUTE_WORD(c)
    }
  }
};
template <>
struct fields<ops::conv_geometry> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [batch, in_channels, out_channels, groups, in, out, kernel, stride, lo, dilation, filtering] = s;
    VOLUTE_WORD(batch) VOLUTE_WORD(in_channels) VOLUTE_WORD(out_channels) VOLUTE_WORD(groups) VOLUTE_WORD(filtering)
    VOLUTE_WORDS(in, 3) VOLUTE_WORDS(out, 3) VOLUTE_WORDS(kernel, 3) VOLUTE_WORDS(stride, 3) VOLUTE_WORDS(lo, 3) VOLUTE_WORDS(dilation, 3)
  }
};
template <>
struct fields<ops::pool_geometry> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [planes, in, out, kernel, stride, lo, hi, dilation, divisor, count_include_pad, adaptive] = s;
    VOLUTE_WORD(planes) VOLUTE_WORD(divisor) VOLUTE_WORD(count_include_pad) VOLUTE_WORD(adaptive)
    VOLUTE_WORDS(in, 3) VOLUTE_WORDS(out, 3) VOLUTE_WORDS(kernel, 3) VOLUTE_WORDS(stride, 3)
    VOLUTE_WORDS(lo, 3) VOLUTE_WORDS(hi, 3) VOLUTE_WORDS(dilation, 3)
  }
};
template <>
struct fields<ops::volume_layout> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [block, batch, channels, planes, rows, columns, rows_before, all_rows, columns_before, all_columns] = s;
    VOLUTE_WORD(block) VOLUTE_WORD(batch) VOLUTE_WORD(channels) VOLUTE_WORD(planes) VOLUTE_WORD(rows) VOLUTE_WORD(columns)
    VOLUTE_WORD(rows_before) VOLUTE_WORD(all_rows) VOLUTE_WORD(columns_before) VOLUTE_WORD(all_columns)
  }
};
template <>
struct fields<graph::value_info> {
  template <class V, class S>
  static constexpr void visit(V& v, S& s) {
    VOLUTE_ROOM
    [[maybe_unused]] auto& [node, size, first, last, at] = s;
    VOLUTE_WORD(node) VOLUTE_WORD(size) VOLUTE_WORD(first) VOLUTE_WORD(last)
    fields<graph::place>::visit(v, at);
  }
};

/// The tables of a plan, or what they will be made of.
template <class V, class P>
constexpr void plan_fields(V& v, P& p, const graph::plan_size& size, int value_count) {
  auto& [launches, kernels, programs, convolutions, pools, layouts, values] = p;
  [[maybe_unused]] const auto& [launch_count, prologue, kernel_count, program_count, convolution_count, pool_count, layout_count] = size;
  for (int i = 0; i < launch_count; ++i) fields<graph::launch>::visit(v, launches[i]);
  for (int i = 0; i < kernel_count; ++i) fields<graph::kernel_spec>::visit(v, kernels[i]);
  for (int i = 0; i < program_count; ++i) fields<ops::scalar_program>::visit(v, programs[i]);
  for (int i = 0; i < convolution_count; ++i) fields<ops::conv_geometry>::visit(v, convolutions[i]);
  for (int i = 0; i < pool_count; ++i) fields<ops::pool_geometry>::visit(v, pools[i]);
  for (int i = 0; i < layout_count; ++i) fields<ops::volume_layout>::visit(v, layouts[i]);
  for (int i = 0; i < value_count; ++i) fields<graph::value_info>::visit(v, values[i]);
}

// clang-format on
#undef VOLUTE_ROOM
#undef VOLUTE_WORD
#undef VOLUTE_WORDS
#undef VOLUTE_REAL

}  // namespace volute::lowering
