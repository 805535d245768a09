// What nibabel, SciPy and scikit-image made (data/imaging.py).
#pragma once

#include <volute/imaging/image.hpp>
#include <volute/io/npz.hpp>

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>
#include <string>

namespace imaging_support {

using namespace volute::imaging;

const std::string data = VOLUTE_TEST_DATA "/";

template <class T>
xt::xtensor<T, 3> stored(const std::string& name) {
  static const volute::npz_file file(data + "imaging.npz");
  const auto& t = file.tensors().at(name);
  REQUIRE(t.shape.size() == 3);
  REQUIRE(t.type == volute::io::dtype_of<T>());
  auto v =
      tensor_of<T>({static_cast<std::int64_t>(t.shape[0]), static_cast<std::int64_t>(t.shape[1]), static_cast<std::int64_t>(t.shape[2])});
  file.read(t, std::as_writable_bytes(std::span(v.data(), v.size())));
  return v;
}
inline std::array<std::array<double, 4>, 3> stored_affine(const std::string& name) {
  static const volute::npz_file file(data + "imaging.npz");
  std::array<std::array<double, 4>, 3> a;
  file.read(file.tensors().at(name), std::as_writable_bytes(std::span(a)));
  return a;
}
template <class T, class U>
double apart(const xt::xtensor<T, 3>& a, const xt::xtensor<U, 3>& b) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
  return worst;
}
inline double apart(const std::array<std::array<double, 4>, 3>& a, const std::array<std::array<double, 4>, 3>& b) {
  double worst = 0;
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 4; ++c) worst = std::max(worst, std::abs(a[r][c] - b[r][c]));
  return worst;
}

}  // namespace imaging_support
