// Examples of the reference (docs/site): one paragraph for a name or a few, that can be read by itself. Shapes are checked here, numbers in
// tests/unit/examples_reference.cpp.
#include <volute/volute.hpp>

using namespace volute;

namespace examples_reference_test {

// Reductions and shapes

static_assert(flatten(input<"x", 2, 3, 4>).shape() == shape<2, 12>);

static_assert(reshape(input<"x", 2, 3, 4>, shape<6, -1>).shape() == shape<6, 4>);

static_assert(broadcast_to(input<"row", 3>, shape<2, 3>).shape() == shape<2, 3>);

static_assert(transpose(input<"x", 2, 3, 4>, axes<2, 0, 1>).shape() == shape<4, 2, 3>);

static_assert(slice(input<"x", 2, 3, 8>, axis<2>, range<1, 7, 2>).shape() == shape<2, 3, 3>);  // elements 1, 3 and 5
static_assert(slice(input<"x", 2, 3, 8>, axis<-1>, range<-3, -1>).shape() == shape<2, 3, 2>);  // counted from the end

static_assert(concat(axis<1>, input<"a", 2, 3>, input<"b", 2, 5>).shape() == shape<2, 8>);

static_assert(pad(input<"x", 2, 3>, shape<0, 1>, shape<0, 2>).shape() == shape<2, 6>);  // of the last axis: one before, two behind

static_assert(per_channel(input<"v", 8>).shape() == shape<8, 1, 1, 1>);
static_assert(per_sample_channel(input<"style", 2, 8>).shape() == shape<2, 8, 1, 1, 1>);

static_assert(matmul(input<"a", 2, 3>, input<"b", 3, 5>).shape() == shape<2, 5>);
static_assert(matmul(input<"a", 7, 2, 3>, input<"b", 3, 5>).shape() == shape<7, 2, 5>);  // leading axes broadcast

static_assert(linear(input<"x", 4, 3>, input<"w", 5, 3>, input<"b", 5>).shape() == shape<4, 5>);

static_assert(norm(input<"x", 2, 3, 4>, axes<1, 2>).shape() == shape<2>);
static_assert(norm(input<"x", 2, 3, 4>, axes<1, 2>, keepdims).shape() == shape<2, 1, 1>);

static_assert(arange<5>.shape() == shape<5> && arange<5>.shape()[0] == 5);

static_assert(roll<1>(input<"x", 2, 4>, axis<1>).shape() == shape<2, 4>);

static_assert(glu(input<"x", 2, 8, 4, 4, 4>, axis<1>).shape() == shape<2, 4, 4, 4, 4>);

static_assert(prelu(input<"x", 2, 8, 4, 4, 4>, parameter<"slope", 8>).shape() == shape<2, 8, 4, 4, 4>);  // a slope for each channel

static_assert(log_softmax(input<"logits", 4, 10>, axis<1>).shape() == shape<4, 10>);
static_assert(softmin(input<"costs", 4, 10>, axis<-1>).shape() == shape<4, 10>);

// Volumes

static_assert(avg_pool3d(input<"v", 1, 4, 8, 8, 8>, kernel<2>).shape() == shape<1, 4, 4, 4, 4>);
static_assert(avg_pool3d(input<"v", 1, 4, 8, 8, 8>, kernel<3>, stride<2>, padding<1>, count_include_pad<false>).shape() ==
              shape<1, 4, 4, 4, 4>);
static_assert(avg_pool3d(input<"v", 1, 4, 8, 8, 8>, kernel<3>, stride<1>, divisor<1>).shape() == shape<1, 4, 6, 6, 6>);  // sums

static_assert(adaptive_avg_pool3d(input<"v", 1, 4, 8, 9, 10>, output_size<1>).shape() == shape<1, 4, 1, 1, 1>);

static_assert(adaptive_max_pool3d(input<"v", 1, 4, 8, 9, 10>, output_size<2, 3, 5>).shape() == shape<1, 4, 2, 3, 5>);

static_assert(zero_pad3d(input<"v", 1, 4, 8, 8, 8>, padding<1>).shape() == shape<1, 4, 10, 10, 10>);

static_assert(replicate_pad3d(input<"v", 1, 4, 8, 8, 8>, padding<0, 1, 2>).shape() == shape<1, 4, 8, 10, 12>);

static_assert(circular_pad3d(input<"v", 1, 4, 8, 8, 8>, padding<2, 0, 0, 0, 0, 0>).shape() == shape<1, 4, 10, 8, 8>);

static_assert(conv3d(input<"v", 1, 4, 8, 8, 8>, parameter<"w", 6, 4, 3, 3, 3>, valid).shape() == shape<1, 6, 6, 6, 6>);
static_assert(conv3d(input<"v", 1, 4, 9, 9, 9>, parameter<"w", 6, 4, 3, 3, 3>, stride<2>, same_upper).shape() == shape<1, 6, 5, 5, 5>);

static_assert(conv_transpose3d(input<"v", 1, 4, 8, 8, 8>, parameter<"w", 4, 6, 2, 2, 2>, stride<2>).shape() == shape<1, 6, 16, 16, 16>);

static_assert(interpolate(input<"v", 1, 4, 8, 8, 8>, output_size<10, 12, 6>, trilinear).shape() == shape<1, 4, 10, 12, 6>);
static_assert(interpolate(input<"v", 1, 4, 8, 8, 8>, scale_factor<1, 1.5, 0.5>, nearest_exact).shape() == shape<1, 4, 8, 12, 4>);

static_assert(upsample(input<"v", 1, 4, 8, 8, 8>, scale_factor<2>, nearest).shape() == shape<1, 4, 16, 16, 16>);
static_assert(upsample(input<"v", 1, 4, 8, 8, 8>, scale_factor<1, 2, 2>, trilinear, align_corners).shape() == shape<1, 4, 8, 16, 16>);

static_assert(pixel_shuffle(input<"v", 1, 16, 4, 4, 4>, scale_factor<2>).shape() == shape<1, 2, 8, 8, 8>);
static_assert(pixel_unshuffle(input<"v", 1, 2, 8, 8, 8>, scale_factor<2>).shape() == shape<1, 16, 4, 4, 4>);

static_assert(grid_sample(input<"v", 1, 4, 8, 8, 8>, input<"grid", 1, 5, 6, 7, 3>, border_padding, align_corners).shape() ==
              shape<1, 4, 5, 6, 7>);
static_assert(grid_sample(input<"v", 1, 4, 8, 8, 8>, input<"grid", 1, 5, 6, 7, 3>, zeros_padding).shape() == shape<1, 4, 5, 6, 7>);

constexpr auto banks = modulate(parameter<"w", 6, 4, 3, 3, 3>, input<"mod", 2, 4>);  // one filter bank for each of two samples
static_assert(banks.shape() == shape<2, 6, 4, 3, 3, 3>);
static_assert(demodulate<1e-8, eps_mode::added>(banks).shape() == banks.shape());
static_assert(conv3d(input<"v", 2, 4, 8, 8, 8>, demodulate(banks), same).shape() == shape<2, 6, 8, 8, 8>);

// Elements by their numbers

static_assert(take(input<"x", 2, 5>, axis<1>, indices<3, 0, 0>).shape() == shape<2, 3>);

static_assert(embedding(input<"tokens", 2, 7>, parameter<"table", 100, 16>).shape() == shape<2, 7, 16>);

static_assert(gather(input<"x", 2, 5>, axis<1>, input<"index", 2, 3>).shape() == shape<2, 3>);

static_assert(argmax(input<"scores", 4, 10>, axis<1>).shape() == shape<4>);

static_assert(one_hot<10>(input<"labels", 4>).shape() == shape<4, 10>);

// Losses: one number each

static_assert(l1(input<"a", 4, 2>, input<"b", 4, 2>).shape() == shape<>);
static_assert(smooth_l1<0.5>(input<"a", 4, 2>, input<"b", 4, 2>).shape() == shape<>);
static_assert(huber<2.0>(input<"a", 4, 2>, input<"b", 4, 2>).shape() == shape<>);

static_assert(cross_entropy(input<"logits", 4, 10>, input<"labels", 4>, label_smoothing<0.1>, ignore_label<-100>).shape() == shape<>);

static_assert(bce_with_logits(input<"logits", 4, 1>, input<"target", 4, 1>).shape() == shape<>);
static_assert(bce_with_logits(input<"logits", 4, 3>, input<"target", 4, 3>, input<"pos_weight", 3>).shape() == shape<>);

static_assert(kl_div(input<"log_q", 4, 10>, input<"p", 4, 10>).shape() == shape<>);

static_assert(kl_normal(input<"mean", 4, 16>, input<"log_variance", 4, 16>).shape() == shape<>);

static_assert(dice(input<"logits", 1, 3, 8, 8, 8>, input<"labels", 1, 8, 8, 8>, without_background, over_batch).shape() == shape<>);
static_assert(dice<1>(input<"logits", 1, 3, 8, 8, 8>, input<"labels", 1, 8, 8, 8>, squared_denominator, denominator_smoothing<0.5>)
                  .shape() == shape<>);

static_assert(binary_dice(input<"logits", 1, 3, 8, 8, 8>, input<"target", 1, 3, 8, 8, 8>, jaccard).shape() == shape<>);

constexpr auto between = input<"between", 4, 2>;  // points between real and generated ones
constexpr auto judged = nn::named<"critic", nn::linear<2, 1>>{}(between);
static_assert(gradient_penalty(judged, between).shape() == shape<>);

// Gradients, states, noise

constexpr auto y = matmul(input<"a", 2, 3>, parameter<"encoder.w", 3, 4>);
static_assert(gradient(y, parameter<"encoder.w", 3, 4>, cotangent(input<"v", 2, 4>)).shape() == shape<3, 4>);  // of sum(y * v)

constexpr auto loss = mean(square(matmul(matmul(input<"a", 2, 3>, parameter<"encoder.w", 3, 4>), parameter<"head.w", 4, 1>)));
using fine_tuning = program<outputs(loss, gradient(loss, parameters_under<"encoder">))>;
static_assert(fine_tuning::facts::parameters == 3 * 4 + 4 * 1);

struct noisy {  // adds noise in training, and nothing in inference
  constexpr auto operator()(expression auto x) const { return by_mode(x + 0.1_c * uniform_noise<"noise", 2, 3>, x); }
};
constexpr auto plain = inference(noisy{}(input<"x", 2, 3>));
static_assert(plain.shape() == shape<2, 3>);

// Layers

static_assert(nn::conv2d<3, 8, nn::kernel<3>, nn::padding<1>>{}(input<"planes", 2, 3, 16, 16>).shape() == shape<2, 8, 16, 16>);
static_assert(nn::conv1d<3, 8, nn::kernel<5>, nn::stride<2>>{}(input<"lines", 2, 3, 17>).shape() == shape<2, 8, 7>);

static_assert(nn::max_pool2d<2>{}(input<"planes", 2, 3, 16, 16>).shape() == shape<2, 3, 8, 8>);
static_assert(nn::avg_pool1d<2>{}(input<"lines", 2, 3, 16>).shape() == shape<2, 3, 8>);

static_assert(nn::batch_norm2d<3>{}(input<"planes", 2, 3, 16, 16>).shape() == shape<2, 3, 16, 16>);

static_assert(nn::avg_pool3d<3, nn::stride<2>, nn::padding<1>>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 4, 4, 4, 4>);

static_assert(nn::adaptive_avg_pool3d<1>{}(input<"v", 1, 4, 8, 9, 10>).shape() == shape<1, 4, 1, 1, 1>);
static_assert(nn::adaptive_max_pool3d<2, 3, 5>{}(input<"v", 1, 4, 8, 9, 10>).shape() == shape<1, 4, 2, 3, 5>);

static_assert(nn::zero_pad3d<1>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 4, 10, 10, 10>);
static_assert(nn::replicate_pad3d<0, 1, 2>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 4, 8, 10, 12>);
static_assert(nn::reflect_pad3d<1>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 4, 10, 10, 10>);
static_assert(nn::circular_pad3d<2, 0, 0, 0, 0, 0>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 4, 10, 8, 8>);

static_assert(nn::upsample<nn::scale<2>, nn::trilinear>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 4, 16, 16, 16>);
static_assert(nn::interpolate<nn::output_size<10, 12, 6>, nn::cubic>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 4, 10, 12, 6>);
static_assert(nn::pixel_shuffle<nn::scale<2>>{}(input<"v", 1, 16, 4, 4, 4>).shape() == shape<1, 2, 8, 8, 8>);

static_assert(nn::group_norm<4, 16>{}(input<"v", 2, 16, 8, 8, 8>).shape() == shape<2, 16, 8, 8, 8>);  // four groups of four channels

static_assert(nn::layer_norm<64>{}(input<"x", 4, 10, 64>).shape() == shape<4, 10, 64>);  // over the last axis
static_assert(nn::layer_norm<shape<16, 4>, nn::affine<false>>{}(input<"x", 8, 16, 4>).shape() == shape<8, 16, 4>);

static_assert(nn::rms_norm<64, nn::eps<1e-6>>{}(input<"x", 4, 10, 64>).shape() == shape<4, 10, 64>);

static_assert(nn::batch_norm3d<8, nn::momentum<0.01>>{}(input<"v", 2, 8, 4, 4, 4>).shape() == shape<2, 8, 4, 4, 4>);

static_assert(nn::dropout3d<0.1>{}(input<"v", 2, 8, 4, 4, 4>).shape() == shape<2, 8, 4, 4, 4>);

static_assert(nn::embedding<100, 16>{}(input<"tokens", 2, 7>).shape() == shape<2, 7, 16>);

static_assert(nn::squeeze_excitation<16, 4>{}(input<"v", 2, 16, 8, 8, 8>).shape() == shape<2, 16, 8, 8, 8>);

static_assert(nn::equalized_linear<64, 32, nn::lr_mul<0.01>>{}(input<"z", 4, 64>).shape() == shape<4, 32>);
static_assert(nn::equalized_conv3d<4, 8, nn::kernel<3>, nn::same>{}(input<"v", 1, 4, 8, 8, 8>).shape() == shape<1, 8, 8, 8, 8>);

using to_image = nn::adaptive_conv3d_mod<16, nn::dim_out<3>, nn::spatial_kernel<1>, nn::time_kernel<1>, nn::demod<false>>;
static_assert(to_image{}(input<"v", 2, 16, 4, 4, 4>, input<"mod", 2, 16>).shape() == shape<2, 3, 4, 4, 4>);

using as_stylegan2 = nn::adaptive_conv3d_mod<16, nn::scale_is_mod, nn::added_eps>;
static_assert(as_stylegan2{}(input<"v", 2, 16, 4, 4, 4>, input<"style", 2, 16>).shape() == shape<2, 16, 4, 4, 4>);

using as_stylegan3 = nn::adaptive_conv3d_mod<16, nn::pre_normalized, nn::input_gain<0.5>>;
static_assert(as_stylegan3{}(input<"v", 2, 16, 4, 4, 4>, input<"mod", 2, 16>).shape() == shape<2, 16, 4, 4, 4>);

using as_gigagan = nn::adaptive_conv3d_mod<16, nn::num_kernels<4>>;  // four banks, mixed for each sample by kernel_mod
static_assert(as_gigagan{}(input<"v", 2, 16, 4, 4, 4>, input<"mod", 2, 16>, input<"kernel_mod", 2, 4>).shape() == shape<2, 16, 4, 4, 4>);

struct activations : nn::sequential<nn::elu<1.0>, nn::gelu, nn::gelu_tanh, nn::sigmoid, nn::hardtanh<-2, 2>, nn::relu6, nn::hardsigmoid,
                                    nn::hardswish, nn::hardshrink<0.5>, nn::softshrink<0.5>, nn::threshold<0.1, 20>, nn::selu,
                                    nn::celu<2.0>, nn::mish, nn::logsigmoid, nn::softsign, nn::tanhshrink> {};
static_assert(activations{}(input<"v", 2, 8, 4, 4, 4>).shape() == shape<2, 8, 4, 4, 4>);

static_assert(nn::sequential<nn::linear<8, 10>, nn::softmax<1>>{}(input<"x", 4, 8>).shape() == shape<4, 10>);
static_assert(nn::sequential<nn::linear<8, 10>, nn::log_softmax<1>>{}(input<"x", 4, 8>).shape() == shape<4, 10>);
static_assert(nn::sequential<nn::linear<8, 10>, nn::softmin<>>{}(input<"x", 4, 8>).shape() == shape<4, 10>);

static_assert(nn::glu<1>{}(input<"v", 2, 8, 4, 4, 4>).shape() == shape<2, 4, 4, 4, 4>);
static_assert(nn::prelu<8>{}(input<"v", 2, 8, 4, 4, 4>).shape() == shape<2, 8, 4, 4, 4>);  // a slope for each channel, 0.25 at first

// Losses as types, for a trainer

using segmentation = nn::weighted_losses<nn::dice<1e-5, nn::without_background>, 1, nn::cross_entropy<>, 1>;
static_assert(segmentation{}(input<"logits", 1, 3, 8, 8, 8>, input<"labels", 1, 8, 8, 8>).shape() == shape<>);

using at_two_sizes = nn::deep_supervision<nn::cross_entropy<>, 1, 0.5>;  // the network returns both predictions
constexpr auto both = std::tuple{input<"fine", 1, 3, 8, 8, 8>, input<"coarse", 1, 3, 4, 4, 4>};
static_assert(at_two_sizes{}(both, input<"labels", 1, 8, 8, 8>).shape() == shape<>);

static_assert(nn::bce_with_logits<nn::pos_weight>{}(input<"logits", 4, 3>, input<"target", 4, 3>, input<"weight", 3>).shape() == shape<>);
static_assert(nn::binary_dice<1e-5, nn::over_batch>{}(input<"logits", 1, 3, 8, 8, 8>, input<"target", 1, 3, 8, 8, 8>).shape() == shape<>);
static_assert(nn::smooth_l1<0.5>{}(input<"a", 4, 2>, input<"b", 4, 2>).shape() ==
              nn::huber<2.0>{}(input<"a", 4, 2>, input<"b", 4, 2>).shape());
static_assert(nn::l1{}(input<"a", 4, 2>, input<"b", 4, 2>).shape() == nn::kl_div{}(input<"log_q", 4, 2>, input<"p", 4, 2>).shape());

}  // namespace examples_reference_test
