// What comes before and after a network, against nibabel, SciPy and scikit-image (data/imaging.py).
#include "imaging_support.hpp"

#include <volute/imaging/intensity.hpp>
#include <volute/imaging/regions.hpp>
#include <volute/imaging/resample.hpp>
#include <volute/imaging/resize.hpp>

#include <numeric>

using namespace imaging_support;

namespace {

template <class T>
image<T> given(const std::string& name) {
  auto v = stored<T>(name);
  const size3 e = extent_of(v);
  return {std::move(v), grid{e, {{{2, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 3, 0}}}}};
}
grid target() { return {{8, 7, 10}, stored_affine("target")}; }

}  // namespace

TEST_CASE("orientation: canonical as nibabel's, and back to the same voxels and places") {
  image<float> x = given<float>("x");
  x.at.affine = stored_affine("affine");
  CHECK(orientation(x.at) == "PSL");
  const auto s = spacing(x.at);
  CHECK(s[0] == Approx(std::sqrt(4 + .01 + .0025)));
  const image<float> y = oriented(x);
  CHECK(orientation(y.at) == "RAS");
  CHECK(apart(y.voxels, stored<float>("canonical")) == 0);
  CHECK(apart(y.at.affine, stored_affine("canonical_affine")) < 1e-12);
  const image<float> back = oriented(y, orientation(x.at));
  CHECK(apart(back.voxels, x.voxels) == 0);
  CHECK(back.at.extent == x.at.extent);
  CHECK(apart(back.at.affine, x.at.affine) < 1e-12);
  for (const char* codes : {"LPS", "SAR", "IRP", "ALI"}) {
    const image<float> turned = oriented(x, codes);
    CHECK(orientation(turned.at) == codes);
    CHECK(apart(oriented(turned, "RAS").voxels, y.voxels) == 0);
  }
  CHECK_THROWS_WITH(oriented(x, "RAL"), "orientation: expected one of R L, of A P and of S I each, found RAL");
  CHECK_THROWS_WITH(oriented(x, "XYZ"), "orientation: expected one of R L, of A P and of S I each, found XYZ");
  for (const double step : {0.0, std::nan("")}) {
    for (auto& row : x.at.affine) row[1] = step;
    CHECK_THROWS_WITH(orientation(x.at), Catch::Contains("grid: expected voxels that are some way apart"));
    CHECK_THROWS_AS(oriented(x), volute::shape_error);
  }
}

TEST_CASE("resampling onto a turned grid, as SciPy's map_coordinates") {
  const image<float> x = given<float>("x");
  CHECK(apart(resampled(x, target(), interpolation::nearest, -7).voxels, stored<double>("nearest")) < 1e-6);
  CHECK(apart(resampled(x, target(), interpolation::linear, -7).voxels, stored<double>("linear")) < 1e-6);
  CHECK(apart(resampled(x, target(), interpolation::cubic, -7).voxels, stored<double>("cubic")) < 1e-6);
  CHECK(apart(resampled_labels(given<std::int32_t>("labels"), target(), 8).voxels, stored<std::int32_t>("resampled_labels")) == 0);
  for (const auto how : {interpolation::nearest, interpolation::linear, interpolation::cubic})  // onto its own grid
    CHECK(apart(resampled(x, x.at, how).voxels, x.voxels) < 1e-6);
  grid flat = target();
  flat.affine[1] = flat.affine[0];
  CHECK_NOTHROW(resampled(x, flat, interpolation::linear));
  CHECK_THROWS_WITH(resampled(image<float>{x.voxels, {x.at.extent, flat.affine}}, target(), interpolation::linear),
                    "grid: expected an affine that has an inverse, found none");
}

