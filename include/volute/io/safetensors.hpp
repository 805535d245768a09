// Parameters of models and programs in safetensors files, under the names of PyTorch's state_dict.
#pragma once

#include <volute/io/safetensors_file.hpp>

namespace volute {

/// Reads the parameters and states of a model or program from a safetensors file: F16, BF16, F32 and F64 become its own element type.
/// Throws file_error for a file that is not what it should be and shape_error for tensors that do not fit, naming each, what was expected
/// and what was found; then, as after any exception, the parameters are unchanged. Also m.load(path).
template <has_parameters P>
load_report load(P& p, const std::string& path, const load_options& options = {}) {
  const safetensors_file file(path);
  std::vector<io::memory_tensor<std::byte>> wanted;
  io::append_tensors(p.parameter_table(), options.prefix, wanted, options.rename);
  return io::fill(file, wanted, io::conversion::reals, options);
}

/// Writes the parameters and states of a model or program, F32 or F64 as its elements are, with the names of parameter_table(). Atomic:
/// after a crash there is the old file or the new one. Throws file_error. Also m.save(path).
template <has_parameters P>
void save(const P& p, const std::string& path, const io::metadata_map& metadata = {{"format", "pt"}}) {
  std::vector<io::memory_tensor<const std::byte>> tensors;
  io::append_tensors(p.parameter_table(), "", tensors);
  io::write_safetensors<const std::byte>(path, tensors, metadata);
}

}  // namespace volute
