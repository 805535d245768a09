// Evaluating an expression once. One expression gives a lazy result that is computed when it is assigned, straight into where it goes;
// several give a tuple of tensors.
#pragma once

#include <volute/runtime/program.hpp>

#include <array>
#include <cstring>
#include <memory>
#include <type_traits>

namespace volute {
inline namespace VOLUTE_ISA {
/// The result of evaluate(), and of a program with one output: see below.
template <class Runner, extents Shape, class T>
class lazy;

}  // namespace VOLUTE_ISA

namespace runtime {

/// The extents of a type that holds them as numbers, such as those of xt::xtensor_fixed.
template <class Shape>
inline constexpr bool is_fixed = false;
template <template <std::size_t...> class Shape, std::size_t... D>
inline constexpr bool is_fixed<Shape<D...>> = true;
template <class Shape>
inline constexpr extents fixed_extents{};
template <template <std::size_t...> class Shape, std::size_t... D>
inline constexpr extents fixed_extents<Shape<D...>> = make_extents(D...);

/// True for a tensor type whose rank or extents are known while compiling, and are not those of Shape.
template <class To, extents Shape>
constexpr bool never_fits() {
  if constexpr (requires { typename To::shape_type; }) {
    using shape_type = typename To::shape_type;
    if constexpr (is_fixed<shape_type>)
      return !(fixed_extents<shape_type> == Shape);
    else if constexpr (requires { std::tuple_size<shape_type>::value; })
      return std::tuple_size_v<shape_type> != static_cast<std::size_t>(Shape.rank);
  }
  return false;
}
/// Why such a tensor is no destination for a result of this shape.
template <class To, extents Shape>
constexpr auto refuse_destination() {
  using shape_type = typename To::shape_type;
  constexpr line wanted = line("a destination for ") << Shape;
  if constexpr (is_fixed<shape_type>) {
    constexpr line got = line("got a tensor ") << fixed_extents<shape_type>;
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  } else {
    constexpr line got = line("got a tensor of rank ") << static_cast<int>(std::tuple_size_v<shape_type>);
    return failed<text(""), to_text<wanted>(), to_text<got>()>{};
  }
}
/// The failure of such a destination.
template <class To, extents Shape>
using destination_failure = decltype(refuse_destination<To, Shape>());

}  // namespace runtime
}  // namespace volute

namespace xt {
template <class Runner, volute::extents Shape, class T>
struct xcontainer_inner_types<volute::lazy<Runner, Shape, T>> {
  using reference = T;  // no reference: the run of another result of this program, later in the same expression, moves the elements
  using const_reference = T;
  using size_type = std::size_t;
};
template <class Runner, volute::extents Shape, class T>
struct xiterable_inner_types<volute::lazy<Runner, Shape, T>> {
  using inner_shape_type = std::array<std::size_t, static_cast<std::size_t>(Shape.rank)>;
  using const_stepper = xindexed_stepper<volute::lazy<Runner, Shape, T>, true>;
  using stepper = const_stepper;
};
}  // namespace xt

