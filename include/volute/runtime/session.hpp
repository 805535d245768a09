// What lowering remembers while it turns expression types into a graph value (lower.hpp has the rule of each expression): types that were
// met, parameters and who claimed them, and what waits to be lowered, in a list and not in nested calls.
#pragma once

#include <volute/graph/frozen.hpp>
#include <volute/graph/recompute.hpp>
#include <volute/language/language.hpp>

namespace volute::lowering {

struct session;
struct module_recipe;

/// A parameter or state of the layer at hand.
struct parameter_recipe {
  std::string_view name;
  extents shape;
  initializer init;
  bool learned;
};

/// How expressions of one type are lowered, as a value: what is the same for all of them is written and compiled once. A type is known by
/// the address of its recipe.
struct recipe {
  unsigned bucket = 0;
  bool remembers = false;
  const recipe* const* operands = nullptr;  // what is made before it, each of its own accord: a body may be longer than calls are deep
  int count = 0;
  // Made by one of these, of the operands' nodes where they are named. (Which one: g++ with -fsanitize=undefined compares no function's
  // address with null.)
  enum class maker : std::int8_t { run, emit, module, parameter, argument } by{};
  int (*run)(session&) = nullptr;
  int (*emit)(graph::contractor&, const int* operands, int count, const extents& shape) = nullptr;
  const extents* shape = nullptr;
  const module_recipe* module = nullptr;
  const parameter_recipe* parameter = nullptr;
  int argument = 0;  // of the module that is being lowered
};

/// How a module is lowered that is applied to arguments of some shapes.
struct module_recipe {
  std::string_view label, kind;
  bool layer = false, shares_parameters = false, recomputes = false;  // a row of the summary; nn::shared; nn::checkpoint
  bool one = true;                                                    // result, and no list of them
  const recipe* const* parts = nullptr;                               // of its body: see parts_of
  const recipe* const* results = nullptr;
  int count = 0;
  extents shape;  // of the first result
};

/// False with -fsanitize=undefined: there g++ takes it that the address of a template's variable may be null, and only a comparison of one
/// with itself is constant.
template <class E>
inline constexpr char tag{};
template <class A, class B>
concept comparable_tags = requires {
  typename std::bool_constant<&tag<A> == &tag<B>>;
};

/// How layers that differ between training and inference behave where an expression is lowered; what is remembered holds for one mode, or
/// for any.
enum class mode : std::int8_t { inference, training, any };

struct remembered {
  const recipe* type = nullptr;
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
template <class M, int Level, int Index>
inline constexpr unsigned bucket_of<body_part<M, Level, Index>> = static_cast<unsigned>(Level * 7 + Index) % buckets;

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
  buffer<const recipe*> pending;  // what is to be lowered before what stands below it
  buffer<int> gradients;          // node ids of the gradients already made
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
  /// The shape of a leaf; where it is refused, that of a number.
  constexpr extents checked_shape(const extents& shape) {
    const ops::inferred r = ops::check_size(shape);
    if (!r.ok()) refuse(r.wanted, r.got);
    return r.shape;
  }
  constexpr session() {
    for (unsigned b = 0; b < buckets; ++b) last_in[b] = last_path[b] = -1;
  }
  /// The node of an expression's type in the frame at hand, or -1.
  constexpr int recall(const recipe& r) const {
    for (int i = last_in[r.bucket]; i >= frame; i = memo.data[i].next) {
      const auto& m = memo.data[i];
      if (m.mode != lowering::mode::any && (m.mode != mode || m.filtering != g.filtering || m.synchronizes != g.synchronizes)) continue;
      if constexpr (comparable_tags<int, char>) {
        if (m.type == &r) return m.id;
      } else {
        if (__builtin_constant_p(m.type == &r) && m.type == &r) return m.id;
      }
    }
    return -1;
  }
  constexpr void remember(const recipe& r, int id, lowering::mode m) {
    memo.push_back({&r, id, m, g.filtering, g.synchronizes, r.bucket, last_in[r.bucket]});
    last_in[r.bucket] = memo.size - 1;
  }
  constexpr void remember(const recipe& r, int id) { remember(r, id, mode); }
  /// The parameter or state of this name in the layer at hand.
  constexpr int lower_parameter(const parameter_recipe& r) {
    const auto& [name, shape, init, learned] = r;
    line full = path;
    full.append_path(name);
    limit("parameter path", full);
    unsigned hash = 0;
    for (int i = 0; i < full.size; ++i) hash = hash * 31 + static_cast<unsigned char>(full.data[i]);
    int& last = last_path[(hash ^ hash >> 9) % buckets];
    for (int i = last; i >= 0; i = claims.data[i].next) {
      graph::parameter_info& p = parameters[i];
      if (!(p.path == full)) continue;
      auto& [by, next, may_share] = claims.data[i];
      if (!(p.shape == shape)) refuse(line("one shape for ") << full.view(), line("got ") << p.shape << " and " << shape);
      if (p.learned != learned) refuse(line("a parameter or a state: ") << full.view(), line("got both"));
      if ((by < 0 || shared || may_share) && init.kind != initializer::zeros) p.init_kind = init.kind, p.init_scale = init.scale;
      if (by < 0 && !substituting) by = owner, may_share = shared;
      if (by != owner && !substituting && !shared && !may_share)
        refuse(line("one layer for ") << full.view(), line("got two, without nn::shared"));
      return p.node;
    }
    const int id = g.parameter(parameters.size, checked_shape(shape));
    parameters.push_back({full, g.shape(id), init.kind, init.scale, id, 0, learned, -1});
    claims.push_back({substituting ? -1 : owner, last, shared});
    last = parameters.size - 1;
    updates.push_back(-1);
    return id;
  }
  /// The node of an expression. Its operands wait in a list and not in nested calls, for a body may be longer than a compiler's calls are
  /// deep (512).
  constexpr int lower(const recipe& r) {
    if (!r.remembers) return make(r);
    if (const int made = recall(r); made >= 0) return made;
    const int below = pending.size;
    pending.push_back(&r);
    while (pending.size > below) attempt(*pending.data[pending.size - 1]);
    return recall(r);
  }
  /// Lowers what stands on top of the pending, or puts above it what it is made of: the first operand uppermost, so that it is made first.
  constexpr void attempt(const recipe& r) {
    if (recall(r) < 0) {
      const int before = pending.size;
      for (int i = r.count - 1; i >= 0; --i)
        if (r.operands[i]->remembers && recall(*r.operands[i]) < 0) pending.push_back(r.operands[i]);
      if (pending.size > before) return;
      remember(r, make(r));
    }
    --pending.size;
  }
  /// Lowers what is not remembered.
  constexpr int make(const recipe& r) {
    if (r.by == recipe::maker::argument) return arguments[r.argument];
    if (r.by == recipe::maker::parameter) return lower_parameter(*r.parameter);
    if (r.by == recipe::maker::run) return r.run(*this);
    const bool emits = r.by == recipe::maker::emit;
    if (emits && r.shape->size() == 0) return g.fill(0, *r.shape);  // no elements
    buffer<int> id;
    for (int i = 0; i < r.count; ++i) id.push_back(lower(*r.operands[i]));
    return emits ? r.emit(g, id.data, r.count, *r.shape) : lower_module(*r.module, id.data);
  }
  /// Lowers the body of a module in a frame of its own: the node of its result; of several the place in `results` where theirs begin.
  constexpr int lower_module(const module_recipe& m, const int* given) {
    const int outer_frame = frame, outer_owner = owner, outer_path = path.size, known = memo.size;
    const int* const outer = arguments;
    const bool outer_shared = shared;
    path.append_path(m.label);
    limit("layer path", path);
    frame = known;
    arguments = given;
    owner = ++owners;
    shared = shared || m.shares_parameters;
    int row = -1;
    if (m.layer && !substituting) {
      row = layers.size;
      layers.push_back({path, line(m.kind), m.shape, g.nodes.size, 0, parameters.size, 0});
    }
    const int first = g.nodes.size;
    int id = -1;
    if (m.one) {
      id = lower(*m.results[0]);
    } else {
      buffer<int> made;
      for (int i = 0; i < m.count; ++i) made.push_back(lower(*m.results[i]));
      id = results.size;
      for (int i : made) results.push_back(i);
    }
    if (m.recomputes) {
      if (m.one)
        regions.push_back({first, g.nodes.size, id});
      else
        refuse(line("checkpoint wants one result"), line("got ") << m.count);
    }
    if (row >= 0) layers[row].last_node = g.nodes.size, layers[row].last_parameter = parameters.size;
    forget(known);
    frame = outer_frame, arguments = outer, owner = outer_owner, shared = outer_shared;
    path.size = outer_path;
    return id;
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
  static constexpr bool remembers = false;
  static constexpr int run(session& s) {
    static_assert(sizeof(no_lowering<E>) > 0);
    return s.g.fill(0, E::shape());
  }
};

/// What an expression is made of, as far as it is made before it.
template <class E>
struct operands_of {
  static constexpr const recipe* const* all = nullptr;
  static constexpr int count = 0;
};
template <class E>
inline constexpr recipe recipe_of{.bucket = bucket_of<E>,
                                  .remembers = lowering_of<E>::remembers,
                                  .operands = operands_of<E>::all,
                                  .count = operands_of<E>::count,
                                  .run = &lowering_of<E>::run};
/// Recipes one after the other. (A variable: with a class of each expression g++ 12 kept 8 KB more of it.)
template <class... E>
inline constexpr const recipe* recipes_of[]{&recipe_of<E>..., nullptr};
template <class... E>
struct operand_list {
  static constexpr const recipe* const* all = recipes_of<E...>;
  static constexpr int count = sizeof...(E);
};

/// What is remembered of types that are no expressions: the place where the results of one application begin, or the gradients of one group.
template <class Key>
inline constexpr recipe key_of{.bucket = bucket_of<Key>};

}  // namespace volute::lowering
