// Tiles of U-Nets.
#include "volumes_support.hpp"

using namespace volumes_networks;
using namespace volumes_support;

TEST_CASE("tiles of U-Nets are the whole") {
  check_tiles<unet_pools, 1, size3{32, 36, 36}, size3{36, 36, 48}, size3{32, 52, 40}, size3{44, 36, 36}>("unet_pools");
  check_tiles<unet_strides, 1, size3{24, 24, 24}, size3{26, 24, 40}, size3{32, 30, 24}>("unet_strides");
  CHECK(promises > 0);
}
