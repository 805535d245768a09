// Memory on cache lines: owned, or somebody else's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace volute {

/// Every block, parameter and result begins on a cache line: 64 bytes, as long as the widest vector.
inline constexpr std::size_t cache_line = 64;

/// `bytes`, rounded up to whole cache lines.
constexpr std::int64_t whole_lines_of_bytes(std::int64_t bytes) {
  constexpr auto line = static_cast<std::int64_t>(cache_line);
  return (bytes + line - 1) / line * line;
}

/// Room for a tensor of so many bytes: whole lines, and one behind them for vectors that go beyond its end.
constexpr std::int64_t bytes_of_tensor(std::int64_t bytes) { return whole_lines_of_bytes(bytes) + static_cast<std::int64_t>(cache_line); }

/// A block on a cache line that is freed with its owner.
struct release_memory {
  void operator()(std::byte* p) const noexcept { ::operator delete (p, std::align_val_t{cache_line}); }
};
using owned_memory = std::unique_ptr<std::byte[], release_memory>;

/// `bytes` on a cache line, as they come. Throws std::bad_alloc.
inline owned_memory allocate(std::int64_t bytes) {
  return owned_memory(static_cast<std::byte*>(::operator new (static_cast<std::size_t>(bytes), std::align_val_t{cache_line})));
}

}  // namespace volute
