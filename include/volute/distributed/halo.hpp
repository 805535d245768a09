// Planes that slabs give to their neighbours: the runs of a step are the slabs of a volume, in their order, and each rank has some in a
// row.
#pragma once

#include <volute/distributed/communicator.hpp>
#include <volute/distributed/lockstep.hpp>
#include <volute/distributed/tree.hpp>
#include <volute/graph/launch.hpp>
#include <volute/ops/primitives.hpp>

#include <algorithm>
#include <deque>
#include <vector>

namespace volute::distributed {
inline namespace VOLUTE_ISA {

/// The exchanges of a step, each in two halves: planes leave when they are made, and are taken when the launch `halo` has been made for all
/// runs of the rank; what is computed in between hides their way.
template <class T, communicator C>
class halo_exchange {
 public:
  halo_exchange(C& c, std::int64_t runs)
      : c_(c), runs_(runs), first_(first_run(runs, c.size(), c.rank())), last_(first_run(runs, c.size(), c.rank() + 1)) {}

  /// What is to be done there. Returns the seconds that it waited for others.
  template <class In, class Out>
  double at_stop(const stop& s, const graph::launch& l, bool adjoint, In in, Out out) {
    if (s.what == stop::kinds::planes_leave) begin(s.meeting, l, adjoint, in);
    if (s.what == stop::kinds::planes_again) give_again(s.meeting, l, out);
    if (s.what != stop::kinds::meets) return 0;
    const double waited = finish(s.meeting, l, adjoint, in, out);
    if (s.again) keep(s.meeting, l, out);
    return waited;
  }
  /// Moves on what is under way.
  void advance() {
    for (exchange& e : under_way_) e.done();
  }

 private:
  static constexpr int most = (last_tag - control_tag) / 2;  // exchanges at a time that tags tell apart

  /// Exchange `number` of the step begins: in(i) is what the launch is to read for run i.
  template <class In>
  void begin(int number, const graph::launch& l, bool adjoint, In in) {
    if (first_ == last_) return;
    const sides s(l, adjoint);
    const int below = first_ > 0 ? owner(first_ - 1) : -1, above = last_ < runs_ ? owner(last_) : -1;
    exchange& e = add(number);
    const int up_tag = control_tag + 1 + number % most * 2, down_tag = up_tag + 1;
    if (below >= 0) {
      if (s.down > 0) e.send(c_, below, down_tag, pack(e.to_below, s, in(first_), 0, s.down));
      if (s.up > 0) e.receive(c_, below, up_tag, e.from_below, s.elements(s.up));
    }
    if (above >= 0) {
      if (s.up > 0) e.send(c_, above, up_tag, pack(e.to_above, s, in(last_ - 1), s.up_from, s.up));
      if (s.down > 0) e.receive(c_, above, down_tag, e.from_above, s.elements(s.down));
    }
  }

  /// The end of it: out(i) is what the launch wrote for run i. The planes that a slab gets are written, or (the adjoint's) added, those of
  /// its lower neighbour first. Returns the seconds that it waited.
  template <class In, class Out>
  double finish(int number, const graph::launch& l, bool adjoint, In in, Out out) {
    if (first_ == last_) return 0;
    const sides s(l, adjoint);
    exchange& e = *std::find_if(under_way_.begin(), under_way_.end(), [&](const exchange& x) { return x.number == number; });
    const auto begun = std::chrono::steady_clock::now();
    wait_until(
        c_.rank(), c_.patience(), [&] { return e.done(); }, [&] { return name_of(e.missing()); });
    const double waited = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    for (std::int64_t i = first_; i < last_; ++i) {
      const std::int64_t whole = s.inner_stride();
      if (i > first_)
        take(s, in(i - 1) + s.up_from * s.h.plane, whole, out(i), 0, s.up);
      else if (first_ > 0)
        take(s, e.from_below.data(), s.up * s.h.plane, out(i), 0, s.up);
      if (i + 1 < last_)
        take(s, in(i + 1), whole, out(i), s.down_to, s.down);
      else if (last_ < runs_)
        take(s, e.from_above.data(), s.down * s.h.plane, out(i), s.down_to, s.down);
    }
    e.number = -1;
    return waited;
  }

  /// Keeps the planes of exchange `number` for the launches that want them again, and gives them to one.
  template <class Out>
  void keep(int number, const graph::launch& l, Out out) {
    kept(number, l, out, [](T* planes, T* own, std::int64_t n) { std::copy_n(planes, n, own); });
  }
  template <class Out>
  void give_again(int number, const graph::launch& l, Out out) {
    kept(number, l, out, [](T* planes, T* own, std::int64_t n) { std::copy_n(own, n, planes); });
  }

  /// A slab gives `up` planes to the one above it, from plane up_from on: its last ones, or the halo that lies behind them; and `down`
  /// ones, its first, to the one below.
  struct sides {
    ops::halo_sizes h;
    bool adjoint;
    std::int64_t up, down, up_from, down_to;
    sides(const graph::launch& l, bool is_adjoint)
        : h(l.nest),
          adjoint(is_adjoint),
          up(adjoint ? h.hi : h.lo),
          down(adjoint ? h.lo : h.hi),
          up_from(adjoint ? h.lo + h.planes : h.planes - h.lo),
          down_to(adjoint ? h.planes - h.lo : h.lo + h.planes) {}  // and those from below go to plane 0
    std::size_t elements(std::int64_t n) const { return static_cast<std::size_t>(h.channels * n * h.plane); }
    /// From channel to channel of what is read, and of what is written.
    std::int64_t inner_stride() const { return adjoint ? h.outer() : h.inner(); }
    std::int64_t outer_stride() const { return adjoint ? h.inner() : h.outer(); }
  };

  struct exchange {
    struct operation {
      typename C::request request;
      int with;
      bool done = false;
    };
    int number = -1;  // -1: over, its memory is for the next one
    std::vector<operation> operations;
    std::vector<T> to_below, from_below, to_above, from_above;

    void send(C& c, int to, int tag, const std::vector<T>& planes) {
      operations.push_back({c.send(to, tag, std::as_bytes(std::span(planes))), to});
    }
    void receive(C& c, int from, int tag, std::vector<T>& planes, std::size_t size) {
      planes.resize(size);
      operations.push_back({c.receive(from, tag, std::as_writable_bytes(std::span(planes))), from});
    }
    bool done() {
      bool all = true;
      for (operation& o : operations) {
        if (!o.done) o.done = o.request.done();
        all = all && o.done;
      }
      return all;
    }
    int missing() const {
      for (const operation& o : operations)
        if (!o.done) return o.with;
      return -1;
    }
  };

  C& c_;
  std::int64_t runs_, first_, last_;
  std::deque<exchange> under_way_;
  std::vector<std::vector<T>> kept_;

  exchange& add(int number) {
    auto free = std::find_if(under_way_.begin(), under_way_.end(), [](const exchange& e) { return e.number < 0; });
    exchange& e = free != under_way_.end() ? *free : under_way_.emplace_back();
    e.number = number;
    e.operations.clear();
    return e;
  }
  static const std::vector<T>& pack(std::vector<T>& to, const sides& s, const T* given, std::int64_t from, std::int64_t n) {
    to.resize(s.elements(n));
    for (std::int64_t k = 0; k < s.h.channels; ++k)
      std::copy_n(given + k * s.inner_stride() + from * s.h.plane, n * s.h.plane, to.data() + k * n * s.h.plane);
    return to;
  }
  static void take(const sides& s, const T* from, std::int64_t stride, T* out, std::int64_t to, std::int64_t n) {
    for (std::int64_t k = 0; k < s.h.channels; ++k) {
      const T* const a = from + k * stride;
      T* const b = out + k * s.outer_stride() + to * s.h.plane;
      for (std::int64_t e = 0; e < n * s.h.plane; ++e) b[e] = s.adjoint ? b[e] + a[e] : a[e];
    }
  }
  template <class Out, class Move>
  void kept(int number, const graph::launch& l, Out out, Move move) {
    const ops::halo_sizes h(l.nest);
    if (kept_.size() <= static_cast<std::size_t>(number)) kept_.resize(static_cast<std::size_t>(number) + 1);
    std::vector<T>& all = kept_[static_cast<std::size_t>(number)];
    all.resize(static_cast<std::size_t>((last_ - first_) * h.channels * (h.lo + h.hi) * h.plane));
    T* own = all.data();
    for (std::int64_t i = first_; i < last_; ++i)
      for (std::int64_t k = 0; k < h.channels; ++k) {
        T* const channel = out(i) + k * h.outer();
        move(channel, own, h.lo * h.plane);
        own += h.lo * h.plane;
        move(channel + (h.lo + h.planes) * h.plane, own, h.hi * h.plane);
        own += h.hi * h.plane;
      }
  }

  /// The rank that has a run.
  int owner(std::int64_t run) const {
    int r = 0;
    while (first_run(runs_, c_.size(), r + 1) <= run) ++r;
    return r;
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::distributed
