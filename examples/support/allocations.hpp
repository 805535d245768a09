// Counts every operator new and delete of the program. It replaces them, so include it in one file of a program only.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace example {

inline std::atomic<long> allocation_count = 0;

inline void* counted_new(std::size_t n, std::size_t alignment) {
  ++allocation_count;
  if (void* p = std::aligned_alloc(alignment, (n + alignment) / alignment * alignment)) return p;
  throw std::bad_alloc();
}
inline void counted_delete(void* p) noexcept {
  ++allocation_count;
  std::free(p);
}

}  // namespace example

// The forms for arrays and those that are told a size call these.
void* operator new(std::size_t n) { return example::counted_new(n, alignof(std::max_align_t)); }
void* operator new(std::size_t n, std::align_val_t a) { return example::counted_new(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { example::counted_delete(p); }
void operator delete(void* p, std::size_t) noexcept { example::counted_delete(p); }
void operator delete(void* p, std::align_val_t) noexcept { example::counted_delete(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { example::counted_delete(p); }
