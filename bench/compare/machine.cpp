#include "machine.hpp"

#include <unistd.h>

#include <barrier>
#include <fstream>
#include <thread>
#include <volute/core/simd.hpp>
#include <volute/kernels/conv3d/correlation.hpp>

#include "timing.hpp"

namespace compare {
namespace {

namespace simd = volute::simd;
using vec = simd::vec<float>;

/// Seconds of the fastest of some turns, in each of which every thread does work(thread).
template <class Work>
double fastest(int threads, Work work, int count = 20) {
  double least = HUGE_VAL;
  std::barrier together(threads);
  const auto turns = [&](int thread) {
    for (int i = 0; i < count; ++i) {
      together.arrive_and_wait();
      const auto start = clock::now();
      work(thread);
      together.arrive_and_wait();
      if (thread == 0) least = std::min(least, microseconds(clock::now() - start) * 1e-6);
    }
  };
  std::vector<std::jthread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(turns, t);
  turns(0);
  return least;
}

void keep(vec v) { [[maybe_unused]] volatile float sink = simd::reduce_add(v); }

/// Bytes a second that `threads` threads read, each from `bytes` of its own.
double read_bandwidth(int threads, std::size_t bytes) {
  constexpr std::size_t lanes = static_cast<std::size_t>(simd::lanes<vec>), step = 8 * lanes;
  const std::size_t n = bytes / sizeof(float) / step * step;
  const int passes = std::max(1, static_cast<int>((std::size_t{64} << 20) / bytes));
  const std::vector<std::vector<float>> data(static_cast<std::size_t>(threads), std::vector<float>(n, 1.0f));
  const double seconds = fastest(threads, [&](int thread) {
    const float* p = data[static_cast<std::size_t>(thread)].data();
    p += (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64 / sizeof(float);  // a load across two lines costs two
    vec sum[8];
    VOLUTE_UNROLL
    for (vec& s : sum) s = vec(0.0f);
    for (int k = 0; k < passes; ++k)
      for (std::size_t i = 0; i + 2 * step <= n; i += step) {
        VOLUTE_UNROLL
        for (std::size_t u = 0; u < 8; ++u) sum[u] = sum[u] + simd::load<vec>(p + i + u * lanes);
      }
    for (const vec& s : sum) keep(s);
  });
  return static_cast<double>(threads) * passes * static_cast<double>((n - step) * sizeof(float)) / seconds;
}

}  // namespace

processor this_processor() {
  processor p;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    for (const auto& [key, value] : {std::pair{"model name\t", &p.name}, {"cpu family\t", &p.family}, {"model\t", &p.model}})
      if (value->empty() && line.starts_with(key)) *value = line.substr(line.find(": ") + 2);
  return p;
}

double measure_peak(int threads, int count) {
  constexpr int chains = 12, turns = 200000;
  const double seconds = fastest(
      threads,
      [](int thread) {
        volatile float one = 1.0f;
        const vec m(one * 0.999f), c(one * 1e-3f);
        vec a[chains];
        VOLUTE_UNROLL
        for (int i = 0; i < chains; ++i) a[i] = vec(static_cast<float>(i + thread));
        VOLUTE_NO_UNROLL
        for (int k = 0; k < turns; ++k) {
          VOLUTE_UNROLL
          for (int i = 0; i < chains; ++i) a[i] = simd::fma(a[i], m, c);
        }
        for (const vec& v : a) keep(v);
      },
      count);
  return 2.0 * threads * chains * turns * simd::lanes<vec> / seconds;
}

namespace {

/// Operations a second of the loop of a convolution: two vectors of weights, broadcast pixels, the sums of their products in registers, all
/// from the first-level cache. The mean of some turns of half a millisecond, or the fastest one.
double probe(int threads, int count, bool mean) {
  constexpr std::size_t pixels = volute::kernels::accumulators / 2, taps = 128, lanes = static_cast<std::size_t>(simd::lanes<vec>);
  constexpr int turns = 120;
  const std::vector<float> data((2 * lanes + pixels) * taps, 0.5f);
  double sum = 0, least = HUGE_VAL;
  for (int i = 0; i < count; ++i) {
    const double seconds = fastest(
        threads,
        [&](int) {
          vec a[pixels][2];
          VOLUTE_UNROLL
          for (std::size_t q = 0; q < pixels; ++q) a[q][0] = a[q][1] = vec(0.0f);
          for (int t = 0; t < turns; ++t) {
            const float *w = data.data(), *x = w + 2 * lanes * taps;
            VOLUTE_NO_UNROLL
            for (std::size_t k = 0; k < taps; ++k, w += 2 * lanes, ++x) {
              const vec w0 = simd::load<vec>(w), w1 = simd::load<vec>(w + lanes);
              VOLUTE_UNROLL
              for (std::size_t q = 0; q < pixels; ++q) {
                const vec pixel(x[q * taps]);
                a[q][0] = simd::fma(pixel, w0, a[q][0]);
                a[q][1] = simd::fma(pixel, w1, a[q][1]);
              }
            }
          }
          for (std::size_t q = 0; q < pixels; ++q) keep(a[q][0]), keep(a[q][1]);
        },
        1);
    sum += seconds, least = std::min(least, seconds);
  }
  return 4.0 * threads * turns * taps * pixels * lanes / (mean ? sum / count : least);
}

}  // namespace

patience::patience(int threads, double seconds) : threads_(threads), best_(threads * probe(1, 40, false)), all_(seconds), left_(seconds) {}

void patience::settle() {
  const auto begin = clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(25));  // others' threads may spin yet, see turns_of
  while (microseconds(clock::now() - begin) * 1e-6 < left_ && probe(threads_, 10, true) < 0.9 * best_)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  left_ -= microseconds(clock::now() - begin) * 1e-6 - 0.035;
}

ceilings measure_ceilings(int threads) {
  const auto size = [](int name, long otherwise) { return std::max(sysconf(name), otherwise); };
  const long l1 = size(_SC_LEVEL1_DCACHE_SIZE, 32 << 10), l2 = size(_SC_LEVEL2_CACHE_SIZE, 512 << 10);
  ceilings c;
  c.threads = threads;
  c.l1_size = static_cast<double>(l1), c.l2_size = static_cast<double>(l2);
  c.peak = measure_peak(threads);
  c.l1 = read_bandwidth(threads, static_cast<std::size_t>(l1 / 2));
  c.l2 = read_bandwidth(threads, static_cast<std::size_t>(l2 / 2));
  c.l3 = read_bandwidth(threads, static_cast<std::size_t>((4 << 20) / threads));
  c.memory = read_bandwidth(threads, (std::size_t{1} << 30) / static_cast<std::size_t>(threads));  // more than the largest L3 there is
  return c;
}

}  // namespace compare
