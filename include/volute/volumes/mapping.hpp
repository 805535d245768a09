// Bytes that the system gives: in memory, or in a file without a name.
#pragma once

#include <volute/core/simd.hpp>
#include <volute/io/status.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace volute::volumes {

inline namespace VOLUTE_ISA {

/// A block that is given back with its owner.
class mapping {
 public:
  mapping() = default;
  /// In memory where `folder` is "", else in a file of that folder, of which the system keeps in memory what there is room for. Throws
  /// file_error where the folder, or memory, has no room.
  mapping(std::size_t bytes, const std::string& folder) : bytes_(bytes) {
    int file = -1;
    if (!folder.empty()) {
      std::string name = folder + "/volute-" + std::string(6, 'X');
      file = ::mkstemp(name.data());
      if (file < 0) io::demand(io::file_failure(folder + ": no file can be made there: " + std::strerror(errno)));
      ::unlink(name.c_str());
      if (const int error = ::posix_fallocate(file, 0, static_cast<off_t>(bytes)); error != 0) {
        ::close(file);
        io::demand(io::file_failure(folder + ": no room for " + std::to_string(bytes) + " bytes: " + std::strerror(error)));
      }
    }
    void* const p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, file, 0);
    const int error = errno;
    if (file >= 0) ::close(file);
    if (p == MAP_FAILED) io::demand(io::file_failure("store: no memory for " + std::to_string(bytes) + " bytes: " + std::strerror(error)));
    data_ = p;
  }
  mapping(mapping&& m) noexcept : data_(std::exchange(m.data_, nullptr)), bytes_(std::exchange(m.bytes_, 0)) {}
  mapping& operator=(mapping&& m) noexcept {
    mapping taken(std::move(m));
    std::swap(data_, taken.data_), std::swap(bytes_, taken.bytes_);
    return *this;
  }
  ~mapping() {
    if (data_ != nullptr) ::munmap(data_, bytes_);
  }

  /// Gives back what is behind the first `bytes`.
  void shrink(std::size_t bytes) noexcept {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), kept = (bytes + page - 1) / page * page;
    if (kept >= bytes_) return;
    ::munmap(static_cast<char*>(data_) + kept, bytes_ - kept);
    bytes_ = kept;
  }
  void* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace VOLUTE_ISA

}  // namespace volute::volumes
