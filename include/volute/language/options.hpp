// Options as types: `padding<1>`, `stride<1, 2, 2>`, `groups<4>`. The functions take them as values (volute::padding<1>), the layers as
// template arguments (nn::padding<1>); both are the types of this header.
#pragma once

#include <volute/language/failure.hpp>
#include <volute/ops/volume_functions.hpp>

namespace volute {
namespace option {

/// A number that an option was given, as it stands in the option's type: whole numbers as they are, others in thousandths below
/// `fraction_base`.
inline constexpr std::int64_t fraction_base = -(std::int64_t{1} << 40);
template <auto V>
inline constexpr std::int64_t whole = [] {
  if constexpr (std::is_floating_point_v<decltype(V)>) {
    if (!(V > -1e6 && V < 1e6)) return fraction_base + (V < 0 ? -1'000'000'000 : 1'000'000'000);
    if (V != static_cast<decltype(V)>(static_cast<std::int64_t>(V))) return fraction_base + static_cast<std::int64_t>(V * 1000);
  }
  return static_cast<std::int64_t>(V);
}();
/// Whether an option was given a fraction: the shape rules refuse it.
constexpr bool is_fraction(std::int64_t v) { return v < fraction_base / 2; }

/// One number for all three axes, or three: depth, height, width. The shape rules refuse any other count, and fractions.
template <std::int64_t... V>
constexpr ops::triple to_triple() {
  ops::triple fraction{0, 0, 0};
  ((fraction = is_fraction(V) ? ops::triple{ops::fraction_mark, V - fraction_base, 0} : fraction), ...);
  if (fraction.d != 0) return fraction;
  if (sizeof...(V) != 1 && sizeof...(V) != 3) return ops::miscounted(sizeof...(V));
  const std::int64_t v[]{V..., 0};  // never empty
  return sizeof...(V) == 3 ? ops::triple{v[0], v[sizeof...(V) / 2], v[sizeof...(V) - 1]} : ops::triple{v[0], v[0], v[0]};
}

/// Extents of a window or of filters: one number, or three (d, h, w).
template <std::int64_t... V>
struct kernel {
  static constexpr ops::triple value = to_triple<V...>();
  static constexpr void apply(ops::pool_options& o) { o.kernel = value; }
};
/// Steps between windows, one number or three; 1 for convolutions, the kernel for pooling where it is not given.
template <std::int64_t... V>
struct stride {
  static constexpr void apply(auto& o) { o.stride = to_triple<V...>(); }
};
/// Distances between taps, one number or three; 1 where it is not given.
template <std::int64_t... V>
struct dilation {
  static constexpr void apply(auto& o) { o.dilation = to_triple<V...>(); }
};
/// One number, three (d, h, w), or six (low and high of each).
template <std::int64_t... V>
struct padding {
  static constexpr void apply(ops::conv_options& o) {
    if constexpr (sizeof...(V) == 6 && !(is_fraction(V) || ...)) {
      const std::int64_t v[]{V...};
      for (int a = 0; a < 3; ++a) o.lo[a] = v[2 * a], o.hi[a] = v[2 * a + 1];
    } else {
      o.lo = o.hi = to_triple<V...>();
    }
    o.mode = ops::border::explicit_amounts;
  }
  static constexpr void apply(ops::pool_options& o) {
    if constexpr (sizeof...(V) == 6 && !(is_fraction(V) || ...)) {
      const std::int64_t v[]{V...};
      for (int a = 0; a < 3; ++a) o.padding[a] = v[2 * a], o.high[a] = v[2 * a + 1] < 0 ? -2 : v[2 * a + 1];
    } else {
      o.padding = to_triple<V...>();
    }
  }
};
/// Output extent = input extent (stride 1 only); an odd total puts the extra element on the high side.
struct same {
  static constexpr void apply(ops::conv_options& o) { o.mode = ops::border::same; }
};
/// Output extent = ceil(input extent / stride) for any stride, the odd element on the high side. (TensorFlow's SAME, ONNX's SAME_UPPER)
struct same_upper {
  static constexpr void apply(ops::conv_options& o) { o.mode = ops::border::same_upper; }
  static constexpr void apply(ops::pool_options& o) { o.same_upper = true; }
};
/// No padding.
struct valid {
  static constexpr void apply(ops::conv_options& o) { o.lo = o.hi = {0, 0, 0}, o.mode = ops::border::explicit_amounts; }
};
/// As `same`, but in time (the first spatial axis) all padding comes before: no frame sees a later one.
struct causal {
  static constexpr void apply(ops::conv_options& o) { o.mode = ops::border::causal; }
};
/// Input and output channels in N blocks: each block of outputs reads one block of inputs. N divides both.
template <std::int64_t N>
struct groups {
  static constexpr std::int64_t value = N;
  static constexpr void apply(ops::conv_options& o) { o.groups = N; }
};
/// Elements that conv_transpose3d adds on the high side, one number or three.
template <std::int64_t... V>
struct output_padding {
  static constexpr void apply(ops::conv_options& o) { o.output_padding = to_triple<V...>(); }
};
/// A last window may reach over the end of the padded input by less than a stride. (torch ceil_mode)
struct ceil_mode {
  static constexpr void apply(ops::pool_options& o) { o.ceil_mode = true; }
};
/// Whether the divisor of avg_pool3d counts the taps on the padding; true where it is not given.
template <bool Include>
struct count_include_pad {
  static constexpr void apply(ops::pool_options& o) { o.count_include_pad = Include; }
};
/// Divides each sum of avg_pool3d, whatever the taps.
template <std::int64_t N>
struct divisor {
  static constexpr void apply(ops::pool_options& o) { o.divisor = N; }
};
/// Spatial extents of an adaptive pooling, one number or three.
template <std::int64_t... V>
struct output_size {
  static constexpr ops::triple value = to_triple<V...>();
};

/// By how much each axis grows.
template <std::int64_t... V>
struct scale_factor {
  static constexpr ops::triple value = to_triple<V...>();
};
/// The same where some factor is no whole number: for interpolate, and refused by upsample.
template <double... V>
struct scale_by {
  static constexpr ops::triple value = to_triple<whole<V>...>();
};
/// Which of the two.
template <auto... V>
constexpr auto factors() {
  if constexpr ((is_fraction(whole<V>) || ...))
    return scale_by<static_cast<double>(V)...>{};
  else
    return scale_factor<whole<V>...>{};
}
/// Each voxel is repeated.
struct nearest {};
/// Linear interpolation along each axis between the centres of voxels; or, with align_corners, such that the first and last stay.
struct trilinear {};
/// Beside trilinear: voxel o of the result stands at o (S - 1) / (s S - 1).
struct align_corners {};

/// A set or a list of axes; negative ones count from the last.
template <int... A>
struct axes {
  static constexpr ops::axis_set set(int rank) {
    ops::axis_set s = 0;
    const auto add = [&](int which) { s |= ops::axis_bit(ops::contains(s, which) ? ops::axis_twice : which); };
    (add(place(A < 0 ? A + rank : A)), ...);
    return s;
  }
  static constexpr extents list = make_extents(A...);

 private:
  static constexpr int place(int a) { return a < 0 || a >= max_rank ? max_rank : a; }  // what no tensor has, the shape rule refuses
};
/// One axis; a negative one counts from the last.
template <int A>
struct axis {
  static constexpr int index(int rank) { return A < 0 ? A + rank : A; }
};
/// Start, Start + Step, ... before Stop; negative ones of the first two count from the end. Step is at least 1.
template <std::int64_t Start, std::int64_t Stop, std::int64_t Step = 1>
struct range {};
/// Reduced axes stay, with extent 1.
struct keepdims {};

// clang-format off
/// What an option says that only one of a call's or layer's may say: its number, 0 for others. All of padding's names say the padding.
template <class O> inline constexpr int says = 0;
template <std::int64_t... V> inline constexpr int says<kernel<V...>> = 1;
template <std::int64_t... V> inline constexpr int says<stride<V...>> = 2;
template <std::int64_t... V> inline constexpr int says<dilation<V...>> = 3;
template <std::int64_t... V> inline constexpr int says<padding<V...>> = 4;
template <> inline constexpr int says<same> = 4;
template <> inline constexpr int says<same_upper> = 4;
template <> inline constexpr int says<valid> = 4;
template <> inline constexpr int says<causal> = 4;
template <std::int64_t N> inline constexpr int says<groups<N>> = 5;
template <std::int64_t... V> inline constexpr int says<output_padding<V...>> = 6;
template <bool Include> inline constexpr int says<count_include_pad<Include>> = 7;
template <std::int64_t N> inline constexpr int says<divisor<N>> = 8;
template <> inline constexpr int says<nearest> = 9;
template <> inline constexpr int says<trilinear> = 9;
// clang-format on
/// One object for each option, by whose address two of them are found to be the same.
template <class O>
inline constexpr char name_of = 0;
/// The place, counted from 1, of the first option that says otherwise what one before it said; 0 where there is none. The same again says
/// nothing new: generic code fills the place of an option that is off with one that is there anyway.
template <class... O>
constexpr int said_again() {
  const char* said[32]{};
  const char* const names[] = {&name_of<O>..., nullptr};
  int place = 0;
  for (const int what : {says<O>..., 0}) {
    const char* const name = names[place++];
    if (what == 0) continue;
    if (said[what] != nullptr && said[what] != name) return place;
    said[what] = name;
  }
  return 0;
}

/// The failure of a function of which an option is said again.
template <text Who, int Place>
constexpr auto refuse_said_again() {
  return detail::refuse<ops::check_said_once(line(Who.view()), Place)>();
}

/// Options folded into one structure; the shape rules refuse one that is said again.
template <class Options, class... O>
constexpr Options collect() {
  Options o{};
  (O::apply(o), ...);
  if constexpr (requires { o.again; }) o.again = said_again<O...>();
  return o;
}

}  // namespace option

/// The options as values, for the functions: conv3d(x, w, stride<2>, padding<1>). See volute::option for each.
template <auto... V>
inline constexpr option::kernel<option::whole<V>...> kernel{};
template <auto... V>
inline constexpr option::stride<option::whole<V>...> stride{};
template <auto... V>
inline constexpr option::dilation<option::whole<V>...> dilation{};
template <auto... V>
inline constexpr option::padding<option::whole<V>...> padding{};
template <std::int64_t N>
inline constexpr option::groups<N> groups{};
template <auto... V>
inline constexpr option::output_padding<option::whole<V>...> output_padding{};
template <auto... V>
inline constexpr option::output_size<option::whole<V>...> output_size{};
template <bool B>
inline constexpr option::count_include_pad<B> count_include_pad{};
template <std::int64_t N>
inline constexpr option::divisor<N> divisor{};
template <int... A>
inline constexpr option::axes<A...> axes{};
template <int A>
inline constexpr option::axis<A> axis{};
template <std::int64_t Start, std::int64_t Stop, std::int64_t Step = 1>
inline constexpr option::range<Start, Stop, Step> range{};
template <auto... V>
inline constexpr auto scale_factor = option::factors<V...>();
inline constexpr option::nearest nearest{};
inline constexpr option::trilinear trilinear{};
inline constexpr option::align_corners align_corners{};
inline constexpr option::same same{};
inline constexpr option::same_upper same_upper{};
inline constexpr option::valid valid{};
inline constexpr option::causal causal{};
inline constexpr option::ceil_mode ceil_mode{};
inline constexpr option::keepdims keepdims{};

}  // namespace volute
