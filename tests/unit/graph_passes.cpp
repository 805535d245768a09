// The passes, at run time on thousands of random graphs: what the simplifier, the clean-up, recomputation and differentiation make has the
// values and the derivatives of what it was made from. A failure prints the seed and the least part of the graph that still fails.
#include "graph_random.hpp"

#include <volute/graph/recompute.hpp>

#include <catch2/catch.hpp>

namespace {

using namespace graph_test;

constexpr double tolerance = 1e-9;

enum class outcome { right, wrong, unsure };

/// Whether the graph's value at `root` is any use: finite, and not made of rounding.
bool steady(const items& all, int root, const leaves& given, const tensor& y) {
  numbers noise(7);
  for (int k = 0; k < 8; ++k)
    if (!(difference(evaluation{given, nullptr, &noise}(all, {root})[at(root)], y) < tolerance / 10)) return false;
  return std::isfinite(largest(y));
}

/// Judges the value at `root` of `made` by that of `from`.
outcome compare(const items& from, int root, const items& made, int to, const leaves& given) {
  const tensor y = evaluation{given}(from, {root})[at(root)];
  if (difference(evaluation{given}(made, {to})[at(to)], y) < tolerance) return outcome::right;
  return steady(from, root, given, y) ? outcome::wrong : outcome::unsure;
}

using judge = outcome (*)(const random_graph&, int root);

/// Runs a property on the last node of random graphs; on the first that fails finds the smallest part that does.
void for_graphs(int count, int size, std::uint64_t first, judge property) {
  int unsure = 0;
  for (std::uint64_t seed = first; seed < first + static_cast<std::uint64_t>(count); ++seed) {
    const random_graph g(seed, size);
    const outcome o = property(g, static_cast<int>(g.all.size()) - 1);
    unsure += o == outcome::unsure;
    if (o != outcome::wrong) continue;
    int root = 0;
    while (property(g, root) != outcome::wrong) ++root;
    FAIL("seed " << seed << ", size " << size << ", node " << root << ":\n" << describe(g.all, root));
  }
  INFO(unsure << " of " << count << " graphs had no steady value");
  CHECK(10 * unsure < count);
}

outcome simplified(const random_graph& g, int root) {
  graph::contractor plain, simple;
  std::vector<int> in_plain, in_simple;
  build_plainly(plain, g.all, in_plain);
  build_simplified(simple, g.all, in_simple);
  const items made = items_of(plain);
  if (difference(evaluation{g.given}(made, {in_plain[at(root)]})[at(in_plain[at(root)])], g.value(root)) > tolerance)
    return steady(made, in_plain[at(root)], g.given, g.value(root)) ? outcome::wrong : outcome::unsure;
  return compare(made, in_plain[at(root)], items_of(simple), in_simple[at(root)], g.given);
}

/// Barriers out, everything through the constructors once more.
outcome cleaned(const random_graph& g, int root) {
  graph::contractor from, to;
  std::vector<int> number;
  build_plainly(from, g.all, number);
  const items plain = items_of(from);
  int out[] = {number[at(root)], number[0]};
  buffer<int> moved(from.nodes.size + 1, 0);
  graph::rebuild(to, from, out, 2, moved);
  const items made = items_of(to);
  for (const item& n : made)
    if (n.is<ops::barrier>()) return outcome::wrong;
  if (out[1] != moved[number[0]]) return outcome::wrong;
  return compare(plain, number[at(root)], made, out[0], g.given);
}

/// What lies inside checkpointed modules is computed once more for the nodes behind them.
outcome recomputed(const random_graph& g, int root) {
  graph::contractor from;
  graph::builder to;
  std::vector<int> number;
  build_plainly(from, g.all, number);
  numbers r(static_cast<std::uint64_t>(root));
  buffer<graph::region> regions;
  const int n = from.nodes.size, forward = n / 2;
  for (int first = static_cast<int>(r.below(3)); first + 1 < forward;) {
    const int last = first + 2 + static_cast<int>(r.below(6));
    if (last > forward) break;
    if (r.below(3) == 0 && last - first > 3)  // a nested one is entered later and left earlier
      regions.push_back({first + 1, last - 1, last - 2});
    regions.push_back({first, last, last - 1});
    first = last + static_cast<int>(r.below(3));
  }
  buffer<int> moved(n + 1, 0);
  int out[] = {number[at(root)]};
  graph::recomputation(to, from, regions, forward).run(out, 1, moved);
  for (int i = 0; i < forward; ++i)
    if (moved[i] != i) return outcome::wrong;
  return compare(items_of(from), number[at(root)], items_of(to), out[0], g.given);
}

/// The derivative of f at 0 by differences (Richardson's extrapolation); NaN where f has a kink or a jump near, or no value.
template <class F>
double slope(F f, double scale) {
  const double h = 1.0 / 4096, zero = f(0);
  double middle[3], bend[3], s = h;
  for (int k = 0; k < 3; ++k, s /= 2) {
    const double up = f(s), down = f(-s);
    middle[k] = (up - down) / (2 * s);
    bend[k] = (up - 2 * zero + down) / s;  // halves with s, but for a kink
  }
  const double wide = (4 * middle[1] - middle[0]) / 3, narrow = (4 * middle[2] - middle[1]) / 3;
  scale = std::fmax(scale, std::fabs(narrow));
  const bool smooth = std::fabs(wide - narrow) < 1e-7 * scale && std::fabs(bend[0] - 2 * bend[1]) < 1e-6 * scale;
  return smooth ? narrow : NAN;
}

/// <y, seed> of a graph, differentiated by all leaves at once: along random directions.
class derivative_check {
 public:
  derivative_check(const random_graph& random, graph::contractor& graph, int y) : g(graph), given(random.given), r(11) {
    for (std::size_t i = 0; i < random.given.inputs.size(); ++i) wrt.push_back(g.input(static_cast<int>(i), random.given.inputs[i].shape));
    for (std::size_t i = 0; i < random.given.parameters.size(); ++i)
      wrt.push_back(g.parameter(static_cast<int>(i), random.given.parameters[i].shape));
    moved = wrt.size();
    const int cotangent = fresh(g.shape(y));
    z = g.sum(g.map(ops::fn::multiply, y, cotangent), ops::all_axes(g.shape(y).rank));
    y_ = y, cotangent_ = cotangent;
  }

