// Overlapping windows whose results are averaged, for networks that look at everything, or that were trained on such windows.
#pragma once

#include <volute/volumes/refused.hpp>
#include <volute/volumes/tiled.hpp>
#include <volute/volumes/window_rule.hpp>

namespace volute {
namespace volumes {
inline namespace VOLUTE_ISA {

/// Why windows of this network are refused, or void.
template <class Net, class Input>
constexpr auto window_failure() {
  using output = decltype(invoke<Net>(Input{}));
  constexpr extents in = Input::shape();
  if constexpr (is_failed<output>) {
    return output{};
  } else if constexpr (!expression<output>) {
    return failed<text(""), text("windows: one result (1,C,D,H,W)"), text("got several")>{};
  } else if constexpr (in.rank != 5 || in[0] != 1) {
    constexpr line got = line("got ") << in;
    return failed<text(""), text("windows: an input (1,C,D,H,W)"), to_text<got>()>{};
  } else {
    constexpr extents out = output::shape();
    constexpr line wanted = line("windows: a result (1,C,") << in[2] << ',' << in[3] << ',' << in[4] << ')';
    constexpr line got = line("got ") << out;
    if constexpr (out.rank != 5 || out[0] != 1 || out[2] != in[2] || out[3] != in[3] || out[4] != in[4])
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  }
}

/// Sums of weighted results over the planes of one window's depth; planes that no later window meets are handed over and forgotten.
template <class T>
class blended_planes {
 public:
  blended_planes(std::int64_t channels, const size3& extent, bool half)
      : c_(channels),
        d_(extent.d),
        h_(extent.h),
        w_(extent.w),
        half_(half),
        sums_(size(c_ * d_ * h_ * w_)),
        weights_(size(d_ * h_ * w_)),
        row_(size(c_ * w_)) {}

  /// Adds a window's result at (0, y, x) of the planes.
  void add(const T* result, const size3& window, std::int64_t y, std::int64_t x, const std::vector<T>& weight) {
    for (std::int64_t z = 0; z < window.d; ++z)
      for (std::int64_t r = 0; r < window.h; ++r) {
        const T* const w = weight.data() + (z * window.h + r) * window.w;
        const std::int64_t at = (z * h_ + y + r) * w_ + x;
        for (std::int64_t i = 0; i < window.w; ++i) weights_[size(at + i)] += w[i];
        round(weights_.data() + at, window.w);
        for (std::int64_t c = 0; c < c_; ++c) {
          const T* const from = result + ((c * window.d + z) * window.h + r) * window.w;
          T* const to = sums_.data() + c * d_ * h_ * w_ + at;
          for (std::int64_t i = 0; i < window.w; ++i) to[i] += w[i] * from[i];
          round(to, window.w);
        }
      }
  }
  /// The averages of rows [y, y + rows) of a plane, columns [x, x + columns), to a sink's planes: (channels, planes, rows, columns).
  template <class Sink, class U>
  void store(const Sink& sink, std::int64_t plane, const box& kept, U* to, std::int64_t to_stride) {
    for (std::int64_t y = 0; y < kept.extent.h; ++y) {
      const std::int64_t at = (plane * h_ + kept.begin.h + y) * w_ + kept.begin.w;
      for (std::int64_t c = 0; c < c_; ++c) {
        for (std::int64_t i = 0; i < kept.extent.w; ++i)
          row_[size(c * w_ + i)] = sums_[size(c * d_ * h_ * w_ + at + i)] / weights_[size(at + i)];
        round(row_.data() + c * w_, kept.extent.w);
      }
      sink.store(result_row<T, U>{row_.data(), w_, c_, kept.extent.w, to + y * kept.extent.w, to_stride});
    }
  }
  /// Plane `planes` becomes the first one; behind the last there are zeros.
  void advance(std::int64_t planes) {
    const std::int64_t moved = planes * h_ * w_, all = d_ * h_ * w_;
    for (std::int64_t c = 0; c <= c_; ++c) {
      T* const p = c < c_ ? sums_.data() + c * all : weights_.data();
      std::copy(p + moved, p + all, p);
      std::fill(p + all - moved, p + all, T(0));
    }
  }

 private:
  std::int64_t c_, d_, h_, w_;
  bool half_;
  std::vector<T> sums_, weights_, row_;
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
  void round(T* p, std::int64_t n) const {
    for (std::int64_t i = 0; half_ && i < n; ++i) p[i] = static_cast<T>(nearest_half(static_cast<double>(p[i])));
  }
};

/// A dense (channels, extent) volume mirrored along an axis, in place.
template <class T>
void mirror(T* p, std::int64_t channels, const size3& e, int axis) {
  const std::int64_t inner = axis == 0 ? e.h * e.w : axis == 1 ? e.w : 1, n = e[axis], outer = channels * e.voxels() / (inner * n);
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < n / 2; ++i)
      std::swap_ranges(p + (o * n + i) * inner, p + (o * n + i + 1) * inner, p + (o * n + n - 1 - i) * inner);
}

}  // namespace VOLUTE_ISA
}  // namespace volumes

