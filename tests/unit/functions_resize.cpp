// Resizing: PyTorch's numbers and gradients.
#include "functions_torch.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;

TEST_CASE("nearest voxels are PyTorch's") {
  check_torch(numbers::resize_nearest_up, interpolate(x<1, 2, 2, 3, 2>, output_size<3, 7, 2>), x<1, 2, 2, 3, 2>);
  check_torch(numbers::resize_nearest_down, interpolate(x<1, 1, 6, 7, 5>, output_size<3, 3, 4>, nearest), x<1, 1, 6, 7, 5>);
  check_torch(numbers::resize_nearest_factor, interpolate(x<1, 1, 4, 5, 3>, scale_factor<1.5, 0.7, 2.4>), x<1, 1, 4, 5, 3>);
  check_torch(numbers::resize_exact_up, interpolate(x<1, 1, 2, 3, 2>, output_size<3, 7, 4>, nearest_exact), x<1, 1, 2, 3, 2>);
  check_torch(numbers::resize_exact_down, interpolate(x<1, 1, 6, 7, 9>, output_size<3>, nearest_exact), x<1, 1, 6, 7, 9>);
}

TEST_CASE("linear interpolation gives PyTorch's numbers") {
  check_torch(numbers::resize_linear, interpolate(x<1, 2, 3, 4, 2>, output_size<5, 3, 2>, trilinear), x<1, 2, 3, 4, 2>);
  check_torch(numbers::resize_linear_factor, nn::interpolate<nn::scale<1.5, 0.6, 1.1>, nn::trilinear>{}(x<1, 1, 3, 4, 5>),
              x<1, 1, 3, 4, 5>);
  check_torch(numbers::resize_linear_corners, interpolate(x<1, 1, 3, 4, 2>, output_size<5, 2, 1>, trilinear, align_corners),
              x<1, 1, 3, 4, 2>);
}

TEST_CASE("cubic interpolation gives PyTorch's numbers") {
  check_torch(numbers::resize_cubic_up, nn::interpolate<nn::output_size<1, 7, 6>, nn::cubic>{}(x<1, 2, 1, 3, 4>), x<1, 2, 1, 3, 4>);
  check_torch(numbers::resize_cubic_down, interpolate(x<1, 1, 1, 7, 6>, output_size<1, 3, 4>, cubic), x<1, 1, 1, 7, 6>);
  check_torch(numbers::resize_cubic_factor, interpolate(x<1, 1, 1, 3, 5>, scale_factor<1, 1.7, 0.7>, cubic), x<1, 1, 1, 3, 5>);
  check_torch(numbers::resize_cubic_corners, interpolate(x<1, 1, 1, 3, 5>, output_size<1, 7, 4>, cubic, align_corners), x<1, 1, 1, 3, 5>);
}

TEST_CASE("every extent from every other, nearest, in float") {  // places that are whole numbers are not rounded away
  const auto check = []<std::int64_t N, std::int64_t M>(std::integral_constant<std::int64_t, N>, std::integral_constant<std::int64_t, M>) {
    constexpr auto in = reshape(arange<N>, shape<1, 1, 1, 1, N>);
    auto [corner, centre] =
        evaluate(outputs(interpolate(in * 1_c, output_size<1, 1, M>), interpolate(in * 1_c, output_size<1, 1, M>, nearest_exact)));
    for (std::int64_t o = 0; o < M; ++o) {
      CHECK(corner.data()[o] == static_cast<float>(o * N / M));
      CHECK(centre.data()[o] == static_cast<float>((2 * o + 1) * N / (2 * M)));
    }
  };
  check(std::integral_constant<std::int64_t, 300>{}, std::integral_constant<std::int64_t, 210>{});
  check(std::integral_constant<std::int64_t, 49>{}, std::integral_constant<std::int64_t, 343>{});
  check(std::integral_constant<std::int64_t, 70>{}, std::integral_constant<std::int64_t, 333>{});
}
