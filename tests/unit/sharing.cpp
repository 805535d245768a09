// Who owns what: weights that programs, threads and models of other sizes share; workspaces; programs that move, copy and live in
// containers.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include <csignal>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace volute;

namespace {

// Channels in the lanes, pixels in the lanes and a product of matrices: packed filters of several orders.
struct net : nn::sequential<nn::conv3d<3, 16, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<16, 16, nn::kernel<3>, nn::padding<1>>,
                            nn::relu, nn::conv3d<16, 32, nn::kernel<2>, nn::stride<2>>, nn::relu, nn::conv3d<32, 2, nn::kernel<1>>> {};
constexpr auto small = input<"x", 1, 3, 8, 8, 8>;
constexpr auto twin = input<"x", 2, 3, 8, 8, 8>;
constexpr auto large = input<"x", 1, 3, 12, 16, 20>;
using volume = xt::xtensor<float, 5>;
using small_model = model<net, small>;

volume ramp(std::array<std::size_t, 5> shape, float step) {
  volume v = volume::from_shape(shape);
  float x = -1;
  for (float& e : v) e = x, x = x > 1 ? x - 2 + step / 3 : x + step;
  return v;
}
volume in_small(float step = 0.07f) { return ramp({1, 3, 8, 8, 8}, step); }

bool alike(const volume& a, const volume& b) { return a.shape() == b.shape() && std::equal(a.begin(), a.end(), b.begin()); }

template <class M>
std::int64_t packed_bytes(const M& m) {
  return m.weights().bytes() - M::facts::parameter_elements * 4;
}

/// Bytes of the filters that B packs in an order in which A packs none of the same parameter: their families differ. NEON's last layer has
/// `channels` for one sample and `width` for two.
template <class A, class B>
std::int64_t packed_otherwise() {
  using of_a = typename A::facts::plan;
  using of_b = typename B::facts::plan;
  std::int64_t bytes = 0;
  for (int i = 0; i < of_b::size.prologue; ++i) {
    const graph::launch& pack = of_b::tables.launches[i];
    const std::int64_t order = of_b::tables.kernels[pack.kernel].lanes;
    bool both = false;
    for (int k = 0; k < of_a::size.prologue; ++k) {
      const graph::launch& other = of_a::tables.launches[k];
      both = both || (other.in[0] == pack.in[0] && of_a::tables.kernels[other.kernel].lanes == order);
    }
    if (!both) bytes += B::facts::derived().value[pack.out.slot].size * 4;
  }
  return bytes;
}

}  // namespace

TEST_CASE("two models on one set of weights compute what each computes alone") {
  small_model a;
  a.initialize(5);
  const volume x = in_small();
  const volume alone = a(x);
  small_model b(a.weights());
  CHECK(b.weights() == a.weights());
  CHECK(alike(b(x), alone));
  CHECK(packed_bytes(a) == small_model::facts::prologue_bytes);  // not twice
  a.parameter<"6.bias">()(1) += 1;                               // the packed filters are made again, once, and both see them
  const volume changed = b(x);
  CHECK(alike(changed, a(x)));
  CHECK(changed(0, 1, 2, 2, 2) == Approx(alone(0, 1, 2, 2, 2) + 1));
  b.initialize(6);
  CHECK(alike(a(x), b(x)));
  CHECK_FALSE(alike(a(x), changed));
}

TEST_CASE("models of other batch and volume sizes share weights and packed filters of equal order") {
  small_model a;
  model<net, twin> b(a.weights());
  model<net, large> c(a.weights());
  const volume x = in_small(), y = in_small(0.13f), z = ramp({1, 3, 12, 16, 20}, 0.03f);
  volume both = volume::from_shape({2, 3, 8, 8, 8});
  std::copy(x.begin(), x.end(), both.begin());
  std::copy(y.begin(), y.end(), both.begin() + x.size());
  const volume first = a(x), second = a(y), together = b(both), wide = c(z);
  CHECK(std::equal(first.begin(), first.end(), together.begin()));
  CHECK(std::equal(second.begin(), second.end(), together.begin() + first.size()));
  model<net, large> own;
  CHECK(alike(own(z), wide));
  CHECK(packed_bytes(b) < 2 * small_model::facts::prologue_bytes);  // three programs; the batches' filters are the same
  small_model d;
  model<net, twin> e(d.weights());
  CHECK(volume(e(both)).size() > 0);
  constexpr std::int64_t once = small_model::facts::prologue_bytes;
  const std::int64_t twice = packed_otherwise<small_model, model<net, twin>>();
  CHECK(packed_bytes(d) == once + twice);
  CHECK(twice < once / 2);
  d.initialize(3);
  own.initialize(3), c.initialize(3);
  CHECK(alike(own(z), c(z)));
  const volume again = d(y), pair = e(both);
  CHECK(std::equal(again.begin(), again.end(), pair.begin() + pair.size() / 2));
}

