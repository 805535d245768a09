#include "small.hpp"

#include <cstdio>

static const char* const early = small_isa();  // before main()

int main() {
  std::puts(small_isa());
  return early == small_isa() ? 0 : 1;
}
