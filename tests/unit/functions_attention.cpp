// Attention: PyTorch's numbers, what it never builds, and rows that see nothing.
#include "attention_torch.hpp"
#include "layers_torch_support.hpp"

#include <limits>

using namespace layers_test;
namespace numbers = torch_numbers;

template <std::int64_t... D>
constexpr auto x = input<"x", D...>;
template <std::int64_t... D>
constexpr auto keys = parameter<"keys", D...>;
template <std::int64_t... D>
constexpr auto values = parameter<"values", D...>;
template <std::int64_t... D>
constexpr auto bias = parameter<"bias", D...>;

TEST_CASE("attention gives PyTorch's numbers") {
  check_torch(numbers::attention, attention(x<2, 2, 3, 4>, keys<2, 2, 5, 4>, values<2, 2, 5, 3>), x<2, 2, 3, 4>);
  check_torch(numbers::attention_causal, attention(x<5, 3>, keys<5, 3>, values<5, 2>, attn_scale<0.3>, causal), x<5, 3>);
  check_torch(numbers::attention_bias, attention(x<2, 2, 3, 4>, keys<2, 2, 5, 4>, values<2, 2, 5, 2>, attn_bias(bias<2, 3, 5>)),
              x<2, 2, 3, 4>);
  check_torch(numbers::attention_row, attention(x<2, 3, 4>, keys<2, 5, 4>, values<2, 5, 2>, attn_bias(bias<1, 5>)), x<2, 3, 4>);
  check_torch(numbers::attention_shared_keys, attention(x<2, 3, 4, 6>, keys<4, 6>, x<2, 3, 4, 6>), x<2, 3, 4, 6>);
}

TEST_CASE("a query that sees no key gives zeros, and so do its gradients") {
  constexpr auto mask = reshape(indices<0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1>, shape<3, 5>);
  check_torch(numbers::attention_mask, attention(x<2, 3, 4>, keys<2, 5, 4>, values<2, 5, 2>, attn_mask(mask)), x<2, 3, 4>);
}

TEST_CASE("biases add up, whatever stands between them") {
  constexpr auto in = x<2, 2, 4, 3>;
  constexpr auto heads = parameter<"heads", 2, 4, 4>;
  constexpr auto windows = parameter<"windows", 2, 1, 1, 4>;
  constexpr auto rows = parameter<"rows", 4, 1>;
  constexpr auto mask = reshape(indices<1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1>, shape<4, 4>);
  const auto run = [&](auto y) {
    program<outputs_of(decltype(y){}, in), double> p;
    for (std::size_t i = 0; double& number : p.parameter_values()) number = layers_test::number(i++, 29, 5, 53);
    std::vector<double> v(48), c(48);
    for (std::size_t i = 0; i < 48; ++i) v[i] = layers_test::number(i, 37, 11, 101), c[i] = layers_test::number(i, 53, 17, 97);
    auto [value, dx, dp] = p(in = v, input<"c", 2, 2, 4, 3> = c);
    std::vector<double> all(value.begin(), value.end());
    all.insert(all.end(), dx.begin(), dx.end());
    for (const auto& p_slope : dp) all.insert(all.end(), p_slope.data, p_slope.data + p_slope.shape.size());
    return all;
  };
  const auto close = [&](auto one, auto other) {
    const auto a = run(one), b = run(other);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == Approx(b[i]).margin(1e-12));
  };
  close(attention(in, in, in, attn_bias(heads), attn_bias(windows)), attention(in, in, in, attn_bias(heads + windows)));
  close(attention(in, in, in, attn_bias(heads), attn_bias(windows), attn_bias(rows)), attention(in, in, in, attn_bias(heads + rows + windows)));
  close(attention(in, in, in, attn_bias(heads), attn_mask(mask), attn_bias(windows)), attention(in, in, in, attn_mask(mask), attn_bias(heads + windows)));
  close(attention(in, in, in, attn_bias(heads), attn_bias(windows), attn_mask(mask)), attention(in, in, in, attn_mask(mask), attn_bias(heads + windows)));
}

