// The shim over xsimd: what instruction sets and releases of xsimd do differently elsewhere.
#include <volute/core/simd.hpp>

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

namespace {

using volute::simd::vec;
constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();

/// Specials, denormals and everyday numbers.
template <class T>
std::vector<T> numbers() {
  std::vector<T> all{T(0),
                     T(-0.0),
                     T(1),
                     T(-1),
                     T(infinity),
                     T(-infinity),
                     T(nan),
                     T(1e-39),
                     T(-1e-39),
                     std::numeric_limits<T>::denorm_min(),
                     std::numeric_limits<T>::max(),
                     std::numeric_limits<T>::min()};
  for (int i = 0; i < 40; ++i) all.push_back(static_cast<T>(std::ldexp(std::sin(i + 1.0), i * 5 - 100)));
  return all;
}

template <class T>
bool same(T a, T b) {
  return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b));
}

}  // namespace

TEMPLATE_TEST_CASE("min and max give their second operand where neither is the lesser", "", float, double) {
  using T = TestType;
  using V = vec<T>;
  volatile T lanes[2];  // the compiler shall not know them
  for (T first : numbers<T>())
    for (T second : numbers<T>()) {
      lanes[0] = first;
      lanes[1] = second;
      const T a = lanes[0], b = lanes[1];
      CAPTURE(a, b);
      CHECK(same(volute::simd::min(V(a), V(b)).get(0), a < b ? a : b));
      CHECK(same(volute::simd::max(V(a), V(b)).get(0), a > b ? a : b));
    }
}

TEMPLATE_TEST_CASE("quotients and square roots are rounded correctly", "", float, double) {
  using T = TestType;
  using V = vec<T>;
  volatile T lanes[2];
  for (T first : numbers<T>()) {
    lanes[0] = first;
    const T a = lanes[0];
    CAPTURE(a);
    CHECK(same(xsimd::sqrt(V(a)).get(0), std::sqrt(a)));
    for (T second : numbers<T>()) {
      lanes[1] = second;
      const T b = lanes[1];
      CAPTURE(b);
      CHECK(same((V(a) / V(b)).get(0), a / b));
    }
  }
}

TEMPLATE_TEST_CASE("bits are those of an integer and back", "", float, double) {
  using T = TestType;
  using integer = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  const auto bits = volute::simd::bits_as<integer>(vec<T>(T(-1.5)));
  static_assert(std::is_same_v<decltype(bits.get(0)), integer>);
  CHECK(bits.get(vec<T>::size - 1) == std::bit_cast<integer>(T(-1.5)));
  CHECK(volute::simd::bits_as<T>(bits).get(0) == T(-1.5));
}

TEMPLATE_TEST_CASE("parts of vectors touch no other memory", "", float, double) {
  using T = TestType;
  using V = vec<T>;
  constexpr int L = volute::simd::lanes<V>;
  for (int n = 0; n <= L; ++n) {
    // Each part ends where its block does: the address sanitizer sees a step too far.
    std::vector<T> from(static_cast<std::size_t>(n)), to(static_cast<std::size_t>(n), T(-1));
    for (int i = 0; i < n; ++i) from[static_cast<std::size_t>(i)] = T(i + 1);
    volatile int hidden = n;
    const V v = volute::simd::load_partial<V>(from.data(), hidden);
    for (std::size_t i = 0; i < L; ++i) CHECK(v.get(i) == (static_cast<int>(i) < n ? T(i + 1) : T(0)));
    volute::simd::store_partial(to.data(), v, hidden);
    CHECK(to == from);

    std::vector<T> around(2 * L, T(-1));
    volute::simd::store_partial(around.data() + 1, V(T(5)), hidden);
    for (int i = 0; i < 2 * L; ++i) CHECK(around[static_cast<std::size_t>(i)] == (i >= 1 && i <= n ? T(5) : T(-1)));
  }
  for (unsigned mask = 0; mask<(1u << L); mask += L> 8 ? 257 : 1) {
    std::vector<T> from(L);
    for (int i = 0; i < L; ++i) from[static_cast<std::size_t>(i)] = T(i + 1);
    volatile unsigned hidden = mask;
    const V v = volute::simd::load_masked<V>(from.data(), hidden);
    for (std::size_t i = 0; i < L; ++i) CHECK(v.get(i) == ((mask >> i & 1) != 0 ? T(i + 1) : T(0)));
  }
}

TEST_CASE("the namespace names every feature") {
  const std::string name = volute::isa_name;
  const auto features = std::stoull(name.substr(name.rfind('_') + 1), nullptr, 16);
  CHECK(features == VOLUTE_ISA_FEATURES);
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
  CHECK(name.starts_with("avx512_"));
#elif defined(__AVX2__) && defined(__FMA__)
  CHECK(name.starts_with("avx2_"));
#endif
#if defined(__x86_64__)
#define ONE(i, macro, word) CHECK(((features >> i) & 1) == static_cast<unsigned long long>(VOLUTE_ISA_BIT(macro)));
  VOLUTE_ISA_LIST(ONE)
#undef ONE
#endif
}
