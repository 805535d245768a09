// What family.cpp hands to families.cpp.
#pragma once

#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "workload.hpp"

namespace compare {

/// One family's way to one face of a convolution.
struct contender {
  std::string name, face, family;
  std::function<std::function<void()>()> prepare;
};
inline std::vector<contender>& contenders() {
  static std::vector<contender> all;
  return all;
}

}  // namespace compare
