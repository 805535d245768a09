// One infinity or NaN among ordinary numbers: results that do not read it are, bit for bit, what they were. (Convolution:
// kernels_conv3d_infinite.cpp.)
#include <volute/volute.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

using namespace volute;
namespace nn = volute::nn;

namespace {

constexpr auto a = input<"a", 2, 5, 19>;
constexpr auto b = input<"b", 19, 37>;
constexpr auto v = input<"v", 2, 3, 5, 6, 7>;

/// Runs the program with x[at] as it is, then infinite and NaN; results of which `reads(result number, index)` is false must not change,
/// and the others must not be finite.
template <auto Outputs, class Node, class... Bound, class Reads>
void check(Node node, std::initializer_list<std::size_t> places, Reads reads, Bound... bound) {
  program<Outputs> p;
  kernels_test::numbers rnd(7);
  std::vector<float> x = rnd.vector<float>(Node::shape().size(), 0.5, 1);
  const auto run = [&] {
    return std::apply(
        [](const auto&... r) { return std::vector<std::vector<float>>{std::vector<float>(r.data(), r.data() + r.size())...}; },
        p(node = x, bound...));
  };
  const auto before = run();
  for (const std::size_t at : places)
    for (const float special : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      const float old = x[at];
      x[at] = special;
      const auto after = run();
      x[at] = old;
      int changed = 0, finite = 0;
      for (std::size_t k = 0; k < after.size(); ++k)
        for (std::size_t i = 0; i < after[k].size(); ++i) {
          const float now = after[k][i];
          if (reads(k, at, i))
            finite += std::isfinite(now);
          else
            changed += now != before[k][i];
        }
      INFO(special << " at " << at);
      CHECK(changed == 0);
      CHECK(finite == 0);
    }
}

}  // namespace

TEST_CASE("matrix products: an infinity stays in its row or column", "[runtime]") {
  kernels_test::numbers rnd(9);
  const auto other = rnd.vector<float>(703, 0.5, 1);
  const auto many = rnd.vector<float>(190, 0.5, 1);
  check<outputs(matmul(a, b))>(
      a, {0, 18, 95, 189}, [](std::size_t, std::size_t at, std::size_t i) { return i / 37 == at / 19; }, b = other);
  check<outputs(matmul(a, b))>(
      b, {0, 36, 700}, [](std::size_t, std::size_t at, std::size_t i) { return i % 37 == at % 37; }, a = many);
}

TEST_CASE("reductions and norms: an infinity stays in its channel", "[runtime]") {
  constexpr auto voxels = axes<2, 3, 4>;
  check<outputs(sum(v, voxels), mean(v, voxels), nn::instance_norm3d<3>{}(v), nn::group_norm<3, 3, nn::affine<false>>{}(v))>(
      v, {0, 209, 210, 700, 1259}, [](std::size_t k, std::size_t at, std::size_t i) { return (k < 2 ? i : i / 210) == at / 210; });
  check<outputs(sum(v, axes<0, 1>), mean(v, axes<4>), mean(v, axes<0>), nn::layer_norm<7, nn::affine<false>>{}(v))>(
      v, {0, 6, 700, 1259}, [](std::size_t k, std::size_t at, std::size_t i) {
        return k == 0 ? i == at % 210 : k == 1 ? i == at / 7 : k == 2 ? i == at % 630 : i / 7 == at / 7;
      });
}

TEST_CASE("pooling: an infinity reaches its windows, and a gradient its voxels", "[runtime]") {
  // Windows of 2, stride 2: voxels behind the last window are read by none.
  const auto window = [](std::size_t at) {
    const std::size_t c = at / 210, d = at / 42 % 5 / 2, h = at / 7 % 6 / 2, w = at % 7 / 2;
    return d < 2 && w < 3 ? ((c * 2 + d) * 3 + h) * 3 + w : std::size_t(-1);
  };
  constexpr auto g = input<"g", 2, 3, 2, 3, 3>;
  check<outputs(avg_pool3d(v, kernel<2>))>(v, {0, 8, 209, 700, 1100},
                                           [&](std::size_t, std::size_t at, std::size_t i) { return i == window(at); });
  check<outputs(gradient(avg_pool3d(v, kernel<2>), v, cotangent(g)))>(
      g, {0, 17, 60, 107}, [&](std::size_t, std::size_t at, std::size_t i) { return window(i) == at; }, v = std::vector<float>(1260, 1.f));
  check<outputs(max_pool3d(v, kernel<2>), adaptive_max_pool3d(v, output_size<5, 6, 7>), zero_pad3d(v, padding<0, 0, 0, 0, 0, 1>))>(
      v, {0, 8, 209, 700}, [&](std::size_t k, std::size_t at, std::size_t i) {
        return k == 0 ? i == window(at) : k == 1 ? i == at : i / 8 == at / 7 && i % 8 == at % 7;
      });
}
