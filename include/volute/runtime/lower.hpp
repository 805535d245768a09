// Lowering: from expression types to a graph value. The one bridge between the language and the graph. Each distinct (module, argument
// shapes) is one instantiation, run once per use; an expression that is used twice is lowered once, remembered by the address of its
// recipe.
#pragma once

#include <volute/runtime/session.hpp>

namespace volute::lowering {

template <text Name, extents Shape>
struct lowering_of<input_node<Name, Shape>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) {
    for (int i = 0; i < s.inputs.size; ++i)
      if (s.inputs[i].name.view() == Name.view()) {
        if (!(s.inputs[i].shape == Shape))
          s.refuse(line("one shape for input ") << Name.view(), line("got ") << s.inputs[i].shape << " and " << Shape);
        return s.inputs[i].node;
      }
    const extents shape = s.checked_shape(Shape);
    const int id = s.g.input(s.inputs.size, shape);
    s.inputs.push_back({line(Name.view()), shape, id});
    s.limit("input name", s.inputs[s.inputs.size - 1].name);
    return id;
  }
};

template <text Name, extents Shape, initializer Init, bool Learned>
inline constexpr parameter_recipe recipe_of_parameter{Name.view(), Shape, Init, Learned};
constexpr recipe recipe_of_leaf(const parameter_recipe& p) {
  return {.bucket = static_cast<unsigned>(p.shape.size() + p.shape.rank) % buckets,
          .remembers = true,
          .by = recipe::maker::parameter,
          .parameter = &p};
}
template <text Name, extents Shape, initializer Init>
inline constexpr recipe recipe_of<parameter_node<Name, Shape, Init>> = recipe_of_leaf(recipe_of_parameter<Name, Shape, Init, true>);
template <text Name, extents Shape, initializer Init>
inline constexpr recipe recipe_of<state_node<Name, Shape, Init>> = recipe_of_leaf(recipe_of_parameter<Name, Shape, Init, false>);

/// What is looked at a second time, for a gradient by an intermediate value, changes no state again. A state that is updated twice in a
/// program reads its first new value in the second formula.
template <class Y, class State, class Value>
struct lowering_of<update_node<Y, State, Value>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) {
    const int y = s.lower(recipe_of<Y>);
    if (s.substituting) return y;
    const int state = s.lower(recipe_of<State>);
    int slot = 0;
    while (s.parameters.data[slot].node != state) ++slot;
    const int memo = s.memo.size;
    if (s.updates[slot] >= 0) s.remember(recipe_of<State>, s.updates[slot]);
    const int value = s.lower(recipe_of<Value>);
    s.updates[slot] = value;
    s.forget(memo);
    return y;
  }
};

/// A random tensor is told from others by its path and name, and from those of a layer that is applied several times by their order.
template <text Name, int Part, extents Shape>
struct lowering_of<noise_node<Name, Part, Shape>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) {
    line path = s.path;
    path.append_path(Name.view());
    s.limit("noise path", path);
    std::uint64_t key = 0xCBF29CE484222325u;  // FNV-1a
    for (int i = 0; i < path.size; ++i) key = (key ^ static_cast<unsigned char>(path.data[i])) * 0x100000001B3u;
    key += Part;
    std::uint64_t ordinal = 0;
    for (int i = s.first_draw; i < s.draws.size; ++i) ordinal += s.draws[i] == key;
    s.draws.push_back(key);
    key ^= ordinal * 0x9E3779B97F4A7C15u;
    return s.g.random(static_cast<std::int64_t>((key ^ (key >> 32)) & 0xFFFFFFFFu), Shape);
  }
};

