// What the tests of convolution kernels share: geometries, guarded buffers, the three faces in plain loops and the checks against them. All
// data are small integers, so that every result is exact whatever the order of summation.
#pragma once

#include <volute/core/executor.hpp>
#include <volute/kernels/conv3d.hpp>

#include <catch2/catch.hpp>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

namespace conv3d_test {

namespace kernels = volute::kernels;
namespace ops = volute::ops;
using ops::conv_geometry;
using std::int64_t;

struct triple {
  int64_t d, h, w;
};

constexpr conv_geometry make(int64_t batch, int64_t ic, int64_t oc, triple in, triple kernel, triple stride = {1, 1, 1},
                             triple lo = {0, 0, 0}, triple hi = {0, 0, 0}, triple dilation = {1, 1, 1}, int64_t groups = 1) {
  conv_geometry g{batch,
                  ic,
                  oc,
                  groups,
                  {in.d, in.h, in.w},
                  {},
                  {kernel.d, kernel.h, kernel.w},
                  {stride.d, stride.h, stride.w},
                  {lo.d, lo.h, lo.w},
                  {dilation.d, dilation.h, dilation.w}};
  const int64_t high[3]{hi.d, hi.h, hi.w};
  for (int a = 0; a < 3; ++a) g.out[a] = (g.in[a] + g.lo[a] + high[a] - g.dilation[a] * (g.kernel[a] - 1) - 1) / g.stride[a] + 1;
  return g;
}

template <class T>
std::vector<T> numbers(int64_t n, int64_t a, int64_t b, int64_t m) {
  std::vector<T> v(static_cast<std::size_t>(n));
  for (int64_t i = 0; i < n; ++i) v[static_cast<std::size_t>(i)] = static_cast<T>((a * i + b + i / 97) % m - m / 2);
  return v;
}

/// A buffer with guards on both sides and NaN inside: nothing may be read before it is written, nothing written outside.
template <class T>
struct guarded {
  static constexpr int64_t margin = 32;
  int64_t size;
  std::vector<T> v;
  explicit guarded(int64_t n) : size(n), v(static_cast<std::size_t>(n + 2 * margin), std::numeric_limits<T>::quiet_NaN()) {
    for (int64_t i = 0; i < margin; ++i) v[static_cast<std::size_t>(i)] = v[static_cast<std::size_t>(margin + n + i)] = T(12345);
  }
  T* data() { return v.data() + margin; }
  bool intact() const {
    for (int64_t i = 0; i < margin; ++i)
      if (v[static_cast<std::size_t>(i)] != T(12345) || v[static_cast<std::size_t>(margin + size + i)] != T(12345)) return false;
    return true;
  }
  std::vector<T> values() const { return {v.begin() + margin, v.begin() + margin + size}; }
};

template <class... T>
void expect_intact(const guarded<T>&... buffers) {
  CHECK((buffers.intact() && ...));
}

/// Calls f(index of x, of w, of y) for every product of the trilinear form.
template <class F>
void products(const conv_geometry& g, F f) {
  for (int64_t n = 0; n < g.batch; ++n)
    for (int64_t o = 0; o < g.out_channels; ++o)
      for (int64_t i = 0; i < g.group_in(); ++i)
        for (int64_t k = 0; k < g.taps(); ++k) {
          const int64_t kd = k / (g.kernel[1] * g.kernel[2]), kh = k / g.kernel[2] % g.kernel[1], kw = k % g.kernel[2];
          const int64_t c = o / g.group_out() * g.group_in() + i, weight = (o * g.group_in() + i) * g.taps() + k;
          for (int64_t d = 0; d < g.out[0]; ++d)
            for (int64_t h = 0; h < g.out[1]; ++h)
              for (int64_t w = 0; w < g.out[2]; ++w) {
                const int64_t id = d * g.stride[0] - g.lo[0] + kd * g.dilation[0], ih = h * g.stride[1] - g.lo[1] + kh * g.dilation[1],
                              iw = w * g.stride[2] - g.lo[2] + kw * g.dilation[2];
                if (id < 0 || id >= g.in[0] || ih < 0 || ih >= g.in[1] || iw < 0 || iw >= g.in[2]) continue;
                f((((n * g.in_channels + c) * g.in[0] + id) * g.in[1] + ih) * g.in[2] + iw, weight,
                  (((n * g.out_channels + o) * g.out[0] + d) * g.out[1] + h) * g.out[2] + w);
              }
        }
}

template <class T>
double dot(const std::vector<T>& a, const std::vector<T>& b) {
  double s = 0;
  for (std::size_t i = 0; i < a.size(); ++i) s += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return s;
}

template <class T>
std::string where(const std::vector<T>& a, const std::vector<T>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(a[i] == b[i])) return "differ at " + std::to_string(i) + ": " + std::to_string(a[i]) + " for " + std::to_string(b[i]);
  return a.size() == b.size() ? "equal" : "sizes differ";
}

