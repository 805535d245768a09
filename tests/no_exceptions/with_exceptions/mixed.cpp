// The half of ../mixed.cpp that has exceptions.
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

using namespace volute;

bool with_exceptions() {
  model<nn::linear<3, 2>, input<"x", 1, 3>> m;
  const xt::xtensor<float, 2> wrong({2, 3});
  int caught = 0;
  try {
    const xt::xtensor<float, 2> y = m(wrong);
  } catch (const shape_error&) {
    ++caught;
  }
  try {
    m.load("/none");
  } catch (const file_error&) {
    ++caught;
  }
  return caught == 2 && !m.try_load("/none");
}
