// grid_sample: PyTorch's numbers and gradients, by the volume and by the grid.
#include "functions_torch.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

constexpr auto volume = input<"x", 2, 2, 2, 3, 4>;
constexpr auto places = parameter<"grid", 2, 2, 1, 3, 3> * 1.5_c;

TEST_CASE("the nearest voxel is PyTorch's") {
  check_torch(numbers::sample_nearest_zeros, grid_sample(volume, places, nearest), volume);
  check_torch(numbers::sample_nearest_border, grid_sample(volume, places, nearest, border_padding), volume);
  check_torch(numbers::sample_nearest_reflection, grid_sample(volume, places, nearest, reflection_padding), volume);
  check_torch(numbers::sample_nearest_zeros_corners, grid_sample(volume, places, nearest, align_corners), volume);
  check_torch(numbers::sample_nearest_border_corners, grid_sample(volume, places, nearest, border_padding, align_corners), volume);
  check_torch(numbers::sample_nearest_reflection_corners, grid_sample(volume, places, nearest, reflection_padding, align_corners), volume);
}
