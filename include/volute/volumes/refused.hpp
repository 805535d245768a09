// What stands for a program of tiles, windows or batches whose network is refused.
#pragma once

#include <volute/language/failure.hpp>
#include <volute/runtime/nothing.hpp>

#include <type_traits>

namespace volute::volumes {

/// Says why, once, where it is made; whatever is done with it stays silent.
template <class Failure>
class refused_runs {
 public:
  static constexpr bool is_refused = true;
  refused_runs() {
    if constexpr (!std::is_same_v<Failure, reported>) static_assert(detail::accepted<detail::refused_for<Failure>>::value);
  }
  template <class Weights>
  explicit refused_runs(const Weights&) : refused_runs() {}
  template <class... Anything>
  bool run(const Anything&...) {
    return false;
  }
  template <class... V>
  runtime::nothing operator()(const V&...) {
    return {};
  }
};

}  // namespace volute::volumes
