// Overlapping windows against MONAI and nnU-Net (data/windows.py).
#include "volumes_support.hpp"

#include <volute/core/executor.hpp>
#include <volute/io/npz.hpp>

#include <string>
#include <vector>

using namespace volumes_support;
namespace nn = volute::nn;
namespace vs = volute::volumes;

namespace {

using net =
    nn::sequential<nn::conv3d<1, 2, nn::kernel<3>, nn::padding<1>>, nn::instance_norm3d<2>, nn::relu, nn::conv3d<2, 1, nn::kernel<1>>>;
using windows = windowed<net, input<"x", 1, 1, 4, 6, 5>>;

const std::string path = VOLUTE_TEST_DATA "/windows.npz";

volume stored(const std::string& name) {
  npz_file file(path);
  const auto& t = file.tensors().at(name);
  std::array<std::size_t, 5> shape{};
  for (std::size_t i = 0; i < 5; ++i) shape[i] = static_cast<std::size_t>(t.shape[i]);
  volume v = volume::from_shape(shape);
  file.read(t, std::as_writable_bytes(std::span(v.data(), v.size())));
  return v;
}
windows trained() {
  windows w;
  load_npz(w, path, {.allow_unused = true, .prefix = "net."});
  return w;
}
double apart(const volume& a, const volume& b) {
  if (a.shape() != b.shape()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, static_cast<double>(std::abs(a.data()[i] - b.data()[i])));
  return worst;
}

}  // namespace

TEST_CASE("MONAI's sliding_window_inference") {
  windows w = trained();
  for (const char* name : {"large", "thin", "small"}) {
    INFO(name);
    const std::string prefix = std::string("monai.") + name + '.';
    const volume x = stored(std::string("volume.") + name);
    CHECK(apart(w(x, vs::monai(0.25)), stored(prefix + "0.25.constant")) < 1e-5);
    CHECK(apart(w(x, vs::monai(0.5, vs::blend::gaussian)), stored(prefix + "0.5.gaussian")) < 1e-5);
    CHECK(apart(w(x, vs::monai(0.7, vs::blend::gaussian)), stored(prefix + "0.7.gaussian")) < 1e-5);
    CHECK(apart(w(x, vs::monai(0)), stored(prefix + "0.0.constant")) < 1e-5);
    if (x.size() == 9 * 13 * 10) continue;
    CHECK(apart(w(x, vs::monai(0.25, vs::blend::gaussian, vs::surround::reflect)), stored(prefix + "reflect")) < 1e-5);
    CHECK(apart(w(x, vs::monai(0.25, vs::blend::gaussian, vs::surround::replicate)), stored(prefix + "replicate")) < 1e-5);
    CHECK(apart(w(x, vs::monai(0.25, vs::blend::gaussian, vs::surround::circular)), stored(prefix + "circular")) < 1e-5);
    CHECK(apart(w(x, vs::monai(0.25, vs::blend::constant, vs::surround::constant, 0.5)), stored(prefix + "cval")) < 1e-5);
  }
}

TEST_CASE("nnU-Net's predictor") {
  windows w = trained();
  for (const char* name : {"large", "thin", "small"}) {
    INFO(name);
    const std::string all = std::string("nnunet.") + name;
    const volume x = stored(std::string("volume.") + name);
    CHECK(apart(w(x, vs::nnunet()), stored(all)) < 1e-5);
    CHECK(apart(w(x, vs::nnunet(0.5, true, {false, true, false})), stored(all + ".one_axis")) < 1e-5);
    CHECK(apart(w(x, vs::nnunet(1.0 / 3, false, {false, false, false})), stored(all + ".third")) < 1e-5);
  }
}

