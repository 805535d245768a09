// Planes that slabs give to their neighbours: the runs of a step are the slabs of a volume, in their order, and each rank has some in a
// row.
#pragma once

#include <volute/distributed/communicator.hpp>
#include <volute/distributed/tree.hpp>
#include <volute/graph/launch.hpp>
#include <volute/ops/primitives.hpp>

#include <algorithm>
#include <vector>

namespace volute::distributed {
inline namespace VOLUTE_ISA {

/// The exchange after a launch `halo` was made for all runs of a rank.
template <class T, communicator C>
class halo_exchange {
 public:
  halo_exchange(C& c, std::int64_t runs)
      : c_(c), runs_(runs), first_(first_run(runs, c.size(), c.rank())), last_(first_run(runs, c.size(), c.rank() + 1)) {}

  /// in(i) and out(i) are what the launch read and wrote for run i. The planes that a slab gets are written, or (the adjoint's) added,
  /// those of its lower neighbour first.
  template <class In, class Out>
  void exchange(const graph::launch& l, bool adjoint, In in, Out out) {
    if (first_ == last_) return;
    const ops::halo_sizes h(l.nest);
    // A slab gives `up` planes to the one above it, which are its last ones, or the halo that lies behind them; and `down` ones below.
    const std::int64_t up = adjoint ? h.hi : h.lo, up_from = adjoint ? h.lo + h.planes : h.planes;
    const std::int64_t down = adjoint ? h.lo : h.hi, down_from = adjoint ? 0 : h.lo;
    const std::int64_t down_to = adjoint ? h.planes - h.lo : h.lo + h.planes;  // and those from below go to plane 0
    const auto pack = [&](std::vector<T>& to, std::int64_t i, std::int64_t from, std::int64_t n) {
      const T* const given = adjoint ? in(i) : out(i);
      to.resize(static_cast<std::size_t>(h.channels * n * h.plane));
      for (std::int64_t k = 0; k < h.channels; ++k)
        std::copy_n(given + k * h.outer() + from * h.plane, n * h.plane, to.data() + k * n * h.plane);
    };
    const auto take = [&](const std::vector<T>& from, std::int64_t i, std::int64_t to, std::int64_t n) {
      for (std::int64_t k = 0; k < h.channels; ++k) {
        const T* const a = from.data() + k * n * h.plane;
        T* const b = out(i) + k * (adjoint ? h.inner() : h.outer()) + to * h.plane;
        for (std::int64_t e = 0; e < n * h.plane; ++e) b[e] = adjoint ? b[e] + a[e] : a[e];
      }
    };
    const auto size = [&](std::int64_t n) { return static_cast<std::size_t>(h.channels * n * h.plane); };
    const int below = first_ > 0 ? owner(first_ - 1) : -1, above = last_ < runs_ ? owner(last_) : -1;
    std::vector<pending> under_way;
    if (below >= 0) {
      pack(to_below_, first_, down_from, down);
      from_below_.resize(size(up));
      if (down > 0) under_way.push_back({c_.send(below, down_tag, std::as_bytes(std::span(to_below_))), below});
      if (up > 0) under_way.push_back({c_.receive(below, up_tag, std::as_writable_bytes(std::span(from_below_))), below});
    }
    if (above >= 0) {
      pack(to_above_, last_ - 1, up_from, up);
      from_above_.resize(size(down));
      if (up > 0) under_way.push_back({c_.send(above, up_tag, std::as_bytes(std::span(to_above_))), above});
      if (down > 0) under_way.push_back({c_.receive(above, down_tag, std::as_writable_bytes(std::span(from_above_))), above});
    }
    for (pending& p : under_way) wait(c_, std::move(p.request), p.with);
    if (below >= 0) take(from_below_, first_, 0, up);
    for (std::int64_t i = first_; i + 1 < last_; ++i) {
      pack(parcel_, i + 1, down_from, down);
      pack(other_, i, up_from, up);
      take(parcel_, i, down_to, down);
      take(other_, i + 1, 0, up);
    }
    if (above >= 0) take(from_above_, last_ - 1, down_to, down);
  }

 private:
  static constexpr int up_tag = control_tag + 1, down_tag = control_tag + 2;
  struct pending {
    typename C::request request;
    int with;
  };
  C& c_;
  std::int64_t runs_, first_, last_;
  std::vector<T> to_below_, from_below_, to_above_, from_above_, parcel_, other_;

  /// The rank that has a run.
  int owner(std::int64_t run) const {
    int r = 0;
    while (first_run(runs_, c_.size(), r + 1) <= run) ++r;
    return r;
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::distributed
