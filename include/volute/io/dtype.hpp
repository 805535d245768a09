// The element types of files, and how they become the program's.
#pragma once

#include <volute/core/extents.hpp>
#include <volute/io/file.hpp>
#include <volute/runtime/error.hpp>

#include <bit>
#include <charconv>
#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

namespace volute::io {

static_assert(std::endian::native == std::endian::little, "volute/io: files are little-endian, and so must be the machine");
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

/// The element types of the safetensors format that have whole bytes, in its order.
enum class dtype : std::uint8_t { boolean, u8, i8, f8_e5m2, f8_e4m3, f8_e8m0, i16, u16, f16, bf16, i32, u32, f32, c64, f64, i64, u64 };
/// The name of an element type in the format, and its bytes.
struct dtype_row {
  std::string_view name;
  std::uint64_t bytes;
};
inline constexpr dtype_row dtype_rows[]{{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
                                        {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
                                        {"F32", 4},  {"C64", 8}, {"F64", 8}, {"I64", 8},     {"U64", 8}};

/// Name and bytes of an element type, and the type of a name, if there is one.
constexpr std::string_view name_of(dtype t) { return dtype_rows[static_cast<std::size_t>(t)].name; }
constexpr std::uint64_t bytes_of(dtype t) { return dtype_rows[static_cast<std::size_t>(t)].bytes; }
constexpr std::optional<dtype> find_dtype(std::string_view name) {
  for (std::size_t i = 0; i < std::size(dtype_rows); ++i)
    if (dtype_rows[i].name == name) return static_cast<dtype>(i);
  return {};
}

/// A C++ type that files have.
template <class T>
concept storable =
    std::is_arithmetic_v<T> && !std::same_as<T, bool> && !std::same_as<T, long double> && std::same_as<T, std::remove_cv_t<T>>;

/// The element type of a C++ type.
template <storable T>
constexpr dtype dtype_of() {
  if constexpr (std::is_floating_point_v<T>)
    return sizeof(T) == 4 ? dtype::f32 : dtype::f64;
  else if constexpr (std::is_signed_v<T>)
    return sizeof(T) == 1 ? dtype::i8 : sizeof(T) == 2 ? dtype::i16 : sizeof(T) == 4 ? dtype::i32 : dtype::i64;
  else
    return sizeof(T) == 1 ? dtype::u8 : sizeof(T) == 2 ? dtype::u16 : sizeof(T) == 4 ? dtype::u32 : dtype::u64;
}

/// Eight-bit floats and complex numbers are not read.
constexpr bool is_number(dtype t) { return t != dtype::f8_e5m2 && t != dtype::f8_e4m3 && t != dtype::f8_e8m0 && t != dtype::c64; }

/// Whether every number of `from` is one of T's, so that none needs to be looked at.
template <storable T>
constexpr bool holds(dtype from) {
  const int digits = std::numeric_limits<T>::digits;
  const auto integer = [&](int bits, bool sign) { return bits <= digits && (!sign || std::is_signed_v<T>); };
  const auto real = [&](std::size_t bytes) { return std::is_floating_point_v<T> && sizeof(T) >= bytes; };
  switch (from) {
    case dtype::boolean:
      return true;
    case dtype::u8:
      return integer(8, false);
    case dtype::i8:
      return integer(7, true);
    case dtype::u16:
      return integer(16, false);
    case dtype::i16:
      return integer(15, true);
    case dtype::u32:
      return integer(32, false);
    case dtype::i32:
      return integer(31, true);
    case dtype::u64:
      return integer(64, false);
    case dtype::i64:
      return integer(63, true);
    case dtype::f16:
    case dtype::bf16:
    case dtype::f32:
      return real(4);
    case dtype::f64:
      return real(8);
    default:
      return false;
  }
}

/// A half-precision number (IEEE 754 binary16) from its bits, exactly.
constexpr float from_half(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3FF;
  if (exponent == 0) {  // zero and what is below 2^-14, in steps of 2^-24
    const float size = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -size : size;
  }
  return std::bit_cast<float>(sign | ((exponent == 31 ? 255 : exponent + 112) << 23) | (fraction << 13));
}
/// A bfloat16 number from its bits: the upper half of a float.
constexpr float from_bfloat(std::uint16_t b) { return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16); }

/// f(i, v) for each number v of those whose bytes (at any address) are `from`, until it returns false; whether it never did.
template <class F>
bool for_numbers(dtype type, std::span<const std::byte> from, F f) {
  const auto each = [&]<class From>(From, auto function) {
    for (std::size_t i = 0; i < from.size() / sizeof(From); ++i) {
      From v;
      std::memcpy(&v, from.data() + i * sizeof(From), sizeof(From));
      if (!f(i, function(v))) return false;
    }
    return true;
  };
  const auto same = [](auto v) { return v; };
  switch (type) {
    case dtype::boolean:
      return each(std::uint8_t{}, [](std::uint8_t v) { return static_cast<std::uint8_t>(v != 0); });
    case dtype::u8:
      return each(std::uint8_t{}, same);
    case dtype::i8:
      return each(std::int8_t{}, same);
    case dtype::u16:
      return each(std::uint16_t{}, same);
    case dtype::i16:
      return each(std::int16_t{}, same);
    case dtype::f16:
      return each(std::uint16_t{}, from_half);
    case dtype::bf16:
      return each(std::uint16_t{}, from_bfloat);
    case dtype::u32:
      return each(std::uint32_t{}, same);
    case dtype::i32:
      return each(std::int32_t{}, same);
    case dtype::f32:
      return each(float{}, same);
    case dtype::u64:
      return each(std::uint64_t{}, same);
    case dtype::i64:
      return each(std::int64_t{}, same);
    case dtype::f64:
      return each(double{}, same);
    default:
      return false;
  }
}

/// The one rule of what a number of a file may become: itself. A whole number and a real one become each other where both have the value
/// (every whole number up to 2^24 is a float); a real number becomes a narrower one by rounding to nearest, and must not become infinite.
template <storable To, class From>
constexpr bool fits(From v) {
  if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
    return static_cast<From>(static_cast<To>(v)) == v && (v < From{}) == (static_cast<To>(v) < To{});
  } else if constexpr (std::is_integral_v<From>) {  // from the first to the last binary digit that is not 0
    const auto wide = static_cast<std::uint64_t>(v);
    const std::uint64_t size = v < From{} ? std::uint64_t{} - wide : wide;
    return size == 0 || size >> std::countr_zero(size) >> std::numeric_limits<To>::digits == 0;
  } else if constexpr (std::is_integral_v<To>) {
    const double d = static_cast<double>(v), end = 2.0 * static_cast<double>(std::uint64_t{1} << (std::numeric_limits<To>::digits - 1));
    return d >= static_cast<double>(std::numeric_limits<To>::min()) && d < end && d == static_cast<double>(static_cast<To>(d));
  } else if constexpr (sizeof(From) > sizeof(To)) {
    const double size = v < 0 ? -v : v;  // from half a step above the largest float on, the nearest one is infinite
    return !(size >= 0x1.ffffffp127 && size <= std::numeric_limits<double>::max());
  } else {
    return true;
  }
}

/// The index of the first number that is none of To's, if there is one.
template <storable To>
std::optional<std::size_t> first_misfit(dtype type, std::span<const std::byte> from) {
  std::size_t at = 0;
  if (holds<To>(type)) return {};
  const bool all = for_numbers(type, from, [&](std::size_t i, auto v) {
    if constexpr (holds<To>(dtype_of<decltype(v)>()))
      return true;
    else
      return at = i, fits<To>(v);
  });
  return all ? std::nullopt : std::optional(at);
}

/// `to` gets the numbers whose bytes are `from`; all fit.
template <storable To>
void convert(dtype type, std::span<const std::byte> from, std::span<To> to) {
  if (type == dtype_of<To>())
    std::copy_n(from.data(), from.size(), std::as_writable_bytes(to).data());
  else
    for_numbers(type, from, [&](std::size_t i, auto v) { return to[i] = static_cast<To>(v), true; });
}

/// A shape or index of a file, fit for a message: what is longer than any tensor's here is cut.
inline std::string shown_shape(std::span<const std::uint64_t> shape) {
  if (shape.size() <= max_rank) return format_shape(shape);
  std::string s = format_shape(shape.first(max_rank));
  s.back() = ',';
  return s.append("...)");
}

/// Element `at` of a tensor, for a message: "2.5 at (0,3)".
inline std::string shown_number(dtype type, std::span<const std::byte> from, std::size_t at, std::span<const std::uint64_t> shape) {
  std::string text;
  const auto put = [&](std::size_t, auto v) {
    if constexpr (std::is_integral_v<decltype(v)>) {
      text = std::to_string(v);
    } else {
      char digits[32];
      text.assign(digits, std::to_chars(digits, digits + sizeof digits, v).ptr);
    }
    return true;
  };
  for_numbers(type, from.subspan(at * bytes_of(type), bytes_of(type)), put);
  std::vector<std::uint64_t> index(shape.size());
  for (std::size_t a = shape.size(); a-- > 0; at /= shape[a]) index[a] = at % shape[a];
  return text + " at " + shown_shape(index);
}

/// "(2,3) in F32"
template <class Tensor>
std::string described(const Tensor& t) {
  return shown_shape(t.shape) + " in " + std::string(name_of(t.type));
}

/// a * b, unless it is more than 64 bits.
constexpr bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& product) {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return false;
  product = a * b;
  return true;
}
/// The bytes of a dense tensor if they, and its strides, are less than 2^63: for strides an extent of 0 counts as 1.
inline std::optional<std::uint64_t> tensor_bytes(std::span<const std::uint64_t> shape, std::uint64_t element) {
  std::uint64_t n = element;
  bool empty = false;
  for (const std::uint64_t d : shape) {
    empty = empty || d == 0;
    if (d != 0 && (!multiply(n, d, n) || n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))) return {};
  }
  return empty ? 0 : n;
}

}  // namespace volute::io
