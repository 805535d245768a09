// Under mpirun: a volume's slabs over all ranks are those of one. With `slow FILE` it is a longer volume, whose slabs are written to FILE at
// leisure, for lost.py to end a rank meanwhile.
#include <volute/distributed/mpi.hpp>
#include <volute/distributed/tiles.hpp>
#include <volute/volute.hpp>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

using namespace volute;

namespace {
struct net : nn::sequential<nn::conv3d<1, 3, nn::kernel<3>, nn::same>, nn::relu, nn::conv3d<3, 3, nn::kernel<3>, nn::same>> {};
using tiles = tiled<net, input<"x", 1, 1, 12, 32, 32>>;
}  // namespace

int main(int count, char** arguments) {
  try {
    distributed::mpi world(std::chrono::seconds(20));
    const bool slow = count > 2 && std::string_view(arguments[1]) == "slow";
    tiles t;
    xt::xtensor<float, 5> volume({1, 1, std::size_t{slow ? 401u : 101u}, 40, 40});
    for (std::size_t i = 0; i < volume.size(); ++i) volume.data()[i] = std::sin(static_cast<float>(i) * 0.37f);
    std::vector<float> expected, found;
    const auto into = [](std::vector<float>& to) {
      return volumes::scores([&to](const volumes::slab<float>& s) { to.insert(to.end(), s.data, s.data + s.shape.size()); });
    };
    if (slow) {
      const std::string file = arguments[2];
      std::ofstream out(file + ".slabs" + std::to_string(world.rank()), std::ios::binary);  // rank 0 alone gets slabs
      std::ofstream(file + ".pid" + std::to_string(world.rank())) << ::getpid() << std::endl;
      const auto written = volumes::scores([&](const volumes::slab<float>& s) {
        out.write(reinterpret_cast<const char*>(s.data), static_cast<std::streamsize>(s.shape.size() * sizeof(float))).flush();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      });
      distributed::run_tiles(world, t, {}, written, volumes::memory(volume));
      return 0;
    }
    if (world.rank() == 0) t.run(into(expected), volumes::memory(volume));
    distributed::run_tiles(world, t, {}, into(found), volumes::memory(volume));
    if (found == expected) return 0;
    std::fputs("the slabs differ from those of one rank\n", stderr);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
  }
  return 1;
}
