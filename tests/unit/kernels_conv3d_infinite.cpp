// Convolution where one element is an infinity or NaN: results that do not read it are as if it were not there, in every family and face,
// also in masked lanes, ends of rows and the padding's rim. Where an infinite filter value meets the padding the result may be NaN.
#include "kernels_conv3d_support.hpp"

#include <cmath>

using namespace conv3d_test;

namespace {

using kernels::conv_family;
using kernels::weights_family;

/// Outputs of y, or elements of dx, that an infinite filter value reaches in the padding: those with fewer products than taps.
template <conv_geometry G>
std::vector<char> at_the_rim(bool of_y) {
  std::vector<int64_t> met(static_cast<std::size_t>(of_y ? G.y_size() : G.x_size()));
  products(G, [&](int64_t ix, int64_t, int64_t iy) { ++met[static_cast<std::size_t>(of_y ? iy : ix)]; });
  std::vector<char> rim;
  for (const int64_t n : met) rim.push_back(n < (of_y ? G.group_in() : G.group_out()) * G.taps());
  return rim;
}

template <class T, conv_geometry G, families F>
void check_infinite(const char* name) {
  auto x = numbers<T>(G.x_size(), 7, 3, 7), w = numbers<T>(G.w_size(), 5, 1, 5), g = numbers<T>(G.y_size(), 3, 2, 5);
  for (auto* v : {&x, &w, &g})
    for (T& e : *v) e = e == 0 ? T(1) : e;  // 0 times infinity is NaN also where it is read
  const auto rim_y = at_the_rim<G>(true), rim_x = at_the_rim<G>(false);
  const auto compare = [&](const char* face, std::size_t at, const std::vector<T>& is, const std::vector<T>& want,
                           const std::vector<char>* rim) {
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < is.size(); ++i) {
      const bool same = std::isnan(want[i]) ? std::isnan(is[i]) : is[i] == want[i];
      wrong += !same && !(rim != nullptr && (*rim)[i] && std::isnan(is[i]));
    }
    INFO(name << ": " << face << ", infinite at " << at << ": " << where(is, want));
    CHECK(wrong == 0);
  };
  for (const T special : {std::numeric_limits<T>::infinity(), std::numeric_limits<T>::quiet_NaN()})
    for (auto* v : {&x, &w, &g})
      for (const std::size_t at : {std::size_t{0}, v->size() / 2 + 1, v->size() - 1}) {
        const T before = (*v)[at];
        (*v)[at] = special;
        std::vector<T> y(g.size()), dx(x.size()), dw(w.size());
        products(G, [&](int64_t ix, int64_t iw, int64_t iy) {
          const auto a = static_cast<std::size_t>(ix), b = static_cast<std::size_t>(iw), c = static_cast<std::size_t>(iy);
          y[c] += x[a] * w[b];
          dx[a] += g[c] * w[b];
          dw[b] += g[c] * x[a];
        });
        if (v != &g) compare("y", at, forward<T, G, {}, false, F>(x, w), y, v == &w ? &rim_y : nullptr);
        if (v != &x) compare("dx", at, backward_data<T, G, {}, false, F>(g, w), dx, v == &w ? &rim_x : nullptr);
        if (v != &w) compare("dw", at, backward_weights<T, G, F>(x, g), dw, nullptr);
        (*v)[at] = before;
      }
}

}  // namespace

