// Attention: derivatives of first and second order.
#include "gradients_support.hpp"

using namespace gradients_test;

constexpr auto queries = input<"queries", 2, 3, 2>;
constexpr auto keys = input<"keys", 2, 4, 2>;
constexpr auto contents = input<"contents", 2, 4, 3>;

TEST_CASE("of queries, keys, values and a bias") {
  check(square(attention(queries, keys, contents)), queries, keys, contents);
  constexpr auto bias = input<"bias", 3, 4>;
  check(square(attention(queries, keys, contents, attn_bias(bias), attn_scale<0.7>, causal)), queries, bias);
}

TEST_CASE("of several biases, with a mask and without") {
  constexpr auto one = input<"one", 3, 4>;
  constexpr auto another = input<"another", 2, 1, 4>;
  check(square(attention(queries, keys, contents, attn_bias(one), attn_bias(another))), queries, one, another);
  constexpr auto mask = reshape(indices<1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0>, shape<3, 4>);
  check(square(attention(queries, keys, contents, attn_bias(one), attn_bias(another), attn_mask(mask))), contents, one, another);
}

TEST_CASE("of one tensor that is all of them, masked") {
  check(square(attention(queries, sin(queries), queries, attn_groups(indices<0, 1, 0>))), queries);
  constexpr auto mask = reshape(indices<1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0>, shape<3, 4>);
  check(square(attention(queries, keys, keys, attn_mask(mask))), queries, keys);
}

TEST_CASE("of values that are 0 by their form") {  // the sums of each row's exponentials are not
  constexpr auto nothing = contents * 0_c;
  constexpr auto y = attention(queries, keys, nothing);
  constexpr auto z = attention(queries, keys, contents);
  program<outputs(gradient(sum(y + square(y)), nothing), gradient(sum(z + square(z)), contents)), double> p;
  const std::vector<double> q{0.1, 0.9, -0.3, 1.1, 0.7, -0.8, 0.2, 0.4, -1.2, 0.5, 0.3, -0.6},
      k{0.5, -0.1, 0.8, 0.3, -0.4, 1.2, 0.6, -0.9, -0.2, 0.7, 1.3, 0.4, -0.5, 0.1, 0.9, -1.1};
  const auto [by_form, by_value] = p(queries = q, keys = k, contents = std::vector<double>(24, 0.));
  for (std::size_t i = 0; i < 24; ++i) CHECK(by_form.data()[i] == Approx(by_value.data()[i]));
}