inline namespace VOLUTE_ISA {

/// `windowed<net, input<"x", 1, 1, 96, 96, 96>> w; y = w(volume, volumes::monai(0.5, volumes::blend::gaussian));` averages the results of
/// overlapping windows. The network keeps the window's extents. Sources, sinks, workers and progress are those of tiled. Alive are the sums
/// of as many planes as a window has; the result does not depend on the number of workers.
template <class T, class Net, auto Input>
class basic_windowed;

template <class T, class Net, auto Input>
requires(std::is_void_v<decltype(volumes::window_failure<Net, std::remove_const_t<decltype(Input)>>())>) class basic_windowed<T, Net, Input>
    : public runtime::parameter_members<basic_windowed<T, Net, Input>>, public runtime::file_members<basic_windowed<T, Net, Input>> {
  using output = decltype(invoke<Net>(std::remove_const_t<decltype(Input)>{}));

 public:
  using value_type = T;
  using program_type = program<output_list<output>{}, T>;
  using facts = typename program_type::facts;
  using weights_type = typename program_type::weights_type;
  static constexpr bool is_refused = false;
  /// The extents of a window.
  static constexpr volumes::size3 window{Input.shape()[2], Input.shape()[3], Input.shape()[4]};

  basic_windowed() : basic_windowed(weights_type()) {}
  /// On weights that others may use too.
  explicit basic_windowed(weights_type w) : crew_(std::move(w)) {}

  /// The weights, for models, trainers and other sizes on the same ones.
  weights_type& weights() noexcept { return crew_.program().weights(); }
  const weights_type& weights() const noexcept { return crew_.program().weights(); }
  /// Initial values of all parameters, from a seed.
  void initialize(std::uint64_t seed) { weights().initialize(seed); }
  /// Later runs predict windows side by side on the workers of `e`, which must outlive it or its next use().
  void use(executor& e) { crew_.use(e); }

  /// As tiled::run, by a rule for windows; progress counts windows. Throws shape_error for an empty volume, where a border cannot be
  /// mirrored, for steps or a sigma that leave voxels out, and for a choice of slabs: sums go on from one to the next.
  template <class Sink, class Source>
  bool run(const volumes::window_rule& rule, const volumes::options& o, const Sink& sink, const Source& source) {
    if (o.first_slab != 0 || o.slab_count != volumes::options{}.slab_count)
      fail("windows: expected all slabs, found some of them chosen: first_slab " + std::to_string(o.first_slab) + ", slab_count " +
           std::to_string(o.slab_count));
    (void)Sink::channels(channels_out);
    source.check(1, channels_in);
    const plan p(rule, source.extents());
    return p.run(*this, o, sink, source);
  }
  template <class Sink, class Source>
  bool run(const volumes::window_rule& rule, const Sink& sink, const Source& source) {
    return run(rule, volumes::options{}, sink, source);
  }
  /// The whole result of a tensor (1, C, D, H, W).
  template <runtime::shaped V>
  xt::xtensor<T, 5> operator()(const V& v, const volumes::window_rule& rule) {
    const auto source = volumes::memory(v);
    const volumes::size3 e = source.extents();
    xt::xtensor<T, 5> result = xt::xtensor<T, 5>::from_shape({1, size(channels_out), size(e.d), size(e.h), size(e.w)});
    run(rule, volumes::scores([&](const volumes::slab<T>& s) {
          const std::int64_t part = s.shape[2] * e.h * e.w;
          for (std::int64_t c = 0; c < channels_out; ++c)
            std::copy_n(s.data + c * part, part, result.data() + (c * e.d + s.begin) * e.h * e.w);
        }),
        source);
    return result;
  }

 private:
  using crew = volumes::crew<program_type>;
  crew crew_;
  static constexpr std::int64_t channels_in = Input.shape()[1], channels_out = output::shape()[1];
  static constexpr std::int64_t result_size = output::shape().size();
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

  /// One run: where windows lie, and what their voxels weigh.
  struct plan {
    const volumes::window_rule& rule;
    volumes::size3 volume, padded;
    std::vector<std::int64_t> starts[3], positions[3];  // positions: where the volume is smaller than a window
    std::vector<T> weight;

    plan(const volumes::window_rule& r, const volumes::size3& e) : rule(r), volume(e), padded(e) {
      volumes::check_rule(r);
      std::vector<double> w[3];
      for (int a = 0; a < 3; ++a) {
        if (e[a] < 1) fail("volume: expected voxels, found an extent of " + std::to_string(e[a]));
        padded[a] = std::max(e[a], window[a]);
        if (e[a] < window[a]) positions[a] = volumes::padded_positions(r, e[a], window[a]);
        starts[a] = volumes::window_starts(r, a, padded[a], window[a]);
        w[a] = volumes::window_weights(r, window[a]);
      }
      weight = volumes::window_voxel_weights<T>(r, w);
    }

    std::int64_t before(int a) const { return (padded[a] - volume[a]) / 2; }

    /// A window's voxels to `to`; `spare` holds them while they are spread out.
    template <class Source>
    void fill(const Source& source, const volumes::size3& origin, T* to, std::vector<T>& spare) const {
      volumes::box b{origin, window};
      bool pads = false;
      for (int a = 0; a < 3; ++a)
        if (!positions[a].empty()) b.begin[a] = 0, b.extent[a] = volume[a], pads = true;
      if (!pads) return source.fill(b, channels_in, to);
      spare.resize(size(channels_in * b.extent.voxels()));
      source.fill(b, channels_in, spare.data());
      const auto at = [&](int a, std::int64_t i) { return positions[a].empty() ? i : positions[a][size(i)]; };
      for (std::int64_t c = 0; c < channels_in; ++c)
        for (std::int64_t z = 0; z < window.d; ++z)
          for (std::int64_t y = 0; y < window.h; ++y)
            for (std::int64_t x = 0; x < window.w; ++x) {
              const std::int64_t zs = at(0, z), ys = at(1, y), xs = at(2, x);
              *to++ = zs < 0 || ys < 0 || xs < 0 ? static_cast<T>(rule.value)
                                                 : spare[size(((c * b.extent.d + zs) * b.extent.h + ys) * b.extent.w + xs)];
            }
    }

    /// The prediction for what lies in the worker's input, and for it mirrored: their mean.
    void predict(crew& workers, int worker, T* to) const {
      T* const in = workers.input(worker, 0);
      T* const result = workers.result(worker);
      workers.run(worker);
      std::copy_n(result, result_size, to);
      int done = 1, mirrored = 0;
      for (int code = 1; code < 8; ++code) {  // Gray code: each combination differs from the one before in one axis
        const int next = code ^ (code >> 1), changed = next ^ mirrored;
        volumes::mirror(in, channels_in, window, changed == 1 ? 0 : changed == 2 ? 1 : 2);
        mirrored = next;
        bool wanted = true;
        for (int a = 0; a < 3; ++a) wanted = wanted && ((mirrored >> a & 1) == 0 || rule.mirror[size(a)]);
        if (!wanted) continue;
        workers.run(worker);
        for (int a = 0; a < 3; ++a)
          if ((mirrored >> a & 1) != 0) volumes::mirror(result, channels_out, window, a);
        for (std::int64_t i = 0; i < result_size; ++i) to[i] += result[i];
        ++done;
      }
      if (done > 1)
        for (std::int64_t i = 0; i < result_size; ++i) to[i] /= static_cast<T>(done);
    }

    template <class Sink, class Source>
    bool run(basic_windowed& self, const volumes::options& o, const Sink& sink, const Source& source) const {
      using element = typename Sink::template element<T>;
      crew& workers = self.crew_;
      const std::int64_t threads = workers.workers() != nullptr ? workers.workers()->threads() : 1;
      const auto columns = static_cast<std::int64_t>(starts[2].size()), count = static_cast<std::int64_t>(starts[1].size()) * columns;
      volumes::blended_planes<T> planes(channels_out, {window.d, padded.h, padded.w}, rule.half);
      std::vector<T> results(size(threads * result_size));
      std::vector<std::vector<T>> spare(size(threads));
      std::vector<element> memory;
      volumes::task_runner runner(workers.workers(), count * static_cast<std::int64_t>(starts[0].size()), o.progress);
      for (std::size_t k = 0; k < starts[0].size(); ++k) {
        const std::int64_t z = starts[0][k], end = k + 1 < starts[0].size() ? starts[0][k + 1] : padded.d;
        for (std::int64_t first = 0; first < count; first += threads) {
          const std::int64_t n = std::min(threads, count - first);
          const auto compute = [&](std::int64_t i, int worker) {
            const std::int64_t y = starts[1][size((first + i) / columns)], x = starts[2][size((first + i) % columns)];
            fill(source, {z, y, x}, workers.input(worker, 0), spare[size(worker)]);
            predict(workers, worker, results.data() + i * result_size);
          };
          if (!runner.run(n, compute)) return false;
          for (std::int64_t i = 0; i < n; ++i)  // in order: sums do not depend on who was first
            planes.add(results.data() + i * result_size, window, starts[1][size((first + i) / columns)],
                       starts[2][size((first + i) % columns)], weight);
        }
        hand_over(planes, z, end, memory, sink);
        if (end < padded.d) planes.advance(end - z);
      }
      return true;
    }

    /// Planes [z, end) of the padded volume, as far as they are the volume's.
    template <class Sink, class U>
    void hand_over(volumes::blended_planes<T>& planes, std::int64_t z, std::int64_t end, std::vector<U>& memory, const Sink& sink) const {
      const std::int64_t first = std::max(z, before(0)), last = std::min(end, before(0) + volume.d), n = last - first;
      if (n <= 0) return;
      const std::int64_t channels = Sink::channels(channels_out), plane = volume.h * volume.w;
      memory.resize(size(channels * n * plane));
      for (std::int64_t i = 0; i < n; ++i)
        planes.store(sink, first - z + i, volumes::box{{0, before(1), before(2)}, volume}, memory.data() + i * plane, n * plane);
      sink.function(volumes::slab<U>{first - before(0), make_extents(1, channels, n, volume.h, volume.w), memory.data()});
    }
  };
};

/// Of a network that is refused: says why, once.
template <class T, class Net, auto Input>
class basic_windowed : public volumes::refused_runs<decltype(volumes::window_failure<Net, std::remove_const_t<decltype(Input)>>())> {
 public:
  using volumes::refused_runs<decltype(volumes::window_failure<Net, std::remove_const_t<decltype(Input)>>())>::refused_runs;
};

/// Windows in float.
template <class Net, auto Input>
using windowed = basic_windowed<float, Net, Input>;

}  // namespace VOLUTE_ISA
}  // namespace volute
