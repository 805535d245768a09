// Convolutions that write or read blocked layouts give what they give in NCDHW, with zeros around each plane; on any number of threads.
#include "kernels_conv3d_support.hpp"

#include <volute/core/executor.hpp>

using namespace conv3d_test;

namespace {

constexpr auto front = kernels::conv_side::forward, back = kernels::conv_side::backward;

/// NCDHW to layout l; `beside`: what stands around the planes.
template <class T>
std::vector<T> blocked(const std::vector<T>& v, const ops::volume_layout& l, T beside) {
  std::vector<T> to(static_cast<std::size_t>(l.size()), beside);
  const int64_t volume = l.planes * l.rows * l.columns;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i), pixel = at % volume, c = at / volume % l.channels, n = at / (volume * l.channels);
    const int64_t w = pixel % l.columns, h = pixel / l.columns % l.rows, d = pixel / (l.columns * l.rows);
    const int64_t plane = (n * (l.channels / l.block) + c / l.block) * l.planes + d;
    to[static_cast<std::size_t>(((plane * l.all_rows + l.rows_before + h) * l.all_columns + l.columns_before + w) * l.block +
                                c % l.block)] = v[i];
  }
  return to;
}

/// The family that takes and gives blocks: whole rows where that can be, else channels.
template <class T>
constexpr kernels::conv_family linked(const conv_geometry& g, kernels::conv_side side) {
  const bool rows = kernels::possible<T>(kernels::conv_family::rows, {kernels::canonical(g), side});
  return rows ? kernels::conv_family::rows : kernels::conv_family::channels;
}
template <class T>
constexpr ops::conv_facts facts_of(const conv_geometry& g, kernels::conv_side side) {
  return kernels::conv3d_facts<T>(g, side, linked<T>(g, side));
}
template <class T>
constexpr int64_t scratch_of(const conv_geometry& g, kernels::conv_side side, const ops::volume_layout& source) {
  return kernels::with_plan<T>(linked<T>(g, side), {kernels::canonical(g), side}, [](const auto& plan) { return plan.scratch(); }, source);
}

/// One face, with `threads` workers.
template <class T, conv_geometry G, kernels::conv_side Side, ops::epilogue E, ops::conv_layouts Layouts>
std::vector<T> run(const std::vector<T>& x, const std::vector<T>& w, const T* const* extra, int threads) {
  constexpr bool forward = Side == front;
  const int64_t y_size = Layouts.target.blocked() ? Layouts.target.size() : forward ? G.y_size() : G.x_size();
  constexpr kernels::conv_family family = linked<T>(G, Side);
  guarded<T> packed(facts_of<T>(G, Side).packed), y(y_size), scratch(scratch_of<T>(G, Side, Layouts.source));
  volute::spinning_pool pool(threads);
  const int64_t each =
      kernels::with_plan<T>(family, {kernels::canonical(G), Side}, [](const auto& plan) { return plan.worker_scratch(); }, Layouts.source);
  std::vector<T> memory(static_cast<std::size_t>(each * (threads - 1)));
  const kernels::team<T> team = threads > 1 ? kernels::team<T>{&pool, memory.data(), each} : kernels::team<T>{};
  kernels::conv3d_pack<T, G, Side, family>::run(w.data(), packed.data(), team);
  kernels::conv3d_correlate<T, G, Side, E, false, Layouts, family>::run(x.data(), packed.data(), y.data(), extra, nullptr, scratch.data(),
                                                                        team);
  CHECK((packed.intact() && y.intact() && scratch.intact()));
  return y.values();
}

/// relu(y * c + whole) + s * scalar, one operand of each kind.
constexpr ops::epilogue every_operand = [] {
  ops::epilogue e;
  e.program.inputs = 5;
  e.program.length = 5;
  e.program.code[0] = {ops::fn::multiply, 0, 1, 0};
  e.program.code[1] = {ops::fn::add, 5, 2, 0};
  e.program.code[2] = {ops::fn::relu, 6, 0, 0};
  e.program.code[3] = {ops::fn::multiply, 3, 4, 0};
  e.program.code[4] = {ops::fn::add, 7, 8, 0};
  e.operand[1] = ops::access::per_channel, e.operand[2] = ops::access::whole;
  e.operand[3] = ops::access::per_sample_channel, e.operand[4] = ops::access::scalar;
  return e;
}();

