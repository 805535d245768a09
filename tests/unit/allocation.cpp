// Nothing is allocated after construction: every operator new and delete counts while the trap is armed.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>
#include <xtensor/xfixed.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xview.hpp>

namespace {
bool armed = false;
int caught = 0;
void* take(std::size_t n, std::size_t alignment) {
  caught += armed;
  if (void* p = std::aligned_alloc(alignment, (n + alignment) / alignment * alignment)) return p;
  throw std::bad_alloc();
}
}  // namespace

void* operator new(std::size_t n) { return take(n, alignof(std::max_align_t)); }
void* operator new[](std::size_t n) { return take(n, alignof(std::max_align_t)); }
void* operator new(std::size_t n, std::align_val_t a) { return take(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return take(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return take(n, alignof(std::max_align_t)); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return take(n, alignof(std::max_align_t)); }
void operator delete(void* p, const std::nothrow_t&) noexcept { caught += armed, std::free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { caught += armed, std::free(p); }
void operator delete(void* p) noexcept { caught += armed, std::free(p); }
void operator delete[](void* p) noexcept { caught += armed, std::free(p); }
void operator delete(void* p, std::size_t) noexcept { caught += armed, std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { caught += armed, std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { caught += armed, std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { caught += armed, std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { caught += armed, std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { caught += armed, std::free(p); }

using namespace volute;

namespace {

template <class F>
int allocations(F f) {
  caught = 0;
  armed = true;
  f();
  armed = false;
  return caught;
}

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>, nn::same>, nn::relu, nn::max_pool3d<2>, nn::flatten, nn::linear<32, 3>> {};
constexpr auto x = input<"x", 2, 1, 4, 4, 4>;
constexpr auto t = input<"t", 2>;
using batch = xt::xtensor<float, 5>;

}  // namespace

TEST_CASE("the trap catches") {
  CHECK(allocations([] { ::operator delete(::operator new(4)); }) == 2);  // a new-expression might be optimised away
  CHECK(allocations([] { batch b = xt::ones<float>({1, 1, 1, 1, 9}); }) > 0);
}

TEST_CASE("a model allocates only when it is made") {
  model<net, x> m;
  batch in = xt::ones<float>({2, 1, 4, 4, 4});
  xt::xtensor<double, 6> wide = xt::ones<double>({2, 3, 1, 4, 4, 4});
  xt::xtensor_fixed<float, xt::xshape<2, 3>> fixed;
  xt::xtensor<float, 2> sized = xt::zeros<float>({2, 3});
  xt::xtensor<float, 3> larger = xt::zeros<float>({2, 2, 3});
  const auto part = xt::view(wide, xt::all(), 1, xt::all(), xt::all(), xt::all(), xt::all());
  CHECK(allocations([&] { fixed = m(in); }) == 0);
  CHECK(allocations([&] { fixed = m(in); }) == 0);
  CHECK(allocations([&] { fixed = m(part); }) == 0);                 // strided and of another type
  CHECK(allocations([&] { fixed = m(in * 2.0f + in); }) == 0);       // lazy
  CHECK(allocations([&] { xt::noalias(sized) = m(in); }) == 0);
  auto row = xt::view(larger, 1, xt::all(), xt::all());
  CHECK(allocations([&] { xt::noalias(row) = m(in); }) == 0);
  CHECK(allocations([&] { m(in).assign_to(row); }) == 0);
  CHECK(larger(1, 1, 2) == sized(1, 2));
#ifndef __clang__  // xtensor 0.24 does not compile its xarray with clang 19
  xt::xarray<float> dynamic = in;
  CHECK(allocations([&] { fixed = m(dynamic); }) == 0);
#endif
  CHECK(allocations([&] { m.initialize(7); }) == 0);
  CHECK(allocations([&] { m.parameter_values()[0] = 3, fixed = m(in); }) == 0);
  CHECK(allocations([&] { m.parameter_table()[1].data[0] = 3, m.parameter<"4.bias">()(1) = 2, fixed = m(in); }) == 0);
}

TEST_CASE("a training step allocates only when it is made") {
  constexpr auto logits = net{}(x);
  constexpr auto loss = cross_entropy(logits, t);
  program<outputs(loss, logits, gradient(loss, parameters))> step;
  batch in = xt::ones<float>({2, 1, 4, 4, 4});
  xt::xtensor<int, 1> labels{1, 2};
  float first = 0, last = 0;
  const auto run = [&] {
    for (int i = 0; i < 5; ++i) {
      auto [value, scores, gradients] = step(x = in, t = labels);
      (i == 0 ? first : last) = value + 0 * scores(0, 0);
      auto p = step.parameter_values();
      auto g = step.gradient_values();
      for (std::size_t k = 0; k < p.size(); ++k) p[k] -= 0.05f * g[k];
      step.gradient<"0.weight">()(0, 0, 0, 0, 0);
      last += 0 * gradients[0].data[0];
    }
  };
  CHECK(allocations(run) == 0);
  CHECK(last < first);
}

TEST_CASE("a trainer allocates only when it is made") {
  trainer<net, nn::cross_entropy<>, adam, x, t> step(adam{}, {.schedule = schedule::one_cycle{1e-2, 20},
                                                              .clip_norm = 1,
                                                              .clip_value = 1,
                                                              .ema_decay = 0.9,
                                                              .accumulate = 2});
  batch in = xt::ones<float>({2, 1, 4, 4, 4});
  xt::xtensor<int, 1> labels{1, 2};
  float first = 0, last = 0;
  const auto run = [&] {
    for (int i = 0; i < 10; ++i) (i == 0 ? first : last) = step.step(in, labels);
    step.optimiser.lr = 0.5, step.settings.accumulate = 1, step.settings.ema_decay = 0;
    last = step.step(in, labels);
    step.ema().parameter_table();
    step.parameter_table();
  };
  CHECK(allocations(run) == 0);
  CHECK(last < first);
}