TEST_CASE("where windows begin") {
  using starts = std::vector<std::int64_t>;
  CHECK(vs::window_starts(vs::nnunet(), 0, 110, 64) == starts{0, 23, 46});  // nnU-Net's own example
  CHECK(vs::window_starts(vs::nnunet(0.5), 0, 69, 64) == starts{0, 5});
  CHECK(vs::window_starts(vs::nnunet(0.25), 0, 9, 8) == starts{0, 1});
  CHECK(vs::window_starts(vs::nnunet(0.5), 0, 13, 6) == starts{0, 2, 5, 7});  // 7/3 = 2.33, 4.67
  CHECK(vs::window_starts(vs::nnunet(0.5), 0, 15, 10) == starts{0, 5});
  CHECK(vs::window_starts(vs::nnunet(0.25), 0, 13, 8) == starts{0, 2, 3, 5});  // 1.67, 3.33
  CHECK(vs::window_starts(vs::nnunet(0.5), 0, 9, 4) == starts{0, 2, 3, 5});
  CHECK(vs::window_starts(vs::nnunet(0.5), 0, 64, 64) == starts{0});
  CHECK(vs::window_starts(vs::monai(0.25), 0, 10, 4) == starts{0, 3, 6});
  CHECK(vs::window_starts(vs::monai(0.25), 0, 11, 4) == starts{0, 3, 6, 7});
  CHECK(vs::window_starts(vs::monai(0.9), 0, 6, 4) == starts{0, 1, 2});  // a step of 0 is one of 1
  CHECK(vs::window_starts(vs::monai(0.25), 0, 4, 4) == starts{0});
  CHECK_THROWS_WITH(vs::monai(1), "overlap: expected 0 or more and less than 1, found 1.000000");
  CHECK_THROWS_WITH(vs::monai(0.5, vs::blend::gaussian, vs::surround::constant, 0, 0), "sigma_scale: expected more than 0, found 0.000000");
  CHECK_THROWS_WITH(vs::nnunet(0), "tile_step_size: expected more than 0 and at most 1, found 0.000000");
}

TEST_CASE("rules set by hand that would leave voxels out") {
  windows w = trained();
  const volume x = noise(1, {9, 13, 17});
  for (vs::window_rule rule : {vs::monai(), vs::nnunet()}) {
    for (const double step : {1.5, 0.0, -1.0, std::nan("")}) {
      rule.step = {0.5, step, 0.5};
      CHECK_THROWS_WITH(w(x, rule), "windows: expected steps of more than 0 and at most 1, found " + std::to_string(step));
    }
    rule.step = {0.5, 1, 0.5};
    for (const double sigma : {0.0, -0.5, std::nan("")}) {
      rule.blend = vs::blend::gaussian, rule.sigma = sigma;
      CHECK_THROWS_WITH(w(x, rule), "windows: expected a sigma of more than 0, found " + std::to_string(sigma));
    }
    rule.blend = vs::blend::constant;  // has none
    CHECK(std::isfinite(w(x, rule)(0, 0, 8, 12, 16)));
  }
}

TEST_CASE("windows in slabs, on workers, called off and refused") {
  windows w = trained();
  const volume x = noise(1, {23, 17, 19}), alone = w(x, vs::nnunet());
  spinning_pool pool(2);
  w.use(pool);
  CHECK(equal_bits(w(x, vs::nnunet()), alone));
  std::int64_t next = 0;
  std::vector<std::uint8_t> above(static_cast<std::size_t>(23 * 17 * 19));
  const auto sink = vs::probabilities(0.5, [&](const vs::slab<float>& s) {
    REQUIRE(s.begin == next);
    CHECK(s.shape[2] <= 4);
    for (std::int64_t i = 0; i < s.shape.size(); ++i) above[static_cast<std::size_t>(next * 17 * 19 + i)] = s.data[i] > 0;
    next += s.shape[2];
  });
  std::int64_t told = 0, total = 0;
  vs::options o;
  o.progress = [&](const vs::progress& p) {
    told = p.done, total = p.total;
    return true;
  };
  CHECK(w.run(vs::nnunet(), o, sink, vs::memory(x)));
  CHECK(next == 23);
  CHECK((told == total && told > 100));
  bool right = true;
  for (std::size_t i = 0; i < above.size(); ++i) right = right && above[i] == (alone.data()[i] > 0);
  CHECK(right);
  o.progress = [&](const vs::progress& p) { return p.done < 2; };
  next = 0;
  CHECK_FALSE(w.run(vs::nnunet(), o, sink, vs::memory(x)));
  CHECK(equal_bits(w(x, vs::nnunet()), alone));
  CHECK_THROWS_WITH(w(noise(1, {1, 9, 9}), vs::monai(0.5, vs::blend::constant, vs::surround::reflect)),
                    "padding: expected at most 0 voxels beside 1, found 2");
  CHECK_THROWS_WITH(w(noise(2, {9, 9, 9}), vs::monai()), "volume: expected 1 samples of 1 channels, found 1 of 2");
  CHECK_THROWS_WITH(w(noise(1, {9, 0, 9}), vs::monai()), "volume: expected voxels, found an extent of 0");
  vs::options part;
  part.first_slab = 1;
  CHECK_THROWS_WITH(w.run(vs::nnunet(), part, sink, vs::memory(x)),
                    "windows: expected all slabs, found some of them chosen: first_slab 1, slab_count " + std::to_string(part.slab_count));
}
