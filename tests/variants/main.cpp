// Uses a network of several variants and, beside it, for a baseline processor, the same templates that the network's file uses.
#include "scorer.hpp"

#include <volute/io/safetensors.hpp>
#include <volute/runtime/evaluate.hpp>

#include <array>
#include <cstdio>
#include <exception>

namespace {
/// The program's own convolution: its functions have the names of the baseline variant's.
double own() {
  using namespace volute;
  constexpr auto x = input<"x", 1, 1, 5, 5, 5>;
  constexpr auto w = parameter<"w", 5, 1, 3, 3, 3>;
  const xt::xtensor<float, 5> a = xt::ones<float>({1, 1, 5, 5, 5}), b = xt::ones<float>({5, 1, 3, 3, 3});
  auto [y] = evaluate(outputs(sum(conv3d(x, w))), x = a, w = b);
  return double(y);
}
}  // namespace

// main WEIGHTS [write]: the variant, what it makes of WEIGHTS; with `write`, makes that file first.
int main(int count, char** argument) try {
  if (count > 2) scorer("").save(argument[1]);
  scorer score(argument[1]);
  std::array<float, 125> volume;
  for (std::size_t i = 0; i < volume.size(); ++i) volume[i] = static_cast<float>(i * i % 37) / 37;
  std::array<float, 4> scores;
  score(volume, scores);
  std::printf("%s %s; own %g; %.5f %.5f %.5f %.5f\n", scorer_isa(), scorer_remembers().c_str(), own(), double(scores[0]), double(scores[1]),
              double(scores[2]), double(scores[3]));
  try {
    scorer missing("no such file");
    return 1;
  } catch (const volute::file_error&) {
  }
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
