// Volumes of another size: to given extents or by any factors, larger or smaller, in four modes, as torch.nn.functional.interpolate.
#pragma once

#include <volute/language/volume.hpp>

namespace volute {

/// How a voxel of the result is made of those around its place.
enum class resize_mode : std::int8_t { nearest_corner, nearest_centre, linear, cubic_convolution };

namespace option {

/// Each voxel is that whose cell holds its centre; `nearest` takes that which holds its corner, as PyTorch first did.
struct nearest_exact {};
/// Cubic convolution along each axis, a = -0.75. (Keys 1981; torch bicubic)
struct cubic {};

template <class O>
inline constexpr bool has_mode = false;
template <>
inline constexpr bool has_mode<nearest> = true;
template <>
inline constexpr bool has_mode<nearest_exact> = true;
template <>
inline constexpr bool has_mode<trilinear> = true;
template <>
inline constexpr bool has_mode<cubic> = true;
template <class O>
constexpr resize_mode mode_of() {
  return std::is_same_v<O, nearest>         ? resize_mode::nearest_corner
         : std::is_same_v<O, nearest_exact> ? resize_mode::nearest_centre
         : std::is_same_v<O, trilinear>     ? resize_mode::linear
                                            : resize_mode::cubic_convolution;
}

/// Where a resize goes along an axis: the extent, and the step between the places of neighbours in the source.
struct resize_axis {
  std::int64_t extent = 1;
  double step = 1;
};
template <class To>
struct resize_to;
template <std::int64_t... V>
struct resize_to<output_size<V...>> {
  static constexpr ops::inferred check() { return ops::check_counts(line("interpolate"), {output_size<V...>::value}); }
  static constexpr resize_axis along(int axis, std::int64_t n) {
    const std::int64_t m = output_size<V...>::value[axis];
    return {m, m > 0 ? static_cast<double>(n) / static_cast<double>(m) : 0};
  }
};
template <std::int64_t... V>
struct resize_to<scale_factor<V...>> {
  static constexpr ops::inferred check() { return ops::check_counts(line("interpolate"), {scale_factor<V...>::value}); }
  static constexpr resize_axis along(int axis, std::int64_t n) {
    const std::int64_t s = scale_factor<V...>::value[axis];
    return {s > 0 ? bounded_product(n, s) : s, s > 0 ? 1 / static_cast<double>(s) : 0};
  }
};
template <double... V>
struct resize_to<scale_by<V...>> {
  static constexpr ops::inferred check() {
    if (sizeof...(V) != 1 && sizeof...(V) != 3)
      return ops::refuse(line("interpolate wants 1 or 3 numbers"), line("got ") << static_cast<int>(sizeof...(V)));
    return {};
  }
  static constexpr resize_axis along(int axis, std::int64_t n) {
    const double v[]{V...}, s = v[sizeof...(V) == 3 ? axis : 0], m = static_cast<double>(n) * s;
    return {s > 0 && m < 1e15 ? static_cast<std::int64_t>(m) : s > 0 ? ops::most_elements + 1 : 0, s > 0 ? 1 / s : 0};
  }
};

}  // namespace option
/// The modes as values, beside `nearest` and `trilinear`.
inline constexpr option::nearest_exact nearest_exact{};
inline constexpr option::cubic cubic{};

namespace function {

/// Weights (M, N) of N voxels in each of M: what row o holds of voxel i.
template <resize_mode Mode, bool AlignCorners, std::int64_t N, std::int64_t M, double Step>
constexpr auto resize_weights() {
  const auto i = arange<N>;
  const auto o = reshape(arange<M>, shape<M, 1>);
  constexpr double last = static_cast<double>(N - 1);
  if constexpr (Mode == resize_mode::nearest_corner || Mode == resize_mode::nearest_centre) {
    constexpr bool centre = Mode == resize_mode::nearest_centre;
    if constexpr (Step * static_cast<double>(M) == static_cast<double>(N)) {  // in whole numbers: exact in float below 2^24
      const auto place = (o * constant < centre ? 2 : 1 > +constant < centre ? 1 : 0 >) * constant<N>;
      constexpr std::int64_t cell = centre ? 2 * M : M;
      return (i * constant<cell> <= place) * (place < (i + 1_c) * constant<cell>);
    } else {  // a factor's place that should be a whole number is not to fall below it
      const auto place = minimum(o * constant<Step> + constant<(centre ? 0.5 * Step : 0) + 1e-5>, constant<last + 0.5>);
      return (i <= place) * (place < i + 1_c);
    }
  } else {
    constexpr double corner = M > 1 ? last / static_cast<double>(M - 1) : 0;
    const auto place = [&] {
      if constexpr (AlignCorners)
        return o * constant<corner>;
      else
        return o * constant<Step> + constant<0.5 * Step - 0.5>;
    }();
    if constexpr (Mode == resize_mode::linear) {  // before the first centre and behind the last the border repeats
      return maximum(0_c, 1_c - abs(minimum(maximum(place, 0_c), constant<last>) - i));
    } else {
      const auto keys = [](auto distance) {
        const auto d = abs(distance);
        return select(d <= 1_c, (1.25_c * d - 2.25_c) * square(d) + 1_c,
                      select(d < 2_c, ((constant<-0.75> * d + 3.75_c) * d - 6_c) * d + 3_c, 0_c));
      };
      const auto before = keys(place + 1_c) + keys(place + 2_c);
      const auto behind = keys(place - constant<last + 1>) + keys(place - constant<last + 2>);
      return keys(place - i) + equal(i, 0_c) * before + equal(i, constant<last>) * behind;
    }
  }
}

/// One axis after the other, each as a product with a constant matrix, whose gradient is the product with its transpose; whole factors
/// of nearest voxels as copies.
template <resize_mode Mode, bool AlignCorners, class To>
struct interpolate {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr ops::inferred r = check(X::shape());
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      return along<4>(along<3>(along<2>(x)));
    }
  }

