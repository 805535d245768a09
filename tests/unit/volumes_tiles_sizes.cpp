// Tiles of two sizes on many volumes: networks that keep the resolution.
#include "volumes_support.hpp"

using namespace volumes_networks;
using namespace volumes_support;

TEST_CASE("tiles of any size give one result") {
  check_sizes<plain, 1, size3{12, 12, 16}, size3{14, 17, 19}>("plain");
  check_sizes<unpadded, 1, size3{6, 7, 8}, size3{9, 8, 12}>("unpadded");
  check_sizes<one_sided, 1, size3{8, 9, 10}, size3{11, 10, 13}>("one_sided");
  check_sizes<causal_time, 1, size3{6, 7, 8}, size3{7, 9, 13}>("causal_time");
  check_sizes<residuals, 1, size3{10, 11, 12}, size3{13, 12, 17}>("residuals");
  check_sizes<bordered, 1, size3{7, 8, 9}, size3{10, 9, 11}>("bordered");
}
