// Runs that meet: where the statistics of batch norms are synchronised, a run stops at each of these launches until all runs of a step are
// there. The launches are known while compiling; the runs of a rank take turns between them, each in a workspace of its own.
#pragma once

#include <volute/distributed/buckets.hpp>
#include <volute/kernels/update.hpp>
#include <volute/runtime/workspace.hpp>

#include <vector>

namespace volute::distributed {

/// The launches at which the runs of a step meet, in their order: `size` is in elements, whole cache lines, of what is summed over all
/// runs, or 0 where neighbours exchange halos.
template <class Plan>
inline constexpr auto meetings_of = [] {
  constexpr auto kind = [](int i) { return Plan::tables.kernels[Plan::tables.launches[i].kernel].kind; };
  constexpr auto meets = [](graph::kernel_kind k) { return k == graph::kernel_kind::all_reduce || k == graph::kernel_kind::halo; };
  constexpr int count = [&] {
    int n = 0;
    for (int i = 0; i < Plan::size.launches; ++i) n += meets(kind(i));
    return n;
  }();
  bucket_list<count> list;
  for (int i = 0; i < Plan::size.launches; ++i) {
    constexpr std::int64_t unit = kernels::update_unit;
    const bool sums = kind(i) == graph::kernel_kind::all_reduce;
    if (meets(kind(i))) list.all[list.count++] = {0, sums ? (Plan::tables.launches[i].nest.extent[0] + unit - 1) / unit * unit : 0, i};
  }
  return list;
}();

inline namespace VOLUTE_ISA {

/// Workspaces for the runs of a rank: the trainer's own for the first one.
class workspaces {
 public:
  workspaces(std::int64_t runs, std::int64_t bytes, std::int64_t worker_bytes) : bytes_(bytes), worker_bytes_(worker_bytes) {
    for (std::int64_t k = 1; k < runs; ++k) more_.emplace_back(bytes, worker_bytes);
  }
  /// That of a run, numbered from 0.
  workspace& operator()(workspace& own, std::int64_t run) { return run == 0 ? own : more_[static_cast<std::size_t>(run - 1)]; }
  /// All of them work with whom `own` works with. Allocates if that has changed.
  void follow(const workspace& own) {
    for (workspace& w : more_) {
      if (w.workers() == own.workers()) continue;
      if (own.workers() != nullptr)
        w.use(*own.workers());
      else
        w = workspace(bytes_, worker_bytes_);
    }
  }

 private:
  std::int64_t bytes_, worker_bytes_;
  std::vector<workspace> more_;
};

}  // namespace VOLUTE_ISA
}  // namespace volute::distributed
