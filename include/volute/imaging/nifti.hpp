// Images in NIfTI-1 files, .nii and .nii.gz. Needs libnifti and zlib (Debian: libnifti-dev), as CMake's target volute::nifti names them.
#pragma once

#include <volute/imaging/image.hpp>
#include <volute/io/file.hpp>

#include <nifti1_io.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace volute::imaging {
namespace detail {

struct nifti_closer {
  void operator()(nifti_image* i) const noexcept { nifti_image_free(i); }
};
using nifti_handle = std::unique_ptr<nifti_image, nifti_closer>;

/// A file that is read forwards, compressed or not.
class unpacked_file {
 public:
  explicit unpacked_file(const std::string& path) : file_(gzopen(path.c_str(), "rb")) {}
  unpacked_file(const unpacked_file&) = delete;
  unpacked_file& operator=(const unpacked_file&) = delete;
  ~unpacked_file() {
    if (file_ != nullptr) gzclose(file_);
  }
  /// Whether there were so many bytes.
  bool read(std::span<std::byte> to) {
    while (!to.empty() && file_ != nullptr) {
      const int n = gzread(file_, to.data(), static_cast<unsigned>(std::min<std::size_t>(to.size(), 1 << 30)));
      if (n <= 0) return false;
      to = to.subspan(static_cast<std::size_t>(n));
    }
    return file_ != nullptr;
  }
  bool skip(std::uint64_t bytes) {
    std::vector<std::byte> room(std::min<std::uint64_t>(bytes, 1 << 20));
    for (; bytes > 0; bytes -= std::min<std::uint64_t>(bytes, room.size()))
      if (!read(std::span(room).first(std::min<std::uint64_t>(bytes, room.size())))) return false;
    return true;
  }
  /// Whether it is compressed, whatever its name says.
  bool packed() { return file_ != nullptr && gzdirect(file_) == 0; }
  /// Reads on; false if the checksum at the end is another, or missing. More bytes than expected are none of our business.
  bool ends_well() {
    std::byte more;
    return gzread(file_, &more, 1) >= 0;
  }

 private:
  gzFile file_;
};

/// f(T{}) of the element type of a file; whether it is one that is read.
template <class F>
bool with_type(int datatype, const F& f) {
  switch (datatype) {
    case DT_UINT8:
      return f(std::uint8_t{}), true;
    case DT_INT8:
      return f(std::int8_t{}), true;
    case DT_INT16:
      return f(std::int16_t{}), true;
    case DT_UINT16:
      return f(std::uint16_t{}), true;
    case DT_INT32:
      return f(std::int32_t{}), true;
    case DT_UINT32:
      return f(std::uint32_t{}), true;
    case DT_INT64:
      return f(std::int64_t{}), true;
    case DT_UINT64:
      return f(std::uint64_t{}), true;
    case DT_FLOAT32:
      return f(float{}), true;
    case DT_FLOAT64:
      return f(double{}), true;
    default:
      return false;
  }
}
template <class T>
constexpr int datatype_of() {
  return std::is_same_v<T, std::uint8_t>    ? DT_UINT8
         : std::is_same_v<T, std::int8_t>   ? DT_INT8
         : std::is_same_v<T, std::int16_t>  ? DT_INT16
         : std::is_same_v<T, std::uint16_t> ? DT_UINT16
         : std::is_same_v<T, std::int32_t>  ? DT_INT32
         : std::is_same_v<T, std::uint32_t> ? DT_UINT32
         : std::is_same_v<T, float>         ? DT_FLOAT32
         : std::is_same_v<T, double>        ? DT_FLOAT64
                                            : 0;
}

/// A number of a file as another type: whole numbers are rounded, and held at the ends of what the type has.
template <class T>
T number(double v) {
  return std::isfinite(v) ? rounded<T>(v) : T(0);
}
/// Numbers of a file as another type: what is whole on both sides, and not scaled, keeps all its digits.
template <class T, class From>
void numbers(const From* from, std::size_t n, bool scales, double slope, double offset, T* to) {
  if constexpr (std::is_integral_v<T> && std::is_integral_v<From> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>)
    if (!scales) {
      using limits = std::numeric_limits<T>;
      std::transform(from, from + n, to, [](From v) {
        return std::cmp_less(v, limits::min()) ? limits::min() : std::cmp_greater(v, limits::max()) ? limits::max() : static_cast<T>(v);
      });
      return;
    }
  std::transform(from, from + n, to, [&](From v) { return number<T>(static_cast<double>(v) * slope + offset); });
}

inline bool ends_with_nifti(const std::string& path) { return path.ends_with(".nii") || path.ends_with(".nii.gz"); }

/// Of a file's unit of length.
inline double millimetres(const nifti_image& n) {
  return n.xyz_units == NIFTI_UNITS_METER ? 1e3 : n.xyz_units == NIFTI_UNITS_MICRON ? 1e-3 : 1;
}
inline grid grid_of(const nifti_image& n) {
  grid g;
  g.extent = {std::max(n.nz, 1), std::max(n.ny, 1), std::max(n.nx, 1)};
  g.code = n.sform_code > 0 ? n.sform_code : n.qform_code > 0 ? n.qform_code : 0;
  const mat44& m = n.sform_code > 0 ? n.sto_xyz : n.qto_xyz;  // without either, libnifti makes qto_xyz of the spacing
  const double unit = millimetres(n);
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 4; ++c) g.affine[r][c] = unit * static_cast<double>(m.m[r][c]);
  return g;
}
inline bool is_space(const grid& g) {
  const auto& a = g.affine;
  double det = 0;
  for (std::size_t c = 0; c < 3; ++c) det += a[0][c] * (a[1][(c + 1) % 3] * a[2][(c + 2) % 3] - a[1][(c + 2) % 3] * a[2][(c + 1) % 3]);
  return std::isfinite(det) && det != 0 && std::isfinite(a[0][3]) && std::isfinite(a[1][3]) && std::isfinite(a[2][3]);
}

