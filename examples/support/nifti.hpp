// Reads a volume from a NIfTI file (.nii, .nii.gz) with Debian's libniftiio.
#pragma once

#include <nifti1_io.h>
#include <xtensor/xtensor.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

namespace example {

/// The head MRI of the package mricron-data, or whatever file the environment's VOLUTE_MRI names.
inline std::string head_mri() {
  const char* chosen = std::getenv("VOLUTE_MRI");
  return chosen ? chosen : "/usr/share/mricron/templates/ch2.nii.gz";
}

/// The first volume of a file as (depth, height, width) = (z, y, x), in the file's own units.
inline xt::xtensor<float, 3> read_nifti(const std::string& path) {
  const std::unique_ptr<nifti_image, void (*)(nifti_image*)> image(nifti_image_read(path.c_str(), 1), nifti_image_free);
  if (!image) throw std::runtime_error("cannot read " + path + " (Debian package mricron-data, or set VOLUTE_MRI)");
  const auto extent = [](auto n) { return static_cast<std::size_t>(std::max<decltype(n)>(n, 1)); };
  xt::xtensor<float, 3> volume({extent(image->nz), extent(image->ny), extent(image->nx)});
  const float slope = image->scl_slope == 0 ? 1 : image->scl_slope, offset = image->scl_slope == 0 ? 0 : image->scl_inter;
  const auto copy = [&](auto type) {
    const auto* from = static_cast<const decltype(type)*>(image->data);
    std::transform(from, from + volume.size(), volume.begin(), [&](auto v) { return static_cast<float>(v) * slope + offset; });
  };
  switch (image->datatype) {
    case DT_UINT8:
      copy(std::uint8_t{});
      break;
    case DT_INT16:
      copy(std::int16_t{});
      break;
    case DT_UINT16:
      copy(std::uint16_t{});
      break;
    case DT_INT32:
      copy(std::int32_t{});
      break;
    case DT_FLOAT32:
      copy(float{});
      break;
    case DT_FLOAT64:
      copy(double{});
      break;
    default:
      throw std::runtime_error(path + ": voxel type " + nifti_datatype_string(image->datatype) + " is not supported");
  }
  return volume;
}

}  // namespace example
