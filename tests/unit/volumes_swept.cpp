// Networks with statistics over all voxels, in sweeps that the graph finds, against the model of the whole.
#include "volumes_support.hpp"

#include <volute/core/spinning_pool.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volumes/swept.hpp>

#include <filesystem>

using namespace volumes_support;
namespace nn = volute::nn;
namespace vs = volute::volumes;

namespace {

template <text Name, int In, int Out, class... O>
using conv = nn::named<Name, nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>, O...>>;
constexpr auto act(expression auto x) { return leaky_relu<0.01>(x); }

// One level down and up, with instance norms and a group norm.
struct unet {
  conv<"a", 1, 4> a;
  nn::named<"na", nn::instance_norm3d<4, nn::affine<true>>> na;
  conv<"b", 4, 6, nn::stride<2>> b;
  nn::named<"nb", nn::instance_norm3d<6>> nb;
  nn::named<"up", nn::conv_transpose3d<6, 4, nn::kernel<2>, nn::stride<2>>> up;
  conv<"c", 8, 4> c;
  nn::named<"nc", nn::group_norm<2, 4>> nc;
  nn::named<"head", nn::conv3d<4, 3, nn::kernel<1>>> head;
  constexpr auto operator()(expression auto x) const {
    const auto skip = act(na(a(x)));
    return head(act(nc(c(concat(axis<1>, up(act(nb(b(skip)))), skip)))));
  }
};

// Squeeze and excitation by means and maxima, in a residual block whose shortcut has a norm of its own; interpolated to the first extents.
struct excited {
  nn::named<"n0", nn::instance_norm3d<2>> n0;  // of the input itself
  conv<"a", 2, 4, nn::stride<2>> a;
  nn::named<"na", nn::group_norm<4, 4>> na;
  nn::named<"shortcut", nn::conv3d<2, 4, nn::kernel<1>, nn::stride<2>>> shortcut;
  nn::named<"ns", nn::group_norm<1, 4>> ns;
  nn::named<"squeeze", nn::linear<8, 4>> squeeze;
  conv<"b", 4, 3> b;
  constexpr auto operator()(expression auto x) const {
    const auto y = n0(x);
    const auto z = relu(na(a(y)) + ns(shortcut(y)));
    const auto means = reshape(mean(z, axes<2, 3, 4>), shape<2, 4>);
    const auto most = reshape(adaptive_max_pool3d(z, output_size<1>), shape<2, 4>);
    const auto gate = sigmoid(squeeze(concat(axis<1>, means, most)));
    return b(upsample(z * reshape(gate, shape<2, 4, 1, 1, 1>), scale_factor<2>, trilinear)) + 1_c;
  }
};

// Scores of a whole volume, by sums of squares (ConvNeXt V2's response normalisation), means and maxima.
struct classifier {
  conv<"a", 1, 4> a;
  conv<"b", 4, 8, nn::stride<2>> b;
  nn::named<"head", nn::linear<16, 5>> head;
  constexpr auto operator()(expression auto x) const {
    const auto y = gelu(a(x));
    const auto g = sqrt(sum(square(y), axes<2, 3, 4>, keepdims));
    const auto z = relu(b(y * (g / (mean(g, axes<1>, keepdims) + constant<1e-6>)) + y));
    return head(concat(axis<1>, mean(z, axes<2, 3, 4>), maximum(z, axes<2, 3, 4>)));
  }
};

// Two volumes and a vector.
struct conditioned {
  conv<"a", 3, 4> a;
  nn::named<"na", nn::instance_norm3d<4>> na;
  nn::named<"style", nn::linear<6, 4>> style;
  conv<"b", 4, 2> b;
  constexpr auto operator()(expression auto image, expression auto prior, expression auto code) const {
    return b(relu(na(a(concat(axis<1>, image, prior))) * reshape(style(code), shape<1, 4, 1, 1, 1>)));
  }
};

// Three levels down: of the lowest one a tile of 16 has 2 voxels.
template <int C, int Levels>
struct level {
  conv<"a", C, 2 * C, nn::stride<2>> a;
  nn::named<"na", nn::instance_norm3d<2 * C>> na;
  nn::named<"up", nn::conv_transpose3d<2 * C, C, nn::kernel<2>, nn::stride<2>>> up;
  conv<"b", 2 * C, C> b;
  nn::named<"nb", nn::instance_norm3d<C>> nb;
  nn::named<"below", level<2 * C, Levels - 1>> below;
  constexpr auto operator()(expression auto x) const {
    return act(nb(b(concat(axis<1>, up(below(act(na(a(x))))), x))));
  }
};
template <int C>
struct level<C, 0> {
  conv<"a", C, C> a;
  nn::named<"na", nn::instance_norm3d<C>> na;
  constexpr auto operator()(expression auto x) const { return act(na(a(x))); }
};
struct deep {
  conv<"a", 1, 2> a;
  nn::named<"na", nn::instance_norm3d<2>> na;
  nn::named<"levels", level<2, 3>> levels;
  nn::named<"head", nn::conv3d<2, 2, nn::kernel<1>>> head;
  constexpr auto operator()(expression auto x) const { return head(levels(act(na(a(x))))); }
};

// No statistics, but ten convolutions on two levels: tiles would see 16 voxels to either side.
struct far {
  template <int In, int Out>
  struct three : nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<Out, Out, nn::kernel<3>, nn::padding<1>>,
                                nn::relu, nn::conv3d<Out, Out, nn::kernel<3>, nn::padding<1>>, nn::batch_norm3d<Out>, nn::relu> {};
  nn::named<"a", three<1, 3>> a;
  nn::named<"b", three<3, 4>> b;
  nn::named<"c", three<7, 3>> c;
  nn::named<"head", nn::conv3d<3, 2, nn::kernel<3>, nn::padding<1>>> head;
  constexpr auto operator()(expression auto x) const {
    const auto skip = a(x);
    return head(c(concat(axis<1>, upsample(b(max_pool3d(skip, kernel<2>)), scale_factor<2>, trilinear), skip)));
  }
};

template <class Model>
void vary(Model& m) {  // gains and shifts that are not 1 and 0
  m.initialize(5);
  for (auto& p : m.parameter_table())
    if (p.shape.rank == 1)
      for (std::int64_t i = 0; i < p.shape.size(); ++i) p.data[i] += 0.5f - 0.2f * static_cast<float>(i % 5);
}
volume shifted(std::int64_t channels, const size3& e, std::int64_t samples = 1) {
  volume x = noise(channels, e, 7, samples);
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] += 5 + static_cast<float>(i % 28) / 7;  // a mean that varies over the volume
  return x;
}

}  // namespace

