// Convolutions whose windows do not overlap, which are products of matrices: tails of channels and pixels, odd extents, gaps between the
// windows, elements that no window holds, groups, batches, epilogues.
#include "kernels_conv3d_support.hpp"

#include <volute/core/executor.hpp>

#include <catch2/catch.hpp>

using namespace conv3d_test;

TEST_CASE("conv3d: pointwise", "[conv3d]") {
  CHECK_GEOMETRY(float, 2, 1, 20, {3, 5, 7}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 19, 2, {3, 5, 7}, {1, 1, 1});
  CHECK_GEOMETRY(float, 2, 5, 13, {1, 1, 37}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 14, 11, {4, 4, 4}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 40, 100, {2, 7, 9}, {1, 1, 1});    // three vectors of channels, and a rest
  CHECK_GEOMETRY(float, 1, 33, 30, {10, 10, 31}, {1, 1, 1});  // several panels of pixels
  CHECK_GEOMETRY(float, 1, 300, 310, {1, 4, 5}, {1, 1, 1});   // more than the weights' adjoint packs at a time
  CHECK_GEOMETRY(float, 2, 18, 27, {3, 4, 9}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 3);
  CHECK_GEOMETRY(float, 2, 6, 9, {5, 7, 9}, {1, 1, 1}, {2, 2, 2});     // odd extents
  CHECK_GEOMETRY(float, 1, 17, 18, {6, 8, 10}, {1, 1, 1}, {2, 2, 2});  // elements behind the last window
  CHECK_GEOMETRY(float, 1, 4, 6, {3, 6, 41}, {1, 1, 1}, {1, 2, 3});
  CHECK_GEOMETRY(float, 1, 9, 10, {9, 4, 8}, {1, 1, 1}, {3, 1, 1});
  CHECK_GEOMETRY(float, 2, 8, 12, {7, 9, 35}, {2, 2, 2}, {2, 2, 2});
  CHECK_GEOMETRY(float, 1, 8, 12, {4, 4, 64}, {2, 2, 2}, {2, 2, 2});
  CHECK_GEOMETRY(float, 1, 12, 10, {4, 9, 22}, {1, 2, 2}, {1, 2, 2}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 2);
  CHECK_GEOMETRY(float, 1, 3, 20, {9, 9, 25}, {3, 3, 3}, {3, 3, 3});
  CHECK_GEOMETRY(float, 1, 3, 20, {8, 9, 27}, {2, 1, 3}, {3, 2, 4});   // gaps between the windows
  CHECK_GEOMETRY(float, 1, 2, 3, {2, 4, 2300}, {2, 2, 2}, {2, 2, 2});  // rows longer than a panel
  CHECK_GEOMETRY(float, 1, 2, 33, {1, 1, 64007}, {1, 1, 1});           // results that are stored past the caches
  CHECK_GEOMETRY(float, 2, 10, 35, {16, 32, 32}, {1, 1, 1});           // planes that drive each other out of the caches, both ways
  CHECK_GEOMETRY(float, 1, 35, 10, {8, 64, 64}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 24, 24, {4, 64, 192}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 2);  // the same, in groups
  CHECK_GEOMETRY(float, 1, 8, 2, {2, 363, 363}, {1, 2, 2}, {2, 2, 2});
  CHECK_GEOMETRY(double, 2, 8, 12, {5, 6, 27}, {2, 2, 2}, {2, 2, 2});
  CHECK_GEOMETRY(double, 2, 20, 17, {5, 6, 9}, {1, 1, 1});
  CHECK_GEOMETRY(double, 1, 5, 17, {5, 6, 9}, {1, 1, 1}, {2, 1, 2});
}

