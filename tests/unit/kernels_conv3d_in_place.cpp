// Depthwise convolution without copies: widths around whole vectors, rows that the padding and the last block cut, strides, asymmetric
// padding, dilation.
#include "kernels_conv3d_support.hpp"

using namespace conv3d_test;

namespace {

template <class T, conv_geometry G>
void check_in_place(const char* name) {
  if constexpr (volute::simd::masks<T>)
    static_assert(kernels::choose_family<T>(kernels::canonical(G), kernels::conv_side::forward) == kernels::conv_family::in_place &&
                  kernels::choose_family<T>(kernels::canonical(G), kernels::conv_side::backward) == kernels::conv_family::in_place);
  check<T, G>(name);
}

}  // namespace

#define CHECK_IN_PLACE(T, ...) check_in_place<T, make(__VA_ARGS__)>(#T " " #__VA_ARGS__)

TEST_CASE("conv3d depthwise: extents, padding, dilation", "[conv3d]") {
  CHECK_IN_PLACE(float, 2, 3, 3, {5, 7, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3);
  CHECK_IN_PLACE(float, 1, 2, 2, {4, 5, 29}, {3, 3, 3}, {1, 1, 1}, {2, 0, 2}, {0, 2, 0}, {1, 1, 1}, 2);   // all padding on one side
  CHECK_IN_PLACE(float, 1, 2, 2, {3, 9, 64}, {2, 3, 5}, {1, 1, 1}, {0, 2, 4}, {1, 2, 4}, {1, 2, 2}, 2);   // dilation
  CHECK_IN_PLACE(float, 1, 2, 2, {6, 3, 9}, {5, 1, 1}, {1, 1, 1}, {2, 0, 0}, {2, 0, 0}, {1, 1, 1}, 2);   // one axis
  CHECK_IN_PLACE(double, 2, 2, 2, {3, 5, 15}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);
}

TEST_CASE("conv3d depthwise: stride of height and width", "[conv3d]") {
  CHECK_IN_PLACE(float, 2, 3, 3, {5, 10, 56}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3);
  CHECK_IN_PLACE(float, 1, 2, 2, {4, 9, 31}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);  // odd extents
  CHECK_IN_PLACE(float, 1, 2, 2, {3, 8, 29}, {2, 4, 3}, {1, 2, 2}, {1, 2, 0}, {0, 1, 2}, {1, 1, 1}, 2);
  CHECK_IN_PLACE(double, 1, 2, 2, {3, 6, 30}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);
}
