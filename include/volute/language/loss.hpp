// Losses and penalties: formulas that end in one number. A loss of a prediction is a call (see call.hpp); a penalty on a gradient is a
// plain expression, because it looks into what its operand is made of.
#pragma once

#include <volute/language/composite.hpp>
#include <volute/language/gradient.hpp>

#include <limits>

namespace volute {

/// What a loss over classes can be told.
struct class_options {
  double smoothing = 0;  // this part of the target is spread over all classes
  bool ignores = false;
  std::int64_t ignored = 0;  // labels of this number have no part in the loss
  int again = 0;             // the place of an option that says what one before it said
};

namespace option {
/// The target is (1 - V) of the label's class and V / C of every class.
template <double V>
struct label_smoothing {
  static constexpr void apply(class_options& o) { o.smoothing = V; }
};
/// Labels of the number L have no part in the loss, nor their logits in the gradient.
template <std::int64_t L>
struct ignore_label {
  static constexpr void apply(auto& o) { o.ignores = true, o.ignored = L; }
};
template <double V>
inline constexpr int says<label_smoothing<V>> = 16;
template <std::int64_t L>
inline constexpr int says<ignore_label<L>> = 17;
}  // namespace option
/// Options of cross_entropy as values: cross_entropy(logits, labels, label_smoothing<0.1>, ignore_label<255>).
template <auto V>
inline constexpr option::label_smoothing<static_cast<double>(V)> label_smoothing{};
template <std::int64_t L>
inline constexpr option::ignore_label<L> ignore_label{};

namespace function {

/// A loss of two tensors of one shape: L::of(a, b).
template <class L, text Name>
struct of_equal_shapes {
  static constexpr auto forward(auto a, auto b) {
    if constexpr (a.shape() == b.shape()) {
      return L::of(a, b);
    } else {
      constexpr line wanted = line(Name.view()) << " wants equal shapes";
      constexpr line got = line("got ") << a.shape() << " and " << b.shape();
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    }
  }
};

/// The modules behind the functions of these names below.
struct mse : of_equal_shapes<mse, "mse"> {
  static constexpr auto of(auto a, auto b) { return mean(square(a - b)); }
};
struct l1 : of_equal_shapes<l1, "l1"> {
  static constexpr auto of(auto a, auto b) { return mean(abs(a - b)); }
};
template <double Beta>
struct smooth_l1 : of_equal_shapes<smooth_l1<Beta>, "smooth_l1"> {
  static constexpr auto of(auto a, auto b) {
    if constexpr (!(Beta > 0)) {
      return failed<text(""), text("smooth_l1 wants beta > 0"), text("got less")>{};
    } else {
      const auto d = abs(a - b);
      return mean(select(d < constant<Beta>, square(d) * constant<0.5 / Beta>, d - constant<0.5 * Beta>));
    }
  }
};
template <double Delta>
struct huber : of_equal_shapes<huber<Delta>, "huber"> {
  static constexpr auto of(auto a, auto b) {
    if constexpr (!(Delta > 0)) {
      return failed<text(""), text("huber wants delta > 0"), text("got less")>{};
    } else {
      const auto d = abs(a - b);
      return mean(select(d < constant<Delta>, square(d) * 0.5_c, d * constant<Delta> - constant<0.5 * Delta * Delta>));
    }
  }
};
/// -(t w log p + (1 - t) log(1 - p)) with softplus in place of the logarithm of a small number: a sum of what is not negative, so that no
/// small loss is lost in the difference of large numbers (softplus(x) - x is 0 in float from x = 17 on), nor a small gradient.
constexpr auto binary_entropy(auto logits, auto target, auto weighted_target) {
  return mean((1_c - target) * softplus(logits) + weighted_target * softplus(-logits));
}
struct bce_with_logits : of_equal_shapes<bce_with_logits, "bce_with_logits"> {
  static constexpr auto of(auto logits, auto target) { return binary_entropy(logits, target, target); }
};
/// The same with a factor of the first term, which repeats to the logits.
struct weighted_bce_with_logits {
  static constexpr auto forward(auto logits, auto target, auto pos_weight) {
    constexpr extents x = decltype(logits)::shape(), w = decltype(pos_weight)::shape();
    using unweighted = decltype(bce_with_logits::forward(logits, target));
    if constexpr (is_failed<unweighted>) {
      return unweighted{};
    } else if constexpr (!ops::broadcasts_to(w, x)) {
      constexpr line wanted = line("pos_weight that repeats to ") << x;
      constexpr line got = line("got ") << w;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      return binary_entropy(logits, target, pos_weight * target);
    }
  }
};
/// 1 / n; NaN where n is 0, for then it is a mean of nothing.
constexpr double one_of(std::int64_t n) { return n > 0 ? 1.0 / static_cast<double>(n) : std::numeric_limits<double>::quiet_NaN(); }
/// 1 / N of (N, ...).
template <class E>
inline constexpr auto per_sample = constant<one_of(E::shape().rank > 0 ? E::shape()[0] : 1)>;
/// The modules behind the functions of these names below.
struct kl_div : of_equal_shapes<kl_div, "kl_div"> {
  static constexpr auto of(auto log_input, auto target) {
    return sum(select(equal(target, 0_c), 0_c, target * (log(target) - log_input))) * per_sample<decltype(target)>;  // 0 log (0 / q) = 0
  }
};
struct kl_normal : of_equal_shapes<kl_normal, "kl_normal"> {
  static constexpr auto of(auto mu, auto log_variance) {
    return sum(square(mu) + expm1(log_variance) - log_variance) * 0.5_c * per_sample<decltype(mu)>;
  }
};

/// Shapes of a loss over classes: logits (N, C, ...), labels (N, ...).
struct class_shapes {
  extents labels, spread, classes;  // what the labels are to be; (N, 1, ...); (1, C, 1, ...)
  ops::axis_set voxels = 0;         // all axes but the first two

