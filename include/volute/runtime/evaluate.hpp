// Evaluating an expression once. One expression gives a lazy result that is computed when it is assigned, straight into where it goes;
// several give a tuple of tensors.
#pragma once

#include <volute/runtime/program.hpp>

#include <memory>
#include <optional>

namespace volute {
inline namespace VOLUTE_ISA {

/// A result that is computed when it is assigned to a tensor (any xtensor container or view) or, if it has one element, read as a number.
/// Holds what it was bound to: references to named objects, the objects themselves if they were temporary.
template <class Runner, extents Shape, class T>
class lazy : public xt::xexpression<lazy<Runner, Shape, T>> {
 public:
  using computed = decltype(tensor_view<Shape>(std::declval<const T*>()));
  // What xtensor asks of an expression that it assigns to a view, broadcasts, or puts into another expression.
  using value_type = T;
  using reference = const T&;
  using const_reference = const T&;
  using pointer = const T*;
  using const_pointer = const T*;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using bool_load_type = T;
  using shape_type = std::array<std::size_t, static_cast<std::size_t>(Shape.rank)>;
  using const_stepper = typename computed::const_stepper;
  using stepper = const_stepper;
  using expression_tag = xt::xtensor_expression_tag;
  static constexpr xt::layout_type static_layout = xt::layout_type::row_major;
  static constexpr bool contiguous_layout = false;  // may not be read before it is computed

  constexpr explicit lazy(Runner r) : runner_(static_cast<Runner&&>(r)) {}

  static constexpr shape_type shape() { return xtensor_shape<Shape>; }
  static constexpr std::size_t dimension() { return static_cast<std::size_t>(Shape.rank); }
  static constexpr std::size_t size() { return static_cast<std::size_t>(Shape.size()); }

  /// Called by xtensor when the result is assigned.
  template <class E>
  void assign_to(xt::xexpression<E>& e) const {
    E& to = e.derived_cast();
    if constexpr (takes_rank<typename E::shape_type> && requires { to.resize(shape_type{}); }) to.resize(xtensor_shape<Shape>);
    runtime::check_shape(to, Shape, "destination", "result");
    if (T* direct = runtime::dense_data<T>(to)) {
      runner_(direct);
    } else {
      const T* from = runner_(nullptr);
      for (auto it = to.begin(); it != to.end(); ++it) *it = static_cast<typename E::value_type>(*from++);
    }
  }

  static constexpr xt::layout_type layout() { return static_layout; }
  static constexpr bool is_contiguous() { return contiguous_layout; }
  template <class S>
  bool broadcast_shape(S& s, bool = false) const {
    return xt::broadcast_shape(shape(), s);
  }
  template <class S>
  static constexpr bool has_linear_assign(const S&) {
    return false;
  }
  /// Computes, and walks over the program's own memory.
  template <class S>
  const_stepper stepper_begin(const S& s) const {
    return compute().stepper_begin(s);
  }
  template <class S>
  const_stepper stepper_end(const S& s, xt::layout_type l) const {
    return (result_ ? *result_ : compute()).stepper_end(s, l);
  }
  auto begin() const { return compute().cbegin(); }
  auto cbegin() const { return compute().cbegin(); }
  auto end() const { return (result_ ? *result_ : compute()).cend(); }
  auto cend() const { return end(); }

  /// The value of a result with one element.
  operator T() const requires(Shape.size() == 1) { return *runner_(nullptr); }

 private:
  mutable Runner runner_;
  mutable std::optional<computed> result_;

  /// False for a destination of another fixed rank: to be refused, not resized.
  template <class S>
  static constexpr bool takes_rank = [] {
    if constexpr (requires { std::tuple_size<S>::value; })
      return std::tuple_size_v<S> == static_cast<std::size_t>(Shape.rank);
    else
      return true;
  }();

  const computed& compute() const { return result_.emplace(tensor_view<Shape>(runner_(nullptr))); }
};

}  // namespace VOLUTE_ISA

namespace runtime {
inline namespace VOLUTE_ISA {

template <class E, class T, class... B>
auto evaluate_one(B&&... b) {
  auto run = [... bound = static_cast<B&&>(b), p = std::unique_ptr<program<output_list<E>{}, T>>()](T* destination) mutable -> const T* {
    if (!p) p = std::make_unique<program<output_list<E>{}, T>>();
    p->run_into(destination, bound...);
    return p->output_data(0);
  };
  return lazy<decltype(run), E::shape(), T>(std::move(run));
}

template <class T, class Out, class V>
auto own(V&& v) {
  if constexpr (std::is_same_v<std::remove_cvref_t<V>, T>)
    return v;
  else
    return owned_tensor<T, Out::shape().rank>(v);
}

template <class T, class... E, class... B>
auto evaluate_all(output_list<E...>, B&&... b) {
  program<output_list<E...>{}, T> p;
  auto views = p(b...);
  return [&]<std::size_t... I>(std::index_sequence<I...>) { return std::tuple{own<T, E>(std::get<I>(views))...}; }
  (std::index_sequence_for<E...>{});
}

/// Why these expressions cannot be evaluated under these bindings: a failure, or void.
template <class... Node, class... E>
constexpr auto evaluation_failure(output_list<E...> o) {
  using bad = typename detail::first_failed<E...>::type;
  if constexpr (std::is_void_v<bad>)
    return program_failure<decltype(o), unbound::none, Node...>();
  else
    return bad{};
}
template <class Outputs, class... Node>
using evaluation_failure_t = decltype(evaluation_failure<Node...>(Outputs{}));

}  // namespace VOLUTE_ISA
}  // namespace runtime

inline namespace VOLUTE_ISA {

/// The value of one expression under these bindings: evaluate(y, x = volume, w = filter). Lazy: computed when assigned. The element type is
/// double if anything bound is double, else float.
template <expression E, class... Node, class... V>
auto evaluate(E, binding<Node, V>... b) {
  using failure = runtime::evaluation_failure_t<output_list<E>, Node...>;
  if constexpr (std::is_void_v<failure>) {
    return runtime::evaluate_one<E, runtime::common_element<V...>>(std::move(b)...);
  } else {
    if constexpr (!std::is_same_v<failure, reported>) static_assert(detail::accepted<detail::refused_for<failure>>::value);
    return runtime::nothing{};
  }
}

/// The values of several expressions, computed together at once: auto [value, gx] = evaluate(outputs(y, dx), x = volume, w = filter).
template <class... E, class... Node, class... V>
auto evaluate(output_list<E...> o, binding<Node, V>... b) {
  using failure = runtime::evaluation_failure_t<output_list<E...>, Node...>;
  if constexpr (std::is_void_v<failure>) {
    return runtime::evaluate_all<runtime::common_element<V...>>(o, b...);
  } else {
    if constexpr (!std::is_same_v<failure, reported>) static_assert(detail::accepted<detail::refused_for<failure>>::value);
    return std::tuple<std::conditional_t<true, runtime::nothing, E>...>{};
  }
}

}  // namespace VOLUTE_ISA
}  // namespace volute
