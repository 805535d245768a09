// What must hold for every convolution, whatever the numbers. Integers make the equalities exact.
#include "properties_support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace {

using namespace volute;
using namespace properties;

/// <L(x), g> = <x, dx> = <w, dw> for a function L that is linear in x and in w.
template <class Y, class X, class W>
void adjoints(Y y, X x, W w) {
  constexpr auto g = input_node<"g", Y::shape()>{};
  constexpr auto d = gradient(Y{}, X{}, W{}, cotangent(g));
  const auto vx = integers(X::shape(), 1), vw = integers(W::shape(), 2), vg = integers(Y::shape(), 3);
  const auto [vy, dx, dw] = evaluate(outputs(y, std::get<0>(d), std::get<1>(d)), x = vx, w = vw, g = vg);
  const double s = dot(vy, vg);
  CHECK(s != 0);
  CHECK(dot(vx, dx) == s);
  CHECK(dot(vw, dw) == s);
}

}  // namespace

TEST_CASE("Both adjoints of a convolution belong to it") {
  SECTION("stride with a remainder, uneven padding") {
    constexpr auto x = input<"x", 2, 3, 6, 7, 8>;
    constexpr auto w = input<"w", 4, 3, 3, 2, 3>;
    adjoints(conv3d(x, w, stride<2, 3, 2>, padding<1, 0, 0, 2, 1, 1>), x, w);
  }
  SECTION("dilation and groups") {
    constexpr auto x = input<"x", 1, 4, 7, 6, 9>;
    constexpr auto w = input<"w", 6, 2, 3, 2, 3>;
    adjoints(conv3d(x, w, dilation<2, 3, 2>, padding<2>, groups<2>), x, w);
  }
  SECTION("depthwise, strided and dilated") {
    constexpr auto x = input<"x", 2, 5, 8, 8, 17>;
    constexpr auto w = input<"w", 5, 1, 3, 3, 3>;
    adjoints(conv3d(x, w, stride<2>, dilation<2>, padding<1>, groups<5>), x, w);
  }
  SECTION("many channels, causal") {
    constexpr auto x = input<"x", 1, 17, 3, 4, 5>;
    constexpr auto w = input<"w", 19, 17, 3, 3, 3>;
    adjoints(conv3d(x, w, causal), x, w);
  }
  SECTION("transposed, with output padding") {
    constexpr auto x = input<"x", 2, 4, 3, 4, 2>;
    constexpr auto w = input<"w", 4, 3, 3, 3, 2>;
    adjoints(conv_transpose3d(x, w, stride<3, 2, 2>, padding<1, 1, 0>, output_padding<2, 1, 0>, groups<2>), x, w);
  }
  SECTION("one bank a sample") {
    constexpr auto x = input<"x", 2, 3, 4, 5, 6>;
    constexpr auto w = input<"w", 2, 4, 3, 3, 3, 3>;
    adjoints(conv3d(x, w, same), x, w);
  }
}

TEST_CASE("A batch is its samples, bit for bit") {
  constexpr auto w = parameter<"w", 5, 3, 3, 3, 3>;
  constexpr auto b = parameter<"b", 5>;
  constexpr auto xs = input<"x", 3, 3, 5, 6, 9>;
  constexpr auto x = input<"x", 1, 3, 5, 6, 9>;
  const auto vx = reals<float>(xs.shape(), 1), vw = reals<float>(w.shape(), 2), vb = reals<float>(b.shape(), 3);
  const xt::xtensor<float, 5> batch = evaluate(tanh(conv3d(xs, w, b, padding<1>)), xs = vx, w = vw, b = vb);
  for (std::ptrdiff_t n = 0; n < 3; ++n) {
    const auto size = static_cast<std::ptrdiff_t>(x.shape().size());
    const std::vector<float> sample(vx.begin() + n * size, vx.begin() + (n + 1) * size);
    const xt::xtensor<float, 5> one = evaluate(tanh(conv3d(x, w, b, padding<1>)), x = sample, w = vw, b = vb);
    CHECK(std::equal(one.begin(), one.end(), batch.begin() + n * static_cast<std::ptrdiff_t>(one.size())));
  }
}

TEST_CASE("Groups are convolutions of slices") {
  constexpr auto x = input<"x", 2, 6, 4, 5, 7>;
  constexpr auto w = parameter<"w", 9, 2, 3, 3, 3>;
  constexpr auto part = []<std::int64_t I>(std::integral_constant<std::int64_t, I>) {
    return conv3d(slice(input<"x", 2, 6, 4, 5, 7>, axis<1>, range<2 * I, 2 * I + 2>), slice(parameter<"w", 9, 2, 3, 3, 3>, axis<0>, range<3 * I, 3 * I + 3>),
                  padding<1>);
  };
  constexpr auto parts = concat(axis<1>, part(std::integral_constant<std::int64_t, 0>{}), part(std::integral_constant<std::int64_t, 1>{}),
                                part(std::integral_constant<std::int64_t, 2>{}));
  const auto [grouped, sliced] =
      evaluate(outputs(conv3d(x, w, padding<1>, groups<3>), parts), x = integers(x.shape(), 1), w = integers(w.shape(), 2));
  CHECK(dot(grouped, grouped) > 0);
  CHECK(grouped == sliced);
}

