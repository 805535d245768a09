// The allocator that the compiler runs: best fit over a list of holes, sorted by place and merged as they meet. A request takes the
// smallest hole that holds it, or grows the last one, or the arena.
#pragma once

#include <volute/core/buffer.hpp>

#include <cstdint>

namespace volute::graph {

class arena_allocator {
 public:
  std::int64_t size = 0;  // elements; the largest extent so far

  /// Whole cache lines: 16 elements are 64 bytes of float, 128 of double.
  static constexpr std::int64_t rounded(std::int64_t n) { return (n + 15) / 16 * 16; }

  constexpr std::int64_t allocate(std::int64_t elements) {
    const std::int64_t n = rounded(elements);
    int best = -1;
    for (int i = 0; i < holes_.size; ++i)
      if (holes_.data[i].size >= n && (best < 0 || holes_.data[i].size < holes_.data[best].size)) best = i;
    if (best >= 0) {
      hole& h = holes_.data[best];
      const std::int64_t at = h.offset;
      h.offset += n, h.size -= n;
      if (h.size == 0) erase(best);
      return at;
    }
    std::int64_t at = size;
    if (holes_.size > 0 && end_of(holes_.size - 1) == size) at = holes_.data[--holes_.size].offset;
    size = at + n;
    return at;
  }

  constexpr void release(std::int64_t offset, std::int64_t elements) {
    const std::int64_t n = rounded(elements);
    int i = 0;
    while (i < holes_.size && holes_.data[i].offset < offset) ++i;
    const bool joins_left = i > 0 && end_of(i - 1) == offset, joins_right = i < holes_.size && offset + n == holes_.data[i].offset;
    if (joins_left) {
      holes_.data[i - 1].size += n;
      if (joins_right) {
        holes_.data[i - 1].size += holes_.data[i].size;
        erase(i);
      }
    } else if (joins_right) {
      holes_.data[i].offset = offset, holes_.data[i].size += n;
    } else {
      holes_.push_back({});
      for (int k = holes_.size - 1; k > i; --k) holes_.data[k] = holes_.data[k - 1];
      holes_.data[i] = {offset, n};
    }
  }

 private:
  struct hole {
    std::int64_t offset = 0, size = 0;
  };
  buffer<hole> holes_;

  constexpr std::int64_t end_of(int i) const { return holes_.data[i].offset + holes_.data[i].size; }
  constexpr void erase(int i) {
    for (int k = i; k + 1 < holes_.size; ++k) holes_.data[k] = holes_.data[k + 1];
    holes_.size -= 1;
  }
};

}  // namespace volute::graph
