// Rows of a table by numbers that are tensors themselves: the primitive, and the function of the language.
#pragma once

#include <volute/ops/rule.hpp>

#include <cstdint>

namespace volute::ops {

/// table (B, O, R, I), index (B or 1, J) -> (B, O, J, I): row index[b,j] of each of the O tables of b, zeros where that is no row number
/// (less than 0, R or more, NaN; fractions are cut off). Or the adjoint of that in the table: each row gets the sum of what was taken of
/// it. Both are linear in the first operand, so each is the derivative of the other; an index has none.
struct gather {
  std::int64_t rows = 0, adjoint = 0;

  constexpr extents shape(const extents& first, const extents& index) const {
    return make_extents(first[0], first[1], adjoint != 0 ? rows : index[1], first[3]);
  }
  template <class R>
  static constexpr void derivative(const gather& op, R& r) {
    if (r.needs(0)) r.give(0, r.gather({op.rows, 1 - op.adjoint}, r.g, r.x(1)));
  }
};

/// The elements of an axis by an index of any shape, whose axes come in the axis' place.
struct take {
  int axis = 0;
  constexpr inferred infer(const extents* x, int) const {
    if (axis < 0 || axis >= x[0].rank) return refuse(line("take wants an axis of rank ") << x[0].rank, line("got axis ") << axis);
    if (x[0].rank - 1 + x[1].rank > max_rank)
      return refuse(line("take wants rank <= ") << max_rank, line("got ") << x[0] << " by " << x[1]);
    extents r;
    for (int i = 0; i < axis; ++i) r.push_back(x[0][i]);
    for (int i = 0; i < x[1].rank; ++i) r.push_back(x[1][i]);
    for (int i = axis + 1; i < x[0].rank; ++i) r.push_back(x[0][i]);
    return {r, {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    const extents e = g.shape(id[0]);
    const std::int64_t after = e.stride(axis);
    const int table = g.reshape(id[0], make_extents(1, e.size() / (after * e[axis] > 0 ? after * e[axis] : 1), e[axis], after));
    return g.reshape(g.gather({e[axis], 0}, table, g.reshape(id[1], make_extents(1, g.shape(id[1]).size()))), out);
  }
};

/// Each row of the last axis by an index of its own: x (..., R), index (..., J), leading axes equal -> (..., J).
struct take_along {
  constexpr inferred infer(const extents* x, int) const {
    extents r = x[0];
    bool fits = x[0].rank == x[1].rank && r.rank > 0;
    for (int i = 0; fits && i < r.rank - 1; ++i) fits = x[1][i] == r[i];
    if (!fits) return refuse(line("gather: an index like ") << x[0], line("got ") << x[1]);
    return {x[1], {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    const extents e = g.shape(id[0]);
    const std::int64_t rows = e[e.rank - 1], j = out[out.rank - 1];
    std::int64_t batch = 1;
    for (int i = 0; i < e.rank - 1; ++i) batch *= e[i];
    return g.reshape(g.gather({rows, 0}, g.reshape(id[0], make_extents(batch, 1, rows, 1)), g.reshape(id[1], make_extents(batch, j))), out);
  }
};

/// Each sample's elements by an index of its own: x (N, C, V), index (N, J) -> (N, C, J).
struct take_by_sample {
  constexpr inferred infer(const extents* x, int) const {
    if (x[0].rank != 3 || x[1].rank != 2 || x[0][0] != x[1][0])
      return refuse(line("wants (N,C,V) and (N,J)"), line("got ") << x[0] << " and " << x[1]);
    return {make_extents(x[0][0], x[0][1], x[1][1]), {}, {}};
  }
  template <class G>
  constexpr int emit(G& g, const int* id, int, const extents& out) const {
    const extents e = g.shape(id[0]);
    return g.reshape(g.gather({e[2], 0}, g.reshape(id[0], make_extents(e[0], e[1], e[2], 1)), id[1]), out);
  }
};

}  // namespace volute::ops
