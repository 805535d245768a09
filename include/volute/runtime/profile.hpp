// Where the time of a program goes, launch by launch. Not part of the umbrella header.
#pragma once

#include <volute/runtime/report.hpp>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <vector>

namespace volute {
inline namespace VOLUTE_ISA {

/// Runs the program `runs` times on bound inputs and lists its launches, the slowest first: least time in microseconds, share of the total,
/// GFLOP/s (nominal; convolutions and products only), GB/s of what the kernel reads and writes besides packed weights, kernel, operation,
/// shape, layer. profile(step, 20, x = batch, labels = t).
template <class Program, class... Node, class... V>
std::string profile(Program& p, int runs, const binding<Node, V>&... b) {
  using facts = typename Program::facts;
  using clock = std::chrono::steady_clock;
  const graph::view& g = facts::graph;
  constexpr int launches = facts::plan::size.launches;
  std::vector<double> least(launches, 1e300);
  for (int r = 0; r < runs; ++r) {
    int last = -1;
    clock::time_point begin{};
    const auto end = [&] {
      if (last >= 0)
        least[static_cast<std::size_t>(last)] =
            std::min(least[static_cast<std::size_t>(last)], std::chrono::duration<double, std::micro>(clock::now() - begin).count());
    };
    p.parameters_changed();  // the prologue too
    p.run_observed(
        [&](int i) {
          end();
          last = i;
          begin = clock::now();
        },
        nullptr, b...);
    end();
  }
  std::vector<int> order(launches);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int i, int k) { return least[static_cast<std::size_t>(i)] > least[static_cast<std::size_t>(k)]; });
  const double total = std::accumulate(least.begin(), least.end(), 0.0);
  std::string s = report::padded("us", 10, true) + report::padded("%", 7, true) + report::padded("GFLOP/s", 10, true) +
                  report::padded("GB/s", 8, true) + "  kernel        operation             shape                   layer\n";
  const auto number = [](double v, int digits) {
    char t[32];
    std::snprintf(t, sizeof t, "%.*f", digits, v);
    return std::string(t);
  };
  for (int i : order) {
    const graph::launch& c = facts::plan::tables.launches[i];
    const graph::kernel_kind kind = facts::plan::tables.kernels[c.kernel].kind;
    const double us = least[static_cast<std::size_t>(i)];
    double flops = 0;
    int node = c.node;  // an epilogue's last node stands for its convolution
    const bool convolves =
        kind == graph::kernel_kind::conv_forward || kind == graph::kernel_kind::conv_data || kind == graph::kernel_kind::conv_weights;
    while (convolves && node >= 0 && !g.is<ops::convolution>(node)) --node;
    if (convolves || kind == graph::kernel_kind::matmul || kind == graph::kernel_kind::attention ||
        kind == graph::kernel_kind::attention_gradient)
      flops = graph::flops_of(g, node);
    double elements = static_cast<double>(g.shape(c.node).size());
    for (int k = 0; k < c.count; ++k)
      for (int v = 0; v < facts::plan::value_count; ++v) {
        const graph::value_info& value = facts::plan::tables.values[v];
        if (value.first < i && value.last >= i && value.at.where == graph::space::arena && value.at == c.in[k]) {
          elements += static_cast<double>(value.size);
          break;
        }
      }
    s += report::padded(number(us, 1), 10, true) + report::padded(number(100 * us / total, 1), 7, true) +
         report::padded(flops > 0 ? number(flops / us * 1e-3, 1) : "", 10, true) +
         report::padded(number(elements * sizeof(typename Program::value_type) / us * 1e-3, 1), 8, true) + "  " +
         report::padded(std::string(graph::kernel_name(kind)), 14) + report::padded(report::node_text(g, c.node), 22) +
         report::padded(report::shape_text(g.shape(c.node)), 24) + report::layer_of(g, c.node) +
         (i < facts::plan::size.prologue ? " (prologue)" : "") + '\n';
  }
  return s + number(total, 1) + " us in " + std::to_string(launches) + " launches\n";
}

}  // namespace VOLUTE_ISA
}  // namespace volute
