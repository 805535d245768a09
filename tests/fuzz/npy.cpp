// Whatever the bytes are: a .npy file is refused with one of two exceptions and nothing has changed, or it is read; and what is read can be
// written and read again.
#include <volute/io/npy.hpp>

#include "support.hpp"

namespace {

template <class T, std::size_t Rank>
void read(const std::string& path) {
  try {
    const auto t = volute::load_npy<T, Rank>(path);
    static const std::string copy = "/dev/shm/volute-fuzz-" + std::to_string(::getpid());
    volute::save_npy(copy, t);
    const auto again = volute::load_npy<T, Rank>(copy);
    fuzz::require(again.shape() == t.shape() && (t.size() == 0 || std::memcmp(again.data(), t.data(), t.size() * sizeof(T)) == 0));
    ::unlink(copy.c_str());
  } catch (const volute::shape_error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::file_of(data, size);
  try {
    read<float, 0>(path), read<double, 1>(path), read<double, 3>(path), read<std::int64_t, 2>(path), read<std::uint64_t, 2>(path);
    xt::xtensor<float, 2> t{{1, 2, 3}, {4, 5, 6}};
    const auto before = t;
    try {
      volute::load_npy(path, t);
    } catch (const volute::shape_error&) {
      fuzz::require(t == before);
    }
  } catch (const volute::file_error&) {
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutated(data, size, most, seed, 8, 2);
}
