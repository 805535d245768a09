// Fusion, layouts and memory, at run time on thousands of random graphs: what the planned launches compute, run on memory that knows whose
// numbers it holds, is what the graph says. A failure prints the seed, the graph and what went wrong.
#include "graph_launches.hpp"
#include "graph_random.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <iterator>

namespace {

using namespace graph_test;

/// What the plans of a test contained, to see that it tried everything.
struct census {
  int kernels[static_cast<int>(graph::kernel_kind::room) + 1]{}, access[4]{};
  int blocked_source = 0, blocked_target = 0, blocked_sum = 0, blocked_pool = 0, blocked_part = 0, linked = 0, scaled = 0, in_place = 0,
      views = 0, kept = 0, wide = 0;

  void count(const graph::planner& p) {
    for (const graph::step& s : p.steps) {
      const graph::kernel_spec& k = p.kernels[s.call.kernel];
      ++kernels[static_cast<int>(k.kind)];
      blocked_source += k.source >= 0, blocked_target += k.target >= 0;
      scaled += graph::convolves(k.kind) && k.first;
      blocked_part += k.target >= 0 && (s.out_offset > 0 || p.values[s.out].size != p.layouts[k.target].size());
      blocked_pool += (k.kind == graph::kernel_kind::max_pool || k.kind == graph::kernel_kind::avg_pool) && k.source >= 0;
      linked += graph::convolves(k.kind) && k.second;
      blocked_sum += k.kind == graph::kernel_kind::reduce && k.source >= 0;
      kept += s.invariant;
      views += s.out_offset > 0 && k.kind != graph::kernel_kind::copy;
      if (k.program >= 0) wide += p.programs[k.program].inputs == ops::max_program_inputs;
      for (int i = 1; graph::convolves(k.kind) && k.program >= 0 && i < p.programs[k.program].inputs; ++i)
        ++access[(k.lanes >> (2 * i)) & 3];
      for (int i = 0; i < s.call.count; ++i) in_place += s.in[i] != s.out && s.call.in[i] == s.call.out;
    }
  }
  bool complete() const {
    return std::all_of(std::begin(kernels), std::end(kernels), [](int n) { return n > 0; }) &&
           std::all_of(std::begin(access), std::end(access), [](int n) { return n > 0; }) && blocked_source > 0 && blocked_target > 0 &&
           blocked_sum > 0 && blocked_pool > 0 && blocked_part > 0 && linked > 0 && scaled > 0 && in_place > 0 && views > 0 && kept > 0 &&
           wide > 0;
  }
} seen;

/// A graph with its results, as the planner takes it.
struct planned_graph {
  graph::contractor g;
  items made;
  std::vector<int> outputs;
  std::vector<graph::input_info> inputs;
  std::vector<graph::parameter_info> parameters;

