// Tiles of causal, grouped and residual networks.
#include "volumes_support.hpp"

using namespace volumes_networks;
using namespace volumes_support;

TEST_CASE("tiles of causal, grouped and residual networks are the whole") {
  check_tiles<causal_time, 1, size3{8, 10, 10}, size3{21, 10, 17}, size3{8, 33, 11}, size3{9, 10, 10}>("causal_time");
  check_tiles<grouped, 2, size3{8, 8, 16}, size3{9, 19, 16}, size3{20, 8, 33}, size3{11, 10, 17}>("grouped");
  check_tiles<residuals, 1, size3{12, 12, 16}, size3{13, 12, 39}, size3{29, 25, 16}, size3{12, 14, 17}>("residuals");
  check_tiles<bordered, 1, size3{10, 10, 12}, size3{11, 23, 12}, size3{31, 10, 13}, size3{10, 17, 27}>("bordered");
  CHECK(promises > 0);
}
