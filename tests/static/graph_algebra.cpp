// What the smart constructors simplify, share and leave out.
#include <volute/runtime/compile.hpp>

using namespace volute;

namespace graph_algebra_test {

/// Two expressions that become the same node.
template <expression A, expression B>
constexpr bool same_node(A, B) {
  constexpr auto& g = lowering::compiled<output_list<A, B>>::graph;
  return g.outputs[0] == g.outputs[1];
}
/// Nodes of a function in the graph of an expression.
template <expression A>
constexpr int count_of(A, ops::fn f) {
  constexpr auto g = graph::view_of(lowering::compiled<output_list<A>>::graph);
  int n = 0;
  for (int i = 0; i < g.size.nodes; ++i) n += g.template is<ops::elementwise>(i) && g.template as<ops::elementwise>(i).f() == f;
  return n;
}

constexpr auto x = input<"x", 2, 3>;
constexpr auto y = input<"y", 2, 3>;
constexpr auto r = input<"r", 3>;

// equal nodes are shared
static_assert(count_of(exp(x) + square(exp(x)), ops::fn::exp) == 1);
static_assert(same_node(x * y, y * x) && same_node(x + y, y + x) && same_node(maximum(x, y), maximum(y, x)));
static_assert(!same_node(x - y, y - x) && !same_node(x / y, y / x) && !same_node(x < y, y < x));

// neutral and absorbing elements
static_assert(same_node(x * 1_c, x) && same_node(1_c * x, x) && same_node(x + 0_c, x) && same_node(0_c + x, x) && same_node(x - 0_c, x) && same_node(x / 1_c, x));
static_assert(same_node(x * 0_c, constant<0, 2, 3>) && same_node(0_c - x, -x) && same_node(x * constant<-1>, -x) && same_node(1_c / x, reciprocal(x)));
static_assert(same_node(x * constant<1, 2, 3>, x) && same_node(x + constant<0, 1, 3>, x));

// constants
static_assert(same_node(2_c * 3_c, 6_c) && same_node((x * 2_c) * 3_c, x * 6_c) && same_node((x + 2_c) + 3_c, x + 5_c) && same_node(x - 2_c, x + constant<-2>));
static_assert(same_node(exp(0_c), 1_c) && same_node(square(constant<3, 2>), constant<9, 2>) && same_node(select(1_c < 2_c, x, y), x) && same_node(select(2_c < 1_c, x, y), y));
static_assert(same_node(select(x, y, y), y));

// signs and powers
static_assert(same_node(-(-x), x) && same_node(x + (-y), x - y) && same_node(x - (-y), x + y) && same_node(-(x - y), y - x) && same_node((-x) * (-y), x * y));
static_assert(same_node(x * x, square(x)) && same_node(square(-x), square(x)) && same_node(power(x, 2_c), square(x)) && same_node(power(x, 1_c), x));
static_assert(same_node(power(x, 0.5_c), sqrt(x)) && same_node(power(x, constant<-0.5>), rsqrt(x)) && same_node(power(x, constant<-1>), reciprocal(x)));

// shapes
static_assert(same_node(reshape(reshape(x, shape<6>), shape<3, 2>), reshape(x, shape<3, 2>)) && same_node(reshape(x, shape<2, 3>), x));
static_assert(same_node(transpose(transpose(x, axes<1, 0>), axes<1, 0>), x) && same_node(transpose(x, axes<0, 1>), x));
static_assert(same_node(transpose(input<"t", 1, 2, 3>, axes<1, 0, 2>), reshape(input<"t", 1, 2, 3>, shape<2, 1, 3>)));
static_assert(same_node(slice(pad(x, shape<0, 1>, shape<0, 2>), axis<1>, range<1, 4>), x) && same_node(slice(x, axis<1>, range<0, 3>), x));
static_assert(same_node(pad(x, shape<0, 0>, shape<0, 0>), x) && same_node(concat(axis<0>, x), x));

// reductions
static_assert(same_node(sum(broadcast_to(r, shape<4, 3>)), sum(reshape(r, shape<1, 3>)) * 4_c) && same_node(sum(broadcast_to(r, shape<4, 3>), axes<0>), r * 4_c));
static_assert(same_node(maximum(broadcast_to(r, shape<4, 3>), axes<0>), r) && same_node(sum(constant<0.5, 4, 2>), 4_c));
static_assert(same_node(sum(-x), -sum(x)) && same_node(sum(x * r, axes<0>), sum(x, axes<0>) * r));
static_assert(same_node(sum(input<"k", 2, 1>, axes<1>), reshape(input<"k", 2, 1>, shape<2>)));
static_assert(same_node(sum(reshape(x, shape<2, 1, 3>) * reshape(y, shape<1, 2, 3>), axes<2>), linear(x, y)));

// what is the same for all repetitions is worked out once
static_assert(same_node(exp(broadcast_to(r, shape<2, 3>)) + 1_c, broadcast_to(exp(r) + 1_c, shape<2, 3>)));

// gradients
static_assert(same_node(gradient(sum(x), x), constant<1, 2, 3>) && same_node(gradient(sum(square(x)), x), x * 2_c) && same_node(gradient(sum(x * y), x), y));
static_assert(same_node(gradient(sum(x), y), constant<0, 2, 3>) && same_node(gradient(sum(stop_gradient(x)), x), constant<0, 2, 3>));
static_assert(same_node(gradient(sum(x * stop_gradient(x)), x), x));
static_assert(same_node(gradient(sum(exp(x) * y), exp(x)), y));  // by an intermediate value

// the rewrite of modulated weights: one plain convolution
constexpr auto v = input<"v", 2, 4, 3, 3, 3>;
constexpr auto w = parameter<"w", 5, 4, 3, 3, 3>;
constexpr auto mod = input<"mod", 2, 4>;
/// Whether the expression needs a tensor as large as one bank of w for each sample.
template <expression A>
constexpr bool builds_banks(A) {
  constexpr auto g = graph::view_of(lowering::compiled<output_list<A>>::graph);
  bool used[g.size.nodes + 1]{};
  used[g.outputs[0]] = true;
  for (int i = g.size.nodes - 1; i >= 0; --i) {
    if (!used[i]) continue;
    if (g.shape(i).size() >= 2 * 5 * 4 * 27) return true;
    for (int k = 0; k < g.nodes[i].count; ++k) used[g.operand(i, k)] = true;
  }
  return false;
}
static_assert(same_node(conv3d(v, modulate(w, mod), same), conv3d(v * per_sample_channel(mod + 1_c), w, same)));
static_assert(!builds_banks(conv3d(v, demodulate(modulate(w, mod)), same)) && !builds_banks(gradient(sum(conv3d(v, demodulate(modulate(w, mod)), same)), mod)));
static_assert(builds_banks(conv3d(v, exp(modulate(w, mod)), same)));  // does not factor

}  // namespace graph_algebra_test
