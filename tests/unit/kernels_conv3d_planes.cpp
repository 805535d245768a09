// The kernel with several planes in flight where the source has many channels, which are taken in chunks: chunks, slabs of rows and ranges
// of depth that do not divide what they cut. Called directly: it is chosen for large volumes only.
#include "kernels_conv3d_support.hpp"

using namespace conv3d_test;

namespace {

constexpr auto data = kernels::conv_side::backward;

template <class T, conv_geometry G>
std::vector<T> planes(const std::vector<T>& g, const std::vector<T>& w, int threads) {
  static constexpr kernels::planes_plan plan = kernels::plan_planes<T>({G, data});
  volute::spinning_pool pool(threads);
  guarded<T> packed(G.w_size()), dx(G.x_size()), scratch(plan.scratch());
  guarded<T> memory(plan.worker_scratch() * (threads - 1));
  static constexpr kernels::conv_call call{.geometry = G, .side = data};
  const auto team = threads > 1 ? kernels::team<T>{&pool, memory.data(), plan.worker_scratch()} : kernels::team<T>{};
  kernels::pack_filters<T>(kernels::conv_shape_of<G, data>, plan.order, w.data(), packed.data(), team);
  kernels::run_family<T, call, plan>({g.data(), packed.data(), {dx.data(), nullptr}, nullptr, scratch.data(), team});
  CHECK((packed.intact() && dx.intact() && scratch.intact() && memory.intact()));
  return dx.values();
}

template <class T, conv_geometry G>
void check_planes(const char* name) {
  static_assert(kernels::planes_possible({G, data}) && kernels::plan_planes<T>({G, data}).chunk < G.group_out());
  INFO(name);
  const auto g = numbers<T>(G.y_size(), 3, 2, 5), w = numbers<T>(G.w_size(), 5, 1, 5);
  std::vector<T> dx(static_cast<std::size_t>(G.x_size()));
  products(G, [&](int64_t ix, int64_t iw, int64_t iy) {
    dx[static_cast<std::size_t>(ix)] += g[static_cast<std::size_t>(iy)] * w[static_cast<std::size_t>(iw)];
  });
  for (const int threads : {1, 3}) {
    const auto is = planes<T, G>(g, w, threads);
    INFO(threads << " threads: " << where(is, dx));
    CHECK(is == dx);
  }
}

template <conv_geometry G>
std::vector<float> planes_weights(const std::vector<float>& x, const std::vector<float>& g, int threads) {
  static constexpr kernels::planes_weights_plan plan = kernels::plan_planes_weights<float>(G);
  volute::spinning_pool pool(threads);
  guarded<float> dw(G.w_size()), scratch(plan.scratch()), memory(plan.worker_scratch() * (threads - 1));
  static constexpr kernels::conv_call call{.geometry = G};
  kernels::run_weights<float, call, plan>(
      {x.data(), g.data(), dw.data(), scratch.data(),
       threads > 1 ? kernels::team<float>{&pool, memory.data(), plan.worker_scratch()} : kernels::team<float>{}});
  CHECK((dw.intact() && scratch.intact() && memory.intact()));
  return dw.values();
}

}  // namespace

#define CHECK_PLANES(T, ...) check_planes<T, make(__VA_ARGS__)>(#T " " #__VA_ARGS__)

TEST_CASE("conv3d planes: chunks of source channels", "[conv3d]") {
  CHECK_PLANES(float, 1, 1, 19, {9, 13, 37}, {3, 2, 3}, {1, 1, 1}, {1, 0, 2}, {0, 1, 1});
  CHECK_PLANES(float, 1, 3, 17, {5, 14, 30}, {3, 3, 5}, {1, 2, 2}, {1, 1, 2}, {1, 1, 2});             // residue classes
  CHECK_PLANES(float, 2, 3, 18, {3, 11, 25}, {2, 3, 3}, {1, 1, 1}, {2, 2, 0}, {0, 2, 4}, {1, 2, 2});  // dilation, planes of padding
  CHECK_PLANES(float, 1, 2, 20, {17, 9, 10}, {5, 1, 1}, {1, 1, 1}, {2, 0, 0}, {2, 0, 0}, {1, 1, 1}, 2);
  CHECK_PLANES(double, 1, 2, 9, {4, 10, 18}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d planes: the same bits for any number of threads", "[conv3d]") {
  constexpr conv_geometry g = make(1, 1, 18, {19, 33, 40}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  static_assert(kernels::plan_planes<float>({g, data}).parts > 1 && kernels::plan_planes<float>({g, data}).slabs > 1);
  std::vector<float> y(static_cast<std::size_t>(g.y_size())), w(static_cast<std::size_t>(g.w_size())),
      x(static_cast<std::size_t>(g.x_size()));
  unsigned state = 1;
  for (auto* v : {&y, &w, &x})
    for (float& e : *v) {
      state = state * 1664525u + 1013904223u;
      e = static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
    }
  CHECK(planes<float, g>(y, w, 1) == planes<float, g>(y, w, 3));
  static_assert(kernels::plan_planes_weights<float>(g).blocks > 1);
  CHECK(planes_weights<g>(x, y, 1) == planes_weights<g>(x, y, 3));
}

TEST_CASE("conv3d planes: rows of the copy on whole cache lines", "[conv3d]") {
  CHECK_GEOMETRY(float, 2, 2, 4, {3, 9, 120}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d planes: epilogues and input scale", "[conv3d]") {
  check_epilogue<make(1, 33, 1, {5, 33, 100}, {2, 2, 2}, {1, 1, 1}, {0, 1, 0}, {1, 0, 1})>("chunks of source channels");
}
