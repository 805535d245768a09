// Runs that meet: where the statistics of batch norms are synchronised, a run stops at each of these launches until all runs of a step are
// there. The launches are known while compiling; the runs of a rank take turns between them, each in a workspace of its own.
#pragma once

#include <volute/distributed/buckets.hpp>
#include <volute/kernels/update.hpp>
#include <volute/runtime/workspace.hpp>

#include <algorithm>
#include <tuple>
#include <vector>

namespace volute::distributed {

/// Whether two launches `halo` get the same planes: those of one slab, the second time for a derivative.
constexpr bool same_planes(const graph::launch& a, const graph::launch& b) {
  return a.value != 0 && a.value == b.value && a.nest.extent[3] == b.nest.extent[3] && a.nest.extent[4] == b.nest.extent[4];
}

/// The launches at which the runs of a step meet, in their order: `size` is in elements, whole cache lines, of what is summed over all
/// runs, or 0 where neighbours exchange halos. Planes that a run has been given before are kept: there it need not wait.
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
    if (!meets(kind(i))) continue;
    constexpr std::int64_t unit = kernels::update_unit;
    const graph::launch& l = Plan::tables.launches[i];
    const bool sums = kind(i) == graph::kernel_kind::all_reduce;
    bool again = false;
    for (int k = 0; !sums && k < list.count; ++k)
      again = again || (list.all[k].size == 0 && same_planes(Plan::tables.launches[list.all[k].launch], l));
    if (!again) list.all[list.count++] = {0, sums ? (l.nest.extent[0] + unit - 1) / unit * unit : 0, i};
  }
  return list;
}();

/// What the runs of a rank do between two launches: they meet; their planes leave for the neighbours, as soon as they are made and before
/// the launch that wants them; or a slab gets kept planes once more.
struct stop {
  enum class kinds : std::int8_t { meets, planes_leave, planes_again };
  int before = 0;  // this launch
  kinds what{};
  int meeting = 0;  // which of meetings_of; of kept planes, the one that brought them
  int launch = 0;
  bool again = false;  // its planes are to be kept
};

/// The last launch that writes what launch `reader` reads first; -1: an input.
template <class Plan>
int last_writer(int reader) {
  const graph::place& read = Plan::tables.launches[reader].in[0];
  if (read.where == graph::space::input) return -1;
  const auto within = [](const graph::place& p, const graph::value_info& v) {
    return p.where == v.at.where && p.slot == v.at.slot && p.offset >= v.at.offset && p.offset < v.at.offset + v.size;
  };
  int last = -1;
  for (int k = 0; k < Plan::value_count; ++k) {
    const graph::value_info& v = Plan::tables.values[k];
    if (v.first > reader || v.last < reader || !within(read, v)) continue;
    for (int i = reader - 1; i >= v.first && i > last; --i)
      if (within(Plan::tables.launches[i].out, v)) last = i;
  }
  return last >= 0 ? last : reader - 1;
}

/// All of them, in their order.
template <class Plan>
std::vector<stop> stops_of() {
  constexpr auto& meetings = meetings_of<Plan>;
  std::vector<stop> all;
  for (int i = 0, k = 0; meetings.count > 0 && i < Plan::size.launches; ++i) {
    const graph::launch& l = Plan::tables.launches[i];
    if (k < meetings.count && meetings.all[k].launch == i) {
      if (meetings.all[k].size == 0) all.push_back({last_writer<Plan>(i) + 1, stop::kinds::planes_leave, k, i});
      all.push_back({i + 1, stop::kinds::meets, k++, i});
    } else if (Plan::tables.kernels[l.kernel].kind == graph::kernel_kind::halo) {
      int first = 0;
      while (meetings.all[first].size != 0 || !same_planes(Plan::tables.launches[meetings.all[first].launch], l)) ++first;
      for (stop& s : all) s.again = s.again || (s.what == stop::kinds::meets && s.meeting == first);
      all.push_back({i + 1, stop::kinds::planes_again, first, i});
    }
  }
  const auto order = [](const stop& s) { return std::tuple(s.before, s.what != stop::kinds::planes_leave, s.launch); };  // no two alike
  std::sort(all.begin(), all.end(), [&](const stop& earlier, const stop& later) { return order(earlier) < order(later); });
  return all;
}

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
