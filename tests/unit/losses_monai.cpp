// Losses of segmentations: MONAI's numbers, and gradients.
#include "layers_torch_support.hpp"
#include "losses_monai.hpp"

using namespace layers_test;
namespace numbers = monai_numbers;

constexpr auto x = input<"x", 2, 3, 2, 2, 3>;
constexpr auto logits = x * 3_c;
/// i * Step % Modulus, i < N.
template <int N, int Step, int Modulus>
constexpr auto cycle = []<int... I>(std::integer_sequence<int, I...>) {
  return indices<(I * Step % Modulus)...>;
}
(std::make_integer_sequence<int, N>{});
constexpr auto labels = reshape(cycle<24, 5, 3>, shape<2, 2, 2, 3>);

template <std::size_t N, class L>
void check_loss(const double (&expected)[N], L loss) {
  check_torch(expected, reshape(loss, shape<1>), x);
}

TEST_CASE("dice gives MONAI's numbers") {
  check_loss(numbers::dice, dice(logits, labels));
  check_loss(numbers::dice_foreground, dice(logits, labels, without_background));
  check_loss(numbers::dice_batch, nn::dice<1e-5, nn::over_batch>{}(logits, labels));
  check_loss(numbers::dice_squared, dice(logits, labels, squared_denominator));
  check_loss(numbers::dice_jaccard, dice(logits, labels, jaccard));
}

TEST_CASE("options of dice together, and an ignored label") {
  check_loss(numbers::dice_smooth,
             dice<0.5>(logits, labels, denominator_smoothing<0.25>, without_background, over_batch, squared_denominator));
  check_loss(numbers::dice_ignoring, nn::dice<1, nn::ignore_label<1>, nn::without_background, nn::over_batch>{}(logits, labels));
  constexpr auto target = reshape(cycle<72, 7, 5>, shape<2, 3, 2, 2, 3>) < 2_c;
  check_loss(numbers::dice_sigmoid, binary_dice(logits, target, without_background, over_batch));
}

TEST_CASE("sums of losses, and deep supervision") {
  check_loss(numbers::dice_ce, nn::weighted_losses<nn::dice<>, 0.75, nn::cross_entropy<>, 0.5>{}(logits, labels));
  constexpr auto half = slice(slice(logits, axis<2>, range<0, 1>), axis<4>, range<0, 3, 2>);
  constexpr auto line_of_voxels = slice(slice(logits, axis<3>, range<0, 1>), axis<4>, range<0, 1>);
  check_loss(numbers::deep, nn::deep_supervision<nn::dice<>>{}(std::tuple{logits, half, line_of_voxels}, labels));
}
