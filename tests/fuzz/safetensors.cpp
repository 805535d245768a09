// Whatever the bytes are: a file is refused with one of two errors and nothing has changed, or it is read; and what is read can be written
// and read again. A file in memory is treated as one on the disk.
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
  std::vector<std::byte> whole;
  volute::io::write_safetensors<const std::byte>(whole, all, file.metadata());
  const volute::safetensors_file again(whole);
  fuzz::require(again.metadata() == file.metadata() && again.tensors().size() == file.tensors().size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& t = again.tensors().at(all[i].name);
    fuzz::require(t.type == all[i].type && t.shape == all[i].shape && t.bytes == bytes[i].size());
    const auto back = again.view(t);
    fuzz::require(std::equal(back.begin(), back.end(), bytes[i].begin(), bytes[i].end()));
  }
}

/// What was loaded, or the tensors as they were; and the message, without where the file is.
std::string load(const volute::io::source& from, const volute::load_options& options, fuzz::tensors& t) {
  const auto r = volute::try_load(t, from, options);
  const fuzz::tensors before;
  if (!r) fuzz::require(t.a == before.a && t.b == before.b && r.message().starts_with(from.path()));
  return r ? std::string() : r.message().substr(from.path().size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = fuzz::file_of(data, size);
  const auto bytes = fuzz::memory_of(data, size);
  if (const auto file = volute::safetensors_file::open(bytes)) copy(*file);
  const auto is_b = [](std::string_view name) { return name == "b"; };
  const volute::load_options all[]{
      {},
      {.allow_missing = true, .allow_unused = true},
      {.allow_missing = true, .allow_unused = true, .allow_other_shape = true},
      {.allow_missing = is_b, .allow_unused = true, .ignore = is_b, .rename = [](std::string_view p) { return std::string(1, p[0]); }}};
  for (const auto& options : all) {
    fuzz::tensors in_file, in_memory;
    fuzz::require(load(path, options, in_file) == load(bytes, options, in_memory));
    fuzz::require(std::memcmp(&in_file, &in_memory, sizeof in_file) == 0);
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutated(data, size, most, seed, 0, 8);
}