  /// Differentiates z, which becomes the derivative along a new random direction. Judges it by differences of the old z.
  outcome next() {
    const items before = items_of(g);
    const int old = z;
    std::vector<int> result(wrt.size() + 1), direction;
    if (first_)
      graph::differentiate(g, y_, cotangent_, wrt.data(), static_cast<int>(wrt.size()), result.data());
    else
      graph::differentiate(g, z, g.fill(1, extents{}), wrt.data(), static_cast<int>(wrt.size()), result.data());
    first_ = false;
    z = g.fill(0, extents{});
    for (std::size_t k = 0; k < wrt.size(); ++k) {
      direction.push_back(fresh(g.shape(wrt[k])));
      const int along = g.map(ops::fn::multiply, result[k], direction[k]);
      z = g.map(ops::fn::add, z, g.sum(along, ops::all_axes(g.shape(along).rank)));
    }
    const auto base = evaluation{given}(before, {old});
    const auto f = [&](double t) {
      leaves there = given;
      for (std::size_t k = 0; k < moved; ++k) {
        tensor& to = k < inputs() ? there.inputs[k] : there.parameters[k - inputs()];
        const tensor& by = given.inputs[at(ops::decode<ops::input>(g.attributes[g.nodes[direction[k]].attribute]).slot)];
        for (std::size_t i = 0; i < to.v.size(); ++i) to.v[i] += t * by.v[i];
      }
      return evaluation{there, &base}(before, {old})[at(old)].v[0];
    };
    const items after = items_of(g);
    const tensor found = evaluation{given}(after, {z})[at(z)];
    const double scale = std::fmax(1.0, std::fabs(base[at(old)].v[0])), wanted = slope(f, scale);
    if (!std::isfinite(wanted)) return outcome::unsure;
    if (std::fabs(found.v[0] - wanted) < 3e-6 * std::fmax(scale, std::fabs(wanted))) return outcome::right;
    return !std::isfinite(found.v[0]) || steady(after, z, given, found) ? outcome::wrong : outcome::unsure;
  }

 private:
  graph::contractor& g;
  leaves given;
  numbers r;
  std::vector<int> wrt;
  std::size_t moved = 0;  // the leaves of the graph; those made here stay
  int y_ = 0, cotangent_ = 0, z = 0;
  bool first_ = true;

  std::size_t inputs() const {
    std::size_t n = 0;
    while (n < moved && g.is<ops::input>(wrt[n])) ++n;
    return n;
  }
  int fresh(const extents& e) {
    given.inputs.push_back({e, r.vector<double>(e.size(), -1, 1)});
    return g.input(static_cast<int>(given.inputs.size()) - 1, e);
  }
};

template <bool Simplified, int Order>
outcome differentiated(const random_graph& random, int root) {
  graph::contractor g;
  std::vector<int> number;
  if (Simplified)
    build_simplified(g, random.all, number);
  else
    build_plainly(g, random.all, number);
  derivative_check check(random, g, number[at(root)]);
  outcome o = outcome::right;
  for (int k = 0; k < Order && o == outcome::right; ++k) o = check.next();
  return o;
}

}  // namespace

TEST_CASE("a simplified graph has the values of the plain one") {
  for_graphs(3000, 12, 1, simplified);
  for_graphs(1000, 40, 1000001, simplified);
}

TEST_CASE("a graph made again has its values") {
  for_graphs(1000, 12, 1, cleaned);
  for_graphs(300, 40, 1000001, cleaned);
  for_graphs(1000, 16, 1, recomputed);
  for_graphs(300, 40, 1000001, recomputed);
}

TEST_CASE("derivatives are the slopes that differences show") {
  for_graphs(2000, 8, 1, differentiated<false, 1>);
  for_graphs(1000, 16, 1000001, differentiated<false, 1>);
  for_graphs(2000, 8, 1, differentiated<true, 1>);
}

TEST_CASE("second derivatives are the slopes of first ones") {
  for_graphs(1000, 7, 1, differentiated<false, 2>);
  for_graphs(2000, 10, 1000001, differentiated<true, 2>);
}
