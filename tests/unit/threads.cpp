// Threads: the same bits for any number of workers, any executor and any order of tasks; no allocation while running; executors that do each task once.
#include <volute/core/executor.hpp>
#include <volute/core/openmp_executor.hpp>
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#include "kernels_support.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VOLUTE_TEST_NO_COUNT 1  // clang's has operators of its own, which cannot be replaced
#endif
#endif

namespace {
std::atomic<long> allocations{0};
}
#ifndef VOLUTE_TEST_NO_COUNT
namespace {
void* counted(std::size_t n, std::size_t align) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::aligned_alloc(align, (n + align - 1) / align * align)) return p;
  throw std::bad_alloc();
}
}  // namespace
// Not inlined: g++ 12 would take the pair of malloc and free, once it sees only one of them, for a mismatch.
#define VOLUTE_TEST_APART __attribute__((noinline))
VOLUTE_TEST_APART void* operator new(std::size_t n) { return counted(n, alignof(std::max_align_t)); }
VOLUTE_TEST_APART void* operator new(std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
// The sanitizer has its own nothrow forms, whose memory must not meet our delete.
VOLUTE_TEST_APART void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return counted(n, alignof(std::max_align_t)); }
VOLUTE_TEST_APART void operator delete(void* p) noexcept { std::free(p); }
VOLUTE_TEST_APART void operator delete(void* p, std::size_t) noexcept { std::free(p); }
VOLUTE_TEST_APART void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
VOLUTE_TEST_APART void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
#endif