TEST_CASE("a U-Net with norms over the whole volume, in sweeps, is the whole") {
  using sweeps = swept<unet, input<"x", 1, 1, 12, 12, 16>>;
  static_assert(sweeps::count == 5 && sweeps::gives_volume);
  sweeps t;
  vary(t);
  constexpr size3 extent{20, 24, 28};
  model<unet, input<"x", 1, 1, extent.d, extent.h, extent.w>> whole(t.weights());
  const volume x = shifted(1, extent), wanted = whole(x), found = t(x);
  CHECK(difference(found, wanted) < 3e-6);
  CHECK(t.result_shape(extent) == make_extents(1, 3, 20, 24, 28));
  const auto [all, least] = t.flops(extent);
  CHECK(all > least);
  // Alive at most: a, b, up, and c.
  CHECK(t.stored_bytes(extent) >= 3 * 4 * extent.voxels() * 4);
  CHECK(t.stored_bytes(extent) < (3 * 4 * 8 + 6) * extent.voxels() / 8 * 4 + 1);

  t.keep_in(std::filesystem::temp_directory_path().string());
  CHECK(equal_bits(t(x), found));
  spinning_pool two(2);
  t.use(two);
  CHECK(equal_bits(t(x), found));
  std::vector<std::byte> file;
  whole.save(file);
  sweeps other;
  CHECK_FALSE(equal_bits(other(x), found));
  other.load(file);
  CHECK(equal_bits(other(x), found));
}

