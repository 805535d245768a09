// The passes over flat blocks of parameters, gradients and optimiser state: everything that one step of training does to an element happens
// while it is in a register. A rule of an optimiser works on vectors; nothing here knows which one it is.
#pragma once

#include <volute/kernels/math.hpp>
#include <volute/kernels/team.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

VOLUTE_LOOPS_BEGIN
namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Blocks are whole vectors long: a multiple of this many elements.
inline constexpr std::int64_t update_unit = 16;
/// Tasks are cut at multiples of this many elements; also what one partial sum of squares covers.
inline constexpr std::int64_t update_chunk = 4096;
/// Nanoseconds for one element of one block that is read or written (measured: 0.03 from the second cache level, 0.1 from memory).
inline constexpr double update_cost = 0.05;

template <class T, int States>
struct update_blocks {
  T* parameters = nullptr;
  const T* gradients = nullptr;
  const T* earlier = nullptr;                    // added to the gradients, if there
  T* state[States > 0 ? States : 1]{};           // null: zeros that are not kept
  T* average = nullptr;                          // += (parameter - average) * follow, if there
  T scale = 1, unit = 1;                         // of the gradients: their product, which may be less than T can hold
  T limit = std::numeric_limits<T>::infinity();  // of their size, after scaling
  T follow = 0;
  bool frozen = false;  // parameters stay as they are, whatever their gradients; the state moves

  constexpr update_blocks from(std::int64_t i, std::int64_t parameter) const {
    update_blocks b = *this;
    b.parameters += parameter, b.gradients += i;
    if (b.earlier != nullptr) b.earlier += i;
    for (T*& s : b.state)
      if (s != nullptr) s += i;
    if (b.average != nullptr) b.average += i;
    return b;
  }
};

/// rule(p, g, s) on elements [begin, end): p the parameter, g the gradient, s the state of the optimiser.
template <int States, class T, class Rule>
void update_range(const Rule& rule, const update_blocks<T, States>& all, std::int64_t begin, std::int64_t end) noexcept {
  using V = simd::vec<T>;
  const update_blocks<T, States> b = all;  // a copy: the compiler sees that stores do not change it
  const bool limited = b.limit < std::numeric_limits<T>::infinity(), tiny = b.unit != T(1);
  for (std::int64_t i = begin; i < end; i += simd::width<T>) {
    V p = simd::load<V>(b.parameters + i), g = simd::load<V>(b.gradients + i), s[States > 0 ? States : 1];
    VOLUTE_UNROLL
    for (int k = 0; k < States; ++k) s[k] = b.state[k] != nullptr ? simd::load<V>(b.state[k] + i) : V(T(0));
    if (b.earlier != nullptr) g = g + simd::load<V>(b.earlier + i);
    if (tiny) g = g * V(b.unit);
    g = g * V(b.scale);
    if (limited) g = math::restore(g, math::clamp(g, V(-b.limit), V(b.limit)));
    const V before = p;
    rule(p, g, s);
    if (b.frozen) p = before;  // 0 times a gradient that is infinite would be NaN
    simd::store(b.parameters + i, p);
    VOLUTE_UNROLL
    for (int k = 0; k < States; ++k)
      if (b.state[k] != nullptr) simd::store(b.state[k] + i, s[k]);
    if (b.average != nullptr) {
      const V a = simd::load<V>(b.average + i);
      simd::store(b.average + i, simd::fma(p - a, V(b.follow), a));
    }
  }
}
template <int States, class T, class Rule>
void update(const Rule& rule, const update_blocks<T, States>& blocks, std::int64_t count, const team<T>& workers = {}) noexcept {
  static_assert(update_unit % simd::width<T> == 0);
  share_ranges(workers, count, update_chunk, parts_of(static_cast<double>(count) * (4 + 2 * States) * update_cost),
               [&](std::int64_t begin, std::int64_t end, int) noexcept { update_range(rule, blocks, begin, end); });
}

template <class T>
void accumulate_range(const T* g, T* sum, bool first, std::int64_t begin, std::int64_t end) noexcept {
  using V = simd::vec<T>;
  for (std::int64_t i = begin; i < end; i += simd::width<T>) {
    const V v = simd::load<V>(g + i);
    simd::store(sum + i, first ? v : v + simd::load<V>(sum + i));
  }
}
/// sum = first ? g : sum + g.
template <class T>
void accumulate(const T* g, T* sum, bool first, std::int64_t count, const team<T>& workers = {}) noexcept {
  share_ranges(workers, count, update_chunk, parts_of(static_cast<double>(count) * 3 * update_cost),
               [=](std::int64_t begin, std::int64_t end, int) noexcept { accumulate_range(g, sum, first, begin, end); });
}

