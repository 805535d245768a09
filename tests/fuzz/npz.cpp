// Whatever the bytes are: a .npz file is refused with one of two exceptions and nothing has changed, or it is read; and what is read can be
// written and read again.
#include <volute/io/npz.hpp>

#include "support.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::file_of(data, size);
  fuzz::tensors t;
  try {
    volute::load_npz(t, path, {.allow_missing = true, .allow_unused = true});
    static const std::string copy = "/dev/shm/volute-fuzz-" + std::to_string(::getpid());
    volute::save_npz(t, copy, size % 2 != 0 ? volute::npz::deflated : volute::npz::stored);
    fuzz::tensors again;
    volute::load_npz(again, copy);
    fuzz::require(std::memcmp(&again, &t, sizeof t) == 0);
  } catch (const std::exception& e) {
    const fuzz::tensors before;
    fuzz::require(t.a == before.a && t.b == before.b);
    fuzz::require(dynamic_cast<const volute::file_error*>(&e) != nullptr || dynamic_cast<const volute::shape_error*>(&e) != nullptr);
  }
  return 0;
}
