// Convolution of few channels without copies: widths around whole vectors, rows that the padding and the last block cut, strides,
// asymmetric padding, dilation, several channels, chunks of planes.
#include "kernels_conv3d_support.hpp"

using namespace conv3d_test;

namespace {

constexpr auto forward_side = kernels::conv_side::forward, data_side = kernels::conv_side::backward;

template <class T, conv_geometry G>
constexpr families in_place() {
  using kernels::conv_family::in_place;
  constexpr conv_geometry g = kernels::canonical(G);
  // With shorter vectors some rows need more of them than there are registers.
  static_assert(volute::simd::width<T> * sizeof(T) < 64 || kernels::possible<T>(in_place, {g, forward_side}) ||
                kernels::possible<T>(in_place, {g, data_side}));
  return of<T, G>(in_place, in_place, kernels::weights_family::in_place);
}

template <class T, conv_geometry G>
void check_in_place(const char* name) {
  check<T, G, in_place<T, G>()>(name);
}
template <conv_geometry G>
void check_in_place_epilogue(const char* name) {
  check_epilogue<G, in_place<float, G>()>(name);
}

}  // namespace

#define CHECK_IN_PLACE(T, ...) check_in_place<T, make(__VA_ARGS__)>(#T " " #__VA_ARGS__)

TEST_CASE("conv3d in place: extents, padding, dilation", "[conv3d]") {
  static_assert(!volute::simd::masks<float> ||
                kernels::possible<float>(kernels::conv_family::in_place,
                                         {make(2, 1, 1, {5, 7, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}), forward_side}));
  CHECK_IN_PLACE(float, 2, 3, 3, {5, 7, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3);
  CHECK_IN_PLACE(float, 1, 2, 2, {4, 5, 29}, {3, 3, 3}, {1, 1, 1}, {2, 0, 2}, {0, 2, 0}, {1, 1, 1}, 2);   // all padding on one side
  CHECK_IN_PLACE(float, 1, 2, 2, {3, 9, 64}, {2, 3, 5}, {1, 1, 1}, {0, 2, 4}, {1, 2, 4}, {1, 2, 2}, 2);   // dilation
  CHECK_IN_PLACE(float, 1, 2, 2, {6, 3, 9}, {5, 1, 1}, {1, 1, 1}, {2, 0, 0}, {2, 0, 0}, {1, 1, 1}, 2);    // one axis
  CHECK_IN_PLACE(float, 1, 2, 2, {17, 3, 29}, {3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1}, {1, 1, 1}, 2);  // 16 planes, and one behind g's
  CHECK_IN_PLACE(double, 2, 2, 2, {3, 5, 15}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);
}

TEST_CASE("conv3d in place: stride of height and width", "[conv3d]") {
  CHECK_IN_PLACE(float, 2, 3, 3, {5, 10, 56}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3);
  CHECK_IN_PLACE(float, 1, 2, 2, {4, 9, 31}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);  // odd extents
  CHECK_IN_PLACE(float, 1, 2, 2, {3, 8, 29}, {2, 4, 3}, {1, 2, 2}, {1, 2, 0}, {0, 1, 2}, {1, 1, 1}, 2);
  CHECK_IN_PLACE(float, 1, 2, 6, {3, 7, 94}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);  // classes of the height apart
  CHECK_GEOMETRY(float, 2, 1, 6, {1, 4, 16}, {3, 3, 3}, {2, 1, 1}, {2, 1, 1}, {2, 1, 1});  // taps of the depth that nothing meets
  CHECK_IN_PLACE(double, 1, 2, 2, {3, 6, 30}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);
}

TEST_CASE("conv3d in place: several channels, chunks of planes, long results", "[conv3d]") {
  CHECK_IN_PLACE(float, 2, 1, 5, {4, 9, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_IN_PLACE(float, 1, 6, 4, {3, 16, 32}, {2, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 2);
  CHECK_IN_PLACE(float, 2, 9, 11, {3, 16, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // neither side's channels fill vectors
  CHECK_IN_PLACE(float, 1, 1, 3, {19, 8, 64}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_IN_PLACE(float, 1, 2, 3, {10, 32, 64}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1});  // residue classes' sums wait for a chunk
  constexpr conv_geometry large = make(1, 2, 65, {4, 128, 128}, {2, 1, 2}, {1, 1, 1}, {1, 0, 1}, {0, 0, 0});
  static_assert(kernels::plan_in_place<float>({large, forward_side}).code[0].stream);
  check<float, large, in_place<float, large>()>("streamed");
}

TEST_CASE("conv3d in place: epilogues and input scale", "[conv3d]") {
  check_in_place_epilogue<make(2, 4, 4, {3, 5, 28}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 4)>("depthwise");
  check_in_place_epilogue<make(2, 2, 3, {11, 8, 64}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("channels, chunks of planes");
  check_in_place_epilogue<make(2, 2, 4, {3, 7, 58}, {3, 3, 3}, {1, 2, 2}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2)>("stride");
}

TEST_CASE("conv3d in place: the same bits for any number of threads", "[conv3d]") {
  check_bits<make(2, 3, 3, {9, 50, 60}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3),
             in_place<float, make(2, 3, 3, {9, 50, 60}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3)>()>();
  check_bits<make(1, 1, 12, {20, 16, 64}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}),
             in_place<float, make(1, 1, 12, {20, 16, 64}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>()>();
}
