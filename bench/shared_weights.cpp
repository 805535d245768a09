// Threads that share one set of weights: memory, bits and throughput, beside threads that have a set each.
//   shared_weights [seconds, default 2]
// A network of 3.5 M numbers; each thread runs a const model in a workspace of its own. Prints what is allocated beside workspaces, whether
// all threads get the bits of one, and runs a second with 1, 2 and 4 threads, in turns.
#include <volute/volute.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace {
std::atomic<std::int64_t> allocated{0};  // bytes that are in use
void* take(std::size_t n, std::size_t alignment) {
  alignment = std::max(alignment, sizeof(std::size_t) * 2);
  if (void* p = std::aligned_alloc(alignment, (n + 2 * alignment - 1) / alignment * alignment)) {
    std::memcpy(p, &n, sizeof n);
    allocated += static_cast<std::int64_t>(n);
    return static_cast<char*>(p) + alignment;
  }
  throw std::bad_alloc();
}
void give(void* p, std::size_t alignment) noexcept {
  if (p == nullptr) return;
  alignment = std::max(alignment, sizeof(std::size_t) * 2);
  char* const begin = static_cast<char*>(p) - alignment;
  std::size_t n;
  std::memcpy(&n, begin, sizeof n);
  allocated -= static_cast<std::int64_t>(n);
  std::free(begin);
}
}  // namespace
void* operator new(std::size_t n) { return take(n, alignof(std::max_align_t)); }
void* operator new(std::size_t n, std::align_val_t a) { return take(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { give(p, alignof(std::max_align_t)); }
void operator delete(void* p, std::size_t) noexcept { give(p, alignof(std::max_align_t)); }
void operator delete(void* p, std::align_val_t a) noexcept { give(p, static_cast<std::size_t>(a)); }
void operator delete(void* p, std::size_t, std::align_val_t a) noexcept { give(p, static_cast<std::size_t>(a)); }

namespace {

using namespace volute;
namespace nn = volute::nn;

template <int In, int Out>
using block = nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>>, nn::relu>;
struct net : nn::sequential<block<1, 32>, nn::max_pool3d<2>, block<32, 64>, block<64, 128>, nn::max_pool3d<2>, block<128, 256>,
                            block<256, 320>, nn::conv3d<320, 4, nn::kernel<1>>> {};
using network = model<net, input<"x", 1, 1, 32, 32, 32>>;
using volume = std::vector<float>;

double mib(std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

/// Runs a second of `threads` threads, each with what make(thread) returns: a function that runs once.
template <class Make>
double throughput(int threads, double seconds, Make make) {
  std::atomic<std::int64_t> runs{0};
  std::atomic<int> ready{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> all;
  for (int k = 0; k < threads; ++k)
    all.emplace_back([&, k] {
      auto run = make(k);
      run();
      ++ready;
      while (ready < threads) std::this_thread::yield();
      std::int64_t mine = 0;
      for (; !stop.load(std::memory_order_relaxed); ++mine) run();
      runs += mine;
    });
  while (ready < threads) std::this_thread::yield();
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  for (auto& t : all) t.join();
  return static_cast<double>(runs) / std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 2;
  const network m;
  volume x(32 * 32 * 32), expected(4 * 8 * 8 * 8);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7 % 13) / 6 - 1;
  const float* const inputs[]{x.data()};
  {
    auto w = workspace::of<network>();
    m.run(w, inputs, expected.data());
  }
  constexpr int threads = 4;
  std::printf("%.2f M numbers; one set with packed filters %.2f MiB; a workspace %.2f MiB\n",
              static_cast<double>(network::facts::parameters) * 1e-6, mib(network::facts::weights_bytes),
              mib(network::facts::workspace_bytes));

  bool same = true;
  std::int64_t shared_bytes = 0, own_bytes = 0;
  for (const bool shares : {true, false}) {
    std::vector<std::unique_ptr<network>> models;
    std::vector<volume> found(threads, volume(expected.size()));
    const std::int64_t begin = allocated;
    std::vector<std::thread> all;
    for (int k = 0; k < threads; ++k) models.push_back(std::make_unique<network>(shares ? m.weights() : m.weights().clone()));
    for (int k = 0; k < threads; ++k)
      all.emplace_back([&, k] {
        for (int i = 0; i < 5; ++i) models[static_cast<std::size_t>(k)]->run(inputs, found[static_cast<std::size_t>(k)].data());
      });
    for (auto& t : all) t.join();
    // what four models take beside their workspaces; the shared set itself was there before
    const std::int64_t beside = allocated - begin - threads * network::facts::workspace_bytes;
    (shares ? shared_bytes : own_bytes) = beside + (shares ? m.weights().bytes() : 0);
    for (const volume& f : found) same = same && std::memcmp(f.data(), expected.data(), f.size() * sizeof(float)) == 0;
  }
  const double set = mib(m.weights().bytes());
  std::printf("four models beside workspaces: on one set %.2f MiB (%.3f sets), each with its own %.2f MiB (%.3f)\n", mib(shared_bytes),
              mib(shared_bytes) / set, mib(own_bytes), mib(own_bytes) / set);
  std::printf("bits of one thread on all threads: %s\n", same ? "the same" : "DIFFERENT");

  const auto in_workspace = [&](int) {
    return [&, w = workspace::of<network>(), out = volume(expected.size())]() mutable { m.run(w, inputs, out.data()); };
  };
  std::vector<double> rates[3];
  for (int round = 0; round < 5; ++round)
    for (int n = 0; n < 3; ++n) rates[n].push_back(throughput(1 << n, seconds, in_workspace));
  for (auto& r : rates) std::sort(r.begin(), r.end());
  std::printf("runs a second: 1 thread %.2f, 2 threads %.2f (%.2f times), 4 threads %.2f (%.2f times); medians of 5\n", rates[0][2],
              rates[1][2], rates[1][2] / rates[0][2], rates[2][2], rates[2][2] / rates[0][2]);
  return same ? 0 : 1;
}
