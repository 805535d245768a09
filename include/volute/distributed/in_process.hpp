// Ranks that are threads of one process: for tests, for thread sanitizers, and to try a distributed program without MPI.
#pragma once

#include <volute/distributed/communicator.hpp>

#include <atomic>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>

namespace volute::distributed {
inline namespace VOLUTE_ERRORS {

/// The ranks of one run. Messages are copied when they are sent.
class in_process {
  struct message {
    int from = 0, tag = 0;
    std::vector<std::byte> bytes;
  };
  struct mailbox {
    std::mutex mutex;
    std::deque<message> waiting;
    std::atomic<bool> left{false};  // its owner has ended
  };

 public:
  explicit in_process(int size, std::chrono::milliseconds patience = default_patience)
      : patience_(patience), box_(static_cast<std::size_t>(size)) {}

  /// One rank's side of it: a communicator, for one thread.
  class member {
   public:
    /// A receive, or a sum that others have still to add to; what is sent is done at once.
    class request {
     public:
      request() = default;
      bool done() {
        while (next_ < from_.size() && take()) ++next_;
        return next_ == from_.size();
      }

     private:
      friend member;
      member* owner_ = nullptr;
      int tag_ = 0;
      std::vector<int> from_;  // ranks that a message is still to come from, in this order
      std::size_t next_ = 0;
      std::span<std::byte> to_;
      void (*add_)(std::span<std::byte>, const std::vector<std::byte>&) = nullptr;  // or a copy

      bool take() {
        const int from = from_[next_];
        mailbox& box = owner_->box(owner_->rank_);
        const bool left = owner_->box(from).left.load(std::memory_order_acquire);  // before the look: what it sent has arrived
        std::vector<std::byte> bytes;
        {
          const std::lock_guard lock(box.mutex);
          const auto found =
              std::find_if(box.waiting.begin(), box.waiting.end(), [&](const message& m) { return m.from == from && m.tag == tag_; });
          if (found == box.waiting.end()) {
            if (left) fail_communication("rank " + std::to_string(owner_->rank_) + ": rank " + std::to_string(from) + " has ended");
            return false;
          }
          bytes = std::move(found->bytes);
          box.waiting.erase(found);
        }
        if (bytes.size() != to_.size())
          fail_communication("rank " + std::to_string(owner_->rank_) + ": message of rank " + std::to_string(from) + ": expected " +
                             std::to_string(to_.size()) + " bytes, found " + std::to_string(bytes.size()));
        if (add_ != nullptr)
          add_(to_, bytes);
        else if (!bytes.empty())
          std::memcpy(to_.data(), bytes.data(), bytes.size());
        return true;
      }
    };

    member(in_process& group, int rank) : group_(group), rank_(rank) {}
    member(const member&) = delete;
    member& operator=(const member&) = delete;
    ~member() { box(rank_).left.store(true, std::memory_order_release); }

    int rank() const noexcept { return rank_; }
    int size() const noexcept { return static_cast<int>(group_.box_.size()); }
    std::chrono::milliseconds patience() const noexcept { return group_.patience_; }

    request send(int to, int tag, std::span<const std::byte> from) {
      mailbox& theirs = box(to);
      const std::lock_guard lock(theirs.mutex);
      theirs.waiting.push_back({rank_, tag, {from.begin(), from.end()}});
      return {};
    }
    request receive(int from, int tag, std::span<std::byte> to) {
      request r;
      r.owner_ = this, r.tag_ = tag, r.from_ = {from}, r.to_ = to;
      return r;
    }
    request all_reduce(std::span<float> values) { return sum(values); }
    request all_reduce(std::span<double> values) { return sum(values); }
    void barrier() {
      double nothing[1]{};
      wait(*this, sum(std::span<double>(nothing)), -1);
    }

   private:
    in_process& group_;
    int rank_, sums_ = 0;

    mailbox& box(int rank) noexcept { return group_.box_[static_cast<std::size_t>(rank)]; }
    /// Everybody sends to everybody, and adds in the order of ranks, so that all have the same.
    template <class T>
    request sum(std::span<T> values) {
      request r = receive(0, last_tag + 1 + sums_++, std::as_writable_bytes(values));
      r.from_.clear();
      for (int k = 0; k < size(); ++k) {
        send(k, r.tag_, std::as_bytes(values));
        r.from_.push_back(k);
      }
      std::fill(values.begin(), values.end(), T(0));
      r.add_ = [](std::span<std::byte> to, const std::vector<std::byte>& from) {
        for (std::size_t i = 0; i < to.size(); i += sizeof(T)) {
          T a, b;
          std::memcpy(&a, to.data() + i, sizeof(T)), std::memcpy(&b, from.data() + i, sizeof(T));
          a += b;
          std::memcpy(to.data() + i, &a, sizeof(T));
        }
      };
      return r;
    }
  };

  /// f(member&) on as many threads as ranks. What a rank throws first is thrown again when all have ended; ranks that wait for it end with
  /// a communication_error that names it.
  template <class F>
  static void run(int ranks, F f, std::chrono::milliseconds patience = default_patience) {
    in_process group(ranks, patience);
    std::mutex mutex;
    std::exception_ptr first;
    const auto one = [&](int rank) {
#if defined(__cpp_exceptions)
      try {
        member m(group, rank);
        try {
          f(m);
        } catch (...) {
          const std::lock_guard lock(mutex);
          if (!first) first = std::current_exception();
        }
      } catch (...) {
      }
#else
      member m(group, rank);
      f(m);
#endif
    };
    std::vector<std::thread> threads;
    for (int r = 1; r < ranks; ++r) threads.emplace_back(one, r);
    one(0);
    for (std::thread& t : threads) t.join();
    if (first) std::rethrow_exception(first);
  }

 private:
  std::chrono::milliseconds patience_;
  std::vector<mailbox> box_;
};
static_assert(communicator<in_process::member>);

}  // namespace VOLUTE_ERRORS
}  // namespace volute::distributed
