// What a program does besides computing: modes of layers, states that live from run to run, and random numbers.
#pragma once

#include <volute/language/composite.hpp>
#include <volute/language/gradient.hpp>

namespace volute {

/// E with its layers in training mode, or not.
template <bool Training, expression E>
struct mode_node : expression_tag {
  using name_parts = void(E);
  static constexpr binding_state state = E::state;
  static constexpr extents shape() { return E::shape(); }
};
/// E with its convolutions computed by minimal filtering where that is possible and pays, or not.
template <bool Minimal, expression E>
struct filtering_node : expression_tag {
  using name_parts = void(E);
  static constexpr binding_state state = E::state;
  static constexpr extents shape() { return E::shape(); }
};
/// E with the statistics of its batch norms taken over all runs of a step.
template <expression E>
struct synchronized_node : expression_tag {
  using name_parts = void(E);
  static constexpr binding_state state = E::state;
  static constexpr extents shape() { return E::shape(); }
};
/// E on a slab of a volume whose slabs are the runs of a step.
template <expression E>
struct depth_parallel_node : expression_tag {
  using name_parts = void(E);
  static constexpr binding_state state = E::state;
  static constexpr extents shape() { return E::shape(); }
};
namespace detail {
template <bool Training, class E>
inline constexpr line result_name<mode_node<Training, E>> = result_name<E>;
template <bool Minimal, class E>
inline constexpr line result_name<filtering_node<Minimal, E>> = result_name<E>;
template <class E>
inline constexpr line result_name<synchronized_node<E>> = result_name<E>;
template <class E>
inline constexpr line result_name<depth_parallel_node<E>> = result_name<E>;
/// Each expression of s inside the node that `node` makes for it; what is refused stays as it is.
template <structured S, class Node>
constexpr auto marked(S s, Node node) {
  return map_structure(s, [node]<class E>(E e) {
    if constexpr (is_failed<E>)
      return e;
    else
      return shortened(node(e));
  });
}
}  // namespace detail
/// A in training, B otherwise. A may be a failure: then it is refused where it is trained.
template <expression A, expression B>
struct mode_choice : expression_tag {
  using name_parts = void(A, B);
  static constexpr binding_state state = detail::joint_state<A, B>();
  static constexpr extents shape() { return B::shape(); }
};
/// Y; after the run the state is Value.
template <expression Y, expression State, expression Value>
struct update_node : expression_tag {
  using name_parts = void(Y, Value);
  static constexpr binding_state state = detail::joint_state<Y, Value>();
  static constexpr extents shape() { return Y::shape(); }
};

/// U[0, 1), other numbers in every run.
template <text Name, int Part, extents Shape>
struct noise_node : expression_tag {
  static constexpr binding_state state = binding_state::free;
  static constexpr extents shape() { return Shape; }
};

/// Layers inside `s` behave as in training: batch_norm3d normalises by the batch and moves its running statistics, dropout drops. Without
/// it they behave as in inference. volute::trainer says it for its network.
template <structured S>
constexpr auto training(S s) {
  return detail::marked(s, []<class E>(E) { return mode_node<true, E>{}; });
}
/// The opposite, inside training(...).
template <structured S>
constexpr auto inference(S s) {
  return detail::marked(s, []<class E>(E) { return mode_node<false, E>{}; });
}
/// Convolutions inside `s`, and those of its derivatives of any order, are computed by minimal filtering (Winograd; Lavin and Gray 2015,
/// https://arxiv.org/abs/1509.09308) where that is possible (float, stride 1, kernels of up to five taps) and the cost model finds it
/// faster: with 16 channels or more, two to three times the speed. launches() tells where it was taken, facts::minimal_launches in how many
/// places. It is asked for because it changes what a user may see: results differ in their last bits, and differ by the place of a voxel
/// in its tile; an infinity or NaN spreads over its tile; packed filters are up to 5.3 times as large. See also nn::minimal_filtering.
template <structured S>
constexpr auto minimal_filtering(S s) {
  return detail::marked(s, []<class E>(E) { return filtering_node<true, E>{}; });
}
/// The opposite, inside minimal_filtering(...): every product of every sum, which is the default.
template <structured S>
constexpr auto direct_filtering(S s) {
  return detail::marked(s, []<class E>(E) { return filtering_node<false, E>{}; });
}
/// In training, batch norms inside `s` normalise by the mean and variance of all runs of a step of distributed::data_parallel, on whatever
/// rank, and not by those of their own run (torch.nn.SyncBatchNorm.convert_sync_batchnorm). A run by itself, such as a step of a trainer
/// alone, is an ordinary one, as with one process there. See also nn::convert_sync_batchnorm.
template <structured S>
constexpr auto convert_sync_batchnorm(S s) {
  return detail::marked(s, []<class E>(E) { return synchronized_node<E>{}; });
}
/// A program of which this is a part works on one slab of a volume that is cut along its depth, and the slabs are the runs of a step of
/// distributed::data_parallel, from the lowest to the highest: inputs of rank 4 or more, (N, C, D, H, W) and (N, D, H, W), are slabs,
/// others the same for all. Convolutions see planes of neighbouring slabs; sums and means over the depth, of norms and losses, are those of
/// all slabs; batch norms are synchronised. Refused is what sees more of the depth than that. A slab by itself is a volume. See also
/// nn::depth_parallel.
template <structured S>
constexpr auto depth_parallel(S s) {
  return detail::marked(s, []<class E>(E) { return depth_parallel_node<E>{}; });
}
/// What a layer says that behaves differently in training; both of one shape. Where `a` is refused, so is training alone.
template <expression A, expression B>
constexpr auto by_mode(A a, B b) {
  if constexpr (is_failed<B>) {
    return b;
  } else if constexpr (std::is_same_v<A, reported>) {
    return a;
  } else {
    static_assert(is_failed<A> || A::shape() == B::shape(), "by_mode wants one shape for both modes");
    return detail::shortened(mode_choice<A, B>{});
  }
}

/// `y`, and after the run the state `s` becomes `value` (of the state's shape, and free to read the state). Several updates of one state in
/// a program follow each other; whatever else reads it sees its value before the run.
template <expression Y, text Name, extents Shape, initializer Init, expression V>
constexpr auto updating(Y y, state_node<Name, Shape, Init>, V v) {
  if constexpr (is_failed<Y>) {
    return y;
  } else if constexpr (is_failed<V>) {
    return v;
  } else if constexpr (!(V::shape() == Shape)) {
    constexpr line wanted = line("updating wants ") << Shape;
    constexpr line got = line("got ") << V::shape();
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  } else {
    return detail::shortened(update_node<Y, state_node<Name, Shape, Init>, V>{});
  }
}

/// Random numbers U[0, 1), independent and new in every run of a program: a counter-based generator makes them from the program's seed, the
/// number of the run and this place (its path and name, as a parameter's). The same expression is the same tensor. No derivative.
template <text Name, std::int64_t... D>
inline constexpr noise_node<Name, 0, make_extents(D...)> uniform_noise{};

/// Random numbers N(0, 1), by Box and Muller; otherwise as uniform_noise.
template <text Name, std::int64_t... D>
inline constexpr auto normal_noise = sqrt(log(1_c - noise_node<Name, 1, make_extents(D...)>{}) * constant<-2>) *
                                     cos(noise_node<Name, 2, make_extents(D...)>{} * constant<6.28318530717958647692>);

}  // namespace volute
