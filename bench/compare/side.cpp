// One of two libraries that turns.cpp compares: all workloads that are linked in, as functions to call.
#include <memory>
#include <utility>

#include "workload.hpp"

using namespace compare;

namespace {
std::shared_ptr<floats> tensor(int64_t n, int seed) {
  const auto v = std::make_shared<floats>(static_cast<std::size_t>(n));
  for (int64_t i = 0; i < n; ++i) (*v)[static_cast<std::size_t>(i)] = noise(i, seed);
  return v;
}
}  // namespace

/// add(context, name, one run) for each; `threads` workers for each library.
extern "C" __attribute__((visibility("default"))) void enter_workloads(int threads, void (*add)(void*, std::string, std::function<void()>),
                                                                       void* context) {
  if (threads > 1) workers() = new volute::spinning_pool(threads);
  for (const auto& [index, w] : conv3d_workloads(minimal))
    for (const pass p : {pass::forward, pass::data, pass::weights}) {
      const auto& g = w.geometry;
      const int64_t first = p == pass::data ? g.y_size() : g.x_size(), second = p == pass::weights ? g.y_size() : g.w_size();
      const auto a = tensor(first, 1), b = tensor(second, 2);
      const auto c = tensor(p == pass::forward ? g.y_size() : p == pass::data ? g.x_size() : g.w_size(), 3);
      const auto run = w.prepare(p, a->data(), b->data(), c->data());
      add(context, w.name + "/" + pass_names[static_cast<int>(p)], [a, b, c, run] { run(); });
    }
  for (const auto& [order, m] : model_workloads(minimal))
    for (const bool trained : {false, true})
      if (!trained || m.training != nullptr) add(context, m.name + "/" + (trained ? m.training : "forward"), m.prepare(trained).run);
}
