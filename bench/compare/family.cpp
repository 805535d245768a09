// One convolution, computed by every family that can: NAME, and its NUMBERS as a line of workloads/conv3d.csv has them. See ../families.
#include <volute/kernels/conv3d.hpp>

#include <utility>

#include "family.hpp"

namespace {

using namespace compare;
namespace kernels = volute::kernels;
using kernels::conv_family;
using kernels::conv_side;
using kernels::weights_family;

constexpr conv_geometry geometry = geometry_of(NUMBERS);  // asks for minimal filtering in a build with -DMINIMAL
constexpr conv_geometry canonical = kernels::canonical(geometry);
#ifdef MINIMAL
constexpr bool minimal = true;
#else
constexpr bool minimal = false;
#endif
constexpr conv_geometry direct = [] {
  conv_geometry g = canonical;
  g.filtering = volute::ops::filtering::direct;
  return g;
}();
/// All families that can; or, with MINIMAL, that one and the one that is chosen without it.
constexpr bool enters(conv_family f, conv_side side) {
  return kernels::possible<float>(f, {canonical, side}) &&
         (!minimal || f == conv_family::minimal || f == kernels::cheapest<float, conv_family>({direct, side}));
}
constexpr bool enters(weights_family f) {
  return kernels::possible<float>(f, canonical) &&
         (!minimal || f == weights_family::minimal || f == kernels::cheapest<float, weights_family>(direct));
}

std::shared_ptr<float> numbers(int64_t n) {
  auto p = memory(n);
  for (int64_t i = 0; i < n; ++i) p.get()[i] = noise(i, 1);
  return p;
}

template <conv_side Side, conv_family Family>
void enter() {
  if constexpr (enters(Family, Side)) {
    contender c{NAME, Side == conv_side::forward ? "forward" : "data", kernels::family_name(Family), {}};
    c.prepare = [] {
      const auto facts = kernels::conv3d_facts<float>(geometry, Side, Family);
      const bool forward = Side == conv_side::forward;
      const auto source = numbers(forward ? geometry.x_size() : geometry.y_size()), w = numbers(geometry.w_size());
      const auto target = memory(forward ? geometry.y_size() : geometry.x_size());
      const auto packed = memory(facts.packed), scratch = memory(facts.scratch);
      kernels::conv3d_pack<float, geometry, Side, Family>::run(w.get(), packed.get());
      return [=] {
        kernels::conv3d_correlate<float, geometry, Side, {}, false, {}, Family>::run(source.get(), packed.get(), target.get(), nullptr,
                                                                                     nullptr, scratch.get());
      };
    };
    contenders().push_back(c);
  }
}
template <weights_family Family>
void enter() {
  if constexpr (enters(Family)) {
    contender c{NAME, "weights", kernels::family_name(Family), {}};
    c.prepare = [] {
      const auto x = numbers(geometry.x_size()), g = numbers(geometry.y_size()), dw = memory(geometry.w_size());
      const auto scratch = memory(kernels::conv3d_weights_facts<float>(geometry, Family).scratch);
      return [=] { kernels::conv3d_backward_weights<float, geometry, {}, Family>::run(x.get(), g.get(), dw.get(), scratch.get()); };
    };
    contenders().push_back(c);
  }
}

const bool entered = [] {
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (enter<conv_side::forward, static_cast<conv_family>(I)>(), ...);
    (enter<conv_side::backward, static_cast<conv_family>(I)>(), ...);
  }
  (std::make_integer_sequence<int, kernels::conv_families>{});
  [&]<int... I>(std::integer_sequence<int, I...>) { (enter<static_cast<weights_family>(I)>(), ...); }
  (std::make_integer_sequence<int, kernels::weights_families>{});
  return true;
}();

}  // namespace
