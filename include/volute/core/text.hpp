// Text in the type system: names as template arguments, and messages composed while compiling.
#pragma once

#include <volute/core/extents.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace volute {

/// A string literal as a template argument: `input<"x", 1, 8>`. N counts the terminating zero.
template <std::size_t N>
struct text {
  char data[N]{};
  constexpr text() = default;
  constexpr text(const char (&s)[N]) {
    for (std::size_t i = 0; i < N; ++i) data[i] = s[i];
  }
  constexpr std::string_view view() const { return {data, N - 1}; }
};

/// A line of text composed in constexpr code: numbers, shapes and words. What does not fit (95 characters) is cut, so a name in a full line
/// is none: lowering refuses it (session::limit).
struct line {
  static constexpr int capacity = 95;
  char data[capacity + 1]{};
  int size = 0;

  constexpr line() = default;
  constexpr line(const char* s) { *this << std::string_view(s); }
  constexpr line(std::string_view s) { *this << s; }

  constexpr std::string_view view() const { return {data, static_cast<std::size_t>(size)}; }
  constexpr bool empty() const { return size == 0; }

  constexpr line& operator<<(char c) {
    if (size < capacity) data[size++] = c;
    return *this;
  }
  constexpr line& operator<<(std::string_view s) {
    for (char c : s) *this << c;
    return *this;
  }
  constexpr line& operator<<(const char* s) { return *this << std::string_view(s); }
  constexpr line& operator<<(std::int64_t v) {
    if (v < 0) return *this << '-' << (-v);
    if (v >= 10) *this << (v / 10);
    return *this << static_cast<char>('0' + v % 10);
  }
  constexpr line& operator<<(int v) { return *this << static_cast<std::int64_t>(v); }
  /// With at most six decimals; a magnitude of 10^15 or more is not told.
  constexpr line& operator<<(double v) {
    if (v != v) return *this << "NaN";
    if (v < 0) return *this << '-' << -v;
    if (!(v < 1e15)) return *this << "a huge number";
    std::int64_t whole = static_cast<std::int64_t>(v), millionths = static_cast<std::int64_t>((v - static_cast<double>(whole)) * 1e6 + 0.5);
    if (millionths == 1'000'000) ++whole, millionths = 0;
    *this << whole;
    if (millionths > 0) *this << '.';
    for (std::int64_t place = 100'000; millionths > 0; millionths %= place, place /= 10)
      *this << static_cast<char>('0' + millionths / place);
    return *this;
  }
  constexpr line& operator<<(const extents& e) {
    *this << '(';
    for (int i = 0; i < e.rank; ++i) {
      if (i > 0) *this << ',';
      *this << e[i];
    }
    return *this << ')';
  }
  /// Appends a path component: "3" + "conv1" = "3.conv1".
  constexpr line& append_path(std::string_view component) {
    if (component.empty()) return *this;
    if (size > 0) *this << '.';
    return *this << component;
  }
  friend constexpr bool operator==(const line& a, const line& b) { return a.view() == b.view(); }
};

/// A line as a text of just its length, so that compilers print it without padding. The zero at its end is written like the rest: where it
/// is left to the array's initialisation, clang prints some lengths as numbers.
template <line L>
constexpr auto to_text() {
  text<static_cast<std::size_t>(L.size) + 1> t;
  for (int i = 0; i <= L.size; ++i) t.data[i] = L.data[i];
  return t;
}

}  // namespace volute
