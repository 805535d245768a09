// A volume at places that are a tensor: registration, spatial transformers.
#pragma once

#include <volute/language/activation.hpp>
#include <volute/language/gather.hpp>

namespace volute {

/// What can be said of grid_sample.
struct sample_options {
  enum class outside : std::int8_t { zeros, border, reflection };
  outside padding = outside::zeros;
  bool nearest_voxel = false, corners = false;
};
namespace option {
/// What lies outside of a volume: zeros; the nearest voxel; the volume, mirrored.
struct zeros_padding {
  static constexpr void apply(sample_options& o) { o.padding = sample_options::outside::zeros; }
};
struct border_padding {
  static constexpr void apply(sample_options& o) { o.padding = sample_options::outside::border; }
};
struct reflection_padding {
  static constexpr void apply(sample_options& o) { o.padding = sample_options::outside::reflection; }
};
// clang-format off
template <> inline constexpr int says<zeros_padding> = 10;
template <> inline constexpr int says<border_padding> = 10;
template <> inline constexpr int says<reflection_padding> = 10;
// clang-format on
}  // namespace option
/// The options as values.
inline constexpr option::zeros_padding zeros_padding{};
inline constexpr option::border_padding border_padding{};
inline constexpr option::reflection_padding reflection_padding{};

namespace function {

constexpr void set_option(sample_options& o, option::nearest) { o.nearest_voxel = true; }
constexpr void set_option(sample_options& o, option::trilinear) { o.nearest_voxel = false; }
constexpr void set_option(sample_options& o, option::align_corners) { o.corners = true; }
template <class O>
requires requires(sample_options& o) { O::apply(o); }
constexpr void set_option(sample_options& o, O) { O::apply(o); }

/// The place in voxels of a coordinate from -1 to 1, brought inside where the padding says so.
template <sample_options O, std::int64_t Extent>
struct sample_place {
  static constexpr auto forward(auto coordinate) {
    constexpr double n = static_cast<double>(Extent), last = n - 1;
    const auto place = [&] {
      if constexpr (O.corners)
        return (coordinate + 1_c) * constant<0.5 * last>;
      else
        return (coordinate + 1_c) * constant<0.5 * n> - 0.5_c;
    }();
    if constexpr (O.padding == sample_options::outside::zeros) {
      return place;
    } else if constexpr (O.padding == sample_options::outside::border) {
      return between(place, 0_c, constant<last>);
    } else {
      constexpr double low = O.corners ? 0 : -0.5, span = O.corners ? last : n;
      if constexpr (span == 0) {
        return place * 0_c;
      } else {
        const auto far = abs(place - constant<low>);
        const auto turns = floor(far * constant<1 / span>);
        const auto extra = far - turns * constant<span>;
        const auto odd = turns - floor(turns * 0.5_c) * 2_c;
        return between(select(odd, constant<span> - extra, extra) + constant<low>, 0_c, constant<last>);
      }
    }
  }
};
/// The nearest whole number, the even one of two.
struct nearest_whole {
  static constexpr auto forward(auto a) {
    const auto up = floor(a + 0.5_c);
    const auto tie = equal(up - a, 0.5_c) * (up - floor(up * 0.5_c) * 2_c);
    return up - tie;
  }
};

template <sample_options O>
struct grid_sample {
  template <expression X, expression G>
  static constexpr auto forward(X x, G grid) {
    constexpr extents e = X::shape(), g = G::shape();
    constexpr ops::inferred r = check(e, g);
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr std::int64_t n = e[0], places = g[1] * g[2] * g[3];
      const auto volume = reshape(x, shape<n, e[1], e[2] * e[3] * e[4]>);
      const auto along = [&]<int Axis>(std::integral_constant<int, Axis>) {  // the grid's last axis counts from the last one
        return invoke<sample_place<O, e[2 + Axis]>>(reshape(slice(grid, axis<4>, range<2 - Axis, 3 - Axis>), shape<n, places>));
      };
      const auto d = along(std::integral_constant<int, 0>{});
      const auto h = along(std::integral_constant<int, 1>{});
      const auto w = along(std::integral_constant<int, 2>{});
      if constexpr (O.nearest_voxel) {
        return reshape(voxels<e>(volume, invoke<nearest_whole>(d), invoke<nearest_whole>(h), invoke<nearest_whole>(w)),
                       shape<n, e[1], g[1], g[2], g[3]>);
      } else {
        const auto row = [&](auto a, auto b) { return line_of<e>(volume, a, b, w); };
        const auto plane = [&](auto a) { return mixed(h, row(a, floor(h)), row(a, floor(h) + 1_c)); };
        return reshape(mixed(d, plane(floor(d)), plane(floor(d) + 1_c)), shape<n, e[1], g[1], g[2], g[3]>);
      }
    }
  }

