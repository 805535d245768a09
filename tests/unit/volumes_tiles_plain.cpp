// Tiles of networks that keep the resolution.
#include "volumes_support.hpp"

using namespace volumes_networks;
using namespace volumes_support;

TEST_CASE("tiles of networks without strides are the whole") {
  check_tiles<plain, 1, size3{12, 16, 16}, size3{13, 17, 31}, size3{30, 16, 37}, size3{12, 40, 16}>("plain");
  check_tiles<unpadded, 1, size3{8, 8, 12}, size3{9, 20, 12}, size3{21, 8, 31}, size3{17, 13, 14}>("unpadded");
  check_tiles<dilated, 1, size3{16, 20, 20}, size3{17, 20, 33}, size3{40, 31, 20}, size3{16, 23, 24}>("dilated");
  check_tiles<one_sided, 1, size3{10, 10, 12}, size3{23, 10, 13}, size3{10, 19, 29}, size3{11, 27, 12}>("one_sided");
  CHECK(promises > 0);
}
