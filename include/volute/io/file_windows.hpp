// What io/file.hpp asks of the system: Windows. Paths are in the program's code page.
#pragma once

#if defined(_WIN32)
#include <volute/io/status.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>

namespace volute::io {

/// What the system refused to do with a file, and why (GetLastError()).
inline status system_failure(const std::string& path, const char* what, DWORD error) {
  return file_failure(path + ": " + what + ": " + std::system_category().message(static_cast<int>(error)));
}

/// A handle that is closed.
class open_file {
 public:
  open_file() = default;
  explicit open_file(HANDLE handle) noexcept : handle_(handle) {}
  open_file(open_file&& other) noexcept : handle_(std::exchange(other.handle_, INVALID_HANDLE_VALUE)) {}
  open_file& operator=(open_file&&) = delete;
  ~open_file() { close(); }
  void close() noexcept {
    if (is_open()) ::CloseHandle(std::exchange(handle_, INVALID_HANDLE_VALUE));
  }
  bool is_open() const noexcept { return handle_ != INVALID_HANDLE_VALUE; }
  HANDLE get() const noexcept { return handle_; }

 private:
  HANDLE handle_ = INVALID_HANDLE_VALUE;
};

inline open_file open_to_read(const std::string& path) noexcept {
  return open_file(::CreateFileA(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING,
                                 FILE_ATTRIBUTE_NORMAL, nullptr));
}

inline bool is_missing(const std::string& path) noexcept {
  if (::GetFileAttributesA(path.c_str()) != INVALID_FILE_ATTRIBUTES) return false;
  const DWORD error = ::GetLastError();
  return error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND;
}

/// The size of what open_to_read has just opened, if it is a file.
inline status size_of(const open_file& file, const std::string& path, std::uint64_t& size) {
  LARGE_INTEGER n;
  if (!file.is_open()) return system_failure(path, "cannot be opened", ::GetLastError());
  if (::GetFileType(file.get()) != FILE_TYPE_DISK) return file_failure(path + ": not a regular file");
  if (::GetFileSizeEx(file.get(), &n) == 0) return system_failure(path, "cannot be opened", ::GetLastError());
  size = static_cast<std::uint64_t>(n.QuadPart);
  return {};
}

/// Exactly the bytes from `offset` on. Several threads may read one file.
inline status read_at(const open_file& file, const std::string& path, std::uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    OVERLAPPED at{};
    at.Offset = static_cast<DWORD>(offset & 0xffffffffu);
    at.OffsetHigh = static_cast<DWORD>(offset >> 32);
    DWORD n = 0;
    if (::ReadFile(file.get(), to.data(), static_cast<DWORD>(std::min(to.size(), std::size_t{1} << 30)), &n, &at) == 0) {
      const DWORD error = ::GetLastError();
      if (error != ERROR_HANDLE_EOF) return system_failure(path, "cannot be read", error);
    }
    if (n == 0) return file_failure(path + ": ends at byte " + std::to_string(offset));
    to = to.subspan(n);
    offset += n;
  }
  return {};
}

/// Writes a file in one step: the bytes go to `path`.tmp and onto the disk, then that becomes `path`, in place of what it was. A crash, a
/// kill or a full disk at any moment leaves the old file, and at most one .tmp, which the next call takes over. Two calls at once for one
/// path: the later is refused.
inline status write_atomically(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  const std::string temporary = path + ".tmp";
  // Shared with nobody.
  open_file file(::CreateFileA(temporary.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, nullptr));
  if (!file.is_open()) {
    const DWORD error = ::GetLastError();
    if (error == ERROR_SHARING_VIOLATION) return file_failure(path + ": somebody else is writing it");
    return system_failure(temporary, "cannot be created", error);
  }
  const auto failed_to = [&](const char* what) {
    const DWORD error = ::GetLastError();
    file.close();
    ::DeleteFileA(temporary.c_str());
    return system_failure(path, what, error);
  };
  for (std::span<const std::byte> part : parts) {
    while (!part.empty()) {
      DWORD n = 0;
      if (::WriteFile(file.get(), part.data(), static_cast<DWORD>(std::min(part.size(), std::size_t{1} << 30)), &n, nullptr) == 0)
        return failed_to("cannot be written");
      part = part.subspan(n);
    }
  }
  if (::FlushFileBuffers(file.get()) == 0) return failed_to("cannot be written");
  file.close();
  if (::MoveFileExA(temporary.c_str(), path.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) == 0)
    return failed_to("cannot be replaced");
  return {};
}

}  // namespace volute::io
#endif
