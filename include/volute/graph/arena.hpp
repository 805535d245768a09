// Where values lie in the arena. The compiler knows every lifetime before it places the first: best fit in the order of time, and where
// that wastes memory the largest choose first and smaller ones fill what they leave (greedy by size, Pisarchyk and Lee 2020,
// https://arxiv.org/abs/2001.03288).
#pragma once

#include <volute/core/buffer.hpp>

#include <algorithm>
#include <cstdint>

namespace volute::graph {

/// Elements that are needed from step `first` to step `last`, both included.
struct lifetime {
  std::int64_t size = 0;
  int first = 0, last = 0;
  std::int64_t offset = 0;

  constexpr std::int64_t end() const { return offset + size; }
};

/// Whole cache lines: 16 elements are 64 bytes of float, 128 of double.
constexpr std::int64_t whole_lines(std::int64_t elements) { return (elements + 15) / 16 * 16; }

/// First in time, first placed: each takes the smallest hole that holds it, or grows the last one, or the arena. Near-linear. Returns the
/// end of all.
constexpr std::int64_t lay_out_by_time(buffer<lifetime>& all, std::int64_t begin, int steps) {
  struct hole {
    std::int64_t offset = 0, size = 0;
  };
  buffer<hole> holes;                                   // by offset
  buffer<int> next(all.size, -1), ends(steps + 1, -1);  // lists of what ends at a step
  std::int64_t top = begin;
  int ended = 0;  // steps whose memory has been given back
  const auto release = [&](std::int64_t offset, std::int64_t size) {
    int i = 0;
    while (i < holes.size && holes.data[i].offset < offset) ++i;
    const bool left = i > 0 && holes.data[i - 1].offset + holes.data[i - 1].size == offset;
    const bool right = i < holes.size && offset + size == holes.data[i].offset;
    if (left && right) {
      holes.data[i - 1].size += size + holes.data[i].size;
      for (int k = i; k + 1 < holes.size; ++k) holes.data[k] = holes.data[k + 1];
      holes.size -= 1;
    } else if (left) {
      holes.data[i - 1].size += size;
    } else if (right) {
      holes.data[i].offset = offset, holes.data[i].size += size;
    } else {
      holes.push_back({});
      for (int k = holes.size - 1; k > i; --k) holes.data[k] = holes.data[k - 1];
      holes.data[i] = {offset, size};
    }
  };
  for (int which = 0; which < all.size; ++which) {  // they come in the order of their first steps
    lifetime& v = all.data[which];
    for (; ended < v.first; ++ended)
      for (int i = ends.data[ended]; i >= 0; i = next.data[i]) release(all.data[i].offset, all.data[i].size);
    int best = -1;
    for (int i = 0; i < holes.size; ++i)
      if (holes.data[i].size >= v.size && (best < 0 || holes.data[i].size < holes.data[best].size)) best = i;
    if (best >= 0) {
      hole& h = holes.data[best];
      v.offset = h.offset;
      h.offset += v.size, h.size -= v.size;
      if (h.size == 0) {
        for (int k = best; k + 1 < holes.size; ++k) holes.data[k] = holes.data[k + 1];
        holes.size -= 1;
      }
    } else {
      v.offset = top;
      if (holes.size > 0 && holes.data[holes.size - 1].offset + holes.data[holes.size - 1].size == top)
        v.offset = holes.data[--holes.size].offset;
      top = v.offset + v.size;
    }
    next.data[which] = ends.data[v.last];
    ends.data[v.last] = which;
  }
  return top;
}

/// Largest first, by size or by size and duration: each takes the lowest place that it shares with none at the same time. Quadratic.
/// Returns the end of all.
constexpr std::int64_t lay_out_by_size(buffer<lifetime>& all, std::int64_t begin, bool duration) {
  buffer<int> sorted(all.size), placed(all.size);
  buffer<std::int64_t> extent(all.size);
  for (int i = 0; i < all.size; ++i) {
    sorted.data[i] = i;
    extent.data[i] = all.data[i].size * (duration ? all.data[i].last - all.data[i].first + 1 : 1);
  }
  std::sort(sorted.begin(), sorted.end(),
            [&](int a, int b) { return extent.data[a] != extent.data[b] ? extent.data[a] > extent.data[b] : a < b; });
  std::int64_t top = begin;
  for (int count = 0; count < all.size; ++count) {
    lifetime& v = all.data[sorted.data[count]];
    const std::int64_t size = v.size;
    const int first = v.first, last = v.last;
    std::int64_t at = begin;
    for (int i = 0; i < count; ++i) {
      const lifetime& p = all.data[placed.data[i]];
      if (p.last < first || p.first > last) continue;
      if (p.offset - at >= size) break;
      if (at < p.offset + p.size) at = p.offset + p.size;
    }
    v.offset = at;
    if (top < at + size) top = at + size;
    int i = count;  // by offset
    for (; i > 0 && all.data[placed.data[i - 1]].offset > at; --i) placed.data[i] = placed.data[i - 1];
    placed.data[i] = sorted.data[count];
  }
  return top;
}

/// The cheap way where it comes within 2 % of `bound`, the end of what is alive at once, which no layout can go below; else the best way.
/// Quadratic is dear while compiling: the training step of 128 convolutions, laid out so three times, took g++ 12 7 s and 1.5 GB more.
constexpr std::int64_t lay_out(buffer<lifetime>& all, std::int64_t begin, std::int64_t bound, int steps) {
  const std::int64_t by_time = lay_out_by_time(all, begin, steps);
  if (50 * (by_time - bound) <= bound || all.size > 400) return by_time;
  const std::int64_t by_area = lay_out_by_size(all, begin, true);
  if (by_area == bound) return by_area;
  const std::int64_t by_size = lay_out_by_size(all, begin, false);
  if (by_size <= by_area && by_size <= by_time) return by_size;
  return by_area <= by_time ? lay_out_by_size(all, begin, true) : lay_out_by_time(all, begin, steps);
}

}  // namespace volute::graph
