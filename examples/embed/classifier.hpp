// A trained network behind a handle: this header knows the standard library only, so that a program that includes it compiles in no time,
// and the network is compiled once, in classifier.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

/// The model of the Conv3D document: a volume of 10x10x10 voxels in, a score for each of 10 classes out (the highest wins).
class classifier {
 public:
  static constexpr std::size_t voxels = 10 * 10 * 10, classes = 10;

  /// With the weights of a safetensors file, such as classify_volumes writes; without one, with the network's initial values.
  /// Throws std::runtime_error if the file does not fit.
  explicit classifier(const std::string& weights = {});
  ~classifier();

  /// Voxels in the order z, y, x. Allocates nothing, throws nothing; for one thread at a time.
  void operator()(std::span<const float, voxels> volume, std::span<float, classes> scores) noexcept;

 private:
  struct network;
  std::unique_ptr<network> network_;
};
