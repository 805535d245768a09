// grid_sample: PyTorch's numbers and gradients, by the volume and by the grid.
#include "functions_torch.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

constexpr auto volume = input<"x", 2, 2, 2, 3, 4>;
constexpr auto places = parameter<"grid", 2, 2, 1, 3, 3> * 1.5_c;

TEST_CASE("trilinear sampling gives PyTorch's numbers") {
  check_torch(numbers::sample_bilinear_zeros, grid_sample(volume, places), volume);
  check_torch(numbers::sample_bilinear_border, grid_sample(volume, places, border_padding), volume);
  check_torch(numbers::sample_bilinear_reflection, grid_sample(volume, places, trilinear, reflection_padding), volume);
}

TEST_CASE("with corners aligned too") {
  check_torch(numbers::sample_bilinear_zeros_corners, grid_sample(volume, places, align_corners), volume);
  check_torch(numbers::sample_bilinear_border_corners, grid_sample(volume, places, border_padding, align_corners), volume);
  check_torch(numbers::sample_bilinear_reflection_corners, grid_sample(volume, places, align_corners, reflection_padding), volume);
}