  constexpr explicit class_shapes(const extents& scores) : spread(scores) {
    spread[1] = 1;
    for (int i = 0; i < scores.rank; ++i) {
      classes.push_back(i == 1 ? scores[1] : 1);
      if (i != 1) labels.push_back(scores[i]);
      if (i > 1) voxels |= ops::axis_bit(i);
    }
  }
};
/// Why labels do not fit logits of at least this rank: a failure, or void.
template <text Name, int Rank>
constexpr auto class_failure(auto logits, auto labels) {
  constexpr extents x = decltype(logits)::shape(), t = decltype(labels)::shape();
  if constexpr (x.rank < Rank) {
    constexpr line wanted = line(Name.view()) << (Rank > 2 ? ": logits (N,C,D,...)" : ": logits (N,C,...)");
    constexpr line got = line("got ") << x;
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  } else if constexpr (!(t == class_shapes(x).labels)) {
    constexpr line wanted = line(Name.view()) << ": labels " << class_shapes(x).labels;
    constexpr line got = line("got ") << t;
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  }
}
/// 1 where the label is the class, in the shape of the logits.
template <extents X>
constexpr auto chosen_class(auto labels) {
  constexpr class_shapes s(X);
  return equal(apply<ops::reshape_to{s.spread}>(labels), apply<ops::reshape_to{s.classes}>(arange<X[1]>));
}

/// Over classes, with these options; `make` is the formula for any weights.
template <class_options Options>
struct cross_entropy {
  static constexpr auto forward(auto logits, auto labels) { return make(logits, labels, 1_c); }
  static constexpr auto forward(auto logits, auto labels, auto weights) {
    constexpr extents x = decltype(logits)::shape(), w = decltype(weights)::shape();
    if constexpr (x.rank > 1 && !(w == make_extents(x[1]))) {
      constexpr line wanted = line("cross_entropy: weights (") << x[1] << ')';
      constexpr line got = line("got ") << w;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      return make(logits, labels, weights);
    }
  }

