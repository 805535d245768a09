// Losses as types, for the trainer: functions of a prediction and its targets (language/loss.hpp), without parameters. `targets` says how
// many operands follow the prediction; a loss that does not say has one.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

// clang-format off
/// Options of cross_entropy: see volute::option.
template <double V> using label_smoothing = option::label_smoothing<V>;
template <std::int64_t L> using ignore_label = option::ignore_label<L>;
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
/// Dice over classes: logits (N, C, D, ...), labels (N, D, ...).
template <auto Smoothing = 1e-5>
struct dice : layer<dice<Smoothing>> {
  static constexpr auto forward(expression auto logits, expression auto labels) { return volute::dice<Smoothing>(logits, labels); }
};
/// Dice of each channel by itself: logits and targets of one shape (N, C, D, ...), targets 0 or 1.
template <auto Smoothing = 1e-5>
struct binary_dice : layer<binary_dice<Smoothing>> {
  static constexpr auto forward(expression auto logits, expression auto target) { return volute::binary_dice<Smoothing>(logits, target); }
};
/// Sum of p (log p - log q) / N: log q is the prediction, p the target.
struct kl_div : layer<kl_div> {
  static constexpr auto forward(expression auto log_input, expression auto target) { return volute::kl_div(log_input, target); }
};

}  // namespace volute::nn
