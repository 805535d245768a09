// A Volute program on pseudo-random inputs and parameters, the same as in peer.py.
#pragma once

#include <volute/volute.hpp>

#include <cmath>
#include <memory>
#include <vector>

#include "workload.hpp"

namespace compare {

/// A result whose convolutions are computed as this build's are: -DMINIMAL asks for minimal filtering.
template <volute::expression E>
static constexpr auto filtered(E e) {
#ifdef MINIMAL
  return volute::minimal_filtering(e);
#else
  return e;
#endif
}

/// torch.optim.Adam with its defaults.
class optimiser {
 public:
  void operator()(std::span<float> p, std::span<const float> g) {
    moments_.resize(2 * p.size() + 16);
    volute::kernels::update_blocks<float, 2> b;
    b.parameters = p.data(), b.gradients = g.data();
    b.state[0] = moments_.data(), b.state[1] = moments_.data() + p.size();
    volute::kernels::team<float> team;
    team.workers = workers();
    volute::kernels::update<2>(volute::adam{}.rule<float>(step_++), b, static_cast<int64_t>(p.size()), team);
  }

 private:
  floats moments_;
  std::int64_t step_ = 0;
};

enum class training { none, gradients, adam };

/// `inputs[i]` fills input i. Training runs forget what was worked out from the parameters, as after a step of an optimiser.
template <class Program>
class runner {
 public:
  using facts = typename Program::facts;

  runner(training how, std::vector<floats> inputs) : how_(how), inputs_(std::move(inputs)) {
    if (workers() != nullptr) p_.use(*workers());
    int seed = 0;
    for (const auto& entry : p_.parameter_table()) {
      if (!entry.learned) continue;  // running statistics stay as they begin
      const int64_t size = entry.shape.size();
      const float scale = entry.shape.rank == 1
                              ? 1.0f
                              : static_cast<float>(std::sqrt(12.0 * static_cast<double>(entry.shape[0]) / static_cast<double>(size)));
      for (int64_t i = 0; i < size; ++i) entry.data[i] = noise(i, seed) * scale;
      ++seed;
    }
    for (int i = 0; i < facts::graph.size.outputs; ++i) results_.push_back(p_.output_data(i));
    for (const auto& input : inputs_) pointers_.push_back(input.data());
  }

  void run() {
    if (how_ == training::gradients) p_.parameters_changed();
    p_.run(pointers_.data(), results_.data());
    if constexpr (requires { p_.gradient_values(); })
      if (how_ == training::adam) optimiser_(p_.parameter_values(), p_.gradient_values());
  }

  double check() const {
    double sum = 0;
    for (int k = 0; k < facts::graph.size.outputs - facts::graph.size.updates; ++k)  // without the new running statistics
      for (int64_t i = 0; i < facts::graph.shape(facts::graph.outputs[k]).size(); ++i)
        sum += static_cast<double>(results_[static_cast<std::size_t>(k)][i]) * static_cast<double>(noise(i, 1000 + k));
    return sum;
  }

 private:
  training how_;
  Program p_;
  optimiser optimiser_;
  std::vector<floats> inputs_;
  std::vector<const float*> pointers_;
  std::vector<float*> results_;
};

template <class Program>
prepared_model prepare_program(training how, std::vector<floats> inputs) {
  const auto r = std::make_shared<runner<Program>>(how, std::move(inputs));
  return {[r] { r->run(); }, [r] { return r->check(); }, Program::facts::arena_bytes, Program::facts::live_bytes};
}

/// Pseudo-random values for input `i` of a model.
inline floats noise_for(int i, int64_t size) {
  floats v(static_cast<std::size_t>(size));
  for (int64_t k = 0; k < size; ++k) v[static_cast<std::size_t>(k)] = noise(k, 100 + i);
  return v;
}

}  // namespace compare