template <bool Training, class E>
struct lowering_of<mode_node<Training, E>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) {
    const mode outer = s.mode;
    s.mode = Training ? mode::training : mode::inference;
    const int id = s.lower(recipe_of<E>);
    s.mode = outer;
    return id;
  }
};
template <bool Minimal, class E>
struct lowering_of<filtering_node<Minimal, E>> {
  static constexpr bool remembers = false;
  static constexpr int run(session& s) {
    const ops::filtering outer = s.g.filtering;
    s.g.filtering = Minimal ? ops::filtering::minimal : ops::filtering::direct;
    const int id = s.lower(recipe_of<E>);
    s.g.filtering = outer;
    return id;
  }
};
template <class E>
struct lowering_of<synchronized_node<E>> {
  static constexpr bool remembers = false;
  static constexpr int run(session& s) {
    const bool outer = s.g.synchronizes;
    s.g.synchronizes = true;
    const int id = s.lower(recipe_of<E>);
    s.g.synchronizes = outer;
    return id;
  }
};
template <class E>
struct lowering_of<depth_parallel_node<E>> {
  static constexpr bool remembers = false;
  static constexpr int run(session& s) {
    s.g.cuts_depth = true;
    return lowering_of<synchronized_node<E>>::run(s);
  }
};
template <text Where, text Wanted, text Got, class B>
struct lowering_of<mode_choice<failed<Where, Wanted, Got>, B>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) {
    if (s.mode == mode::training) s.refuse(line(Wanted.view()), line(Got.view()));
    return s.lower(recipe_of<B>);
  }
};
template <class A, class B>
struct lowering_of<mode_choice<A, B>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) { return s.mode == mode::training ? s.lower(recipe_of<A>) : s.lower(recipe_of<B>); }
};

template <double Value, extents Shape>
struct lowering_of<constant_node<Value, Shape>> {
  static constexpr bool remembers = false;
  static constexpr int run(session& s) { return s.g.fill(Value, Shape); }
};

template <std::int64_t N>
struct lowering_of<arange_node<N>> {
  static constexpr bool remembers = false;
  static constexpr int run(session& s) { return s.g.arange(N); }
};

template <int I, extents Shape, class M>
inline constexpr recipe recipe_of<formal<I, Shape, M>>{.bucket = static_cast<unsigned>(I) + 1, .by = recipe::maker::argument, .argument = I};

template <auto F>
constexpr int emit_as(graph::contractor& g, const int* operands, int count, const extents& shape) {
  return F.emit(g, operands, count, shape);
}
template <auto F, class... Operands>
inline constexpr recipe recipe_of<node<F, Operands...>>{
    .bucket = (static_cast<unsigned>(node<F, Operands...>::inferred.shape.size()) + ... + (31u * recipe_of<Operands>.bucket)) % buckets,
    .remembers = true,
    .operands = recipes_of<Operands...>,
    .count = sizeof...(Operands),
    .by = recipe::maker::emit,
    .emit = &emit_as<F>,
    .shape = &node<F, Operands...>::inferred.shape};

/// The recipe of what a part stands for, under the part's name.
constexpr recipe renamed(recipe r, unsigned bucket) {
  r.bucket = bucket, r.remembers = true;
  return r;
}
template <class M, int Level, int Index>
inline constexpr recipe recipe_of<body_part<M, Level, Index>> =
    renamed(recipe_of<detail::defined_as<body_part<M, Level, Index>>>, bucket_of<body_part<M, Level, Index>>);

/// The recipes of a body's parts from the lowest level upwards. A recipe is instantiated where it is named, within the one that names it:
/// from the body downwards that would be as deep as the body is long.
template <class M, class Levels>
struct parts_of;
template <class M, int... Level>
struct parts_of<M, std::integer_sequence<int, Level...>> {
  static constexpr const recipe* all[]{nullptr, &recipe_of<body_part<M, Level, 0>>...};
};

/// The results of a body, which never are a tuple: that class alone costs a compiler as much as a layer.
template <class Results>
struct results_of;
template <class... E>
struct results_of<std::tuple<E...>> : operand_list<E...> {
  using levels = std::make_integer_sequence<int, detail::parts_level<void(E...)> + 1>;
};

