// Convolution with whole planes in the lanes: planes below, at and above whole vectors, blocks of channels and planes with a rest, padding
// that cuts planes of the depth off, even and dilated kernels, several samples and groups.
#include "kernels_conv3d_support.hpp"

using namespace conv3d_test;

namespace {

constexpr auto forward_side = kernels::conv_side::forward, data_side = kernels::conv_side::backward;

template <class T, conv_geometry G>
constexpr families flat() {
  constexpr conv_geometry g = kernels::canonical(G);
  static_assert(!volute::simd::masks<T> || kernels::flat_possible<T>(g));
  const bool inputs = kernels::plan_flat_weights<T>({g, data_side}).cycles < kernels::plan_flat_weights<T>({g, forward_side}).cycles;
  return of<T, G>(kernels::conv_family::flat, kernels::conv_family::flat,
                  inputs ? kernels::weights_family::flat_inputs : kernels::weights_family::flat_outputs);
}

template <class T, conv_geometry G>
void check_flat(const char* name) {
  check<T, G, flat<T, G>()>(name);
}

/// The same bits by one and by three threads, which have something to share.
template <conv_geometry G>
void check_threads() {
  constexpr families f = flat<float, G>();
  static_assert(kernels::plan_flat<float>({G, forward_side}).parts > 1 && kernels::plan_flat<float>({G, data_side}).parts > 1);
  static_assert(kernels::plan_flat_weights<float>({G, f.dw == kernels::weights_family::flat_inputs ? data_side : forward_side}).share !=
                kernels::sharing::none);
  check_bits<G, f>();
}

template <conv_geometry G>
void check_flat_epilogue(const char* name) {
  check_epilogue<G, flat<float, G>()>(name);
}

}  // namespace

#define CHECK_FLAT(T, ...) check_flat<T, make(__VA_ARGS__)>(#T " " #__VA_ARGS__)

TEST_CASE("conv3d flat: extents and channels", "[conv3d]") {
  CHECK_FLAT(float, 1, 4, 4, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});      // a plane is a vector
  CHECK_FLAT(float, 3, 2, 5, {2, 3, 3}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});      // a part of one
  CHECK_FLAT(float, 1, 3, 4, {11, 6, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});     // vectors and a rest
  CHECK_FLAT(float, 1, 1, 11, {13, 12, 12}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // blocks of channels with a rest
  CHECK_FLAT(float, 2, 9, 1, {7, 10, 11}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_FLAT(float, 1, 2, 3, {30, 5, 9}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // segments of the depth
  CHECK_FLAT(float, 2, 6, 6, {5, 7, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 6);
  CHECK_FLAT(float, 1, 6, 9, {4, 8, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3);
}

TEST_CASE("conv3d flat: kernels, padding, dilation", "[conv3d]") {
  CHECK_FLAT(float, 1, 3, 3, {6, 6, 7}, {1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {0, 1, 1});  // one plane each
  CHECK_FLAT(float, 1, 3, 2, {5, 9, 6}, {3, 3, 1}, {1, 1, 1}, {1, 1, 0}, {1, 1, 0});
  CHECK_FLAT(float, 1, 2, 3, {6, 7, 9}, {2, 4, 2}, {1, 1, 1}, {1, 2, 0}, {0, 1, 1});  // even kernels
  CHECK_FLAT(float, 1, 2, 3, {5, 9, 7}, {3, 2, 3}, {1, 1, 1}, {0, 0, 2}, {0, 0, 0});  // other planes and heights of y
  CHECK_FLAT(float, 1, 3, 3, {3, 5, 6}, {3, 3, 5}, {1, 1, 1}, {4, 3, 1}, {3, 4, 3});  // planes and rows of nothing but padding
  CHECK_FLAT(float, 1, 2, 4, {7, 6, 6}, {5, 5, 5}, {1, 1, 1}, {2, 2, 2}, {2, 2, 2});
  CHECK_FLAT(float, 1, 2, 3, {9, 8, 9}, {3, 3, 3}, {1, 1, 1}, {2, 3, 2}, {2, 3, 2}, {2, 3, 2});  // dilation
  CHECK_FLAT(float, 1, 2, 2, {2, 3, 3}, {3, 3, 3}, {1, 1, 1}, {3, 3, 3}, {3, 3, 3}, {3, 3, 3});  // most taps read nothing
  CHECK_FLAT(double, 2, 3, 3, {5, 6, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_FLAT(double, 1, 4, 2, {4, 2, 2}, {2, 3, 3}, {1, 1, 1}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 2);
}

TEST_CASE("conv3d flat: epilogues and input scale", "[conv3d]") {
  check_flat_epilogue<make(2, 3, 4, {3, 5, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("channels");
  check_flat_epilogue<make(2, 6, 12, {4, 6, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3)>("groups");
}

/// A lane that a tap reads of the padding must not read the neighbouring row: its number there would come out as NaN.
TEST_CASE("conv3d flat: what a tap does not reach does not count", "[conv3d]") {
  constexpr conv_geometry g = make(1, 1, 1, {3, 5, 6}, {1, 1, 3}, {1, 1, 1}, {0, 0, 1}, {0, 0, 1});
  std::vector<float> x(static_cast<std::size_t>(g.x_size()), 1.0f), w(static_cast<std::size_t>(g.w_size()), 1.0f);
  for (std::size_t i = 0; i < x.size(); i += 12)
    std::fill_n(x.begin() + static_cast<int64_t>(i), 6, std::numeric_limits<float>::quiet_NaN());
  const auto y = forward<float, g>(x, w), dx = backward_data<float, g>(x, w);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const bool outside = i % 6 == 0 || i % 6 == 5, clean = i / 6 % 2 == 1;
    CHECK((clean ? y[i] == (outside ? 2.0f : 3.0f) : y[i] != y[i]));
    CHECK((clean ? dx[i] == (outside ? 2.0f : 3.0f) : dx[i] != dx[i]));
  }
}

#if defined(__AVX512F__)
TEST_CASE("conv3d flat: the same bits for any number of threads", "[conv3d]") {
  check_threads<make(40, 4, 4, {8, 9, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>();
  check_threads<make(24, 1, 7, {13, 12, 12}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>();
}
#endif