TEST_CASE("groups are a mask that nobody builds") {
  constexpr auto group = reshape(indices<0, 1, 0, 1, 1, 2, 2, 2>, shape<2, 1, 4>);
  constexpr auto mask = equal(reshape(group, shape<2, 1, 4, 1>), reshape(group, shape<2, 1, 1, 4>));
  constexpr auto in = x<3, 2, 2, 4, 3>;
  constexpr auto a = attention(in, in, in, attn_groups(group), attn_bias(bias<4, 4>));
  constexpr auto b = attention(in, in, in, attn_mask(mask), attn_bias(bias<4, 4>));
  const auto run = [&](auto y) {
    program<outputs_of(decltype(y){}, in), double> p;
    std::vector<double> v(144), c(144);
    for (std::size_t i = 0; i < 144; ++i) v[i] = layers_test::number(i, 37, 11, 101), c[i] = layers_test::number(i, 53, 17, 97);
    auto [value, dx, dp] = p(in = v, input<"c", 3, 2, 2, 4, 3> = c);
    std::vector<double> all(value.begin(), value.end());
    all.insert(all.end(), dx.begin(), dx.end());
    for (const auto& entry : dp) all.insert(all.end(), entry.data, entry.data + entry.shape.size());
    return all;
  };
  CHECK(run(a) == run(b));
}

TEST_CASE("the scores are never built") {
  constexpr auto q = input<"q", 1, 8, 4096, 64>;
  constexpr auto k = input<"k", 1, 8, 4096, 64>;
  constexpr auto v = input<"v", 1, 8, 4096, 64>;
  constexpr auto c = input<"c", 1, 8, 4096, 64>;
  constexpr auto y = attention(q, k, v);
  constexpr auto loss = sum(y * c);
  constexpr std::int64_t scores = 8 * 4096 * std::int64_t{4096} * 4, operand = 8 * 4096 * 64 * 4;
  using forward = program<outputs(y)>::facts;
  using backward = program<outputs(y, gradient(loss, q), gradient(loss, k), gradient(loss, v))>::facts;
  static_assert(50 * forward::arena_bytes < scores && forward::largest_tensor == operand / 4);
  static_assert(50 * backward::arena_bytes < scores && backward::largest_tensor == operand / 4);
  static_assert(forward::arena_bytes < operand / 8 && backward::arena_bytes < operand / 8);
  static_assert(forward::flops == 4.0 * 8 * 4096 * 4096 * 64);
  static_assert(backward::flops == 3.5 * forward::flops);
}

TEST_CASE("what is infinite, and what is no number") {
  constexpr auto in = x<3, 2>;
  constexpr auto b = input<"b", 3>;
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const auto run = [&](float first, float added) {
    auto y = evaluate(attention(in, in, constant<1, 3, 2> * in, attn_bias(b)), in = std::vector<float>{first, 1, 2, 1, 3, -1},
                      b = std::vector<float>{added, 0, 0});
    return std::vector<float>(y.begin(), y.end());
  };
  const auto left_out = run(1, -inf);  // a bias of -infinity leaves a key out
  CHECK(left_out[2] > 2);
  CHECK(std::isfinite(left_out[0]));
  CHECK(std::isnan(run(nan, 0)[0]));
  CHECK(std::isnan(run(1, inf)[0]));  // infinity less the largest score, as torch.softmax
  CHECK(run(1e18f, 0)[0] == 1e18f);   // scores of 1e36: all of the weight on one key
}

TEST_CASE("threads give the same bits") {
  constexpr auto in = x<3, 2, 300, 20>;
  constexpr auto c = input<"c", 3, 2, 300, 20>;
  constexpr auto y = attention(in, sin(in), cos(in), attn_bias(input<"bias", 2, 300, 300>), causal);
  constexpr auto loss = sum(y * c);
  using program_type = program<outputs(y, gradient(loss, in), gradient(loss, input<"bias", 2, 300, 300>))>;
  std::vector<float> v(36000), w(36000), b(180000);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = float(i * 37 % 101) / 50 - 1, w[i] = float(i * 53 % 97) / 48 - 1;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = float(i * 29 % 89) / 40;
  std::vector<std::vector<float>> alone{std::vector<float>(36000), std::vector<float>(36000), std::vector<float>(180000)}, shared = alone;
  program_type p;
  const float* read[]{v.data(), b.data(), w.data()};
  const auto run = [&](auto& results) {
    float* made[]{results[0].data(), results[1].data(), results[2].data()};
    p.run(read, made);
  };
  run(alone);
  for (const int threads : {2, 3}) {  // one for each bias, and fewer biases than threads
    spinning_pool pool(threads);
    p.use(pool);
    run(shared);
    CHECK(shared == alone);
  }
}
