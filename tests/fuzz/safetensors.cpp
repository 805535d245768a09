// Whatever the bytes are: a file is refused with one of two exceptions and nothing has changed, or it is read; and what is read can be
// written and read again.
#include <volute/io/safetensors.hpp>

#include "support.hpp"

namespace {

void copy(const volute::safetensors_file& file) {
  std::vector<std::vector<std::byte>> bytes;
  std::vector<volute::io::memory_tensor<const std::byte>> all;
  for (const auto& [name, t] : file.tensors()) {
    bytes.emplace_back(t.bytes);
    file.read(t, bytes.back());
    all.push_back({name, t.type, t.shape, bytes.back()});
  }
  static const std::string path = "/dev/shm/volute-fuzz-" + std::to_string(::getpid());
  volute::io::write_safetensors<const std::byte>(path, all, file.metadata());
  const volute::safetensors_file again(path);
  fuzz::require(again.metadata() == file.metadata() && again.tensors().size() == file.tensors().size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& t = again.tensors().at(all[i].name);
    fuzz::require(t.type == all[i].type && t.shape == all[i].shape && t.bytes == bytes[i].size());
    std::vector<std::byte> back(t.bytes);
    again.read(t, back);
    fuzz::require(back == bytes[i]);
  }
  ::unlink(path.c_str());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::file_of(data, size);
  try {
    copy(volute::safetensors_file(path));
  } catch (const volute::file_error&) {
    return 0;
  }
  for (const bool strict : {true, false}) {
    fuzz::tensors t;
    try {
      volute::load(t, path, {.strict = strict});
    } catch (const volute::shape_error&) {
      const fuzz::tensors before;
      fuzz::require(t.a == before.a && t.b == before.b);
    }
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutated(data, size, most, seed, 0, 8);
}
