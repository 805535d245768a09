// What io/file.hpp asks of the system: POSIX.
#pragma once

#if !__has_include(<unistd.h>)
#error "volute/io knows files of POSIX and of Windows"
#endif

#include <volute/io/status.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace volute::io {

/// What the system refused to do with a file, and why (errno).
inline status system_failure(const std::string& path, const char* what, int error) {
  return file_failure(path + ": " + what + ": " + std::strerror(error));
}

/// A file descriptor that is closed.
class open_file {
 public:
  open_file() = default;
  explicit open_file(int fd) noexcept : fd_(fd) {}
  open_file(open_file&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  open_file& operator=(open_file&&) = delete;
  ~open_file() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

inline open_file open_to_read(const std::string& path) noexcept { return open_file(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }

inline bool is_missing(const std::string& path) noexcept { return ::access(path.c_str(), F_OK) != 0 && errno == ENOENT; }

/// The size of what open_to_read has just opened, if it is a file.
inline status size_of(const open_file& file, const std::string& path, std::uint64_t& size) {
  struct stat s {};
  if (file.get() < 0 || ::fstat(file.get(), &s) != 0) return system_failure(path, "cannot be opened", errno);
  if (!S_ISREG(s.st_mode)) return file_failure(path + ": not a regular file");
  size = static_cast<std::uint64_t>(s.st_size);
  return {};
}

/// Exactly the bytes from `offset` on. Several threads may read one file.
inline status read_at(const open_file& file, const std::string& path, std::uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    const ssize_t n = ::pread(file.get(), to.data(), std::min(to.size(), std::size_t{1} << 30), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_failure(path, "cannot be read", errno);
    if (n == 0) return file_failure(path + ": ends at byte " + std::to_string(offset));
    to = to.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

/// Writes a file in one step: the bytes go to `path`.tmp and onto the disk, then that becomes `path`, in place of what it was (a link is
/// replaced, not followed). A crash, a kill or a full disk at any moment leaves the old file, and at most one .tmp, which the next call
/// takes over. Two calls at once for one path: the later is refused, and so is what leads to a device or a pipe: a file would take the name
/// of /dev/null from all programs.
inline status write_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  const std::string temporary = path + ".tmp";
  const auto slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  struct stat old {};
  const bool replaces = ::stat(path.c_str(), &old) == 0;
  if (replaces && !S_ISREG(old.st_mode)) return file_failure(path + ": not a regular file");

  const open_file file(::open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (file.get() < 0) return system_failure(temporary, "cannot be created", errno);
  // The lock, and the name still being that of the locked file: nobody else is writing it or has renamed it meanwhile.
  struct stat mine {
  }, named{};
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(file.get(), &mine) != 0 || ::lstat(temporary.c_str(), &named) != 0 ||
      mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
    return file_failure(path + ": somebody else is writing it");
  const auto failed_to = [&](const char* what) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return system_failure(path, what, error);
  };
  if (::ftruncate(file.get(), 0) != 0) return failed_to("cannot be written");
  for (std::span<const std::byte> part : parts) {
    while (!part.empty()) {
      const ssize_t n = ::write(file.get(), part.data(), std::min(part.size(), std::size_t{1} << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed_to("cannot be written");
      part = part.subspan(static_cast<std::size_t>(n));
    }
  }
#if !defined(__wasi__)  // files have no modes there
  if (replaces && ::fchmod(file.get(), old.st_mode & 07777) != 0)
    return failed_to("cannot keep its mode");
#endif
  if (::fsync(file.get()) != 0) return failed_to("cannot be written");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed_to("cannot be replaced");
  const open_file entry(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));  // the new name, too, goes onto the disk
  if (entry.get() < 0 || (::fsync(entry.get()) != 0 && errno != EINVAL)) return system_failure(folder, "cannot be synchronised", errno);
  return {};
}

}  // namespace volute::io