TEST_CASE("sweeps through excitations and residuals, of two samples") {
  swept<excited, input<"x", 2, 2, 12, 10, 16>> t;
  vary(t);
  constexpr size3 extent{16, 26, 22};
  model<excited, input<"x", 2, 2, extent.d, extent.h, extent.w>> whole(t.weights());
  const volume x = shifted(2, extent, 2), wanted = whole(x), found = t(x);
  CHECK(difference(found, wanted) < 3e-6);
  vs::options o;
  o.progress = [](const vs::progress& p) {  // the first sweep computes nothing, but takes the input's statistics
    CHECK((std::isfinite(p.seconds_left) && p.seconds_left >= 0));
    return true;
  };
  CHECK(t.run(o, vs::scores([](const vs::slab<float>&) {}), vs::memory(x)));
}

TEST_CASE("sweeps whose result has no voxels") {
  using sweeps = swept<classifier, input<"x", 1, 1, 12, 12, 12>>;
  static_assert(!sweeps::gives_volume && sweeps::count == 2);
  static_assert(sweeps::table[0].is_stored && !sweeps::table[1].is_stored);
  sweeps t;
  vary(t);
  model<classifier, input<"x", 1, 1, 20, 16, 18>> whole(t.weights());
  const volume x = noise(1, {20, 16, 18});
  const xt::xtensor<float, 2> wanted = whole(x), found = t(x);
  REQUIRE(found.shape() == wanted.shape());
  for (std::size_t i = 0; i < 5; ++i) CHECK(found(0, i) == Approx(wanted(0, i)).epsilon(1e-5));
}

TEST_CASE("sweeps of several inputs, and in double") {
  basic_swept<double, conditioned, input<"image", 1, 2, 6, 6, 6>, input<"prior", 1, 1, 6, 6, 6>, input<"code", 1, 6>> t;
  vary(t);
  basic_model<double, conditioned, input<"image", 1, 2, 12, 9, 10>, input<"prior", 1, 1, 12, 9, 10>, input<"code", 1, 6>> whole(t.weights());
  const xt::xtensor<double, 5> image = noise(2, {12, 9, 10}), prior = noise(1, {12, 9, 10}, 3);
  xt::xtensor<double, 2> code{{1, -2, 3, 0.5, 0, -1}};
  const xt::xtensor<double, 5> wanted = whole(image, prior, code), found = t(image, prior, code);
  double worst = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) worst = std::max(worst, std::abs(found.data()[i] - wanted.data()[i]));
  CHECK(worst < 1e-13);
  const xt::xtensor<double, 5> shorter = noise(1, {12, 9, 9});
  CHECK_THROWS_WITH(t(image, shorter, code), Catch::Contains("which sweep 1 of 2 does not take"));
  CHECK_THROWS_WITH(t(prior, image, code), "volume: expected 1 samples of 2 channels, found 1 of 1");
}

TEST_CASE("sweeps of a network whose deep levels need larger tiles") {
  using sweeps = swept<deep, input<"x", 1, 1, 16, 16, 16>>;
  static_assert(sweeps::table[0].tile == size3{18, 18, 18} && sweeps::table[0].kept == size3{16, 16, 16});
  static_assert(sweeps::table[4].tile == size3{4, 4, 4} && sweeps::table[4].kept == size3{2, 2, 2});
  sweeps t;
  vary(t);
  model<deep, input<"x", 1, 1, 32, 48, 40>> whole(t.weights());
  const volume x = shifted(1, {32, 48, 40}), wanted = whole(x), found = t(x);
  CHECK(difference(found, wanted) < 5e-6);
  CHECK_THROWS_WITH(t(shifted(1, {16, 48, 40})), Catch::Contains("expected a depth that fits all sweeps (the next one is 32), found 16"));
}

