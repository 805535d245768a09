// One line of workloads/conv3d.csv: NAME, INDEX, and its NUMBERS.
#include <volute/kernels/conv3d.hpp>

#include <memory>

#include "workload.hpp"

namespace {

using namespace compare;
namespace kernels = volute::kernels;

constexpr conv_geometry geometry = geometry_of(NUMBERS);

/// Volute's workers, and their scratch memory as a program would give it to them.
struct company {
  explicit company(int64_t each) : memory_(memory(each * (workers() == nullptr ? 1 : workers()->threads()))) {
    if (workers() != nullptr) team = {workers(), memory_.get(), each};
  }
  kernels::team<float> team;

 private:
  std::shared_ptr<float> memory_;
};

std::function<void()> prepare(pass p, const float* first, const float* second, float* result) {
  switch (p) {
    case pass::forward: {
      const auto packed = memory(kernels::conv3d_forward_packed_size<float>(geometry));
      const auto scratch = memory(kernels::conv3d_forward_scratch_size<float>(geometry));
      kernels::conv3d_pack_forward<float, geometry>::run(second, packed.get());
      const company c(kernels::conv3d_worker_size<float>(geometry, kernels::conv_side::forward));
      return [=] { kernels::conv3d_forward<float, geometry>::run(first, packed.get(), result, nullptr, nullptr, scratch.get(), c.team); };
    }
    case pass::data: {
      const auto packed = memory(kernels::conv3d_backward_data_packed_size<float>(geometry));
      const auto scratch = memory(kernels::conv3d_backward_data_scratch_size<float>(geometry));
      kernels::conv3d_pack_backward_data<float, geometry>::run(second, packed.get());
      const company c(kernels::conv3d_worker_size<float>(geometry, kernels::conv_side::backward));
      return [=] {
        kernels::conv3d_backward_data<float, geometry>::run(first, packed.get(), result, nullptr, nullptr, scratch.get(), c.team);
      };
    }
    default: {
      const auto scratch = memory(kernels::conv3d_backward_weights_scratch_size<float>(geometry));
      const company c(kernels::conv3d_backward_weights_worker_size<float>(geometry));
      return [=] { kernels::conv3d_backward_weights<float, geometry>::run(first, second, result, scratch.get(), c.team); };
    }
  }
}

#define TEXT(...) #__VA_ARGS__
#define EXPANDED_TEXT(...) TEXT(__VA_ARGS__)
const bool entered = conv3d_workloads(minimal).emplace(INDEX, conv3d_workload{NAME, EXPANDED_TEXT(NUMBERS), geometry, prepare}).second;

}  // namespace
