// What ranks need of each other: messages, a sum over all, a barrier. An engine is any class that models `communicator`: MPI (mpi.hpp),
// threads of one process (in_process.hpp), or nobody else (`alone`).
#pragma once

#include <volute/runtime/error.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace volute {

/// Ranks that cannot go on together: one has ended, stays silent, or sent what was not expected.
struct communication_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace distributed {

/// Ranks 0 to size() - 1 run the same program. send, receive and all_reduce begin an operation and return at once; its memory belongs to it
/// until request::done() was true, which also moves it on and throws communication_error. Messages between two ranks are matched by tag (0
/// to `last_tag`). all_reduce replaces the elements by their sums over all ranks, in an order of the engine's own; all ranks begin their
/// all_reduces in the same order. patience() says how long a rank may be silent before it counts as lost.
template <class C>
concept communicator = requires(C& c, const C& k, int rank, int tag, std::span<const std::byte> from, std::span<std::byte> to,
                                std::span<float> floats, std::span<double> doubles, typename C::request& r) {
  requires std::movable<typename C::request>;
  { k.rank() } -> std::same_as<int>;
  { k.size() } -> std::same_as<int>;
  { k.patience() } -> std::convertible_to<std::chrono::milliseconds>;
  { c.send(rank, tag, from) } -> std::same_as<typename C::request>;
  { c.receive(rank, tag, to) } -> std::same_as<typename C::request>;
  { c.all_reduce(floats) } -> std::same_as<typename C::request>;
  { c.all_reduce(doubles) } -> std::same_as<typename C::request>;
  { r.done() } -> std::same_as<bool>;
  c.barrier();
};

/// What MPI grants everywhere. Sums use those below control_tag; what is said besides, that one.
inline constexpr int last_tag = 32767, control_tag = 32000;

/// How long a silent rank is waited for unless an engine is told otherwise: longer than a step that is merely late.
inline constexpr std::chrono::milliseconds default_patience = std::chrono::minutes(5);

inline namespace VOLUTE_ERRORS {

/// Ends what ranks cannot go on with: communication_error, or the message on standard error and abort.
[[noreturn]] inline void fail_communication(const std::string& what) {
#if defined(__cpp_exceptions)
  throw communication_error(what);
#else
  std::fprintf(stderr, "volute: %s\n", what.c_str());
  std::abort();
#endif
}

/// Until finished() is true; it is asked often at first, then every 20 us or so, because ranks may share processors. After `patience` it
/// is a communication_error of the rank that missing() names.
template <class Finished, class Missing>
void wait_until(int rank, std::chrono::milliseconds patience, Finished finished, Missing missing) {
  using clock = std::chrono::steady_clock;
  const auto begun = clock::now();
  for (;;) {
    if (finished()) return;
    const auto waited = clock::now() - begun;
    if (waited > patience)
      fail_communication("rank " + std::to_string(rank) + ": waited " +
                         std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(waited).count()) + " ms for " + missing() +
                         ": it has stopped, or is further behind than the engine's patience");
    if (waited < std::chrono::microseconds(100))
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}
inline std::string name_of(int rank) { return rank < 0 ? "other ranks" : "rank " + std::to_string(rank); }

/// Until one operation with a rank (-1: with all) is done.
template <communicator C>
void wait(const C& c, typename C::request r, int with) {
  wait_until(
      c.rank(), c.patience(), [&] { return r.done(); }, [&] { return name_of(with); });
}

/// Every rank gets rank 0's bytes, in as many rounds as the number of ranks has binary digits; a gigabyte at a time, because MPI counts in
/// int.
template <communicator C>
void broadcast(C& c, std::span<std::byte> bytes) {
  constexpr std::size_t most = std::size_t{1} << 30;
  for (; bytes.size() > most; bytes = bytes.subspan(most)) broadcast(c, bytes.first(most));
  for (int reached = 1; reached < c.size(); reached *= 2) {
    if (const int to = c.rank() + reached; c.rank() < reached && to < c.size()) wait(c, c.send(to, control_tag, bytes), to);
    if (const int from = c.rank() - reached; c.rank() >= reached && c.rank() < 2 * reached)
      wait(c, c.receive(from, control_tag, bytes), from);
  }
}
/// The same of a text, whose length only rank 0 knows.
template <communicator C>
std::string broadcast(C& c, std::string text) {
  std::uint64_t size = text.size();
  broadcast(c, std::as_writable_bytes(std::span(&size, 1)));
  text.resize(size);
  broadcast(c, std::as_writable_bytes(std::span(text)));
  return text;
}
/// Rank 0 gets every rank's text, in the order of ranks; the others get nothing.
template <communicator C>
std::vector<std::string> gather(C& c, std::string text) {
  if (c.rank() != 0) {
    const std::uint64_t size = text.size();
    wait(c, c.send(0, control_tag, std::as_bytes(std::span(&size, 1))), 0);
    wait(c, c.send(0, control_tag, std::as_bytes(std::span(text))), 0);
    return {};
  }
  std::vector<std::string> all(static_cast<std::size_t>(c.size()));
  all[0] = std::move(text);
  for (int r = 1; r < c.size(); ++r) {
    std::uint64_t size = 0;
    wait(c, c.receive(r, control_tag, std::as_writable_bytes(std::span(&size, 1))), r);
    std::string& theirs = all[static_cast<std::size_t>(r)];
    theirs.resize(size);
    wait(c, c.receive(r, control_tag, std::as_writable_bytes(std::span(theirs))), r);
  }
  return all;
}

/// Throws shape_error on every rank if the ranks' facts (name and value, in the same order) are not all the same: it names the first
/// difference, with both values.
template <communicator C>
void agree(C& c, const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string mine;
  for (const auto& [name, value] : facts) mine.append(name).append(1, '\n').append(value).append(1, '\n');
  const std::vector<std::string> all = gather(c, mine);
  std::string verdict;
  const auto next = [](const std::string& s, std::size_t& at) {
    const std::size_t end = std::min(s.find('\n', at), s.size());
    std::string line = s.substr(std::min(at, s.size()), end - std::min(at, s.size()));
    at = end + 1;
    return line;
  };
  for (std::size_t r = 1; r < all.size() && verdict.empty(); ++r) {
    if (all[r] == all[0]) continue;
    for (std::size_t a = 0, b = 0; verdict.empty() && (a < all[0].size() || b < all[r].size());) {
      const std::string name = next(all[0], a), value = next(all[0], a), other = next(all[r], b), found = next(all[r], b);
      if (name != other)
        verdict = "rank " + std::to_string(r) + " runs another program than rank 0: expected its " + name + ", found its " + other;
      else if (value != found)
        verdict = "rank " + std::to_string(r) + " differs from rank 0: " + name + ": expected " + value + ", found " + found;
    }
  }
  verdict = broadcast(c, verdict);
  if (!verdict.empty()) fail(verdict);
}

}  // namespace VOLUTE_ERRORS

/// One rank: all work is its own.
class alone {
 public:
  struct request {
    bool done() noexcept { return true; }
  };
  /// As every communicator; the sum over one rank is what it was.
  int rank() const noexcept { return 0; }
  int size() const noexcept { return 1; }
  std::chrono::milliseconds patience() const noexcept { return default_patience; }
  request send(int, int, std::span<const std::byte>) noexcept { return {}; }
  request receive(int, int, std::span<std::byte>) noexcept { return {}; }
  request all_reduce(std::span<float>) noexcept { return {}; }
  request all_reduce(std::span<double>) noexcept { return {}; }
  void barrier() noexcept {}
};
static_assert(communicator<alone>);

}  // namespace distributed
}  // namespace volute
