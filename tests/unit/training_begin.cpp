// Where a training begins: the seed with all its bits, an optimiser that remembers nothing, and memory on cache lines, from an allocator
// that gives no more than it is asked for.
#include <volute/volute.hpp>

#include "kernels_support.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

// An odd multiple of the alignment, so that what asks for 32 bytes never has 64 by chance.
void* operator new(std::size_t size, std::align_val_t alignment) {
  const std::size_t a = static_cast<std::size_t>(alignment);
  void* const all = std::malloc(size + 4 * a + sizeof(void*));
  if (all == nullptr) throw std::bad_alloc();
  std::uintptr_t at = (reinterpret_cast<std::uintptr_t>(all) + sizeof(void*) + 2 * a - 1) / (2 * a) * (2 * a) + a;
  std::memcpy(reinterpret_cast<void*>(at - sizeof(void*)), &all, sizeof(void*));
  return reinterpret_cast<void*>(at);
}
void operator delete(void* p, std::align_val_t) noexcept {
  if (p == nullptr) return;
  void* all;
  std::memcpy(&all, static_cast<char*>(p) - sizeof(void*), sizeof(void*));
  std::free(all);
}
void operator delete(void* p, std::size_t, std::align_val_t a) noexcept { operator delete(p, a); }

namespace {

using namespace volute;
namespace nn = volute::nn;

/// 5200 weights: more than one partial sum of a norm. Dropout draws random numbers.
struct net : nn::sequential<nn::linear<64, 80>, nn::dropout<0.5>, nn::relu, nn::linear<80, 3>> {};
constexpr auto x = input<"x", 2, 64>;
constexpr auto y = input<"y", 2, 3>;
using course = trainer<net, nn::mse, adam, x, y>;

const std::vector<float> in = kernels_test::numbers(1).vector<float>(2 * 64), wanted = kernels_test::numbers(2).vector<float>(2 * 3);

std::vector<float> weights(course& t) {
  const auto w = t.parameter_values();
  return {w.begin(), w.end()};
}
template <class T>
bool on_a_line(const T* p) {
  return reinterpret_cast<std::uintptr_t>(p) % 64 == 0;
}

}  // namespace

TEST_CASE("a new beginning forgets the moments, the count of steps, what was accumulated and the random numbers") {
  course fresh(adam{.lr = 0.01}), again(adam{.lr = 0.01});
  fresh.initialize(3), fresh.seed(5);
  again.initialize(8), again.seed(5);
  again.settings.ema_decay = 0.5;
  for (int k = 0; k < 3; ++k) again.step(in, wanted);
  again.settings.accumulate = 2;
  again.step(in, wanted);
  again.settings = {};
  again.initialize(3);
  CHECK((again.progress.steps == 0 && again.progress.waiting == 0 && !again.progress.averages));
  for (const auto& block : again.state_blocks())
    for (const float v : block.values) REQUIRE(v == 0);
  for (int k = 0; k < 3; ++k) CHECK(again.step(in, wanted) == fresh.step(in, wanted));
  CHECK(weights(again) == weights(fresh));
}

TEST_CASE("what is switched off for a while is copied and forgotten as well") {
  using course_with_momentum = trainer<net, nn::mse, sgd, x, y>;
  course_with_momentum a(sgd{.lr = 0.01, .momentum = 0.9}), fresh(sgd{.lr = 0.01, .momentum = 0.9});
  for (int k = 0; k < 3; ++k) a.step(in, wanted);
  a.optimiser.momentum = 0;
  a.step(in, wanted);
  course_with_momentum b = a;
  a.optimiser.momentum = b.optimiser.momentum = 0.9;
  for (int k = 0; k < 3; ++k) CHECK(a.step(in, wanted) == b.step(in, wanted));
  a.optimiser.momentum = 0;
  a.initialize(3), fresh.initialize(3);
  a.optimiser.momentum = 0.9;
  for (int k = 0; k < 3; ++k) CHECK(a.step(in, wanted) == fresh.step(in, wanted));
}

TEST_CASE("every bit of a seed counts") {
  course t(adam{.lr = 0.01});
  std::vector<std::vector<float>> seen, drawn;
  for (int bit = -1; bit < 64; ++bit) {
    const std::uint64_t seed = bit < 0 ? 0 : std::uint64_t{1} << bit;
    t.initialize(seed);
    for (const auto& w : seen) REQUIRE(w != weights(t));
    seen.push_back(weights(t));
  }
  program<outputs(training(nn::dropout<0.5>{}(x)))> p;
  const std::vector<float> ones(128, 1.0f);
  for (int bit = -1; bit < 64; ++bit) {
    p.seed(bit < 0 ? 0 : std::uint64_t{1} << bit);
    p.set_random({p.random().seed, 0});
    const auto [kept] = p(x = ones);
    const std::vector<float> now(kept.begin(), kept.end());
    for (const auto& d : drawn) REQUIRE(d != now);
    drawn.push_back(now);
  }
}

TEST_CASE("a norm over more than one partial sum clips") {
  course t(adam{.lr = 0.01});
  program<outputs(training(mse(net{}(x), y)), gradient(training(mse(net{}(x), y)), parameters))> trained;
  t.initialize(1), trained.initialize(1);
  trained.set_random(t.random());
  t.settings.clip_norm = 1e-3;
  t.step(in, wanted);
  trained(x = in, y = wanted);
  double sum = 0;
  for (const float g : trained.gradient_values()) sum += static_cast<double>(g) * static_cast<double>(g);
  CHECK(t.gradient_norm() == Approx(std::sqrt(sum)).epsilon(1e-5));
}

TEMPLATE_TEST_CASE("inputs, results, parameters and all that lies between begin with a cache line", "", float, double) {
  program<outputs(net{}(x), softmax(exp(x), axis<1>), sum(x)), TestType> one;
  basic_trainer<TestType, net, nn::mse, adam, x, y> t;
  for (const auto& p : t.parameter_table()) CHECK(on_a_line(p.data));
  for (const auto& p : one.parameter_table()) CHECK(on_a_line(p.data));
  CHECK((on_a_line(one.input_data(0)) && on_a_line(one.output_data(0)) && on_a_line(one.output_data(1)) && on_a_line(one.output_data(2))));
  using plan = typename decltype(t)::facts::plan;
  for (int i = 0; i < plan::value_count; ++i) CHECK(plan::tables.values[i].at.offset % 16 == 0);
  for (int i = 0; i < plan::size.launches; ++i) CHECK(plan::tables.launches[i].scratch.offset % 16 == 0);
}
