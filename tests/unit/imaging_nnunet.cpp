// What comes before and after nnU-Net's network, against nnU-Net's own functions (data/nnunet.py), and a whole case with its predictor.
#include <volute/imaging/nnunet.hpp>
#include <volute/io/npz.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volumes/windowed.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <xtensor/xview.hpp>

#include <limits>
#include <string>

using namespace volute::imaging;
using volute::volumes::nearest_half;

namespace {

/// Rank R, with ones before the extents that are stored.
template <class T, std::size_t R>
xt::xtensor<T, R> stored(const std::string& name) {
  static const volute::npz_file file(VOLUTE_TEST_DATA "/nnunet.npz");
  const auto& t = file.tensors().at(name);
  REQUIRE(t.type == volute::io::dtype_of<T>());
  std::array<std::size_t, R> shape;
  shape.fill(1);
  std::copy(t.shape.begin(), t.shape.end(), shape.end() - static_cast<std::ptrdiff_t>(t.shape.size()));
  auto v = xt::xtensor<T, R>::from_shape(shape);
  file.read(t, std::as_writable_bytes(std::span(v.data(), v.size())));
  return v;
}
std::vector<xt::xtensor<float, 3>> images(const std::string& name) {
  const auto all = stored<float, 4>(name + ".images");
  std::vector<xt::xtensor<float, 3>> each;
  for (std::size_t c = 0; c < all.shape()[0]; ++c) each.emplace_back(xt::view(all, c));
  return each;
}
template <class A, class B>
double apart(const A& a, const B& b) {
  if (!std::equal(a.shape().begin(), a.shape().end(), b.shape().begin(), b.shape().end())) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
  return worst;
}

constexpr nnunet_channel z_scores[]{{.masked = true}, {}};
constexpr nnunet_channel ct[]{{.scheme = nnunet_scheme::ct, .mean = 60.5, .deviation = 31.25, .low = -20, .high = 130}};
constexpr nnunet_channel others[]{
    {.scheme = nnunet_scheme::rescale_to_01}, {.scheme = nnunet_scheme::rgb_to_01}, {.scheme = nnunet_scheme::none}};
constexpr int order_of_regions[]{1, 2, 3};
constexpr nnunet_plan masked{.channels = z_scores}, thick{.spacing = {4, 1, 1}, .transpose = {2, 0, 1}, .channels = ct},
    regions{.spacing = {1.25, 1, 0.8}, .transpose = {1, 0, 2}, .channels = others, .regions = order_of_regions};

}  // namespace

TEST_CASE("numbers of 16 bits") {
  for (int bits = 0; bits < 0x7C00; ++bits) {  // each is its own; what lies between two goes to the nearer one, the middle to the even one
    const double low = volute::io::from_half(static_cast<std::uint16_t>(bits));
    const double high = bits < 0x7BFF ? static_cast<double>(volute::io::from_half(static_cast<std::uint16_t>(bits + 1))) : 65536;
    const double middle = (low + high) / 2, above = bits < 0x7BFF ? high : INFINITY;
    const bool right = nearest_half(low) == low && nearest_half(-low) == -low && nearest_half(std::nextafter(middle, 0)) == low &&
                       nearest_half(std::nextafter(middle, 1e9)) == above && nearest_half(middle) == (bits % 2 == 0 ? low : above) &&
                       nearest_half(-std::nextafter(middle, 1e9)) == -above;
    if (!right) FAIL("wrong around " << low);
  }
  CHECK(nearest_half(1e300) == INFINITY);
  CHECK(std::isnan(nearest_half(NAN)));
}

TEST_CASE("resized as nnU-Net resamples: whole, and slice by slice") {
  const auto x = stored<float, 3>("x");
  struct {
    const char* name;
    size3 extent;
    int apart;
  } const cases[]{{"whole", {9, 7, 12}, -1},  {"apart_d", {8, 7, 12}, 0},    {"apart_h", {8, 14, 5}, 1},
                  {"apart_w", {4, 9, 12}, 2}, {"two_thick", {8, 7, 12}, -1}, {"only_apart", {12, 9, 8}, 0}};
  const auto nearest = interpolation::nearest, linear = interpolation::linear, cubic = interpolation::cubic;
  for (const auto& c : cases) {
    INFO(c.name);
    const std::string name = std::string("resized.") + c.name;
    CHECK(apart(resized(x, c.extent, cubic, c.apart, nearest), stored<float, 3>(name + ".30")) < 1e-4);  // of some 250
    CHECK(apart(resized(x, c.extent, linear, c.apart, nearest), stored<float, 3>(name + ".10")) < 1e-4);
  }
  CHECK(apart(resized(x, {8, 7, 12}, cubic, 0, cubic), stored<float, 3>("resized.apart_d.33")) < 1e-4);
  CHECK(apart(resized(x, {8, 7, 12}, linear, 0, linear), stored<float, 3>("resized.apart_d.11")) < 1e-4);
  CHECK(apart(resized(x, {5, 9, 8}, cubic), x) == 0);
  CHECK_THROWS_WITH(resized(x, {5, 0, 8}, cubic), "resized: expected extents of 1 or more, found 0");
  CHECK_THROWS_WITH(resized(tensor_of<float>({5, 0, 8}), {1, 1, 1}, cubic), "resized: expected extents of 1 or more, found 0");
}