namespace volute {
inline namespace VOLUTE_ISA {

/// A result that is computed when it is needed. Assigned to a tensor (any xtensor container) it is computed straight into it, each time.
/// Used in any other way (in a larger expression, element by element, printed, reduced, assigned to a view) it is computed once and keeps
/// that value: where its program left it, and in memory of its own as soon as the program runs again. Holds what it was bound to:
/// references to named objects, the objects themselves if they were temporary; and refers to its model.
///
/// A runner computes: runner(destination) writes there, or for null into memory that it returns; runner.memory() is the workspace in which
/// that lies, or null if it is the runner's own.
template <class Runner, extents Shape, class T>
class [[nodiscard]] lazy : public xt::xsharable_expression<lazy<Runner, Shape, T>>,
                           public xt::xconst_iterable<lazy<Runner, Shape, T>>,
                           public xt::xconst_accessible<lazy<Runner, Shape, T>>,
                           private runtime::borrower {
  using iterable_base = xt::xconst_iterable<lazy>;
  using accessible_base = xt::xconst_accessible<lazy>;

 public:
  // What xtensor asks of an expression.
  using value_type = T;
  using reference = T;  // no reference: the run of another result of this program, later in the same expression, moves the elements
  using const_reference = T;
  using pointer = const T*;
  using const_pointer = const T*;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using bool_load_type = T;
  using inner_shape_type = typename iterable_base::inner_shape_type;
  using shape_type = inner_shape_type;
  using const_stepper = typename iterable_base::const_stepper;
  using stepper = const_stepper;
  using expression_tag = xt::xtensor_expression_tag;
  static constexpr xt::layout_type static_layout = xt::layout_type::row_major;
  static constexpr bool contiguous_layout = false;  // may not be read before it is computed

  explicit lazy(Runner r) : runner_(static_cast<Runner&&>(r)) {}
  /// Of one that has not been computed; of another, computed anew.
  lazy(lazy&& other) : runner_(static_cast<Runner&&>(other.runner_)) {}
  lazy(const lazy& other) requires std::is_copy_constructible_v<Runner> : runner_(other.runner_) {}

  /// What xtensor asks of every expression; known before anything is computed.
  static constexpr const shape_type& shape() noexcept { return xtensor_shape<Shape>; }
  static constexpr std::size_t shape(std::size_t axis) noexcept { return xtensor_shape<Shape>[axis]; }
  static constexpr std::size_t dimension() noexcept { return static_cast<std::size_t>(Shape.rank); }
  static constexpr std::size_t size() noexcept { return static_cast<std::size_t>(Shape.size()); }
  static constexpr std::size_t data_offset() noexcept { return 0; }  // xt::flip asks for it

  /// Called by xtensor when the result is assigned.
  template <class E>
  void assign_to(xt::xexpression<E>& e) const {
    if constexpr (runtime::never_fits<E, Shape>()) {
      static_assert(detail::accepted<detail::refused_for<runtime::destination_failure<E, Shape>>>::value);
    } else {
      E& to = e.derived_cast();
      if constexpr (requires { to.resize(shape_type{}); }) to.resize(xtensor_shape<Shape>);
      runtime::check_shape(to, Shape, "destination", "result");
      T* const direct = data_ != nullptr ? nullptr : runtime::dense_data<T>(to);
      if (direct != nullptr) {
        runner_(direct);
      } else {
        const T* from = data_ != nullptr ? data_ : runner_(nullptr);
        for (auto it = to.begin(); it != to.end(); ++it) *it = static_cast<typename E::value_type>(*from++);
      }
    }
  }

  /// The same of its elements: the first that is asked for computes all of them.
  static constexpr xt::layout_type layout() noexcept { return static_layout; }
  static constexpr bool is_contiguous() noexcept { return contiguous_layout; }
  template <class S>
  bool broadcast_shape(S& s, bool = false) const {
    return xt::broadcast_shape(shape(), s);
  }
  template <class S>
  static constexpr bool has_linear_assign(const S&) noexcept {
    return false;
  }
  template <class... Index>
  const_reference operator()(Index... i) const {
    return value()[xt::data_offset<difference_type>(strides, static_cast<difference_type>(i)...)];
  }
  template <class... Index>
  const_reference unchecked(Index... i) const {
    return value()[xt::unchecked_data_offset<difference_type>(strides, static_cast<difference_type>(i)...)];
  }
  template <class It>
  const_reference element(It first, It last) const {
    return value()[xt::element_offset<difference_type>(strides, first, last)];
  }
  template <class S>
  const_stepper stepper_begin(const S& s) const {
    value();
    return const_stepper(this, s.size() - dimension());
  }
  template <class S>
  const_stepper stepper_end(const S& s, xt::layout_type) const {
    return const_stepper(this, s.size() - dimension(), true);
  }

  /// An initialisation that cannot fit is refused here, before xtensor begins with it.
  template <class E>
  requires(runtime::never_fits<E, Shape>()) operator E() const {
    static_assert(detail::accepted<detail::refused_for<runtime::destination_failure<E, Shape>>>::value);
    return E();
  }

  /// Computes the value now if it has not been.
  void settle() const { value(); }

  /// The value of a result with one element.
  operator T() const requires(Shape.size() == 1) { return data_ != nullptr ? *data_ : *runner_(nullptr); }

 private:
  // 0 along axes of extent 1, as xtensor has them.
  static constexpr std::array<difference_type, static_cast<std::size_t>(Shape.rank)> strides = [] {
    std::array<difference_type, static_cast<std::size_t>(Shape.rank)> s{};
    for (int a = 0; a < Shape.rank; ++a) s[static_cast<std::size_t>(a)] = Shape[a] == 1 ? 0 : static_cast<difference_type>(Shape.stride(a));
    return s;
  }();

  mutable Runner runner_;
  mutable const T* data_ = nullptr;
  mutable owned_memory own_;

  /// The elements, computed now if they have not been.
  const T* value() const {
    if (data_ == nullptr) {
      data_ = runner_(nullptr);
      if (workspace* const w = runner_.memory()) const_cast<lazy&>(*this).borrow(*w);
    }
    return data_;
  }
  void copy_result() noexcept override {
    constexpr std::int64_t bytes = Shape.size() * static_cast<std::int64_t>(sizeof(T));
    own_ = allocate(bytes);
    data_ = static_cast<const T*>(std::memcpy(static_cast<void*>(own_.get()), data_, static_cast<std::size_t>(bytes)));
  }
};

}  // namespace VOLUTE_ISA

namespace runtime {
inline namespace VOLUTE_ISA {

/// Evaluates one expression, in a program that is made when it is first needed.
template <class E, class T, class... B>
class evaluation {
 public:
  explicit evaluation(B&&... b) : bound_(static_cast<B&&>(b)...) {}
  const T* operator()(T* destination) {
    if (!program_) program_ = std::make_unique<program<output_list<E>{}, T>>();
    std::apply([&](const auto&... b) { program_->run_into(destination, b...); }, bound_);
    return program_->output_data(0);
  }
  static constexpr workspace* memory() noexcept { return nullptr; }

 private:
  std::tuple<B...> bound_;
  std::unique_ptr<program<output_list<E>{}, T>> program_;
};

/// A value of its own: a number as it is, a view of the workspace copied.
template <class T, class Out, class V>
auto own(V&& v) {
  if constexpr (std::is_same_v<std::remove_cvref_t<V>, T>)
    return v;
  else
    return owned_tensor<T, Out::shape().rank>(v);
}

/// Runs a program once and copies its results out.
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
[[nodiscard]] auto evaluate(E, binding<Node, V>... b) {
  using failure = runtime::evaluation_failure_t<output_list<E>, Node...>;
  if constexpr (std::is_void_v<failure>) {
    using T = runtime::common_element<V...>;
    return lazy<runtime::evaluation<E, T, binding<Node, V>...>, E::shape(), T>(
        runtime::evaluation<E, T, binding<Node, V>...>(std::move(b)...));
  } else {
    if constexpr (!std::is_same_v<failure, reported>) static_assert(detail::accepted<detail::refused_for<failure>>::value);
    return runtime::nothing{};
  }
}

/// The values of several expressions, computed together at once: auto [value, gx] = evaluate(outputs(y, dx), x = volume, w = filter).
template <class... E, class... Node, class... V>
[[nodiscard]] auto evaluate(output_list<E...> o, binding<Node, V>... b) {
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