/// G writes the layout that the face `ReaderSide` of Reader wants, through an epilogue.
template <class T, conv_geometry G, kernels::conv_side Side, conv_geometry Reader, kernels::conv_side ReaderSide = front>
void check_writes(const char* name, int threads = 1) {
  INFO(name);
  constexpr ops::volume_layout layout = facts_of<T>(Reader, ReaderSide).source;
  static_assert(layout.blocked() && facts_of<T>(G, Side).writes(layout));
  constexpr ops::conv_layouts to{.target = layout};
  const auto x = numbers<T>(Side == front ? G.x_size() : G.y_size(), 7, 3, 11), w = numbers<T>(G.w_size(), 5, 1, 7);
  const auto scale = numbers<T>(layout.channels, 3, 1, 5), gain = numbers<T>(layout.batch * layout.channels, 5, 2, 9);
  const auto whole = numbers<T>(Side == front ? G.y_size() : G.x_size(), 13, 5, 17);
  const auto turned = blocked<T>(whole, layout, std::numeric_limits<T>::quiet_NaN());  // what stands beside the planes is not read
  const T scalar(3);
  const T* extra[]{scale.data(), whole.data(), gain.data(), &scalar};
  const auto expected = blocked<T>(run<T, G, Side, every_operand, ops::conv_layouts{}>(x, w, extra, 1), layout, T(0));
  extra[1] = turned.data();
  CHECK(where(run<T, G, Side, every_operand, to>(x, w, extra, threads), expected) == "equal");
}

/// G reads its source blocked.
template <class T, conv_geometry G, kernels::conv_side Side, ops::volume_layout Layout = facts_of<T>(G, Side).source>
void check_reads(const char* name, int threads = 1) {
  INFO(name);
  constexpr ops::volume_layout layout = Layout;
  static_assert(facts_of<T>(G, Side).reads_source(layout));
  static_assert(scratch_of<T>(G, Side, layout) < scratch_of<T>(G, Side, {}));
  const auto x = numbers<T>(Side == front ? G.x_size() : G.y_size(), 7, 3, 11), w = numbers<T>(G.w_size(), 5, 1, 7);
  const auto plain = run<T, G, Side, ops::epilogue{}, ops::conv_layouts{}>(x, w, nullptr, 1);
  const auto made = run<T, G, Side, ops::epilogue{}, ops::conv_layouts{.source = layout}>(blocked<T>(x, layout, T(0)), w, nullptr, threads);
  CHECK(where(made, plain) == "equal");
}

/// The layout of a tensor of this shape, in these blocks, with zeros.
constexpr ops::volume_layout layout_of(int64_t batch, int64_t channels, const int64_t (&size)[3], int64_t block) {
  return {block, batch, channels, size[0], size[1], size[2], 1, size[1] + 3, 2, size[2] + 2};
}

/// The family of the filter's adjoint that takes these blocks: the chosen one, or where that is one that cannot, another.
template <class T>
constexpr kernels::weights_family reader(const conv_geometry& g, const ops::volume_layout& x_layout, const ops::volume_layout& g_layout) {
  using enum kernels::weights_family;
  for (const kernels::weights_family f : {kernels::weights_family_of<T>(g), outputs, inputs, row_outputs, row_inputs}) {
    if (!kernels::possible<T>(f, kernels::canonical(g))) continue;
    const ops::conv_facts facts = kernels::conv3d_weights_facts<T>(g, f);
    if (facts.reads_source(x_layout) && facts.reads_target(g_layout)) return f;
  }
  return kernels::weights_family_of<T>(g);
}

/// The adjoint in the filter from blocked tensors: both, or each alone too.
template <class T, conv_geometry G, int64_t XBlock, int64_t GBlock, bool Each = false>
void check_weights(const char* name, int threads = 1) {
  INFO(name);
  constexpr ops::volume_layout x_layout = layout_of(G.batch, G.in_channels, G.in, XBlock);
  constexpr ops::volume_layout g_layout = layout_of(G.batch, G.out_channels, G.out, GBlock);
  const auto x = numbers<T>(G.x_size(), 7, 3, 11), g = numbers<T>(G.y_size(), 5, 1, 7);
  const auto wanted = backward_weights<T, G>(x, g);
  constexpr T beside = std::numeric_limits<T>::quiet_NaN();
  volute::spinning_pool pool(threads);
  constexpr kernels::weights_family family = reader<T>(G, x_layout, g_layout);
  const int64_t each = kernels::with_plan<T>(family, kernels::canonical(G), [](const auto& plan) { return plan.worker_scratch(); });
  std::vector<T> memory(static_cast<std::size_t>(each * (threads - 1)));
  const kernels::team<T> team = threads > 1 ? kernels::team<T>{&pool, memory.data(), each} : kernels::team<T>{};
  const auto check = [&](auto layouts, const std::vector<T>& a, const std::vector<T>& b) {
    guarded<T> dw(G.w_size()), scratch(kernels::conv3d_weights_facts<T>(G, family).scratch);
    kernels::conv3d_backward_weights<T, G, decltype(layouts)::value, family>::run(a.data(), b.data(), dw.data(), scratch.data(), team);
    CHECK((dw.intact() && scratch.intact()));
    CHECK(where(dw.values(), wanted) == "equal");
  };
  check(std::integral_constant<ops::conv_layouts, ops::conv_layouts{x_layout, g_layout}>{}, blocked<T>(x, x_layout, beside),
        blocked<T>(g, g_layout, beside));
  if constexpr (Each) {
    check(std::integral_constant<ops::conv_layouts, ops::conv_layouts{x_layout, {}}>{}, blocked<T>(x, x_layout, beside), g);
    check(std::integral_constant<ops::conv_layouts, ops::conv_layouts{{}, g_layout}>{}, x, blocked<T>(g, g_layout, beside));
  }
}