TEST_CASE("a model follows the trainer whose weights it uses, a copy does not") {
  constexpr auto target = input<"t", 1, 2, 4, 4, 4>;
  trainer<net, nn::mse, adam, small, target> t{adam{.lr = 1e-2}};
  small_model live(t.weights()), copied;
  copied.copy_parameters(t);
  const volume x = in_small(), y = ramp({1, 2, 4, 4, 4}, 0.1f), before = live(x);
  CHECK(alike(copied(x), before));
  t.step(x, y);
  const volume after = live(x);
  CHECK_FALSE(alike(after, before));
  CHECK(alike(copied(x), before));
  copied.copy_parameters(t);
  CHECK(alike(copied(x), after));
}

TEST_CASE("weights in the caller's memory") {
  using facts = small_model::facts;
  alignas(64) static std::byte memory[facts::weights_bytes];
  const auto inside = [&](const void* p) { return p >= memory && p < memory + sizeof memory; };
  {
    shared_weights<small_model> w(memory);
    small_model m(w), own;
    const volume x = in_small(), a = m(x);
    CHECK(alike(a, own(x)));
    CHECK(w.bytes() <= facts::weights_bytes);
    CHECK(inside(m.parameter_values().data()));
    CHECK(inside(m.parameter_table().back().data));
    model<net, large> of_another_size(w);  // packs some filters for itself, beyond the memory if they are of another form
    CHECK(of_another_size.parameter_values().data() == m.parameter_values().data());
  }
  alignas(64) static std::byte too_small[640];
  CHECK_THROWS_WITH(shared_weights<small_model>(std::span(too_small)),
                    "memory of weights: expected " + std::to_string(facts::weights_bytes) + " bytes, found 640");
  CHECK_THROWS_WITH(shared_weights<small_model>(std::span(memory).subspan(4)),
                    "memory of weights: expected on a cache line of 64 bytes, found between two");
}

TEST_CASE("a const model runs in workspaces, also those in the caller's memory") {
  const small_model m;
  auto first = workspace::of<small_model>(), second = workspace::of<small_model>();
  const volume x = in_small(), y = in_small(0.13f);
  const volume a = m(first, x), b = m(second, y);
  small_model own;
  CHECK(alike(own(x), a));
  CHECK(alike(own(y), b));
  const float* inputs[]{x.data()};
  volume c = volume::from_shape(a.shape());
  m.run(second, inputs, c.data());
  CHECK(alike(c, a));

  alignas(64) static std::byte memory[small_model::facts::workspace_bytes];
  auto given = workspace::of<small_model>(std::span(memory));
  CHECK(alike(m(given, x), a));
  CHECK_THROWS_WITH(workspace::of<small_model>(std::span(memory).first(640)),
                    "memory of a workspace: expected " + std::to_string(small_model::facts::workspace_bytes) + " bytes, found 640");
  CHECK_THROWS_WITH(workspace::of<small_model>(std::span(memory).subspan(4)),
                    "memory of a workspace: expected on a cache line of 64 bytes, found between two");
  workspace none;
  CHECK_THROWS_WITH(m.run(none, inputs, c.data()),
                    "workspace: expected " + std::to_string(small_model::facts::workspace_bytes) + " bytes, found 0");
}

