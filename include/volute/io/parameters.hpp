// What the readers of parameters share: how names are found, what fits, and that all is read or nothing changes.
#pragma once

#include <volute/core/extents.hpp>
#include <volute/io/dtype.hpp>

#include <functional>
#include <map>

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

/// A tensor of a file that is read: what the file says of it.
struct tensor_info {
  dtype type{};
  std::vector<std::uint64_t> shape;
  std::uint64_t begin = 0, bytes = 0;
};

/// A tensor in memory: dense, row-major.
template <class Byte>
struct memory_tensor {
  std::string name;
  dtype type{};
  std::vector<std::uint64_t> shape;
  std::span<Byte> bytes;
};

/// Tensors of a program as they lie in its memory.
template <class Byte, class Table>
void append_tensors(Table&& table, const std::string& prefix, std::vector<memory_tensor<Byte>>& to,
                    const std::function<std::string(std::string_view)>& rename = {}) {
  for (const auto& p : table) {
    using T = std::remove_cvref_t<decltype(*p.data)>;
    std::vector<std::uint64_t> shape;
    for (int a = 0; a < p.shape.rank; ++a) shape.push_back(static_cast<std::uint64_t>(p.shape[a]));
    to.push_back({prefix + (rename ? rename(p.path) : std::string(p.path)), dtype_of<T>(), std::move(shape),
                  {reinterpret_cast<Byte*>(p.data), static_cast<std::size_t>(p.shape.size()) * sizeof(T)}});
  }
}

/// Whether a file's element type is read into memory of another.
enum class conversion { none, reals };

/// Fills the tensors from a file, all or none: everything is compared, and read, before the first is written. All that does not fit is told
/// in one shape_error. The file has path(), tensors() (a map from names to tensor_info or what is derived from it) and read(info, bytes),
/// which gives the numbers in row-major order.
template <class File>
load_report fill(const File& file, std::span<const memory_tensor<std::byte>> wanted, conversion allowed, const load_options& options) {
  load_report report;
  std::string problems;
  int count = 0;
  const auto problem = [&](const std::string& name, const std::string& expected, const std::string& found) {
    if (++count <= 10) problems += "\n  tensor " + shown(name) + ": expected " + expected + ", found " + found;
  };
  const auto text_of = [](const auto& t) { return format_shape(t.shape) + " in " + std::string(name_of(t.type)); };

  struct pair {
    decltype(&file.tensors().begin()->second) from;
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
}  // namespace volute
