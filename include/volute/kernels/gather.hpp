// Rows of tables by an index, and its adjoint. One index serves all tables of a sample: the rows' numbers are read once for each.
#pragma once

#include <volute/kernels/team.hpp>

#include <cstring>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Sizes of ops::gather: table (batch, tables, rows, width), index (batch or 1, count), taken (batch, tables, count, width).
struct gather_sizes {
  std::int64_t batch = 1, tables = 1, rows = 1, count = 1, width = 1;
  bool one_index = true;
};
/// The row of an index, or -1.
template <class T>
VOLUTE_INLINE std::int64_t row_of(T index, std::int64_t rows) noexcept {
  return index >= T(0) && index < static_cast<T>(rows) ? static_cast<std::int64_t>(index) : -1;
}

template <class T>
void gather(const gather_sizes& s, const T* table, const T* index, T* taken, const team<T>& workers = {}) noexcept {
  const std::int64_t lines = s.batch * s.tables * s.count;
  share_ranges(workers, lines, 16, parts_of(static_cast<double>(lines) * (2 + 0.2 * static_cast<double>(s.width))),
               [&](std::int64_t begin, std::int64_t end, int) noexcept {
                 for (std::int64_t at = begin; at < end; ++at) {
                   const std::int64_t which = at / s.count, j = at % s.count;
                   const std::int64_t row = row_of(index[(s.one_index ? 0 : which / s.tables * s.count) + j], s.rows);
                   T* const to = taken + at * s.width;
                   if (row < 0)
                     for (std::int64_t i = 0; i < s.width; ++i) to[i] = T(0);
                   else if (s.width == 1)
                     *to = table[which * s.rows + row];
                   else
                     std::memcpy(to, table + (which * s.rows + row) * s.width, static_cast<std::size_t>(s.width) * sizeof(T));
                 }
               });
}

/// Each table is one thread's, and its sums are made in the order of the index.
template <class T>
void scatter(const gather_sizes& s, const T* taken, const T* index, T* table, const team<T>& workers = {}) noexcept {
  const std::int64_t all = s.batch * s.tables;
  const double work =
      static_cast<double>(all) * (2 * static_cast<double>(s.count) + 0.3 * static_cast<double>((s.count + s.rows) * s.width));
  share_ranges(workers, all, 1, parts_of(work), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    for (std::int64_t which = begin; which < end; ++which) {
      T* const to = table + which * s.rows * s.width;
      for (std::int64_t i = 0; i < s.rows * s.width; ++i) to[i] = T(0);
      const T* const numbers = index + (s.one_index ? 0 : which / s.tables * s.count);
      for (std::int64_t j = 0; j < s.count; ++j) {
        const std::int64_t row = row_of(numbers[j], s.rows);
        if (row < 0) continue;
        const T* const from = taken + (which * s.count + j) * s.width;
        for (std::int64_t i = 0; i < s.width; ++i) to[row * s.width + i] += from[i];
      }
    }
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
