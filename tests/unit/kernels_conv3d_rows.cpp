// The kernels that hold whole rows of pixels (stride 1): every extent from 1 to 9, padding of either side, kernels larger than the volume,
// dilation, few channels that share lanes; and the same bits for a batch and its samples, for one thread and for three.
#include "kernels_conv3d_support.hpp"

#include <volute/core/executor.hpp>

using namespace conv3d_test;

TEST_CASE("conv3d rows: extents, padding, dilation", "[conv3d]") {
  CHECK_GEOMETRY(float, 2, 16, 32, {1, 2, 3}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 16, 16, {4, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 20, 48, {7, 8, 9}, {3, 3, 3}, {1, 1, 1}, {0, 1, 2}, {2, 0, 1});
  CHECK_GEOMETRY(float, 1, 8, 16, {9, 7, 1}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 2, 32, 16, {2, 3, 2}, {5, 5, 5}, {1, 1, 1}, {2, 2, 2}, {2, 2, 2});  // kernel larger than the volume
  CHECK_GEOMETRY(float, 1, 16, 16, {8, 6, 5}, {3, 3, 3}, {1, 1, 1}, {2, 1, 2}, {2, 2, 1}, {2, 2, 2});
  CHECK_GEOMETRY(float, 3, 80, 32, {3, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});   // two chunks of source channels
  CHECK_GEOMETRY(float, 1, 16, 16, {2, 3, 40}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // rows in pieces
  CHECK_GEOMETRY(float, 2, 32, 34, {3, 4, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);
}

TEST_CASE("conv3d rows: filters that are larger than the caches", "[conv3d]") {
  CHECK_GEOMETRY(float, 1, 290, 301, {1, 1, 3}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d rows: few channels share lanes", "[conv3d]") {
  CHECK_GEOMETRY(float, 1, 16, 8, {3, 9, 4}, {3, 3, 3}, {1, 1, 1}, {2, 0, 1}, {1, 2, 2});
  CHECK_GEOMETRY(float, 1, 32, 3, {5, 4, 18}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 2, 24, 1, {4, 3, 8}, {2, 2, 3}, {1, 1, 1}, {0, 1, 1}, {1, 0, 1});
  CHECK_GEOMETRY(double, 2, 9, 4, {4, 5, 7}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d rows: the filter's adjoint in parts of the pixels", "[conv3d]") {
  CHECK_GEOMETRY(float, 1, 8, 16, {12, 12, 12}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_GEOMETRY(float, 1, 16, 16, {16, 16, 8}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // and ranges of taps
  CHECK_GEOMETRY(float, 1, 16, 16, {5, 7, 16}, {3, 5, 5}, {1, 1, 1}, {1, 0, 2}, {1, 3, 1});   // columns of taps
  CHECK_GEOMETRY(float, 1, 288, 288, {1, 2, 2}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});  // its result past the caches
}

TEST_CASE("conv3d rows: epilogues and input scale", "[conv3d]") {
  check_epilogue<make(2, 40, 32, {2, 4, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("sums between slabs");
  check_epilogue<make(2, 16, 8, {3, 2, 12}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("sums in registers, shared lanes");
}

namespace {

template <conv_geometry G>
struct results {
  std::vector<float> y, dx, dw;
  bool operator==(const results&) const = default;
};

/// The three faces on numbers whose sums round; `threads` > 1 share them.
template <conv_geometry G>
results<G> run(const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& g, int threads) {
  volute::spinning_pool pool(threads);
  const auto with = [&](int64_t each, auto f) {
    std::vector<float> memory(static_cast<std::size_t>(each * (threads - 1)));
    f(threads > 1 ? kernels::team<float>{&pool, memory.data(), each} : kernels::team<float>{});
  };
  guarded<float> packed(kernels::conv3d_forward_packed_size<float>(G)), y(G.y_size()), a(kernels::conv3d_forward_scratch_size<float>(G));
  guarded<float> turned(kernels::conv3d_backward_data_packed_size<float>(G)), dx(G.x_size()),
      b(kernels::conv3d_backward_data_scratch_size<float>(G));
  guarded<float> dw(G.w_size()), c(kernels::conv3d_backward_weights_scratch_size<float>(G));
  with(kernels::conv3d_worker_size<float>(G, kernels::conv_side::forward), [&](const kernels::team<float>& t) {
    kernels::conv3d_pack_forward<float, G>::run(w.data(), packed.data(), t);
    kernels::conv3d_forward<float, G>::run(x.data(), packed.data(), y.data(), nullptr, nullptr, a.data(), t);
  });
  with(kernels::conv3d_worker_size<float>(G, kernels::conv_side::backward), [&](const kernels::team<float>& t) {
    kernels::conv3d_pack_backward_data<float, G>::run(w.data(), turned.data(), t);
    kernels::conv3d_backward_data<float, G>::run(g.data(), turned.data(), dx.data(), nullptr, nullptr, b.data(), t);
  });
  with(kernels::conv3d_backward_weights_worker_size<float>(G),
       [&](const kernels::team<float>& t) { kernels::conv3d_backward_weights<float, G>::run(x.data(), g.data(), dw.data(), c.data(), t); });
  CHECK((packed.intact() && y.intact() && a.intact() && turned.intact() && dx.intact() && b.intact() && dw.intact() && c.intact()));
  return {y.values(), dx.values(), dw.values()};
}

template <conv_geometry G>
void check_bits(const char* name) {
  INFO(name);
  constexpr conv_geometry one = [] {
    conv_geometry q = G;
    q.batch = 1;
    return q;
  }();
  std::vector<float> x(static_cast<std::size_t>(G.x_size())), w(static_cast<std::size_t>(G.w_size())),
      g(static_cast<std::size_t>(G.y_size()));
  unsigned state = 1;
  for (auto* v : {&x, &w, &g})
    for (float& e : *v) {
      state = state * 1664525u + 1013904223u;
      e = static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
    }
  const auto alone = run<G>(x, w, g, 1);
  CHECK(alone == run<G>(x, w, g, 3));
  const auto sample = [](const std::vector<float>& v, int64_t size) { return std::vector<float>(v.end() - size, v.end()); };
  const auto last = run<one>(sample(x, one.x_size()), w, sample(g, one.y_size()), 1);
  CHECK(last.y == sample(alone.y, one.y_size()));
  CHECK(last.dx == sample(alone.dx, one.x_size()));
}

}  // namespace

TEST_CASE("conv3d rows: the same bits for a batch and its samples, and for any number of threads", "[conv3d]") {
  check_bits<make(2, 80, 64, {5, 5, 4}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("sums between slabs");
  check_bits<make(3, 8, 16, {10, 13, 12}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("sums in registers");
  check_bits<make(2, 16, 16, {9, 16, 16}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1})>("columns of taps");
}
