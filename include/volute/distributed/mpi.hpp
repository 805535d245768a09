// Ranks that are processes, over MPI 3: those that `mpirun -np N program` or `srun program` starts. Link volute::mpi.
#pragma once

#include <volute/distributed/communicator.hpp>

#include <exception>
#include <limits>

// The bindings of MPI 2 for C++, which MPI 3 does not have, stay out.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#if !__has_include(<mpi.h>)
#error "volute: distributed/mpi.hpp needs MPI 3: configure with -DVOLUTE_MPI=ON and link volute::mpi"
#endif
#include <mpi.h>

namespace volute::distributed {
inline namespace VOLUTE_ERRORS {

/// MPI as a communicator: `distributed::mpi world;` at the beginning of main. Only the thread that made it may use it.
///
/// A process that dies, or leaves with an exception, ends the run: mpirun (srun with --kill-on-bad-exit) ends the other ranks and says
/// which one it was. A rank that hangs is named by those that wait for it after `patience`.
class mpi {
 public:
  /// Begins MPI unless the program has; then all ranks of MPI_COMM_WORLD.
  explicit mpi(std::chrono::milliseconds patience = default_patience) : patience_(patience) {
    int begun = 0;
    MPI_Initialized(&begun);
    if (begun == 0) {
      int given = 0;
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given);
      if (given < MPI_THREAD_FUNNELED) fail_communication("MPI: expected an MPI that allows other threads, found one that does not");
      owner_ = true;
    }
    join(MPI_COMM_WORLD);
  }
  /// The ranks of a communicator of the program's own.
  explicit mpi(MPI_Comm ranks, std::chrono::milliseconds patience = default_patience) : patience_(patience) { join(ranks); }
  mpi(const mpi&) = delete;
  mpi& operator=(const mpi&) = delete;
  /// Ends MPI if it began it. Not on the way of an exception: others may wait for this rank and would be waited for; ended without that,
  /// the process counts as failed, and the run ends.
  ~mpi() {
    if (std::uncaught_exceptions() > exceptions_) return;
    MPI_Comm_free(&ranks_);
    if (owner_) MPI_Finalize();
  }

  /// An operation under way.
  class request {
   public:
    request() = default;
    request(request&& r) noexcept : handle_(std::exchange(r.handle_, MPI_REQUEST_NULL)), size_(r.size_), rank_(r.rank_), with_(r.with_) {}
    request& operator=(request&& r) noexcept {
      std::swap(handle_, r.handle_);
      size_ = r.size_, rank_ = r.rank_, with_ = r.with_;
      return *this;
    }
    bool done() {
      int flag = 0;
      MPI_Status status;
      check(MPI_Test(&handle_, &flag, &status), rank_, with_);
      if (flag == 0 || size_ < 0) return flag != 0;
      MPI_Count found = 0;
      MPI_Get_elements_x(&status, MPI_BYTE, &found);
      if (found != size_)
        fail_communication("rank " + std::to_string(rank_) + ": message of rank " + std::to_string(with_) + ": expected " +
                           std::to_string(size_) + " bytes, found " + std::to_string(found));
      size_ = -1;
      return true;
    }

   private:
    friend mpi;
    request(int rank, int with, std::int64_t size) : size_(size), rank_(rank), with_(with) {}
    MPI_Request handle_ = MPI_REQUEST_NULL;
    std::int64_t size_ = -1;  // of a receive: the bytes expected
    int rank_ = 0, with_ = -1;
  };

  /// As every communicator.
  int rank() const noexcept { return rank_; }
  int size() const noexcept { return size_; }
  std::chrono::milliseconds patience() const noexcept { return patience_; }

  /// MPI_Isend and MPI_Irecv of bytes, MPI_Iallreduce, MPI_Ibarrier. An error of MPI is a communication_error.
  request send(int to, int tag, std::span<const std::byte> from) {
    request r(rank_, to, -1);
    const bytes_type type(from.size());
    check(MPI_Isend(from.data(), type.count, type.type, to, tag, ranks_, &r.handle_), rank_, to);
    return r;
  }
  request receive(int from, int tag, std::span<std::byte> to) {
    request r(rank_, from, static_cast<std::int64_t>(to.size()));
    const bytes_type type(to.size());
    check(MPI_Irecv(to.data(), type.count, type.type, from, tag, ranks_, &r.handle_), rank_, from);
    return r;
  }
  request all_reduce(std::span<float> values) { return sum(values, MPI_FLOAT); }
  request all_reduce(std::span<double> values) { return sum(values, MPI_DOUBLE); }
  void barrier() {
    request r(rank_, -1, -1);
    check(MPI_Ibarrier(ranks_, &r.handle_), rank_, -1);
    wait(*this, std::move(r), -1);
  }

 private:
  MPI_Comm ranks_ = MPI_COMM_NULL;
  std::chrono::milliseconds patience_;
  int rank_ = 0, size_ = 1, exceptions_ = std::uncaught_exceptions();
  bool owner_ = false;

  /// MPI counts in int: so many bytes, or one of a type that is as long as more of them.
  struct bytes_type {
    int count = 1;
    MPI_Datatype type = MPI_BYTE;
    explicit bytes_type(std::size_t n) {
      constexpr std::size_t block = std::size_t{1} << 20;
      if (n <= static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        count = static_cast<int>(n);
        return;
      }
      MPI_Datatype blocks, all[2]{MPI_DATATYPE_NULL, MPI_BYTE};
      MPI_Type_contiguous(static_cast<int>(block), MPI_BYTE, &blocks);
      MPI_Type_contiguous(mpi::count(n / block), blocks, &all[0]);
      const int lengths[2]{1, static_cast<int>(n % block)};
      const MPI_Aint places[2]{0, static_cast<MPI_Aint>(n / block * block)};
      MPI_Type_create_struct(2, lengths, places, all, &type);
      MPI_Type_commit(&type);
      MPI_Type_free(&blocks), MPI_Type_free(&all[0]);
    }
    bytes_type(const bytes_type&) = delete;
    bytes_type& operator=(const bytes_type&) = delete;
    ~bytes_type() {  // operations that use it keep it
      if (type != MPI_BYTE) MPI_Type_free(&type);
    }
  };

  void join(MPI_Comm ranks) {
    MPI_Comm_dup(ranks, &ranks_);
    MPI_Comm_set_errhandler(ranks_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(ranks_, &rank_);
    MPI_Comm_size(ranks_, &size_);
  }
  static void check(int error, int rank, int with) {
    if (error == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(error, text, &length);
    fail_communication("rank " + std::to_string(rank) + ": " + name_of(with) + ": " + std::string(text, static_cast<std::size_t>(length)));
  }
  static int count(std::size_t n) {
    constexpr int most = std::numeric_limits<int>::max();
    if (n > static_cast<std::size_t>(most))
      fail_communication("message: expected at most " + std::to_string(most) + " bytes, found " + std::to_string(n));
    return static_cast<int>(n);
  }
  template <class T>
  request sum(std::span<T> values, MPI_Datatype type) {
    request r(rank_, -1, -1);
    check(MPI_Iallreduce(MPI_IN_PLACE, values.data(), count(values.size()), type, MPI_SUM, ranks_, &r.handle_), rank_, -1);
    return r;
  }
};
static_assert(communicator<mpi>);

}  // namespace VOLUTE_ERRORS
}  // namespace volute::distributed
