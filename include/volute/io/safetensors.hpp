// Parameters of models and programs in safetensors files, under the names of PyTorch's state_dict.
#pragma once

#include <volute/io/safetensors_file.hpp>

namespace volute {
inline namespace VOLUTE_ERRORS {

/// Reads the parameters and states of a model or program from a safetensors file, at a path or in memory, where it needs no copy: each
/// number becomes one of the program's own type if it fits (io::fits). An error names each tensor that does not fit, what was expected and
/// what was found; then, as after any exception, the parameters are unchanged. Also m.try_load(path).
template <class P>
requires loadable<std::remove_reference_t<P>> result<load_report> try_load(P&& p, const io::source& from,
                                                                           const load_options& options = {}) {
  const auto file = safetensors_file::open(from);
  if (!file) return static_cast<const status&>(file);
  return io::fill_parameters(*file, p, options);
}

/// Writes the parameters and states of a model or program, F32 or F64 as its elements are, with the names of parameter_table(), to a path
/// or into a std::vector<std::byte>. Atomic: after a crash there is the old file or the new one. Also m.try_save(path).
template <class P>
requires has_parameters<std::remove_reference_t<P>> status try_save(P&& p, const io::target& to,
                                                                    const io::metadata_map& metadata = {{"format", "pt"}}) {
  return io::try_write_safetensors<const std::byte>(to, io::parameters_of(p), metadata);
}

/// The same; throws file_error for a file that is not what it should be and shape_error for tensors that do not fit. Also m.load(path).
template <class P>
requires loadable<std::remove_reference_t<P>> load_report load(P&& p, const io::source& from, const load_options& options = {}) {
  return io::demand(try_load(p, from, options));
}
/// The same; throws file_error. Also m.save(path).
template <class P>
requires has_parameters<std::remove_reference_t<P>>
void save(P&& p, const io::target& to, const io::metadata_map& metadata = {{"format", "pt"}}) { io::demand(try_save(p, to, metadata)); }

}  // namespace VOLUTE_ERRORS
}  // namespace volute
