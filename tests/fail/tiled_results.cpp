// expect: tiles: one result (N,C,D,H,W)
// expect: got several
#include "two_results.hpp"

void use() {
  tiled<net, input<"x", 1, 1, 8, 8, 8>> t;
  (void)t;
}