/// What deflates to parts one behind the other, as gzip writes it; empty: it did not.
inline std::vector<std::byte> gzipped(std::span<const std::span<const std::byte>> parts) {
  constexpr int gzip = 16;
  z_stream z{};
  if (deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + gzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::vector<std::byte> packed, piece(1 << 18);
  int state = Z_OK;
  for (std::size_t i = 0; i < parts.size(); ++i)
    for (std::size_t at = 0; at < parts[i].size() && state == Z_OK;) {
      const std::size_t n = std::min<std::size_t>(parts[i].size() - at, 1 << 20);
      z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(parts[i].data() + at)), z.avail_in = static_cast<uInt>(n);
      at += n;
      const bool last = i + 1 == parts.size() && at == parts[i].size();
      do {
        z.next_out = reinterpret_cast<Bytef*>(piece.data()), z.avail_out = static_cast<uInt>(piece.size());
        state = deflate(&z, last ? Z_FINISH : Z_NO_FLUSH);
        packed.insert(packed.end(), piece.begin(), piece.end() - static_cast<std::ptrdiff_t>(z.avail_out));
      } while (z.avail_out == 0 && state == Z_OK);
    }
  deflateEnd(&z);
  return state == Z_STREAM_END ? packed : std::vector<std::byte>();
}

/// What is wrong with a header before libnifti looks at it.
inline status check_header(const std::string& path, nifti_1_header h) {
  const bool swapped = h.sizeof_hdr != sizeof h;
  if (swapped) swap_nifti_header(&h, 1);
  if (h.sizeof_hdr != sizeof h || std::string_view(h.magic, 4) != std::string_view("n+1", 4))
    return io::file_failure(path + ": expected a NIfTI-1 file, found no such header");
  bool dims = h.dim[0] >= 1 && h.dim[0] <= 7;
  for (int a = 1; dims && a <= h.dim[0]; ++a) dims = h.dim[a] >= 1;
  if (!dims) return io::file_failure(path + ": expected 1 to 7 extents of 1 or more");
  if (!with_type(h.datatype, [](auto) {}))
    return io::file_failure(path + ": expected whole or real numbers, found " + nifti_datatype_string(h.datatype));
  if (std::isfinite(h.scl_slope) && h.scl_slope != 0 && !std::isfinite(h.scl_inter))
    return io::file_failure(path + ": expected a finite scl_inter, found " + std::to_string(h.scl_inter));
  if (!(h.vox_offset >= static_cast<float>(sizeof h) && h.vox_offset <= 1e9f))
    return io::file_failure(path + ": expected the voxels behind the header, found them at " + std::to_string(h.vox_offset));
  return {};
}

/// What stands before the voxels.
inline status read_header(const std::string& path, unpacked_file& in, nifti_handle& n) {
  nifti_1_header header{};
  if (!in.read(std::as_writable_bytes(std::span(&header, 1))))
    return io::file_failure(path + ": expected a NIfTI-1 file, found no such header");
  if (status s = check_header(path, header); !s) return s;
  nifti_set_debug_level(0);
  n.reset(nifti_convert_nhdr2nim(header, nullptr));
  if (!n) return io::file_failure(path + ": expected a NIfTI-1 file, found no such header");
  return {};
}