constexpr triple one{1, 1, 1};

}  // namespace

TEST_CASE("conv3d blocked: rows", "[conv3d]") {
  constexpr conv_geometry same = make(2, 32, 32, {3, 4, 5}, {3, 3, 3}, one, one, one);
  check_writes<float, same, front, same>("same geometry");
  check_reads<float, same, front>("same geometry");
  check_reads<float, same, back>("its adjoint");
  constexpr conv_geometry uneven = make(1, 96, 64, {4, 3, 7}, {3, 1, 2}, one, {1, 0, 0}, {1, 0, 1});
  check_reads<double, uneven, front>("two chunks");
  constexpr conv_geometry heavy = make(3, 128, 192, {2, 5, 4}, {3, 3, 3}, one, one, one);
  static_assert(kernels::plan_rows<float>({heavy, front}).code.slab);
  check_reads<float, heavy, front>("sums that wait between slabs of weights");
  check_writes<float, heavy, front, make(3, 192, 16, {2, 5, 4}, {1, 3, 3}, one, {0, 1, 1}, {0, 1, 1})>("sums that wait");
}

TEST_CASE("conv3d blocked: channels", "[conv3d]") {
  constexpr conv_geometry wide = make(1, 32, 48, {4, 5, 30}, {3, 3, 3}, one, one, {1, 1, 0});
  static_assert(linked<float>(wide, front) == kernels::conv_family::channels);
  check_reads<float, wide, front>("wide rows");
  check_writes<float, wide, front, make(1, 48, 32, {4, 5, 29}, {3, 3, 3}, one, one, {1, 1, 0})>("wide rows, padded");
  check_writes<float, wide, back, make(1, 32, 32, {4, 5, 30}, {1, 3, 3}, one, {0, 2, 1})>("wide rows, causal reader");
  constexpr conv_geometry strided = make(2, 32, 64, {5, 7, 31}, {3, 3, 3}, {2, 2, 2}, one, one);
  check_reads<float, strided, front>("stride");
  check_writes<float, strided, back, make(2, 32, 32, {5, 7, 31}, {3, 3, 3}, one, one, {1, 1, 0})>("residue classes");
  check_writes<double, strided, front, make(2, 64, 32, {3, 4, 16}, {3, 3, 3}, one, one, one)>("stride, for a kernel of rows");
  constexpr conv_geometry halved = make(1, 32, 40, {5, 7, 45}, {3, 3, 3}, {2, 2, 2}, one, one);
  check_writes<float, halved, front, make(1, 40, 32, {3, 4, 23}, {3, 3, 5}, one, {1, 1, 2}, {1, 1, 2})>("40 channels, one block");
}

TEST_CASE("conv3d blocked: axes merge", "[conv3d]") {
  // (1, 3, 3) pads planes, (3, 1, 1) sees one long row: each can write what the other reads
  constexpr conv_geometry space = make(1, 32, 48, {3, 16, 32}, {1, 3, 3}, one, {0, 1, 1}, {0, 1, 1});
  constexpr conv_geometry time = make(1, 48, 32, {3, 16, 32}, {3, 1, 1}, one, {1, 0, 0}, {1, 0, 0});
  check_writes<float, space, front, time>("space for time");
  check_writes<float, time, front, space>("time for space");
  check_reads<float, time, front>("time");
}

