// Any number of samples through `batched`, beside static models of each batch size: samples a second for 1 to 33 samples, and what of the
// best static batch that is. One thread; the quickest of turns that take `seconds` for each number. A turn takes as many runs as 33 samples
// allow, each of its own: one sample again and again would stay in the caches, and a short turn find a quieter moment.
//   bench.batches [seconds]        default 1
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace volute;
namespace nn = volute::nn;

namespace {

/// A classifier of patches of 24^3 voxels.
template <int In, int Out>
using block = nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>, nn::no_bias>, nn::batch_norm3d<Out>, nn::relu>;
using net = nn::sequential<block<1, 16>, nn::max_pool3d<2>, block<16, 32>, nn::max_pool3d<2>, block<32, 64>, nn::max_pool3d<2>, nn::flatten,
                           nn::linear<64 * 27, 10>>;
constexpr std::int64_t most = 33, voxels = 24 * 24 * 24, classes = 10;
using any_number = batched<net, input<"x", 1, 1, 24, 24, 24>, 1, 2, 4>;
template <std::int64_t N>
using fixed = model<net, input<"x", N, 1, 24, 24, 24>>;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
/// The least seconds of a call.
template <class F>
double quickest(double seconds, const F& f) {
  double least = 1e30;
  for (const double end = now() + seconds; now() < end;) {
    const double begun = now();
    f();
    least = std::min(least, now() - begun);
  }
  return least;
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 1;
  any_number b;
  b.initialize(1);
  std::vector<float> x(most * voxels), found(most * classes), wanted(most * classes);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 2654435761u % 1000) / 1000;
  // Samples a second of run(inputs, results), n samples at a time.
  const auto rate_of = [&](std::int64_t n, float* results, const auto& run) {
    const std::int64_t runs = most / n;
    return static_cast<double>(runs * n) / quickest(seconds, [&] {
             for (std::int64_t i = 0; i < runs; ++i) {
               const float* const inputs[]{x.data() + i * n * voxels};
               run(inputs, results + i * n * classes);
             }
           });
  };

  double best = 0, apart = 0;
  const auto look = [&]<std::int64_t N>() {
    fixed<N> m(b.weights());
    const double rate = rate_of(N, wanted.data(), [&](const float* const* inputs, float* results) { m.run(inputs, results); });
    const float* const all[]{x.data()};
    b.run(most, all, found.data());
    for (std::int64_t i = 0; i < most / N * N * classes; ++i) {
      const auto k = static_cast<std::size_t>(i);
      apart = std::max(apart, static_cast<double>(std::abs(found[k] - wanted[k])));
    }
    std::printf("static %2lld: %8.1f samples a second\n", static_cast<long long>(N), rate);
    best = std::max(best, rate);
  };
  look.operator()<1>(), look.operator()<2>(), look.operator()<3>(), look.operator()<4>(), look.operator()<7>(), look.operator()<8>();
  look.operator()<16>(), look.operator()<32>(), look.operator()<33>();
  std::printf("results apart by %.2g at most; weights %.2f MB, once\n", apart, static_cast<double>(b.weights().bytes()) * 1e-6);

  double least = 1;
  for (std::int64_t n = 1; n <= most; ++n) {
    const double rate = rate_of(n, found.data(), [&](const float* const* inputs, float* results) { b.run(n, inputs, results); });
    least = std::min(least, rate / best);
    std::printf("batched %2lld: %8.1f samples a second, %.3f of the best static batch's\n", static_cast<long long>(n), rate, rate / best);
  }
  std::printf("at least %.3f of the best static batch's\n", least);
  return apart < 1e-4 ? 0 : 1;
}
