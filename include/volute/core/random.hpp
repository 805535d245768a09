// What the random numbers of a program depend on.
#pragma once

#include <cstdint>

namespace volute {

/// The seed, and the number of the next run. Two programs in the same state draw the same numbers.
struct random_state {
  std::uint64_t seed = 0;
  std::uint64_t run = 0;
  friend constexpr bool operator==(const random_state&, const random_state&) = default;
};

}  // namespace volute
