// Optimisers: hyperparameters, which may be changed between steps, and what one step does to a vector of parameters. The arithmetic is that
// of PyTorch 1.13's classes of the same names.
//
// An optimiser is a struct with
//   double lr                  the learning rate
//   blocks, names[]            how many numbers it keeps for each parameter at most, and what they are called (as in PyTorch's state)
//   uses(k)                    whether it keeps number k with these hyperparameters; all begin as zeros
//   rule<T>(step)              of step 0, 1, ...: an object with operator()(V& parameter, V gradient, V* kept) for vectors V of T
// and, if some of its numbers mean nothing,
//   check()                    which refuses them; asked before each step
#pragma once

#include <volute/core/simd.hpp>
#include <volute/runtime/error.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>

namespace volute {
inline namespace VOLUTE_ISA {

namespace training_parts {
/// The gradient with `decay` of the weight. Without decay an infinite weight stays what it is: 0 times it would be NaN.
template <class V, class T>
VOLUTE_INLINE V with_decay(V g, T decay, V p) {
  return decay == 0 ? g : simd::fma(V(decay), p, g);
}
}  // namespace training_parts

/// Stochastic gradient descent, with momentum if it is not 0.
struct sgd {
  double lr = 1e-2, momentum = 0, weight_decay = 0;
  bool nesterov = false;

  static constexpr int blocks = 1;
  static constexpr std::string_view names[]{"momentum_buffer"};
  constexpr bool uses(int) const { return momentum != 0; }
  void check() const {
    require_not_negative("sgd: momentum", momentum);
    require_not_negative("sgd: weight_decay", weight_decay);
    if (nesterov && momentum == 0) fail_number("sgd: momentum", "more than 0 with nesterov", momentum);
  }

  template <class T>
  struct step_rule {
    T lr, momentum, weight_decay;
    bool nesterov;
    template <class V>
    VOLUTE_INLINE void operator()(V& p, V g, V* s) const {
      g = training_parts::with_decay(g, weight_decay, p);
      s[0] = simd::fma(V(momentum), s[0], g);
      const V direction = nesterov ? simd::fma(V(momentum), s[0], g) : s[0];
      p = simd::fma(V(-lr), direction, p);
    }
  };
  template <class T>
  step_rule<T> rule(std::int64_t) const {
    return {static_cast<T>(lr), static_cast<T>(momentum), static_cast<T>(weight_decay), nesterov};
  }
};

namespace training_parts {
/// Weight decay of the weights themselves: the part that a step takes off. Where that is small beside the rounding of T, what it leaves is
/// rounded up as often as down, so that the mean over steps is right: `dither` runs through -1/2 ... 1/2 units of a weight's last place, by
/// van der Corput's sequence. (PyTorch multiplies by 1 - part, which is 1 in float below 3e-8.)
template <class T>
struct weight_shrinkage {
  T part, dither;
  weight_shrinkage(double each, std::int64_t step) : part(static_cast<T>(each)), dither(0) {
    constexpr double unit = static_cast<double>(std::numeric_limits<T>::epsilon());
    if (each == 0 || !(std::abs(each) < 64 * unit)) return;
    double reversed = 0, place = 0.5;
    for (std::int64_t k = step; k > 0; k /= 2, place /= 2) reversed += place * static_cast<double>(k % 2);
    dither = static_cast<T>(unit * (reversed - 0.5));
  }
  template <class V>
  VOLUTE_INLINE V operator()(V p) const {
    if (part == 0) return p;
    if (dither == 0) return simd::fma(V(-part), p, p);
    const V power = p & V(-std::numeric_limits<T>::infinity());  // sign and exponent: with dither, parts of p's last place
    return p - simd::fma(power, V(dither), V(part) * p);
  }
};
/// (PyTorch's constructors look at these numbers once; here they may change between steps.)
template <class Adam>
void check_adam(const char* b1, const char* b2, const char* e, const char* decay, const Adam& o) {
  for (const auto& [what, decay_rate] : {std::pair{b1, o.beta1}, std::pair{b2, o.beta2}})
    require_number(what, "0 or more, and less than 1", decay_rate, 0, std::nextafter(1.0, 0.0));
  require_not_negative(e, o.eps);
  require_not_negative(decay, o.weight_decay);
}
/// Weights keep their size.
struct no_shrinkage {
  template <class V>
  VOLUTE_INLINE V operator()(V p) const {
    return p;
  }
};
/// What adam and adamw share: weight decay by the gradient (`decay`) or of the weights themselves (`shrink`).
template <class T, class Shrinkage>
struct adam_rule {
  T beta1, rest1, beta2, rest2, rate, root, eps, decay;
  Shrinkage shrink;

  adam_rule(double lr, double b1, double b2, double epsilon, double l2, Shrinkage shrinks, std::int64_t step)
      : beta1(static_cast<T>(b1)),
        rest1(static_cast<T>(1 - b1)),
        beta2(static_cast<T>(b2)),
        rest2(static_cast<T>(1 - b2)),
        rate(static_cast<T>(-lr / (1 - std::pow(b1, static_cast<double>(step + 1))))),
        root(static_cast<T>(1 / std::sqrt(1 - std::pow(b2, static_cast<double>(step + 1))))),
        eps(static_cast<T>(epsilon)),
        decay(static_cast<T>(l2)),
        shrink(shrinks) {}

  template <class V>
  VOLUTE_INLINE void operator()(V& p, V g, V* s) const {
    g = with_decay(g, decay, p);
    s[0] = simd::fma(s[0], V(beta1), g * V(rest1));
    s[1] = simd::fma(s[1], V(beta2), g * g * V(rest2));
    p = simd::fma(V(rate), s[0] / simd::fma(xsimd::sqrt(s[1]), V(root), V(eps)), shrink(p));
  }
};
}  // namespace training_parts

/// Adam (Kingma and Ba, arXiv 1412.6980); weight_decay is added to the gradient.
struct adam {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;

  static constexpr int blocks = 2;
  static constexpr std::string_view names[]{"exp_avg", "exp_avg_sq"};
  constexpr bool uses(int) const { return true; }
  void check() const { training_parts::check_adam("adam: beta1", "adam: beta2", "adam: eps", "adam: weight_decay", *this); }
  template <class T>
  training_parts::adam_rule<T, training_parts::no_shrinkage> rule(std::int64_t step) const {
    return {lr, beta1, beta2, eps, weight_decay, {}, step};
  }
};

/// Adam with weight decay apart from the gradient (Loshchilov and Hutter, arXiv 1711.05101).
struct adamw {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;

  static constexpr int blocks = 2;
  static constexpr std::string_view names[]{"exp_avg", "exp_avg_sq"};
  constexpr bool uses(int) const { return true; }
  void check() const { training_parts::check_adam("adamw: beta1", "adamw: beta2", "adamw: eps", "adamw: weight_decay", *this); }
  template <class T>
  training_parts::adam_rule<T, training_parts::weight_shrinkage<T>> rule(std::int64_t step) const {
    return {lr, beta1, beta2, eps, 0, {lr * weight_decay, step}, step};
  }
};

/// RMSprop (Hinton, lecture 6e); `centered` divides by the deviation instead of the root mean square (Graves, arXiv 1308.0850).
struct rmsprop {
  double lr = 1e-2, alpha = 0.99, eps = 1e-8, momentum = 0, weight_decay = 0;
  bool centered = false;

  static constexpr int blocks = 3;
  static constexpr std::string_view names[]{"square_avg", "momentum_buffer", "grad_avg"};
  constexpr bool uses(int k) const { return k == 0 || (k == 1 ? momentum != 0 : centered); }
  void check() const {
    require_number("rmsprop: alpha", "0 to 1", alpha, 0, 1);
    require_not_negative("rmsprop: eps", eps);
    require_not_negative("rmsprop: momentum", momentum);
    require_not_negative("rmsprop: weight_decay", weight_decay);
  }

  template <class T>
  struct step_rule {
    T lr, alpha, rest, eps, momentum, weight_decay;
    bool centered;
    template <class V>
    VOLUTE_INLINE void operator()(V& p, V g, V* s) const {
      g = training_parts::with_decay(g, weight_decay, p);
      s[0] = simd::fma(s[0], V(alpha), g * g * V(rest));
      V square = s[0];
      if (centered) {
        s[2] = simd::fma(s[2], V(alpha), g * V(rest));
        square = simd::max(square - s[2] * s[2], V(T(0)));  // rounding may leave less, and PyTorch a NaN
      }
      s[1] = simd::fma(V(momentum), s[1], g / (xsimd::sqrt(square) + V(eps)));
      p = simd::fma(V(-lr), s[1], p);
    }
  };
  template <class T>
  step_rule<T> rule(std::int64_t) const {
    return {static_cast<T>(lr),
            static_cast<T>(alpha),
            static_cast<T>(1 - alpha),
            static_cast<T>(eps),
            static_cast<T>(momentum),
            static_cast<T>(weight_decay),
            centered};
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute
