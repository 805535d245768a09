// Parameters of models and programs in NumPy's .npz files: zip archives with one .npy file a tensor. Needs libzip (Debian: libzip-dev).
#pragma once

#include <volute/io/npy.hpp>
#include <volute/io/parameters.hpp>

#include <memory>

#include <zip.h>

namespace volute {
namespace io {

/// Closes what libzip opened; what was written and not committed is dropped.
struct zip_closer {
  void operator()(zip_t* z) const noexcept { zip_discard(z); }
  void operator()(zip_file_t* f) const noexcept { zip_fclose(f); }
  void operator()(zip_source_t* s) const noexcept { zip_source_free(s); }
};
template <class T>
using zip_handle = std::unique_ptr<T, zip_closer>;

/// Where libzip says what failed.
struct zip_failure {
  zip_error_t error;
  explicit zip_failure(int code = ZIP_ER_OK) noexcept { zip_error_init_with_code(&error, code); }
  zip_failure(const zip_failure&) = delete;
  zip_failure& operator=(const zip_failure&) = delete;
  ~zip_failure() { zip_error_fini(&error); }
  std::string text() { return zip_error_strerror(&error); }
};

/// A tensor of a .npz file: `begin` counts within its member.
struct npz_tensor : tensor_info {
  bool fortran_order = false;
  std::uint64_t member = 0;
};

}  // namespace io

inline namespace VOLUTE_ERRORS {

/// A .npz file that is open for reading, at a path or in memory. Opening it reads and checks the list of members and the .npy header of
/// each: a member's size, as the list has it, must be what its header says, so a tensor that has been compared with what is wanted costs no
/// more than that. Members are stored or deflated, as np.savez and np.savez_compressed write them; all must be .npy files of little-endian
/// numbers. What is named try_ returns errors, the rest throws them.
class npz_file {
 public:
  /// Opens and checks it. Throws file_error.
  explicit npz_file(const io::source& from) : npz_file(io::demand(open(from))) {}

  /// The same, with the error as a value.
  static result<npz_file> open(const io::source& from) {
    npz_file f;
    f.path_ = from.path();
    if (status s = f.read_members(from); !s) return s;
    return f;
  }

  /// Its path, or the name that stands for memory.
  const std::string& path() const noexcept { return path_; }
  /// By name, without ".npy": dtype, shape and place.
  const std::map<std::string, io::npz_tensor, std::less<>>& tensors() const noexcept { return tensors_; }

  /// Tensors are unpacked: none can be read where it lies.
  static std::span<const std::byte> view(const io::npz_tensor&) noexcept { return {}; }
  /// The bytes of one of the tensors, in row-major order. Its checksum is compared.
  status try_read(const io::npz_tensor& t, std::span<std::byte> to) const {
    member_stream in(*this, t.member, path_ + ": member " + io::shown(zip_get_name(archive_.get(), t.member, 0)));
    std::vector<std::byte> bytes(t.begin);
    if (status s = in.read(bytes); !s) return s;
    if (t.fortran_order) {
      bytes.resize(t.bytes);
      if (status s = in.read(bytes); !s) return s;
      io::to_row_major(bytes, to, t.shape, io::bytes_of(t.type));
    } else {
      if (status s = in.read(to); !s) return s;
    }
    return in.end();
  }
  void read(const io::npz_tensor& t, std::span<std::byte> to) const { io::demand(try_read(t, to)); }

 private:
  /// The bytes of a member, from its first on.
  class member_stream {
   public:
    member_stream(const npz_file& file, std::uint64_t i, std::string what)
        : archive_(file.archive_.get()), file_(zip_fopen_index(archive_, i, 0)), what_(std::move(what)) {}
    status read(std::span<std::byte> to) {
      if (!file_) return io::file_failure(what_ + ": " + zip_strerror(archive_));
      while (!to.empty()) {
        const zip_int64_t n = zip_fread(file_.get(), to.data(), to.size());
        if (n < 0) return failure();
        if (n == 0) return io::file_failure(what_ + ": ends before its size");
        to = to.subspan(static_cast<std::size_t>(n));
      }
      return {};
    }
    status end() {  // libzip compares the checksum and the size at the end
      std::byte more;
      const zip_int64_t n = zip_fread(file_.get(), &more, 1);
      return n < 0 ? failure() : n == 0 ? status() : io::file_failure(what_ + ": goes on after its size");
    }

   private:
    zip_t* archive_;
    io::zip_handle<zip_file_t> file_;
    std::string what_;

    status failure() const { return io::file_failure(what_ + ": " + zip_file_strerror(file_.get())); }
  };

  npz_file() = default;

  status open_archive(const io::source& from) {
    io::zip_failure failure;
    int error = 0;
    if (from.in_memory()) {
      io::zip_handle<zip_source_t> bytes(zip_source_buffer_create(from.bytes().data(), from.bytes().size(), 0, &failure.error));
      if (bytes) archive_.reset(zip_open_from_source(bytes.get(), ZIP_RDONLY | ZIP_CHECKCONS, &failure.error));
      if (archive_) bytes.release();  // the archive's now
      error = zip_error_code_zip(&failure.error);
    } else {
      archive_.reset(zip_open(path_.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &error));
    }
    if (archive_) return {};
    if (error == ZIP_ER_EXISTS) return io::file_failure(path_ + ": expected members of different names, found one twice");
    return io::file_failure(path_ + ": expected a .npz file: " + io::zip_failure(error).text());
  }
  status read_members(const io::source& from) {
    const auto file = io::input_file::open(from);
    if (!file) return file;
    std::uint64_t rest = file->size();
    if (rest < 22) return io::file_failure(path_ + ": expected a .npz file, found " + std::to_string(rest) + " bytes");
    if (status s = open_archive(from); !s) return s;
    const auto count = static_cast<std::uint64_t>(zip_get_num_entries(archive_.get(), 0));
    for (std::uint64_t i = 0; i < count; ++i) {
      zip_stat_t s;
      if (zip_stat_index(archive_.get(), i, 0, &s) != 0) return io::file_failure(path_ + ": " + zip_strerror(archive_.get()));
      std::string name = s.name;
      const std::string what = path_ + ": member " + io::shown(name);
      if (!name.ends_with(".npy")) return io::file_failure(what + ": expected a name that ends in .npy");
      if (s.comp_method != ZIP_CM_STORE && s.comp_method != ZIP_CM_DEFLATE)
        return io::file_failure(what + ": expected it stored or deflated, found method " + std::to_string(s.comp_method));
      // Members that share bytes would make a small file much work.
      if (s.comp_size > rest) return io::file_failure(what + ": expected members of their own bytes, found more than the file has");
      rest -= s.comp_size;
      member_stream in(*this, i, what);
      const auto h = io::read_npy_header(what, s.size, [&](std::span<std::byte> to) { return in.read(to); });
      if (!h) return h;
      name.resize(name.size() - 4);
      if (!tensors_.try_emplace(name, io::npz_tensor{{h->type, h->shape, h->data, s.size - h->data}, h->fortran_order, i}).second)
        return io::file_failure(what + ": expected once, found twice");  // in two encodings of the name
    }
    return {};
  }

  std::string path_;
  io::zip_handle<zip_t> archive_;
  std::map<std::string, io::npz_tensor, std::less<>> tensors_;
};

/// How save_npz writes: as np.savez or as np.savez_compressed.
enum class npz { stored, deflated };

/// Reads the parameters and states of a model, program or trainer from a .npz file, member "0.weight.npy" for the parameter 0.weight. As
/// try_load() in all: paths and memory, options, which numbers fit, and that after an error the parameters are unchanged.
template <class P>
requires loadable<std::remove_reference_t<P>> result<load_report> try_load_npz(P&& p, const io::source& from,
                                                                               const load_options& options = {}) {
  const auto file = npz_file::open(from);
  if (!file) return static_cast<const status&>(file);
  return io::fill_parameters(*file, p, options);
}

/// Writes the parameters and states of a model, program or trainer, to a path or into a std::vector<std::byte>; np.load(path)["0.weight"]
/// reads one. The same parameters give the same bytes. Atomic, as write_atomically is; the archive is made in memory.
template <class P>
requires has_parameters<std::remove_reference_t<P>> status try_save_npz(P&& p, const io::target& to, npz how = npz::stored) {
  const auto tensors = io::parameters_of(p);
  std::vector<std::string> starts;  // libzip reads them, and the tensors, when it closes the archive
  for (const auto& t : tensors) starts.push_back(io::npy_start(t.type, t.shape));

  io::zip_failure failure;
  const auto failed_at = [&](const std::string& what, auto* from) {
    return io::file_failure(to.path() + what + ": " + zip_error_strerror(from));
  };
  const io::zip_handle<zip_source_t> made(zip_source_buffer_create(nullptr, 0, 0, &failure.error));
  if (!made) return failed_at("", &failure.error);
  io::zip_handle<zip_t> archive(zip_open_from_source(made.get(), ZIP_CREATE | ZIP_TRUNCATE, &failure.error));
  if (!archive) return failed_at("", &failure.error);
  zip_source_keep(made.get());  // the archive has one reference, we the other
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& t = tensors[i];
    const std::string name = t.name + ".npy", what = ": member " + io::shown(name);
    const auto fragment = [](const auto& s) {  // libzip has no const here, and writes nothing
      return zip_buffer_fragment_t{const_cast<zip_uint8_t*>(reinterpret_cast<const zip_uint8_t*>(s.data())), s.size()};
    };
    const zip_buffer_fragment_t parts[]{fragment(starts[i]), fragment(t.bytes)};
    io::zip_handle<zip_source_t> source(zip_source_buffer_fragment_create(parts, t.bytes.empty() ? 1 : 2, 0, &failure.error));
    if (!source) return failed_at(what, &failure.error);
    const zip_int64_t index = zip_file_add(archive.get(), name.c_str(), source.get(), ZIP_FL_ENC_UTF_8);
    if (index < 0) return failed_at(what, zip_get_error(archive.get()));
    source.release();  // the archive's now
    const auto member = static_cast<zip_uint64_t>(index);
    if (zip_set_file_compression(archive.get(), member, how == npz::stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 0) != 0 ||
        zip_file_set_dostime(archive.get(), member, 0, 1 << 5 | 1, 0) != 0)  // 1980-01-01, NumPy's too
      return failed_at(what, zip_get_error(archive.get()));
  }
  if (zip_close(archive.get()) != 0) return failed_at("", zip_get_error(archive.get()));
  archive.release();

  std::vector<std::byte> bytes;
  if (tensors.empty()) {  // libzip makes no archive without members: the record that ends one
    bytes.resize(22);
    std::memcpy(bytes.data(), "PK\5\6", 4);
  } else {
    zip_stat_t s;
    if (zip_source_stat(made.get(), &s) != 0 || zip_source_open(made.get()) != 0) return failed_at("", zip_source_error(made.get()));
    bytes.resize(s.size);
    const bool whole = zip_source_read(made.get(), bytes.data(), bytes.size()) == static_cast<zip_int64_t>(bytes.size());
    if (!whole) return failed_at("", zip_source_error(made.get()));
    zip_source_close(made.get());
  }
  const std::span<const std::byte> parts[]{bytes};
  return io::write_whole(to, parts);
}

/// The same; throws file_error and shape_error.
template <class P>
requires loadable<std::remove_reference_t<P>> load_report load_npz(P&& p, const io::source& from, const load_options& options = {}) {
  return io::demand(try_load_npz(p, from, options));
}
/// The same; throws file_error.
template <class P>
requires has_parameters<std::remove_reference_t<P>>
void save_npz(P&& p, const io::target& to, npz how = npz::stored) { io::demand(try_save_npz(p, to, how)); }

}  // namespace VOLUTE_ERRORS
}  // namespace volute
