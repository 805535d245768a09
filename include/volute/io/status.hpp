// What the readers and writers of files give back: a value, or what went wrong. There is one implementation, which throws nothing, and it
// has two doors: try_load returns what it says, load throws it (or, without exceptions, ends as fail() does).
#pragma once

#include <volute/runtime/error.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace volute {

/// A file that cannot be read or written, or is not what its format says: what() begins with its path.
struct file_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Which exception the other door throws: file_error, or shape_error for a good file that does not fit.
enum class error_kind : unsigned char { none, file, shape };

/// Success, or what went wrong: `if (const status s = try_save(m, path); !s) puts(s.message().c_str())`.
class [[nodiscard]] status {
 public:
  status() = default;
  status(error_kind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  /// Whether it is a success, and what kind of failure it is otherwise.
  bool ok() const noexcept { return kind_ == error_kind::none; }
  explicit operator bool() const noexcept { return ok(); }
  error_kind kind() const noexcept { return kind_; }
  /// What was expected and what was found; empty if ok().
  const std::string& message() const noexcept { return message_; }

 private:
  error_kind kind_ = error_kind::none;
  std::string message_;
};

/// A value if ok(), or what went wrong: `if (const auto r = try_load(m, path)) use(r->missing)`. `*` and `->` are for what is ok().
template <class T>
class [[nodiscard]] result : public status {
 public:
  result(T value) : value_(std::move(value)) {}
  result(status s) : status(std::move(s)) {}

  /// The value of a success; asking a failure for it is a mistake that nothing catches.
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return *std::move(value_); }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }

 private:
  std::optional<T> value_;
};

namespace io {

/// A failure of each kind.
inline status file_failure(std::string message) { return {error_kind::file, std::move(message)}; }
inline status shape_failure(std::string message) { return {error_kind::shape, std::move(message)}; }

inline namespace VOLUTE_ERRORS {

/// The door that throws.
inline void demand(const status& s) {
  if (s.ok()) return;
#if defined(__cpp_exceptions)
  if (s.kind() == error_kind::file) throw file_error(s.message());
#endif
  fail(s.message());
}
/// The value, or the door that throws.
template <class T>
T demand(result<T> r) {
  demand(static_cast<const status&>(r));
  return *std::move(r);
}

}  // namespace VOLUTE_ERRORS
}  // namespace io
}  // namespace volute
