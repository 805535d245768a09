// A network with instance norms (nnU-Net's blocks, two levels, 32 and 64 channels) over 128^3 voxels: as one program, and in sweeps of
// tiles with the statistics of the whole. Prints processor time of both on one thread, the voxels that sweeps compute more, and how far the
// results are apart.
//   bench.sweeps
#include <volute/volumes/store.hpp>
#include <volute/volumes/volumes.hpp>
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
struct stage1 : parts {
  constexpr auto operator()(expression auto x) const { return c1(x); }
};
struct stage2 : parts {
  constexpr auto operator()(expression auto x, expression auto s) const { return c2(act(n1(x, s))); }
};
struct stage3 : parts {
  constexpr auto operator()(expression auto x, expression auto s) const { return c3(act(n2(x, s))); }
};
struct stage4 : parts {
  constexpr auto operator()(expression auto x, expression auto s) const { return c4(act(n3(x, s))); }
};
struct stage5 : parts {
  constexpr auto operator()(expression auto x, expression auto s) const { return up(act(n4(x, s))); }
};
struct stage6 : parts {
  constexpr auto operator()(expression auto u, expression auto b, expression auto s) const { return c5(concat(axis<1>, u, act(n2(b, s)))); }
};
struct stage7 : parts {
  constexpr auto operator()(expression auto x, expression auto s) const { return head(act(n5(x, s))); }
};

constexpr std::int64_t size = 128, tile = 66;  // two tiles that overlap by what a border changes; at half the voxels one
template <class Net, std::int64_t C, std::int64_t E = tile>
using tiles = tiled<Net, input<"x", 1, C, E, E, E>, input<"s", 2, C>>;
using tiles1 = tiled<stage1, input<"x", 1, 1, tile, tile, tile>>;
using tiles6 = tiled<stage6, input<"u", 1, 32, tile, tile, tile>, input<"b", 1, 32, tile, tile, tile>, input<"s", 2, 32>>;
constexpr volumes::size3 fine{size, size, size}, coarse{size / 2, size / 2, size / 2};

double seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
template <class To, class From>
void copy(To& to, const From& from) {
  for (auto& p : to.parameter_table())
    for (const auto& q : from.parameter_table())
      if (p.path == q.path) std::copy_n(q.data, p.shape.size(), p.data);
}

}  // namespace

int main() {
  model<whole_net, input<"x", 1, 1, size, size, size>> whole;
  whole.initialize(1);
  tiles1 t1;
  tiles<stage2, 32> t2;
  tiles<stage3, 32> t3;
  tiles<stage4, 64, size / 2> t4;
  tiles<stage5, 64, size / 2> t5;
  tiles6 t6;
  tiles<stage7, 32> t7;
  const auto take = [&](auto&... t) { (copy(t, whole), ...); };
  take(t1, t2, t3, t4, t5, t6, t7);
  xt::xtensor<float, 5> x = xt::xtensor<float, 5>::from_shape({1, 1, size, size, size});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i * 2654435761u % 1000 + i / size % size) / 1000;
  xt::xtensor<float, 5> wanted = whole(x), found = wanted;
  const double begun = seconds();
  wanted = whole(x);
  const double one = seconds() - begun;

  volumes::store<float> a(32, fine), b(32, fine), c(64, coarse), d(64, coarse), u(32, fine), e(32, fine);
  double voxels = 0, least = 0;
  const auto count = [&](const auto& t, const volumes::size3& extent, double flop) {
    voxels += flop * volumes::work_of(t.axis, extent, volumes::fit::exact);
    least += flop * static_cast<double>(extent.voxels());
  };
  double sweeps = 0;
  for (int i = 0; i < 2; ++i) {  // the first time memory is new
    const double start = seconds();
    t1.run(a.sink(), volumes::memory(x));
    t2.run(b.sink(), a.source(), a.statistics());
    t3.run(c.sink(), b.source(), b.statistics());
    t4.run(d.sink(), c.source(), c.statistics());
    t5.run(u.sink(), d.source(), d.statistics());
    t6.run(e.sink(), u.source(), b.source(), b.statistics());
    t7.run(volumes::scores([&](const volumes::slab<float>& s) {
             const std::int64_t part = s.shape[2] * size * size;
             for (std::int64_t k = 0; k < 3; ++k) std::copy_n(s.data + k * part, part, found.data() + (k * size + s.begin) * size * size);
           }),
           e.source(), e.statistics());
    sweeps = seconds() - start;
  }
  // By products of each stage a voxel of its input.
  count(t1, fine, 27 * 32), count(t2, fine, 27 * 32 * 32), count(t3, fine, 27 * 32 * 64 / 8), count(t4, coarse, 27 * 64 * 64);
  count(t5, coarse, 8 * 64 * 32), count(t6, fine, 27 * 64 * 32), count(t7, fine, 32 * 3);
  double apart = 0, most = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    apart = std::max(apart, static_cast<double>(std::abs(found.data()[i] - wanted.data()[i])));
    most = std::max(most, static_cast<double>(std::abs(wanted.data()[i])));
  }
  std::printf("one program %.2f s, %.0f MiB; sweeps of tiles of %lld^3 %.2f s, %.0f MiB a tile: %.2f times, products %.3f times\n", one,
              static_cast<double>(decltype(whole)::facts::workspace_bytes) / (1 << 20), static_cast<long long>(tile), sweeps,
              static_cast<double>(std::max({tiles1::bytes_per_worker, tiles<stage2, 32>::bytes_per_worker,
                                            tiles<stage4, 64, size / 2>::bytes_per_worker, tiles6::bytes_per_worker})) /
                  (1 << 20),
              sweeps / one, voxels / least);
  std::printf("apart by %.2g of the largest value\n", apart / most);
  return apart / most < 1e-5 ? 0 : 1;
}
