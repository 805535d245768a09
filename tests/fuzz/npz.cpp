// Whatever the bytes are: a .npz file is refused with one of two errors and nothing has changed, or it is read; and what is read can be
// written and read again. A file in memory is treated as one on the disk.
#include <volute/io/npz.hpp>

#include "support.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::file_of(data, size);
  const auto bytes = fuzz::memory_of(data, size);
  const volute::load_options some{.allow_missing = true, .allow_unused = true};
  fuzz::tensors t, in_memory;
  const auto r = volute::try_load_npz(t, path, some), m = volute::try_load_npz(in_memory, bytes, some);
  fuzz::require(r.kind() == m.kind() && std::memcmp(&t, &in_memory, sizeof t) == 0);
  if (r) {
    std::vector<std::byte> copy;
    volute::save_npz(t, copy, size % 2 != 0 ? volute::npz::deflated : volute::npz::stored);
    fuzz::tensors again;
    volute::load_npz(again, copy);
    fuzz::require(std::memcmp(&again, &t, sizeof t) == 0);
  } else {
    const fuzz::tensors before;
    fuzz::require(t.a == before.a && t.b == before.b);
  }
  return 0;
}
