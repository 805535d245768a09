// What the plan of a program stores, launches and needs.
#include <volute/volute.hpp>

using namespace volute;

namespace graph_plan_test {

template <expression... E>
using facts_of = runtime::facts<output_list<E...>, float>;
template <auto Outputs>
using facts = typename program<Outputs>::facts;

/// Launches of every run: without the prologue.
template <class Facts>
inline constexpr int launch_count = Facts::plan::size.launches - Facts::plan::size.prologue;

/// Whether the plan is sound: what is alive at the same time lies apart, each launch reads only what is there, scratch disturbs nothing.
template <class Facts>
constexpr bool memory_is_sound(decltype(Facts::plan::tables)& t = Facts::plan::tables) {
  using plan = typename Facts::plan;
  constexpr int n = plan::value_count, count = plan::size.launches;
  const auto place = [&](int v) { return t.values[v].at; };
  const auto kept = [&](int v) { return t.values[v].first < plan::size.prologue; };  // as long as the program lives
  const auto first = [&](int v) { return kept(v) ? 0 : t.values[v].first; };
  const auto last = [&](int v) { return kept(v) ? count : t.values[v].last; };
  const auto in_arena = [&](int v) { return place(v).where == graph::space::arena; };
  const auto meet = [](std::int64_t a, std::int64_t an, std::int64_t b, std::int64_t bn) { return a < b + bn && b < a + an; };
  for (int v = 0; v < n; ++v) {
    if (!in_arena(v)) continue;
    if (place(v).offset < 0 || place(v).offset + t.values[v].size > plan::arena_elements) return false;
    for (int u = 0; u < n; ++u) {
      if (u == v || !in_arena(u) || !meet(place(v).offset, t.values[v].size, place(u).offset, t.values[u].size)) continue;
      if (last(v) < first(u) || last(u) < first(v)) continue;
      // in place: u takes v's memory in the launch that reads v last
      const bool follows = !kept(v) && last(v) == first(u) && place(v).offset == place(u).offset && t.values[v].size == t.values[u].size;
      const bool precedes = !kept(u) && last(u) == first(v) && place(v).offset == place(u).offset && t.values[v].size == t.values[u].size;
      if (!follows && !precedes) return false;
    }
    for (int i = 0; i < count; ++i) {
      const auto& c = t.launches[i];
      if (c.scratch_size > 0 && first(v) <= i && i <= last(v) && meet(place(v).offset, t.values[v].size, c.scratch.offset, c.scratch_size)) return false;
    }
  }
  for (int i = 0; i < count; ++i) {
    const auto& out = t.launches[i].out;
    bool found = out.where != graph::space::arena;
    for (int v = 0; v < n && !found; ++v)
      found = in_arena(v) && t.values[v].first <= i && i <= last(v) && place(v).offset <= out.offset && out.offset < place(v).offset + t.values[v].size;
    if (!found) return false;
  }
  for (int i = 0; i < count; ++i)
    for (int k = 0; k < t.launches[i].count; ++k) {
      const auto& in = t.launches[i].in[k];
      if (in.where != graph::space::arena) continue;
      bool found = false;
      for (int v = 0; v < n && !found; ++v)
        found = in_arena(v) && t.values[v].first < i && i <= last(v) && place(v).offset <= in.offset && in.offset < place(v).offset + t.values[v].size;
      if (!found) return false;
    }
  return true;
}
/// Launches that write over one of their operands.
template <class Facts>
constexpr int in_place() {
  int n = 0;
  for (int i = 0; i < Facts::plan::size.launches; ++i) {
    const auto& c = Facts::plan::tables.launches[i];
    for (int k = 0; k < c.count; ++k) n += c.out.where == graph::space::arena && c.in[k].where == graph::space::arena && c.in[k].offset == c.out.offset;
  }
  return n;
}
/// The arena is at most 5 % above its lower bound.
template <class Facts>
inline constexpr bool tight = 100 * Facts::arena_bytes <= 105 * Facts::live_bytes;

// ---- fusion
constexpr auto x = input<"x", 2, 8, 6, 6, 6>;
constexpr auto w = parameter<"w", 8, 8, 3, 3, 3>;
constexpr auto b = parameter<"b", 8>;
static_assert(launch_count<facts_of<std::remove_const_t<decltype(tanh(exp(x) * 2_c + square(x)))>>> == 1);
static_assert(launch_count<facts<outputs(sum(square(x) + exp(x)))>> == 1);  // a chain ends in its reduction
static_assert(launch_count<facts<outputs(x + relu(conv3d(x, w, b, padding<1>)))>> == 1);
static_assert(facts<outputs(x + relu(conv3d(x, w, b, padding<1>)))>::plan::size.prologue == 1);  // the filters are packed once
static_assert(launch_count<facts<outputs(silu(conv3d(x * per_sample_channel(input<"s", 2, 8>), w, same) * per_sample_channel(input<"d", 2, 8>)))>> == 1);
static_assert(launch_count<facts<outputs(softmax(input<"l", 4, 10>, axis<1>))>> <= 4);

// ---- dead nodes
static_assert(launch_count<facts<outputs(gradient(sum(square(x)), x))>> == 1);
static_assert(launch_count<facts<outputs(gradient(sum(conv3d(x, w)), x))>> - launch_count<facts<outputs(gradient(sum(conv3d(x, w) * 2_c), x))>> == 0);
static_assert(facts<outputs(gradient(sum(conv3d(x, w)), x))>::plan::size.convolutions == 1);  // the adjoint alone, not the value

// ---- the model of the Conv3D document
struct net : nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu, nn::max_pool3d<2>, nn::flatten,
                            nn::linear<16 * 4 * 4 * 4, 10>> {};
using document = model<net, input<"x", 4, 1, 10, 10, 10>>::facts;
static_assert(document::parameters == (8 * 27 + 8) + (16 * 8 * 27 + 16) + (1024 * 10 + 10));
static_assert(document::flops == 2.0 * 4 * 8 * 1000 * 27 + 2.0 * 4 * 16 * 512 * 8 * 27  // convolutions
                                     + 2 * 4 * 8 * 1000 + 2 * 4 * 16 * 512              // bias, relu
                                     + 4 * 16 * 512 + 2.0 * 4 * 1024 * 10 + 4 * 10);    // pooling, linear, its bias
static_assert(document::graph.size.layers == 4 && document::graph.layers[0].path.view() == "0" && document::graph.layers[1].shape == shape<4, 16, 8, 8, 8>);
static_assert(memory_is_sound<document>());
constexpr auto logits = net{}(input<"x", 4, 1, 10, 10, 10>);
constexpr auto loss = cross_entropy(logits, input<"t", 4>);
using document_step = facts<outputs(loss, gradient(loss, parameters))>;
static_assert(memory_is_sound<document_step>() && tight<document_step> && document_step::prologue_bytes == 0);

// ---- parts without copies: pieces are made in a concatenation, slices are read where they lie
template <class Facts>
constexpr int copies() {
  int n = 0;
  for (int i = 0; i < Facts::plan::size.launches; ++i)
    n += Facts::plan::tables.kernels[Facts::plan::tables.launches[i].kernel].kind == graph::kernel_kind::copy;
  return n;
}
template <int64_t Batch, int64_t Depth>
constexpr auto half = input<"half", Batch, 4, Depth, 4, 4>;
template <int64_t Batch, int64_t Depth>
constexpr auto both = concat(axis<1>, exp(half<Batch, Depth>), concat(axis<1>, sqrt(half<Batch, Depth>), half<Batch, Depth>));
template <int64_t Batch, int64_t Depth>
constexpr auto parts = max_pool3d(slice(both<Batch, Depth>, axis<1>, range<4, 10>), kernel<2>);
using one_sample = facts<outputs(parts<1, 4>)>;
static_assert(copies<one_sample>() == 1 && memory_is_sound<one_sample>());                                   // the input is elsewhere
static_assert(copies<facts<outputs(parts<2, 4>)>>() > 3);                                                     // not one run
static_assert(copies<facts<outputs(both<1, 4>, exp(half<1, 4>))>>() == 2);                                    // a result has its own place
static_assert(copies<facts<outputs(concat(axis<1>, exp(input<"x", 1, 3>), sin(input<"x", 1, 3>)))>>() == 1);  // not at a cache line

// ---- a chain of residual blocks
struct block : nn::residual<nn::conv3d<16, 16, nn::kernel<3>, nn::same>, nn::silu, nn::conv3d<16, 16, nn::kernel<3>, nn::same>> {};
using chain = nn::sequential<nn::conv3d<1, 16, nn::kernel<3>, nn::same>, block, nn::silu, block, nn::silu, nn::conv3d<16, 1, nn::kernel<1>>>;
constexpr auto volume = input<"x", 1, 1, 8, 8, 8>;
constexpr auto restored = chain{}(volume);
constexpr auto error = mse(restored, input<"y", 1, 1, 8, 8, 8>);
using chain_forward = facts<outputs(restored)>;
using chain_step = facts<outputs(error, gradient(error, parameters))>;
static_assert(memory_is_sound<chain_forward>() && memory_is_sound<chain_step>() && tight<chain_forward> && tight<chain_step>);
static_assert([] {  // the check itself: one result in another's place
  auto t = chain_step::plan::tables;
  int moved = chain_step::plan::value_count / 2;
  while (t.values[moved].at.where != graph::space::arena) ++moved;
  t.values[moved].at.offset += 16;
  return !memory_is_sound<chain_step>(t);
}());
static_assert(launch_count<chain_forward> == 6);  // one a convolution
static_assert(in_place<chain_step>() > 0);

// ---- values that live long: the skips of a U
struct u_net {
  template <int64_t In, int64_t Out>
  using block = nn::sequential<nn::conv3d<In, Out, nn::kernel<3>, nn::same>, nn::instance_norm3d<Out>, nn::leaky_relu<>>;
  nn::named<"down0", block<1, 8>> down0;
  nn::named<"down1", block<8, 16>> down1;
  nn::named<"bottom", block<16, 32>> bottom;
  nn::named<"up1", block<48, 16>> up1;
  nn::named<"up0", block<24, 8>> up0;
  constexpr auto operator()(expression auto image) const {
    constexpr nn::max_pool3d<2> pool{};
    constexpr nn::upsample<nn::scale<2>> grow{};
    const auto first = down0(image);
    const auto second = down1(pool(first));
    const auto third = up1(concat(axis<1>, second, grow(bottom(pool(second)))));
    return up0(concat(axis<1>, first, grow(third)));
  }
};
constexpr auto u = u_net{}(input<"x", 1, 1, 16, 16, 16>);
using u_forward = facts<outputs(u)>;
using u_step = facts<outputs(mean(square(u)), gradient(mean(square(u)), parameters))>;
static_assert(memory_is_sound<u_forward>() && tight<u_forward>);
static_assert(memory_is_sound<u_step>() && tight<u_step>);

// ---- second order
constexpr auto penalty = sum(square(gradient(sum(restored), volume)));
using chain_penalty = facts<outputs(penalty, gradient(penalty, parameters))>;
static_assert(memory_is_sound<chain_penalty>() && tight<chain_penalty>);

// ---- modulated weights are never built, forward or backward
using styled = nn::adaptive_conv3d_mod<512, nn::spatial_kernel<3>, nn::time_kernel<3>>;
constexpr auto map = input<"x", 8, 512, 4, 4, 4>;
constexpr auto mod = input<"mod", 8, 512>;
constexpr auto out = styled{}(map, mod);
constexpr std::int64_t banks = 8LL * 512 * 512 * 27;
using styled_forward = facts<outputs(out)>;
static_assert(styled_forward::largest_tensor < banks / 7);  // the packed filters
static_assert(styled_forward::arena_bytes < 10 << 20);
using styled_alone = facts<outputs(styled{}(input<"x", 1, 512, 4, 4, 4>, input<"mod", 1, 512>))>;  // nor for a single sample
static_assert(styled_alone::arena_bytes < 1 << 20);
constexpr auto styled_sum = sum(out * input<"c", 8, 512, 4, 4, 4>);
constexpr auto styled_gradients = gradient(styled_sum, map, mod);
using styled_step = facts<outputs(styled_sum, std::get<0>(styled_gradients), std::get<1>(styled_gradients), gradient(styled_sum, parameters))>;
static_assert(styled_step::largest_tensor < banks / 7);
static_assert(memory_is_sound<styled_forward>() && memory_is_sound<styled_step>() && tight<styled_step>);

constexpr auto mixed = nn::adaptive_conv3d_mod<64, nn::num_kernels<4>>{}(input<"x", 8, 64, 4, 4, 4>, input<"mod", 8, 64>, input<"pick", 8, 4>);
constexpr auto mixed_sum = sum(square(mixed));
using mixed_step = facts<outputs(mixed_sum, gradient(mixed_sum, parameters))>;
static_assert(mixed_step::largest_tensor < 8 * 64 * 64 * 27 && memory_is_sound<mixed_step>());  // its kernels' scratch differs between instruction sets, and so how tight it lies

}  // namespace graph_plan_test