TEST_CASE("two programs take turns in one workspace") {
  constexpr auto w = parameter<"w", 3>;
  constexpr auto v = input<"v", 3>;
  using step_type = program<outputs(sum(square(w * v)), gradient(sum(square(w * v)), parameters))>;
  const small_model m;
  const step_type step;
  auto shared = workspace::of<small_model, step_type>();
  const volume x = in_small(), alone = small_model(m)(x);
  const xt::xtensor<float, 1> three{1, 2, 3};
  step_type(step.weights()).parameter<"w">().fill(2);
  for (int i = 0; i < 3; ++i) {
    CHECK(alike(m(shared, x), alone));  // leaves numbers in the gaps between the other's results
    const auto [value, gradients] = step(shared, v = three);
    CHECK(value == 4 + 16 + 36);
    CHECK(gradients[0].data[2] == 2 * 2 * 9);
    for (int k = 3; k < 16; ++k) CHECK(step_type::output_data(shared, 1)[k] == 0);
  }
}

TEST_CASE("a result in a workspace as the input of another program's run there") {
  constexpr auto w = input<"w", 8>;
  constexpr auto v = input<"v", 8>;
  const program<outputs(exp(w) + w)> first;
  const program<outputs(concat(axis<0>, slice(v, axis<0>, range<3, 8>), slice(v, axis<0>, range<0, 3>)) * sum(v))> second;
  auto shared = workspace::of<decltype(first), decltype(second)>();
  const xt::xtensor<float, 1> x{1, 2, 3, 4, 5, 6, 7, 8};
  const auto [y] = first(shared, w = x);
  CHECK_THROWS_WITH(second(shared, v = y),
                    "input: expected outside the workspace, found a result of another program in it, which must be copied first");
  const float* inputs[]{y.data()};
  float result[8];
  float* outputs[]{result};
  CHECK_THROWS_WITH(second.run(shared, inputs, outputs),
                    "input: expected outside the workspace, found a result of another program in it, which must be copied first");
  const xt::xtensor<float, 1> copied = y;
  const auto [z] = second(shared, v = copied);
  const float total = xt::sum(copied)();
  CHECK(z(0) == Approx(copied(3) * total));

  const model<nn::sequential<nn::conv3d<1, 1, nn::kernel<3>, nn::padding<1>>>, input<"x", 1, 1, 4, 4, 4>> blur;
  const model<nn::sequential<nn::conv3d<1, 2, nn::kernel<3>>>, input<"x", 1, 1, 4, 4, 4>> edges;
  auto both = workspace::of<decltype(blur), decltype(edges)>(), one = workspace::of<decltype(blur)>(),
       other = workspace::of<decltype(edges)>();
  const volume in = ramp({1, 1, 4, 4, 4}, 0.3f), soft = blur(one, in), expected = edges(other, soft);
  CHECK(alike(edges(both, blur(both, in)), expected));  // a lazy result takes a copy of itself
  CHECK(alike(edges(both, blur(both, in)), expected));
}

TEST_CASE("models move, swap, copy, and live in containers") {
  const auto made = [](std::uint64_t seed) {
    small_model m;
    m.initialize(seed);
    return m;
  };
  const volume x = in_small();
  small_model a = made(1), b = made(2);
  const volume of_a = a(x), of_b = b(x);
  std::swap(a, b);
  CHECK(alike(a(x), of_b));
  CHECK(alike(b(x), of_a));
  small_model c = std::move(a);
  CHECK(alike(c(x), of_b));
  a = c;  // what was moved from can be assigned to; a copy has weights of its own
  CHECK(alike(a(x), of_b));
  CHECK_FALSE(a.weights() == c.weights());
  a.initialize(7);
  CHECK(alike(c(x), of_b));

  std::vector<small_model> some;
  for (std::uint64_t i = 0; i < 5; ++i) some.push_back(made(i));
  CHECK(alike(some[1](x), of_a));
  some.erase(some.begin());
  CHECK(alike(some[0](x), of_a));
  std::map<std::string, small_model> named;
  named.emplace("b", std::move(b));
  CHECK(alike(named.at("b")(x), of_a));
}

