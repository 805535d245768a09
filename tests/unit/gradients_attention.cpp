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

TEST_CASE("of one tensor that is all of them, masked") {
  check(square(attention(queries, sin(queries), queries, attn_groups(indices<0, 1, 0>))), queries);
  constexpr auto mask = reshape(indices<1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0>, shape<3, 4>);
  check(square(attention(queries, keys, keys, attn_mask(mask))), queries, keys);
}
