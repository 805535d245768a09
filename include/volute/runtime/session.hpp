// What lowering remembers while it turns expression types into a graph value (lower.hpp has the rule of each expression): types that were
// met, parameters and who claimed them, and what waits to be lowered, in a list and not in nested calls.
#pragma once

#include <volute/graph/frozen.hpp>
#include <volute/graph/recompute.hpp>
#include <volute/language/language.hpp>

namespace volute::lowering {

template <class E>
inline constexpr char tag{};
/// False with -fsanitize=undefined: there g++ takes it that the address of a template's variable may be null, and only a comparison of one
/// with itself is constant.
template <class A, class B>
concept comparable_tags = requires {
  typename std::bool_constant<&tag<A> == &tag<B>>;
};

/// How layers that differ between training and inference behave where an expression is lowered; what is remembered holds for one mode, or
/// for any.
enum class mode : std::int8_t { inference, training, any };

struct remembered {
  const char* type = nullptr;
  int id = 0;
  lowering::mode mode{};
  ops::filtering filtering{};
  bool synchronizes = false;
  unsigned bucket = 0;
  int next = -1;  // the one before in the bucket
};

/// Spreads types over buckets: equal for equal types, and cheap; a type is found by its address.
inline constexpr unsigned buckets = 128;
template <class E>
inline constexpr unsigned bucket_of = 0;
template <class... E>
inline constexpr unsigned joint_bucket = [] {
  unsigned h = 17;
  ((h = h * 31 + bucket_of<E>), ...);
  return h;
}();
template <int I, extents S, class M>
inline constexpr unsigned bucket_of<formal<I, S, M>> = static_cast<unsigned>(I) + 1;
template <class M, int Level, int Index>
inline constexpr unsigned bucket_of<body_part<M, Level, Index>> = static_cast<unsigned>(Level * 7 + Index) % buckets;
template <text Name, extents S, initializer Init>
inline constexpr unsigned bucket_of<parameter_node<Name, S, Init>> = static_cast<unsigned>(S.size() + S.rank) % buckets;
template <auto F, class... E>
inline constexpr unsigned bucket_of<node<F, E...>> = (joint_bucket<E...> + static_cast<unsigned>(node<F, E...>::shape().size())) % buckets;
template <class M, class... A>
inline constexpr unsigned bucket_of<call<M, A...>> = (joint_bucket<A...> + 5) % buckets;
template <int I, class M, class... A>
inline constexpr unsigned bucket_of<result_of<I, M, A...>> = (joint_bucket<A...> + 7 * (I + 1)) % buckets;

/// Who claimed a parameter: a module call, or -1 where it was only looked up so far; the parameter before it in its bucket of paths; and
/// whether nn::shared let it be claimed again.
struct claim {
  int owner = -1, next = -1;
  bool shared = false;
};

/// What the lowering of one program knows.
struct session {
  graph::contractor g;
  buffer<graph::input_info> inputs;
  buffer<graph::parameter_info> parameters;
  buffer<claim> claims;    // of each parameter
  int last_path[buckets];  // of each bucket of paths, or -1
  buffer<layer_info> layers;
  buffer<remembered> memo;
  int last_in[buckets];                // of each bucket of the memo, or -1
  buffer<void (*)(session&)> pending;  // what is to be lowered before what stands below it
  buffer<int> gradients;               // node ids of the gradients already made
  buffer<int> results;            // of the modules with several results that were applied: nodes of theirs, one application after the other
  buffer<graph::region> regions;  // checkpointed modules
  buffer<int> updates;            // of each parameter: the node that a state becomes after the run, or -1
  buffer<std::uint64_t> draws;    // keys of the random tensors made so far
  int first_draw = 0;             // of the expression at hand
  lowering::mode mode = mode::inference;
  line path;
  int frame = 0;                   // the memo of the module being lowered begins here
  const int* arguments = nullptr;  // its arguments' nodes
  int owner = 0, owners = 0;
  bool shared = false;  // inside nn::shared: parameters may be claimed again
  bool substituting =
      false;  // parameters are looked up, not claimed: a second look at an expression, or the name of a variable of a gradient
  int first_derivative = -1;
  line where, wanted, got;