/// One of each family where it can: with AVX-512 they all do.
#define CHECK_INFINITE(T, FORWARD, WEIGHTS, ...)                                                                                       \
  check_infinite<T, make(__VA_ARGS__), of<T, make(__VA_ARGS__)>(conv_family::FORWARD, conv_family::FORWARD, weights_family::WEIGHTS)>( \
      #T " " #__VA_ARGS__)

TEST_CASE("conv3d: an infinity reaches what reads it, channels in the lanes", "[conv3d]") {
  CHECK_INFINITE(float, channels, outputs, 2, 32, 32, {7, 7, 7}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1});
  CHECK_INFINITE(float, width, inputs, 1, 16, 8, {5, 7, 12}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1});
  CHECK_INFINITE(float, rows, row_outputs, 2, 20, 32, {4, 5, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_INFINITE(float, rows, row_outputs, 1, 6, 8, {4, 5, 5}, {3, 3, 3}, {1, 1, 1}, {2, 2, 2}, {2, 2, 2}, {2, 2, 2});
  CHECK_INFINITE(float, pointwise, pointwise, 2, 17, 20, {3, 4, 5}, {1, 1, 1});
}

TEST_CASE("conv3d: an infinity reaches what reads it, pixels in the lanes", "[conv3d]") {
  CHECK_INFINITE(float, planes, planes, 1, 3, 32, {6, 6, 6}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_INFINITE(float, flat, flat_outputs, 1, 3, 4, {11, 6, 5}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_INFINITE(float, flat, flat_inputs, 1, 3, 3, {3, 5, 6}, {3, 3, 5}, {1, 1, 1}, {4, 3, 1}, {3, 4, 3});
  CHECK_INFINITE(float, in_place, in_place, 1, 1, 4, {5, 9, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1});
  CHECK_INFINITE(float, in_place, in_place, 1, 2, 2, {4, 6, 40}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2);
  CHECK_INFINITE(float, width, pixels, 1, 2, 2, {9, 9, 9}, {3, 3, 3}, {2, 2, 2}, {1, 1, 1}, {1, 1, 1});
}

TEST_CASE("conv3d: sums that are made anew read every layout", "[conv3d]") {
  static constexpr conv_geometry G = make(2, 8, 6, {3, 4, 5}, {3, 2, 3}, {2, 1, 1}, {1, 0, 1}, {1, 1, 1}, {1, 1, 1}, 1);
  const ops::volume_layout by_four{4, 2, 8, G.in[0], G.in[1], G.in[2], 1, G.in[1] + 2, 1, G.in[2] + 3};
  const ops::volume_layout by_three{3, 2, 6, G.out[0], G.out[1], G.out[2], 0, G.out[1], 0, G.out[2]};
  const auto x = numbers<float>(G.x_size(), 7, 3, 7), g = numbers<float>(G.y_size(), 3, 2, 5);
  const auto blocked = [](const ops::volume_layout& l, const std::vector<float>& v) {
    std::vector<float> to(static_cast<std::size_t>(l.size()));
    std::size_t from = 0;
    for (int64_t n = 0; n < l.batch; ++n)
      for (int64_t c = 0; c < l.channels; ++c)
        for (int64_t d = 0; d < l.planes; ++d)
          for (int64_t h = 0; h < l.rows; ++h)
            for (int64_t w = 0; w < l.columns; ++w, ++from) {
              const int64_t plane = (n * (l.channels / l.block) + c / l.block) * l.planes + d;
              const int64_t pixel = (h + l.rows_before) * l.all_columns + w + l.columns_before;
              to[static_cast<std::size_t>((plane * l.all_rows * l.all_columns + pixel) * l.block + c % l.block)] = v[from];
            }
    return to;
  };
  std::vector<float> want(static_cast<std::size_t>(G.w_size()));
  products(G, [&](int64_t ix, int64_t iw, int64_t iy) {
    want[static_cast<std::size_t>(iw)] += x[static_cast<std::size_t>(ix)] * g[static_cast<std::size_t>(iy)];
  });
  const auto x4 = blocked(by_four, x), g3 = blocked(by_three, g);
  for (const bool x_blocked : {false, true})
    for (const bool g_blocked : {false, true}) {
      std::vector<float> dw(want.size(), std::numeric_limits<float>::quiet_NaN());
      CHECK(!kernels::all_finite(dw.data(), G.w_size()));
      kernels::without_unread<float>(G, {x_blocked ? by_four : ops::volume_layout{}, g_blocked ? by_three : ops::volume_layout{}},
                                     x_blocked ? x4.data() : x.data(), g_blocked ? g3.data() : g.data(), dw.data(), {0, 6}, {0, 8});
      INFO(where(dw, want));
      CHECK(dw == want);
      CHECK(kernels::all_finite(dw.data(), G.w_size()));
    }
}