TEST_CASE("cubic through axes of one and two voxels") {
  image<double> x{tensor_of<double>({1, 2, 3}), {{1, 2, 3}}};
  std::copy_n(std::array<double, 6>{1, 2, 4, 8, 16, 32}.begin(), 6, x.voxels.begin());
  CHECK(apart(resampled(x, x.at, interpolation::cubic).voxels, x.voxels) < 1e-12);
  // Between two voxels the mirrored spline is a cubic that is flat at both: halfway it is the mean.
  const auto half = resampled(x, grid{{1, 1, 3}, {{{1, 0, 0, 0}, {0, 1, 0, 0.5}, {0, 0, 1, 0}}}}, interpolation::cubic);
  CHECK(half.voxels(0, 0, 0) == Approx(4.5));
}

TEST_CASE("other extents and spacings of the same space") {
  const image<float> x = given<float>("x");
  const grid g = with_extent(x.at, {3, 5, 13});
  CHECK(apart(reduced(x, g, interpolation::linear).voxels, stored<double>("resized")) < 1e-6);
  CHECK(spacing(g)[0] == Approx(6));
  CHECK(g.affine[2][3] == Approx(1.5));  // two voxels of 3 mm became one, whose middle lies between theirs
  const grid h = with_spacing(x.at, {1.5, 1, 4});
  CHECK((h.extent == size3{12, 7, 5}));  // 6 of 3 mm, 7 of 1 mm; 18 mm in voxels of 4: 4.5
  CHECK(h.affine[2][3] == Approx(-0.75));
  CHECK(h.affine[0][3] + 2 * 4 == Approx(x.at.affine[0][3] + 4 * 2));  // the same middle
  CHECK(apart(blurred(xt::xtensor<double, 3>(x.voxels), {0.3, 1.1, 0.6}), stored<double>("blurred")) < 1e-9);
  CHECK_THROWS_WITH(blurred(x.voxels, {0, 1e9, 0}), "blurred: expected standard deviations of 0 to 100000 voxels, found 1000000000.000000");
  CHECK_THROWS_WITH(blurred(x.voxels, {0, 0, -1}), Catch::Contains("found -1.0"));
  CHECK_THROWS_WITH(with_extent(x.at, {3, 0, 1}), "grid: expected an extent of 1 or more, found 0");
  CHECK_THROWS_WITH(with_spacing(x.at, {3, 0, 1}), Catch::Contains("grid: expected a spacing above 0, found 0"));
  for (const double tiny : {1e-18, 1e-300})
    CHECK_THROWS_WITH(with_spacing(x.at, {3, tiny, 1}), Catch::Contains("grid: expected a spacing that leaves an axis fewer than 2^48 voxels"));
}

TEST_CASE("halfway between two voxels the next one is nearest, whatever the extents") {
  for (std::int64_t from = 1; from < 14; ++from)
    for (std::int64_t to = 1; to < 14; ++to) {
      image<int> x{tensor_of<int>({1, 1, from}), {{1, 1, from}, {{{0.7, 0, 0, 31}, {0, 1, 0, 0}, {0, 0, 1, 0}}}}};
      std::iota(x.voxels.begin(), x.voxels.end(), 0);
      const auto y = resampled(x, with_extent(x.at, {1, 1, to}), interpolation::nearest, -1);
      for (std::int64_t i = 0; i < to; ++i)
        if (y.voxels.data()[i] != (2 * i + 1) * from / (2 * to)) FAIL("voxel " << i << " of " << to << " made of " << from);
    }
}

TEST_CASE("z-scores and windows") {
  const auto x = stored<float>("x");
  const auto mask = stored<std::uint8_t>("mask");
  CHECK(apart(z_scored(x), stored<double>("z_scored")) < 1e-5);
  CHECK(apart(z_scored(x, mask), stored<double>("z_scored_mask")) < 1e-5);
  const xt::xtensor<double, 3> constant = 1000.3 * xt::ones<double>({60, 61, 67}), none = 0 * constant;
  CHECK(apart(z_scored(constant), none) == 0);  // though a sum of so many is rounded
  CHECK_THROWS_WITH(z_scored(x, xt::xtensor<float, 3>::from_shape({6, 7, 8})), "mask: expected (6,7,9), found (6,7,8)");
  const xt::xtensor<float, 3> ct{{{-1000, -160, 40, 240, 3000}}};
  CHECK(apart(ct_window(ct, 40, 400), xt::xtensor<float, 3>{{{0, 0, 0.5f, 1, 1}}}) < 1e-7);
  CHECK(apart(ct_scored(ct, -160, 240, 40, 100), xt::xtensor<float, 3>{{{-2, -2, 0, 2, 2}}}) < 1e-7);
  CHECK_THROWS_WITH(ct_window(ct, 40, 0), Catch::Contains("ct_window: expected a width above 0"));
}