TEST_CASE("a copied trainer takes the very same steps") {
  struct shaky
      : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>>, nn::batch_norm3d<4>, nn::relu, nn::dropout<0.3>, nn::flatten, nn::linear<32, 3>> {};
  constexpr auto x = input<"x", 2, 1, 4, 4, 4>;
  constexpr auto t = input<"t", 2>;
  using training = trainer<shaky, nn::cross_entropy<>, adam, x, t>;
  training a(adam{.lr = 1e-2}, {.clip_norm = 1, .ema_decay = 0.9, .accumulate = 2});
  const volume batch = ramp({2, 1, 4, 4, 4}, 0.1f);
  const xt::xtensor<int, 1> labels{0, 2};
  for (int i = 0; i < 3; ++i) a.step(batch, labels);  // in the middle of an accumulation
  training b = a;
  training c = a;
  for (int i = 0; i < 5; ++i) {
    const float loss = a.step(batch, labels);
    CHECK(b.step(batch, labels) == loss);
  }
  const auto equal_numbers = [](const training& p, const training& q) {
    const auto v = p.parameter_values(), w = q.parameter_values(), s = p.state_values(), r = q.state_values();
    return std::equal(v.begin(), v.end(), w.begin()) && std::equal(s.begin(), s.end(), r.begin());
  };
  CHECK(equal_numbers(a, b));
  CHECK_FALSE(equal_numbers(a, c));
  const auto ema = a.ema().parameter_table(), averages = b.ema().parameter_table();
  CHECK(ema[0].data[3] == averages[0].data[3]);
  training d = std::move(c);
  for (int i = 0; i < 5; ++i) d.step(batch, labels);
  CHECK(equal_numbers(a, d));
  std::vector<training> fork(2, a);
  CHECK(fork[0].step(batch, labels) == a.step(batch, labels));
}

TEST_CASE("reading parameters is not a change") {
  small_model m;
  const auto version = [&] { return m.weights().store().version(); };
  const volume x = in_small();
  CHECK(volume(m(x)).size() > 0);
  const auto before = version();
  const auto& read = m;
  CHECK(read.parameter_table()[0].path == "0.weight");
  CHECK(read.parameter<"0.bias">().size() == 16);
  CHECK(read.parameter_values().size() > 0);
  CHECK(version() == before);
  m.parameter_table();
  CHECK(version() != before);
}

TEST_CASE("threads on one set of weights get the bits of one thread") {
  const small_model m;
  constexpr int threads = 4, runs = 20;
  std::vector<volume> inputs, expected, found[threads];
  small_model alone(m.weights().clone());
  for (int i = 0; i < runs; ++i) {
    inputs.push_back(in_small(0.01f * static_cast<float>(i + 1)));
    expected.push_back(alone(inputs.back()));
  }
  SECTION("a const model, a workspace for each") {
    std::vector<std::thread> all;
    for (int k = 0; k < threads; ++k)
      all.emplace_back([&, k] {
        auto mine = workspace::of<small_model>();
        for (int i = 0; i < runs; ++i) found[k].push_back(m(mine, inputs[static_cast<std::size_t>(i)]));
      });
    for (auto& t : all) t.join();
  }
  SECTION("a model for each, made there") {
    std::vector<std::thread> all;
    for (int k = 0; k < threads; ++k)
      all.emplace_back([&, k] {
        small_model mine(m.weights());
        for (int i = 0; i < runs; ++i) found[k].push_back(mine(inputs[static_cast<std::size_t>(i)]));
      });
    for (auto& t : all) t.join();
    CHECK(packed_bytes(m) == small_model::facts::prologue_bytes);
  }
  for (const auto& f : found)
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(alike(f[i], expected[i]));
}

TEST_CASE("a run that meets another one in its workspace ends the program with a message") {
  constexpr auto v = input<"v", 4>;
  int pipes[2];
  REQUIRE(pipe(pipes) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipes[1], STDERR_FILENO);
    program<outputs(v * 2_c)> p;
    const xt::xtensor<float, 1> one = xt::ones<float>({4});
    float result[4];
    const float* inputs[]{one.data()};
    float* outputs[]{result};
    std::signal(SIGABRT, SIG_DFL);
    p.run_observed([&](int) { p.run(inputs, outputs); }, nullptr, v = one);  // as another thread might
    _exit(0);
  }
  close(pipes[1]);
  std::string said(200, ' ');
  said.resize(static_cast<std::size_t>(std::max(ssize_t{0}, read(pipes[0], said.data(), said.size()))));
  close(pipes[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  // An emulator adds a line of its own about the signal.
  CHECK_THAT(said, Catch::Matchers::StartsWith("volute: two runs in one workspace at once: give each thread a workspace of its own\n"));
}
