// Initial values: the same on every machine, for every order of layers. Each element is a function of the seed, its parameter's path and
// its index.
#pragma once

#include <volute/core/hash.hpp>
#include <volute/language/expression.hpp>

#include <cstdint>
#include <string_view>

namespace volute::runtime {

/// Fills a parameter. Uniform: U(-scale, scale). Normal: the sum of twelve 32-bit uniforms, exact in integers and so free of any machine's
/// logarithm; standard deviation `scale`, tails end at six of them.
template <class T>
void initialize(T* data, std::int64_t n, initializer::kind_t kind, double scale, std::uint64_t seed, std::string_view path) {
  std::uint64_t stream = scatter(seed + 0x9E3779B97F4A7C15u);
  for (char c : path) stream = scatter(stream ^ static_cast<unsigned char>(c)) + 0x9E3779B97F4A7C15u;
  const auto bits = [stream](std::uint64_t i) { return scatter(stream + i * 0x9E3779B97F4A7C15u); };
  for (std::int64_t i = 0; i < n; ++i) {
    double v = 0;
    const auto k = static_cast<std::uint64_t>(i);
    if (kind == initializer::constant) {
      v = scale;
    } else if (kind == initializer::uniform) {
      v = static_cast<double>(static_cast<std::int64_t>(bits(k) >> 11) - (std::int64_t{1} << 52)) *
          (scale / 4503599627370496.0);  // [-2^52, 2^52)
    } else if (kind == initializer::normal) {
      std::int64_t sum = -6 * (std::int64_t{1} << 32);
      for (std::uint64_t j = 0; j < 6; ++j) {
        const std::uint64_t b = bits(6 * k + j);
        sum += static_cast<std::int64_t>(b >> 32) + static_cast<std::int64_t>(b & 0xFFFFFFFFu);
      }
      v = static_cast<double>(sum) * (scale / 4294967296.0);
    }
    data[i] = static_cast<T>(v);
  }
}

}  // namespace volute::runtime