/// Which family computes each face.
struct families {
  kernels::conv_family y, dx;
  kernels::weights_family dw;
};
/// The chosen ones; or a named one wherever it can (`of`), chosen ones elsewhere.
template <class T, conv_geometry G>
constexpr families chosen() {
  return {kernels::family_of<T>(G, kernels::conv_side::forward), kernels::family_of<T>(G, kernels::conv_side::backward),
          kernels::weights_family_of<T>(G)};
}
template <class T, conv_geometry G>
constexpr families of(kernels::conv_family y, kernels::conv_family dx, kernels::weights_family dw) {
  families f = chosen<T, G>();
  if (kernels::possible<T>(y, {kernels::canonical(G), kernels::conv_side::forward})) f.y = y;
  if (kernels::possible<T>(dx, {kernels::canonical(G), kernels::conv_side::backward})) f.dx = dx;
  if (kernels::possible<T>(dw, kernels::canonical(G))) f.dw = dw;
  return f;
}

/// y from x, or dx from g (`source`).
template <class T, conv_geometry G, kernels::conv_side Side, kernels::conv_family Family, ops::epilogue E, bool Scale>
std::vector<T> correlate(const std::vector<T>& source, const std::vector<T>& w, const T* const* extra, const T* scale,
                         const std::vector<T>* start) {
  constexpr ops::conv_facts facts = kernels::conv3d_facts<T>(G, Side, Family);
  guarded<T> packed(facts.packed), target(Side == kernels::conv_side::forward ? G.y_size() : G.x_size()), scratch(facts.scratch);
  if (start != nullptr) std::copy(start->begin(), start->end(), target.data());
  const T* operands[ops::max_program_inputs]{};
  if (extra != nullptr)
    for (int i = 0; i + 1 < E.program.inputs; ++i) operands[i] = extra[i] != nullptr ? extra[i] : target.data();  // null: itself
  kernels::conv3d_pack<T, G, Side, Family>::run(w.data(), packed.data());
  kernels::conv3d_correlate<T, G, Side, E, Scale, ops::conv_layouts{}, Family>::run(source.data(), packed.data(), target.data(), operands,
                                                                                    scale, scratch.data());
  expect_intact(packed, target, scratch);
  return target.values();
}
template <class T, conv_geometry G, ops::epilogue E = {}, bool Scale = false, families F = chosen<T, G>()>
std::vector<T> forward(const std::vector<T>& x, const std::vector<T>& w, const T* const* extra = nullptr, const T* scale = nullptr,
                       const std::vector<T>* start = nullptr) {
  return correlate<T, G, kernels::conv_side::forward, F.y, E, Scale>(x, w, extra, scale, start);
}
template <class T, conv_geometry G, ops::epilogue E = {}, bool Scale = false, families F = chosen<T, G>()>
std::vector<T> backward_data(const std::vector<T>& g, const std::vector<T>& w, const T* const* extra = nullptr, const T* scale = nullptr,
                             const std::vector<T>* start = nullptr) {
  return correlate<T, G, kernels::conv_side::backward, F.dx, E, Scale>(g, w, extra, scale, start);
}

template <class T, conv_geometry G, families F = chosen<T, G>()>
std::vector<T> backward_weights(const std::vector<T>& x, const std::vector<T>& g) {
  guarded<T> dw(G.w_size()), scratch(kernels::conv3d_weights_facts<T>(G, F.dw).scratch);
  kernels::conv3d_backward_weights<T, G, ops::conv_layouts{}, F.dw>::run(x.data(), g.data(), dw.data(), scratch.data());
  expect_intact(dw, scratch);
  return dw.values();
}

// What does not depend on the geometry as a type is compiled once and not for each of them: a third of the time of these files.

