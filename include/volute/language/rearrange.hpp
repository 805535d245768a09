// The same elements at other places.
#pragma once

#include <volute/language/volume.hpp>

namespace volute {
namespace function {

/// The modules behind the functions of these names below.
template <std::int64_t Shift, int Axis>
struct roll {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    constexpr int at = Axis < 0 ? Axis + e.rank : Axis;
    if constexpr (at < 0 || at >= e.rank) {
      constexpr line wanted = line("roll wants an axis of rank ") << e.rank, got = line("got axis ") << Axis;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      constexpr std::int64_t n = e[at], first = n > 0 ? (n - Shift % n) % n : 0;  // the element that comes to 0
      if constexpr (first == 0)
        return x;
      else
        return concat(axis<at>, slice(x, axis<at>, range<first, n>), slice(x, axis<at>, range<0, first>));
    }
  }
};
template <ops::triple S>
struct pixel_shuffle {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    constexpr ops::inferred r = check(e);
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr std::int64_t c = e[1] / (S.d * S.h * S.w);
      return reshape(transpose(reshape(x, shape<e[0], c, S.d, S.h, S.w, e[2], e[3], e[4]>), axes<0, 1, 5, 2, 6, 3, 7, 4>),
                     shape<e[0], c, e[2] * S.d, e[3] * S.h, e[4] * S.w>);
    }
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line("pixel_shuffle wants rank 5"), line("got ") << x);
    if (const ops::inferred r = ops::check_counts(line("pixel_shuffle"), {S}); !r.ok()) return r;
    if (any_below(S, 1)) return ops::refuse(line("pixel_shuffle: a scale >= 1"), line("got ") << S);
    if (x[1] % (S.d * S.h * S.w) != 0)
      return ops::refuse(line("pixel_shuffle: channels / ") << S.d * S.h * S.w, line("got ") << x[1] << " in " << x);
    return {};
  }
};
template <ops::triple S>
struct pixel_unshuffle {
  template <expression X>
  static constexpr auto forward(X x) {
    constexpr extents e = X::shape();
    constexpr ops::inferred r = check(e);
    if constexpr (!r.ok()) {
      return detail::refuse<r>();
    } else {
      constexpr std::int64_t d = e[2] / S.d, h = e[3] / S.h, w = e[4] / S.w;
      return reshape(transpose(reshape(x, shape<e[0], e[1], d, S.d, h, S.h, w, S.w>), axes<0, 1, 3, 5, 7, 2, 4, 6>),
                     shape<e[0], e[1] * S.d * S.h * S.w, d, h, w>);
    }
  }

 private:
  static constexpr ops::inferred check(const extents& x) {
    if (x.rank != 5) return ops::refuse(line("pixel_unshuffle wants rank 5"), line("got ") << x);
    if (const ops::inferred r = ops::check_counts(line("pixel_unshuffle"), {S}); !r.ok()) return r;
    if (any_below(S, 1)) return ops::refuse(line("pixel_unshuffle: a scale >= 1"), line("got ") << S);
    if (x[2] % S.d != 0 || x[3] % S.h != 0 || x[4] % S.w != 0)
      return ops::refuse(line("pixel_unshuffle: extents / ") << S, line("got ") << x);
    return {};
  }
};

}  // namespace function

/// Element i of an axis comes to i + Shift, and to the other end where that is outside: roll<2>(x, axis<-1>). (torch roll)
template <std::int64_t Shift, expression X, int A>
constexpr auto roll(X x, option::axis<A>) {
  return invoke<function::roll<Shift, A>>(x);
}
/// (N, C s^3, D, H, W) -> (N, C, D s, H s, W s): groups of channels become blocks of voxels. pixel_shuffle(x, scale_factor<1, 2, 2>) is
/// torch.nn.PixelShuffle on each plane; by all three axes it is MONAI's pixelshuffle.
template <expression X, std::int64_t... V>
constexpr auto pixel_shuffle(X x, option::scale_factor<V...> s) {
  return invoke<function::pixel_shuffle<s.value>>(x);
}
/// Its inverse.
template <expression X, std::int64_t... V>
constexpr auto pixel_unshuffle(X x, option::scale_factor<V...> s) {
  return invoke<function::pixel_unshuffle<s.value>>(x);
}

}  // namespace volute
