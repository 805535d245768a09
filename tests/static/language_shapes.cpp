// The shape of every function of the language.
#include <volute/language/language.hpp>

using namespace volute;

namespace language_shapes_test {

constexpr auto m = input<"m", 2, 3>;
constexpr auto t = input<"t", 2, 3, 4>;
constexpr auto v = input<"v", 2, 4, 6, 7, 8>;
constexpr auto w = parameter<"w", 6, 4, 3, 3, 3>;
constexpr auto s = input<"s">;

static_assert(s.shape() == shape<> && s.shape().size() == 1);
static_assert((m + s).shape() == shape<2, 3> && (s - m).shape() == shape<2, 3>);
static_assert((input<"c", 2, 1> * input<"r", 3>).shape() == shape<2, 3>);
static_assert((input<"c", 4, 1, 3> / input<"r", 5, 1>).shape() == shape<4, 5, 3>);
static_assert(select(input<"c", 2, 1> < input<"r", 3>, s, constant<1, 4, 1, 1>).shape() == shape<4, 2, 3>);
static_assert(constant<2, 3, 4>.shape() == shape<3, 4> && (2_c).shape() == shape<> && arange<5>.shape() == shape<5>);
static_assert(softmax(t, axis<1>).shape() == shape<2, 3, 4> && gelu(t).shape() == t.shape() && clamp(t, 0_c, 1_c).shape() == t.shape());

static_assert(sum(t).shape() == shape<> && mean(t).shape() == shape<> && maximum(t).shape() == shape<>);
static_assert(sum(t, axes<1>).shape() == shape<2, 4> && mean(t, axes<0, -1>).shape() == shape<3>);
static_assert(maximum(t, axes<0, 2>, keepdims).shape() == shape<1, 3, 1> && sum(t, axes<0, 1, 2>, keepdims).shape() == shape<1, 1, 1>);
static_assert(reshape(t, shape<6, -1>).shape() == shape<6, 4> && reshape(t, shape<24>).shape() == shape<24>);
static_assert(flatten(t).shape() == shape<2, 12> && flatten(input<"f", 5>).shape() == shape<5, 1>);
static_assert(broadcast_to(m, shape<4, 2, 3>).shape() == shape<4, 2, 3>);
static_assert(transpose(t, axes<2, 0, 1>).shape() == shape<4, 2, 3>);
static_assert(slice(t, axis<2>, range<1, 4, 2>).shape() == shape<2, 3, 2> && slice(t, axis<-1>, range<-3, -1>).shape() == shape<2, 3, 2>);
static_assert(concat(axis<1>, t, t, input<"u", 2, 1, 4>).shape() == shape<2, 7, 4>);
static_assert(pad(t, shape<0, 1, 2>, shape<3, 0, 1>).shape() == shape<5, 4, 7>);
static_assert(per_channel(input<"c", 4>).shape() == shape<4, 1, 1, 1> && per_sample_channel(m).shape() == shape<2, 3, 1, 1, 1>);

static_assert(matmul(m, input<"k", 3, 5>).shape() == shape<2, 5>);
static_assert(matmul(t, input<"k", 4, 5>).shape() == shape<2, 3, 5> && matmul(m, input<"k", 7, 3, 5>).shape() == shape<7, 2, 5>);
static_assert(matmul(input<"a", 1, 2, 3>, input<"k", 3, 5>).shape() == shape<1, 2, 5>);
static_assert(linear(m, input<"k", 5, 3>, input<"b", 5>).shape() == shape<2, 5> && linear(t, input<"k", 5, 4>).shape() == shape<2, 3, 5>);

static_assert(conv3d(v, w).shape() == shape<2, 6, 4, 5, 6>);
static_assert(conv3d(v, w, parameter<"b", 6>, padding<1>, stride<2>).shape() == shape<2, 6, 3, 4, 4>);
static_assert(conv3d(v, w, padding<0, 1, 2>, dilation<2, 1, 3>).shape() == shape<2, 6, 2, 7, 6>);
static_assert(conv3d(v, w, padding<1, 0, 0, 2, 3, 1>).shape() == shape<2, 6, 5, 7, 10>);
static_assert(conv3d(v, w, same).shape() == shape<2, 6, 6, 7, 8> && conv3d(v, w, causal).shape() == shape<2, 6, 6, 7, 8> && conv3d(v, w, valid).shape() == shape<2, 6, 4, 5, 6>);
static_assert(conv3d(v, parameter<"g", 6, 2, 1, 2, 3>, groups<2>).shape() == shape<2, 6, 6, 6, 6>);
static_assert(conv3d(v, parameter<"e", 5, 4, 2, 2, 2>, same).shape() == shape<2, 5, 6, 7, 8>);
static_assert(conv3d(v, input<"banks", 2, 5, 4, 1, 1, 3>).shape() == shape<2, 5, 6, 7, 6>);
static_assert(conv_transpose3d(v, parameter<"u", 4, 5, 3, 3, 3>).shape() == shape<2, 5, 8, 9, 10>);
static_assert(conv_transpose3d(v, parameter<"u", 4, 5, 3, 3, 3>, stride<2>, padding<1>, output_padding<1, 0, 1>).shape() == shape<2, 5, 12, 13, 16>);
static_assert(conv_transpose3d(v, parameter<"u", 4, 3, 2, 2, 2>, groups<2>, dilation<3>).shape() == shape<2, 6, 9, 10, 11>);
static_assert(max_pool3d(v, kernel<2>).shape() == shape<2, 4, 3, 3, 4> && max_pool3d(v, kernel<2>, ceil_mode).shape() == shape<2, 4, 3, 4, 4>);
static_assert(max_pool3d(input<"flat", 1, 1, 1, 4, 4>, kernel<2>, ceil_mode).shape() == shape<1, 1, 1, 2, 2> && avg_pool3d(input<"flat", 1, 1, 1, 4, 4>, kernel<2>, ceil_mode).shape() == shape<1, 1, 1, 2, 2>);
static_assert([] {  // the number of windows, and whether there is one, is that of torch's pooling_output_shape
  for (std::int64_t in = 1; in < 7; ++in)
    for (std::int64_t k = 1; k < 7; ++k)
      for (std::int64_t step = 1; step < 5; ++step)
        for (std::int64_t p = 0; 2 * p <= k; ++p)
          for (std::int64_t d = 1; d < 3; ++d)
            for (const bool ceil : {false, true}) {
              const std::int64_t over = in + 2 * p - d * (k - 1) - 1 + (ceil ? step - 1 : 0);
              std::int64_t n = (over >= 0 ? over / step : -((-over + step - 1) / step)) + 1;
              if (ceil && (n - 1) * step >= in + p) --n;
              const ops::inferred r = ops::infer_pool(line("pool"), {.kernel = {k, k, k}, .stride = {step, step, step}, .padding = {p, p, p}, .dilation = {d, d, d}, .ceil_mode = ceil}, make_extents(1, 1, in, in, in));
              if (n < 1 ? r.ok() : !(r.shape == make_extents(1, 1, n, n, n))) return false;
            }
  return true;
}());
static_assert(upsample(v, scale_factor<2.0>).shape() == shape<2, 4, 12, 14, 16>);
static_assert(max_pool3d(v, kernel<3, 2, 3>, stride<1>, padding<1>, dilation<2>).shape() == shape<2, 4, 4, 7, 6>);
static_assert(avg_pool3d(v, kernel<3>, stride<2>, padding<1>).shape() == shape<2, 4, 3, 4, 4> && adaptive_avg_pool3d(v, output_size<1, 9, 3>).shape() == shape<2, 4, 1, 9, 3>);
static_assert(modulate(w, input<"mod", 3, 4>).shape() == shape<3, 6, 4, 3, 3, 3> && demodulate(modulate(w, input<"mod", 3, 4>)).shape() == shape<3, 6, 4, 3, 3, 3>);
static_assert(mse(m, m).shape() == shape<> && cross_entropy(m, input<"l", 2>).shape() == shape<> && cross_entropy(t, input<"l", 2, 4>).shape() == shape<>);

static_assert(gradient(sum(conv3d(v, w)), w).shape() == w.shape() && gradient(m, s, cotangent(m)).shape() == shape<>);
static_assert(std::get<1>(gradient(mean(m * s), m, s)).shape() == shape<>);

}  // namespace language_shapes_test
