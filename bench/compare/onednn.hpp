// What a module built against one oneDNN offers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "workload.hpp"

namespace compare {

struct onednn_way {
  std::string name;
  std::function<void()> run;
};

/// The version, "3.2.0".
using onednn_version = void(std::string& version);
/// Every way in which this oneDNN can make a pass, see conv3d_workload for the operands.
using onednn_ways = void(pass, const conv_geometry&, const float* first, const float* second, float* result, std::vector<onednn_way>&);

}  // namespace compare
