// The Dice loss of segmentations, with the options of MONAI's DiceLoss and nnU-Net's.
#pragma once

#include <volute/language/loss.hpp>

namespace volute {

/// What a Dice loss can be told.
struct dice_options {
  double smoothing = 1e-5, denominator_smoothing = -1;  // -1: as the numerator's; -2: refused
  bool background = true, over_batch = false, squared = false, jaccard = false;
  bool ignores = false;
  std::int64_t ignored = 0;
  int again = 0;  // the place of an option that says what one before it said
};
namespace option {
/// Class 0, or channel 0, has no part in the mean. (MONAI include_background=False, nnU-Net do_bg=False)
struct without_background {
  static constexpr void apply(dice_options& o) { o.background = false; }
};
/// Sums over the batch too, and the mean over classes. (batch=True, batch_dice=True)
struct over_batch {
  static constexpr void apply(dice_options& o) { o.over_batch = true; }
};
/// Sums of squares in the denominator. (squared_pred=True)
struct squared_denominator {
  static constexpr void apply(dice_options& o) { o.squared = true; }
};
/// The intersection over the union in place of Dice. (jaccard=True)
struct jaccard {
  static constexpr void apply(dice_options& o) { o.jaccard = true; }
};
/// Added to the denominator, where that is another number than the numerator's. (smooth_dr)
template <double V>
struct denominator_smoothing {
  static constexpr void apply(dice_options& o) { o.denominator_smoothing = V < 0 ? -2 : V; }
};
template <double V>
inline constexpr int says<denominator_smoothing<V>> = 18;
}  // namespace option
/// The options as values: dice(logits, labels, without_background, over_batch, ignore_label<255>).
inline constexpr option::without_background without_background{};
inline constexpr option::over_batch over_batch{};
inline constexpr option::squared_denominator squared_denominator{};
inline constexpr option::jaccard jaccard{};
template <auto V>
inline constexpr option::denominator_smoothing<static_cast<double>(V)> denominator_smoothing{};

namespace function {

/// 1 - the mean of (2 sum p t + s) / (sum p + sum t + s); `kept` is 0 where a voxel has no part.
template <dice_options O>
constexpr auto one_less_dice(auto probability, auto target, auto kept) {
  constexpr extents e = decltype(probability)::shape();
  if constexpr (!(O.smoothing >= 0) || O.denominator_smoothing == -2) {
    return failed<text(""), text("dice wants smoothing >= 0"), text("got less")>{};
  } else if constexpr (!O.background && e[1] < 2) {
    constexpr line got = line("got 1 in ") << e;
    return failed<text(""), text("without_background: classes > 1"), to_text<got>()>{};
  } else if constexpr (!O.background) {
    constexpr auto foreground =
        dice_options{O.smoothing, O.denominator_smoothing, true, O.over_batch, O.squared, O.jaccard, O.ignores, O.ignored};
    return one_less_dice<foreground>(slice(probability, axis<1>, range<1, e[1]>), slice(target, axis<1>, range<1, e[1]>), kept);
  } else {
    constexpr auto over = ops::reduction_over{ops::reduction::sum, class_shapes(e).voxels | (O.over_batch ? ops::axis_bit(0) : 0), false};
    const auto p = [&] {
      if constexpr (O.ignores)
        return select(kept, probability, 0_c);
      else
        return probability;
    }();
    const auto t = [&] {
      if constexpr (O.ignores)
        return target * kept;
      else
        return target;
    }();
    const auto common = apply<over>(p * t);
    const auto all = [&] {
      if constexpr (O.squared)
        return apply<over>(square(p) + square(t));
      else
        return apply<over>(p + t);
    }();
    const auto denominator = [&] {
      if constexpr (O.jaccard)
        return 2_c * (all - common);
      else
        return all;
    }();
    constexpr double below = O.denominator_smoothing < 0 ? O.smoothing : O.denominator_smoothing;
    return 1_c - mean((2_c * common + constant<O.smoothing>) / (denominator + constant<below>));
  }
}
/// The modules behind dice and binary_dice below.
template <dice_options O>
struct dice {
  static constexpr auto forward(auto logits, auto labels) {
    constexpr extents x = decltype(logits)::shape();
    using failure = decltype(class_failure<"dice", 3>(logits, labels));
    if constexpr (!std::is_void_v<failure>) {
      return failure{};
    } else if constexpr (O.again > 0) {
      return option::refuse_said_again<"dice", O.again>();
    } else {
      const auto kept = 1_c - apply<ops::reshape_to{class_shapes(x).spread}>(equal(labels, constant<O.ignored>));
      return one_less_dice<O>(invoke<softmax<1>>(logits), chosen_class<x>(labels), kept);
    }
  }
};
template <dice_options O>
struct binary_dice : of_equal_shapes<binary_dice<O>, "binary_dice"> {
  static constexpr auto of(auto logits, auto target) {
    if constexpr (decltype(logits)::shape().rank < 3) {
      constexpr line got = line("got ") << logits.shape();
      return failed<text(""), text("binary_dice: logits (N,C,D,...)"), to_text<got>()>{};
    } else if constexpr (O.again > 0) {
      return option::refuse_said_again<"binary_dice", O.again>();
    } else {
      return one_less_dice<O>(sigmoid(logits), target, 1_c - equal(target, constant<O.ignored>));
    }
  }
};
/// Options folded, with the smoothing in front.
template <double Smoothing, class... O>
constexpr dice_options dice_options_of() {
  dice_options o = option::collect<dice_options, O...>();
  o.smoothing = Smoothing;
  return o;
}

}  // namespace function

/// 1 - (2 sum p t + s) / (sum p + sum t + s), sums over voxels, its mean over samples and classes: logits (N, C, D, ...), p their softmax
/// over C, labels (N, D, ...) class numbers. Options: without_background, over_batch, ignore_label<l>, squared_denominator, jaccard,
/// denominator_smoothing<s>. (MONAI DiceLoss, softmax, to_onehot_y; nnU-Net's SoftDiceLoss is this less 1.)
template <auto Smoothing = 1e-5, expression L, expression T, class... O>
requires(!expression<O> && ...) constexpr auto dice(L logits, T labels, O...) {
  return invoke<function::dice<function::dice_options_of<static_cast<double>(Smoothing), O...>()>>(logits, labels);
}
/// The same of each channel by itself: p = sigmoid(logits), targets of the logits' shape, 0 or 1; ignore_label is of targets. (MONAI
/// DiceLoss, sigmoid)
template <auto Smoothing = 1e-5, expression L, expression T, class... O>
requires(!expression<O> && ...) constexpr auto binary_dice(L logits, T target, O...) {
  return invoke<function::binary_dice<function::dice_options_of<static_cast<double>(Smoothing), O...>()>>(logits, target);
}

}  // namespace volute
