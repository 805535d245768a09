// Options of layers as template arguments, in any order, and constexpr help for initial values.
#pragma once

#include <volute/nn/layer.hpp>

#include <initializer_list>

namespace volute::nn {

// clang-format off
/// The options as types, for the layers: nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>. See volute::option for each; `scale` is
/// the scale_factor of upsample and interpolate.
template <auto... V> using kernel = option::kernel<option::whole<V>...>;
template <auto... V> using stride = option::stride<option::whole<V>...>;
template <auto... V> using padding = option::padding<option::whole<V>...>;
template <auto... V> using dilation = option::dilation<option::whole<V>...>;
template <std::int64_t N> using groups = option::groups<N>;
template <auto... V> using output_padding = option::output_padding<option::whole<V>...>;
template <bool B> using count_include_pad = option::count_include_pad<B>;
template <std::int64_t N> using divisor = option::divisor<N>;
template <auto... V> using scale = decltype(option::factors<V...>());
template <auto... V> using output_size = option::output_size<option::whole<V>...>;
using nearest = option::nearest;
using trilinear = option::trilinear;
using nearest_exact = option::nearest_exact;
using cubic = option::cubic;
using align_corners = option::align_corners;
using same = option::same;
using same_upper = option::same_upper;
using valid = option::valid;
using causal = option::causal;
using ceil_mode = option::ceil_mode;
// clang-format on

/// Without a bias.
struct no_bias {};
/// What is added to a variance, or the floor of a sum of squares, before the root is taken.
template <auto Eps>
struct eps {
  static constexpr double value = Eps;
};
/// By how much running statistics move towards those of the batch.
template <auto Momentum>
struct momentum {
  static constexpr double value = Momentum;
};
/// Whether a normalisation multiplies by a learned weight and adds a learned bias.
template <bool On>
struct affine {
  static constexpr bool value = On;
};

}  // namespace volute::nn
namespace volute::option {
// clang-format off
template <auto Eps> inline constexpr int says<nn::eps<Eps>> = 11;
template <auto Momentum> inline constexpr int says<nn::momentum<Momentum>> = 12;
template <bool On> inline constexpr int says<nn::affine<On>> = 13;
// clang-format on
}  // namespace volute::option
namespace volute::nn {
namespace detail {

template <class T>
inline constexpr bool is_kernel = false;
template <std::int64_t... V>
inline constexpr bool is_kernel<option::kernel<V...>> = true;

/// An option that says something to `Options`.
template <class O, class Options>
concept option_of = requires(Options& o) {
  O::apply(o);
};

/// The kernel among options; 0 if there is none.
template <class... O>
constexpr ops::triple kernel_of() {
  ops::triple k{0, 0, 0};
  (
      [&] {
        if constexpr (is_kernel<O>) k = O::value;
      }(),
      ...);
  return k;
}

template <class... O>
constexpr ops::conv_options conv_options_of() {
  ops::conv_options o{};
  (
      [&] {
        if constexpr (option_of<O, ops::conv_options>) O::apply(o);
      }(),
      ...);
  o.again = option::said_again<O...>();
  return o;
}

/// Refuses the first option that a layer does not know: its place, counted from 1; 0 if it knows them all.
constexpr int unknown_option(std::initializer_list<bool> known) {
  int place = 0;
  for (bool k : known) {
    ++place;
    if (!k) return place;
  }
  return 0;
}
/// The place of the first option that a layer does not know; below 0, of one that says what one before it said.
template <class... O>
constexpr int refused_place(std::initializer_list<bool> known) {
  const int unknown = unknown_option(known);
  return unknown > 0 ? unknown : -option::said_again<O...>();
}
/// The same of a layer with these settings.
template <class... O>
constexpr int refused_setting(auto& settings) {
  return refused_place<O...>({settings.set(O{})...});
}
constexpr ops::inferred check_option(std::string_view kind, int place) {
  if (place > 0) return ops::refuse(line(kind) << " has no such option", line("got option ") << place);
  return ops::check_said_once(line(kind), -place);
}

using volute::detail::refuse;
template <text Kind, int Place>
constexpr auto refuse_option() {
  return refuse<check_option(Kind.view(), Place)>();
}

template <class Wanted, class... O>
inline constexpr bool has = (std::is_same_v<Wanted, O> || ...);

/// Square root by Newton's method; exact to the last bit or two, which is all that a bound of initial values needs.
constexpr double root(double v) {
  if (!(v > 0)) return 0;
  double r = v > 1 ? v : 1;
  for (int i = 0; i < 200; ++i) {
    const double next = 0.5 * (r + v / r);
    if (next >= r) break;
    r = next;
  }
  return r;
}

/// U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)), PyTorch's default of convolution and linear.
constexpr initializer uniform_for(std::int64_t fan_in) {
  return {initializer::uniform, fan_in > 0 ? 1 / root(static_cast<double>(fan_in)) : 0};
}

template <text Name, extents Shape, initializer Init>
inline constexpr parameter_node<Name, Shape, Init> learned{};
template <text Name, extents Shape, initializer Init>
inline constexpr state_node<Name, Shape, Init> kept{};

}  // namespace detail
}  // namespace volute::nn