TEST_CASE("which axis is resampled apart") {
  const auto rule = [](std::array<double, 3> from, std::array<double, 3> to, int separate = -1) {
    return nnunet_apart({.separate_z = separate}, from, to);
  };
  CHECK(rule({1, 1, 3}, {1, 1, 1}) == -1);  // more than three times
  CHECK(rule({1, 1, 3.01}, {1, 1, 1}) == 2);
  CHECK(rule({1, 1, 2}, {1, 4, 1}) == 1);   // the new spacing, where the old one is even
  CHECK(rule({1, 1, 4}, {5, 1, 1}) == 2);   // the old one first
  CHECK(rule({4, 1, 4}, {1, 1, 1}) == -1);  // two thick axes
  CHECK(rule({1, 1, 9}, {1, 1, 1}, 0) == -1);
  CHECK(rule({1, 2, 1}, {9, 1, 1}, 1) == 1);
  CHECK(rule({1, 1, 1}, {9, 1, 1}, 1) == -1);
}

TEST_CASE("holes are filled as SciPy does") {
  const auto shell = stored<float, 3>("shell");
  CHECK(apart(filled(shell), stored<std::uint8_t, 3>("filled")) == 0);
  xt::xtensor<std::uint8_t, 3> none = xt::zeros<std::uint8_t>({1, 2, 3});
  CHECK(apart(filled(none), none) == 0);
}

TEST_CASE("axes exchanged") {
  const auto x = stored<float, 3>("x");
  const auto y = transposed(x, {2, 0, 1});
  CHECK((extent_of(y) == size3{8, 5, 9}));
  CHECK(y(7, 3, 1) == x(3, 1, 7));
  CHECK_THROWS_WITH(transposed(x, {2, 0, 2}), "transposed: expected the axes 0, 1 and 2 once each");
}

TEST_CASE("cases before the network, and scores back to labels") {
  const auto check = [](const std::string& name, const nnunet_plan& plan, const std::array<double, 3>& spacing) {
    INFO(name);
    const auto given = images(name);
    const nnunet_case c = nnunet_prepared(plan, given, spacing);
    CHECK(apart(c.voxels, stored<float, 5>(name + ".data")) < 2e-4);  // of 1 to some 250
    CHECK(apart(nnunet_labels(plan, c, stored<float, 5>(name + ".scores")), stored<std::uint8_t, 3>(name + ".labels")) == 0);
  };
  check("masked", masked, {1.5, 1.2, 0.9});
  check("thick", thick, {0.8, 0.9, 5});
  check("regions", regions, {1, 1, 1});
}

TEST_CASE("what does not fit is said") {
  auto given = images("masked");
  const std::array<double, 3> spacing{1.5, 1.2, 0.9};
  CHECK_THROWS_WITH(nnunet_prepared(thick, given, spacing), "images: expected 1, one for each channel, found 2");
  CHECK_THROWS_WITH(nnunet_prepared(masked, given, {1, 0, 1}), "spacing: expected millimetres above 0, found 0.000000");
  const nnunet_case c = nnunet_prepared(masked, given, spacing);
  auto scores = stored<float, 5>("masked.scores");
  CHECK_THROWS_WITH(nnunet_labels(masked, c, stored<float, 5>("thick.scores")),
                    "scores: expected those of voxels (1,2,10,11,5), found (1,3,6,10,13)");
  CHECK_THROWS_WITH(nnunet_labels(masked, c, xt::xtensor<float, 5>(xt::zeros<float>({1, 257, 10, 11, 5}))),
                    "labels: expected at most 255, found 256");
  scores(0, 1, 2, 3, 4) = 1e6f;
  CHECK_THROWS_WITH(nnunet_labels(masked, c, scores), Catch::Contains("scores: expected numbers within 16 bits, found "));
  given[1] = stored<float, 3>("x");
  CHECK_THROWS_WITH(nnunet_prepared(masked, given, spacing), "images: expected extents (9,12,11), found (5,9,8)");
}

namespace {
namespace nn = volute::nn;
struct net
    : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::padding<1>>, nn::instance_norm3d<4>, nn::relu, nn::conv3d<4, 3, nn::kernel<1>>> {};
}  // namespace

TEST_CASE("a case by nnU-Net's predictor: two folds, windows in 16 bits, mirrored along two axes") {
  volute::windowed<net, volute::input<"x", 1, 1, 6, 8, 7>> windows;
  static const volute::npz_file file(VOLUTE_TEST_DATA "/nnunet.npz");
  const nnunet_plan plan{.channels = std::span(z_scores + 1, 1), .mirror = {true, false, true}};
  const nnunet_case c = nnunet_prepared(plan, images("predicted"), {1.1, 0.95, 1.3});
  const auto scores = nnunet_scores(plan, windows, c, 2, [&](std::size_t fold) {
    for (const auto& p : windows.parameter_table()) {
      const auto& t = file.tensors().at("fold" + std::to_string(fold) + "." + std::string(p.path));
      file.read(t, std::as_writable_bytes(std::span(p.data, static_cast<std::size_t>(p.shape.size()))));
    }
    windows.parameters_changed();
  });
  const auto expected = stored<float, 5>("predicted.scores");
  std::size_t other = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) other += scores.data()[i] != expected.data()[i];
  CHECK(apart(scores, expected) < 2e-3);  // a few steps of 16 bits
  CHECK(other < scores.size() / 50);      // float's roundings rarely change one
  CHECK(apart(nnunet_labels(plan, c, scores), stored<std::uint8_t, 3>("predicted.labels")) == 0);
  CHECK_THROWS_WITH(nnunet_scores(plan, windows, c, 0, [](std::size_t) {}), "folds: expected 1 or more, found 0");
}
