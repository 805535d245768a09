// What the readers of parameters share: how names are found, what fits, and that all is read or nothing changes.
#pragma once

#include <volute/io/dtype.hpp>
#include <volute/io/names.hpp>

#include <map>

namespace volute {

/// How a program's parameters find their tensors, and what may differ: by default nothing. The parameter at a path of parameter_table() has
/// the tensor prefix + rename(path). Each `allow_` is false, true, or a callable that says it of one name.
struct load_options {
  io::names allow_missing{};  ///< paths of parameters that need not be in the file: they keep their values
  io::names allow_unused{};   ///< names of tensors that need not be a parameter's (PyTorch's counters num_batches_tracked never need to)
  io::names allow_other_shape{};  ///< paths of parameters that keep their values if their tensor has another shape (a head of another size)
  io::names ignore{};             ///< names of tensors that are as if they were not in the file
  std::string prefix{};           ///< tensors whose names begin otherwise are not this program's
  std::function<std::string(std::string_view)> rename{};
};

/// What a load did. `unused` has names of tensors, the others have paths of parameters.
struct load_report {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;  ///< not in the file: as they were
  std::vector<std::string> unused;   ///< in the file, with the prefix, and no parameter's
  std::vector<std::string> skipped;  ///< of another shape in the file: as they were
};

/// What has parameters to be saved: a model, program, trainer, or their weights. Each row of the table has path, shape and data.
template <class P>
concept has_parameters = requires(P& p) {
  p.parameter_table().begin()->data;
};

/// What has parameters to be loaded. Its parameters_changed() is called afterwards, if there is one.
template <class P>
concept loadable = has_parameters<P> && requires(P& p) {
  requires !std::is_const_v<std::remove_reference_t<decltype(*p.parameter_table().begin()->data)>>;
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
  std::string path{};  ///< of the parameter, if it is one
};

/// Tensors of a program as they lie in its memory.
template <class Byte, class Table>
void append_tensors(Table&& table, const std::string& prefix, std::vector<memory_tensor<Byte>>& to,
                    const std::function<std::string(std::string_view)>& rename = {}) {
  for (const auto& p : table) {
    const std::span data(p.data, static_cast<std::size_t>(p.shape.size()));
    std::vector<std::uint64_t> shape;
    for (int a = 0; a < p.shape.rank; ++a) shape.push_back(static_cast<std::uint64_t>(p.shape[a]));
    to.push_back({prefix + (rename ? rename(p.path) : std::string(p.path)),
                  dtype_of<std::remove_cvref_t<decltype(*p.data)>>(),
                  std::move(shape),
                  {},
                  std::string(p.path)});
    if constexpr (std::is_const_v<Byte>)
      to.back().bytes = std::as_bytes(data);
    else
      to.back().bytes = std::as_writable_bytes(data);
  }
}

/// Whether a file's numbers may become those of another type, if they fit (see fits).
enum class conversion { none, numbers };

/// Finds the tensors in a file and compares all but their numbers; then write() fills them. All that does not fit is told at once. The file
/// has path(), tensors() (a map from names to tensor_info or what is derived from it), view(info), the numbers in row-major order where
/// they lie, or null, and then try_read(info, bytes).
template <class File>
class filling {
 public:
  using info = typename std::remove_cvref_t<decltype(std::declval<const File&>().tensors())>::mapped_type;
  load_report report;

  explicit filling(const File& file) : file_(file) {}

  status compare(std::span<const memory_tensor<std::byte>> wanted, conversion allowed, const load_options& options) {
    std::map<std::string_view, bool> taken;
    for (const auto& w : wanted) taken[w.name] = true;
    std::vector<std::string_view> there, free;
    for (const auto& [name, t] : file_.tensors()) {
      if (options.ignore(name)) continue;
      there.push_back(name);
      if (!taken.contains(name)) free.push_back(name);
    }
    for (const auto& w : wanted) {
      const auto t = file_.tensors().find(w.name);
      if (t == file_.tensors().end() || options.ignore(w.name)) {
        report.missing.push_back(w.path);
        if (!options.allow_missing(w.path)) problem(w, "none" + nearest(w.name, free.empty() ? there : free));
        continue;
      }
      const bool readable = t->second.type == w.type || (allowed == conversion::numbers && is_number(t->second.type));
      if (t->second.shape != w.shape && options.allow_other_shape(w.path)) {
        report.skipped.push_back(w.path);
      } else if (t->second.shape != w.shape || !readable) {
        problem(w, described(t->second));
      } else {
        pairs_.push_back({&t->second, &w, {}});
        report.loaded.push_back(w.path);
      }
    }
    for (const std::string_view name : free) {
      const auto& t = file_.tensors().find(name)->second;
      if (!name.starts_with(options.prefix)) continue;
      if (t.type == dtype::i64 && (name == "num_batches_tracked" || name.ends_with(".num_batches_tracked"))) continue;
      report.unused.emplace_back(name);
      if (!options.allow_unused(name)) problem("tensor " + shown(name), "no such tensor", described(t));
    }
    return outcome();
  }

