// expect: layer scales
// expect: deep_supervision: 2 weights
// expect: got 3
#include <volute/nn/nn.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
using loss = nn::deep_supervision<nn::mse, 1, 0.5>;
#else
using loss = nn::deep_supervision<nn::mse, 1, 0.5, 0.25>;
#endif

struct scales : nn::layer<scales> {
  constexpr auto operator()(expression auto x) const { return loss{}(std::tuple{x, x * 2_c}, x); }
};

inline constexpr auto y = nn::named<"scales", scales>{}(input<"x", 1, 1, 2, 2, 2>);
