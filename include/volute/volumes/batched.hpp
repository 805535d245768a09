// A network on any number of samples, through programs of a few batch sizes that share their weights.
#pragma once

#include <volute/runtime/model.hpp>
#include <volute/volumes/growth.hpp>
#include <volute/volumes/refused.hpp>
#include <volute/volumes/tasks.hpp>
#include <volute/volumes/tiled.hpp>

#include <functional>
#include <tuple>

namespace volute {
namespace volumes {

/// An input of one sample, as one of several.
template <class Input, std::int64_t N>
struct in_batch;
template <text Name, extents S, std::int64_t N>
struct in_batch<input_node<Name, S>, N> {
  static constexpr extents shape = [] {
    extents e = S;
    e[0] = N;
    return e;
  }();
  using type = input_node<Name, shape>;
};

/// Why samples of this network cannot be taken together, or void. Looked at with two samples, because one of one is all.
template <class Net, class... Input>
constexpr auto batch_failure() {
  constexpr bool samples = ((Input::shape().rank > 0 && Input::shape()[0] == 1) && ...);
  using one = decltype(invoke<Net>(Input{}...));
  if constexpr (is_failed<one>) {
    return one{};
  } else if constexpr (!expression<one>) {
    return failed<text(""), text("batched: one result (N,...)"), text("got several")>{};
  } else if constexpr (!samples) {
    return failed<text(""), text("batched: inputs of one sample"), text("got more, or a number")>{};
  } else {
    using two = decltype(invoke<Net>(typename in_batch<Input, 2>::type{}...));
    if constexpr (is_failed<two>) {
      return two{};
    } else {
      constexpr auto& g = lowering::compiled<output_list<two>>::graph;
      if constexpr (!g.wanted.empty()) {
        return failed<to_text<g.where>(), to_text<g.wanted>(), to_text<g.got>()>{};
      } else {
        constexpr tile_study found = [] {
          tile_study t;
          const graph::view v = graph::view_of(g);
          const graph::field_walk walk(v, ~0u, graph::field_question::places);
          const graph::sight s = walk.result(0).axis[0];
          if (v.size.updates > 0) return t.refuse({}, "batched: constant weights", "got states that change");
          if (s.is_blind() || !(s.from == ratio(0) && s.to == ratio(0) && s.step == ratio(1)))
            return t.refuse(s.cause < 0 ? line() : graph::path_of(v, s.cause), "batched: each sample by itself",
                            s.cause < 0 ? line("got neighbours") : line("got ") << graph::deed_of(v, s).view());
          if (!s.is_local()) return t.refuse({}, "batched: a result for each sample", "got one that sees none");
          return t;
        }();
        if constexpr (!found.ok())
          return failed<to_text<found.where>(), to_text<found.wanted>(), to_text<found.got>()>{};
        else if constexpr (one::shape().rank == 0 || one::shape()[0] != 1)
          return failed<text(""), text("batched: a result of one sample"), text("got another")>{};
      }
    }
  }
}

/// Samples that run together.
struct batch_part {
  int size = 0;  // which of them
  std::int64_t begin = 0, count = 0;
};

inline namespace VOLUTE_ISA {

/// How a number of samples is made of the sizes that there are (descending): as many of the largest as go, then of the next; what is less
/// than the smallest runs in the smallest, beside samples that nobody reads.
inline std::vector<batch_part> parts_of(std::int64_t samples, const std::int64_t* sizes, int n) {
  std::vector<batch_part> parts;
  std::int64_t at = 0;
  for (int i = 0; i < n; ++i)
    for (; samples - at >= sizes[i]; at += sizes[i]) parts.push_back({i, at, sizes[i]});
  if (at < samples) parts.push_back({n - 1, at, samples - at});
  return parts;
}

}  // namespace VOLUTE_ISA

/// Inputs apart from batch sizes.
template <auto... Inputs>
struct samples {};
template <std::int64_t... N>
struct sizes {};
template <class Inputs, class Sizes, auto...>
struct sorted;
template <auto... I, std::int64_t... N>
struct sorted<samples<I...>, sizes<N...>> {
  using inputs = samples<I...>;
  using batches = sizes<N...>;
};
template <auto... I, std::int64_t... N, auto A, auto... Rest>
requires(expression<decltype(A)>) struct sorted<samples<I...>, sizes<N...>, A, Rest...> : sorted<samples<I..., A>, sizes<N...>, Rest...> {
};
template <auto... I, std::int64_t... N, auto A, auto... Rest>
requires(!expression<decltype(A)>) struct sorted<samples<I...>, sizes<N...>, A, Rest...> : sorted<samples<I...>, sizes<N..., A>, Rest...> {
};

/// What is wrong with a network, or else with the sizes.
template <class Found>
using batch_refusal = std::conditional_t<std::is_void_v<Found>, failed<"", "batched: sizes >= 1", "got none, or less">, Found>;

}  // namespace volumes

inline namespace VOLUTE_ISA {

template <class T, class Net, class Inputs, class Sizes>
class batched_of;

/// Any number of samples through programs of these batch sizes: `batched<net, input<"x", 1, 1, 16, 16, 16>, 1, 4, 16> b;
/// y = b(x)` with x (N, 1, 16, 16, 16). The programs share one set of weights; each worker has one workspace for all of them. The samples'
/// results are those of the programs of their sizes. Refused at compile time where samples of the network depend on each other.
template <class T, class Net, auto... Inputs, std::int64_t... Sizes>
requires(sizeof...(Sizes) > 0 && ((Sizes > 0) && ...) &&
         std::is_void_v<decltype(volumes::batch_failure<
                                 Net, std::remove_const_t<decltype(Inputs)>...>())>) class batched_of<T, Net, volumes::samples<Inputs...>,
                                                                                                      volumes::sizes<Sizes...>>
    : public runtime::parameter_members<batched_of<T, Net, volumes::samples<Inputs...>, volumes::sizes<Sizes...>>>,
      public runtime::file_members<batched_of<T, Net, volumes::samples<Inputs...>, volumes::sizes<Sizes...>>> {
  template <std::int64_t N>
  using program_of =
      program<output_list<decltype(invoke<Net>(typename volumes::in_batch<std::remove_const_t<decltype(Inputs)>, N>::type{}...))>{}, T>;

  static constexpr int count = sizeof...(Sizes);
  static constexpr std::array<std::int64_t, count> given{Sizes...};
  /// From the largest to the smallest.
  static constexpr std::array<std::int64_t, count> sizes = [] {
    auto s = given;
    std::sort(s.begin(), s.end(), std::greater<>());
    return s;
  }();
  static constexpr int inputs = sizeof...(Inputs);
  static constexpr std::array<extents, inputs> in{std::remove_const_t<decltype(Inputs)>::shape()...};
  static constexpr extents out = decltype(invoke<Net>(std::remove_const_t<decltype(Inputs)>{}...))::shape();
  template <class>
  struct of_indices;
  template <std::size_t... I>
  struct of_indices<std::index_sequence<I...>> {
    using type = std::tuple<program_of<sizes[I]>...>;
  };
  using programs = typename of_indices<std::make_index_sequence<count>>::type;
  using largest = std::tuple_element_t<0, programs>;

 public:
  using value_type = T;
  using facts = typename largest::facts;
  using weights_type = typename largest::weights_type;
  static constexpr bool is_refused = false;

  batched_of() : batched_of(weights_type()) {}
  /// On weights that others may use too.
  explicit batched_of(const weights_type& w) : batched_of(w, std::make_index_sequence<count>{}) {}

  /// The one set of weights of all sizes.
  weights_type& weights() noexcept { return std::get<0>(programs_).weights(); }
  const weights_type& weights() const noexcept { return std::get<0>(programs_).weights(); }
  /// Initial values of all parameters, from a seed.
  void initialize(std::uint64_t seed) { weights().initialize(seed); }
  /// Later runs compute batches side by side on the workers of `e`, which must outlive it or its next use().
  void use(executor& e) {
    while (static_cast<int>(spaces_.size()) < e.threads()) spaces_.push_back(workspace(workspace_bytes));
    workers_ = e.threads() > 1 ? &e : nullptr;
  }

  /// Memory for each worker.
  static constexpr std::int64_t workspace_bytes = [] {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return std::max({std::tuple_element_t<I, programs>::facts::workspace_bytes...});
    }
    (std::make_index_sequence<count>{});
  }();

  /// Pointers to `samples` samples of each input, in the order in which they were given, dense; and to room for as many results. Read and
  /// written where they lie, but for a remainder that is smaller than the smallest size.
  void run(std::int64_t samples, const T* const* from, T* to) {
    if (samples < 0) fail("samples: expected 0 or more, found " + std::to_string(samples));
    const std::vector<volumes::batch_part> parts = volumes::parts_of(samples, sizes.data(), count);
    const std::function<bool(const volumes::progress&)> nobody;
    volumes::task_runner runner(workers_, static_cast<std::int64_t>(parts.size()), nobody);
    runner.run(static_cast<std::int64_t>(parts.size()), [&](std::int64_t i, int worker) {
      const volumes::batch_part& p = parts[static_cast<std::size_t>(i)];
      run_part(p, worker, from, to);
    });
  }

  /// Tensors (N, ...), one for each input; the results one behind the other.
  template <runtime::shaped... V>
  requires(sizeof...(V) == inputs) auto operator()(const V&... v) {
    using result_type = owned_tensor<T, out.rank>;
    const std::int64_t n = common_samples(v...);
    typename result_type::shape_type shape{};
    for (int a = 0; a < out.rank; ++a) shape[static_cast<std::size_t>(a)] = static_cast<std::size_t>(a == 0 ? n : out[a]);
    result_type result = result_type::from_shape(shape);
    std::array<std::vector<T>, inputs> copies;
    const T* from[inputs];
    std::size_t i = 0;
    ((from[i] = dense(v, copies[i]), ++i), ...);
    run(n, from, result.data());
    return result;
  }

 private:
  owned_memory memory_;  // of the first worker; the programs' own workspaces lie there too, and are not used
  programs programs_;
  std::vector<workspace> spaces_;
  owned_memory spare_;  // inputs and results of a remainder
  executor* workers_ = nullptr;

  static constexpr int smallest = count - 1;
  static constexpr std::int64_t room(const extents& sample) { return (sample.size() * sizes[smallest] + 15) / 16 * 16; }
  static constexpr std::int64_t spare_bytes = [] {
    std::int64_t n = room(out);
    for (const extents& e : in) n += room(e);
    return bytes_of_tensor(n * static_cast<std::int64_t>(sizeof(T)));
  }();

  std::span<std::byte> first_memory() { return {memory_.get(), static_cast<std::size_t>(workspace_bytes)}; }
  template <std::size_t... I>
  batched_of(const weights_type& w, std::index_sequence<I...>)
      : memory_(allocate(workspace_bytes)), programs_(made<std::tuple_element_t<I, programs>>(w)...), spare_(allocate(spare_bytes)) {
    spaces_.push_back(workspace(first_memory(), workspace_bytes, 0));
  }
  template <class Program>
  Program made(const weights_type& w) {
    return Program(typename Program::weights_type(w), workspace::of<Program>(first_memory()));
  }

  void run_part(const volumes::batch_part& p, int worker, const T* const* from, T* to) {
    const T* batch[inputs]{};
    T* result = to + p.begin * out.size();
    for (int i = 0; i < inputs; ++i) batch[i] = from[i] + p.begin * in[static_cast<std::size_t>(i)].size();
    const bool whole = p.count == sizes[static_cast<std::size_t>(p.size)];
    if (!whole) {
      T* at = reinterpret_cast<T*>(spare_.get());
      for (int i = 0; i < inputs; ++i) {
        const extents& e = in[static_cast<std::size_t>(i)];
        std::copy_n(batch[i], p.count * e.size(), at);
        std::fill(at + p.count * e.size(), at + room(e), T(0));
        batch[i] = at, at += room(e);
      }
      result = at;
    }
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (void)((static_cast<int>(I) == p.size && (run_program(std::get<I>(programs_), worker, batch, result), true)) || ...);
    }
    (std::make_index_sequence<count>{});
    if (!whole) std::copy_n(result, p.count * out.size(), to + p.begin * out.size());
  }
  template <class Program>
  void run_program(const Program& program, int worker, const T* const* batch, T* result) {
    const T* ordered[Program::facts::graph.size.inputs + 1]{};
    int i = 0;
    const auto place = [&]<class Input>(Input) {
      if constexpr (constexpr int slot = runtime::find_input<Input::name>(Program::facts::graph); slot >= 0) ordered[slot] = batch[i];
      ++i;
    };
    (place(std::remove_const_t<decltype(Inputs)>{}), ...);
    T* results[Program::facts::graph.size.outputs + 1]{result};
    program.run(spaces_[static_cast<std::size_t>(worker)], ordered, results);
  }

