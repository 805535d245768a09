// How tensors get in: any xtensor expression (or span, or number for a scalar) of the right shape. Dense row-major data of the program's
// own type is read where it lies; everything else is copied, and converted, into memory that the program already has.
#pragma once

#include <volute/core/extents.hpp>
#include <volute/runtime/error.hpp>

#include <algorithm>
#include <concepts>
#include <string_view>
#include <type_traits>

namespace volute::runtime {

/// What knows its shape: an xtensor expression, such as a tensor or a view of one.
template <class V>
concept shaped = requires(const V& v) {
  v.shape();
  v.dimension();
};

/// What can be bound: a number, a tensor, a range.
template <class V>
concept bindable = std::is_arithmetic_v<std::remove_cvref_t<V>> || requires(const std::remove_cvref_t<V>& v) {
  v.size();
  v.begin();
  v.end();
};

/// The element type of something that can be bound.
template <class V>
struct element_of {
  using type = V;
};
template <class V>
requires requires { typename V::value_type; }
struct element_of<V> {
  using type = typename V::value_type;
};

template <class V>
inline constexpr bool is_wide =
    std::is_same_v<typename element_of<std::remove_cvref_t<V>>::type, double> ||
    std::is_same_v<typename element_of<std::remove_cvref_t<V>>::type, long double>;
/// double if anything bound is double (or long double), else float: whole numbers do not decide.
template <class... V>
using common_element = std::conditional_t<(is_wide<V> || ...), double, float>;

inline namespace VOLUTE_ERRORS {

/// Refuses what has another shape (see runtime/error.hpp).
template <class V>
void check_shape(const V& v, const extents& e, const char* what, std::string_view name) {
  bool fits;
  if constexpr (shaped<V>) {
    fits = static_cast<int>(v.dimension()) == e.rank;
    int a = 0;
    for (auto d : v.shape()) {
      fits = fits && static_cast<std::int64_t>(d) == e.dim[a < max_rank ? a : 0];
      ++a;
    }
  } else if constexpr (std::is_arithmetic_v<V>) {
    fits = e.size() == 1;
  } else {
    fits = static_cast<std::int64_t>(v.size()) == e.size();
  }
  if (fits) return;
  std::string found = "a number";
  if constexpr (shaped<V>)
    found = format_shape(v.shape());
  else if constexpr (!std::is_arithmetic_v<V>)
    found = std::to_string(v.size()) + " elements";
  std::string expected = "(";
  for (int a = 0; a < e.rank; ++a)
    expected.append(a > 0 ? "," : "").append(std::to_string(e[a]));  // operator+ draws a false -Wrestrict from g++ 12
  fail(std::string(what) + " '" + std::string(name) + "': expected " + expected + "), found " + found);
}

}  // namespace VOLUTE_ERRORS

/// The elements of v if they lie dense and row-major as T, else null.
template <class T, class V>
auto dense_data(V& v) -> std::conditional_t<std::is_const_v<V>, const T*, T*> {
  if constexpr (requires {
                  v.data();
                  v.strides();
                  v.data_offset();
                }) {
    if constexpr (std::is_same_v<std::remove_const_t<std::remove_pointer_t<decltype(v.data())>>, T>) {
      std::ptrdiff_t dense = 1;
      const auto& shape = v.shape();
      const auto& strides = v.strides();
      for (std::size_t a = v.dimension(); a-- > 0;) {
        if (shape[a] != 1 && static_cast<std::ptrdiff_t>(strides[a]) != dense) return nullptr;
        dense *= static_cast<std::ptrdiff_t>(shape[a]);
      }
      return v.data() + v.data_offset();
    }
  } else if constexpr (!shaped<std::remove_const_t<V>> && requires {
                         v.data();
                         v.size();
                       }) {
    if constexpr (std::is_same_v<std::remove_const_t<std::remove_pointer_t<decltype(v.data())>>, T>) return v.data();
  }
  return nullptr;
}

inline namespace VOLUTE_ERRORS {

/// Checks the shape of v; returns its elements, copied to `staging` if they cannot be read in place.
template <class T, class V>
const T* accept(const V& v, const extents& e, const char* what, std::string_view name, T* staging) {
  check_shape(v, e, what, name);
  if constexpr (std::is_arithmetic_v<V>) {
    *staging = static_cast<T>(v);
  } else {
    if (const T* direct = dense_data<T>(v)) return direct;
    std::transform(v.begin(), v.end(), staging, [](const auto& element) { return static_cast<T>(element); });
  }
  return staging;
}

}  // namespace VOLUTE_ERRORS

}  // namespace volute::runtime
