// The results of a program's last run, by place or by name.
#pragma once

#include <volute/language/gradient.hpp>
#include <volute/runtime/error.hpp>
#include <volute/runtime/planned.hpp>
#include <volute/runtime/nothing.hpp>

namespace volute::runtime {

/// Of a program or model with these results: result<"mask">() is the one that was called named_result<"mask">(y), result<1>() the second
/// one, a view of the program's memory that is good until the next run.
template <class Program, class... E>
class result_members {
 public:
  /// The result of this name, of the last run. A name that no result has, or several have, does not compile.
  template <text Name>
  auto result() noexcept {
    constexpr line name(Name.view());
    constexpr int count = (0 + ... + (detail::result_name<E> == name ? 1 : 0));
    if constexpr (count > 1) {
      constexpr line wanted = line("one result ") << name.view();
      constexpr line got = line("got ") << count << " of this name";
      static_assert(detail::accepted<detail::refused_for<failed<text(""), to_text<wanted>(), to_text<got>()>>>::value);
      return nothing{};
    } else {
      return found<[&] {
        int i = 0, place = -1;
        ((place = detail::result_name<E> == name ? i : place, ++i), ...);
        return place;
      }(),
                   name>();
    }
  }
  /// The result at this place, counted from 0.
  template <int Place>
  auto result() noexcept {
    constexpr line name = line() << Place;
    return found<Place, name>();
  }

 private:
  template <int Place, line Name>
  auto found() noexcept {
    if constexpr (Program::is_refused) {
      return nothing{};
    } else if constexpr (Place < 0 || Place >= static_cast<int>(sizeof...(E))) {
      constexpr line wanted = line("a result ") << Name.view();
      constexpr line got = line("got ") << static_cast<int>(sizeof...(E)) << " without it";
      static_assert(detail::accepted<detail::refused_for<failed<text(""), to_text<wanted>(), to_text<got>()>>>::value);
      return nothing{};
    } else {
      using type = std::tuple_element_t<static_cast<std::size_t>(Place), std::tuple<E...>>;
      constexpr int output = [] {  // gradients by all parameters lie behind the other results
        int i = 0, before = 0;
        ((before += i++ < Place && !lowering::makes_parameter_gradients<E> ? 1 : 0), ...);
        return before;
      }();
      static_assert(!lowering::makes_parameter_gradients<type>, "volute: gradient_table() has the gradients by all parameters");
      return tensor_view<type::shape()>(static_cast<Program&>(*this).output_data(output));
    }
  }
};

}  // namespace volute::runtime
