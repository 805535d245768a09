// Losses as types, for the trainer: functions of a prediction and its targets (language/loss.hpp), without parameters. `targets` says how
// many operands follow the prediction; a loss that does not say has one.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

// clang-format off
/// Options of cross_entropy: see volute::option.
template <double V> using label_smoothing = option::label_smoothing<V>;
template <std::int64_t L> using ignore_label = option::ignore_label<L>;
/// And of dice.
using without_background = option::without_background;
using over_batch = option::over_batch;
using squared_denominator = option::squared_denominator;
using jaccard = option::jaccard;
template <auto V> using denominator_smoothing = option::denominator_smoothing<static_cast<double>(V)>;
// clang-format on
/// The loss takes one operand more: a weight for each class (C).
struct class_weights {};
/// The loss takes one operand more: the weight of the positive targets.
struct pos_weight {};

/// Mean of (prediction - target)^2. Losses of two tensors want equal shapes; language/loss.hpp has the formulas and sources.
struct mse : layer<mse> {
  static constexpr auto forward(expression auto prediction, expression auto target) { return volute::mse(prediction, target); }
};
/// Mean of |prediction - target|.
struct l1 : layer<l1> {
  static constexpr auto forward(expression auto prediction, expression auto target) { return volute::l1(prediction, target); }
};
/// Mean of d < Beta ? d^2 / (2 Beta) : d - Beta / 2, d = |prediction - target|; Beta > 0.
template <auto Beta = 1.0>
struct smooth_l1 : layer<smooth_l1<Beta>> {
  static constexpr auto forward(expression auto prediction, expression auto target) { return volute::smooth_l1<Beta>(prediction, target); }
};
/// Mean of d < Delta ? d^2 / 2 : Delta (d - Delta / 2), d = |prediction - target|; Delta > 0.
template <auto Delta = 1.0>
struct huber : layer<huber<Delta>> {
  static constexpr auto forward(expression auto prediction, expression auto target) { return volute::huber<Delta>(prediction, target); }
};

/// Options: label_smoothing<v>, ignore_label<l>, class_weights.
template <class... O>
struct cross_entropy : layer<cross_entropy<O...>> {
  static constexpr int targets = detail::has<class_weights, O...> ? 2 : 1;
  static constexpr int unknown = detail::unknown_option({detail::option_of<O, class_options> || std::is_same_v<O, class_weights>...});
  static constexpr auto forward(expression auto logits, expression auto... labels) {
    if constexpr (unknown > 0)
      return detail::refuse_option<"cross_entropy", unknown>();
    else
      return invoke<function::cross_entropy<options>>(logits, labels...);
  }

 private:
  static constexpr class_options options = [] {
    class_options o;
    (
        [&] {
          if constexpr (detail::option_of<O, class_options>) O::apply(o);
        }(),
        ...);
    o.again = option::said_again<O...>();
    return o;
  }();
};
/// Option: pos_weight.
template <class... O>
struct bce_with_logits : layer<bce_with_logits<O...>> {
  static constexpr int targets = detail::has<pos_weight, O...> ? 2 : 1;
  static constexpr int unknown = detail::unknown_option({std::is_same_v<O, pos_weight>...});
  static constexpr auto forward(expression auto logits, expression auto... target) {
    if constexpr (unknown > 0)
      return detail::refuse_option<"bce_with_logits", unknown>();
    else
      return volute::bce_with_logits(logits, target...);
  }
};
/// Dice over classes: logits (N, C, D, ...), labels (N, D, ...). Options: without_background, over_batch, ignore_label<l>,
/// squared_denominator, jaccard, denominator_smoothing<s>.
template <auto Smoothing = 1e-5, class... O>
struct dice : layer<dice<Smoothing, O...>> {
  static constexpr int unknown = detail::unknown_option({detail::option_of<O, dice_options>...});
  static constexpr auto forward(expression auto logits, expression auto labels) {
    if constexpr (unknown > 0)
      return detail::refuse_option<"dice", unknown>();
    else
      return volute::dice<Smoothing>(logits, labels, O{}...);
  }
};
/// Dice of each channel by itself: logits and targets of one shape (N, C, D, ...), targets 0 or 1. Options as dice.
template <auto Smoothing = 1e-5, class... O>
struct binary_dice : layer<binary_dice<Smoothing, O...>> {
  static constexpr int unknown = detail::unknown_option({detail::option_of<O, dice_options>...});
  static constexpr auto forward(expression auto logits, expression auto target) {
    if constexpr (unknown > 0)
      return detail::refuse_option<"binary_dice", unknown>();
    else
      return volute::binary_dice<Smoothing>(logits, target, O{}...);
  }
};
/// The sum of losses of one prediction and one target, with factors: weighted_losses<dice<>, 1, cross_entropy<>, 0.5>. (MONAI DiceCELoss,
/// nnU-Net DC_and_CE_loss)
template <class A, auto WeightA, class B, auto WeightB>
struct weighted_losses : layer<weighted_losses<A, WeightA, B, WeightB>> {
  static constexpr auto forward(expression auto prediction, expression auto target) {
    return invoke<A>(prediction, target) * constant<WeightA> + invoke<B>(prediction, target) * constant<WeightB>;
  }
};
/// Sum of p (log p - log q) / N: log q is the prediction, p the target.
struct kl_div : layer<kl_div> {
  static constexpr auto forward(expression auto log_input, expression auto target) { return volute::kl_div(log_input, target); }
};

}  // namespace volute::nn
