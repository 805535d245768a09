// Parameter groups: other rates and other weight decay for some of the parameters, chosen by their paths and shapes.
#pragma once

#include <volute/core/extents.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace volute {

/// Whether a parameter belongs to a group.
using parameter_predicate = std::function<bool(std::string_view path, const extents& shape)>;

/// What is different for the parameters that `where` chooses: groups = {{.where = paths("encoder.*"), .rate = 0.1}}. Where several groups
/// choose a parameter, the last one that says something counts. (torch.optim's param_groups)
struct parameter_group {
  parameter_predicate where{};
  std::optional<double> rate{};          // times the optimiser's, or the schedule's, learning rate; 0: frozen
  std::optional<double> weight_decay{};  // instead of the optimiser's
};

/// Parameters whose path matches a pattern, in which * stands for any characters: paths("encoder.*"), paths("*.bias").
inline parameter_predicate paths(std::string pattern) {
  return [pattern = std::move(pattern)](std::string_view path, const extents&) {
    // The last star takes one character more whenever what follows it does not match.
    std::size_t p = 0, at = 0, star = std::string::npos, from = 0;
    while (at < path.size()) {
      if (p < pattern.size() && pattern[p] == '*')
        star = p++, from = at;
      else if (p < pattern.size() && pattern[p] == path[at])
        ++p, ++at;
      else if (star != std::string::npos)
        p = star + 1, at = ++from;
      else
        return false;
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
  };
}

/// Biases, and the scales and shifts of norms: parameters of at most one axis. groups = {{.where = biases_and_norms, .weight_decay = 0}} is
/// the usual exception from weight decay.
inline bool biases_and_norms(std::string_view, const extents& shape) { return shape.rank <= 1; }

}  // namespace volute