 private:
  static constexpr ops::inferred check(const extents& x, const extents& g) {
    if (x.rank != 5) return ops::refuse(line("grid_sample wants rank 5"), line("got ") << x);
    if (g.rank != 5 || g[0] != x[0] || g[4] != 3)
      return ops::refuse(line("grid_sample: a grid (") << x[0] << ",D,H,W,3)", line("got ") << g);
    if (x[2] * x[3] * x[4] == 0) return ops::refuse(line("grid_sample wants voxels"), line("got ") << x);
    if (x[2] * x[3] * x[4] > 1 << 24)
      return ops::refuse(line("grid_sample: at most 2^24 voxels"), line("got ") << x);  // as a float's number
    return {};
  }
  /// a before and b behind a place, by its fraction.
  static constexpr auto mixed(auto place, auto a, auto b) {
    constexpr extents p = decltype(place)::shape();
    const auto part = reshape(place - floor(place), shape<p[0], 1, p[1]>);
    return a * (1_c - part) + b * part;
  }
  template <extents E>
  static constexpr auto line_of(auto volume, auto d, auto h, auto place) {
    return mixed(place, voxels<E>(volume, d, h, floor(place)), voxels<E>(volume, d, h, floor(place) + 1_c));
  }
  /// The voxels at whole places; 0 outside.
  template <extents E>
  static constexpr auto voxels(auto volume, auto d, auto h, auto w) {
    const auto inside = [](auto a, auto extent) { return (0_c <= a) * (a < extent); };
    const auto all = inside(d, constant<E[2]>) * inside(h, constant<E[3]>) * inside(w, constant<E[4]>);
    return apply<ops::take_by_sample{}>(volume, stop_gradient(select(all, (d * constant<E[3]> + h) * constant<E[4]> + w, constant<-1>)));
  }
};

/// Refuses an option that says what one before it said.
template <int Place>
struct sampled_again {
  static constexpr auto forward(auto...) {
    return option::refuse_said_again<"grid_sample", Place>();
  }
};

}  // namespace function

/// x (N, C, D, H, W) at the places of a grid (N, D', H', W', 3), whose last axis holds coordinates along W, H and D: -1 and 1 are the ends
/// of the volume, or with align_corners the centres of its first and last voxels. -> (N, C, D', H', W'). Options: trilinear (the default)
/// or nearest; zeros_padding (the default), border_padding or reflection_padding; align_corners. Gradients to the volume and, by trilinear,
/// to the grid. (torch grid_sample)
template <expression X, expression G, class... O>
requires(!expression<O> && ...) constexpr auto grid_sample(X x, G grid, O...) {
  constexpr sample_options options = [] {
    sample_options s;
    (function::set_option(s, O{}), ...);
    return s;
  }();
  constexpr int again = option::said_again<O...>();
  if constexpr (again > 0) {
    return invoke<function::sampled_again<again>>(x, grid);
  } else {
    return invoke<function::grid_sample<options>>(x, grid);
  }
}

}  // namespace volute
