// Tiles, windows and batches without exceptions: they run, and what does not fit ends the program with a message.
#include <volute/volumes/volumes.hpp>
#include <volute/volute.hpp>

#include <csignal>
#include <cmath>
#include <cstdio>
#include <sys/wait.h>
#include <unistd.h>

using namespace volute;

namespace {

template <class F>
bool aborts(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr) == nullptr ? ::_exit(2) : f();
    ::_exit(0);
  }
  int state = 0;
  return ::waitpid(child, &state, 0) == child && WIFSIGNALED(state) && WTERMSIG(state) == SIGABRT;
}

struct net : nn::sequential<nn::conv3d<1, 2, nn::kernel<3>, nn::same>, nn::relu> {};

}  // namespace

int main() {
  xt::xtensor<float, 5> x({1, 1, 9, 8, 13});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i * 7 % 11) - 5;
  model<net, input<"x", 1, 1, 9, 8, 13>> whole;
  tiled<net, input<"x", 1, 1, 5, 6, 8>> tiles(whole.weights());
  windowed<net, input<"x", 1, 1, 5, 6, 8>> windows(whole.weights());
  batched<net, input<"x", 1, 1, 9, 8, 13>, 1, 2> batches(whole.weights());
  spinning_pool pool(2);
  tiles.use(pool);
  const xt::xtensor<float, 5> y = whole(x), of_tiles = tiles(x), of_windows = windows(x, volumes::monai(0.5)), of_batches = batches(x);
  bool right = true;
  for (std::size_t i = 0; i < y.size(); ++i)
    right = right && std::abs(y.data()[i] - of_tiles.data()[i]) < 1e-5f && std::abs(y.data()[i] - of_batches.data()[i]) < 1e-5f;
  const bool stops = !windows.run(volumes::nnunet(), {.progress = [](const volumes::progress& p) { return p.done < 1; }},
                                  volumes::scores([](const volumes::slab<float>&) {}), volumes::memory(x));
  const xt::xtensor<float, 5> small({1, 1, 4, 8, 13});
  const bool refused = aborts([&] { tiles(small); });
  std::printf("right %d, stops %d, aborts %d\n", right, stops, refused);
  return right && stops && refused && of_windows.size() == y.size() ? 0 : 1;
}
