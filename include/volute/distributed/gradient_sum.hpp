// The sum of all runs' gradients on every rank, bucket by bucket, while the rest of the last run goes on.
#pragma once

#include <volute/core/memory.hpp>
#include <volute/distributed/buckets.hpp>
#include <volute/distributed/communicator.hpp>
#include <volute/distributed/tree.hpp>
#include <volute/kernels/update.hpp>

#include <cstring>

namespace volute::distributed {

/// In which order gradients are added. `same_bits`: a binary tree over the runs, whatever the number of ranks. `fast`: each rank its own
/// runs one after the other, then as the engine's all_reduce likes to; other bits for another number of ranks.
enum class summation : std::int8_t { same_bits, fast };

inline namespace VOLUTE_ISA {

/// For `same_bits` each rank keeps the partial sums of its runs (one where ranks have 2^k runs each, at most twice the digits of that
/// number else; of a single run that is its gradients, where they lie), sends each other rank that rank's share of them, adds up its own
/// share in the tree's order, and gives the result to all: with one partial sum a rank 2 (ranks - 1) / ranks times the gradients' bytes go
/// out, as in a ring.
template <class T, communicator C>
class gradient_sum {
 public:
  /// Buckets are whole cache lines; together they are `elements` elements.
  gradient_sum(C& c, summation how, std::int64_t runs, std::vector<bucket> buckets)
      : c_(c),
        how_(how),
        runs_(runs),
        buckets_(std::move(buckets)),
        tree_(how == summation::same_bits ? runs : 0, c.size()),
        flight_(buckets_.size()) {
    for (const bucket& b : buckets_) elements_ = std::max(elements_, b.offset + b.size);
    first_ = first_run(runs, c.size(), c.rank()), last_ = first_run(runs, c.size(), c.rank() + 1);
    sum_ = room(elements_);
    if (how_ == summation::fast) return;
    for (std::int64_t i = first_; i < last_; ++i) slots_ = std::max(slots_, nodes_of(first_, i + 1));
    for (const auto& p : tree_.partials) held_ += p.rank == c.rank(), tags_ = std::max(tags_, p.slot + 2);
    if (tags_ * static_cast<int>(buckets_.size()) > control_tag)
      fail("gradients of " + std::to_string(runs) + " runs over " + std::to_string(c.size()) + " ranks: expected at most " +
           std::to_string(control_tag) + " messages for two ranks, found " + std::to_string(tags_ * static_cast<int>(buckets_.size())));
    in_place_ = last_ - first_ == 1;
    if (!in_place_) partial_ = room(slots_ * elements_);
    std::int64_t incoming = 0;
    const std::int64_t others = static_cast<std::int64_t>(tree_.partials.size()) - held_;
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      flight_[b].incoming = incoming;
      incoming += others * share(b, c.rank()).size;
    }
    incoming_ = room(incoming);
    where_.resize(tree_.partials.size());
  }

  /// One bucket of the gradients of a run of this rank, the runs in their order. Those of a rank's only run are read until finish(); what
  /// is given of a bucket stays there.
  void add(std::size_t b, std::int64_t run, const T* gradients, const kernels::team<T>& workers) noexcept {
    const auto [offset, size, launch] = buckets_[b];
    if (how_ == summation::fast) {
      kernels::accumulate(gradients, data(sum_) + offset, run == first_, size, workers);
      return;
    }
    if (in_place_) {
      flight_[b].only = gradients;
      return;
    }
    const int before = nodes_of(first_, run), after = nodes_of(first_, run + 1);
    if (after > before) {
      kernels::accumulate(gradients, slot(before) + offset, true, size, workers);
      return;
    }
    kernels::accumulate(gradients, slot(before - 1) + offset, false, size, workers);
    for (int k = before - 1; k >= after; --k) kernels::accumulate<T>(slot(k) + offset, slot(k - 1) + offset, false, size, workers);
  }

  /// Bucket b has been added for all runs of this rank and may leave; the ranks begin the buckets in the same order.
  void begin(std::size_t b) {
    state& f = flight_[b];
    f.stage = stages::sums;
    if (how_ == summation::fast) {
      const auto [offset, size, launch] = buckets_[b];
      if (first_ == last_) std::fill_n(data(sum_) + offset, size, T(0));
      f.outgoing.push_back({c_.all_reduce(std::span<T>(data(sum_) + offset, static_cast<std::size_t>(size))), -1});
      return;
    }
    const bucket mine = share(b, c_.rank());
    const int tag = static_cast<int>(b) * tags_, me = c_.rank();
    T* to = data(incoming_) + f.incoming;
    for (std::size_t k = 0; k < tree_.partials.size(); ++k) {
      const auto& p = tree_.partials[k];
      if (p.rank == me || mine.size == 0) continue;
      f.sums.push_back({c_.receive(p.rank, tag + p.slot, bytes(to, mine.size)), p.rank});
      to += mine.size;
    }
    for (int r = 0; r < c_.size(); ++r) {
      const bucket theirs = share(b, r);
      if (r == me || theirs.size == 0) continue;
      for (int k = 0; k < held_; ++k)
        f.outgoing.push_back(
            {c_.send(r, tag + k, std::as_bytes(std::span(held(b, k, theirs.offset), static_cast<std::size_t>(theirs.size)))), r});
      f.outgoing.push_back({c_.receive(r, tag + tags_ - 1, bytes(data(sum_) + theirs.offset, theirs.size)), r});
    }
  }

  /// Moves on what can be; true when every bucket that was begun is summed.
  bool advance() {
    bool all = true;
    for (std::size_t b = 0; b < buckets_.size(); ++b) {
      state& f = flight_[b];
      if (f.stage == stages::sums && finished(f.sums)) {
        if (how_ == summation::same_bits) add_up(b);
        f.stage = stages::results;
      }
      if (f.stage == stages::results && finished(f.outgoing)) f.stage = stages::idle;
      all = all && f.stage == stages::idle;
    }
    return all;
  }
  /// Waits for all of them.
  void finish() {
    wait_until(
        c_.rank(), c_.patience(), [&] { return advance(); }, [&] { return name_of(missing()); });
  }

  /// Waits for one of them, which the others may be behind.
  void finish(std::size_t b) {
    wait_until(
        c_.rank(), c_.patience(), [&] { return advance() || flight_[b].stage == stages::idle; }, [&] { return name_of(missing()); });
  }

  /// The sum, after finish(), and that of one bucket.
  const T* sum() const noexcept { return data(sum_); }
  const T* sum(std::size_t b) const noexcept { return data(sum_) + buckets_[b].offset; }

 private:
  struct operation {
    typename C::request request;
    int with;
    bool done = false;
  };
  enum class stages : std::int8_t { idle, sums, results };
  struct state {
    stages stage = stages::idle;
    std::vector<operation> sums, outgoing;  // partial sums for this rank's share; what else is under way
    std::int64_t incoming = 0;              // where they arrive
    const T* only = nullptr;                // the gradients of a rank's only run
  };

  C& c_;
  summation how_;
  std::int64_t runs_, elements_ = 0, first_ = 0, last_ = 0;
  std::vector<bucket> buckets_;
  summation_tree tree_;
  std::vector<state> flight_;
  int slots_ = 0, held_ = 0, tags_ = 1;
  bool in_place_ = false;
  owned_memory sum_, partial_, incoming_;
  std::vector<T*> where_;

  static owned_memory room(std::int64_t elements) { return allocate(bytes_of_tensor(elements * static_cast<std::int64_t>(sizeof(T)))); }
  static T* data(const owned_memory& m) noexcept { return reinterpret_cast<T*>(m.get()); }
  T* slot(int k) const noexcept { return data(partial_) + k * elements_; }
  /// A partial sum of this rank, from element `offset` on, which is of bucket b.
  const T* held(std::size_t b, int k, std::int64_t offset) const noexcept {
    return in_place_ ? flight_[b].only + (offset - buckets_[b].offset) : slot(k) + offset;
  }
  static std::span<std::byte> bytes(T* p, std::int64_t n) { return std::as_writable_bytes(std::span<T>(p, static_cast<std::size_t>(n))); }

  /// What rank r adds up of a bucket: whole vectors, near-equal.
  bucket share(std::size_t b, int r) const noexcept {
    const auto& [offset, size, launch] = buckets_[b];
    constexpr std::int64_t unit = kernels::update_unit;
    const std::int64_t units = size / unit, from = units * r / c_.size() * unit, to = units * (r + 1) / c_.size() * unit;
    return {offset + from, to - from, launch};
  }

  static bool finished(std::vector<operation>& all) {
    bool done = true;
    for (operation& o : all) {
      if (!o.done) o.done = o.request.done();
      done = done && o.done;
    }
    if (done) all.clear();
    return done;
  }
  int missing() const {
    for (const state& f : flight_)
      for (const auto* list : {&f.sums, &f.outgoing})
        for (const operation& o : *list)
          if (!o.done) return o.with;
    return -1;
  }

  /// This rank's share of the tree's upper part, and its result to all.
  void add_up(std::size_t b) {
    state& f = flight_[b];
    const bucket mine = share(b, c_.rank());
    if (mine.size == 0) return;
    T* from = data(incoming_) + f.incoming;
    T* const result = data(sum_) + mine.offset;
    const std::size_t size = static_cast<std::size_t>(mine.size) * sizeof(T);
    if (in_place_) std::memcpy(static_cast<void*>(result), held(b, 0, mine.offset), size);
    for (std::size_t k = 0; k < tree_.partials.size(); ++k) {
      const auto& p = tree_.partials[k];
      where_[k] = p.rank != c_.rank() ? from : in_place_ ? result : slot(p.slot) + mine.offset;
      if (p.rank != c_.rank()) from += mine.size;
    }
    for (const auto& m : tree_.merges)
      kernels::accumulate<T>(where_[static_cast<std::size_t>(m.from)], where_[static_cast<std::size_t>(m.into)], false, mine.size);
    if (where_[0] != result) std::memcpy(static_cast<void*>(result), where_[0], size);
    const int tag = static_cast<int>(b) * tags_ + tags_ - 1;
    for (int r = 0; r < c_.size(); ++r)
      if (r != c_.rank()) f.outgoing.push_back({c_.send(r, tag, bytes(result, mine.size)), r});
  }
};

}  // namespace VOLUTE_ISA
}  // namespace volute::distributed
