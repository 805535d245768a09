// Linear layers, and attention as a function beside what networks write out, in turns: least microseconds and GFLOP/s of one thread.
//   products [rounds, default 15]
#include <volute/volute.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {
using namespace volute;
int rounds = 15;

/// A program with numbers for its inputs, and room for its result.
template <class Program>
struct contestant {
  Program program;
  std::vector<std::vector<float>> in;
  std::vector<const float*> from;
  std::vector<float> out;
  double least = 1e30;

  contestant(std::initializer_list<std::int64_t> sizes, std::int64_t result) : out(static_cast<std::size_t>(result)) {
    for (const std::int64_t n : sizes) {
      in.emplace_back(static_cast<std::size_t>(n));
      for (std::size_t i = 0; i < in.back().size(); ++i) in.back()[i] = static_cast<float>((i * 2654435761u >> 8) & 255) / 128 - 1;
    }
    for (const auto& v : in) from.push_back(v.data());
  }
  void turn() {
    float* to[]{out.data()};
    const auto start = std::chrono::steady_clock::now();
    program.run(from.data(), to);
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
};

template <std::int64_t Rows, std::int64_t In, std::int64_t Out>
void linear_layer() {
  constexpr auto y = linear(input<"x", Rows, In>, parameter<"weight", Out, In>);
  contestant<program<outputs(y)>> c({Rows * In}, Rows * Out);
  for (int k = 0; k < rounds; ++k) c.turn();
  std::printf("linear %5d x %4d -> %4d  %10.1f us  %6.1f GFLOP/s\n", int(Rows), int(In), int(Out), c.least * 1e6,
              2e-9 * Rows * In * Out / c.least);
}

template <std::int64_t Windows, std::int64_t Heads, std::int64_t Tokens, std::int64_t Features>
void attention_of_windows() {
  constexpr auto q = input<"q", Windows, Heads, Tokens, Features>;
  constexpr auto k = input<"k", Windows, Heads, Tokens, Features>;
  constexpr auto bias = input<"bias", 1, Heads, Tokens, Tokens>;
  constexpr auto v = input<"v", Windows, Heads, Tokens, Features>;
  constexpr auto formula = matmul(softmax(matmul(q, transpose(k, axes<0, 1, 3, 2>)) + bias, axis<3>), v);
  constexpr auto function = attention(q, k, v, attn_scale<1>, attn_bias(bias));
  constexpr std::int64_t tokens = Windows * Heads * Tokens * Features, biases = Heads * Tokens * Tokens;
  contestant<program<outputs(formula)>> written({tokens, tokens, biases, tokens}, tokens);
  contestant<program<outputs(function)>> called({tokens, tokens, tokens, biases}, tokens);
  called.from = {written.from[0], written.from[1], written.from[3], written.from[2]};
  for (int turn = 0; turn < rounds; ++turn) written.turn(), called.turn();
  float apart = 0;
  for (std::size_t i = 0; i < called.out.size(); ++i) apart = std::max(apart, std::abs(called.out[i] - written.out[i]));
  std::printf("attention %4d windows, %d heads, %d tokens, %2d features: written out %9.1f us, as a function %9.1f us, %.1e apart\n",
              int(Windows), int(Heads), int(Tokens), int(Features), written.least * 1e6, called.least * 1e6, static_cast<double>(apart));
}
}  // namespace

int main(int count, char** arguments) {
  if (count > 1) rounds = std::max(1, std::atoi(arguments[1]));
  linear_layer<1, 512, 1000>();
  linear_layer<8, 512, 1000>();
  linear_layer<216, 768, 2304>();
  linear_layer<216, 3072, 768>();
  linear_layer<2744, 48, 144>();
  attention_of_windows<125, 3, 343, 8>();
  attention_of_windows<1, 6, 513, 64>();
}
