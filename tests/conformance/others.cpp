// The entries of cases.json that are neither plain nor modulated convolutions: the Conv3D document's model, pooling and transposed convolution.
#include "support.hpp"

#include <volute/volute.hpp>

#include <algorithm>
#include <tuple>

namespace {

using namespace volute;
using namespace conformance;

/// A formula times a number.
auto scaled(double (*formula)(std::int64_t), double factor) {
  return [=](std::int64_t i) { return formula(i) * factor; };
}

/// The elements of a tensor, written to a flat parameter.
template <class T, class Formula>
void fill(parameter_entry<T> p, Formula formula) {
  for (std::int64_t i = 0; i < p.shape.size(); ++i) p.data[i] = static_cast<T>(formula(i));
}

using front = nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu, nn::max_pool3d<2>>;
using document = nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
                                nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 4 * 4 * 4, 10>>;

template <class T>
void document_model() {
  constexpr auto x = input<"x", 1, 1, 10, 10, 10>;
  const auto volume = filled<T>(shape<1, 1, 10, 10, 10>, scaled(fx, 0.125));
  const auto set = [](auto& m) {
    for (const auto& p : m.parameter_table()) {
      if (p.path == "0.weight") fill(p, scaled(fw, 1.0 / 8));
      else if (p.path == "2.weight") fill(p, scaled(fw, 1.0 / 16));
      else if (p.path == "6.weight") fill(p, scaled(fw, 1.0 / 64));
      else fill(p, scaled(fb, 1.0 / 8));
    }
    m.parameters_changed();
  };
  basic_model<T, front, x> pooled;
  basic_model<T, document, x> whole;
  set(pooled), set(whole);
  const xt::xtensor<T, 5> pool = pooled(volume);
  const xt::xtensor<T, 2> out = whole(volume);
  static_assert(decltype(pooled)::output_shape() == shape<1, 16, 4, 4, 4>);
  check(entry("N10").at("POOL"), pool, rounding<T>);
  check(entry("N10").at("out"), out, rounding<T>);
}

constexpr auto x = input<"x", 1, 2, 5, 6, 7>;

/// A pooling in double and float against an entry; the input is fx + offset.
template <class Pool>
void pooling(Pool, const char* id, double offset, double tolerance64, double tolerance32) {
  const auto in = [=](std::int64_t i) { return fx(i) + offset; };
  const xt::xtensor<double, 5> y64 = evaluate(Pool{}, x = filled<double>(shape<1, 2, 5, 6, 7>, in));
  const xt::xtensor<float, 5> y32 = evaluate(Pool{}, x = filled<float>(shape<1, 2, 5, 6, 7>, in));
  check(entry(id).at("Y"), y64, tolerance64);
  check(entry(id).at("Y"), y32, tolerance32);
  const auto shape = entry(id).at("y").get<std::vector<std::size_t>>();
  CHECK(std::equal(shape.begin(), shape.end(), y64.shape().begin(), y64.shape().end()));
}

}  // namespace

TEST_CASE("N10: the document's model") {
  document_model<double>();
  document_model<float>();
}

TEST_CASE("P01: maximum with padding") { pooling(max_pool3d(x, kernel<3>, stride<2>, padding<1>), "P01", -20, exact, exact); }
TEST_CASE("P02: mean, padding counted") {
  pooling(avg_pool3d(x, kernel<2, 3, 2>, stride<2>, padding<1, 1, 0>), "P02", 0, rounding<double>, rounding<float>);
}
TEST_CASE("P04: adaptive mean") { pooling(adaptive_avg_pool3d(x, output_size<2, 3, 4>), "P04", 0, rounding<double>, rounding<float>); }
TEST_CASE("P05: maximum, ceil mode") { pooling(max_pool3d(x, kernel<2>, stride<2>, ceil_mode), "P05", 0, exact, exact); }

TEST_CASE("X01: transposed convolution") {
  constexpr auto small = input<"x", 2, 3, 3, 4, 2>;
  constexpr auto w = parameter<"w", 3, 2, 3, 3, 3>;
  constexpr auto b = parameter<"b", 2>;
  constexpr auto y = conv_transpose3d(small, w, b, stride<2>, padding<1>, output_padding<1>);
  static_assert(y.shape() == shape<2, 2, 6, 8, 4>);
  const xt::xtensor<float, 5> got = evaluate(y, small = filled<float>(shape<2, 3, 3, 4, 2>, fx), w = filled<float>(shape<3, 2, 3, 3, 3>, fw),
                                             b = filled<float>(shape<2>, fb));
  check(entry("X01").at("Y"), got, exact);
}