namespace {

using namespace volute;
using std::int64_t;

/// A user's own executor, and the strictest: the last task first, by workers in turn. What depends on the order or on a worker's memory shows.
class backwards final : public executor {
 public:
  int jobs = 0;
  explicit backwards(int threads) : executor(threads) {}
  void parallel(int64_t tasks, task t, void* context) noexcept override {
    ++jobs;
    for (int64_t i = tasks - 1; i >= 0; --i) t(context, i, static_cast<int>(i * 5 % threads()));
  }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// f(executor, name) for each executor that results must not depend on.
template <class F>
void for_each_executor(F f) {
  sequential_executor one;
  f(one, "sequential");
  for (int n : {1, 2, 3, 7}) {
    spinning_pool pool(n);
    f(pool, "pool of " + std::to_string(n));
  }
  for (int n : {2, 3, 7}) {
    backwards b(n);
    f(b, "backwards " + std::to_string(n));
  }
#if defined(_OPENMP)
  openmp_executor omp(2);
  f(omp, std::string("openmp"));
#endif
}

struct tally {
  std::vector<std::atomic<int>> done;
  std::vector<std::atomic<int>> busy;
  std::atomic<bool> clash{false};
  tally(int64_t tasks, int workers) : done(static_cast<std::size_t>(tasks)), busy(static_cast<std::size_t>(workers)) {}
  static void task(void* context, int64_t i, int worker) noexcept {
    tally& t = *static_cast<tally*>(context);
    if (t.busy[static_cast<std::size_t>(worker)].exchange(1) != 0) t.clash = true;
    t.done[static_cast<std::size_t>(i)] += 1;
    t.busy[static_cast<std::size_t>(worker)] = 0;
  }
};

TEST_CASE("an executor does each task once, and no worker two at a time") {
  for_each_executor([](executor& e, const std::string& name) {
    INFO(name);
    for (int64_t tasks : {0, 1, 2, 3, 17, 1000}) {
      tally t(tasks, e.threads());
      for (int round = 1; round <= 20; ++round) {
        e.parallel(tasks, &tally::task, &t);
        bool each = true;
        for (const auto& n : t.done) each = each && n == round;
        REQUIRE(each);
      }
      CHECK(!t.clash);
    }
  });
}

TEST_CASE("a pool that slept wakes up, and one pool serves several threads") {
  spinning_pool pool(3, std::chrono::microseconds(1));
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&] {
      tally t(50, pool.threads());
      for (int round = 1; round <= 50; ++round) {
        pool.parallel(50, &tally::task, &t);
        for (const auto& n : t.done) wrong += n != round;
        if (round % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  for (std::thread& t : callers) t.join();
  CHECK(wrong == 0);
}

// ---- kernels, each large enough to be shared

constexpr ops::conv_geometry cube(int64_t batch, int64_t ic, int64_t oc, int64_t side, int64_t kernel = 3, int64_t stride = 1, int64_t groups = 1) {
  const int64_t lo = kernel / 2, out = (side + 2 * lo - kernel) / stride + 1;
  return {batch, ic, oc, groups, {side, side, side}, {out, out, out}, {kernel, kernel, kernel}, {stride, stride, stride}, {lo, lo, lo}, {1, 1, 1}};
}

/// The team of an executor, with memory that holds NaN.
struct company {
  std::vector<float> memory;
  kernels::team<float> team;
  company(executor& e, int64_t each)
      : memory(static_cast<std::size_t>(each * (e.threads() - 1) + 1), std::numeric_limits<float>::quiet_NaN()), team{&e, memory.data(), each} {}
};

template <ops::conv_geometry G>
void faces_do_not_depend_on_threads(const char* name) {
  using namespace volute::kernels;
  INFO(name);
  kernels_test::numbers random(7);
  const auto x = random.vector<float>(G.x_size()), w = random.vector<float>(G.w_size()), g = random.vector<float>(G.y_size());
  const auto scale = random.vector<float>(G.batch * G.in_channels);
  const auto make = [](int64_t n) { return std::vector<float>(static_cast<std::size_t>(n), std::numeric_limits<float>::quiet_NaN()); };
  const auto all = [&](const team<float>& forward, const team<float>& data, const team<float>& weights) {
    std::vector<std::vector<float>> r;
    auto packed = make(conv3d_forward_packed_size<float>(G)), back = make(conv3d_backward_data_packed_size<float>(G));
    conv3d_pack_forward<float, G>::run(w.data(), packed.data(), forward);
    conv3d_pack_backward_data<float, G>::run(w.data(), back.data(), data);
    auto scratch = make(conv3d_forward_scratch_size<float>(G));
    auto y = make(G.y_size()), scaled = y, dx = make(G.x_size()), dw = make(G.w_size());
    conv3d_forward<float, G>::run(x.data(), packed.data(), y.data(), nullptr, nullptr, scratch.data(), forward);
    conv3d_forward<float, G, ops::epilogue{}, true>::run(x.data(), packed.data(), scaled.data(), nullptr, scale.data(), scratch.data(), forward);
    scratch = make(conv3d_backward_data_scratch_size<float>(G));
    conv3d_backward_data<float, G>::run(g.data(), back.data(), dx.data(), nullptr, nullptr, scratch.data(), data);
    scratch = make(conv3d_backward_weights_scratch_size<float>(G));
    conv3d_backward_weights<float, G>::run(x.data(), g.data(), dw.data(), scratch.data(), weights);
    return std::array{packed, back, y, scaled, dx, dw};
  };
  const auto expected = all({}, {}, {});
  const char* what[] = {"pack", "pack for data", "forward", "forward, scaled", "data", "weights"};
  for_each_executor([&](executor& e, const std::string& who) {
    company f(e, conv3d_worker_size<float>(G, conv_side::forward)), d(e, conv3d_worker_size<float>(G, conv_side::backward));
    company v(e, conv3d_backward_weights_worker_size<float>(G));
    const auto found = all(f.team, d.team, v.team);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(who << ": " << what[i]);
      CHECK(same_bits(found[i], expected[i]));
    }
  });
}

TEST_CASE("convolution: the bits do not depend on threads") {
  faces_do_not_depend_on_threads<cube(1, 40, 56, 8)>("slices of blocks of channels");
  faces_do_not_depend_on_threads<cube(3, 192, 48, 4)>("weights in passes, samples together");
  faces_do_not_depend_on_threads<cube(9, 16, 16, 6)>("samples");
  faces_do_not_depend_on_threads<cube(1, 32, 64, 10, 3, 2, 2)>("stride and groups");
  faces_do_not_depend_on_threads<cube(2, 64, 32, 22)>("filter gradient: one sample at a time");
  faces_do_not_depend_on_threads<{1, 8, 16, 1, {18, 18, 18}, {16, 16, 16}, {3, 3, 3}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}}>("few channels, rows without padding");
  faces_do_not_depend_on_threads<cube(1, 256, 16, 4)>("filter gradient: chunks");
  faces_do_not_depend_on_threads<cube(1, 128, 128, 6, 3, 1, 8)>("filter gradient: groups");
  faces_do_not_depend_on_threads<cube(1, 17, 23, 16)>("filter gradient: parts of the pixels and ranges of taps");
  faces_do_not_depend_on_threads<cube(1, 96, 64, 12, 1)>("filter gradient: parts of slabs");
  faces_do_not_depend_on_threads<cube(1, 8, 8, 48)>("slabs of rows");
  faces_do_not_depend_on_threads<{1, 80, 40, 1, {24, 16, 32}, {24, 16, 32}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}}>("slabs of the depth");
  faces_do_not_depend_on_threads<cube(1, 1, 8, 25)>("stem");
  faces_do_not_depend_on_threads<cube(8, 2, 3, 14)>("batch of a stem");
  faces_do_not_depend_on_threads<cube(1, 16, 16, 19, 3, 1, 16)>("depthwise");
  faces_do_not_depend_on_threads<cube(1, 48, 3, 32, 1)>("head");
}

/// f(team) -> results, the same for every executor, and really shared.
template <class F>
void does_not_depend_on_threads(const char* name, F f) {
  INFO(name);
  const std::vector<float> expected = f(kernels::team<float>{});
  for_each_executor([&](executor& e, const std::string& who) {
    INFO(who);
    company c(e, 0);
    CHECK(same_bits(f(c.team), expected));
    if (const auto* b = dynamic_cast<backwards*>(&e)) CHECK(b->jobs > 0);
  });
}

constexpr ops::scalar_program program_of(std::initializer_list<ops::fn> chain) {
  ops::scalar_program p;
  for (ops::fn f : chain) p.code[p.length] = {f, static_cast<std::int8_t>(p.length), 0, 0}, ++p.length;
  return p;
}
constexpr auto waves = program_of({ops::fn::exp, ops::fn::sin});


TEST_CASE("other kernels: the bits do not depend on threads") {
  using namespace volute::kernels;
  using kernels_test::make_nest;
  kernels_test::numbers random(3);
  const auto x = random.vector<float>(1200000, -3, 12);
  const float* in[] = {x.data()};
  const auto results = [](int64_t n) { return std::vector<float>(static_cast<std::size_t>(n)); };

  const auto elementwise_on = [&](const ops::loop_nest& nest) {
    return [&, nest](const team<float>& t) {
      auto out = results(positions(nest, 0, nest.rank));
      kernels::elementwise<float, waves, ops::lanes{}>(nest, in, out.data(), t);
      return out;
    };
  };
  does_not_depend_on_threads("elementwise, one row", elementwise_on(make_nest({600001}, 1, {{1}})));
  does_not_depend_on_threads("elementwise, long rows", elementwise_on(make_nest({3, 200001}, 2, {{200003, 1}})));
  does_not_depend_on_threads("elementwise, rows", elementwise_on(make_nest({601, 999}, 2, {{1001, 1}})));
  does_not_depend_on_threads("elementwise, short rows", elementwise_on(make_nest({150001, 3}, 2, {{4, 1}})));

  const auto sum_on = [&](const ops::loop_nest& nest) {
    return [&, nest](const team<float>& t) {
      auto out = results(positions(nest, 0, nest.kept));
      kernels::reduce<float, waves, ops::lanes{}, ops::reduction::sum, true>(nest, in, out.data(), t);
      return out;
    };
  };
  does_not_depend_on_threads("sum of all", sum_on(make_nest({1200000}, 0, {{1}})));
  does_not_depend_on_threads("sums of many rows to few", sum_on(make_nest({3, 1000, 301}, 1, {{310, 1000, 1}})));
  does_not_depend_on_threads("sums of short rows to few", sum_on(make_nest({2, 70000, 3}, 1, {{3, 9, 1}})));
  does_not_depend_on_threads("sums of rows", sum_on(make_nest({501, 2001}, 1, {{2003, 1}})));
  does_not_depend_on_threads("maximum of all", [&](const team<float>& t) {
    auto out = results(1);
    kernels::reduce<float, waves, ops::lanes{}, ops::reduction::maximum, true>(make_nest({1200000}, 0, {{1}}), in, out.data(), t);
    return out;
  });
  does_not_depend_on_threads("sums of columns", [&](const team<float>& t) {
    auto out = results(5 * 1003);
    kernels::reduce<float, waves, ops::lanes{}, ops::reduction::sum, false>(make_nest({5, 1003, 201}, 2, {{1003, 1, 5015}}), in, out.data(), t);
    return out;
  });

  const auto product_of = [&]<bool A, bool B>(std::bool_constant<A>, std::bool_constant<B>, int64_t batch, int64_t m, int64_t n, int64_t k) {
    return [&, batch, m, n, k](const team<float>& t) {
      auto c = results(batch * m * n);
      kernels::matmul<float, A, B>(batch, m, n, k, x.data(), m * k, x.data() + 7, n * k, c.data(), t);
      return c;
    };
  };
  constexpr std::false_type no{};
  constexpr std::true_type yes{};
  does_not_depend_on_threads("matmul", product_of(no, no, 1, 145, 203, 305));
  does_not_depend_on_threads("matmul, few columns", product_of(no, no, 1, 1045, 17, 305));
  does_not_depend_on_threads("matmul, transposed", product_of(yes, yes, 1, 145, 203, 305));
  does_not_depend_on_threads("matmul, batch", product_of(no, yes, 5, 65, 103, 305));
  does_not_depend_on_threads("matmul, dots", product_of(no, yes, 1, 6, 2003, 305));
  does_not_depend_on_threads("vector times matrix", product_of(no, no, 1, 1, 1003, 1001));
  does_not_depend_on_threads("matrix times vector", product_of(yes, no, 1, 1003, 1, 1001));

  static constexpr ops::pool_geometry window = [] {
    ops::pool_geometry g;
    g.planes = 9;
    for (int a = 0; a < 3; ++a) g.in[a] = 31, g.out[a] = 15, g.kernel[a] = 3, g.stride[a] = 2;
    return g;
  }();
  constexpr int64_t in_size = 9 * 31 * 31 * 31, out_size = 9 * 15 * 15 * 15;
  does_not_depend_on_threads("pooling", [&](const team<float>& t) {
    auto r = results(3 * out_size + 2 * in_size);
    float* p = r.data();
    kernels::max_pool3d<float, window>::forward(x.data(), p, t), p += out_size;
    kernels::max_pool3d<float, window>::gather(x.data(), x.data() + 1, p, t), p += out_size;
    kernels::avg_pool3d<float, window>::forward(x.data(), p, t), p += out_size;
    kernels::max_pool3d<float, window>::scatter(x.data(), x.data() + 5, p, t), p += in_size;
    kernels::avg_pool3d<float, window>::backward(x.data(), p, t);
    return r;
  });

  const auto copy_of = [&](const ops::copy_nest& nest, int64_t size) {
    return [&, nest, size](const team<float>& t) {
      auto out = results(size);
      kernels::fill(out.data(), size, 2.5f, t);
      strided_copy<float>(nest, x.data(), out.data(), t);
      return out;
    };
  };
  does_not_depend_on_threads("copy, one row", copy_of({1, {1000003}, {1}, {1}, 0, 0}, 1000003));
  does_not_depend_on_threads("copy, transposed", copy_of({2, {901, 1103}, {1, 901}, {1103, 1}, 0, 0}, 901 * 1103));
  does_not_depend_on_threads("copy, few long rows", copy_of({2, {2, 400000}, {400001, 1}, {400007, 1}, 0, 0}, 800007));
}

// ---- whole programs

template <class Program>
std::vector<std::vector<float>> run(Program& p, const std::vector<std::vector<float>>& inputs) {
  using facts = typename Program::facts;
  std::vector<std::vector<float>> results;
  std::vector<const float*> in;
  for (const auto& v : inputs) in.push_back(v.data());
  std::vector<float*> out;
  for (int i = 0; i < facts::graph.size.outputs; ++i) {
    results.emplace_back(static_cast<std::size_t>(facts::graph.shape(facts::graph.outputs[i]).size()));
    out.push_back(results.back().data());
  }
  const long before = allocations;
  p.run(in.data(), out.data());
  CHECK(allocations == before);
  return results;
}

/// Every output of a program, the same for every executor, which is replaced between runs.
template <auto Outputs>
void program_does_not_depend_on_threads() {
  const auto p = std::make_unique<program<Outputs>>();
  using facts = typename program<Outputs>::facts;
  p->initialize(5);
  kernels_test::numbers random(11);
  std::vector<std::vector<float>> inputs;
  for (int i = 0; i < facts::graph.size.inputs; ++i) inputs.push_back(random.vector<float>(facts::graph.inputs[i].shape.size()));
  const auto expected = run(*p, inputs);
  for_each_executor([&](executor& e, const std::string& who) {
    INFO(who);
    p->use(e);
    p->parameters_changed();  // the packs too
    const auto found = run(*p, inputs);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO("output " << i);
      CHECK(same_bits(found[i], expected[i]));
    }
    sequential_executor alone;
    p->use(alone);
    CHECK(same_bits(run(*p, inputs)[0], expected[0]));
    if (const auto* b = dynamic_cast<backwards*>(&e)) CHECK(b->jobs > 0);
  });
}