/// The operands of a check, and the three faces in plain loops.
template <class T>
struct definition {
  std::vector<T> x, w, g, y, dx, dw;
  explicit definition(const conv_geometry& geometry)
      : x(numbers<T>(geometry.x_size(), 7, 3, 7)), w(numbers<T>(geometry.w_size(), 5, 1, 5)), g(numbers<T>(geometry.y_size(), 3, 2, 5)),
        y(g.size()), dx(x.size()), dw(w.size()) {
    products(geometry, [&](int64_t ix, int64_t iw, int64_t iy) {
      const auto a = static_cast<std::size_t>(ix), b = static_cast<std::size_t>(iw), c = static_cast<std::size_t>(iy);
      y[c] += x[a] * w[b];
      dx[a] += g[c] * w[b];
      dw[b] += g[c] * x[a];
    });
  }
  void compare(const std::vector<T>& y_is, const std::vector<T>& dx_is, const std::vector<T>& dw_is) const {
    INFO("y " << where(y_is, y) << "; dx " << where(dx_is, dx) << "; dw " << where(dw_is, dw));
    CHECK(y_is == y);
    CHECK(dx_is == dx);
    CHECK(dw_is == dw);
    const double form = dot(y_is, g);
    CHECK(form == dot(x, dx_is));
    CHECK(form == dot(w, dw_is));
  }
};

template <class T, conv_geometry G, families F = chosen<T, G>()>
void check(const char* name) {
  INFO(name);
  const definition<T> wanted(G);
  wanted.compare(forward<T, G, {}, false, F>(wanted.x, wanted.w), backward_data<T, G, {}, false, F>(wanted.g, wanted.w),
                 backward_weights<T, G, F>(wanted.x, wanted.g));
}

#define CHECK_GEOMETRY(T, ...) check<T, make(__VA_ARGS__)>(#T " " #__VA_ARGS__)

/// relu-free chain with every kind of operand: ((y * per_channel + per_sample_channel) * scalar) + whole.
constexpr ops::epilogue every_access() {
  ops::epilogue e;
  e.program.inputs = 5;
  e.program.length = 4;
  e.program.code[0] = {ops::fn::multiply, 0, 1, 0};
  e.program.code[1] = {ops::fn::add, 5, 2, 0};
  e.program.code[2] = {ops::fn::multiply, 6, 3, 0};
  e.program.code[3] = {ops::fn::add, 7, 4, 0};
  e.operand[1] = ops::access::per_channel;
  e.operand[2] = ops::access::per_sample_channel;
  e.operand[3] = ops::access::scalar;
  e.operand[4] = ops::access::whole;
  return e;
}

/// The operands of a check with epilogues and scales of the input, and what they give.
struct finished {
  using T = float;
  std::vector<T> x, w, g, sx, sg, c, nc, y, dx;
  T three = 3;
  explicit finished(const conv_geometry& geometry)
      : x(numbers<T>(geometry.x_size(), 7, 3, 7)), w(numbers<T>(geometry.w_size(), 5, 1, 5)), g(numbers<T>(geometry.y_size(), 3, 2, 5)),
        sx(numbers<T>(geometry.batch * geometry.in_channels, 3, 1, 5)), sg(numbers<T>(geometry.batch * geometry.out_channels, 2, 1, 5)),
        c(numbers<T>(geometry.in_channels + geometry.out_channels, 3, 2, 7)),
        nc(numbers<T>(geometry.batch * (geometry.in_channels + geometry.out_channels), 5, 2, 9)), y(g.size()), dx(x.size()) {
    const int64_t vx = geometry.in_volume(), vy = geometry.out_volume();
    products(geometry, [&](int64_t ix, int64_t iw, int64_t iy) {
      const auto a = static_cast<std::size_t>(ix), b = static_cast<std::size_t>(iw), k = static_cast<std::size_t>(iy);
      y[k] += x[a] * sx[static_cast<std::size_t>(ix / vx)] * w[b];
      dx[a] += g[k] * sg[static_cast<std::size_t>(iy / vy)] * w[b];
    });
    finish(y, vy, geometry.out_channels, g);
    finish(dx, vx, geometry.in_channels, x);
  }
  void finish(std::vector<T>& v, int64_t volume, int64_t channels, const std::vector<T>& whole) const {
    for (std::size_t i = 0; i < v.size(); ++i) {
      const auto plane = static_cast<std::size_t>(static_cast<int64_t>(i) / volume);
      v[i] = (v[i] * c[plane % static_cast<std::size_t>(channels)] + nc[plane]) * three + whole[i];
    }
  }
  void compare(bool in_place, const std::vector<T>& y_is, const std::vector<T>& dx_is) const {
    INFO("in place " << in_place << "; y " << where(y_is, y) << "; dx " << where(dx_is, dx));
    CHECK(y_is == y);
    CHECK(dx_is == dx);
  }
};

