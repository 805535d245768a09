// Times the convolution kernels alone. One face and one range of workloads are compiled in, so that a look at one of them is quick:
//   g++ -std=c++20 -O3 -march=native -Iinclude [-DFIRST=0 -DLAST=33] [-DFACES=7] bench/conv3d_kernels.cpp && ./a.out [seconds per case] [threads]
// With threads, each case runs on one and on that many in turn, and the last column is how much faster those are.
// FACES: 1 forward, 2 backward data, 4 backward weights. Numbers are those of the lines of workloads/conv3d.csv.
#include <volute/kernels/conv3d.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#ifndef FIRST
#define FIRST 0
#endif
#ifndef LAST
#define LAST 33
#endif
#ifndef FACES
#define FACES 7
#endif

namespace {

using volute::ops::conv_geometry;
namespace kernels = volute::kernels;
using std::int64_t;

struct workload {
  const char* name;
  int64_t n, ic, oc, g, in[3], k[3], s[3], front, back, ph, pw, dil[3];
  constexpr conv_geometry geometry() const {
    conv_geometry q{
        n, ic, oc, g, {in[0], in[1], in[2]}, {}, {k[0], k[1], k[2]}, {s[0], s[1], s[2]}, {front, ph, pw}, {dil[0], dil[1], dil[2]}};
    const int64_t hi[3]{back, ph, pw};
    for (int a = 0; a < 3; ++a) q.out[a] = (q.in[a] + q.lo[a] + hi[a] - q.dilation[a] * (q.kernel[a] - 1) - 1) / q.stride[a] + 1;
    return q;
  }
};

constexpr workload workloads[]{
    {"seed512_b1", 1, 512, 512, 1, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"seed512_b8", 8, 512, 512, 1, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"c3d_conv1a", 1, 3, 64, 1, {16, 112, 112}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"c3d_conv2a", 1, 64, 128, 1, {16, 56, 56}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"c3d_conv3a", 1, 128, 256, 1, {8, 28, 28}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"c3d_conv4a", 1, 256, 512, 1, {4, 14, 14}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"c3d_conv5a", 1, 512, 512, 1, {2, 7, 7}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"r3d_stem", 1, 3, 64, 1, {16, 112, 112}, {3, 7, 7}, {1, 2, 2}, 1, 1, 3, 3, {1, 1, 1}},
    {"r3d_layer1", 1, 64, 64, 1, {16, 56, 56}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"r3d_l2_s2", 1, 64, 128, 1, {16, 56, 56}, {3, 3, 3}, {2, 2, 2}, 1, 1, 1, 1, {1, 1, 1}},
    {"r3d_l2_ds1x1s2", 1, 64, 128, 1, {16, 56, 56}, {1, 1, 1}, {2, 2, 2}, 0, 0, 0, 0, {1, 1, 1}},
    {"unet_in1_32", 1, 1, 32, 1, {64, 64, 64}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"unet_32_64c", 1, 32, 32, 1, {64, 64, 64}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"unet_64_32c", 1, 64, 64, 1, {32, 32, 32}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"unet_128_16c", 1, 128, 128, 1, {16, 16, 16}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"unet_256_8c", 1, 256, 256, 1, {8, 8, 8}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"unet_down_k2s2", 1, 32, 64, 1, {32, 32, 32}, {2, 2, 2}, {2, 2, 2}, 0, 0, 0, 0, {1, 1, 1}},
    {"unet_out1x1_32_3", 1, 32, 3, 1, {64, 64, 64}, {1, 1, 1}, {1, 1, 1}, 0, 0, 0, 0, {1, 1, 1}},
    {"magvit2_causal", 1, 128, 128, 1, {4, 32, 32}, {3, 3, 3}, {1, 1, 1}, 2, 0, 1, 1, {1, 1, 1}},
    {"i3d_1x1_192_96", 1, 192, 96, 1, {8, 28, 28}, {1, 1, 1}, {1, 1, 1}, 0, 0, 0, 0, {1, 1, 1}},
    {"i3d_1x1_480_192", 1, 480, 192, 1, {4, 14, 14}, {1, 1, 1}, {1, 1, 1}, 0, 0, 0, 0, {1, 1, 1}},
    {"x3d_dw54", 1, 54, 54, 54, {16, 56, 56}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"x3d_dw108_s122", 1, 108, 108, 108, {16, 56, 56}, {3, 3, 3}, {1, 2, 2}, 1, 1, 1, 1, {1, 1, 1}},
    {"lucid_1_8_12c", 1, 1, 8, 1, {12, 12, 12}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"lucid_8_16_12c", 1, 8, 16, 1, {12, 12, 12}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"lucid_8_16_12c_b8", 8, 8, 16, 1, {12, 12, 12}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"lucid_1_8_28c", 1, 1, 8, 1, {28, 28, 28}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"lucid_8_16_28c", 1, 8, 16, 1, {28, 28, 28}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"k5_16_16_16c", 1, 16, 16, 1, {16, 16, 16}, {5, 5, 5}, {1, 1, 1}, 2, 2, 2, 2, {1, 1, 1}},
    {"dil2_32_32c", 1, 32, 32, 1, {32, 32, 32}, {3, 3, 3}, {1, 1, 1}, 2, 2, 2, 2, {2, 2, 2}},
    {"odd_17_23_16c", 1, 17, 23, 1, {16, 16, 16}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"g4_64_16c", 1, 64, 64, 4, {16, 16, 16}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"tiny_4_4_4c", 1, 4, 4, 1, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
    {"tiny_16_16_4c", 1, 16, 16, 1, {4, 4, 4}, {3, 3, 3}, {1, 1, 1}, 1, 1, 1, 1, {1, 1, 1}},
};

double budget = 0.1, peak = 0;
volute::executor* workers = nullptr;

struct timing {
  double least, median;
};

template <class F>
timing measure(F f) {
  using clock = std::chrono::steady_clock;
  const auto seconds = [](auto d) { return std::chrono::duration<double>(d).count(); };
  f();
  auto start = clock::now();
  f();
  const double once = seconds(clock::now() - start);
  const int inner = std::max(1, static_cast<int>(20e-6 / (once + 1e-9)));
  std::vector<double> t;
  const auto begin = clock::now();
  do {
    start = clock::now();
    for (int i = 0; i < inner; ++i) f();
    t.push_back(seconds(clock::now() - start) / inner);
  } while (seconds(clock::now() - begin) < budget || t.size() < 5);
  std::sort(t.begin(), t.end());
  return {t.front(), t[t.size() / 2]};
}

/// GFLOP/s of independent multiply-adds in registers.
double fma_peak() {
  using V = volute::simd::vec<float>;
  constexpr int chains = 12, turns = 100000;
  V a[chains];
  float seed = 1.0f;
  const auto t = measure([&] {
    const V m(seed * 0.999f), c(seed * 1e-3f);
    VOLUTE_UNROLL
    for (int i = 0; i < chains; ++i) a[i] = V(static_cast<float>(i));
    VOLUTE_NO_UNROLL
    for (int k = 0; k < turns; ++k) {
      VOLUTE_UNROLL
      for (int i = 0; i < chains; ++i) a[i] = volute::simd::fma(a[i], m, c);
    }
    V s(0.0f);
    for (const V& v : a) s = s + v;
    volatile float sink = volute::simd::reduce_add(s);
    seed = sink > 1e30f ? 2.0f : 1.0f;
  });
  return 2.0 * turns * chains * volute::simd::lanes<V> / t.least * 1e-9;
}

/// Products that do not fall on padding.
double useful_flops(const conv_geometry& g) {
  double f = 2.0 * static_cast<double>(g.batch * g.out_channels * g.group_in());
  for (int a = 0; a < 3; ++a) {
    int64_t n = 0;
    for (int64_t q = 0; q < g.out[a]; ++q)
      for (int64_t k = 0; k < g.kernel[a]; ++k) {
        const int64_t i = q * g.stride[a] - g.lo[a] + k * g.dilation[a];
        n += i >= 0 && i < g.in[a];
      }
    f *= static_cast<double>(n);
  }
  return f;
}

struct buffer {
  float* p;
  explicit buffer(int64_t n) : p(static_cast<float*>(std::aligned_alloc(64, static_cast<std::size_t>((n * 4 + 4096) / 64 * 64)))) {
    for (int64_t i = 0; i < n; ++i) p[i] = static_cast<float>((i * 7 + i / 13) % 19 - 9) * 0.1f;
  }
  ~buffer() { std::free(p); }
  buffer(const buffer&) = delete;
  buffer& operator=(const buffer&) = delete;
};

template <int I>
void run() {
  static constexpr conv_geometry g = workloads[I].geometry();
  const double useful = useful_flops(g) * 1e-9, nominal = 2e-9 * static_cast<double>(g.y_size() * g.group_in() * g.taps());
  buffer x(g.x_size()), w(g.w_size()), y(g.y_size());
  // f(team) on one thread, then on all; twice, because the machine drifts.
  const auto report = [&](const char* face, int64_t scratch, int64_t each, auto f) {
    buffer memory(workers == nullptr ? 0 : each * (workers->threads() - 1));
    const kernels::team<float> team{workers, memory.p, each};
    timing t = measure([&] { f({}); }), shared{};
    if (workers != nullptr) {
      shared = measure([&] { f(team); });
      t.least = std::min(t.least, measure([&] { f({}); }).least);
      shared.least = std::min(shared.least, measure([&] { f(team); }).least);
    }
    std::printf("%-18s %-8s %12.2f %12.2f us  nominal %7.1f  useful %7.1f GFLOP/s  %5.2f of peak  scratch %.2f MiB", workloads[I].name,
                face, t.least * 1e6, t.median * 1e6, nominal / t.least, useful / t.least, useful / t.least / peak,
                static_cast<double>(scratch) * 4 / 1048576);
    if (workers != nullptr) std::printf("  %d threads %12.2f us  %5.2fx", workers->threads(), shared.least * 1e6, t.least / shared.least);
    std::printf("\n");
    std::fflush(stdout);
  };
  if constexpr ((FACES & 1) != 0) {
    constexpr int64_t size = kernels::conv3d_forward_scratch_size<float>(g);
    buffer packed(kernels::conv3d_forward_packed_size<float>(g)), scratch(size);
    kernels::conv3d_pack_forward<float, g>::run(w.p, packed.p);
    report("forward", size, kernels::conv3d_worker_size<float>(g, kernels::conv_side::forward), [&](const kernels::team<float>& t) {
      kernels::conv3d_forward<float, g>::run(x.p, packed.p, y.p, nullptr, nullptr, scratch.p, t);
    });
  }
  if constexpr ((FACES & 2) != 0) {
    constexpr int64_t size = kernels::conv3d_backward_data_scratch_size<float>(g);
    buffer packed(kernels::conv3d_backward_data_packed_size<float>(g)), scratch(size);
    kernels::conv3d_pack_backward_data<float, g>::run(w.p, packed.p);
    report("data", size, kernels::conv3d_worker_size<float>(g, kernels::conv_side::backward), [&](const kernels::team<float>& t) {
      kernels::conv3d_backward_data<float, g>::run(y.p, packed.p, x.p, nullptr, nullptr, scratch.p, t);
    });
  }
  if constexpr ((FACES & 4) != 0) {
    constexpr int64_t size = kernels::conv3d_backward_weights_scratch_size<float>(g);
    buffer scratch(size);
    report("weights", size, kernels::conv3d_backward_weights_worker_size<float>(g), [&](const kernels::team<float>& t) {
      kernels::conv3d_backward_weights<float, g>::run(x.p, y.p, w.p, scratch.p, t);
    });
  }
}

template <int... I>
void run_all(std::integer_sequence<int, I...>) {
  (run<FIRST + I>(), ...);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) budget = std::atof(argv[1]);
  std::unique_ptr<volute::spinning_pool> pool;
  if (argc > 2 && std::atoi(argv[2]) > 1) workers = (pool = std::make_unique<volute::spinning_pool>(std::atoi(argv[2]))).get();
  peak = fma_peak();
  std::printf("peak %.1f GFLOP/s; least and median time\n", peak);
  run_all(std::make_integer_sequence<int, LAST - FIRST + 1>{});
}
