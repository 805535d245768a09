// A fuzzer's bytes as a file that is in memory only.
#pragma once

#include <volute/core/extents.hpp>
#include <volute/io/file.hpp>

#include <array>

#include <sys/mman.h>

namespace fuzz {

/// A program as load and save see it.
struct tensors {
  struct entry {
    std::string_view path;
    volute::extents shape;
    float* data;
  };
  std::array<float, 6> a{1, 2, 3, 4, 5, 6};
  std::array<float, 1> b{7};
  std::array<entry, 2> parameter_table() {
    return {entry{"a", volute::make_extents(2, 3), a.data()}, entry{"b", volute::make_extents(), b.data()}};
  }
};

/// The path of a file with these bytes, the same every time.
inline std::string file_of(const std::uint8_t* data, std::size_t size) {
  static const int fd = ::memfd_create("fuzz", 0);
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  return "/proc/self/fd/" + std::to_string(fd);
}

/// The same bytes in memory of just their size, so that the sanitizer sees what is read beyond.
inline std::vector<std::byte> memory_of(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> bytes(size);
  if (size > 0) std::memcpy(bytes.data(), data, size);
  return bytes;
}

/// Ends the run with a finding.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace fuzz

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace fuzz {

/// A mutation after which, seven times of eight, the `width` bytes at `at` say where the header ends: at the last '}'. Else hardly any
/// would get past the length.
inline std::size_t mutated(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed, std::size_t at, std::size_t width) {
  size = LLVMFuzzerMutate(data, size, most);
  std::size_t end = size;
  while (end > 0 && data[end - 1] != '}') --end;
  if (seed % 8 == 0 || end < at + width) return size;
  std::size_t length = end - at - width;
  for (std::size_t i = 0; i < width; ++i, length >>= 8) data[at + i] = static_cast<std::uint8_t>(length);
  return size;
}

}  // namespace fuzz
