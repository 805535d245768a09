// Under mpirun: a volume's slabs over all ranks are those of one.
#include <volute/distributed/mpi.hpp>
#include <volute/distributed/tiles.hpp>
#include <volute/volute.hpp>

#include <cmath>
#include <cstdio>

using namespace volute;

namespace {
struct net : nn::sequential<nn::conv3d<1, 3, nn::kernel<3>, nn::same>, nn::relu, nn::conv3d<3, 3, nn::kernel<3>, nn::same>> {};
using tiles = tiled<net, input<"x", 1, 1, 12, 32, 32>>;
}  // namespace

int main() {
  try {
    distributed::mpi world(std::chrono::seconds(20));
    tiles t;
    xt::xtensor<float, 5> volume({1, 1, 101, 40, 40});
    for (std::size_t i = 0; i < volume.size(); ++i) volume.data()[i] = std::sin(static_cast<float>(i) * 0.37f);
    std::vector<float> expected, found;
    const auto into = [](std::vector<float>& to) {
      return volumes::scores([&to](const volumes::slab<float>& s) { to.insert(to.end(), s.data, s.data + s.shape.size()); });
    };
    if (world.rank() == 0) t.run(into(expected), volumes::memory(volume));
    distributed::run_tiles(world, t, {}, into(found), volumes::memory(volume));
    if (found == expected) return 0;
    std::fputs("the slabs differ from those of one rank\n", stderr);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
  return 1;
}
