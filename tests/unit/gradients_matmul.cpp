#include "gradients_support.hpp"

using namespace gradients_test;

template <std::int64_t... D>
constexpr auto a = input<"a", D...>;
template <std::int64_t... D>
constexpr auto b = input<"b", D...>;

TEST_CASE("matrix products") {
  check(square(matmul(a<2, 3>, b<3, 4>)), a<2, 3>, b<3, 4>);
  check(square(matmul(a<2, 2, 3>, b<2, 3, 4>)), a<2, 2, 3>, b<2, 3, 4>);
  check(square(matmul(a<2, 2, 3>, b<3, 4>)), a<2, 2, 3>, b<3, 4>);
  check(square(matmul(a<2, 3>, b<2, 3, 4>)), a<2, 3>, b<2, 3, 4>);
  check(square(matmul(a<1, 2, 3>, b<2, 3, 4>)), a<1, 2, 3>, b<2, 3, 4>);
  check(square(matmul(a<2, 2, 3>, b<1, 3, 4>)), a<2, 2, 3>, b<1, 3, 4>);
}

TEST_CASE("linear") {
  constexpr auto bias = input<"bias", 4>;
  check(square(linear(a<2, 3>, b<4, 3>)), a<2, 3>, b<4, 3>);
  check(square(linear(a<2, 3>, b<4, 3>, bias)), a<2, 3>, b<4, 3>, bias);
  check(square(linear(a<2, 2, 3>, b<4, 3>, bias)), a<2, 2, 3>, b<4, 3>, bias);
}

TEST_CASE("sums of products that become matrix products") {
  check(square(sum(reshape(a<2, 3>, shape<2, 1, 3>) * reshape(b<4, 3>, shape<1, 4, 3>), axes<2>)), a<2, 3>, b<4, 3>);
  check(square(sum(reshape(a<3, 2>, shape<3, 2, 1>) * reshape(b<3, 4>, shape<3, 1, 4>), axes<0>)), a<3, 2>, b<3, 4>);
}

TEST_CASE("softmax and losses") {
  constexpr auto t = input<"t", 2, 3>;
  check(softmax(a<2, 3>, axis<1>), a<2, 3>);
  check(softmax(a<2, 3, 2>, axis<1>), a<2, 3, 2>);
  check(log_softmax(a<2, 3>, axis<-1>), a<2, 3>);
  check(log_softmax(a<2, 3>, axis<0>), a<2, 3>);
  check(mse(a<2, 3>, t), a<2, 3>, t);
  constexpr auto labels = arange<2> + 1_c;
  check(cross_entropy(a<2, 3>, labels), a<2, 3>);
  constexpr auto voxels = clamp(reshape(arange<8>, shape<2, 1, 2, 2>) - 2_c, 0_c, 2_c);
  check(cross_entropy(a<2, 3, 1, 2, 2>, voxels), a<2, 3, 1, 2, 2>);
}