  graph::view view() const {
    const graph::graph_size size{g.nodes.size,
                                 g.operands.size,
                                 g.shapes.size,
                                 g.attributes.size,
                                 static_cast<int>(inputs.size()),
                                 static_cast<int>(parameters.size()),
                                 static_cast<int>(outputs.size()),
                                 0,
                                 0};
    return {g.nodes.data,   g.operands.data, g.shapes.data, g.attributes.data, inputs.data(), parameters.data(),
            outputs.data(), nullptr,         size,          g.nodes.size};
  }
};

/// The first complaint about the plan of some results of this graph; "" if there is none, "?" if the graph's values are made of rounding.
std::string complaint(std::uint64_t seed, int size, bool derivatives, std::string& description) {
  random_graph random(seed, size);
  planned_graph p;
  std::vector<int> number;
  graph::contractor with_barriers;
  if (random.r.below(3) == 0)
    build_plainly(with_barriers, random.all, number);
  else
    build_simplified(with_barriers, random.all, number);
  p.outputs.push_back(number.back());
  for (std::int64_t n = random.r.below(3); n > 0; --n) p.outputs.push_back(number[at(random.any())]);
  if (random.r.below(8) == 0) p.outputs.push_back(p.outputs.back());
  if (derivatives) {
    std::vector<int> wrt, result;
    for (std::size_t i = 0; i < random.all.size(); ++i)
      if (random.all[i].is<ops::input>() || random.all[i].is<ops::parameter>()) wrt.push_back(number[i]);
    result.resize(wrt.size());
    graph::contractor& g = with_barriers;
    graph::differentiate(g, number.back(), g.fill(1, g.shape(number.back())), wrt.data(), static_cast<int>(wrt.size()), result.data());
    p.outputs.insert(p.outputs.end(), result.begin(), result.end());
  }
  buffer<int> moved(with_barriers.nodes.size + 1, 0);
  graph::rebuild(p.g, with_barriers, p.outputs.data(), static_cast<int>(p.outputs.size()), moved);
  p.made = items_of(p.g);

  for (const tensor& t : random.given.inputs) p.inputs.push_back({{}, t.shape, 0});
  std::int64_t offset = 0;
  for (const tensor& t : random.given.parameters) {
    graph::parameter_info info;
    info.shape = t.shape, info.offset = offset;
    info.update = random.r.below(8) == 0 ? 0 : -1;  // a state: another number in the next run
    p.parameters.push_back(info);
    offset += graph::whole_lines(t.shape.size());
  }
  const bool hoists = random.r.below(2) == 0;
  const graph::view view = p.view();
  const graph::planner plan(view, {some_facts, some_scratch, some_attention}, hoists);

  seen.count(plan);
  description.clear();
  for (const int o : p.outputs) description += "result " + std::to_string(o) + "\n";
  for (const int o : p.outputs) description += describe(p.made, o) + "\n";
  leaves given = random.given;
  machine m(plan, given);
  for (int runs = 0; runs < 2; ++runs) {
    m.run(runs == 0);
    if (!m.complaints.empty()) return m.complaints[0];
    const auto value = evaluation{given}(p.made, p.outputs);
    for (std::size_t k = 0; k < p.outputs.size(); ++k) {
      const tensor& wanted = value[at(p.outputs[k])];
      if (!std::isfinite(largest(wanted))) return "?";
      if (difference(m.outputs[k], wanted) < 1e-9) continue;
      for (std::uint64_t s = 0; s < 8; ++s) {
        numbers noise(s);
        if (!(difference(evaluation{given, nullptr, &noise}(p.made, {p.outputs[k]})[at(p.outputs[k])], wanted) < 1e-10)) return "?";
      }
      return "run " + std::to_string(runs) + ", result " + std::to_string(k) + " differs";
    }
    // Another run, with other inputs, states and random numbers: what is kept must not be touched by the first one.
    given.run = 1;
    for (tensor& t : given.inputs)
      for (double& v : t.v) v = 0.9 * v + 0.05;
    for (std::size_t i = 0; i < given.parameters.size(); ++i)
      if (p.parameters[i].update >= 0)
        for (double& v : given.parameters[i].v) v = 0.9 * v + 0.05;
  }
  return "";
}

void for_graphs(int count, int size, std::uint64_t first, bool derivatives) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  count /= 2;  // 25 s for 53 s; a step outside its memory is outside in every graph of its kind
#endif
#endif
  int unsure = 0;
  std::string description;
  for (std::uint64_t seed = first; seed < first + static_cast<std::uint64_t>(count); ++seed) {
    const std::string c = complaint(seed, size, derivatives, description);
    unsure += c == "?";
    if (c.empty() || c == "?") continue;
    for (int smaller = 1; smaller < size; ++smaller)  // the same seed grows the same graph, as far as it goes
      if (const std::string d = complaint(seed, smaller, derivatives, description); !d.empty() && d != "?")
        FAIL("seed " << seed << ", size " << smaller << ": " << d << "\n" << description);
    complaint(seed, size, derivatives, description);
    FAIL("seed " << seed << ", size " << size << ": " << c << "\n" << description);
  }
  INFO(unsure << " of " << count << " graphs had no steady value");
  CHECK(10 * unsure < count);
}

}  // namespace

// One case: what was tried is counted over all of them.
TEST_CASE("a plan computes what its graph says, and so with derivatives") {
  for_graphs(1000, 6, 1, false);
  for_graphs(1500, 14, 1000001, false);
  for_graphs(500, 40, 2000001, false);
  for_graphs(1000, 8, 3000001, true);
  for_graphs(500, 20, 4000001, true);
  INFO("blocked sources, targets, sums, pools, parts, linked convolutions: " << seen.blocked_source << " " << seen.blocked_target << " "
                                                                             << seen.blocked_sum << " " << seen.blocked_pool << " "
                                                                             << seen.blocked_part << " " << seen.linked);
  CHECK(seen.complete());
}