TEST_CASE("conv3d: pointwise with epilogues and input scale", "[conv3d]") {
  check_epilogue<make(2, 12, 18, {5, 7, 9}, {1, 1, 1}, {2, 2, 2}, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 2)>("pointwise, odd extents, groups");
  check_epilogue<make(2, 20, 21, {3, 5, 13}, {1, 1, 1})>("pointwise, several columns of pixels and a rest");
  check_epilogue<make(1, 9, 3, {2, 7, 19}, {1, 1, 1})>("pointwise, few targets");
  check_epilogue<make(1, 12, 23, {16, 32, 64}, {1, 1, 1})>("pointwise, planes that drive each other out");
  check_epilogue<make(2, 9, 10, {4, 6, 19}, {2, 2, 2}, {2, 2, 2})>("windows of two");
  check_epilogue<make(2, 9, 10, {4, 4, 23}, {1, 1, 3}, {2, 1, 4})>("windows with gaps");
}

namespace {

/// The three faces on three threads against one: equal in every bit.
template <conv_geometry G>
void check_threads() {
  static_assert(kernels::conv3d_worker_size<float>(G, kernels::conv_side::forward) > 0, "not enough work to share");
  std::vector<float> x(static_cast<std::size_t>(G.x_size())), w(static_cast<std::size_t>(G.w_size())),
      g(static_cast<std::size_t>(G.y_size()));
  unsigned state = 1;
  for (auto* v : {&x, &w, &g})
    for (float& e : *v) {
      state = state * 1664525u + 1013904223u;
      e = static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
    }
  volute::spinning_pool pool(3);
  const auto memory = [&](int64_t each) { return guarded<float>(2 * each); };
  const int64_t forward_each = kernels::conv3d_worker_size<float>(G, kernels::conv_side::forward),
                data_each = kernels::conv3d_worker_size<float>(G, kernels::conv_side::backward),
                weights_each = kernels::conv3d_backward_weights_worker_size<float>(G);
  guarded<float> f = memory(forward_each), d = memory(data_each), k = memory(weights_each), y(G.y_size()), dx(G.x_size()), dw(G.w_size()),
                 packed_y(kernels::conv3d_forward_packed_size<float>(G)), packed_x(kernels::conv3d_backward_data_packed_size<float>(G)),
                 scratch_y(kernels::conv3d_forward_scratch_size<float>(G)), scratch_x(kernels::conv3d_backward_data_scratch_size<float>(G)),
                 scratch_w(kernels::conv3d_backward_weights_scratch_size<float>(G));
  kernels::conv3d_pack_forward<float, G>::run(w.data(), packed_y.data(), {&pool, nullptr, 0});
  kernels::conv3d_pack_backward_data<float, G>::run(w.data(), packed_x.data(), {&pool, nullptr, 0});
  kernels::conv3d_forward<float, G>::run(x.data(), packed_y.data(), y.data(), nullptr, nullptr, scratch_y.data(),
                                         {&pool, f.data(), forward_each});
  kernels::conv3d_backward_data<float, G>::run(g.data(), packed_x.data(), dx.data(), nullptr, nullptr, scratch_x.data(),
                                               {&pool, d.data(), data_each});
  kernels::conv3d_backward_weights<float, G>::run(x.data(), g.data(), dw.data(), scratch_w.data(), {&pool, k.data(), weights_each});
  CHECK(y.values() == forward<float, G>(x, w));
  CHECK(dx.values() == backward_data<float, G>(g, w));
  CHECK(dw.values() == backward_weights<float, G>(x, g));
  CHECK((y.intact() && dx.intact() && dw.intact() && f.intact() && d.intact() && k.intact() && scratch_y.intact() && scratch_x.intact() &&
         scratch_w.intact()));
}

}  // namespace

TEST_CASE("conv3d: pointwise by threads", "[conv3d]") {
  check_threads<make(2, 40, 24, {8, 16, 20}, {1, 1, 1})>();
  check_threads<make(1, 130, 260, {3, 4, 10}, {1, 1, 1})>();  // few pixels: threads share the channels
  check_threads<make(1, 40, 24, {16, 32, 64}, {1, 1, 1})>();   // planes that drive each other out
  check_threads<make(3, 12, 30, {6, 24, 34}, {2, 2, 2}, {2, 2, 2})>();
}