TEST_CASE("conv3d blocked: more zeros than a reader needs", "[conv3d]") {
  constexpr conv_geometry rows = make(2, 16, 32, {3, 4, 7}, {3, 3, 3}, one, one, one);
  constexpr conv_geometry channels = make(1, 16, 48, {4, 5, 29}, {3, 3, 3}, one, one, {1, 1, 0});
  constexpr auto more = [](ops::volume_layout l) {
    l.rows_before += 1, l.all_rows += 3, l.columns_before += 2, l.all_columns += 5;
    return l;
  };
  check_reads<float, rows, front, more(facts_of<float>(rows, front).source)>("rows");
  check_reads<float, channels, front, more(facts_of<float>(channels, front).source)>("channels");
  constexpr ops::volume_layout wide = facts_of<float>(channels, front).source;
  STATIC_REQUIRE(join(wide, more(wide)) == more(wide));
  STATIC_REQUIRE(!facts_of<float>(channels, front).reads_source(facts_of<float>(rows, front).source));
}

TEST_CASE("conv3d blocked: slabs and threads", "[conv3d]") {
  constexpr conv_geometry tall = make(1, 48, 32, {19, 16, 29}, {3, 1, 3}, one, {1, 0, 1}, {1, 0, 1});
  static_assert(kernels::plan_channels<double>({tall, front}).slabs.count > 1);
  check_reads<double, tall, front>("slabs", 3);
  check_writes<double, tall, front, make(1, 32, 32, {19, 16, 29}, {3, 3, 3}, one, one, one)>("slabs", 3);
  constexpr conv_geometry shared = make(1, 64, 64, {8, 8, 8}, {3, 3, 3}, one, one, one);
  static_assert(kernels::plan_rows<float>({shared, front}).share == kernels::sharing::inside);
  check_reads<float, shared, front>("blocks shared", 3);
  check_writes<float, shared, front, shared>("blocks shared", 3);
  constexpr conv_geometry batch = make(9, 32, 32, {2, 16, 32}, {1, 3, 3}, one, {0, 1, 1}, {0, 1, 1});
  static_assert(kernels::plan_channels<float>({batch, front}).share == kernels::sharing::pairs);
  check_reads<float, batch, front>("samples shared", 3);
  check_writes<float, batch, front, batch>("samples shared", 3);
}

TEST_CASE("conv3d blocked: the filter's adjoint", "[conv3d]") {
  check_weights<float, make(2, 48, 32, {3, 4, 5}, {3, 3, 3}, one, one, one), 16, 32, true>("rows, g in the lanes");
  check_weights<double, make(1, 32, 80, {4, 3, 7}, {3, 1, 2}, one, {1, 0, 0}, {1, 0, 1}), 32, 16>("rows, blocks unlike the kernel's");
  check_weights<float, make(2, 24, 40, {4, 5, 29}, {3, 3, 3}, one, one, {1, 1, 0}), 24, 8>("channels");
  check_weights<float, make(1, 32, 64, {5, 7, 31}, {3, 3, 3}, {2, 2, 2}, one), 16, 16>("stride");
  check_weights<float, make(1, 64, 64, {8, 8, 8}, {3, 3, 3}, one, one, one), 16, 64>("threads", 3);
  check_weights<double, make(1, 48, 32, {19, 16, 29}, {3, 1, 3}, one, {1, 0, 1}, {1, 0, 1}), 16, 16>("slabs, threads", 3);
}

TEST_CASE("conv3d blocked: who cannot", "[conv3d]") {
  STATIC_REQUIRE(!facts_of<float>(make(1, 1, 32, {8, 8, 8}, {3, 3, 3}, one, one, one), front).source.blocked());
  STATIC_REQUIRE(!kernels::conv3d_facts<float>(make(1, 64, 64, {8, 8, 8}, {1, 1, 1}), front).source.blocked());
  STATIC_REQUIRE(!facts_of<float>(make(1, 64, 64, {8, 8, 8}, {3, 3, 3}, one, one, one, one, 2), front).source.blocked());
  constexpr conv_geometry wide = make(1, 64, 64, {8, 16, 32}, {3, 3, 3}, one, one, one);
  constexpr ops::volume_layout layout = facts_of<float>(wide, front).source;
  STATIC_REQUIRE(facts_of<float>(wide, front).writes(layout));
  STATIC_REQUIRE(!facts_of<float>(make(1, 64, 64, {8, 16, 31}, {3, 3, 3}, one, one, one), front).writes(layout));
  STATIC_REQUIRE(!kernels::conv3d_facts<float>(make(1, 32, 64, {8, 16, 32}, {1, 1, 1}), front).writes(layout));
}
