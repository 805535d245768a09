// Runs an exported network on numbers from a formula (formula.py has the same) and compares it with what PyTorch computed.
#pragma once

#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace export_check {

inline void uniform(std::string_view path, std::span<float> out, double bound) {
  volute::runtime::initialize(out.data(), static_cast<std::int64_t>(out.size()), volute::initializer::uniform, bound, 0, path);
}

inline void fill_parameter(std::string_view path, const volute::extents& shape, std::span<float> out) {
  const std::string_view last = path.substr(path.rfind('.') + 1);
  const bool vector = shape.rank <= 1, shift = last == "bias" || last == "running_mean", variance = last == "running_var";
  uniform(path, out, !vector ? std::sqrt(3.0 * static_cast<double>(shape[0]) / static_cast<double>(shape.size())) : shift ? 0.1 : variance ? 0.3 : 0.25);
  if (vector && !shift)
    for (float& v : out) v += variance ? 1.f : 0.75f;
}

struct given {
  const char* name;
  std::size_t size;
  bool whole;
};
struct expected {
  std::size_t size;
  double largest, mean_size;  // of the finite numbers
  std::vector<float> values;  // at places (i * 2654435761 + 12345) % size
};

/// Parameters from the formula, and the constants that the exporter folded from their file; false if that does not fit.
template <class Model>
bool fill(Model& m, const char* folded) {
  for (const auto& p : m.parameter_table()) {
    const std::string_view path = p.path, last = path.substr(path.rfind('.') + 1);
    const std::span<float> data(p.data, static_cast<std::size_t>(p.shape.size()));
    if (p.learned || last == "running_mean" || last == "running_var")
      fill_parameter(path, p.shape, data);
  }
  if (*folded) {
    const auto r = volute::try_load(m, std::string(folded), volute::load_options{.allow_missing = true});
    if (!r) return std::printf("%s\n", r.message().c_str()), false;
  }
  m.parameters_changed();
  return true;
}

inline std::vector<float> values(const given& g) {
  std::vector<float> v(g.size);
  if (g.whole)
    for (std::size_t i = 0; i < g.size; ++i) v[i] = static_cast<float>(i % 3);
  else
    uniform(std::string("input.") + g.name, v, std::sqrt(3.0));
  return v;
}

/// 0 if all results are within `bound` of the largest number, 1 otherwise, 2 if the files do not fit.
template <class Model>
int compare(const char* folded, std::initializer_list<given> inputs, std::initializer_list<expected> results, double bound, int runs) {
  Model m;
  if (!fill(m, folded)) return 2;
  std::vector<std::vector<float>> in, out;
  std::vector<const float*> from;
  std::vector<float*> to;
  for (const given& g : inputs) in.push_back(values(g));
  for (const expected& e : results) out.emplace_back(e.size);
  for (const auto& v : in) from.push_back(v.data());
  for (auto& v : out) to.push_back(v.data());
  double best = 1e30;  // milliseconds
  for (int run = 0; run < runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    if constexpr (requires { m.run(from.data(), to[0]); })
      m.run(from.data(), to[0]);
    else
      m.run(from.data(), to.data());
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  double worst = 0;
  std::size_t k = 0;
  for (const expected& e : results) {
    const auto& got = out[k++];
    double sizes = 0, finite = 0, error = 0;
    for (float v : got)
      if (std::isfinite(v)) sizes += std::abs(static_cast<double>(v)), ++finite;
    for (std::size_t i = 0; i < e.values.size(); ++i) {
      const float v = got[(i * 2654435761u + 12345) % e.size];
      if (v == e.values[i] || (std::isnan(v) && std::isnan(e.values[i]))) continue;
      const double d = std::abs(static_cast<double>(v) - static_cast<double>(e.values[i]));
      error = d > error || d != d ? d : error;
    }
    const double mean = std::abs(sizes / finite - e.mean_size);
    error = mean > error || mean != mean ? mean : error;
    const double relative = error == 0 ? 0 : error / e.largest;
    std::printf("result %zu: %zu numbers, largest %.4g, error %.2e of it\n", k - 1, e.size, e.largest, relative);
    worst = relative > worst || relative != relative ? relative : worst;
  }
  std::printf("error %.2e, %.3f ms\n", worst, best);
  return worst <= bound ? 0 : 1;
}

/// Trains on the inputs and on labels from a formula, and follows PyTorch's losses: 0 if each is within 1e-4 of its own size.
template <class Trainer>
int train(const char* folded, double lr, std::initializer_list<given> inputs, std::size_t labels, std::size_t classes,
          std::initializer_list<double> losses) {
  Trainer t;
  t.optimiser.lr = lr;
  if (!fill(t, folded)) return 2;
  std::vector<float> label(labels);
  for (std::size_t i = 0; i < labels; ++i) label[i] = static_cast<float>(i / 5 % classes);
  std::vector<std::vector<float>> in;
  const float* from[Trainer::facts::graph.size.inputs]{};
  for (const given& g : inputs) in.push_back(values(g));
  for (int i = 0; i < Trainer::facts::graph.size.inputs; ++i) {
    const std::string_view name = Trainer::facts::graph.inputs[i].name.view();
    std::size_t k = 0;
    for (const given& g : inputs) {
      if (name == g.name) from[i] = in[k].data();
      ++k;
    }
    if (name == "labels") from[i] = label.data();
  }
  double worst = 0;
  for (const double expected : losses) {
    const double d = std::abs(static_cast<double>(t.step(from)) / expected - 1);
    worst = d > worst || d != d ? d : worst;
  }
  std::printf("%zu steps of training: largest relative difference of a loss %.2e\n", losses.size(), worst);
  return worst < 1e-4 ? 0 : 1;
}

}  // namespace export_check