using net = nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu, nn::max_pool3d<2>, nn::flatten,
                           nn::linear<16 * 4 * 4 * 4, 10>>;
constexpr auto volume = input<"x", 8, 1, 10, 10, 10>;
constexpr auto target = input<"t", 8, 10>;

TEST_CASE("a training step has the same bits for any number of threads, and allocates nothing") {
  static constexpr auto loss = mse(net{}(volume), target);
  program_does_not_depend_on_threads<outputs(loss, gradient(loss, parameters))>();
}

TEST_CASE("so has a modulated layer with its gradients") {
  using styled = nn::adaptive_conv3d_mod<64>;
  static constexpr auto x = input<"x", 2, 64, 4, 8, 8>;
  static constexpr auto mod = input<"mod", 2, 64>;
  static constexpr auto y = styled{}(x, mod);
  static constexpr auto loss = mean(square(y));
  program_does_not_depend_on_threads<outputs(y, gradient(loss, x), gradient(loss, mod), gradient(loss, parameters))>();
}

TEST_CASE("a model takes an executor") {
  const auto m = std::make_unique<model<net, volume>>();
  kernels_test::numbers random(2);
  const auto x = random.vector<float>(8 * 1000);
  const float* in[] = {x.data()};
  std::vector<float> expected(80), found(80);
  m->run(in, expected.data());
  spinning_pool pool(2);
  m->use(pool);
  m->run(in, found.data());
  CHECK(same_bits(found, expected));
  backwards mine(4);
  m->use(mine);
  m->run(in, found.data());
  CHECK(same_bits(found, expected));
  CHECK(mine.jobs > 0);
}

