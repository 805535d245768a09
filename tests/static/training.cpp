// Training, settled while compiling: shapes of losses, which parameters are trained, and what the program of a step costs.
#include <volute/volute.hpp>

using namespace volute;
namespace nn = volute::nn;

// ---- losses are numbers, as functions and as types
constexpr auto a = input<"a", 2, 3, 4, 5, 6>;
constexpr auto labels = input<"labels", 2, 4, 5, 6>;
constexpr auto weights = input<"weights", 3>;
template <class L>
constexpr bool is_number = L::shape() == extents{};
static_assert(is_number<decltype(l1(a, a))> && is_number<decltype(nn::huber<2>{}(a, a))> && is_number<decltype(kl_normal(a, a))>);
static_assert(is_number<decltype(cross_entropy(a, labels, weights, ignore_label<-1>))> && is_number<decltype(nn::dice<>{}(a, labels))>);
static_assert(nn::cross_entropy<>::targets == 1 && nn::cross_entropy<nn::label_smoothing<0.1>, nn::class_weights>::targets == 2);
static_assert(path_lengths(a, input<"w", 2, 7>, a).shape() == shape<2>);

// ---- a part is a whole component of a path
using part = parameter_set<"G", "D.0">;
static_assert(part::has("G") && part::has("G.0.weight") && part::has("D.0.bias") && !part::has("G2.weight") && !part::has("D.01") && !part::has("D"));
static_assert(parameter_set<>::has("anything"));

// ---- gradients by a part: only what they need is computed, and neighbours are one range
struct net : nn::sequential<nn::conv3d<3, 4, nn::kernel<3>, nn::same>, nn::relu, nn::conv3d<4, 3, nn::kernel<3>, nn::same>> {};
constexpr auto loss = training(cross_entropy(net{}(a), labels));
using all = program<outputs(loss, gradient(loss, parameters))>;
using last = program<outputs(loss, gradient(loss, parameters_under<"2">))>;
using ends = program<outputs(loss, gradient(loss, parameters_under<"0.weight", "2.bias">))>;
static_assert(all::gradient_layout.entry_count == 4 && all::gradient_layout.range_count == 1);
static_assert(all::gradient_layout.elements == 336 + 16 + 336 + 16);  // each on a cache line
static_assert(last::gradient_layout.entry_count == 2 && last::gradient_layout.range_count == 1);
static_assert(last::gradient_layout.ranges[0].parameters == 352 && last::gradient_layout.ranges[0].gradients == 0);
static_assert(ends::gradient_layout.range_count == 2 && ends::gradient_layout.ranges[1].parameters == 688 && ends::gradient_layout.ranges[1].gradients == 336);
static_assert(last::facts::flops < 0.8 * all::facts::flops);

// ---- a trainer's program is that one
using t = trainer<net, nn::cross_entropy<>, adam, a, labels>;
static_assert(t::facts::flops == all::facts::flops && t::facts::arena_bytes == all::facts::arena_bytes && t::facts::prologue_bytes == 0);
