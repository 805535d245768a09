// What the first run of a model costs beside later ones, with and without warm_up().
//   first_call [processes, default 15]
// Each figure is the median over new processes, each of which makes the model, then times its first run and the median of 20 later ones.
#include <volute/volute.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace {
using namespace volute;

struct document
    : nn::sequential<nn::conv3d<1, 16, nn::kernel<3>, nn::same>, nn::relu, nn::max_pool3d<2>, nn::conv3d<16, 32, nn::kernel<3>, nn::same>,
                     nn::relu, nn::max_pool3d<2>, nn::flatten, nn::linear<32 * 64, 10>> {};
struct wide : nn::sequential<nn::conv3d<4, 64, nn::kernel<3>, nn::same>, nn::instance_norm3d<64>, nn::relu,
                             nn::conv3d<64, 64, nn::kernel<3>, nn::same>, nn::relu, nn::conv3d<64, 4, nn::kernel<3>, nn::same>> {};

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

/// First and later microseconds, by a child.
template <class Model, std::int64_t Size, std::int64_t Results>
std::pair<double, double> timed(bool warm) {
  int ends[2];
  if (::pipe(ends) != 0) std::abort();
  if (::fork() == 0) {
    const auto m = std::make_unique<Model>();
    const std::vector<float> in(Size, 0.5f);
    std::vector<float> out(Results);
    if (warm) m->warm_up();
    const float* inputs[]{in.data()};
    const auto once = [&] {
      const auto before = std::chrono::steady_clock::now();
      m->run(inputs, out.data());
      return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - before).count();
    };
    double is[2]{once(), 0};
    std::vector<double> later(20);
    for (double& t : later) t = once();
    is[1] = median(later);
    ::_exit(::write(ends[1], is, sizeof is) == sizeof is ? 0 : 1);
  }
  double is[2]{};
  if (::read(ends[0], is, sizeof is) != sizeof is) std::abort();
  ::close(ends[0]), ::close(ends[1]);
  ::wait(nullptr);
  return {is[0], is[1]};
}

template <class Model, std::int64_t Size, std::int64_t Results>
void compare(const char* name, int processes) {
  for (const bool warm : {false, true}) {
    std::vector<double> first, later, ratio;
    for (int i = 0; i < processes; ++i) {
      const auto [f, l] = timed<Model, Size, Results>(warm);
      first.push_back(f), later.push_back(l), ratio.push_back(f / l);
    }
    std::printf("| %s | %s | %.4g | %.4g | %.2f |\n", name, warm ? "warm_up()" : "none", median(first), median(later), median(ratio));
    std::fflush(stdout);
  }
}

constexpr auto image = input<"image", 1, 1, 16, 16, 16>;
constexpr auto volume = input<"volume", 1, 4, 32, 32, 32>;

}  // namespace

int main(int argc, char** argv) {
  const int processes = argc > 1 ? std::max(1, std::atoi(argv[1])) : 15;
  std::puts("| model | before | first us | later us | first / later |\n|---|---|--:|--:|--:|");
  compare<model<document, image>, 16 * 16 * 16, 10>("document, batch 1", processes);
  compare<model<wide, volume>, 4 * 32 * 32 * 32, 4 * 32 * 32 * 32>("64 channels at 32^3", processes);
  compare<model<nn::minimal_filtering<wide>, volume>, 4 * 32 * 32 * 32, 4 * 32 * 32 * 32>("the same, minimal filtering", processes);
}