TEST_CASE("a thread leaves processors, and may be sent back") {
  placement::processors taken, before;
  placement::clear(taken);
  const int here = placement::current();
  if (here < 0) return;  // the system does not tell
  placement::insert(taken, here);
  CHECK(placement::contains(taken, here));
  std::thread([&] {
    const auto self = pthread_self();
    if (placement::available() == 1) {
      CHECK_FALSE(placement::leave(self, taken, before));  // there is nowhere to go
      return;
    }
    const int all = placement::available();
    REQUIRE(placement::leave(self, taken, before));
    CHECK(placement::current() != here);
    CHECK(placement::available() == all - placement::contains(before, here));
    placement::allow(before);
    CHECK(placement::available() == all);
  }).join();
}

TEST_CASE("a worker that finds itself on the caller's processor gets another") {
  if (placement::available() < 2) return;
  spinning_pool pool(2);
  struct seen {
    std::atomic<int> on[2]{-1, -1};
  } processors;
  const auto job = [&] {  // long enough that both take part
    pool.parallel(
        16,
        [](void* context, int64_t, int worker) noexcept {
          static_cast<seen*>(context)->on[worker] = placement::current();
          const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
          while (std::chrono::steady_clock::now() < until) {}
        },
        &processors);
  };
  const auto apart = [&] {
    for (int i = 0; i < 2000; ++i) {
      processors.on[0] = processors.on[1] = -1;
      job();
      if (processors.on[1] >= 0 && processors.on[0] != processors.on[1]) return true;
    }
    return false;
  };
  REQUIRE(apart());
  // The caller moves to where the worker was, and stays there.
  placement::processors one, before;
  const int there = processors.on[1];
  placement::clear(one);
  placement::insert(one, there);
  REQUIRE(pthread_getaffinity_np(pthread_self(), sizeof before, &before) == 0);
  placement::allow(one);
  CHECK(placement::current() == there);
  CHECK(apart());
  placement::allow(before);
}

}  // namespace
