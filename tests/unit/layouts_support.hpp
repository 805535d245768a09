// Which values of a program lie in blocks of channels, and which of its convolutions ask for that.
#pragma once

#include <volute/volute.hpp>

namespace layouts {

namespace graph = volute::graph;

/// Launches of a program whose kernels `are`(kernel).
template <class Program, class F>
constexpr int launches_that(F are) {
  using plan = typename Program::facts::plan;
  int n = 0;
  for (int i = 0; i < plan::size.launches; ++i) n += are(plan::tables.kernels[plan::tables.launches[i].kernel]);
  return n;
}

/// Convolutions that write blocks.
template <class Program>
constexpr int blocked_values() {
  return launches_that<Program>([](const graph::kernel_spec& k) { return graph::convolves(k.kind) && k.target >= 0; });
}

/// Elementwise programs, reductions or poolings that read blocks.
template <class Program>
constexpr int blocked_maps(graph::kernel_kind kind) {
  return launches_that<Program>([kind](const graph::kernel_spec& k) { return k.kind == kind && k.source >= 0; });
}

/// Convolutions that want in blocks what another launch makes, by the families that are chosen for the instruction set at hand: NEON's
/// `flat` reads NCDHW where those of x86 take blocks. It is these families that a test of layouts asks, not a name of an instruction set.
template <class Program>
constexpr int wishes() {
  using plan = typename Program::facts::plan;
  constexpr graph::kernel_facts facts = volute::lowering::facts_of_kernels<typename Program::value_type>();
  int n = 0;
  for (int i = 0; i < plan::size.launches; ++i) {
    const graph::launch& l = plan::tables.launches[i];
    const graph::kernel_spec& k = plan::tables.kernels[l.kernel];
    if (!graph::convolves(k.kind) || l.in[0].where != graph::space::arena) continue;
    n += facts.of(plan::tables.convolutions[k.geometry], graph::face_of(k.kind)).source.blocked();
  }
  return n;
}

}  // namespace layouts