TEST_CASE("Dilation is a kernel with zeros between its taps") {
  constexpr auto x = input<"x", 1, 2, 7, 8, 9>;
  constexpr auto w = parameter<"w", 3, 2, 2, 3, 3>;
  constexpr auto stuffed = parameter<"w", 3, 2, 4, 5, 7>;  // dilation 3, 2, 3
  const auto vx = integers(x.shape(), 1), vw = integers(w.shape(), 2);
  std::vector<float> spread(static_cast<std::size_t>(stuffed.shape().size()));
  for (std::size_t bank = 0, i = 0; bank < 6; ++bank)
    for (std::size_t d = 0; d < 2; ++d)
      for (std::size_t h = 0; h < 3; ++h)
        for (std::size_t v = 0; v < 3; ++v) spread[((bank * 4 + 3 * d) * 5 + 2 * h) * 7 + 3 * v] = vw[i++];
  const xt::xtensor<float, 5> dilated = evaluate(conv3d(x, w, dilation<3, 2, 3>, padding<1>), x = vx, w = vw);
  const xt::xtensor<float, 5> dense = evaluate(conv3d(x, stuffed, padding<1>), x = vx, stuffed = spread);
  CHECK(dot(dense, dense) > 0);
  CHECK(dilated == dense);
}

TEST_CASE("A stride picks from the result of stride 1") {
  constexpr auto x = input<"x", 2, 3, 7, 8, 11>;
  constexpr auto w = parameter<"w", 4, 3, 3, 3, 3>;
  constexpr auto full = conv3d(x, w, padding<1>);
  constexpr auto picked = slice(slice(slice(full, axis<2>, range<0, 7, 2>), axis<3>, range<0, 8, 3>), axis<4>, range<0, 11, 2>);
  const auto [strided, sampled] =
      evaluate(outputs(conv3d(x, w, padding<1>, stride<2, 3, 2>), picked), x = integers(x.shape(), 1), w = integers(w.shape(), 2));
  CHECK(dot(strided, strided) > 0);
  CHECK(strided == sampled);
}

TEST_CASE("Causal: no frame sees a later one, and chunks with a cache of kt - 1 frames are the whole") {
  constexpr auto x = input<"x", 1, 2, 6, 4, 5>;
  constexpr auto w = parameter<"w", 3, 2, 3, 3, 3>;
  constexpr auto y = conv3d(x, w, causal);
  const auto vx = integers(x.shape(), 1), vw = integers(w.shape(), 2);
  const xt::xtensor<float, 5> whole = evaluate(y, x = vx, w = vw);
  constexpr std::size_t frame = 4 * 5;
  for (std::size_t t = 0; t < 6; ++t) {
    auto changed = vx;
    for (std::size_t c = 0; c < 2; ++c)
      for (std::size_t i = 0; i < frame; ++i) changed[(c * 6 + t) * frame + i] += 100;
    const xt::xtensor<float, 5> other = evaluate(y, x = changed, w = vw);
    for (std::size_t c = 0; c < 3; ++c) {
      const auto begin = static_cast<std::ptrdiff_t>(c * 6 * frame), here = begin + static_cast<std::ptrdiff_t>(t * frame);
      CHECK(std::equal(whole.begin() + begin, whole.begin() + here, other.begin() + begin));
      CHECK_FALSE(std::equal(whole.begin() + here, whole.begin() + here + frame, other.begin() + here));
    }
  }
  // Two frames at a time: the cache is the two frames before, zeros at first.
  constexpr auto chunk = input<"chunk", 1, 2, 2, 4, 5>;
  constexpr auto cache = input<"cache", 1, 2, 2, 4, 5>;
  constexpr auto step = conv3d(concat(axis<2>, cache, chunk), w, padding<0, 0, 1, 1, 1, 1>);
  static_assert(step.shape() == shape<1, 3, 2, 4, 5>);
  std::vector<float> seen(2 * 2 * frame, 0.0f);
  for (std::size_t t = 0; t < 6; t += 2) {
    std::vector<float> fresh;
    for (std::size_t c = 0; c < 2; ++c)
      fresh.insert(fresh.end(), vx.data() + (c * 6 + t) * frame, vx.data() + (c * 6 + t + 2) * frame);
    const xt::xtensor<float, 5> part = evaluate(step, chunk = fresh, cache = seen, w = vw);
    for (std::size_t c = 0; c < 3; ++c)
      CHECK(std::equal(part.data() + c * 2 * frame, part.data() + (c + 1) * 2 * frame, whole.data() + (c * 6 + t) * frame));
    seen = fresh;
  }
}
