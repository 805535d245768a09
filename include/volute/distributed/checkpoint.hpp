// Checkpoints of a training over ranks: rank 0 writes and reads the file, which is that of a trainer alone, so that any number of ranks
// can go on with it.
#pragma once

#include <volute/distributed/data_parallel.hpp>
#include <volute/io/checkpoint.hpp>

namespace volute {
namespace distributed {
inline namespace VOLUTE_ERRORS {

/// What went wrong on rank 0, on every rank; or nothing.
template <communicator C>
status shared_status(C& c, const status& of_rank_0) {
  auto kind = static_cast<char>(of_rank_0.kind());
  const std::string told = broadcast(c, std::string(1, kind) + of_rank_0.message());
  return {static_cast<error_kind>(told[0]), told.substr(1)};
}

}  // namespace VOLUTE_ERRORS
}  // namespace distributed

inline namespace VOLUTE_ERRORS {

/// save_checkpoint() of a training over ranks, called on every rank: rank 0 writes the file of its trainer, and its extras; all return when
/// it is on the disk, or all have the same error.
template <class Trainer, distributed::communicator C, std::int64_t B>
status try_save_checkpoint(distributed::data_parallel<Trainer, C, B>& d, const io::target& to, const std::vector<extra>& extras = {}) {
  status s;
  if (d.ranks().rank() == 0) s = try_save_checkpoint(d.trainer(), to, extras);
  return distributed::shared_status(d.ranks(), s);
}

/// resume() of a training over ranks, called on every rank: rank 0 reads the file, and all have what it says, the extras too. The number of
/// ranks may be another one than that which wrote it. False on all ranks, and nothing done, if there is no such file.
template <class Trainer, distributed::communicator C, std::int64_t B>
result<bool> try_resume(distributed::data_parallel<Trainer, C, B>& d, const io::source& from, const std::vector<extra>& extras = {}) {
  Trainer& t = d.trainer();
  C& c = d.ranks();
  status s;
  std::int64_t told[6]{};  // whether there is a file; progress, random numbers
  if (c.rank() == 0) {
    result<bool> read = try_resume(t, from, extras);
    s = read;
    const random_state r = t.random();
    told[0] = read.ok() && *read ? 1 : 0;
    told[1] = t.progress.steps, told[2] = t.progress.waiting, told[3] = t.progress.averages ? 1 : 0;
    told[4] = static_cast<std::int64_t>(r.seed), told[5] = static_cast<std::int64_t>(r.run);
  }
  if (s = distributed::shared_status(c, s); !s) return s;
  distributed::broadcast(c, std::as_writable_bytes(std::span(told)));
  if (told[0] == 0) return false;
  std::int64_t mine = 0;
  for (const extra& e : extras) mine += static_cast<std::int64_t>(e.bytes.size());
  distributed::agree(c, {{"bytes of extras", std::to_string(mine)}});
  t.progress.steps = told[1], t.progress.waiting = told[2], t.progress.averages = told[3] != 0;
  t.set_random({static_cast<std::uint64_t>(told[4]), static_cast<std::uint64_t>(told[5])});
  distributed::broadcast(c, std::as_writable_bytes(t.weights().parameter_values()));
  distributed::broadcast(c, std::as_writable_bytes(t.weights().state_values()));
  for (const auto& b : t.state_blocks()) distributed::broadcast(c, std::as_writable_bytes(b.values));
  for (const extra& e : extras) distributed::broadcast(c, e.bytes);
  d.changed();
  return true;
}

/// The same; throws file_error on every rank.
template <class Trainer, distributed::communicator C, std::int64_t B>
void save_checkpoint(distributed::data_parallel<Trainer, C, B>& d, const io::target& to, const std::vector<extra>& extras = {}) {
  io::demand(try_save_checkpoint(d, to, extras));
}
/// The same; throws file_error and shape_error on every rank.
template <class Trainer, distributed::communicator C, std::int64_t B>
bool resume(distributed::data_parallel<Trainer, C, B>& d, const io::source& from, const std::vector<extra>& extras = {}) {
  return io::demand(try_resume(d, from, extras));
}

}  // namespace VOLUTE_ERRORS
}  // namespace volute