template <class M>
inline constexpr auto label_text = label_of<M>();
template <class M>
constexpr std::string_view kind_of() {
  if constexpr (requires { M::kind; })
    return M::kind.view();
  else
    return {};
}
template <class M, extents... S>
inline constexpr module_recipe recipe_of_module{
    .label = label_text<M>.view(),
    .kind = kind_of<M>(),
    .layer = requires { M::kind; },
    .shares_parameters = requires { M::shares_parameters; },
    .recomputes = requires { M::recomputes; },
    .one = expression<body_t<M, S...>>,
    .parts = parts_of<M, typename results_of<detail::flat_type<body_t<M, S...>>>::levels>::all,
    .results = results_of<detail::flat_type<body_t<M, S...>>>::all,
    .count = results_of<detail::flat_type<body_t<M, S...>>>::count,
    .shape = std::tuple_element_t<0, detail::flat_type<body_t<M, S...>>>::shape()};

template <class M, class... A>
inline constexpr recipe recipe_of<call<M, A...>>{.bucket = (5u + ... + (31u * recipe_of<A>.bucket)) % buckets,
                                                 .remembers = true,
                                                 .operands = recipes_of<A...>,
                                                 .count = sizeof...(A),
                                                 .by = recipe::maker::module,
                                                 .module = &recipe_of_module<M, A::shape()...>};

/// Results of one application are lowered together, once.
template <class M, class... A>
struct application {};
template <int I, class M, class... A>
inline constexpr unsigned bucket_of<result_of<I, M, A...>> = (static_cast<unsigned>(I) + ... + (31u * recipe_of<A>.bucket)) % buckets;
template <int I, class M, class... A>
struct lowering_of<result_of<I, M, A...>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) {
    using all = application<M, A...>;
    int first = s.recall(key_of<all>);
    if (first < 0) {
      const int id[]{s.lower(recipe_of<A>)...};
      first = s.lower_module(recipe_of_module<M, A::shape()...>, id);
      s.remember(key_of<all>, first);
    }
    return s.results[first + I];
  }
};
template <int I, class M, class... A>
struct operands_of<result_of<I, M, A...>> : operand_list<A...> {};
template <text Name, class E>
struct lowering_of<result_node<Name, E>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) { return s.lower(recipe_of<E>); }
};

/// Walking a sequence with the node so far (see language/call.hpp).
template <extents S>
struct running {
  session* s;
  int id;
  int index;
};
template <extents S, class M>
constexpr auto operator>>(running<S> r, detail::link<M>) {
  const int path = r.s->path.size;
  if (label_of<M>().view().empty()) r.s->path.append_path((line() << r.index).view());  // a named module has its name for its number
  const int id = r.s->lower_module(recipe_of_module<M, S>, &r.id);
  r.s->path.size = path;
  return running<body_t<M, S>::shape()>{r.s, id, r.index + 1};
}

template <class... M, extents In, extents Out>
struct lowering_of<sequence_body<sequence<M...>, In, Out>> {
  static constexpr bool remembers = false;
  static constexpr int run(session& s) { return detail::walk(running<In>{&s, s.arguments[0], 0}, sequence<M...>{}).id; }
};

template <class E>
inline constexpr bool is_leaf = false;
template <text Name, extents Shape>
inline constexpr bool is_leaf<input_node<Name, Shape>> = true;
template <text Name, extents Shape, initializer Init>
inline constexpr bool is_leaf<parameter_node<Name, Shape, Init>> = true;
template <text Name, extents Shape, initializer Init>
inline constexpr bool is_leaf<state_node<Name, Shape, Init>> = true;

/// Replaces an intermediate value by a barrier in the frame at hand, so that the simplifier cannot look through it.
template <class E>
constexpr int variable_node(session& s, int value) {
  if constexpr (is_leaf<E>) {
    return value;
  } else {
    const int id = s.g.barrier(value, false);
    s.remember(recipe_of<E>, id, mode::any);
    return id;
  }
}

