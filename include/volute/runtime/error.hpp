// Errors at run time: an exception where there are exceptions, a message and abort where there are none.
#pragma once

#include <volute/core/exceptions.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

/// The same where memory is too small. (One format costs a program less code than strings that are added up.)
[[noreturn]] inline void fail_bytes(const char* what, std::int64_t expected, std::int64_t found) {
  char text[128];
  std::snprintf(text, sizeof text, "%s: expected %lld bytes, found %lld", what, static_cast<long long>(expected),
                static_cast<long long>(found));
  fail(text);
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
