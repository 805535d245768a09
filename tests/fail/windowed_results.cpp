// expect: windows: one result (1,C,D,H,W)
// expect: got several
#include "two_results.hpp"

void use() {
  windowed<net, input<"x", 1, 1, 8, 8, 8>> t;
  (void)t;
}
