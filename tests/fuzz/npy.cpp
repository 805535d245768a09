// Whatever the bytes are: a .npy file is refused with one of two errors and nothing has changed, or it is read; and what is read can be
// written and read again. A file in memory is treated as one on the disk.
#include <volute/io/npy.hpp>

#include "support.hpp"

namespace {

template <class T, std::size_t Rank>
void read(const std::string& path, const std::vector<std::byte>& bytes) {
  const auto t = volute::try_load_npy<T, Rank>(path), m = volute::try_load_npy<T, Rank>(bytes);
  const auto same = [&](const auto& other) {
    return other.shape() == t->shape() && (t->size() == 0 || std::memcmp(other.data(), t->data(), t->size() * sizeof(T)) == 0);
  };
  fuzz::require(t.kind() == m.kind());
  if (!t) return fuzz::require(t.message().substr(path.size()) == m.message().substr(std::strlen("memory")));
  fuzz::require(same(*m));
  std::vector<std::byte> copy;
  volute::save_npy(copy, *t);
  fuzz::require(same(volute::load_npy<T, Rank>(copy)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::file_of(data, size);
  const auto bytes = fuzz::memory_of(data, size);
  read<float, 0>(path, bytes), read<float, 2>(path, bytes), read<double, 1>(path, bytes), read<double, 3>(path, bytes);
  read<std::int64_t, 2>(path, bytes), read<std::uint64_t, 2>(path, bytes), read<std::uint8_t, 2>(path, bytes);
  xt::xtensor<float, 2> t{{1, 2, 3}, {4, 5, 6}};
  const auto before = t;
  if (!volute::try_load_npy(bytes, t)) fuzz::require(std::memcmp(t.data(), before.data(), t.size() * sizeof(float)) == 0);
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutated(data, size, most, seed, 8, 2);
}
