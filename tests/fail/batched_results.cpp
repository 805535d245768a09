// expect: batched: one result (N,...)
// expect: got several
#include "two_results.hpp"

void use() {
  batched<net, input<"x", 1, 1, 8, 8, 8>, 1, 4> t;
  (void)t;
}