TEST_CASE("the box around the foreground, and back") {
  image<float> x = given<float>("x");
  x.at.affine = stored_affine("affine");
  for (float& v : x.voxels) v = 0;
  x.voxels(2, 3, 4) = 1, x.voxels(3, 5, 4) = 2, x.voxels(0, 0, 0) = -1;
  const box b = foreground(x.voxels);
  CHECK((b.begin == size3{2, 3, 4} && b.extent == size3{2, 3, 1}));
  const box wide = foreground(x.voxels, 0.f, 2);
  CHECK((wide.begin == size3{0, 1, 2} && wide.extent == size3{6, 6, 5}));
  const image<float> part = cropped(x, b);
  CHECK(part.voxels(0, 0, 0) == 1);
  for (std::size_t r = 0; r < 3; ++r) {  // the same voxel, the same place
    const auto& a = x.at.affine[r];
    CHECK(part.at.affine[r][3] == Approx(a[0] * 4 + a[1] * 3 + a[2] * 2 + a[3]));
  }
  const image<float> whole = uncropped(part, b, x.at, -1.f);
  CHECK((whole.voxels(3, 5, 4) == 2 && whole.voxels(2, 4, 4) == 0 && whole.voxels(0, 1, 0) == -1));
  CHECK((foreground(x.voxels, 5.f).extent == x.at.extent));  // nothing: all of it
  CHECK((foreground(x.voxels, 0.f, std::numeric_limits<std::int64_t>::max()).extent == x.at.extent));
  CHECK_THROWS_WITH(foreground(x.voxels, 0.f, -1), "foreground: expected a margin of 0 or more, found -1");
  CHECK_THROWS_WITH(cropped(x, box{{0, 0, 5}, {1, 1, 5}}), "box: expected within 9 voxels, found 5 to 10");
  CHECK_THROWS_WITH(uncropped(part, wide, x.at), Catch::Contains("box: expected the part's extents"));
}

TEST_CASE("the largest connected part") {
  const auto mask = stored<std::uint8_t>("mask");
  CHECK(apart(largest_component(mask), stored<std::uint8_t>("component_faces")) == 0);
  CHECK(apart(largest_component(mask, neighbours::corners), stored<std::uint8_t>("component_corners")) == 0);
  const xt::xtensor<int, 3> two{{{5, 0, 7, 7, 0, 9, 9}}};
  CHECK(apart(largest_component(two), xt::xtensor<int, 3>{{{0, 0, 7, 7, 0, 0, 0}}}) == 0);
  const xt::xtensor<int, 3> none{{{0, 0}}};
  CHECK(apart(largest_component(none), none) == 0);
}

TEST_CASE("parts that touch by edges, or by corners too") {
  xt::xtensor<int, 3> steps = xt::zeros<int>({3, 3, 4});  // two by a face, one more by an edge, one more by a corner
  steps(0, 0, 0) = steps(0, 0, 1) = steps(0, 1, 2) = steps(1, 2, 3) = 1;
  const auto kept = [&](neighbours touching) {
    const auto left = largest_component(steps, touching);
    return std::count(left.begin(), left.end(), 1);
  };
  CHECK(kept(neighbours::faces) == 2);
  CHECK(kept(neighbours::edges) == 3);
  CHECK(kept(neighbours::corners) == 4);
}

