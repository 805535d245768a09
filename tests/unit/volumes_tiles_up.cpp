// Tiles of networks that raise the resolution, and of one that cuts and pads.
#include "volumes_support.hpp"

using namespace volumes_networks;
using namespace volumes_support;

TEST_CASE("tiles of networks with upsampling are the whole") {
  check_tiles<linear_up, 1, size3{16, 16, 18}, size3{18, 16, 32}, size3{28, 22, 18}, size3{16, 34, 20}>("linear_up");
  check_tiles<super, 1, size3{8, 8, 10}, size3{9, 17, 10}, size3{20, 8, 13}, size3{8, 11, 22}>("super");
  check_tiles<cropped, 1, size3{10, 10, 14}, size3{23, 10, 15}, size3{11, 21, 14}, size3{10, 10, 31}>("cropped");
  CHECK(promises > 0);
}