 private:
  static constexpr bool copies = Mode == resize_mode::nearest_corner || Mode == resize_mode::nearest_centre;
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line("interpolate wants rank 5"), line("got ") << x);
    if (const ops::inferred r = option::resize_to<To>::check(); !r.ok()) return r;
    if (copies && AlignCorners) return ops::refuse(line("align_corners: linear or cubic"), line("got nearest"));
    if (x[2] * x[3] * x[4] == 0) return ops::refuse(line("interpolate wants voxels"), line("got ") << x);
    extents r = x;
    for (int a = 0; a < 3; ++a) r[2 + a] = option::resize_to<To>::along(a, x[2 + a]).extent;
    for (int a = 2; a < 5; ++a)
      if (r[a] < 1) return ops::refuse(line("interpolate wants extents >= 1"), line("got ") << r << " from " << x);
    return ops::check_size(r);
  }
  template <int Axis, class V>
  static constexpr auto along(V v) {
    constexpr extents e = V::shape();
    constexpr std::int64_t n = e[Axis];
    constexpr option::resize_axis to = [] {
      option::resize_axis r = option::resize_to<To>::along(Axis - 2, n);
      if (Mode == resize_mode::linear && r.extent == n) r.step = 1;
      return r;
    }();
    constexpr std::int64_t m = to.extent, after = e.stride(Axis), before = e.size() / (n * after);
    if constexpr (n == m && to.step == 1) {
      return v;
    } else if constexpr (copies && m % n == 0 && to.step * static_cast<double>(m) == static_cast<double>(n)) {
      constexpr ops::triple s{Axis == 2 ? m / n : 1, Axis == 3 ? m / n : 1, Axis == 4 ? m / n : 1};
      return apply<ops::upsample_nearest{s}>(v);
    } else if constexpr (copies && n % m == 0 && to.step * static_cast<double>(m) == static_cast<double>(n)) {
      constexpr std::int64_t k = n / m, first = Mode == resize_mode::nearest_centre ? k / 2 : 0;
      return slice(v, axis<Axis>, range<first, n, k>);
    } else {
      constexpr extents result = [&] {
        extents r = e;
        r[Axis] = m;
        return r;
      }();
      const auto weights = resize_weights<Mode, AlignCorners, n, m, to.step>();
      if constexpr (after == 1)
        return apply<ops::reshape_to{result}>(linear(reshape(v, shape<before, n>), weights));
      else
        return apply<ops::reshape_to{result}>(matmul(weights, reshape(v, shape<before, n, after>)));
    }
  }
};

}  // namespace function

/// Another size: interpolate(x, output_size<16, 32, 32>, trilinear), interpolate(x, scale_factor<1.5>, cubic, align_corners). x is
/// (N, C, D, H, W); an extent becomes the given one, or the factor times it rounded down. Modes: nearest (where none is given),
/// nearest_exact, trilinear, cubic (not antialiased); align_corners puts the first and last voxels on each other. By factors the places are
/// those of the factor itself, also where the extent is rounded; but trilinear leaves an extent that does not change as it is.
/// (torch interpolate)
template <expression X, class To, class Mode = option::nearest>
requires(option::has_mode<Mode>&& requires { option::resize_to<To>::check(); }) constexpr auto interpolate(X x, To, Mode = {}) {
  return invoke<function::interpolate<option::mode_of<Mode>(), false, To>>(x);
}
template <expression X, class To, class Mode>
requires(option::has_mode<Mode>&& requires { option::resize_to<To>::check(); }) constexpr auto interpolate(X x, To, Mode,
                                                                                                           option::align_corners) {
  return invoke<function::interpolate<option::mode_of<Mode>(), true, To>>(x);
}

}  // namespace volute
