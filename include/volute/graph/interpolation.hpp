// Recognises the constant matrices by which linear interpolation is written (language/volume.hpp): they are products that look at two
// neighbours, and not at everything.
#pragma once

#include <volute/graph/frozen.hpp>

#include <optional>

namespace volute::graph {

/// Element `index` of a value that is made of fill and arange alone; nothing where it is made of more.
constexpr std::optional<double> constant_element(const view& g, int id, std::int64_t index) {
  using ops::fn;
  if (g.is<ops::fill>(id)) return g.as<ops::fill>(id).value;
  if (g.is<ops::arange>(id)) return static_cast<double>(index);
  if (g.is<ops::reshape>(id)) return constant_element(g, g.operand(id, 0), index);
  if (g.is<ops::broadcast>(id)) {
    const extents &from = g.shape(g.operand(id, 0)), &to = g.shape(id);
    std::int64_t at = 0;
    for (int i = 1; i <= from.rank; ++i)
      if (from[from.rank - i] > 1) at += index / to.stride(to.rank - i) % to[to.rank - i] * from.stride(from.rank - i);
    return constant_element(g, g.operand(id, 0), at);
  }
  if (!g.is<ops::elementwise>(id) || g.nodes[id].count > 2) return {};
  const std::optional<double> a = constant_element(g, g.operand(id, 0), index);
  const std::optional<double> b = g.nodes[id].count == 2 ? constant_element(g, g.operand(id, 1), index) : a;
  if (!a || !b) return {};
  switch (g.as<ops::elementwise>(id).f()) {
    case fn::negate:
      return -*a;
    case fn::abs:
      return *a < 0 ? -*a : *a;
    case fn::relu:
      return *a > 0 ? *a : 0;
    case fn::add:
      return *a + *b;
    case fn::subtract:
      return *a - *b;
    case fn::multiply:
      return *a * *b;
    case fn::divide:
      return *a / *b;
    case fn::minimum:
      return *a < *b ? *a : *b;
    case fn::maximum:
      return *a < *b ? *b : *a;
    default:
      return {};
  }
}

/// Whether a value is a function f(position) of the elementwise kind over these operands.
constexpr bool is_map(const view& g, int id, ops::fn f) { return g.is<ops::elementwise>(id) && g.as<ops::elementwise>(id).f() == f; }

/// What lies behind reshapes.
constexpr int behind_reshapes(const view& g, int id) {
  while (g.is<ops::reshape>(id)) id = g.operand(id, 0);
  return id;
}

/// Whether `id` holds the column of each element of an (n * s, n) matrix.
constexpr bool counts_columns(const view& g, int id, std::int64_t n) {
  id = behind_reshapes(g, id);
  if (!g.is<ops::broadcast>(id)) return false;
  const int row = behind_reshapes(g, g.operand(id, 0));
  const extents& to = g.shape(id);
  return g.is<ops::arange>(row) && g.shape(row)[0] == n && to.rank > 0 && to[to.rank - 1] == n && g.shape(g.operand(id, 0)).size() == n &&
         g.shape(g.operand(id, 0))[g.shape(g.operand(id, 0)).rank - 1] == n;
}

/// The factor s if `id` is the matrix (n * s, n) of linear interpolation between the middles of voxels, max(0, 1 - |p(row) - column|) with
/// p(o) = (o + 1/2) / s - 1/2 kept within [0, n - 1]; else 0. (align_corners gives another p, which depends on n.)
constexpr std::int64_t interpolation_factor(const view& g, int id, std::int64_t rows, std::int64_t n) {
  using ops::fn;
  if (n < 1 || rows % n != 0) return 0;
  const std::int64_t s = rows / n;
  id = behind_reshapes(g, id);
  if (is_map(g, id, fn::relu)) {
    id = g.operand(id, 0);
  } else if (is_map(g, id, fn::maximum)) {
    const int a = g.operand(id, 0), b = g.operand(id, 1);
    const bool zero_first = constant_element(g, a, 0) == 0.0 && g.is<ops::fill>(behind_reshapes(g, a));
    if (!zero_first && !(g.is<ops::fill>(b) && g.as<ops::fill>(b).value == 0)) return 0;
    id = zero_first ? b : a;
  } else {
    return 0;
  }
  if (!is_map(g, id, fn::subtract) || !g.is<ops::fill>(g.operand(id, 0)) || g.as<ops::fill>(g.operand(id, 0)).value != 1) return 0;
  id = g.operand(id, 1);
  if (!is_map(g, id, fn::abs)) return 0;
  id = g.operand(id, 0);
  if (!is_map(g, id, fn::subtract) || !counts_columns(g, g.operand(id, 1), n)) return 0;
  const int position = behind_reshapes(g, g.operand(id, 0));
  if (!g.is<ops::broadcast>(position) || g.shape(g.operand(position, 0)).size() != rows) return 0;  // one for each row
  for (std::int64_t o = 0; o < rows; ++o) {
    const std::optional<double> found = constant_element(g, g.operand(position, 0), o);
    double wanted = (static_cast<double>(o) + 0.5) / static_cast<double>(s) - 0.5;
    if (wanted < 0) wanted = 0;
    if (wanted > static_cast<double>(n - 1)) wanted = static_cast<double>(n - 1);
    if (!found || *found - wanted > 1e-9 || wanted - *found > 1e-9) return 0;
  }
  return s;
}

}  // namespace volute::graph
