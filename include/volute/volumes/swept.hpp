// A network with norms or pools over all voxels, on volumes of any size: sweep after sweep of tiles, with the statistics of the whole.
#pragma once

#include <volute/volumes/store.hpp>
#include <volute/volumes/sweep_program.hpp>

#include <array>
#include <optional>
#include <string>

namespace volute {
inline namespace VOLUTE_ISA {

/// `swept<net, input<"x", 1, 1, 64, 64, 64>> t;` runs net on volumes of any size, as tiled does, where all that looks at the whole volume are
/// statistics of its channels: instance and group norms, norms over the batch, global means and maxima (squeeze and excitation). The
/// network is cut where they are taken: each sweep computes a volume tile by tile, which is kept, in memory or in a file, until the last
/// sweep has read it. The result is that of a model of the whole volume's extents, within rounding. A sweep ends, too, where volumes of
/// several extents meet (after upsampling), and before what would see further than four voxels, so that little of a tile is lost.
///
/// A tile keeps as many voxels as its level of the network has for the inputs' extents, and is longer by what its own borders change: 66 for
/// 64 and a kernel of 3. (Where half of it would not be kept, on deep levels, for 2, 4 or 8 times the inputs' extents.) Volumes have at least
/// the tile's extents in each sweep. What has no voxels at the end, as a classifier's scores, is computed once.
///
/// Construction allocates the weights; a run the memory of one sweep after the other, and the volumes between them.
template <class T, class Net, auto... Inputs>
class basic_swept;

template <class T, class Net, auto... Inputs>
requires(!volumes::sweep_plan<Net, std::remove_const_t<decltype(Inputs)>...>::is_refused) class basic_swept<T, Net, Inputs...>
    : public runtime::parameter_members<basic_swept<T, Net, Inputs...>>, public runtime::file_members<basic_swept<T, Net, Inputs...>> {
  using plan = volumes::sweep_plan<Net, std::remove_const_t<decltype(Inputs)>...>;
  using first = volumes::sweeps_of<typename plan::first>;
  template <int J>
  using stage = typename volumes::sweep_tiles<T, J, Net, std::remove_const_t<decltype(Inputs)>...>::type;
  template <int J>
  static constexpr int operands = volumes::sweep_operands<typename plan::first, J>;

 public:
  using value_type = T;
  using facts = typename stage<0>::facts;  // of its parameters
  using weights_type = typename stage<0>::weights_type;
  static constexpr bool is_refused = false;
  /// How often a volume is gone through.
  static constexpr int count = first::pass.sweep_count;
  /// Whether the result has voxels: planes for a sink.
  static constexpr bool gives_volume = first::pass.sweep_of(first::graph.outputs[0]) >= 0;

 private:
  static constexpr std::size_t inputs = sizeof...(Inputs);
  template <int J>
  static constexpr volumes::sweep_facts facts_of() {
    using tiles = stage<J>;
    volumes::sweep_facts f;
    for (int a = 0; a < 3; ++a) f.tile[a] = tiles::axis[a].tile, f.kept[a] = tiles::axis[a].slides() ? tiles::axis[a].most_move() : 1;
    for (int i = 0; i < operands<J>; ++i) f.volumes += spans<J>(i);
    const extents& e = first::graph.shape(first::target(J));
    f.channels = e[0] * e[1];
    f.is_stored = first::pass.sweeps[J].is_read;
    f.bytes_per_worker = tiles::bytes_per_worker;
    f.flops = tiles::facts::flops;
    return f;
  }
  template <int J>
  static constexpr bool spans(int operand) {
    const auto& o = first::template nodes<J>.operands[static_cast<std::size_t>(operand)];
    return o.kind != graph::sweep_operand::statistic && volumes::is_volume(first::graph.shape(o.node));
  }

 public:
  /// Each sweep.
  static constexpr std::array<volumes::sweep_facts, static_cast<std::size_t>(count)> table =
      []<int... J>(std::integer_sequence<int, J...>) {
        return std::array<volumes::sweep_facts, static_cast<std::size_t>(count)>{facts_of<J>()...};
      }(std::make_integer_sequence<int, count>{});
  /// Memory for each worker: the most of a sweep.
  static constexpr std::int64_t bytes_per_worker = [] {
    std::int64_t most = 0;
    for (const volumes::sweep_facts& f : table) most = std::max(most, f.bytes_per_worker);
    return most;
  }();

  basic_swept() = default;
  /// On weights that others may use too: a model's, a trainer's.
  explicit basic_swept(weights_type w) : weights_(std::move(w)) {}

  /// The weights, for models, trainers and other sizes on the same ones.
  weights_type& weights() noexcept { return weights_; }
  const weights_type& weights() const noexcept { return weights_; }
  /// Initial values of all parameters, from a seed.
  void initialize(std::uint64_t seed) { weights_.initialize(seed); }
  /// Later runs compute tiles side by side on the workers of `e`, which must outlive it or its next use().
  void use(executor& e) { workers_ = &e; }
  /// Later runs keep the volumes between sweeps in files without names in this folder; "": in memory.
  void keep_in(std::string folder) { folder_ = std::move(folder); }

  /// Bytes of the volumes between sweeps, the most that there are at once, for a volume. Throws shape_error where it does not fit.
  static std::int64_t stored_bytes(const volumes::size3& volume) {
    const chain c = extents_for(volume);
    std::int64_t most = 0, now = 0;
    for (int j = 0; j < count; ++j) {
      if (table[at(j)].is_stored) now += table[at(j)].channels * c.made[at(j)].voxels() * static_cast<std::int64_t>(sizeof(T));
      most = std::max(most, now);
      for (int i = 0; i < j; ++i)
        if (table[at(i)].is_stored && last_reader(i) == j)
          now -= table[at(i)].channels * c.made[at(i)].voxels() * static_cast<std::int64_t>(sizeof(T));
    }
    return most;
  }
  /// Operations that the sweeps over a volume compute, and those of a sweep whose tiles do not overlap. Throws shape_error where it does not
  /// fit.
  static std::pair<double, double> flops(const volumes::size3& volume) {
    const chain c = extents_for(volume);
    std::pair<double, double> all{0, 0};
    for (int j = 0; j < count; ++j) {
      const volumes::sweep_facts& f = table[at(j)];
      all.first += f.flops * static_cast<double>(c.tiles[at(j)]);
      all.second += f.flops * static_cast<double>(c.read[at(j)].voxels()) / static_cast<double>(f.tile.voxels());
    }
    return all;
  }
  /// The shape of the result for a volume. Throws shape_error where it does not fit.
  static extents result_shape(const volumes::size3& volume) {
    const chain c = extents_for(volume);
    extents e = first::graph.shape(first::graph.outputs[0]);
    for (int a = 0; gives_volume && a < 3; ++a) e.dim[2 + a] = c.made[at(count - 1)][a];
    return e;
  }

  /// All sweeps; the last one hands finished planes to `sink` as tiled::run does. Sources, progress (of the tiles of all sweeps) and what is
  /// thrown are those of tiled::run; a volume that would have to be padded, and a choice of slabs, are refused by a shape_error.
  template <class Sink, class... Source>
  requires(sizeof...(Source) == inputs && gives_volume) bool run(const volumes::options& o, const Sink& sink, const Source&... source) {
    return run_sweeps(o, sink, std::tie(source...));
  }
  template <class Sink, class... Source>
  requires(sizeof...(Source) == inputs && gives_volume) bool run(const Sink& sink, const Source&... source) {
    return run(volumes::options{}, sink, source...);
  }
  /// The same where the result has no voxels: it is written to `result`, dense.
  template <class... Source>
  requires(sizeof...(Source) == inputs && !gives_volume) bool run(const volumes::options& o, T* result, const Source&... source) {
    return run_sweeps(o, result, std::tie(source...));
  }

  /// The whole result of tensors, one for each input.
  template <runtime::shaped... V>
  requires(sizeof...(V) == inputs) auto operator()(const V&... v) {
    const auto sources = std::tuple{volumes::source_of<std::remove_const_t<decltype(Inputs)>>(v)...};
    return std::apply([&](const auto&... source) { return whole(source...); }, sources);
  }

 private:
  weights_type weights_;
  std::unique_ptr<volumes::worker_rooms> rooms_ = std::make_unique<volumes::worker_rooms>();
  executor* workers_ = nullptr;
  std::string folder_;

  static constexpr std::size_t at(int i) { return static_cast<std::size_t>(i); }

  /// The last sweep that reads what sweep i makes.
  static constexpr int last_reader(int i) {
    int last = i;
    [&]<int... J>(std::integer_sequence<int, J...>) {
      const auto look = [&]<int K>(std::integral_constant<int, K>) {
        for (int k = 0; k < operands<K>; ++k) {
          const auto& o = first::template nodes<K>.operands[at(k)];
          if (o.kind == graph::sweep_operand::volume && o.index == i) last = std::max(last, K);
        }
      };
      (look(std::integral_constant<int, J>{}), ...);
    }(std::make_integer_sequence<int, count>{});
    return last;
  }

  /// Extents through the sweeps: of what each reads and makes, and its tiles.
  struct chain {
    std::array<volumes::size3, static_cast<std::size_t>(count)> read{}, made{};
    std::array<std::int64_t, static_cast<std::size_t>(count)> tiles{};
  };
  /// Along one axis, from the inputs' extents; where it does not fit, the sweep, else `count`.
  static constexpr int follow(chain& c, const std::array<volumes::size3, inputs>& in, int axis) {
    int bad = count;
    [&]<int... J>(std::integer_sequence<int, J...>) {
      (void)((follow_sweep<J>(c, in, axis) || (bad = J, false)) && ...);
    }(std::make_integer_sequence<int, count>{});
    return bad;
  }
  template <int J>
  static constexpr bool follow_sweep(chain& c, const std::array<volumes::size3, inputs>& in, int axis) {
    std::int64_t extent = -1;
    for (int i = 0; i < operands<J>; ++i) {
      if (!spans<J>(i)) continue;
      const auto& o = first::template nodes<J>.operands[at(i)];
      const std::int64_t own = o.kind == graph::sweep_operand::volume ? c.made[at(o.index)][axis] : in[position(o.index)][axis];
      if (extent >= 0 && extent != own) return false;
      extent = own;
    }
    const volumes::tile_axis& t = stage<J>::axis[axis];
    if (!t.fits(extent)) return false;
    c.read[J][axis] = extent, c.made[J][axis] = t.whole_result(extent);
    c.tiles[J] = (axis == 0 ? 1 : c.tiles[J]) * volumes::count_tiles(t, extent);
    return true;
  }
  /// Where among `Inputs` an input of the graph stands.
  static constexpr std::size_t position(int slot) {
    std::size_t i = 0, found = 0;
    ((std::remove_const_t<decltype(Inputs)>::name.view() == first::graph.inputs[slot].name.view() ? found = i : 0, ++i), ...);
    return found;
  }
  static chain extents_for(const std::array<volumes::size3, inputs>& in) {
    chain c;
    for (int a = 0; a < 3; ++a) {
      const int bad = follow(c, in, a);
      if (bad == count) continue;
      const std::size_t shown = position(0);
      std::array<volumes::size3, inputs> more = in;
      std::int64_t next = 0;
      for (std::int64_t n = 1; n <= 1024 && next == 0 && inputs == 1; ++n) {
        chain other;
        more[0][a] = std::max<std::int64_t>(in[0][a], 0) + n;
        if (follow(other, more, a) == count) next = more[0][a];
      }
      fail("volume: expected a " + std::string(volumes::axis_name[a]) + " that fits all sweeps" +
           (next > 0 ? " (the next one is " + std::to_string(next) + ")" : std::string()) + ", found " + std::to_string(in[shown][a]) +
           ", which sweep " + std::to_string(bad + 1) + " of " + std::to_string(count) + " does not take");
    }
    return c;
  }
  static chain extents_for(const volumes::size3& volume) {
    std::array<volumes::size3, inputs> in;
    in.fill(volume);
    return extents_for(in);
  }

  /// Extents of the inputs that are volumes. Throws shape_error for other samples or channels.
  template <class... Source>
  static std::array<volumes::size3, inputs> extents_of(const Source&... source) {
    std::array<volumes::size3, inputs> all{};
    std::size_t i = 0;
    const auto look = [&]<class Input>(Input, const auto& s) {
      if constexpr (volumes::is_volume(Input::shape())) {
        const auto& v = volumes::tensor_of(s);
        v.check(Input::shape()[0], Input::shape()[1]);
        all[i] = v.extents();
      }
      ++i;
    };
    (look(std::remove_const_t<decltype(Inputs)>{}, source), ...);
    return all;
  }

  template <class... Source>
  auto whole(const Source&... source) {
    constexpr extents shape = first::graph.shape(first::graph.outputs[0]);
    const chain c = extents_for(extents_of(source...));
    std::array<std::size_t, static_cast<std::size_t>(shape.rank)> e{};
    for (int a = 0; a < shape.rank; ++a) e[at(a)] = static_cast<std::size_t>(shape[a]);
    if constexpr (gives_volume) {
      for (int a = 0; a < 3; ++a) e[at(2 + a)] = static_cast<std::size_t>(c.made[at(count - 1)][a]);
      xt::xtensor<T, 5> result = xt::xtensor<T, 5>::from_shape(e);
      const std::int64_t plane = c.made[at(count - 1)].h * c.made[at(count - 1)].w, depth = c.made[at(count - 1)].d;
      run(volumes::scores([&](const volumes::slab<T>& s) {
            for (std::int64_t k = 0; k < shape[0] * shape[1]; ++k)
              std::copy_n(s.data + k * s.shape[2] * plane, s.shape[2] * plane, result.data() + (k * depth + s.begin) * plane);
          }),
          source...);
      return result;
    } else {
      auto result = xt::xtensor<T, static_cast<std::size_t>(shape.rank)>::from_shape(e);
      run(volumes::options{}, result.data(), source...);
      return result;
    }
  }

  /// What there is between the sweeps of a run.
  struct between {
    std::vector<volumes::mapping> spare;  // of volumes that all sweeps have read
    chain extents;
    std::array<std::optional<volumes::store<T>>, static_cast<std::size_t>(count)> volumes;
    std::array<std::vector<T>, static_cast<std::size_t>(first::pass.statistic_count) + 1> statistics;
    double all = 0, done = 0;  // of sweep_facts::cost
    std::int64_t tiles = 0, tiles_done = 0;
    std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  };

  template <class Target, class Sources>
  bool run_sweeps(const volumes::options& o, const Target& target, const Sources& sources) {
    if (o.first_slab != 0 || o.slab_count != volumes::options{}.slab_count)
      fail("sweeps: expected all slabs, found some of them chosen: first_slab " + std::to_string(o.first_slab) + ", slab_count " +
           std::to_string(o.slab_count));
    if (o.fit != volumes::fit::exact) fail("sweeps: expected fit::exact, found a rule that pads, which would change the statistics");
    if constexpr (gives_volume) (void)Target::channels(first::graph.shape(first::graph.outputs[0])[1]);
    between b;
    b.extents = extents_for(std::apply([](const auto&... s) { return extents_of(s...); }, sources));
    for (int j = 0; j < count; ++j) {
      b.all += table[at(j)].cost() * static_cast<double>(b.extents.tiles[at(j)]);
      b.tiles += b.extents.tiles[at(j)];
    }
    const bool finished = [&]<int... J>(std::integer_sequence<int, J...>) {
      return (sweep<J>(b, o, target, sources) && ...);
    }(std::make_integer_sequence<int, count>{});
    if constexpr (!gives_volume)
      if (finished) finish(b, target, sources);
    return finished;
  }

  template <int J, class Target, class Sources>
  bool sweep(between& b, const volumes::options& o, const Target& target, const Sources& sources) {
    volumes::options mine;
    if (o.progress)
      mine.progress = [&](const volumes::progress& p) {
        const double done = b.done + table[J].cost() * static_cast<double>(p.done);
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - b.begun).count();
        return o.progress({b.tiles_done + p.done, b.tiles, seconds / done * (b.all - done)});
      };
    stage<J> tiles(typename stage<J>::weights_type(weights_), *rooms_);
    if (workers_ != nullptr) tiles.use(*workers_);
    const auto run = [&](const auto& sink) {
      return [&]<int... I>(std::integer_sequence<int, I...>) {
        return tiles.run(mine, sink, operand<J, I>(b, sources)...);
      }(std::make_integer_sequence<int, operands<J>>{});
    };
    constexpr bool is_result = first::pass.sweeps[J].is_result;
    if constexpr (is_result) {
      if (!run(target)) return false;
    } else {
      volumes::channel_moments<T> moments(table[J].channels, b.extents.made[J]);
      if constexpr (table[J].is_stored) {
        auto& made = b.volumes[J].emplace(store_for(b, table[J].channels, b.extents.made[J]));
        if (!run(made.sink())) return false;
        statistics_of<J>(b, made.moments());
      } else {
        if (!run(volumes::scores([&](const volumes::slab<T>& s) { moments.expect(s.begin, s.shape), moments.take(s, s.shape[2]); }))) return false;
        statistics_of<J>(b, moments);
      }
    }
    b.done += table[J].cost() * static_cast<double>(b.extents.tiles[J]);
    b.tiles_done += b.extents.tiles[J];
    for (int i = 0; i < J; ++i)
      if (last_reader(i) == J && b.volumes[at(i)]) {
        b.spare.push_back(std::move(*b.volumes[at(i)]).release());
        b.volumes[at(i)].reset();
      }
    return true;
  }
  /// In the bytes of one that is no longer needed, so that the system need not find new ones; else those go back to it.
  volumes::store<T> store_for(between& b, std::int64_t channels, const volumes::size3& extent) const {
    const std::size_t bytes = volumes::store<T>::bytes_for(channels, extent);
    std::size_t best = b.spare.size();
    for (std::size_t i = 0; i < b.spare.size(); ++i)
      if (b.spare[i].bytes() >= bytes && (best == b.spare.size() || b.spare[i].bytes() < b.spare[best].bytes())) best = i;
    if (best == b.spare.size()) {
      b.spare.clear();
      return {channels, extent, folder_};
    }
    volumes::mapping memory = std::move(b.spare[best]);
    b.spare.erase(b.spare.begin() + static_cast<std::ptrdiff_t>(best));
    return {channels, extent, std::move(memory)};
  }
  /// The statistics of what sweep J has made.
  template <int J>
  static void statistics_of(between& b, const volumes::channel_moments<T>& moments) {
    for (int k = 0; k < first::pass.statistic_count; ++k) {
      const graph::statistic_info& s = first::pass.statistics[at(k)];
      if (s.volume == first::target(J)) b.statistics[at(k)] = volumes::statistic_of(s, first::graph.shape(s.node).size(), moments);
    }
  }
  /// Operand I of sweep J: a source of tiles, or a tensor.
  template <int J, int I, class Sources>
  static decltype(auto) operand(const between& b, const Sources& sources) {
    constexpr graph::sweep_operand o = first::template operand<J, I>;
    if constexpr (o.kind == graph::sweep_operand::volume)
      return b.volumes[at(o.index)]->source(first::graph.shape(o.node)[0]);
    else if constexpr (o.kind == graph::sweep_operand::statistic)
      return (b.statistics[at(o.index)]);
    else
      return std::get<position(o.index)>(sources);
  }
  /// What is made of the statistics alone.
  template <class Sources>
  void finish(const between& b, T* result, const Sources& sources) const {
    using last = program<output_list<sweep_node<typename plan::first, count, first::graph.shape(first::graph.outputs[0])>>{}, T>;
    last p{typename last::weights_type(weights_)};
    if (workers_ != nullptr) p.use(*workers_);
    const T* in[operands<count> + 1]{};
    [&]<int... I>(std::integer_sequence<int, I...>) {
      ((in[I] = runtime::accept<T>(volumes::tensor_of(operand<count, I>(b, sources)),
                                   first::graph.shape(first::template operand<count, I>.node), "input",
                                   first::name(first::template operand<count, I>).view(), p.input_data(I))),
       ...);
    }(std::make_integer_sequence<int, operands<count>>{});
    T* out[]{result};
    p.run(in, out);
  }
};

/// Of a network that is refused: says why, once.
template <class T, class Net, auto... Inputs>
class basic_swept : public volumes::refused_runs<typename volumes::sweep_plan<Net, std::remove_const_t<decltype(Inputs)>...>::failure> {
 public:
  using volumes::refused_runs<typename volumes::sweep_plan<Net, std::remove_const_t<decltype(Inputs)>...>::failure>::refused_runs;
};

/// Sweeps in float.
template <class Net, auto... Inputs>
using swept = basic_swept<float, Net, Inputs...>;

}  // namespace VOLUTE_ISA
}  // namespace volute