template <class Y, class Cotangent, class... Wrt>
struct gradient_group {};

/// The place in session::gradients where the gradients of this group begin.
template <class Y, class Cotangent, class... Wrt>
constexpr int lower_gradients(session& s) {
  using group = gradient_group<Y, Cotangent, Wrt...>;
  if (const int made = s.recall(key_of<group>); made >= 0) return made;
  constexpr int n = sizeof...(Wrt);
  const int frame = s.frame, memo = s.memo.size;
  const bool substituting = s.substituting;
  int values[n]{}, i = 0, y, seed;
  if constexpr ((is_leaf<Wrt> && ...)) {
    y = s.lower(recipe_of<Y>);  // first: the layers inside claim their parameters
    s.substituting = true;  // to name one of them here is no claim
    ((values[i] = s.lower(recipe_of<Wrt>), ++i), ...);
    s.substituting = substituting;
  } else {
    ((values[i] = s.lower(recipe_of<Wrt>), ++i), ...);
    const int draw = s.first_draw, draws = s.draws.size;
    s.frame = s.memo.size;
    s.first_draw = draws;
    s.substituting = true;
    i = 0;
    ((values[i] = variable_node<Wrt>(s, values[i]), ++i), ...);
    y = s.lower(recipe_of<Y>);
    s.forget(memo);
    s.frame = frame, s.substituting = substituting;
    s.first_draw = draw, s.draws.size = draws;
  }
  if constexpr (std::is_same_v<Cotangent, no_cotangent>)
    seed = s.g.fill(1, s.g.shape(y));
  else
    seed = s.lower(recipe_of<Cotangent>);
  if (s.first_derivative < 0) s.first_derivative = s.g.nodes.size;
  int result[n];
  graph::differentiate(s.g, y, seed, values, n, result);
  const int first = s.gradients.size;
  for (int k = 0; k < n; ++k) s.gradients.push_back(result[k]);
  s.remember(key_of<group>, first);
  return first;
}

template <class Y, class Cotangent, int I, class... Wrt>
struct lowering_of<gradient_node<Y, Cotangent, I, Wrt...>> {
  static constexpr bool remembers = true;
  static constexpr int run(session& s) { return s.gradients[lower_gradients<Y, Cotangent, Wrt...>(s) + I]; }
};

/// Appends the nodes of an output; the gradients by all parameters are made last, when all parameters are known.
template <class E>
struct output_lowering {
  static constexpr void run(session& s, buffer<int>& out) { out.push_back(s.lower(recipe_of<E>)); }
  static constexpr void finish(session&, buffer<int>&) {}
};
template <class Y, class Set>
struct output_lowering<parameter_gradients<Y, Set>> {
  static constexpr void run(session& s, buffer<int>&) { s.lower(recipe_of<Y>); }
  static constexpr void finish(session& s, buffer<int>& out) {
    const int y = s.lower(recipe_of<Y>);
    if (s.first_derivative < 0) s.first_derivative = s.g.nodes.size;
    buffer<int> wrt, result(s.parameters.size, 0);
    for (const auto& p : s.parameters)
      if (p.learned && Set::has(p.path.view())) wrt.push_back(p.node);
    const line nothing = Set::without([&s](std::string_view path) {
      for (const auto& p : s.parameters)
        if (p.learned && detail::path_under(p.path.view(), path)) return true;
      return false;
    });
    if (!nothing.empty()) s.refuse(line("a parameter under ") << nothing.view(), "got none");
    graph::differentiate(s.g, y, s.g.fill(1, s.g.shape(y)), wrt.data, wrt.size, result.data);
    for (int i = 0; i < wrt.size; ++i) out.push_back(result[i]);
  }
};

}  // namespace volute::lowering
