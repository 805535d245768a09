// Vectors for numbers.
#pragma once

#include <volute/nn/options.hpp>

namespace volute::nn {

/// Row x of a table for each element x: (...) -> (..., Width). Parameter: weight (Count, Width), N(0, 1). As torch.nn.Embedding.
template <std::int64_t Count, std::int64_t Width>
struct embedding : layer<embedding<Count, Width>> {
  static constexpr text kind = "embedding";
  static constexpr auto forward(expression auto x) {
    return volute::embedding(x, detail::learned<"weight", make_extents(Count, Width), initializer{initializer::normal, 1}>);
  }
};

}  // namespace volute::nn