  template <class... V>
  static std::int64_t common_samples(const V&... v) {
    std::int64_t n = -1;
    std::size_t i = 0;
    const auto look = [&](const auto& x) {
      const extents& e = in[i++];
      bool fits = static_cast<int>(x.dimension()) == e.rank;
      for (int a = 1; fits && a < e.rank; ++a) fits = static_cast<std::int64_t>(x.shape()[static_cast<std::size_t>(a)]) == e[a];
      const std::int64_t found = fits ? static_cast<std::int64_t>(x.shape()[0]) : 0;
      if (!fits || (n >= 0 && found != n)) {
        line wanted("samples: expected ");
        wanted << e << " each" << (fits ? ", as many of each input" : "");
        fail(std::string(wanted.view()) + ", found " + format_shape(x.shape()));
      }
      n = found;
    };
    (look(v), ...);
    return n;
  }
  template <class V>
  static const T* dense(const V& v, std::vector<T>& copy) {
    if (const T* direct = runtime::dense_data<T>(v)) return direct;
    copy.resize(static_cast<std::size_t>(v.size()));
    std::transform(v.begin(), v.end(), copy.begin(), [](const auto& e) { return static_cast<T>(e); });
    return copy.data();
  }
};

/// Of a network that is refused: says why, once.
template <class T, class Net, auto... Inputs, std::int64_t... Sizes>
class batched_of<T, Net, volumes::samples<Inputs...>, volumes::sizes<Sizes...>>
    : public volumes::refused_runs<
          volumes::batch_refusal<decltype(volumes::batch_failure<Net, std::remove_const_t<decltype(Inputs)>...>())>> {
  using refused =
      volumes::refused_runs<volumes::batch_refusal<decltype(volumes::batch_failure<Net, std::remove_const_t<decltype(Inputs)>...>())>>;

 public:
  using refused::refused;
};

/// Inputs of one sample, (1, ...) each, and batch sizes.
template <class T, class Net, auto... InputsAndSizes>
using basic_batched = batched_of<T, Net, typename volumes::sorted<volumes::samples<>, volumes::sizes<>, InputsAndSizes...>::inputs,
                                 typename volumes::sorted<volumes::samples<>, volumes::sizes<>, InputsAndSizes...>::batches>;

/// Batches in float.
template <class Net, auto... InputsAndSizes>
using batched = basic_batched<float, Net, InputsAndSizes...>;

}  // namespace VOLUTE_ISA
}  // namespace volute
