// Files as they should be: read in checked pieces; written so that after a crash there is the old file or the new one, whole.
#pragma once

#if !defined(__cpp_exceptions)
#error "volute/io reports errors as exceptions: compile without -fno-exceptions"
#endif
#if !__has_include(<unistd.h>)
#error "volute/io writes files with POSIX functions"
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace volute {

/// A file that cannot be read or written, or is not what its format says: what() begins with its path.
struct file_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace io {

[[noreturn]] inline void system_failure(const std::string& path, const char* what, int error) {
  throw file_error(path + ": " + what + ": " + std::strerror(error));
}

/// A name from a file, fit for a message: unprintable bytes become '?', and what is long is cut.
inline std::string shown(std::string_view name) {
  std::string s(1, '\'');  // operator+ draws a false -Wrestrict from g++ 12
  s.append(name.substr(0, 100)).append(name.size() > 100 ? "...'" : "'");
  std::replace_if(
      s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, '?');
  return s;
}

/// A file descriptor that is closed.
class descriptor {
 public:
  explicit descriptor(int fd) noexcept : fd_(fd) {}
  descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  descriptor& operator=(descriptor&&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// An open file of known size.
class input_file {
 public:
  explicit input_file(const std::string& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    struct stat s {};
    if (fd_.get() < 0 || ::fstat(fd_.get(), &s) != 0) system_failure(path, "cannot be opened", errno);
    if (!S_ISREG(s.st_mode)) throw file_error(path + ": not a regular file");
    size_ = static_cast<std::uint64_t>(s.st_size);
  }
  const std::string& path() const noexcept { return path_; }
  std::uint64_t size() const noexcept { return size_; }

  /// Exactly the bytes from `offset` on.
  void read(std::uint64_t offset, std::span<std::byte> to) const {
    while (!to.empty()) {
      const ssize_t n = ::pread(fd_.get(), to.data(), std::min(to.size(), std::size_t{1} << 30), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) system_failure(path_, "cannot be read", errno);
      if (n == 0) throw file_error(path_ + ": ends at byte " + std::to_string(offset));
      to = to.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
  }

 private:
  std::string path_;
  descriptor fd_;
  std::uint64_t size_ = 0;
};

/// Writes a file in one step: the bytes go to `path`.tmp and onto the disk, then that becomes `path`, in place of what it was (a link is
/// replaced, not followed). A crash, a kill or a full disk at any moment leaves the old file, and at most one .tmp, which the next call
/// takes over. Two calls at once for one path: the later throws file_error.
inline void write_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  const std::string temporary = path + ".tmp";
  const auto slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);

  const descriptor file(::open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (file.get() < 0) system_failure(temporary, "cannot be created", errno);
  // The lock, and the name still being that of the locked file: nobody else is writing it or has renamed it meanwhile.
  struct stat mine {
  }, named{};
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(file.get(), &mine) != 0 || ::lstat(temporary.c_str(), &named) != 0 ||
      mine.st_ino != named.st_ino || mine.st_dev != named.st_dev)
    throw file_error(path + ": somebody else is writing it");
  const auto check = [&](bool good, const char* what) {
    if (good) return;
    const int error = errno;
    ::unlink(temporary.c_str());
    system_failure(path, what, error);
  };
  check(::ftruncate(file.get(), 0) == 0, "cannot be written");
  for (std::span<const std::byte> part : parts) {
    while (!part.empty()) {
      const ssize_t n = ::write(file.get(), part.data(), std::min(part.size(), std::size_t{1} << 30));
      if (n < 0 && errno == EINTR) continue;
      check(n >= 0, "cannot be written");
      part = part.subspan(static_cast<std::size_t>(n));
    }
  }
  if (struct stat old{}; ::stat(path.c_str(), &old) == 0) check(::fchmod(file.get(), old.st_mode & 07777) == 0, "cannot keep its mode");
  check(::fsync(file.get()) == 0, "cannot be written");
  check(::rename(temporary.c_str(), path.c_str()) == 0, "cannot be replaced");
  const descriptor entry(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));  // the new name, too, goes onto the disk
  if (entry.get() < 0 || (::fsync(entry.get()) != 0 && errno != EINVAL)) system_failure(folder, "cannot be synchronised", errno);
}

}  // namespace io
}  // namespace volute