/// Bytes before the wanted frame, if the file can hold all that its header says.
inline result<std::uint64_t> frame_begin(const std::string& path, std::uint64_t file_bytes, bool packed, const nifti_image& n,
                                         std::int64_t frame) {
  const double voxels = static_cast<double>(n.nx) * n.ny * n.nz;
  double frames = 1;
  for (int a = 4; a <= 7; ++a) frames *= std::max(n.dim[a], 1);
  if (!is_space(grid_of(n))) return io::file_failure(path + ": expected axes that span a space, found an affine without inverse");
  // A byte of a deflated file stands for 1032 at most.
  const double needed = voxels * frames * n.nbyper + n.iname_offset;
  if (needed > static_cast<double>(file_bytes) * (packed ? 1032 : 1))
    return io::file_failure(path + ": ends before its voxels: " + std::to_string(n.nx) + " x " + std::to_string(n.ny) + " x " +
                            std::to_string(n.nz) +
                            (frames > 1 ? " and " + std::to_string(static_cast<std::int64_t>(frames)) + " frames" : "") + " in " +
                            std::to_string(file_bytes) + " bytes");
  if (frame < 0 || static_cast<double>(frame) >= frames)
    return io::shape_failure(path + ": expected a frame below " + std::to_string(static_cast<std::int64_t>(frames)) + ", found " +
                             std::to_string(frame));
  return static_cast<std::uint64_t>(n.iname_offset) - sizeof(nifti_1_header) +
         static_cast<std::uint64_t>(frame) * static_cast<std::uint64_t>(voxels) * static_cast<std::uint64_t>(n.nbyper);
}

}  // namespace detail

