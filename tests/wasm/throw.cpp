// The standard library of Debian's wasm32-wasi has no exceptions: what throws ends the program.
#include <cstddef>
#include <cstdio>
#include <cstdlib>

extern "C" {
void* __cxa_allocate_exception(std::size_t size) { return std::malloc(size); }
[[noreturn]] void __cxa_throw(void*, void*, void (*)(void*)) {
  std::fputs("an exception\n", stderr);
  std::abort();
}
}
