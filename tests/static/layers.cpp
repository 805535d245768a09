// What layers cost: launches, and passes over their tensors; what their options say.
#include <volute/volute.hpp>

using namespace volute;

namespace layers_test {

template <auto Outputs>
using facts = typename program<Outputs>::facts;

/// Launches of every run that write a tensor of this many elements, or read one and reduce it.
template <class Facts>
constexpr int passes(std::int64_t elements) {
  int n = 0;
  for (int i = Facts::plan::size.prologue; i < Facts::plan::size.launches; ++i) {
    const int node = Facts::plan::tables.launches[i].node;
    const auto& g = Facts::graph;
    n += g.shape(node).size() == elements || (g.template is<ops::reduce>(node) && g.shape(g.operand(node, 0)).size() == elements);
  }
  return n;
}
template <class Facts>
inline constexpr int launch_count = Facts::plan::size.launches - Facts::plan::size.prologue;

constexpr auto x = input<"x", 2, 8, 6, 6, 6>;
constexpr std::int64_t size = x.shape().size();
using conv = nn::conv3d<8, 8, nn::kernel<3>, nn::same>;
constexpr auto cost(auto y) { return sum(y * input_node<"c", decltype(y)::shape()>{}); }

// ---- a normalisation is two sums and one elementwise pass with the activation behind it; backwards it is the same
template <class Norm>
struct block : nn::sequential<conv, Norm, nn::leaky_relu<0.2>> {};
template <class Norm>
using forward = facts<outputs(training(block<Norm>{}(x)))>;
static_assert(passes<forward<nn::instance_norm3d<8>>>(size) == 4);  // with the convolution
static_assert(passes<forward<nn::instance_norm3d<8, nn::affine<true>>>>(size) == 4);
static_assert(passes<forward<nn::group_norm<4, 8>>>(size) == 4);
static_assert(passes<forward<nn::batch_norm3d<8>>>(size) == 4);
// and: the result, the gradient before the activation, two sums, the gradient before the norm, the sum of that for the convolution's bias
template <class Norm>
constexpr auto step_outputs() {
  constexpr auto loss = cost(training(block<Norm>{}(x)));
  return outputs(loss, gradient(loss, parameters));
}
template <class Norm>
using step = facts<step_outputs<Norm>()>;
static_assert(passes<step<nn::instance_norm3d<8>>>(size) == 4 + 6);
static_assert(passes<step<nn::instance_norm3d<8, nn::affine<true>>>>(size) == 4 + 6);
static_assert(passes<step<nn::group_norm<4, 8>>>(size) == 4 + 6);
static_assert(passes<step<nn::batch_norm3d<8>>>(size) == 4 + 6);

// ---- what the rules behind that say by themselves
constexpr auto voxels = axes<2, 3, 4>;
constexpr auto centred = x - mean(x, voxels, keepdims);
static_assert(facts<outputs(sum(centred, voxels))>::flops == 0);
static_assert(facts<outputs(sum(centred * per_channel(input<"s", 8>), voxels))>::flops == 0);
static_assert(facts<outputs(sum(centred, axes<1>))>::flops > 0 && facts<outputs(sum(x - mean(x), voxels))>::flops > 0);
static_assert(passes<facts<outputs(sum(x, axes<0, 2, 3, 4>), sum(x, voxels))>>(size) == 1);      // a batch's sum is made of its samples'
static_assert(passes<facts<outputs(tanh(x * 2_c), sum(exp(x * 2_c), voxels))>>(size) == 2);      // x * 2 is made twice, and not stored
static_assert(passes<facts<outputs(tanh(exp(x)), sum(exp(x), voxels))>>(size) == 3);             // exp(x) costs more than it takes to read
static_assert(passes<facts<outputs(tanh(reshape(relu(x) + 1_c, shape<2, 8 * 216>)))>>(size) == 1);  // a reshape does not part a group
struct leaky : nn::sequential<conv, nn::leaky_relu<0.2>> {};
constexpr auto leaky_cost = cost(leaky{}(x));
static_assert(passes<facts<outputs(leaky_cost, gradient(leaky_cost, parameters))>>(size) == 4);  // the result alone is kept: convolution, cost, gradient, bias

// ---- in inference batch_norm3d is part of the convolution, and its vectors are made once
struct trained : nn::sequential<conv, nn::batch_norm3d<8>, nn::relu> {};
using folded = facts<outputs(trained{}(x))>;
static_assert(launch_count<folded> == 1 && folded::plan::size.prologue == 2);  // the filters, the scale

// ---- the same option again says nothing new
static_assert(nn::adaptive_conv3d_mod<8, nn::causal, nn::eps<0.1>, nn::eps<0.1>>{}(x, input<"mod", 2, 8>).shape() == x.shape());
static_assert(nn::conv3d<8, 8, nn::kernel<3>, nn::same, nn::same>{}(x).shape() == x.shape());
static_assert(conv3d(x, parameter<"w", 8, 8, 3, 3, 3>, padding<1>, padding<1>).shape() == x.shape());

}  // namespace layers_test
