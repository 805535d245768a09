// Names of tensors and parameters: which ones an option means, and which of those that are there is the nearest to one that is not.
#pragma once

#include <volute/io/file.hpp>

#include <functional>

namespace volute::io {

/// All names, none, or those for which a callable is true: `.allow_missing = true`, `.ignore = [](std::string_view name) { ... }`.
class names {
 public:
  names() = default;
  names(std::same_as<bool> auto all) : all_(all) {}  // no pointer is meant
  template <class F>
  requires std::is_invocable_r_v<bool, F&, std::string_view> names(F has) : has_(std::move(has)) {}

  bool operator()(std::string_view name) const { return has_ ? has_(name) : all_; }

 private:
  bool all_ = false;
  std::function<bool(std::string_view)> has_;
};

/// How many characters of the longer name are left between what two names share at their beginnings and at their ends.
constexpr std::size_t distance(std::string_view a, std::string_view b) {
  if (a.size() < b.size()) return distance(b, a);
  std::size_t begin = 0, end = 0;
  while (begin < b.size() && a[begin] == b[begin]) ++begin;
  while (end < b.size() - begin && a[a.size() - 1 - end] == b[b.size() - 1 - end]) ++end;
  return a.size() - begin - end;
}

/// "; nearest are 'a', 'b' and 'c'": up to three names, the nearest first. Empty if there are none.
inline std::string nearest(std::string_view wanted, const std::vector<std::string_view>& there) {
  constexpr std::size_t most = 3;
  std::vector<std::pair<std::size_t, std::string_view>> best;
  for (const std::string_view name : there) {
    const std::size_t d = distance(wanted, name);
    if (best.size() == most && d >= best.back().first) continue;
    if (best.size() == most) best.pop_back();
    const auto place = std::find_if(best.begin(), best.end(), [&](const auto& b) { return d < b.first; });
    best.insert(place, {d, name});
  }
  std::string text;
  for (std::size_t i = 0; i < best.size(); ++i)
    text.append(i == 0                ? (best.size() == 1 ? "; nearest is " : "; nearest are ")
                : i + 1 < best.size() ? ", "
                                      : " and ")
        .append(shown(best[i].second));
  return text;
}

}  // namespace volute::io
