// A network on volumes of any size, through a program of one size: tiles whose results, put together, are those of the whole.
#pragma once

#include <volute/volumes/crew.hpp>
#include <volute/volumes/growth.hpp>
#include <volute/volumes/refused.hpp>
#include <volute/volumes/sinks.hpp>
#include <volute/volumes/sources.hpp>
#include <volute/volumes/tasks.hpp>

#include <functional>
#include <tuple>

namespace volute {
namespace volumes {

/// How a run is made.
struct options {
  volumes::fit fit = volumes::fit::exact;
  /// Called after each tile, by one worker at a time; false ends the run.
  std::function<bool(const volumes::progress&)> progress{};
  /// Of the run's slabs (see tiled::slabs) those from `first_slab` on, `slab_count` of them at most: for runs that share a volume.
  std::int64_t first_slab = 0, slab_count = std::int64_t{1} << 62;
};

inline namespace VOLUTE_ISA {

/// What a tensor that is given for an input stands for: a source of tiles, or itself.
template <class Input, class V>
decltype(auto) source_of(const V& v) {
  if constexpr (is_volume(Input::shape()) && runtime::shaped<V>)
    return memory(v);
  else
    return std::cref(v);
}
/// The source or tensor behind that.
template <class V>
const V& tensor_of(const std::reference_wrapper<const V>& v) {
  return v;
}
template <class V>
const V& tensor_of(const V& v) {
  return v;
}

}  // namespace VOLUTE_ISA
}  // namespace volumes

inline namespace VOLUTE_ISA {

/// `tiled<net, input<"x", 1, 1, 32, 32, 32>> t;` runs net on volumes of any size: t(volume), or t.run(sink, source). The result is that of
/// a model of the whole volume's extents (up to rounding where the two programs' kernels add in another order). Inputs (N, C, D, H, W) are
/// tiles of one size, other inputs are the same for all tiles. Refused at compile time where the network is not local. Extents that the
/// whole network would refuse throw shape_error, or are padded by a rule (volumes::fit). An axis of one voxel stays one; one whose tile is
/// too short to be moved has the tile's extent.
///
/// Construction allocates a workspace, use(executor) one for each further worker, a run the planes that it hands over at a time.
template <class T, class Net, auto... Inputs>
class basic_tiled;

template <class T, class Net, auto... Inputs>
requires(!volumes::tile_facts<Net, std::remove_const_t<decltype(Inputs)>...>::is_refused) class basic_tiled<T, Net, Inputs...>
    : public runtime::parameter_members<basic_tiled<T, Net, Inputs...>>, public runtime::file_members<basic_tiled<T, Net, Inputs...>> {
  using tiles = volumes::tile_facts<Net, std::remove_const_t<decltype(Inputs)>...>;
  using crew = volumes::crew<program<output_list<typename tiles::output>{}, T>>;

 public:
  using value_type = T;
  using program_type = program<output_list<typename tiles::output>{}, T>;
  using facts = typename program_type::facts;
  using weights_type = typename program_type::weights_type;
  static constexpr bool is_refused = false;
  /// What tiles can do along depth, height and width.
  static constexpr const volumes::tile_axis (&axis)[3] = tiles::axis;
  /// Memory for each worker.
  static constexpr std::int64_t bytes_per_worker = crew::bytes;

  basic_tiled() : basic_tiled(weights_type()) {}
  /// On weights that others may use too: a model's, a trainer's, those of tiles of another size.
  explicit basic_tiled(weights_type w) : crew_(std::move(w)) {}
  /// The same in memory that tiles of other networks have had before.
  basic_tiled(weights_type w, volumes::worker_rooms& rooms) : crew_(std::move(w), rooms) {}

  /// The weights, for models, trainers and other sizes on the same ones.
  weights_type& weights() noexcept { return crew_.program().weights(); }
  const weights_type& weights() const noexcept { return crew_.program().weights(); }
  /// Initial values of all parameters, from a seed.
  void initialize(std::uint64_t seed) { weights().initialize(seed); }

  /// Later runs compute tiles side by side on the workers of `e`, which must outlive it or its next use().
  void use(executor& e) { crew_.use(e); }

  /// The shape of the result for a volume. Throws shape_error where it does not fit.
  static extents result_shape(const volumes::size3& volume, volumes::fit rule = volumes::fit::exact) {
    const volumes::size3 r = kept(volume, volumes::fitted(axis, volume, rule));
    return make_extents(out[0], out[1], r.d, r.h, r.w);
  }

  /// Runs all tiles and hands finished planes to `sink` (volumes::scores, labels, probabilities) in the order of depth. `source`: for each
  /// input that is a volume, volumes::memory or volumes::function; for others, a tensor. Whether it came to its end. Throws shape_error
  /// before anything is computed; what a source, a sink or the progress throws ends the run, after which the object is as before.
  template <class Sink, class... Source>
  requires(sizeof...(Source) == sizeof...(Inputs)) bool run(const volumes::options& o, const Sink& sink, const Source&... source) {
    const volumes::size3 volume = extents_of(source...);
    const volumes::size3 padded = volumes::fitted(axis, volume, o.fit), whole = kept(volume, padded);
    std::vector<volumes::stretch> cuts[3];
    for (int a = 0; a < 3; ++a) cuts[a] = stretches(a, padded, whole);
    const auto all = static_cast<std::int64_t>(cuts[0].size()), first = std::clamp<std::int64_t>(o.first_slab, 0, all);
    cuts[0].erase(cuts[0].begin() + std::min(all, first + std::clamp<std::int64_t>(o.slab_count, 0, all - first)), cuts[0].end());
    cuts[0].erase(cuts[0].begin(), cuts[0].begin() + first);
    return run_slabs(o, sink, cuts, volume, whole, std::tie(source...));
  }
  template <class Sink, class... Source>
  requires(sizeof...(Source) == sizeof...(Inputs)) bool run(const Sink& sink, const Source&... source) {
    return run(volumes::options{}, sink, source...);
  }

  /// The planes of the result that a run hands over at a time, in their order: [begin, end) of each slab. They take the same work.
  static std::vector<volumes::stretch> slabs(const volumes::size3& volume, volumes::fit rule = volumes::fit::exact) {
    const volumes::size3 padded = volumes::fitted(axis, volume, rule);
    return stretches(0, padded, kept(volume, padded));
  }

  /// The extents of the volumes among sources or tensors. Throws shape_error where they differ, or are not those of the inputs.
  template <class... Source>
  static volumes::size3 extents_of(const Source&... source) {
    return common_extents(volumes::source_of<std::remove_const_t<decltype(Inputs)>>(source)...);
  }

  /// The whole result of tensors, one for each input.
  template <runtime::shaped... V>
  requires(sizeof...(V) == sizeof...(Inputs)) xt::xtensor<T, 5>
  operator()(const V&... v) {
    const auto sources = std::tuple{volumes::source_of<std::remove_const_t<decltype(Inputs)>>(v)...};
    return std::apply(
        [&](const auto&... source) {
          const extents shape = result_shape(common_extents(source...));
          xt::xtensor<T, 5> result =
              xt::xtensor<T, 5>::from_shape({size(shape[0]), size(shape[1]), size(shape[2]), size(shape[3]), size(shape[4])});
          const std::int64_t plane = shape[3] * shape[4];
          run(volumes::scores([&](const volumes::slab<T>& s) {
                for (std::int64_t c = 0; c < shape[0] * shape[1]; ++c)
                  std::copy_n(s.data + c * s.shape[2] * plane, s.shape[2] * plane, result.data() + (c * shape[2] + s.begin) * plane);
              }),
              source...);
          return result;
        },
        sources);
  }

 private:
  crew crew_;

  static constexpr extents out = tiles::output::shape();
  static constexpr volumes::size3 tile{axis[0].tile, axis[1].tile, axis[2].tile};
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

  /// Voxels of the result that are kept of a padded volume: those that padding has not added.
  static volumes::size3 kept(const volumes::size3& volume, const volumes::size3& padded) {
    volumes::size3 r;
    for (int a = 0; a < 3; ++a) r[a] = axis[a].whole_result(padded[a]) - (ratio(padded[a] - volume[a]) / axis[a].step).floor();
    return r;
  }

  static std::vector<volumes::stretch> stretches(int a, const volumes::size3& padded, const volumes::size3& whole) {
    std::vector<volumes::stretch> cuts = volumes::cut(axis[a], padded[a]);
    while (cuts.size() > 1 && cuts.back().begin >= whole[a]) cuts.pop_back();  // nothing but padding
    cuts.back().end = std::min(cuts.back().end, whole[a]);
    return cuts;
  }

  template <class... Source>
  static volumes::size3 common_extents(const Source&... source) {
    volumes::size3 e{0, 0, 0};
    const auto look = [&]<class Input, class S>(Input, const S& s) {
      if constexpr (volumes::is_volume(Input::shape())) {
        const auto& v = volumes::tensor_of(s);
        v.check(Input::shape()[0], Input::shape()[1]);
        if (e.d != 0 && !(v.extents() == e)) fail("volumes: expected extents that agree, found several");
        e = v.extents();
      }
    };
    (look(std::remove_const_t<decltype(Inputs)>{}, source), ...);
    return e;
  }

  /// Where the program has an input, by its name; -1: it does not need it.
  template <class Input>
  static constexpr int slot = runtime::find_input<Input::name>(facts::graph);

  /// The inputs that are the same for all tiles.
  template <class Input, class Source>
  void take(int worker, const Source& s) {
    if constexpr (!volumes::is_volume(Input::shape()) && slot<Input> >= 0) {
      T* const to = crew_.input(worker, slot<Input>);
      const T* const from = runtime::accept<T>(volumes::tensor_of(s), Input::shape(), "input", Input::name.view(), to);
      if (from != to) std::copy_n(from, Input::shape().size(), to);
    }
  }
  template <class Input, class Source>
  void fill(int worker, const Source& s, const volumes::size3& volume, const volumes::size3& origin, volumes::fit rule) {
    if constexpr (volumes::is_volume(Input::shape()) && slot<Input> >= 0)
      volumes::fill_tile(s, volume, origin, tile, Input::shape()[0] * Input::shape()[1], rule, crew_.input(worker, slot<Input>));
  }

  template <class Sink, class Sources>
  bool run_slabs(const volumes::options& o, const Sink& sink, const std::vector<volumes::stretch> (&cuts)[3], const volumes::size3& volume,
                 const volumes::size3& whole, const Sources& sources) {
    using element = typename Sink::template element<T>;
    const int workers = crew_.workers() != nullptr ? crew_.workers()->threads() : 1;
    const auto each_input = [&](const auto& f) {
      std::apply([&](const auto&... s) { (f.template operator()<std::remove_const_t<decltype(Inputs)>>(s), ...); }, sources);
    };
    for (int w = 0; w < workers; ++w) each_input([&]<class Input>(const auto& s) { take<Input>(w, s); });
    std::int64_t planes = 0;
    for (const volumes::stretch& z : cuts[0]) planes = std::max(planes, z.end - z.begin);
    const std::int64_t channels = Sink::channels(out[1]);
    constexpr bool in_place = requires { sink.place(std::int64_t{}, extents{}); };  // the sink has memory of its own
    std::vector<element> memory(in_place ? 0 : size(out[0] * channels * planes * whole.h * whole.w));
    const auto count = static_cast<std::int64_t>(cuts[1].size() * cuts[2].size());
    volumes::task_runner runner(crew_.workers(), count * static_cast<std::int64_t>(cuts[0].size()), o.progress);
    for (const volumes::stretch& z : cuts[0]) {
      const extents slab = make_extents(out[0], channels, z.end - z.begin, whole.h, whole.w);
      element* to = memory.data();
      std::int64_t depth = slab[2];  // planes between two channels
      if constexpr (in_place) to = sink.place(z.begin, slab), depth = sink.depth();
      const auto compute = [&](std::int64_t i, int worker) {
        const volumes::stretch &y = cuts[1][size(i) / cuts[2].size()], &x = cuts[2][size(i) % cuts[2].size()];
        each_input([&]<class Input>(const auto& s) { fill<Input>(worker, s, volume, {z.origin, y.origin, x.origin}, o.fit); });
        crew_.run(worker);
        store(sink, crew_.result(worker), z, y, x, whole, to, depth);
      };
      if (!runner.run(count, compute)) return false;
      if constexpr (in_place)
        sink.placed(z.begin, slab);
      else
        sink.function(volumes::slab<element>{z.begin, slab, to});
    }
    return true;
  }

  /// What is kept of a tile's result goes to its place among the planes.
  template <class Sink, class U>
  static void store(const Sink& sink, const T* result, const volumes::stretch& z, const volumes::stretch& y, const volumes::stretch& x,
                    const volumes::size3& whole, U* planes, std::int64_t depth) {
    const std::int64_t channels = Sink::channels(out[1]);
    for (std::int64_t n = 0; n < out[0]; ++n)
      for (std::int64_t d = 0; d < z.end - z.begin; ++d)
        for (std::int64_t h = 0; h < y.end - y.begin; ++h)
          sink.store(volumes::result_row<T, U>{result + ((n * out[1] * out[2] + z.from + d) * out[3] + y.from + h) * out[4] + x.from,
                                               out[2] * out[3] * out[4], out[1], x.end - x.begin,
                                               planes + ((n * channels * depth + d) * whole.h + y.begin + h) * whole.w + x.begin,
                                               depth * whole.h * whole.w});
  }
};

/// Of a network that is refused: says why, once.
template <class T, class Net, auto... Inputs>
class basic_tiled : public volumes::refused_runs<typename volumes::tile_facts<Net, std::remove_const_t<decltype(Inputs)>...>::failure> {
 public:
  using volumes::refused_runs<typename volumes::tile_facts<Net, std::remove_const_t<decltype(Inputs)>...>::failure>::refused_runs;
};

/// Tiles in float.
template <class Net, auto... Inputs>
using tiled = basic_tiled<float, Net, Inputs...>;

/// The tile that does the least superfluous work for a volume within so many bytes for each worker, as far as can be told from tiles of
/// another size: `constexpr auto e = proposed_tile<tiled<net, input<"x", 1, 1, 32, 32, 32>>>(1 << 28, {155, 240, 240});`. Bytes are taken
/// to grow with the voxels; tiled<...>::bytes_per_worker says what they are. An extent of 0 stands for a large volume. (0, 0, 0): no tile
/// is small enough.
template <class Tiled>
consteval volumes::size3 proposed_tile(std::int64_t bytes, volumes::size3 volume = {0, 0, 0}) {
  const auto& a = Tiled::axis;
  const double voxels = static_cast<double>(a[0].tile * a[1].tile * a[2].tile);
  return volumes::least_work(a, voxels * static_cast<double>(bytes) / static_cast<double>(Tiled::bytes_per_worker), volume);
}

}  // namespace VOLUTE_ISA
}  // namespace volute
