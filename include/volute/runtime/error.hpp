// Errors at run time: an exception where there are exceptions, a message and abort where there are none.
#pragma once

#include <volute/core/exceptions.hpp>
#include <volute/core/memory.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>

namespace volute {

/// A tensor that does not fit: what() names it, what was expected and what was found.
struct shape_error : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

inline namespace VOLUTE_ERRORS {

/// Ends what cannot go on: shape_error, or the message on standard error and abort.
[[noreturn]] inline void fail(const std::string& what) {
#if defined(__cpp_exceptions)
  throw shape_error(what);
#else
  std::fprintf(stderr, "volute: %s\n", what.c_str());
  std::abort();
#endif
}

/// The same of a number: "clip_norm: expected at least 0, found -1".
[[noreturn]] inline void fail_number(const char* what, const char* expected, double found) {
  char text[160];
  std::snprintf(text, sizeof text, "%s: expected %s, found %g", what, expected, found);
  fail(text);
}
/// Refuses a number that is not in [least, most], or that is NaN.
inline void require_number(const char* what, const char* expected, double found, double least, double most) {
  if (!(found >= least && found <= most)) fail_number(what, expected, found);
}
/// Refuses a number below 0, or NaN.
inline void require_not_negative(const char* what, double found) {
  require_number(what, "at least 0", found, 0, std::numeric_limits<double>::infinity());
}

/// The same where memory is too small. (One format costs a program less code than strings that are added up.)
[[noreturn]] inline void fail_bytes(const char* what, std::int64_t expected, std::int64_t found) {
  char text[128];
  std::snprintf(text, sizeof text, "%s: expected %lld bytes, found %lld", what, static_cast<long long>(expected),
                static_cast<long long>(found));
  fail(text);
}

/// (Not a sum of strings: g++ 12 sees writes beyond them where it has inlined everything.)
[[noreturn]] inline void fail_alignment(const char* what) {
  char text[160];
  std::snprintf(text, sizeof text, "%s: expected on a cache line of 64 bytes, found between two", what);
  fail(text);
}

/// Throws shape_error if the caller's memory does not begin on a cache line, or is smaller than `bytes`.
inline void require_memory(const char* what, std::span<const std::byte> memory, std::int64_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(memory.data()) % cache_line != 0) fail_alignment(what);
  if (static_cast<std::int64_t>(memory.size()) < bytes) fail_bytes(what, bytes, static_cast<std::int64_t>(memory.size()));
}

}  // namespace VOLUTE_ERRORS

/// "(1, 8, 4, 4, 4)" of anything with size() and operator[].
template <class Shape>
std::string format_shape(const Shape& s) {
  std::string t = "(";
  bool first = true;
  for (auto d : s) {
    if (!first) t += ',';
    t += std::to_string(d);
    first = false;
  }
  return t + ')';
}

}  // namespace volute
