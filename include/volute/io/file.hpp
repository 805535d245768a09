// Files as they should be: read in checked pieces; written so that after a crash there is the old file or the new one, whole. Both also in
// memory.
#pragma once

#include <volute/io/status.hpp>
#if defined(_WIN32)
#include <volute/io/file_windows.hpp>
#else
#include <volute/io/file_posix.hpp>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace volute::io {

/// A name from a file, fit for a message: unprintable bytes become '?', and what is long is cut.
inline std::string shown(std::string_view name) {
  std::string s(1, '\'');  // operator+ draws a false -Wrestrict from g++ 12
  s.append(name.substr(0, 100)).append(name.size() > 100 ? "...'" : "'");
  std::replace_if(
      s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, '?');
  return s;
}

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
    if (status s = size_of(f.file_, f.path_, f.size_); !s) return s;
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
    return read_at(file_, path_, offset, to);
  }

 private:
  std::string path_;
  open_file file_;
  std::span<const std::byte> bytes_;
  std::uint64_t size_ = 0;

  explicit input_file(const source& from)
      : path_(from.path()), file_(from.in_memory() ? open_file() : open_to_read(path_)), bytes_(from.bytes()), size_(bytes_.size()) {}
};

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
