// Tiles of networks that change the resolution.
#include "volumes_support.hpp"

using namespace volumes_networks;
using namespace volumes_support;

TEST_CASE("tiles of networks with strides and pools are the whole") {
  check_tiles<strided, 1, size3{12, 16, 16}, size3{14, 16, 34}, size3{30, 24, 16}, size3{12, 32, 18}>("strided");
  check_tiles<strided, 1, size3{13, 17, 15}, size3{13, 21, 33}, size3{29, 17, 15}>("strided, odd");
  check_tiles<pooled_up, 1, size3{14, 14, 16}, size3{16, 22, 16}, size3{30, 14, 38}, size3{14, 18, 18}>("pooled_up");
  check_tiles<windows, 1, size3{12, 12, 12}, size3{14, 12, 26}, size3{12, 24, 12}, size3{22, 14, 16}>("windows");
  CHECK(promises > 0);
}
