// Catch2 3 behind the name that Catch2 2 has; the tests are written for that.
#pragma once

#include <catch2/catch_all.hpp>

#include <string>

using Catch::Approx;

namespace Catch {
/// Of texts, where Catch::Matchers::Contains is of elements by now.
inline auto Contains(const std::string& part) { return Matchers::ContainsSubstring(part); }
}  // namespace Catch
