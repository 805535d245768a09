// Strided copies against a plain loop: contiguous runs, slices, pads, transpositions of every pair of axes, broadcasts; fills.
#include "kernels_support.hpp"

#include <volute/kernels/copy.hpp>

#include <catch2/catch.hpp>

#include <algorithm>

using namespace kernels_test;
using volute::ops::copy_nest;

namespace {

template <class T>
void check(const copy_nest& n) {
  std::int64_t in_size = 1 + n.in_offset, out_size = 1 + n.out_offset, size = 1;
  for (int a = 0; a < n.rank; ++a) {
    in_size += n.in_stride[a] * (n.extent[a] - 1);
    out_size += n.out_stride[a] * (n.extent[a] - 1);
    size *= n.extent[a];
  }
  std::vector<T> in(static_cast<std::size_t>(in_size)), out(static_cast<std::size_t>(out_size) + 1, T(-1)), want = out;
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<T>(i);
  for (std::int64_t p = 0; p < size; ++p) {
    std::int64_t rest = p, i = n.in_offset, o = n.out_offset;
    for (int a = n.rank - 1; a >= 0; --a) {
      i += rest % n.extent[a] * n.in_stride[a];
      o += rest % n.extent[a] * n.out_stride[a];
      rest /= n.extent[a];
    }
    want[static_cast<std::size_t>(o)] = in[static_cast<std::size_t>(i)];
  }
  volute::kernels::strided_copy<T>(n, in.data(), out.data());
  CHECK(out == want);
}

}  // namespace

TEMPLATE_TEST_CASE("copy: rows, slices and pads", "[kernels][copy]", float, double) {
  check<TestType>(copy_nest{});
  for (std::int64_t n = 1; n < 40; ++n) {
    check<TestType>({1, {n}, {1}, {1}, 3, 2});
    check<TestType>({2, {3, n}, {n, 1}, {n, 1}, 0, 0});
    check<TestType>({3, {2, 3, n}, {7 * n, n, 1}, {5 * n + 5, n + 2, 1}, 2, 1});
    check<TestType>({2, {4, n}, {0, 1}, {n, 1}, 0, 0});   // repeat rows
    check<TestType>({2, {4, n}, {1, 0}, {n, 1}, 0, 0});   // repeat elements
    check<TestType>({2, {4, n}, {3 * n, 3}, {n, 1}, 1, 0});  // a slice with a step
    check<TestType>({2, {4, n}, {2 * n, 2}, {3 * n, 3}, 1, 0});
  }
}

TEMPLATE_TEST_CASE("copy: transposition", "[kernels][copy]", float, double) {
  for (std::int64_t m = 1; m < 40; m += 3)
    for (std::int64_t n = 1; n < 70; n += m % 5 + 1) {
      check<TestType>({2, {m, n}, {1, m}, {n, 1}, 0, 0});
      check<TestType>({2, {m, n}, {n, 1}, {1, m}, 0, 0});
      check<TestType>({3, {3, m, n}, {m * n, 1, m + 2}, {m * n + 5, n, 1}, 0, 4});
    }
}

TEMPLATE_TEST_CASE("copy: every permutation of four axes", "[kernels][copy]", float, double) {
  const std::int64_t extent[] = {3, 5, 4, 9};
  int axis[] = {0, 1, 2, 3};
  do {
    copy_nest n;
    n.rank = 4;
    std::int64_t stride = 1;
    for (int a = 3; a >= 0; --a) {
      n.extent[a] = extent[axis[a]];
      n.out_stride[a] = stride;
      stride *= n.extent[a];
      n.in_stride[a] = 1;
      for (int b = axis[a] + 1; b < 4; ++b) n.in_stride[a] *= extent[b];
    }
    check<TestType>(n);
    std::swap_ranges(n.in_stride, n.in_stride + 4, n.out_stride);
    check<TestType>(n);
  } while (std::next_permutation(axis, axis + 4));
}

TEMPLATE_TEST_CASE("fill", "[kernels][copy]", float, double) {
  for (std::int64_t n = 0; n < 70; ++n) {
    std::vector<TestType> out(static_cast<std::size_t>(n) + 2, TestType(7)), want(out.size(), TestType(3));
    want.front() = want.back() = TestType(7);
    volute::kernels::fill<TestType>(out.data() + 1, n, TestType(3));
    CHECK(out == want);
  }
}
