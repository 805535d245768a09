// Parameters of models and programs in safetensors files, under the names of PyTorch's state_dict.
#pragma once

#include <volute/core/extents.hpp>
#include <volute/io/safetensors_file.hpp>

namespace volute {

/// How a program's parameters find their tensors: prefix + rename(path), where the path is that of parameter_table().
struct load_options {
  /// Every parameter must be in the file, and every tensor of the file (with the prefix) be a parameter's. PyTorch's counters
  /// num_batches_tracked may be left over: they have no part in any result.
  bool strict = true;
  std::string prefix{};
  std::function<std::string(std::string_view)> rename{};
};

/// What a load that is not strict passed over: parameters that keep their values, tensors that no parameter wanted.
struct load_report {
  std::vector<std::string> missing, unused;
};

/// A model, program or trainer.
template <class P>
concept has_parameters = requires(P& p) {
  p.parameter_table().begin()->data;
};

namespace io {

/// Tensors of a program as they lie in its memory.
template <class Table>
void append_tensors(Table&& table, const std::string& prefix, std::vector<memory_tensor<std::byte>>& to,
                    const std::function<std::string(std::string_view)>& rename = {}) {
  for (const auto& p : table) {
    using T = std::remove_cvref_t<decltype(*p.data)>;
    std::vector<std::uint64_t> shape;
    for (int a = 0; a < p.shape.rank; ++a) shape.push_back(static_cast<std::uint64_t>(p.shape[a]));
    to.push_back({prefix + (rename ? rename(p.path) : std::string(p.path)), dtype_of<T>(), std::move(shape),
                  std::as_writable_bytes(std::span(p.data, static_cast<std::size_t>(p.shape.size())))});
  }
}

/// Whether a file's element type is read into memory of another.
enum class conversion { none, reals };

/// Fills the tensors from a file, all or none: everything is compared, and read, before the first is written. All that does not fit is told
/// in one shape_error.
inline load_report fill(const safetensors_file& file, std::span<const memory_tensor<std::byte>> wanted, conversion allowed,
                        const load_options& options) {
  load_report report;
  std::string problems;
  int count = 0;
  const auto problem = [&](const std::string& name, const std::string& expected, const std::string& found) {
    if (++count <= 10) problems += "\n  tensor " + shown(name) + ": expected " + expected + ", found " + found;
  };
  const auto text_of = [](const auto& t) { return format_shape(t.shape) + " in " + std::string(name_of(t.type)); };

  struct pair {
    const tensor_info* from;
    const memory_tensor<std::byte>* to;
  };
  std::vector<pair> pairs;
  std::map<std::string_view, bool> used;
  std::uint64_t total = 0;
  for (const auto& w : wanted) {
    used[w.name] = true;
    const auto t = file.tensors().find(w.name);
    if (t == file.tensors().end()) {
      report.missing.push_back(w.name);
      if (options.strict) problem(w.name, text_of(w), "none");
      continue;
    }
    const bool readable = t->second.type == w.type || (allowed == conversion::reals && is_real(t->second.type) && is_real(w.type));
    if (t->second.shape != w.shape || !readable)
      problem(w.name, text_of(w) + (!readable && allowed == conversion::reals ? " or another floating-point type" : ""),
              text_of(t->second));
    else
      pairs.push_back({&t->second, &w}), total += t->second.bytes;
  }
  for (const auto& [name, t] : file.tensors()) {
    if (used.contains(name) || !name.starts_with(options.prefix)) continue;
    if (t.type == dtype::i64 && (name == "num_batches_tracked" || name.ends_with(".num_batches_tracked"))) continue;
    report.unused.push_back(name);
    if (options.strict) problem(name, "no such tensor", text_of(t));
  }
  if (count > 10) problems += "\n  and " + std::to_string(count - 10) + " more";
  if (count > 0) fail(file.path() + ": " + (count == 1 ? problems.substr(3) : std::to_string(count) + " tensors do not fit:" + problems));

  std::vector<std::byte> bytes(total);
  std::span<std::byte> rest = bytes;
  for (const pair& p : pairs) file.read(*p.from, rest.first(p.from->bytes)), rest = rest.subspan(p.from->bytes);
  std::span<const std::byte> source = bytes;
  for (const pair& p : pairs) {
    const auto from = source.first(p.from->bytes);
    source = source.subspan(from.size());
    const auto into = [&]<class T>(T) {
      convert<T>(p.from->type, from, {reinterpret_cast<T*>(p.to->bytes.data()), p.to->bytes.size() / sizeof(T)});
    };
    if (p.from->type == p.to->type)
      std::copy(from.begin(), from.end(), p.to->bytes.begin());
    else if (p.to->type == dtype::f32)
      into(float{});
    else
      into(double{});
  }
  return report;
}

}  // namespace io

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
void save(P& p, const std::string& path, const io::metadata_map& metadata = {{"format", "pt"}}) {
  std::vector<io::memory_tensor<std::byte>> tensors;
  io::append_tensors(p.parameter_table(), "", tensors);
  io::write_safetensors<std::byte>(path, tensors, metadata);
}

}  // namespace volute
