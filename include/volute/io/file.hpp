// Files as they should be: read in checked pieces; written so that after a crash there is the old file or the new one, whole. Both also in
// memory.
#pragma once

#if !__has_include(<unistd.h>)
#error "volute/io writes files with POSIX functions"
#endif

#include <volute/io/status.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace volute::io {

/// What the system refused to do with a file, and why (errno).
inline status system_failure(const std::string& path, const char* what, int error) {
  return file_failure(path + ": " + what + ": " + std::strerror(error));
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

/// What a path can be made of.
template <class P>
concept path_like = std::is_constructible_v<std::string, const P&>;
/// A contiguous range of bytes of any type, such as the unsigned char of `xxd -i`, but no text: that is a path.
template <class C>
concept bytes_in_memory = !path_like<C> && requires(const C& c) {
  std::size(c);
  requires sizeof(*std::data(c)) == 1 && std::is_trivially_copyable_v<std::remove_cvref_t<decltype(*std::data(c))>>;
};

/// Where a file is: at a path, or in memory, for instance embedded into the program. Memory is read where it lies, at any address; it must
/// stay as long as what reads from it.
class source {
 public:
  template <path_like P>
  source(const P& path) : path_(path) {}
  template <bytes_in_memory C>
  source(const C& bytes) : path_("memory"), bytes_(std::as_bytes(std::span(std::data(bytes), std::size(bytes)))), in_memory_(true) {}

  /// What messages begin with.
  const std::string& path() const noexcept { return path_; }
  bool in_memory() const noexcept { return in_memory_; }
  std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::string path_;
  std::span<const std::byte> bytes_;
  bool in_memory_ = false;
};

/// Where a file goes: to a path, or into a vector, which it replaces.
class target {
 public:
  template <path_like P>
  target(const P& path) : path_(path) {}
  target(std::vector<std::byte>& bytes) : path_("memory"), bytes_(&bytes) {}

  const std::string& path() const noexcept { return path_; }
  std::vector<std::byte>* bytes() const noexcept { return bytes_; }

 private:
  std::string path_;
  std::vector<std::byte>* bytes_ = nullptr;
};

/// A source of known size that is open.
class input_file {
 public:
  static result<input_file> open(const source& from) {
    input_file f(from);
    if (from.in_memory()) return f;
    struct stat s {};
    if (f.fd_.get() < 0 || ::fstat(f.fd_.get(), &s) != 0) return system_failure(f.path_, "cannot be opened", errno);
    if (!S_ISREG(s.st_mode)) return file_failure(f.path_ + ": not a regular file");
    f.size_ = static_cast<std::uint64_t>(s.st_size);
    return f;
  }
  const std::string& path() const noexcept { return path_; }
  std::uint64_t size() const noexcept { return size_; }

  /// The bytes from `offset` on, which must be there, where they lie in memory; null if they are in a file.
  std::span<const std::byte> view(std::uint64_t offset, std::uint64_t n) const noexcept {
    return bytes_.empty() ? std::span<const std::byte>() : bytes_.subspan(offset, n);
  }
  /// Exactly the bytes from `offset` on.
  status read(std::uint64_t offset, std::span<std::byte> to) const {
    if (offset > size_ || to.size() > size_ - offset) return file_failure(path_ + ": ends at byte " + std::to_string(size_));
    if (!bytes_.empty()) {
      std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), to.size(), to.begin());
      return {};
    }
    while (!to.empty()) {
      const ssize_t n = ::pread(fd_.get(), to.data(), std::min(to.size(), std::size_t{1} << 30), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return system_failure(path_, "cannot be read", errno);
      if (n == 0) return file_failure(path_ + ": ends at byte " + std::to_string(offset));
      to = to.subspan(static_cast<std::size_t>(n));
      offset += static_cast<std::uint64_t>(n);
    }
    return {};
  }

 private:
  std::string path_;
  descriptor fd_;
  std::span<const std::byte> bytes_;
  std::uint64_t size_ = 0;

  explicit input_file(const source& from)
      : path_(from.path()),
        fd_(from.in_memory() ? -1 : ::open(path_.c_str(), O_RDONLY | O_CLOEXEC)),
        bytes_(from.bytes()),
        size_(bytes_.size()) {}
};

/// Writes a file in one step: the bytes go to `path`.tmp and onto the disk, then that becomes `path`, in place of what it was (a link is
/// replaced, not followed). A crash, a kill or a full disk at any moment leaves the old file, and at most one .tmp, which the next call
/// takes over. Two calls at once for one path: the later is refused.
inline status write_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  const std::string temporary = path + ".tmp";
  const auto slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);

  const descriptor file(::open(temporary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
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
  if (struct stat old{}; ::stat(path.c_str(), &old) == 0 && ::fchmod(file.get(), old.st_mode & 07777) != 0)
    return failed_to("cannot keep its mode");
  if (::fsync(file.get()) != 0) return failed_to("cannot be written");
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed_to("cannot be replaced");
  const descriptor entry(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));  // the new name, too, goes onto the disk
  if (entry.get() < 0 || (::fsync(entry.get()) != 0 && errno != EINVAL)) return system_failure(folder, "cannot be synchronised", errno);
  return {};
}

/// The same into memory, where that is wanted.
inline status write_whole(const target& to, std::span<const std::span<const std::byte>> parts) {
  if (to.bytes() == nullptr) return write_atomically(to.path(), parts);
  std::vector<std::byte> whole;
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  whole.reserve(size);
  for (const auto part : parts) whole.insert(whole.end(), part.begin(), part.end());
  *to.bytes() = std::move(whole);
  return {};
}

}  // namespace volute::io
