// The order in which the gradients of a step's runs are added: a binary tree over the runs, the same for any number of ranks. Runs 2k and
// 2k + 1 are added, then pairs of pairs, and so on; what has no neighbour goes up as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace volute::distributed {

/// Rank r has the runs from first_run(runs, ranks, r) to first_run(runs, ranks, r + 1).
constexpr std::int64_t first_run(std::int64_t runs, int ranks, int rank) { return runs * rank / ranks; }

/// Runs [index << level, (index + 1) << level).
struct tree_node {
  int level = 0;
  std::int64_t index = 0;
  friend constexpr bool operator==(const tree_node&, const tree_node&) = default;
};

/// The largest node that begins with run `begin` and ends before `end`.
constexpr tree_node largest_node(std::int64_t begin, std::int64_t end) {
  int level = 0;
  while ((begin >> level) % 2 == 0 && ((begin >> level) + 2) << level <= end) ++level;
  return {level, begin >> level};
}
/// Of how many nodes the runs [begin, end) are made up, each as large as can be: as many partial sums there are once these runs are added.
constexpr int nodes_of(std::int64_t begin, std::int64_t end) {
  int n = 0;
  for (; begin < end; ++n) begin += std::int64_t{1} << largest_node(begin, end).level;
  return n;
}

/// What each rank adds by itself, and what becomes one after that.
struct summation_tree {
  struct partial {
    tree_node node;
    int rank = 0, slot = 0;  // which of its rank's
  };
  struct merge {
    int into = 0, from = 0;  // of the partial sums
  };
  std::vector<partial> partials;  // from the first run to the last
  std::vector<merge> merges;      // in this order; the whole sum is then in partial sum 0

  summation_tree(std::int64_t runs, int ranks) {
    for (int r = 0; r < ranks; ++r) {
      const std::int64_t end = first_run(runs, ranks, r + 1);
      int slot = 0;
      for (std::int64_t at = first_run(runs, ranks, r); at < end; ++slot) {
        const tree_node n = largest_node(at, end);
        partials.push_back({n, r, slot});
        at += std::int64_t{1} << n.level;
      }
    }
    int level = 0;
    while (std::int64_t{1} << level < runs) ++level;
    add({level, 0}, runs);
  }

 private:
  /// Adds what is below a node; the number of the partial sum that holds it then, or -1 if no run is below it.
  int add(tree_node n, std::int64_t runs) {
    if (n.index << n.level >= runs) return -1;
    for (std::size_t k = 0; k < partials.size(); ++k)
      if (partials[k].node == n) return static_cast<int>(k);
    const int left = add({n.level - 1, 2 * n.index}, runs), right = add({n.level - 1, 2 * n.index + 1}, runs);
    if (right >= 0) merges.push_back({left, right});
    return left;
  }
};

}  // namespace volute::distributed