  /// Reads, and compares the numbers.
  status read() {
    std::size_t total = 0;
    for (pair& p : pairs_)
      if (p.bytes = file_.view(*p.from); p.bytes.data() == nullptr) total += p.from->bytes;
    room_.resize(total);
    std::span<std::byte> rest = room_;
    for (pair& p : pairs_) {
      if (p.bytes.data() == nullptr) {
        if (status s = file_.try_read(*p.from, rest.first(p.from->bytes)); !s) return s;
        p.bytes = rest.first(p.from->bytes);
        rest = rest.subspan(p.from->bytes);
      }
      const auto at = p.to->type == dtype::f32   ? first_misfit<float>(p.from->type, p.bytes)
                      : p.to->type == dtype::f64 ? first_misfit<double>(p.from->type, p.bytes)
                                                 : std::nullopt;
      if (at) problem(*p.to, shown_number(p.from->type, p.bytes, *at, p.from->shape) + " in " + std::string(name_of(p.from->type)));
    }
    return outcome();
  }

  /// A tensor of the file, where it goes, and its numbers, once they have been read.
  struct pair {
    const info* from;
    const memory_tensor<std::byte>* to;
    std::span<const std::byte> bytes;
  };
  const std::vector<pair>& pairs() const noexcept { return pairs_; }

  /// Nothing can fail any more.
  void write() const {
    for (const pair& p : pairs_) {
      const auto into = [&]<class T>(T) {
        convert<T>(p.from->type, p.bytes, {reinterpret_cast<T*>(p.to->bytes.data()), p.to->bytes.size() / sizeof(T)});
      };
      if (p.from->type == p.to->type)
        std::copy(p.bytes.begin(), p.bytes.end(), p.to->bytes.begin());
      else if (p.to->type == dtype::f32)
        into(float{});
      else
        into(double{});
    }
  }

 private:
  const File& file_;
  std::vector<pair> pairs_;
  std::vector<std::byte> room_;
  std::string problems_;
  int count_ = 0;

  void problem(const std::string& what, const std::string& expected, const std::string& found) {
    if (++count_ <= 10) problems_.append("\n  ").append(what).append(": expected ").append(expected).append(", found ").append(found);
  }
  void problem(const memory_tensor<std::byte>& w, const std::string& found) {
    const bool renamed = !w.path.empty() && !std::string_view(w.name).ends_with(w.path);
    problem("tensor " + shown(w.name) + (renamed ? " of parameter " + shown(w.path) : ""), described(w), found);
  }
  status outcome() const {
    if (count_ == 0) return {};
    if (count_ == 1) return shape_failure(file_.path() + ": " + problems_.substr(3));
    std::string text = file_.path() + ": " + std::to_string(count_) + " tensors do not fit:" + problems_;
    if (count_ > 10) text += "\n  and " + std::to_string(count_ - 10) + " more";
    return shape_failure(std::move(text));
  }
};

/// Fills the parameters from a file, all or none.
template <class File, class P>
result<load_report> fill_parameters(const File& file, P& p, const load_options& options) {
  std::vector<memory_tensor<std::byte>> wanted;
  append_tensors(p.parameter_table(), options.prefix, wanted, options.rename);
  filling<File> f(file);
  if (status s = f.compare(wanted, conversion::numbers, options); !s) return s;
  if (status s = f.read(); !s) return s;
  f.write();
  if constexpr (requires { p.parameters_changed(); }) p.parameters_changed();
  return std::move(f.report);
}

/// A program's parameters to be written; only read, where it has a table for that.
template <class P>
std::vector<memory_tensor<const std::byte>> parameters_of(P& p) {
  std::vector<memory_tensor<const std::byte>> tensors;
  if constexpr (requires(const P& c) { c.parameter_table(); })
    append_tensors(std::as_const(p).parameter_table(), "", tensors);
  else
    append_tensors(p.parameter_table(), "", tensors);
  return tensors;
}

}  // namespace io
}  // namespace volute
