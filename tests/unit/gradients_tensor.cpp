#include "gradients_support.hpp"

using namespace gradients_test;

constexpr auto x = input<"x", 2, 3, 4>;

TEST_CASE("sums and means") {
  check(square(sum(x)), x);
  check(square(sum(x, axes<1>)), x);
  check(square(sum(x, axes<0, 2>, keepdims)), x);
  check(square(sum(x, axes<-1, 1>)), x);
  check(square(mean(square(x))), x);
  check(square(mean(x, axes<2, 0>)), x);
  check(x * mean(x, axes<1, 2>, keepdims), x);
}

TEST_CASE("maxima") {
  check(square(maximum(x)), x);
  check(square(maximum(x, axes<1>)), x);
  check(x * maximum(x, axes<0, 2>, keepdims), x);
}

TEST_CASE("equal maxima share the derivative") {
  constexpr auto y = sum(square(maximum(x, axes<0, 2>)));
  runner<program<outputs(y, gradient(y, x)), double>> run;
  for (std::size_t i = 0; i < 24; ++i) run.in[0][i] = i / 4 % 3 == 1 ? 2 : static_cast<double>(i % 4);  // row 1: eight twos; rows 0 and 2: two threes
  run.run_all();
  CHECK(run.out[0][0] == 9 + 4 + 9);
  for (std::size_t i = 0; i < 24; ++i) CHECK(run.out[1][i] == (i / 4 % 3 == 1 ? 0.5 : i % 4 == 3 ? 3 : 0));
}

TEST_CASE("shapes") {
  check(square(reshape(x, shape<4, -1>)) * input<"m", 4, 6>, x, input<"m", 4, 6>);
  check(square(flatten(x)), x);
  check(square(transpose(x, axes<2, 0, 1>)) * input<"m", 4, 2, 3>, x, input<"m", 4, 2, 3>);
  check(square(slice(x, axis<2>, range<1, 3>)), x);
  check(square(slice(x, axis<-1>, range<0, 4, 3>)), x);
  check(square(slice(x, axis<1>, range<-2, 3>)), x);
  check(square(pad(x, shape<0, 1, 2>, shape<1, 0, 1>)), x);
  check(square(pad(square(x), shape<0, 1, 0>, shape<0, 0, 1>, 3_c)), x);
  check(square(concat(axis<1>, x, input<"z", 2, 1, 4>, square(x))), x, input<"z", 2, 1, 4>);
  check(x * per_channel(input<"v", 2>) + per_sample_channel(input<"n", 2, 2>), x, input<"v", 2>, input<"n", 2, 2>);
}

TEST_CASE("parts that are whole cache lines share memory") {  // pieces made in place, slices read in place, nested, and both
  constexpr auto u = input<"u", 1, 16>;
  constexpr auto h = linear(u, input<"w", 48, 16>);
  constexpr auto gated = slice(h, axis<1>, range<0, 16>) * sigmoid(slice(h, axis<1>, range<16, 32>)) + sin(slice(h, axis<1>, range<32, 48>));
  check(square(gated), u);
  constexpr auto all = concat(axis<1>, gated, concat(axis<1>, sin(u), square(h), u), gated);
  check(square(linear(all, input<"v", 3, 112>)) * sum(square(all)), u);
  check(sum(square(slice(all, axis<1>, range<32, 96>))) * slice(all, axis<1>, range<0, 32>), u);
}
