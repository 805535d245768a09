// What there is to measure. Every workload is compiled in a translation unit of its own and enters itself here.
#pragma once

#include <volute/core/executor.hpp>
#include <volute/ops/convolution.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>
#include <xsimd/xsimd.hpp>

namespace compare {

using std::int64_t;
using volute::ops::conv_geometry;

/// At the beginning of a cache line, as PyTorch's tensors and volute's own memory are.
using floats = std::vector<float, xsimd::aligned_allocator<float, 64>>;

/// Whether this unit asks for minimal filtering. Each workload is compiled with and without; what depends on that has internal linkage.
#ifdef MINIMAL
static constexpr bool minimal = true;
#else
static constexpr bool minimal = false;
#endif

/// The columns of workloads/conv3d.csv.
[[maybe_unused]] static constexpr conv_geometry geometry_of(int64_t n, int64_t ic, int64_t oc, int64_t groups, int64_t id, int64_t ih, int64_t iw, int64_t kd,
                                    int64_t kh, int64_t kw, int64_t sd, int64_t sh, int64_t sw, int64_t front, int64_t back, int64_t ph,
                                    int64_t pw, int64_t dd, int64_t dh, int64_t dw) {
  conv_geometry g{n, ic, oc, groups, {id, ih, iw}, {}, {kd, kh, kw}, {sd, sh, sw}, {front, ph, pw}, {dd, dh, dw}};
  const int64_t high[]{back, ph, pw};
  for (int a = 0; a < 3; ++a) g.out[a] = (g.in[a] + g.lo[a] + high[a] - g.dilation[a] * (g.kernel[a] - 1) - 1) / g.stride[a] + 1;
#ifdef MINIMAL
  g.filtering = volute::ops::filtering::minimal;
#endif
  return g;
}

struct aligned_free {
  void operator()(float* p) const { ::operator delete (p, std::align_val_t{64}); }
};
/// Uninitialised, at the beginning of a cache line, with a line behind it.
inline std::shared_ptr<float> memory(int64_t elements) {
  return {static_cast<float*>(::operator new (static_cast<std::size_t>(elements + 16) * sizeof(float), std::align_val_t{64})),
          aligned_free{}};
}

enum class pass { forward, data, weights };
inline constexpr const char* pass_names[]{"forward", "backward data", "backward weights"};

/// Volute's kernels for one geometry at the surface a user has: NCDHW in and out, weights packed beforehand. Operands are (x, w), (g, w) or
/// (x, g); the result is y, dx or dw. What is returned makes one pass a call.
struct conv3d_workload {
  std::string name;
  std::string numbers;  // the columns of workloads/conv3d.csv
  conv_geometry geometry;
  std::function<void()> (*prepare)(pass, const float* first, const float* second, float* result);
};

/// A whole model on fixed pseudo-random data.
struct prepared_model {
  std::function<void()> run;
  std::function<double()> check;  // a projection of the results of the last run, to compare with a peer's
  double arena = 0, live = 0;     // bytes: the program's memory besides parameters, inputs and results, and its lower bound
};
struct model_workload {
  std::string name;
  std::string request;   // how peer.py calls it
  double flops;          // useful ones, forward
  double bytes;          // of parameters, inputs and results
  const char* training;  // what the other pass is, or null
  prepared_model (*prepare)(bool training);
};

/// Whom Volute may share its work with; null: nobody.
inline volute::executor*& workers() {
  static volute::executor* e = nullptr;
  return e;
}

/// In the order of the list, whichever unit comes first: those with minimal filtering, or those without.
inline std::map<int, conv3d_workload>& conv3d_workloads(bool with_minimal) {
  static std::map<int, conv3d_workload> all[2];
  return all[with_minimal];
}
inline std::map<std::string, model_workload>& model_workloads(bool with_minimal) {
  static std::map<std::string, model_workload> all[2];
  return all[with_minimal];
}

/// Floating-point operations without the taps that fall on padding.
constexpr double useful_flops(const conv_geometry& g) {
  double flops = 2.0 * static_cast<double>(g.batch * g.out_channels * g.group_in());
  for (int a = 0; a < 3; ++a) {
    int64_t inside = 0;
    for (int64_t q = 0; q < g.out[a]; ++q)
      for (int64_t k = 0; k < g.kernel[a]; ++k) {
        const int64_t i = q * g.stride[a] - g.lo[a] + k * g.dilation[a];
        inside += i >= 0 && i < g.in[a];
      }
    flops *= static_cast<double>(inside);
  }
  return flops;
}

/// Element i of a pseudo-random tensor, in [-0.5, 0.5); peer.py has the same.
constexpr float noise(int64_t i, int seed) {
  auto h = static_cast<std::uint32_t>(i) * 2654435761u + static_cast<std::uint32_t>(seed) * 2246822519u;
  h = (h ^ h >> 15) * 2246822519u;
  h ^= h >> 13;
  return static_cast<float>(h >> 8) / 16777216.0f - 0.5f;
}

}  // namespace compare