 private:
  static constexpr auto make(auto logits, auto labels, auto weights) {
    constexpr extents x = decltype(logits)::shape();
    constexpr bool weighted = decltype(weights)::shape().rank > 0;
    using failure = decltype(class_failure<"cross_entropy", 2>(logits, labels));
    if constexpr (!std::is_void_v<failure>) {
      return failure{};
    } else if constexpr (Options.again > 0) {
      return option::refuse_said_again<"cross_entropy", Options.again>();
    } else if constexpr (!(Options.smoothing >= 0 && Options.smoothing <= 1)) {
      constexpr line got = line("got ") << Options.smoothing;
      return failed<text(""), text("label_smoothing in 0..1"), to_text<got>()>{};
    } else {
      constexpr double smoothing = Options.smoothing;
      const auto weight = [&] {
        if constexpr (weighted)
          return apply<ops::reshape_to{class_shapes(x).classes}>(weights);
        else
          return weights;
      }();
      const auto kept = [&] {
        if constexpr (Options.ignores)
          return 1_c - apply<ops::reshape_to{class_shapes(x).spread}>(equal(labels, constant<Options.ignored>));
        else
          return 1_c;
      }();
      const auto chosen = chosen_class<x>(labels) * kept;
      const auto weight_here = sum(chosen * weight, axes<1>, keepdims);
      const auto total = [&] {
        if constexpr (smoothing == 0) {
          // -sum over classes of target log p as log sum e^z - z[label]: no product with an infinite log p of another class
          const auto z = logits - stop_gradient(maximum(logits, axes<1>, keepdims));
          const auto log_sum = log(sum(exp(z), axes<1>, keepdims));
          return sum(part<Options.ignores>(kept, log_sum) * weight_here) - sum(select(chosen, z, 0_c) * weight);
        } else {
          const auto target = chosen * constant<1 - smoothing> + constant<smoothing / static_cast<double>(x[1])>;
          return -sum(part<Options.ignores>(kept, invoke<log_softmax<1>>(logits)) * (target * (weight * kept)));
        }
      }();
      if constexpr (weighted)
        return quotient(total, sum(weight_here));
      else if constexpr (Options.ignores)
        return quotient(total, sum(kept));
      else
        return apply<ops::mean_from_sum{one_of(decltype(labels)::shape().size()), decltype(labels)::shape().rank >= 4}>(total);
    }
  }
  /// What is not kept has no part, not even as an infinity.
  template <bool Ignores>
  static constexpr auto part(auto kept, auto y) {
    if constexpr (Ignores)
      return select(kept, y, 0_c);
    else
      return y;
  }
  /// a / b; without a gradient where that is 0 / 0, so that no weight is spoilt by a batch of ignored labels.
  static constexpr auto quotient(auto a, auto b) { return select(b, a / b, stop_gradient(a / b)); }
};

}  // namespace function

// clang-format off
/// Mean of (a - b)^2. (torch mse_loss)
template <expression A, expression B> constexpr auto mse(A a, B b) { return invoke<function::mse>(a, b); }
/// Mean of |a - b|. (torch l1_loss)
template <expression A, expression B> constexpr auto l1(A a, B b) { return invoke<function::l1>(a, b); }
/// Mean of d < Beta ? d^2 / (2 Beta) : d - Beta / 2, d = |a - b|. (torch smooth_l1_loss)
template <auto Beta = 1.0, expression A, expression B> constexpr auto smooth_l1(A a, B b) { return invoke<function::smooth_l1<static_cast<double>(Beta)>>(a, b); }
/// Mean of d < Delta ? d^2 / 2 : Delta (d - Delta / 2), d = |a - b|. (torch huber_loss)
template <auto Delta = 1.0, expression A, expression B> constexpr auto huber(A a, B b) { return invoke<function::huber<static_cast<double>(Delta)>>(a, b); }

/// -log softmax(logits)[label], its mean over samples (and voxels): logits (N, C, ...), labels (N, ...) hold class numbers 0 .. C - 1.
/// Options: label_smoothing<v>, ignore_label<l>. With weights (C) the mean is the weighted one. (torch cross_entropy)
template <expression L, expression T, class... O> requires(!expression<O> && ...)
constexpr auto cross_entropy(L logits, T labels, O...) { return invoke<function::cross_entropy<option::collect<class_options, O...>()>>(logits, labels); }
template <expression L, expression T, expression W, class... O> requires(!expression<O> && ...)
constexpr auto cross_entropy(L logits, T labels, W weights, O...) { return invoke<function::cross_entropy<option::collect<class_options, O...>()>>(logits, labels, weights); }
/// -(t log p + (1 - t) log(1 - p)), p = sigmoid(logits), its mean; targets t of the logits' shape, between 0 and 1. pos_weight, which is
/// repeated to that shape (per_channel of a vector, for instance), is a factor of the first term. (torch binary_cross_entropy_with_logits)
template <expression L, expression T> constexpr auto bce_with_logits(L logits, T target) { return invoke<function::bce_with_logits>(logits, target); }
template <expression L, expression T, expression W> constexpr auto bce_with_logits(L logits, T target, W pos_weight) { return invoke<function::weighted_bce_with_logits>(logits, target, pos_weight); }

/// Sum of p (log p - log q) / N: log q as operand `log_input`, p as `target`. (torch kl_div, batchmean)
template <expression L, expression T> constexpr auto kl_div(L log_input, T target) { return invoke<function::kl_div>(log_input, target); }
/// Divergence of the normal distribution of this mean and exp(log_variance) from the standard one: summed over a sample, mean over samples.
template <expression M, expression V> constexpr auto kl_normal(M mu, V log_variance) { return invoke<function::kl_normal>(mu, log_variance); }
// clang-format on

namespace detail {
/// Sum of squares of each sample: (N, ...) -> (N).
template <expression E>
constexpr auto squares_by_sample(E e) {
  if constexpr (is_failed<E>)
    return e;
  else
    return sum(apply<ops::flatten_from{1}>(square(e)), axes<1>);
}
}  // namespace detail

/// Mean over samples of |d sum(logits) / d real|^2, real (N, ...); times gamma / 2 it is the R1 penalty. (Mescheder et al., arXiv
/// 1801.04406)
template <expression L, expression X>
constexpr auto r1_penalty(L logits, X real) {
  return mean(detail::squares_by_sample(gradient(sum(logits), real)));
}
/// Mean over samples of (|d sum(logits) / d x| - 1)^2; x (N, ...) between real and generated samples. (WGAN-GP, arXiv 1704.00028)
template <expression L, expression X>
constexpr auto gradient_penalty(L logits, X x) {
  return mean(square(invoke<function::length_of_squares>(detail::squares_by_sample(gradient(sum(logits), x))) - 1_c));
}

/// How far each sample's images move with its latents: |d sum(images * noise) / d latents| / sqrt(voxels), (N), noise of the images' shape
/// and variance 1. Latents (N, W), or (N, L, W) with the mean of squares over L. (StyleGAN2, arXiv 1912.04958, section 3.2 and its code)
template <expression Y, expression W, expression Z>
constexpr auto path_lengths(Y images, W latents, Z noise) {
  using bad = typename detail::first_failed<Y, W, Z>::type;
  if constexpr (!std::is_void_v<bad>) {
    return bad{};
  } else {
    constexpr extents y = Y::shape(), w = W::shape();
    constexpr double voxels = static_cast<double>(y.rank > 1 ? y.stride(1) : y.size());
    constexpr double each = 1 / (voxels * static_cast<double>(w.rank > 2 ? w[1] : 1));
    return invoke<function::length_of_squares>(detail::squares_by_sample(gradient(images, latents, cotangent(noise))) * constant<each>);
  }
}
/// Mean of (path_lengths - average)^2; `average`, a number, is the running mean of the lengths.
template <expression Y, expression W, expression Z, expression A>
constexpr auto path_length_penalty(Y images, W latents, Z noise, A average) {
  return mean(square(path_lengths(images, latents, noise) - average));
}

}  // namespace volute
