// Losses as types, for the trainer: functions of a prediction and its targets (language/loss.hpp), without parameters. `targets` says how
// many operands follow the prediction; a loss that does not say has one.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

// clang-format off
template <double V> using label_smoothing = option::label_smoothing<V>;
template <std::int64_t L> using ignore_label = option::ignore_label<L>;
// clang-format on
/// The loss takes one operand more: a weight for each class (C).
struct class_weights {};
/// The loss takes one operand more: the weight of the positive targets.
struct pos_weight {};

struct mse : layer<mse> {
  static constexpr auto forward(expression auto prediction, expression auto target) { return volute::mse(prediction, target); }
};
struct l1 : layer<l1> {
  static constexpr auto forward(expression auto prediction, expression auto target) { return volute::l1(prediction, target); }
};
template <auto Beta = 1.0>
struct smooth_l1 : layer<smooth_l1<Beta>> {
  static constexpr auto forward(expression auto prediction, expression auto target) { return volute::smooth_l1<Beta>(prediction, target); }
};
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
template <auto Smoothing = 1e-5>
struct dice : layer<dice<Smoothing>> {
  static constexpr auto forward(expression auto logits, expression auto labels) { return volute::dice<Smoothing>(logits, labels); }
};
template <auto Smoothing = 1e-5>
struct binary_dice : layer<binary_dice<Smoothing>> {
  static constexpr auto forward(expression auto logits, expression auto target) { return volute::binary_dice<Smoothing>(logits, target); }
};
struct kl_div : layer<kl_div> {
  static constexpr auto forward(expression auto log_input, expression auto target) { return volute::kl_div(log_input, target); }
};

}  // namespace volute::nn
