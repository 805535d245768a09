// A network with instance norms (nnU-Net's blocks, two levels, 32 and 64 channels) over 128^3 voxels: as one program, and in sweeps of
// tiles with the statistics of the whole. Prints processor time of both on one thread, the voxels that sweeps compute more, and how far the
// results are apart.
//   bench.sweeps
#include <volute/volumes/swept.hpp>
#include <volute/volute.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <vector>

using namespace volute;
namespace nn = volute::nn;

namespace {

template <text Name, int In, int Out, class... O>
using conv = nn::named<Name, nn::minimal_filtering<nn::conv3d<In, Out, nn::kernel<3>, nn::padding<1>, O...>>>;
template <text Name, int C>
using norm = nn::named<Name, nn::instance_norm3d<C, nn::affine<true>>>;
struct parts {
  conv<"c1", 1, 32> c1;
  norm<"n1", 32> n1;
  conv<"c2", 32, 32> c2;
  norm<"n2", 32> n2;
  conv<"c3", 32, 64, nn::stride<2>> c3;
  norm<"n3", 64> n3;
  conv<"c4", 64, 64> c4;
  norm<"n4", 64> n4;
  nn::named<"up", nn::conv_transpose3d<64, 32, nn::kernel<2>, nn::stride<2>>> up;
  conv<"c5", 64, 32> c5;
  norm<"n5", 32> n5;
  nn::named<"head", nn::conv3d<32, 3, nn::kernel<1>>> head;
  static constexpr auto act(expression auto x) { return leaky_relu<0.01>(x); }
};
struct whole_net : parts {
  constexpr auto operator()(expression auto x) const {
    const auto b = act(n2(c2(act(n1(c1(x))))));
    return head(act(n5(c5(concat(axis<1>, up(act(n4(c4(act(n3(c3(b))))))), b)))));
  }
};
constexpr std::int64_t size = 128, tile = 64;  // two tiles along each axis; at half the voxels, too
using sweeps = swept<whole_net, input<"x", 1, 1, tile, tile, tile>>;

double seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
}  // namespace

int main() {
  model<whole_net, input<"x", 1, 1, size, size, size>> whole;
  whole.initialize(1);
  sweeps t(whole.weights());
  xt::xtensor<float, 5> x = xt::xtensor<float, 5>::from_shape({1, 1, size, size, size});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i * 2654435761u % 1000 + i / size % size) / 1000;
  xt::xtensor<float, 5> wanted = whole(x), found = wanted;
  const double begun = seconds();
  wanted = whole(x);
  const double one = seconds() - begun;

  double swept_seconds = 0;
  for (int i = 0; i < 2; ++i) {  // the first time filters are packed
    const double start = seconds();
    found = t(x);
    swept_seconds = seconds() - start;
  }
  double apart = 0, most = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    apart = std::max(apart, static_cast<double>(std::abs(found.data()[i] - wanted.data()[i])));
    most = std::max(most, static_cast<double>(std::abs(wanted.data()[i])));
  }
  constexpr volumes::size3 extent{size, size, size};
  const auto [all, least] = sweeps::flops(extent);
  const auto mebibytes = [](std::int64_t n) { return static_cast<double>(n) / (1 << 20); };
  std::printf("one program %.2f s, %.0f MiB; %d sweeps %.2f s, %.0f MiB a tile, %.0f MiB between: %.2f times, products %.3f times\n", one,
              mebibytes(decltype(whole)::facts::workspace_bytes), sweeps::count, swept_seconds, mebibytes(sweeps::bytes_per_worker),
              mebibytes(sweeps::stored_bytes(extent)), swept_seconds / one, all / least);
  std::printf("apart by %.2g of the largest value\n", apart / most);
  return apart / most < 1e-5 ? 0 : 1;
}
