// The receptive field against what changes in a result when planes of the input do.
#include "volumes_networks.hpp"

#include <volute/runtime/receptive_field.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <vector>

using namespace volumes_networks;

namespace {

/// What is seen along an axis: first and last input plane of each plane of the result, by trial.
struct reach {
  std::vector<std::int64_t> first, last;
};

template <class Net, std::int64_t Channels, std::int64_t N>
class trial {
  static constexpr auto x = input<"x", 1, Channels, N, N, N>;
  using model_type = basic_model<double, Net, x>;
  static constexpr std::int64_t voxels = N * N * N;
  model_type m_;
  std::vector<double> in_, out_, changed_;

 public:
  static constexpr extents shape = model_type::output_shape();

  trial() : in_(Channels * voxels), out_(static_cast<std::size_t>(shape.size())), changed_(out_.size()) {
    std::mt19937 random(7);
    for (double& v : in_) v = std::uniform_real_distribution<double>(-1, 1)(random);
    run(out_);
  }
  void run(std::vector<double>& to) {
    const double* from[]{in_.data()};
    m_.run(from, to.data());
  }

  reach along(int a) {
    const std::int64_t n = shape[2 + a], stride = shape.stride(2 + a), in_stride = a == 0 ? N * N : a == 1 ? N : 1;
    reach r{std::vector<std::int64_t>(static_cast<std::size_t>(n), N), std::vector<std::int64_t>(static_cast<std::size_t>(n), -1)};
    for (std::int64_t i = 0; i < N; ++i)
      for (double by : {10.0, -10.0}) {  // a maximum sees one of them
        const std::vector<double> kept = in_;
        for (std::size_t e = 0; e < in_.size(); ++e)
          if (static_cast<std::int64_t>(e) / in_stride % N == i) in_[e] += by;
        run(changed_);
        in_ = kept;
        for (std::size_t e = 0; e < out_.size(); ++e)
          if (std::abs(out_[e] - changed_[e]) > 1e-13) {
            const auto j = static_cast<std::size_t>(static_cast<std::int64_t>(e) / stride % n);
            r.first[j] = std::min(r.first[j], i), r.last[j] = std::max(r.last[j], i);
          }
      }
    return r;
  }
};

template <class Net, std::int64_t Channels = 1, std::int64_t N = 16>
void agrees(const char* name) {
  INFO(name);
  constexpr volume_field field = receptive_field<Net, input<"x", 1, Channels, N, N, N>>;
  trial<Net, Channels, N> t;
  for (int a = 0; a < 3; ++a) {
    INFO("axis " << a);
    const reach r = t.along(a);
    std::int64_t low = -N, high = -N;
    for (std::size_t j = 0; j < r.first.size(); ++j) {
      const std::int64_t at = (field[a].stride * ratio(static_cast<std::int64_t>(j))).floor();
      if (r.last[j] < 0) continue;
      low = std::max(low, at - r.first[j]), high = std::max(high, r.last[j] - at);
    }
    CHECK(field[a].low == low);
    CHECK(field[a].high == high);
  }
}

}  // namespace

TEST_CASE("a receptive field is what a result sees") {
  agrees<plain>("plain");
  agrees<unpadded>("unpadded");
  agrees<dilated>("dilated");
  agrees<one_sided>("one_sided");
  agrees<causal_time>("causal_time");
  agrees<grouped, 2>("grouped");
  agrees<residuals>("residuals");
}
namespace {
struct looked_up {
  constexpr auto operator()(expression auto x) const { return take(parameter<"table", 8>, axis<0>, x); }
};
struct filtered : nn::minimal_filtering<nn::conv3d<16, 16, nn::kernel<3>, nn::same>> {};
}  // namespace
TEST_CASE("what is looked up in a table sees its index; how a convolution is computed changes nothing") {
  STATIC_REQUIRE(receptive_field<looked_up, input<"x", 1, 1, 8, 8, 8>>.depth.low == 0);
  STATIC_REQUIRE(receptive_field<looked_up, input<"x", 1, 1, 8, 8, 8>>.width.high == 0);
  STATIC_REQUIRE(receptive_field<filtered, input<"x", 1, 16, 16, 16, 16>>.height.low == 1);
}
TEST_CASE("through strides and back") {
  agrees<strided>("strided");
  agrees<pooled_up>("pooled_up");
  agrees<linear_up>("linear_up");
  agrees<super>("super");
  agrees<windows>("windows");
  agrees<unet_strides, 1, 24>("unet_strides");
}
TEST_CASE("borders that are mirrored, repeated and cut") {
  agrees<bordered>("bordered");
  agrees<cropped>("cropped");
}
