// Products of matrices of any rank: PyTorch's numbers, and derivatives of first and second order.
#include "functions_torch.hpp"
#include "gradients_layers.hpp"
#include "layers_torch_support.hpp"

using namespace layers_test;
namespace numbers = torch_numbers;
using gradients_test::check;

template <std::int64_t... D>
constexpr auto a = input<"a", D...>;
template <std::int64_t... D>
constexpr auto b = input<"b", D...>;
template <std::int64_t... D>
constexpr auto p = parameter<"p", D...>;

TEST_CASE("matmul of any rank gives PyTorch's numbers") {
  check_torch(numbers::matmul_batched, matmul(a<2, 3, 2, 3>, p<2, 3, 3, 2>), a<2, 3, 2, 3>);
  check_torch(numbers::matmul_one_matrix, matmul(a<2, 2, 2, 3>, p<3, 4>), a<2, 2, 2, 3>);
  check_torch(numbers::matmul_leading, matmul(a<2, 3>, p<2, 2, 3, 2>), a<2, 3>);
  check_torch(numbers::matmul_broadcast, matmul(a<2, 1, 2, 3>, p<3, 3, 2>), a<2, 1, 2, 3>);
  check_torch(numbers::matmul_row, matmul(a<3>, p<2, 3, 2>), a<3>);
  check_torch(numbers::matmul_column, matmul(a<2, 2, 3>, p<3>), a<2, 2, 3>);
  check_torch(numbers::matmul_dot, reshape(matmul(a<5>, p<5>), shape<1>), a<5>);
}

TEST_CASE("the linear layer takes any rank") {
  check_torch(numbers::linear_rank_1, nn::linear<3, 4>{}(a<3>), a<3>);
  check_torch(numbers::linear_rank_4, nn::linear<3, 4>{}(a<2, 1, 2, 3>), a<2, 1, 2, 3>);
  check_torch(numbers::linear_rank_5, nn::linear<3, 2, nn::no_bias>{}(a<2, 1, 2, 2, 3>), a<2, 1, 2, 2, 3>);
}

TEST_CASE("shapes of products") {
  static_assert(matmul(a<3>, b<3>).shape() == shape<>);
  static_assert(matmul(a<4, 1, 2, 3>, b<5, 3, 6>).shape() == shape<4, 5, 2, 6>);
  static_assert(linear(a<3>, b<4, 3>).shape() == shape<4>);
  static_assert(matmul(a<0, 2, 3>, b<3, 4>).shape() == shape<0, 2, 4>);
}

TEST_CASE("derivatives of products of any rank") {
  check(square(matmul(a<2, 1, 2, 3>, b<2, 3, 2>)), a<2, 1, 2, 3>, b<2, 3, 2>);
  check(square(matmul(a<2, 2, 1, 3>, b<2, 2, 3, 2>)), a<2, 2, 1, 3>, b<2, 2, 3, 2>);
  check(square(matmul(a<3>, b<2, 3, 2>)), a<3>, b<2, 3, 2>);
  check(square(matmul(a<2, 2, 3>, b<3>)), a<2, 2, 3>, b<3>);
  check(square(matmul(a<4>, b<4>)), a<4>, b<4>);
  check(square(linear(a<2, 1, 2, 3>, b<4, 3>)), a<2, 1, 2, 3>, b<4, 3>);
}