TEST_CASE("sweeps of a network that looks far") {
  using net = far;
  using sweeps = swept<net, input<"x", 1, 1, 16, 16, 16>>;
  using tiles = tiled<net, input<"x", 1, 1, 48, 48, 48>>;
  static_assert(tiles::axis[0].first > 12 && sweeps::count == 4);  // to skip, within b, what b is interpolated to, and the result
  for (const vs::sweep_facts& f : sweeps::table) CHECK(f.tile.d <= f.kept.d + 2 * 6);
  sweeps t;
  vary(t);
  model<net, input<"x", 1, 1, 36, 40, 32>> whole(t.weights());
  const volume x = shifted(1, {36, 40, 32}), wanted = whole(x), found = t(x);
  CHECK(difference(found, wanted) < 3e-6);
}

TEST_CASE("what a run of sweeps tells and refuses") {
  swept<unet, input<"x", 1, 1, 12, 12, 16>> t;
  const volume x = shifted(1, {20, 24, 28}), wanted = t(x);
  const auto nothing = vs::scores([](const vs::slab<float>&) {});
  std::int64_t calls = 0, total = 0, planes = 0;
  vs::options o;
  o.progress = [&](const vs::progress& p) {
    CHECK(p.done == ++calls);
    CHECK((p.total == total || total == 0));
    CHECK(p.seconds_left >= 0);
    total = p.total;
    return true;
  };
  CHECK(t.run(o, vs::labels<std::uint8_t>([&](const vs::slab<std::uint8_t>& s) { planes += s.shape[2]; }), vs::memory(x)));
  CHECK((calls == total && planes == 20));
  o.progress = [&](const vs::progress& p) { return p.done < total / 2; };
  CHECK_FALSE(t.run(o, nothing, vs::memory(x)));
  CHECK_THROWS_WITH(t.run(vs::scores([](const vs::slab<float>&) { throw std::runtime_error("full"); }), vs::memory(x)), "full");
  CHECK(equal_bits(t(x), wanted));
  CHECK_THROWS_WITH(t.run(vs::options{.fit = vs::fit::zeros}, nothing, vs::memory(x)), Catch::Contains("sweeps: expected fit::exact"));
  CHECK_THROWS_WITH(t.run(vs::options{.first_slab = 1}, nothing, vs::memory(x)), Catch::Contains("sweeps: expected all slabs"));
  CHECK_THROWS_WITH(t(noise(1, {21, 24, 28})),
                    "volume: expected a depth that fits all sweeps (the next one is 22), found 21, which sweep 2 of 5 does not take");
  CHECK_THROWS_WITH(t(noise(2, {20, 24, 28})), "volume: expected 1 samples of 1 channels, found 1 of 2");
  CHECK_THROWS_AS(t.stored_bytes({0, 24, 28}), shape_error);
  t.keep_in("/no/such/folder");
  CHECK_THROWS_AS(t(x), file_error);
}

TEST_CASE("infinities and NaN in sweeps are those of the whole") {
  swept<unet, input<"x", 1, 1, 12, 12, 16>> t;
  vary(t);
  model<unet, input<"x", 1, 1, 16, 20, 24>> whole(t.weights());
  for (const float strange : {INFINITY, -INFINITY, NAN}) {
    volume x = shifted(1, {16, 20, 24});
    x(0, 0, 9, 3, 20) = strange;
    const volume wanted = whole(x), found = t(x);
    bool alike = true;
    for (std::size_t i = 0; i < x.size(); ++i) alike = alike && std::isfinite(wanted.data()[i]) == std::isfinite(found.data()[i]);
    CHECK(alike);
  }
}
