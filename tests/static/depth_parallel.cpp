// What the program of a slab refuses, while compiling; and what it asks neighbours for.
#include <volute/distributed/lockstep.hpp>
#include <volute/volute.hpp>

using namespace volute;

namespace {

constexpr auto x = input<"x", 1, 2, 8, 4, 4>;
/// Why the slab's program is refused, or "".
template <class E>
constexpr std::string_view refusal(E) {
  return lowering::compiled<output_list<decltype(depth_parallel(E{}))>>::graph.got.view();
}
template <class L>
constexpr std::string_view refusal_of = refusal(L{}(x));

template <class... O>
using conv = nn::conv3d<2, 2, O...>;
static_assert(refusal_of<conv<nn::kernel<3>, nn::same>> == "");
static_assert(refusal_of<conv<nn::kernel<3>, nn::stride<2>, nn::padding<1>>> == "");
static_assert(refusal_of<conv<nn::kernel<1, 3, 3>, nn::padding<0, 1, 1>>> == "");
static_assert(refusal_of<nn::sequential<nn::dropout<0.5>, nn::prelu<>, nn::avg_pool3d<2>>> == "");
static_assert(refusal_of<nn::sequential<nn::group_norm<1, 2>, nn::squeeze_excitation<2, 1>>> == "");
static_assert(refusal_of<conv<nn::kernel<3>>> == "got conv3d from depth 8 to 6");
static_assert(refusal_of<conv<nn::kernel<8, 1, 1>, nn::stride<8, 1, 1>>> == "got conv3d from depth 8 to 1");
static_assert(refusal_of<conv<nn::kernel<19, 1, 1>, nn::padding<9, 0, 0>>> == "got conv3d that sees 9 of 8 planes");
static_assert(refusal_of<nn::conv_transpose3d<2, 2, nn::kernel<3>, nn::stride<2>>> == "got conv_transpose3d whose windows overlap");
static_assert(refusal_of<nn::avg_pool3d<3, nn::stride<1>, nn::padding<1>>> == "got avg_pool along depth");
static_assert(refusal_of<nn::upsample<nn::scale<2>, nn::trilinear>> != "");
static_assert(refusal_of<nn::reflect_pad3d<1>> != "");
static_assert(refusal(slice(x, axis<2>, range<1, 5>)) == "got slice along depth");
static_assert(refusal(interpolate(x, output_size<4, 2, 2>, nearest_exact)) == "");  // one of two planes
static_assert(refusal(interpolate(x, output_size<1, 2, 2>, nearest_exact)) == "got slice along depth");
static_assert(refusal(slice(x, axis<3>, range<1, 3>)) == "");
static_assert(refusal(concat(axis<2>, x, x)) == "got concat along depth");
static_assert(refusal(concat(axis<1>, x, x)) == "");
static_assert(refusal(maximum(x)) == "got a maximum over the depth");
static_assert(refusal(maximum(x, axes<1>)) == "");
static_assert(refusal(x * parameter<"where", 8, 1, 1>) == "got another value at each place");
static_assert(refusal(x * parameter<"where", 1, 4, 4>) == "");
static_assert(refusal(reshape(x, shape<2, 128>) * parameter<"where", 128>) == "got another value at each place");
static_assert(refusal(input<"thin", 1, 1, 1, 4, 4> * 2_c) == "got a slab of (1,1,1,4,4)");
static_assert(refusal(mean(square(gradient(sum(square(x)), x)))) == "got a gradient inside");

// Halos as wide as windows reach: forward, once more for the filter's gradient, and the adjoint for the input's.
template <class L>
using learner = trainer<nn::depth_parallel<L>, nn::mse, sgd, input<"x", 1, 2, 8, 4, 4>, input<"y", 1, 2, 4, 4, 4>>;
using plan = learner<
    nn::sequential<conv<nn::kernel<5, 3, 3>, nn::padding<2, 1, 1>>, conv<nn::kernel<3>, nn::stride<2, 1, 1>, nn::padding<1>>>>::facts::plan;
constexpr int halos(std::int64_t lo, std::int64_t hi, bool adjoint) {
  int n = 0;
  for (int i = 0; i < plan::size.launches; ++i) {
    const graph::launch& l = plan::tables.launches[i];
    const graph::kernel_spec& k = plan::tables.kernels[l.kernel];
    const ops::halo_sizes h(l.nest);
    n += k.kind == graph::kernel_kind::halo && k.first == adjoint && h.lo == lo && h.hi == hi;
  }
  return n;
}
static_assert(halos(2, 2, false) == 2 && halos(2, 2, true) == 0);  // nobody asks for the gradient by the image
static_assert(halos(1, 0, false) == 2 && halos(1, 0, true) == 1);
// What is made once more gets the planes of the first time: neighbours are asked once.
constexpr int exchanges() {
  int n = 0;
  for (const auto& m : distributed::meetings_of<plan>) n += m.size == 0;
  return n;
}
static_assert(exchanges() == 3);

}  // namespace
