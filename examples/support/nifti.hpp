// The head MRI that the examples learn from.
#pragma once

#include <volute/imaging/nifti.hpp>

#include <cstdlib>
#include <string>

namespace example {

/// The head MRI of the package mricron-data, or whatever file the environment's VOLUTE_MRI names.
inline std::string head_mri() {
  const char* chosen = std::getenv("VOLUTE_MRI");
  return chosen ? chosen : "/usr/share/mricron/templates/ch2.nii.gz";
}

/// The first volume of a file as (depth, height, width) = (z, y, x), in the file's own units.
inline xt::xtensor<float, 3> read_nifti(const std::string& path) { return volute::imaging::read_nifti(path).voxels; }

}  // namespace example
