// Random numbers by counting: number i of a tensor is a function of (seed, run, stream, i) alone, so that any number of threads makes the
// same ones and a resumed training goes on with the very numbers of an uninterrupted one. Philox-4x32 with ten rounds (Salmon et al. 2011,
// "Parallel random numbers: as easy as 1, 2, 3").
#pragma once

#include <volute/core/random.hpp>
#include <volute/kernels/team.hpp>

#include <type_traits>

namespace volute::kernels {
inline namespace VOLUTE_ISA {

/// Blocks of four words that are worked out side by side, for the compiler's vectoriser.
inline constexpr int philox_lanes = 16;

/// word[j][l]: word j of block `first` + l.
VOLUTE_INLINE void philox(std::uint32_t (&word)[4][philox_lanes], std::uint64_t first, random_state s, std::uint64_t stream) noexcept {
  for (int l = 0; l < philox_lanes; ++l) {
    word[0][l] = static_cast<std::uint32_t>(first) + static_cast<std::uint32_t>(l);
    word[1][l] = static_cast<std::uint32_t>(s.run >> 32);
    word[2][l] = static_cast<std::uint32_t>(stream);
    word[3][l] = static_cast<std::uint32_t>(s.run);
  }
  std::uint32_t k0 = static_cast<std::uint32_t>(s.seed), k1 = static_cast<std::uint32_t>(s.seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (int l = 0; l < philox_lanes; ++l) {
      const std::uint64_t p = std::uint64_t{0xD2511F53u} * word[0][l], q = std::uint64_t{0xCD9E8D57u} * word[2][l];
      word[0][l] = static_cast<std::uint32_t>(q >> 32) ^ word[1][l] ^ k0;
      word[1][l] = static_cast<std::uint32_t>(q);
      word[2][l] = static_cast<std::uint32_t>(p >> 32) ^ word[3][l] ^ k1;
      word[3][l] = static_cast<std::uint32_t>(p);
    }
}

/// out[i] in [0, 1): 24 random bits in float, 52 in double. At most 2^34 elements.
template <class T>
void uniform(T* out, std::int64_t n, random_state s, std::uint64_t stream, const team<T>& workers) noexcept {
  constexpr int each = std::is_same_v<T, float> ? 4 : 2;  // numbers of a block
  constexpr std::int64_t chunk = each * philox_lanes;
  share_ranges(workers, n, chunk, parts_of(static_cast<double>(n)), [&](std::int64_t begin, std::int64_t end, int) noexcept {
    std::uint32_t word[4][philox_lanes];
    T number[chunk];
    for (std::int64_t i = begin; i < end; i += chunk) {
      philox(word, static_cast<std::uint64_t>(i / each), s, stream);
      for (int l = 0; l < philox_lanes; ++l)
        for (int j = 0; j < each; ++j) {
          if constexpr (each == 4)
            number[j * philox_lanes + l] = static_cast<T>(static_cast<std::int32_t>(word[j][l] >> 8)) * T(0x1p-24);
          else
            number[j * philox_lanes + l] = static_cast<T>(static_cast<std::int32_t>(word[2 * j][l] >> 6)) * T(0x1p-26) +
                                           static_cast<T>(static_cast<std::int32_t>(word[2 * j + 1][l] >> 6)) * T(0x1p-52);
        }
      const std::int64_t left = end - i < chunk ? end - i : chunk;
      for (std::int64_t k = 0; k < left; ++k) out[i + k] = number[k];
    }
  });
}

}  // namespace VOLUTE_ISA
}  // namespace volute::kernels
