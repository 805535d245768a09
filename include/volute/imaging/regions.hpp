// Parts of images: the box around what matters, and back; the largest connected part of a mask.
#pragma once

#include <volute/imaging/image.hpp>

#include <algorithm>
#include <vector>

namespace volute::imaging {

/// Which voxels touch: by faces (6), also by edges (18), by corners too (26).
enum class neighbours { faces, edges, corners };

inline namespace VOLUTE_ISA {

/// The smallest box that holds all voxels above `above`, `margin` voxels wider on each side as far as the image goes. All of it if there
/// are none. Throws shape_error for a margin below 0.
template <class T>
box foreground(const xt::xtensor<T, 3>& v, T above = T(0), std::int64_t margin = 0) {
  if (margin < 0) fail("foreground: expected a margin of 0 or more, found " + std::to_string(margin));
  const size3 e = extent_of(v);
  size3 low = e, high{-1, -1, -1}, at{0, 0, 0};
  const T* p = v.data();
  for (at.d = 0; at.d < e.d; ++at.d)
    for (at.h = 0; at.h < e.h; ++at.h)
      for (at.w = 0; at.w < e.w; ++at.w)
        if (*p++ > above)
          for (int a = 0; a < 3; ++a) low[a] = std::min(low[a], at[a]), high[a] = std::max(high[a], at[a]);
  box b{{0, 0, 0}, e};
  for (int a = 0; a < 3 && high.d >= 0; ++a) {
    b.begin[a] = low[a] - std::min(low[a], margin);
    b.extent[a] = high[a] + 1 + std::min(e[a] - high[a] - 1, margin) - b.begin[a];
  }
  return b;
}

namespace detail {
/// Throws shape_error where a box is not within a whole.
inline void check_box(const size3& whole, const box& b) {
  for (int a = 0; a < 3; ++a)
    if (b.begin[a] < 0 || b.extent[a] < 1 || b.begin[a] > whole[a] - b.extent[a])
      fail("box: expected within " + std::to_string(whole[a]) + " voxels, found " + std::to_string(b.begin[a]) + " to " +
           std::to_string(b.begin[a] + b.extent[a]));
}
/// Copies the lines of a box between a whole and a part.
template <class Whole, class Part>
void each_row(const size3& whole, const box& b, Whole* w, Part* p, void (*copy)(Whole*, Part*, std::int64_t)) {
  for (std::int64_t d = 0; d < b.extent.d; ++d)
    for (std::int64_t h = 0; h < b.extent.h; ++h, p += b.extent.w)
      copy(w + ((b.begin.d + d) * whole.h + b.begin.h + h) * whole.w + b.begin.w, p, b.extent.w);
}
}  // namespace detail

/// The part of an image in a box.
template <class T>
image<T> cropped(const image<T>& x, const box& b) {
  detail::check_extents(x);
  detail::check_box(x.at.extent, b);
  image<T> y{tensor_of<T>(b.extent), x.at};
  y.at.extent = b.extent;
  for (auto& row : y.at.affine)
    for (int a = 0; a < 3; ++a) row[3] += row[static_cast<std::size_t>(2 - a)] * static_cast<double>(b.begin[a]);
  detail::each_row<const T, T>(x.at.extent, b, x.voxels.data(), y.voxels.data(),
                               [](const T* from, T* to, std::int64_t n) { std::copy_n(from, n, to); });
  return y;
}
/// Back: the part at its place in an image on grid `whole`, `outside` around it.
template <class T>
image<T> uncropped(const image<T>& part, const box& b, const grid& whole, T outside = T(0)) {
  detail::check_extents(part);
  if (!(part.at.extent == b.extent)) fail("box: expected the part's extents, found others");
  detail::check_box(whole.extent, b);
  image<T> y{tensor_of<T>(whole.extent), whole};
  std::fill(y.voxels.begin(), y.voxels.end(), outside);
  detail::each_row<T, const T>(whole.extent, b, y.voxels.data(), part.voxels.data(),
                               [](T* to, const T* from, std::int64_t n) { std::copy_n(from, n, to); });
  return y;
}

/// 1 where a mask is not 0, and in its holes: what no way by faces leads to from the border. (SciPy's binary_fill_holes.)
template <class T>
xt::xtensor<std::uint8_t, 3> filled(const xt::xtensor<T, 3>& mask) {
  const size3 e = extent_of(mask);
  xt::xtensor<std::uint8_t, 3> y = tensor_of<std::uint8_t>(e);
  std::fill(y.begin(), y.end(), std::uint8_t{1});
  std::vector<std::int64_t> waiting;
  const auto visit = [&](std::int64_t i) {
    if (mask.data()[i] == T(0) && y.data()[i] != 0) y.data()[i] = 0, waiting.push_back(i);
  };
  const auto border = [](std::int64_t i, std::int64_t n) { return i == 0 || i == n - 1; };
  for (std::int64_t i = 0; i < e.voxels(); ++i)
    if (border(i / (e.h * e.w), e.d) || border(i / e.w % e.h, e.h) || border(i % e.w, e.w)) visit(i);
  while (!waiting.empty()) {
    const std::int64_t i = waiting.back(), stride[3]{e.h * e.w, e.w, 1}, at[3]{i / stride[0], i / e.w % e.h, i % e.w};
    waiting.pop_back();
    for (int a = 0; a < 3; ++a) {
      if (at[a] > 0) visit(i - stride[a]);
      if (at[a] < e[a] - 1) visit(i + stride[a]);
    }
  }
  return y;
}

/// Of the voxels that are not 0, those of the largest connected part (the first among equals) as they are; the others become 0.
template <class T>
xt::xtensor<T, 3> largest_component(xt::xtensor<T, 3> v, neighbours touching = neighbours::faces) {
  const size3 e = extent_of(v);
  std::vector<std::int32_t> part(v.size(), 0);
  std::vector<std::int64_t> waiting;
  std::int64_t most = 0;
  std::int32_t parts = 0, best = 0;
  for (std::int64_t start = 0; start < e.voxels(); ++start) {
    if (v.data()[start] == T(0) || part[static_cast<std::size_t>(start)] != 0) continue;
    std::int64_t count = 0;
    part[static_cast<std::size_t>(start)] = ++parts;
    waiting.assign(1, start);
    while (!waiting.empty()) {
      const std::int64_t i = waiting.back();
      waiting.pop_back();
      ++count;
      const std::int64_t d = i / (e.h * e.w), h = i / e.w % e.h, w = i % e.w;
      for (std::int64_t z = std::max<std::int64_t>(0, d - 1); z <= std::min(e.d - 1, d + 1); ++z)
        for (std::int64_t y = std::max<std::int64_t>(0, h - 1); y <= std::min(e.h - 1, h + 1); ++y)
          for (std::int64_t x = std::max<std::int64_t>(0, w - 1); x <= std::min(e.w - 1, w + 1); ++x) {
            if ((z != d) + (y != h) + (x != w) > 1 + static_cast<int>(touching)) continue;
            const std::int64_t j = (z * e.h + y) * e.w + x;
            if (v.data()[j] == T(0) || part[static_cast<std::size_t>(j)] != 0) continue;
            part[static_cast<std::size_t>(j)] = parts;
            waiting.push_back(j);
          }
    }
    if (count > most) most = count, best = parts;
  }
  for (std::size_t i = 0; i < v.size(); ++i)
    if (part[i] != best) v.data()[i] = T(0);
  return v;
}

}  // namespace VOLUTE_ISA
}  // namespace volute::imaging
