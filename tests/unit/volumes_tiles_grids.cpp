// Tiles of two sizes on many volumes: networks that change the resolution.
#include "volumes_support.hpp"

using namespace volumes_networks;
using namespace volumes_support;

TEST_CASE("tiles of any size on the grid give one result") {
  check_sizes<strided, 1, size3{12, 16, 15}, size3{14, 20, 17}>("strided");
  check_sizes<pooled_up, 1, size3{12, 14, 16}, size3{18, 16, 20}>("pooled_up");
  check_sizes<linear_up, 1, size3{14, 16, 18}, size3{18, 18, 22}>("linear_up");
  check_sizes<super, 1, size3{6, 7, 8}, size3{9, 8, 11}>("super");
  check_sizes<windows, 1, size3{10, 11, 12}, size3{14, 13, 18}>("windows");
  check_sizes<cropped, 1, size3{9, 9, 12}, size3{10, 12, 14}>("cropped");
  check_sizes<unet_strides, 1, size3{22, 24, 26}, size3{26, 28, 28}>("unet_strides", 8);
}
