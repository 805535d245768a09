// Parameters of models and programs in NumPy's .npz files: zip archives with one .npy file a tensor. Needs libzip (Debian: libzip-dev).
#pragma once

#include <volute/io/npy.hpp>
#include <volute/io/parameters.hpp>

#include <memory>

#include <zip.h>

namespace volute {
namespace io {

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

/// A .npz file that is open for reading. The constructor reads and checks the list of members and the .npy header of each: a member's size,
/// as the list has it, must be what its header says, so a tensor that has been compared with what is wanted costs no more than that.
/// Members are stored or deflated, as np.savez and np.savez_compressed write them; all must be .npy files of little-endian numbers. Throws
/// file_error.
class npz_file {
 public:
  explicit npz_file(const std::string& path) : path_(path) {
    const io::input_file file(path);
    if (file.size() < 22) throw file_error(path + ": expected a .npz file, found " + std::to_string(file.size()) + " bytes");
    int error = 0;
    archive_.reset(zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &error));
    if (error == ZIP_ER_EXISTS) throw file_error(path + ": expected members of different names, found one twice");
    if (!archive_) throw file_error(path + ": expected a .npz file: " + io::zip_failure(error).text());
    std::uint64_t rest = file.size();
    const auto count = static_cast<std::uint64_t>(zip_get_num_entries(archive_.get(), 0));
    for (std::uint64_t i = 0; i < count; ++i) {
      zip_stat_t s;
      if (zip_stat_index(archive_.get(), i, 0, &s) != 0) throw file_error(path + ": " + zip_strerror(archive_.get()));
      std::string name = s.name;
      const std::string what = path + ": member " + io::shown(name);
      if (!name.ends_with(".npy")) throw file_error(what + ": expected a name that ends in .npy");
      if (s.comp_method != ZIP_CM_STORE && s.comp_method != ZIP_CM_DEFLATE)
        throw file_error(what + ": expected it stored or deflated, found method " + std::to_string(s.comp_method));
      // Members that share bytes would make a small file much work.
      if (s.comp_size > rest) throw file_error(what + ": expected members of their own bytes, found more than the file has");
      rest -= s.comp_size;
      member_stream in(*this, i, what);
      const io::npy_header h = io::read_npy_header(what, s.size, [&](std::span<std::byte> to) { in.read(to); });
      name.resize(name.size() - 4);
      if (!tensors_.try_emplace(name, io::npz_tensor{{h.type, h.shape, h.data, s.size - h.data}, h.fortran_order, i}).second)
        throw file_error(what + ": expected once, found twice");  // in two encodings of the name
    }
  }

  const std::string& path() const noexcept { return path_; }
  /// By name, without ".npy": dtype, shape and place.
  const std::map<std::string, io::npz_tensor, std::less<>>& tensors() const noexcept { return tensors_; }

  /// The bytes of one of the tensors, in row-major order. Its checksum is compared.
  void read(const io::npz_tensor& t, std::span<std::byte> to) const {
    member_stream in(*this, t.member, path_ + ": member " + io::shown(zip_get_name(archive_.get(), t.member, 0)));
    std::vector<std::byte> bytes(t.begin);
    in.read(bytes);
    if (t.fortran_order) {
      bytes.resize(t.bytes);
      in.read(bytes);
      io::to_row_major(bytes, to, t.shape, io::bytes_of(t.type));
    } else {
      in.read(to);
    }
    in.end();
  }

 private:
  /// The bytes of a member, from its first on.
  class member_stream {
   public:
    member_stream(const npz_file& file, std::uint64_t i, std::string what)
        : file_(zip_fopen_index(file.archive_.get(), i, 0)), what_(std::move(what)) {
      if (!file_) throw file_error(what_ + ": " + zip_strerror(file.archive_.get()));
    }
    void read(std::span<std::byte> to) {
      while (!to.empty()) {
        const std::size_t n = some(to);
        if (n == 0) throw file_error(what_ + ": ends before its size");
        to = to.subspan(n);
      }
    }
    void end() {  // libzip compares the checksum and the size at the end
      std::byte more;
      if (some({&more, 1}) != 0) throw file_error(what_ + ": goes on after its size");
    }

   private:
    io::zip_handle<zip_file_t> file_;
    std::string what_;