template <conv_geometry G, families F = chosen<float, G>()>
void check_epilogue(const char* name) {
  INFO(name);
  const finished wanted(G);
  const float *c = wanted.c.data(), *nc = wanted.nc.data(), *three = &wanted.three;
  for (const bool in_place : {false, true}) {
    const float* extra_y[]{c, nc, three, in_place ? nullptr : wanted.g.data()};
    const float* extra_x[]{c, nc, three, in_place ? nullptr : wanted.x.data()};
    wanted.compare(in_place, forward<float, G, every_access(), true, F>(wanted.x, wanted.w, extra_y, wanted.sx.data(), &wanted.g),
                   backward_data<float, G, every_access(), true, F>(wanted.g, wanted.w, extra_x, wanted.sg.data(), &wanted.x));
  }
}

/// Numbers in [-0.5, 0.5) whose sums round, the same for the same state.
inline std::vector<float> random(int64_t n, unsigned state) {
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& e : v) {
    state = state * 1664525u + 1013904223u;
    e = static_cast<float>(state >> 8) / 16777216.0f - 0.5f;
  }
  return v;
}

/// The three faces one after the other, by so many threads.
template <conv_geometry G, families F = chosen<float, G>()>
std::vector<float> faces(const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& g, int threads) {
  volute::spinning_pool pool(threads);
  std::vector<float> all;
  const auto run = [&](int64_t size, int64_t result, int64_t scratch_size, int64_t each, auto f) {
    guarded<float> packed(size), y(result), scratch(scratch_size), memory(each * (threads - 1));
    f(packed.data(), y.data(), scratch.data(), threads > 1 ? kernels::team<float>{&pool, memory.data(), each} : kernels::team<float>{});
    expect_intact(packed, y, scratch, memory);
    const auto values = y.values();
    all.insert(all.end(), values.begin(), values.end());
  };
  const auto correlation = [&]<kernels::conv_side Side, kernels::conv_family Family>(const float* source) {
    constexpr ops::conv_facts facts = kernels::conv3d_facts<float>(G, Side, Family);
    constexpr int64_t each =
        kernels::with_plan<float>(Family, {kernels::canonical(G), Side}, [](const auto& plan) { return plan.worker_scratch(); });
    run(facts.packed, Side == kernels::conv_side::forward ? G.y_size() : G.x_size(), facts.scratch, each,
        [&](float* packed, float* y, float* scratch, const kernels::team<float>& t) {
          kernels::conv3d_pack<float, G, Side, Family>::run(w.data(), packed);
          kernels::conv3d_correlate<float, G, Side, ops::epilogue{}, false, ops::conv_layouts{}, Family>::run(source, packed, y, nullptr,
                                                                                                              nullptr, scratch, t);
        });
  };
  correlation.template operator()<kernels::conv_side::forward, F.y>(x.data());
  correlation.template operator()<kernels::conv_side::backward, F.dx>(g.data());
  constexpr int64_t each =
      kernels::with_plan<float>(F.dw, kernels::canonical(G), [](const auto& plan) { return plan.worker_scratch(); });
  run(0, G.w_size(), kernels::conv3d_weights_facts<float>(G, F.dw).scratch, each,
      [&](float*, float* dw, float* scratch, const kernels::team<float>& t) {
        kernels::conv3d_backward_weights<float, G, ops::conv_layouts{}, F.dw>::run(x.data(), g.data(), dw, scratch, t);
      });
  return all;
}

/// The same bits by one and by three threads.
template <conv_geometry G, families F = chosen<float, G>()>
void check_bits() {
  const auto x = random(G.x_size(), 1), w = random(G.w_size(), 2), g = random(G.y_size(), 3);
  CHECK(faces<G, F>(x, w, g, 1) == faces<G, F>(x, w, g, 3));
}

}  // namespace conv3d_test
