// Volumes whose copies would leave the caches: the depth is cut into slabs, in all three faces, with every kind of overlap between two of
// them. Most sources have many channels and most targets few, so that the plain loops stay short.
#include "kernels_conv3d_support.hpp"

using namespace conv3d_test;

namespace {

constexpr auto front = kernels::conv_side::forward, back = kernels::conv_side::backward;

/// True if what a plan reads of the depth does not stand in the copies together.
constexpr bool cut(const kernels::depth_slabs& d) { return d.count > 1; }

}  // namespace

TEST_CASE("conv3d slabs: channels in the lanes", "[conv3d]") {
  constexpr conv_geometry forward = make(1, 48, 10, {19, 16, 29}, {3, 1, 3}, {1, 1, 1}, {1, 0, 1}, {1, 0, 1});
  static_assert(cut(kernels::plan_channels<double>({forward, front}).slabs) && cut(kernels::plan_weights<double>({forward, front}).depth));
  check<double, forward>("padding");
  constexpr conv_geometry causal = make(2, 45, 10, {23, 15, 27}, {3, 1, 2}, {1, 1, 1}, {4, 0, 0}, {0, 0, 1}, {2, 1, 1});
  static_assert(cut(kernels::plan_channels<double>({causal, front}).slabs));
  check<double, causal>("dilation, causal, a batch");
  constexpr conv_geometry strided = make(1, 32, 10, {25, 17, 54}, {4, 1, 3}, {2, 1, 2}, {1, 0, 1}, {2, 0, 1});
  static_assert(cut(kernels::plan_channels<double>({strided, front}).slabs));
  check<double, strided>("stride");
  constexpr conv_geometry classes = make(1, 10, 40, {49, 15, 54}, {3, 1, 3}, {2, 1, 2}, {1, 0, 1}, {1, 0, 1});
  static_assert(cut(kernels::plan_channels<double>({classes, back}).slabs));
  check<double, classes>("residue classes");
}

TEST_CASE("conv3d slabs: rows", "[conv3d]") {
  constexpr conv_geometry forward = make(1, 32, 4, {50, 16, 17}, {3, 1, 2}, {1, 1, 1}, {1, 0, 0}, {1, 0, 1});
  static_assert(cut(kernels::plan_rows<double>({forward, front}).slabs) && cut(kernels::plan_row_weights<double>({forward, front}).depth));
  check<double, forward>("few target channels");
  constexpr conv_geometry turned = make(2, 4, 30, {41, 18, 20}, {4, 1, 3}, {1, 1, 1}, {2, 0, 1}, {1, 0, 1});
  static_assert(cut(kernels::plan_rows<double>({turned, back}).slabs) && cut(kernels::plan_row_weights<double>({turned, back}).depth));
  check<double, turned>("few source channels, a batch");
  constexpr conv_geometry heavy = make(1, 80, 18, {47, 16, 7}, {3, 1, 3}, {1, 1, 1}, {1, 0, 1}, {1, 0, 1});
  static_assert(cut(kernels::plan_rows<double>({heavy, front}).slabs) && kernels::plan_rows<double>({heavy, front}).code.slab);
  check<double, heavy>("sums that wait between slabs of weights");
}