inline namespace VOLUTE_ERRORS {

/// A volume of a NIfTI-1 file in the file's units (scl_slope and scl_inter applied), as (z, y, x) and where it lies: by the sform, else the
/// qform, else the spacing. `frame` counts what lies behind the third dimension. Whole types are rounded to and held within their range;
/// NaN and infinities become 0. What is wrong with a file is one error that begins with its path.
template <class T = float>
result<image<T>> try_read_nifti(const std::string& path, std::int64_t frame = 0) {
  const auto file = io::input_file::open(path);
  if (!file) return static_cast<const status&>(file);
  if (!detail::ends_with_nifti(path)) return io::file_failure(path + ": expected a name that ends in .nii or .nii.gz");
  detail::unpacked_file in(path);
  detail::nifti_handle n;
  if (status s = detail::read_header(path, in, n); !s) return s;
  const auto begin = detail::frame_begin(path, file->size(), in.packed(), *n, frame);
  if (!begin) return static_cast<const status&>(begin);

  image<T> result{tensor_of<T>(detail::grid_of(*n).extent), detail::grid_of(*n)};
  std::vector<std::byte> bytes(result.voxels.size() * static_cast<std::size_t>(n->nbyper));
  if (!in.skip(*begin) || !in.read(bytes) || !in.ends_well()) return io::file_failure(path + ": ends before its voxels, or is damaged");
  if (n->swapsize > 1 && n->byteorder != nifti_short_order()) nifti_swap_Nbytes(result.voxels.size(), n->swapsize, bytes.data());
  const bool scales = n->scl_slope != 0 && std::isfinite(n->scl_slope);
  const double slope = scales ? static_cast<double>(n->scl_slope) : 1, offset = scales ? static_cast<double>(n->scl_inter) : 0;
  detail::with_type(n->datatype, [&]<class From>(From) {
    detail::numbers(reinterpret_cast<const From*>(bytes.data()), result.voxels.size(), slope != 1 || offset != 0, slope, offset,
                    result.voxels.data());
  });
  return result;
}

/// Millimetres along depth, height and width as the header's pixdim says them, which may differ by a rounding from what the affine says.
/// (ITK's and nibabel's spacing.)
inline result<std::array<double, 3>> try_read_nifti_spacing(const std::string& path) {
  if (const auto file = io::input_file::open(path); !file) return static_cast<const status&>(file);
  detail::unpacked_file in(path);
  detail::nifti_handle n;
  if (status s = detail::read_header(path, in, n); !s) return s;
  const double unit = detail::millimetres(*n);
  return std::array<double, 3>{unit * std::abs(static_cast<double>(n->dz)), unit * std::abs(static_cast<double>(n->dy)),
                               unit * std::abs(static_cast<double>(n->dx))};
}

/// Writes a volume where it lies, compressed if the name ends in .gz. T: 8, 16 or 32 bits of whole numbers, float, double. Atomic, as
/// io::write_atomically is. Voxels that are not their grid's, and a grid that could not be read back, are a shape failure.
template <class T>
status try_write_nifti(const std::string& path, const image<T>& x) {
  static_assert(detail::datatype_of<T>() != 0, "a voxel type of NIfTI");
  if (!detail::ends_with_nifti(path)) return io::file_failure(path + ": expected a name that ends in .nii or .nii.gz");
  const size3& e = x.at.extent;
  for (int a = 0; a < 3; ++a)
    if (e[a] < 1 || e[a] > 32767) return io::shape_failure(path + ": expected extents of 1 to 32767, found " + std::to_string(e[a]));
  if (!(extent_of(x.voxels) == e))
    return io::shape_failure(path + ": expected the voxels of its grid, " + format_shape(std::array<std::int64_t, 3>{e.d, e.h, e.w}) +
                             ", found " + format_shape(x.voxels.shape()));
  if (!detail::is_space(x.at)) return io::shape_failure(path + ": expected axes that span a space, found an affine without inverse");
  const int dims[8]{3, static_cast<int>(e.w), static_cast<int>(e.h), static_cast<int>(e.d), 1, 1, 1, 1};
  const detail::nifti_handle n(nifti_make_new_nim(dims, detail::datatype_of<T>(), 0));
  if (!n) return io::file_failure(path + ": no memory for a header");
  const auto s = spacing(x.at);
  n->dx = n->pixdim[1] = static_cast<float>(s[2]), n->dy = n->pixdim[2] = static_cast<float>(s[1]),
  n->dz = n->pixdim[3] = static_cast<float>(s[0]);
  n->xyz_units = NIFTI_UNITS_MM;
  bool plain = true;  // an affine that the spacing says, and that needs no code
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 4; ++c) {
      n->sto_xyz.m[r][c] = static_cast<float>(x.at.affine[r][c]);
      plain = plain && (r == c ? x.at.affine[r][c] > 0 : x.at.affine[r][c] == 0);
    }
  n->sto_xyz.m[3][3] = 1;
  n->sform_code = n->qform_code = x.at.code > 0 ? x.at.code : plain ? NIFTI_XFORM_UNKNOWN : NIFTI_XFORM_ALIGNED_ANAT;
  float spare[3];
  nifti_mat44_to_quatern(n->sto_xyz, &n->quatern_b, &n->quatern_c, &n->quatern_d, &n->qoffset_x, &n->qoffset_y, &n->qoffset_z, &spare[0],
                         &spare[1], &spare[2], &n->qfac);
  const mat44 turned = nifti_quatern_to_mat44(n->quatern_b, n->quatern_c, n->quatern_d, n->qoffset_x, n->qoffset_y, n->qoffset_z, n->dx,
                                              n->dy, n->dz, n->qfac);
  for (std::size_t r = 0; r < 3; ++r)
    for (std::size_t c = 0; c < 3; ++c)  // of axes that are not at right angles the qform says nothing, instead of another place
      if (std::abs(turned.m[r][c] - n->sto_xyz.m[r][c]) > 1e-3f * n->pixdim[c + 1]) n->qform_code = NIFTI_XFORM_UNKNOWN;
  nifti_1_header header = nifti_convert_nim2nhdr(n.get());
  header.vox_offset = 352;
  std::vector<std::byte> start(352);  // and no extensions
  std::memcpy(start.data(), &header, sizeof header);
  const std::span<const std::byte> parts[]{start, std::as_bytes(std::span(x.voxels.data(), x.voxels.size()))};
  if (!path.ends_with(".gz")) return io::write_whole(path, parts);
  const auto packed = detail::gzipped(parts);
  if (packed.empty()) return io::file_failure(path + ": cannot be compressed");
  const std::span<const std::byte> whole[]{packed};
  return io::write_whole(path, whole);
}

/// The same; throw file_error and shape_error.
template <class T = float>
image<T> read_nifti(const std::string& path, std::int64_t frame = 0) {
  return io::demand(try_read_nifti<T>(path, frame));
}
inline std::array<double, 3> read_nifti_spacing(const std::string& path) { return io::demand(try_read_nifti_spacing(path)); }
template <class T>
void write_nifti(const std::string& path, const image<T>& x) {
  io::demand(try_write_nifti(path, x));
}

}  // namespace VOLUTE_ERRORS
}  // namespace volute::imaging