    std::size_t some(std::span<std::byte> to) {
      const zip_int64_t n = zip_fread(file_.get(), to.data(), to.size());
      if (n < 0) throw file_error(what_ + ": " + zip_file_strerror(file_.get()));
      return static_cast<std::size_t>(n);
    }
  };

  std::string path_;
  io::zip_handle<zip_t> archive_;
  std::map<std::string, io::npz_tensor, std::less<>> tensors_;
};

/// How save_npz writes: as np.savez or as np.savez_compressed.
enum class npz { stored, deflated };

/// Reads the parameters and states of a model, program or trainer from a .npz file, member "0.weight.npy" for the parameter 0.weight. As
/// load() in all: options, element types (half precision, float and double become its own), file_error and shape_error, and that after any
/// exception the parameters are unchanged.
template <has_parameters P>
load_report load_npz(P& p, const std::string& path, const load_options& options = {}) {
  const npz_file file(path);
  std::vector<io::memory_tensor<std::byte>> wanted;
  io::append_tensors(p.parameter_table(), options.prefix, wanted, options.rename);
  return io::fill(file, wanted, io::conversion::reals, options);
}

/// Writes the parameters and states of a model, program or trainer; np.load(path)["0.weight"] reads one. The same parameters give the same
/// bytes. Atomic, as write_atomically is; the archive is made in memory. Throws file_error.
template <has_parameters P>
void save_npz(P& p, const std::string& path, npz how = npz::stored) {
  std::vector<io::memory_tensor<std::byte>> tensors;
  io::append_tensors(p.parameter_table(), "", tensors);
  std::vector<std::string> starts;  // libzip reads them, and the tensors, when it closes the archive
  for (const auto& t : tensors) starts.push_back(io::npy_start(t.type, t.shape));

  io::zip_failure failure;
  const auto check = [&](bool good, const std::string& what, auto* from) {
    if (!good) throw file_error(path + what + ": " + zip_error_strerror(from));
  };
  const io::zip_handle<zip_source_t> target(zip_source_buffer_create(nullptr, 0, 0, &failure.error));
  check(target != nullptr, "", &failure.error);
  io::zip_handle<zip_t> archive(zip_open_from_source(target.get(), ZIP_CREATE | ZIP_TRUNCATE, &failure.error));
  check(archive != nullptr, "", &failure.error);
  zip_source_keep(target.get());  // the archive has one reference, we the other
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& t = tensors[i];
    const std::string name = t.name + ".npy", what = ": member " + io::shown(name);
    const zip_buffer_fragment_t parts[]{{reinterpret_cast<zip_uint8_t*>(starts[i].data()), starts[i].size()},
                                        {reinterpret_cast<zip_uint8_t*>(t.bytes.data()), t.bytes.size()}};
    io::zip_handle<zip_source_t> source(zip_source_buffer_fragment_create(parts, t.bytes.empty() ? 1 : 2, 0, &failure.error));
    check(source != nullptr, what, &failure.error);
    const zip_int64_t index = zip_file_add(archive.get(), name.c_str(), source.get(), ZIP_FL_ENC_UTF_8);
    check(index >= 0, what, zip_get_error(archive.get()));
    source.release();  // the archive's now
    const auto member = static_cast<zip_uint64_t>(index);
    check(zip_set_file_compression(archive.get(), member, how == npz::stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 0) == 0 &&
              zip_file_set_dostime(archive.get(), member, 0, 1 << 5 | 1, 0) == 0,  // 1980-01-01, NumPy's too
          what, zip_get_error(archive.get()));
  }
  check(zip_close(archive.get()) == 0, "", zip_get_error(archive.get()));
  archive.release();

  std::vector<std::byte> bytes;
  if (tensors.empty()) {  // libzip makes no archive without members: the record that ends one
    bytes.resize(22);
    std::memcpy(bytes.data(), "PK\5\6", 4);
  } else {
    zip_stat_t s;
    check(zip_source_stat(target.get(), &s) == 0 && zip_source_open(target.get()) == 0, "", zip_source_error(target.get()));
    bytes.resize(s.size);
    const bool whole = zip_source_read(target.get(), bytes.data(), bytes.size()) == static_cast<zip_int64_t>(bytes.size());
    check(whole, "", zip_source_error(target.get()));
    zip_source_close(target.get());
  }
  const std::span<const std::byte> parts[]{bytes};
  io::write_atomically(path, parts);
}

}  // namespace volute
