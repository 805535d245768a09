// What tests of distributed training compare.
#pragma once

#include <vector>

namespace distributed_test {

/// Parameters, then what the optimiser keeps.
template <class Trainer>
std::vector<double> everything(Trainer& t) {
  std::vector<double> all;
  for (const auto& p : t.parameter_table()) all.insert(all.end(), p.data, p.data + p.shape.size());
  for (const auto& b : t.state_blocks()) all.insert(all.end(), b.values.begin(), b.values.end());
  return all;
}

}  // namespace distributed_test