  constexpr void refuse(const line& w, const line& x) {
    if (wanted.empty()) where = path, wanted = w, got = x;
  }
  /// Refuses what a line may have cut: two names that begin alike would be one.
  constexpr void limit(const char* what, const line& name) {
    constexpr int told = 60;
    if (name.size < line::capacity) return;
    const int whole = path.size;
    if (path.size > told) path.size = told;
    refuse(line(what) << " < " << line::capacity << " characters", line("got ") << name.view().substr(0, told) << "...");
    path.size = whole;
  }
  constexpr session() {
    for (unsigned b = 0; b < buckets; ++b) last_in[b] = last_path[b] = -1;
  }
  /// The node of an expression's type in the frame at hand, or -1.
  template <class E>
  constexpr int recall() const {
    for (int i = last_in[bucket_of<E>]; i >= frame; i = memo.data[i].next) {
      const auto& m = memo.data[i];
      if (m.mode != lowering::mode::any && (m.mode != mode || m.filtering != g.filtering || m.synchronizes != g.synchronizes)) continue;
      if constexpr (comparable_tags<int, char>) {
        if (m.type == &tag<E>) return m.id;
      } else {
        if (__builtin_constant_p(m.type == &tag<E>) && m.type == &tag<E>) return m.id;
      }
    }
    return -1;
  }
  template <class E>
  constexpr void remember(int id, lowering::mode m) {
    constexpr unsigned b = bucket_of<E>;
    memo.push_back({&tag<E>, id, m, g.filtering, g.synchronizes, b, last_in[b]});
    last_in[b] = memo.size - 1;
  }
  template <class E>
  constexpr void remember(int id) {
    remember<E>(id, mode);
  }
  /// Forgets all but the first `size`.
  constexpr void forget(int size) {
    for (; memo.size > size; --memo.size) {
      const auto& m = memo.data[memo.size - 1];
      last_in[m.bucket] = m.next;
    }
  }
};

/// An expression that nothing lowers. Never defined: naming it is the error message.
template <class Expression>
struct no_lowering;
template <class E>
struct lowering_of {
  static constexpr bool remember = false;
  static constexpr int run(session& s) {
    static_assert(sizeof(no_lowering<E>) > 0);
    return s.g.fill(0, E::shape());
  }
};

/// What an expression is made of, as far as it is made before it.
template <class E>
struct operands_of {
  static constexpr void want(session&) {}
};
template <class E>
constexpr void attempt(session& s);
template <class E>
constexpr void want(session& s) {
  if constexpr (lowering_of<E>::remember)
    if (s.recall<E>() < 0) s.pending.push_back(&attempt<E>);
}
template <class... E>
struct operand_list {
  static constexpr void want(session& s) { (lowering::want<E>(s), ...); }
};
/// Lowers what stands on top of the pending, or puts above it what it is made of: the first operand uppermost, so that it is made first.
template <class E>
constexpr void attempt(session& s) {
  if (s.recall<E>() < 0) {
    const int before = s.pending.size;
    operands_of<E>::want(s);
    if (s.pending.size > before) {
      for (int i = before, k = s.pending.size - 1; i < k; ++i, --k) {
        const auto first = s.pending.data[i];
        s.pending.data[i] = s.pending.data[k], s.pending.data[k] = first;
      }
      return;
    }
    const int id = lowering_of<E>::run(s);
    s.remember<E>(id);
  }
  --s.pending.size;
}

/// The node of an expression. Its operands wait in a list and not in nested calls, for a body may be longer than a compiler's calls are
/// deep (512).
template <class E>
constexpr int lower(session& s) {
  if constexpr (lowering_of<E>::remember) {
    if (const int made = s.recall<E>(); made >= 0) return made;
    const int below = s.pending.size;
    s.pending.push_back(&attempt<E>);
    while (s.pending.size > below) s.pending[s.pending.size - 1](s);
    return s.recall<E>();
  } else {
    return lowering_of<E>::run(s);
  }
}

}  // namespace volute::lowering