/// The sum over elements [begin, end) of the squares of g (+ earlier, if not null) * unit[0] * unit[1], if Scaled, in an order that depends
/// on their number alone.
template <bool Scaled, class T>
double squares(const T* g, const T* earlier, const T* unit, std::int64_t begin, std::int64_t end) noexcept {
  using V = simd::vec<T>;
  constexpr int width = simd::width<T>, lines = static_cast<int>(update_unit) / width;
  V sum[lines];
  VOLUTE_UNROLL
  for (int k = 0; k < lines; ++k) sum[k] = V(T(0));
  for (std::int64_t i = begin; i < end; i += update_unit) {
    VOLUTE_UNROLL
    for (int k = 0; k < lines; ++k) {
      V v = simd::load<V>(g + i + k * width);
      if (earlier != nullptr) v = v + simd::load<V>(earlier + i + k * width);
      if constexpr (Scaled) v = v * V(unit[0]) * V(unit[1]);
      sum[k] = simd::fma(v, v, sum[k]);
    }
  }
  alignas(64) T lane[update_unit];
  VOLUTE_UNROLL
  for (int k = 0; k < lines; ++k) sum[k].store_aligned(lane + k * width);
  double total = 0;
  for (T v : lane) total += static_cast<double>(v);
  return total;
}
/// The largest magnitude of g (+ earlier, if not null) on these elements.
template <class T>
double largest(const T* g, const T* earlier, std::int64_t begin, std::int64_t end) noexcept {
  T most = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    const T v = std::abs(earlier != nullptr ? g[i] + earlier[i] : g[i]);
    most = v > most ? v : most;
  }
  return static_cast<double>(most);
}
/// Partial results that norm() needs room for.
constexpr std::int64_t norm_partials(std::int64_t count) { return (count + update_chunk - 1) / update_chunk; }
/// A number that double cannot hold: size * 2^exponent. The exponent is 0 unless squares would overflow or underflow.
struct wide_norm {
  double size = 0;
  int exponent = 0;
  double value() const noexcept { return std::ldexp(size, exponent); }
};
/// The root of the sum of squares of g (+ earlier, if not null).
template <class T>
wide_norm norm(const T* g, const T* earlier, std::int64_t count, double* partial, const team<T>& workers = {}) noexcept {
  const auto share = [=](auto part) noexcept {
    share_ranges(workers, count, update_chunk, parts_of(static_cast<double>(count) * (earlier != nullptr ? 2 : 1) * update_cost),
                 [=](std::int64_t begin, std::int64_t end, int) noexcept {
                   for (; begin < end; begin += update_chunk)
                     partial[begin / update_chunk] = part(begin, begin + update_chunk < end ? begin + update_chunk : end);
                 });
  };
  const auto sum = [=]() noexcept {
    double total = 0;
    for (std::int64_t k = 0; k < norm_partials(count); ++k) total += partial[k];
    return total;
  };
  share([=](std::int64_t begin, std::int64_t end) noexcept { return squares<false, T>(g, earlier, nullptr, begin, end); });
  const double total = sum();
  using limits = std::numeric_limits<T>;
  const double least =
      static_cast<double>(count) * static_cast<double>(limits::min() / limits::epsilon());  // what denormal squares may lack
  if (std::isnan(total) || (total > least && total < std::numeric_limits<double>::infinity())) return {std::sqrt(total), 0};
  share([=](std::int64_t begin, std::int64_t end) noexcept { return largest(g, earlier, begin, end); });
  double most = 0;
  for (std::int64_t k = 0; k < norm_partials(count); ++k) most = partial[k] > most ? partial[k] : most;
  if (most == 0 || std::isinf(most)) return {most, 0};
  const int exponent = std::ilogb(most), half = -exponent / 2;
  const std::array<T, 2> unit{std::ldexp(T(1), half), std::ldexp(T(1), -exponent - half)};
  share([=](std::int64_t begin, std::int64_t end) noexcept { return squares<true, T>(g, earlier, unit.data(), begin, end); });
  return {std::sqrt(sum()), exponent};
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
VOLUTE_LOOPS_END