TEST_CASE("whole numbers: rounded, held within their range, and real where they would be cut off") {
  const xt::xtensor<std::int16_t, 3> ct{{{-1000, -160, 40, 140, 3000}}};
  CHECK(apart(ct_window(ct, 40, 400), xt::xtensor<float, 3>{{{0, 0, 0.5f, 0.75f, 1}}}) < 1e-7);
  CHECK(apart(ct_scored(ct, -160, 240, 40, 100), xt::xtensor<float, 3>{{{-2, -2, 0, 1, 2}}}) < 1e-7);
  CHECK_THROWS_WITH(ct_scored(ct, 1, -1, 0, 1), "ct_scored: expected low <= high, found 1.000000 and -1.000000");
  const xt::xtensor<std::uint8_t, 3> grey{{{0, 51, 255}}};
  CHECK(apart(unit_scaled(grey), xt::xtensor<float, 3>{{{0, 0.2f, 1}}}) < 1e-7);
  CHECK(apart(z_scored(grey), z_scored(xt::xtensor<float, 3>(grey))) < 1e-6);
  CHECK(apart(z_scored(grey, grey), z_scored(xt::xtensor<float, 3>(grey), grey)) < 1e-6);

  // A spline goes beyond the values that it goes through.
  image<std::uint8_t> edge{{{{0, 0, 0, 255, 255, 255}}}, {{1, 1, 6}}};
  const grid fine = with_extent(edge.at, {1, 1, 24});
  const auto bytes = resampled(edge, fine, interpolation::cubic);
  const auto exact = resampled(image<double>{edge.voxels, edge.at}, fine, interpolation::cubic);
  CHECK(*std::min_element(exact.voxels.begin(), exact.voxels.end()) < -1);
  for (std::size_t i = 0; i < 24; ++i) CHECK(bytes.voxels.data()[i] == std::nearbyint(std::clamp(exact.voxels.data()[i], 0.0, 255.0)));
  CHECK(resampled(edge, grid{{1, 1, 1}, {{{1, 0, 0, 50}, {0, 1, 0, 0}, {0, 0, 1, 0}}}}, interpolation::linear, -1000).voxels(0, 0, 0) == 0);
  const xt::xtensor<std::uint8_t, 3> steps{{{10, 13}}}, even = xt::xtensor<std::uint8_t, 3>::from_shape({9, 9, 9}) * 0 + 201;
  CHECK(apart(resized(steps, {1, 1, 4}, interpolation::linear), xt::xtensor<int, 3>{{{10, 11, 12, 13}}}) == 0);  // 10.75, 12.25
  CHECK(apart(blurred(even, {0.7, 1.1, 2.3}), even) == 0);
}

TEST_CASE("voxels that are not their grid's, boxes and extents that cannot be") {
  const image<float> x{tensor_of<float>({2, 3, 4}), {{2, 3, 5}}};
  const std::string message = "image: expected the voxels of its grid, (2,3,5), found (2,3,4)";
  CHECK_THROWS_WITH(oriented(x), message);
  CHECK_THROWS_WITH(resampled(x, x.at, interpolation::linear), message);
  CHECK_THROWS_WITH(reduced(x, x.at, interpolation::linear), message);
  CHECK_THROWS_WITH(resampled_labels(x, x.at), message);
  CHECK_THROWS_WITH(cropped(x, box{{0, 0, 0}, {1, 1, 1}}), message);
  CHECK_THROWS_WITH(uncropped(x, box{{0, 0, 0}, {2, 3, 5}}, x.at), message);
  const image<float> y{tensor_of<float>({2, 3, 4}), {{2, 3, 4}}};
  CHECK_THROWS_WITH(cropped(y, box{{0, 0, 0}, {-1, 1, 1}}), "box: expected within 2 voxels, found 0 to -1");
  CHECK_THROWS_WITH(cropped(y, box{{0, 0, 0}, {1, 1, std::int64_t{1} << 60}}),
                    Catch::Contains("box: expected within 4 voxels, found 0 to "));
  CHECK_THROWS_WITH(tensor_of<float>({1, -2, 3}), "image: expected extents of 0 or more, found (1,-2,3)");
  CHECK_THROWS_WITH(resampled(y, grid{{-1, 1, 1}}, interpolation::linear), "image: expected extents of 0 or more, found (-1,1,1)");
}
