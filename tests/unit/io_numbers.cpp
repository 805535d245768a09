// Which numbers of a file become which of the program: the one rule, by value.
#include <volute/io/npy.hpp>
#include <volute/language/tensor.hpp>

#include <unit/io_support.hpp>

#include <cmath>
#include <xtensor/xtensor.hpp>

using namespace volute;

namespace {

constexpr auto i64 = [](std::int64_t v) { return v; };
static_assert(io::fits<float>(std::int64_t{1} << 24) && io::fits<float>(-(std::int64_t{1} << 24)));
static_assert(!io::fits<float>((1 << 24) + 1) && io::fits<float>((1 << 24) + 2) && !io::fits<float>(-(1 << 24) - 1));
static_assert(io::fits<float>(std::numeric_limits<std::int64_t>::min()) && !io::fits<float>(std::numeric_limits<std::int64_t>::max()));
static_assert(io::fits<float>(std::uint64_t{1} << 63) && !io::fits<float>(~std::uint64_t{0}));
static_assert(io::fits<double>((std::int64_t{1} << 53)) && !io::fits<double>((std::int64_t{1} << 53) + 1));
static_assert(io::fits<float>(0.1) && io::fits<float>(1e-60) && io::fits<float>(-0.0));  // to nearest
static_assert(io::fits<float>(0x1.fffffep127) && io::fits<float>(0x1.fffffefffffffp127) && !io::fits<float>(0x1.ffffffp127));
static_assert(!io::fits<float>(-1e39) && !io::fits<float>(std::numeric_limits<double>::max()));
static_assert(io::fits<float>(std::numeric_limits<double>::infinity()) && io::fits<float>(std::numeric_limits<double>::quiet_NaN()));
static_assert(io::fits<int>(2.0f) && !io::fits<int>(2.5f) && !io::fits<int>(std::numeric_limits<float>::quiet_NaN()));
static_assert(io::fits<int>(-2147483648.0) && !io::fits<int>(2147483648.0) && !io::fits<int>(-2147483649.0));
static_assert(io::fits<std::int64_t>(-0x1p63) && !io::fits<std::int64_t>(0x1p63) && !io::fits<std::uint64_t>(0x1p64));
static_assert(io::fits<std::uint64_t>(0x1.fffffffffffffp63) && !io::fits<std::uint8_t>(-1.0) && io::fits<std::uint8_t>(255.0));
static_assert(io::fits<std::uint8_t>(i64(255)) && !io::fits<std::uint8_t>(i64(256)) && !io::fits<std::uint8_t>(i64(-1)));
static_assert(!io::fits<std::uint64_t>(i64(-1)) && !io::fits<std::int64_t>(~std::uint64_t{0}) && io::fits<std::int8_t>(i64(-128)));

template <class T>
std::vector<std::byte> npy_of(const xt::xtensor<T, 2>& t) {
  std::vector<std::byte> bytes;
  save_npy(bytes, t);
  return bytes;
}
template <class To>
std::string says(const std::vector<std::byte>& bytes) {
  xt::xtensor<To, 2> t({2, 3}, To(7));
  const status s = try_load_npy(bytes, t);
  CHECK(s.kind() == error_kind::shape);
  CHECK((t == xt::xtensor<To, 2>({2, 3}, To(7))));  // as it was
  CHECK((try_load_npy<To, 2>(bytes).message() == s.message()));
  return s.message();
}

}  // namespace

TEST_CASE("int32, int64 and float64 .npy are read as float where the numbers fit", "[io]") {
  const xt::xtensor<float, 2> labels{{0, -1, 2}, {3, 255, 16777216}};
  CHECK((load_npy<float, 2>(npy_of<std::int32_t>(labels)) == labels));
  CHECK((load_npy<float, 2>(npy_of<std::int64_t>(labels)) == labels));
  CHECK((load_npy<float, 2>(npy_of<double>(labels)) == labels));
  CHECK((load_npy(npy_of<std::int64_t>(labels), input<"labels", 2, 3>) == labels));
  CHECK((load_npy<std::int64_t, 2>(npy_of<double>(labels)) == xt::xtensor<std::int64_t, 2>(labels)));
  CHECK((load_npy<std::int16_t, 2>(npy_of<std::uint64_t>(xt::abs(labels) - xt::abs(labels))) == xt::zeros<std::int16_t>({2, 3})));

  const xt::xtensor<double, 2> thirds{{1.0 / 3, 1e-60, -1e-45}, {HUGE_VAL, 0x1.fffffep127, 5}};
  const auto rounded = load_npy<float, 2>(npy_of<double>(thirds));
  for (std::size_t i = 0; i < 6; ++i) CHECK(rounded.data()[i] == static_cast<float>(thirds.data()[i]));
  CHECK(std::isnan(load_npy<float, 2>(npy_of<double>({{NAN, 0, 0}}))(0, 0)));

  CHECK(says<float>(npy_of<std::int32_t>({{0, 1, 2}, {3, 16777217, 5}})) ==
        "memory: expected what fits F32, found 16777217 at (1,1) in I32");
  CHECK(says<float>(npy_of<std::int64_t>({{0, 1, -9007199254740993}, {3, 4, 5}})) ==
        "memory: expected what fits F32, found -9007199254740993 at (0,2) in I64");
  CHECK(says<double>(npy_of<std::int64_t>({{0, 1, -9007199254740993}, {3, 4, 5}})) ==
        "memory: expected what fits F64, found -9007199254740993 at (0,2) in I64");
  CHECK(says<float>(npy_of<double>({{0, 1, 2}, {-3.5e38, 4, 5}})) == "memory: expected what fits F32, found -3.5e+38 at (1,0) in F64");
  CHECK(says<std::int32_t>(npy_of<float>({{0, 1, 2}, {3, 4, 2.5f}})) == "memory: expected what fits I32, found 2.5 at (1,2) in F32");
  CHECK(says<std::uint8_t>(npy_of<std::int64_t>({{0, 1, 2}, {3, 256, -1}})) == "memory: expected what fits U8, found 256 at (1,1) in I64");
  CHECK(message<shape_error>([] {
          load_npy<float, 2>(npy_of<double>({{1e300, 0, 0}}));
        }) == "memory: expected what fits F32, found 1e+300 at (0,0) in F64");
}
