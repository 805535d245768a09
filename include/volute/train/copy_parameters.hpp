// Parameters of one program for another, by their paths.
#pragma once

#include <volute/language/gradient.hpp>
#include <volute/runtime/error.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace volute {
inline namespace VOLUTE_ISA {

/// `to` gets the parameters that `from` has under the same paths. Every parameter of `to` under `path` must be there, in the same shape; if
/// one is not, nothing is copied.
template <class From, class To>
void copy_parameters(From&& from, To&& to, std::string_view path = {}) {
  const auto given = std::as_const(from).parameter_table();
  const auto wanted = to.parameter_table();
  const auto each_pair = [&](const auto& f) {
    for (const auto& mine : wanted)
      if (detail::path_under(mine.path, path))
        f(mine, std::find_if(given.begin(), given.end(), [&](const auto& s) { return s.path == mine.path; }));
  };
  bool any = false;
  each_pair([&](const auto& mine, auto theirs) {
    any = true;
    if (theirs == given.end()) fail("parameter '" + std::string(mine.path) + "': not in the program it is to be copied from");
    if (!(theirs->shape == mine.shape))
      fail("parameter '" + std::string(mine.path) + "': another shape in the program it is to be copied from");
  });
  if (!any) fail("no parameter under '" + std::string(path) + "'");
  each_pair([](const auto& mine, auto theirs) { std::copy_n(theirs->data, mine.shape.size(), mine.data); });
}

}  // namespace VOLUTE_ISA
}  // namespace volute
