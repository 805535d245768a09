// Elements by their numbers: PyTorch's numbers, and what is no number.
#include "functions_torch.hpp"
#include "layers_torch_support.hpp"

#include <limits>

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;
/// i * Step % Modulus, i < N.
template <int N, int Step, int Modulus>
constexpr auto cycle = []<int... I>(std::integer_sequence<int, I...>) {
  return indices<(I * Step % Modulus)...>;
}
(std::make_integer_sequence<int, N>{});

TEST_CASE("take, gather and embedding give PyTorch's numbers") {
  check_torch(numbers::embedding, nn::embedding<4, 3>{}(reshape(cycle<6, 5, 4>, shape<2, 3>)) * x<2, 3, 3>, x<2, 3, 3>);
  check_torch(numbers::take, take(x<2, 3, 2>, axis<1>, indices<2, 0, 2, 1, 2>), x<2, 3, 2>);
  check_torch(numbers::gather_middle, gather(x<2, 3, 2>, axis<1>, reshape(cycle<24, 7, 3>, shape<2, 6, 2>)), x<2, 3, 2>);
  check_torch(numbers::gather_last, gather(x<2, 3, 4>, axis<-1>, reshape(cycle<6, 5, 4>, shape<2, 3, 1>)), x<2, 3, 4>);
}

TEST_CASE("an index that is given at run time, and one that is none") {
  constexpr auto table = input<"table", 3, 2>;
  constexpr auto index = input<"index", 5>;
  constexpr auto taken = take(table, axis<0>, index);
  auto [rows, by_table, by_index] =
      evaluate(outputs(taken, gradient(sum(taken), table), gradient(sum(taken), index)), table = std::vector<float>{1, 2, 3, 4, 5, 6},
               index = std::vector<float>{2, -1, 3, std::numeric_limits<float>::quiet_NaN(), 2});
  CHECK(std::vector<float>(rows.begin(), rows.end()) == std::vector<float>{5, 6, 0, 0, 0, 0, 0, 0, 5, 6});
  CHECK(std::vector<float>(by_table.begin(), by_table.end()) == std::vector<float>{0, 0, 0, 0, 2, 2});
  CHECK(std::vector<float>(by_index.begin(), by_index.end()) == std::vector<float>(5, 0));
}

TEST_CASE("argmax and one_hot") {
  constexpr auto v = input<"v", 2, 4>;
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  auto [along_rows, along_columns, hot] = evaluate(outputs(argmax(v, axis<-1>), argmax(v, axis<0>), one_hot<4>(argmax(v, axis<1>))),
                                                   v = std::vector<float>{1, 3, 3, 2, -inf, nan, 7, nan});
  CHECK(std::vector<float>(along_rows.begin(), along_rows.end()) == std::vector<float>{1, 1});
  CHECK(std::vector<float>(along_columns.begin(), along_columns.end()) == std::vector<float>{0, 1, 1, 1});
  CHECK(std::vector<float>(hot.begin(), hot.end()) == std::vector<float>{0, 1, 0, 0, 0, 1, 0, 0});
}

TEST_CASE("threads give the same bits") {
  constexpr auto table = input<"table", 40, 300>;
  constexpr auto index = input<"index", 900>;
  constexpr auto weight = input<"weight", 40, 900>;
  constexpr auto taken = take(table, axis<1>, index);
  program<outputs(taken, gradient(sum(taken * weight), table))> alone, shared;
  spinning_pool pool(2);
  shared.use(pool);
  std::vector<float> a(12000), b(900), c(36000);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = float(i * 37 % 101) / 7;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = float(i * 53 % 300);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = float(i * 29 % 97) / 11;
  auto [y, dx] = alone(table = a, index = b, weight = c);
  auto [z, dz] = shared(table = a, index = b, weight = c);
  CHECK((std::equal(y.begin(), y.end(), z.begin()) && std::equal(dx.begin(), dx.end(), dz.begin())));
}
