// NumPy's .npy files, read and written with every check. (xtensor's xnpy.hpp trusts what it reads: a file that ends early gives
// uninitialised numbers, and sizes may overflow.)
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/io/dtype.hpp>
#include <volute/runtime/bind.hpp>

namespace volute {
namespace io {

/// NumPy's name of an element type, without the byte order.
constexpr std::string_view npy_name(dtype t) {
  constexpr std::pair<dtype, std::string_view> names[]{{dtype::boolean, "b1"}, {dtype::u8, "u1"},  {dtype::i8, "i1"},  {dtype::u16, "u2"},
                                                       {dtype::i16, "i2"},     {dtype::f16, "f2"}, {dtype::u32, "u4"}, {dtype::i32, "i4"},
                                                       {dtype::f32, "f4"},     {dtype::u64, "u8"}, {dtype::i64, "i8"}, {dtype::f64, "f8"}};
  for (const auto& [type, name] : names)
    if (type == t) return name;
  return "";
}

/// NumPy's own limit.
inline constexpr std::size_t max_axes = 64;

/// What a .npy header says.
struct npy_header {
  dtype type{};
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::uint64_t data = 0;  ///< where the numbers begin in the file
};

/// Reads the dictionary of a header: a Python literal with the keys descr, fortran_order and shape, in any order, and no others.
class npy_dictionary {
 public:
  npy_dictionary(const std::string& path, std::string_view text, npy_header& header) : path_(path), text_(text), header_(header) {
    if (!read() && outcome_.ok()) refuse("a header", here());
  }
  const status& outcome() const noexcept { return outcome_; }

 private:
  const std::string& path_;
  std::string_view text_;
  npy_header& header_;
  status outcome_;

  bool refuse(const std::string& wanted, const std::string& found) {
    outcome_ = file_failure(path_ + ": header: expected " + wanted + ", found " + found);
    return false;
  }
  std::string here() const { return text_.empty() ? "its end" : shown(text_.substr(0, 20)); }
  void skip() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n')) text_.remove_prefix(1);
  }
  bool word(std::string_view w) {
    skip();
    if (!text_.starts_with(w)) return false;
    text_.remove_prefix(w.size());
    return true;
  }
  bool take(char c) { return word({&c, 1}); }
  bool expect(char c) { return take(c) || refuse(shown({&c, 1}), here()); }

  bool read() {
    unsigned seen = 0;
    if (!expect('{')) return false;
    while (!take('}')) {
      std::string_view key;
      if (!quotation(key)) return false;
      const unsigned bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0 || (seen & bit) != 0) return refuse("descr, fortran_order and shape once each", shown(key));
      seen |= bit;
      if (!expect(':') || !(bit == 1 ? read_type() : bit == 2 ? read_order() : read_shape())) return false;
      if (take(',')) continue;
      if (!expect('}')) return false;
      break;
    }
    if (seen != 7) return refuse("descr, fortran_order and shape", "not all of them");
    skip();
    return text_.empty() || refuse("the end of the header", here());
  }
  bool quotation(std::string_view& s) {
    skip();
    const char mark = text_.starts_with('"') ? '"' : '\'';
    if (!expect(mark)) return false;
    const auto end = text_.find(mark);
    if (end == text_.npos) return refuse("a text that ends", here());
    s = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return true;
  }
  bool read_type() {
    skip();
    if (!text_.starts_with('\'') && !text_.starts_with('"')) return refuse("one element type", here());  // a list: a structure
    std::string_view descr;
    if (!quotation(descr)) return false;
    for (std::size_t i = 0; i < std::size(dtype_rows) && descr.size() == 3; ++i) {
      header_.type = static_cast<dtype>(i);
      if (npy_name(header_.type) == descr.substr(1) && (descr[0] == '<' || (descr[0] == '|' && bytes_of(header_.type) == 1))) return true;
    }
    return refuse("a little-endian number type", shown(descr));
  }
  bool read_order() {
    header_.fortran_order = word("True");
    return header_.fortran_order || word("False") || refuse("True or False", here());
  }
  bool read_shape() {
    const auto digit = [this] { return !text_.empty() && text_.front() >= '0' && text_.front() <= '9'; };
    if (!expect('(')) return false;
    while (!take(')')) {
      if (skip(), !digit()) return refuse("an extent", here());
      std::uint64_t d = 0;
      for (; digit(); text_.remove_prefix(1)) {
        const auto value = static_cast<std::uint64_t>(text_.front() - '0');
        if (!multiply(d, 10, d) || d > std::numeric_limits<std::uint64_t>::max() - value) return refuse("an extent of 64 bits", here());
        d += value;
      }
      header_.shape.push_back(d);
      if (header_.shape.size() > max_axes) return refuse("at most 64 axes", "more");
      if (!take(',')) return header_.shape.size() == 1 ? refuse("a tuple", "a number in parentheses") : expect(')');
    }
    return true;
  }
};

/// Reads the start of a .npy file of `size` bytes, whose next bytes read(span) gives, and compares it with the size.
template <class Read>
result<npy_header> read_npy_header(const std::string& path, std::uint64_t size, Read read) {
  static constexpr std::string_view magic = "\x93NUMPY";
  unsigned char start[12]{};
  const auto bytes = std::as_writable_bytes(std::span(start));
  const auto another = [&] { return file_failure(path + ": expected a .npy file, found another"); };
  if (size < 10) return another();
  if (status s = read(bytes.first(10)); !s) return s;
  if (std::memcmp(start, magic.data(), magic.size()) != 0) return another();
  const unsigned version = start[6];
  if (version < 1 || version > 3 || start[7] != 0)
    return file_failure(path + ": expected version 1.0, 2.0 or 3.0, found " + std::to_string(version) + '.' + std::to_string(start[7]));
  const std::uint64_t before = version == 1 ? 10 : 12;
  if (size < before) return file_failure(path + ": ends in its header");
  if (status s = read(bytes.subspan(10, before - 10)); !s) return s;
  std::uint64_t length = 0;
  for (std::uint64_t i = before; i-- > 8;) length = length << 8 | start[i];
  if (length > std::min<std::uint64_t>(size - before, 1 << 20))
    return file_failure(path + ": header: expected what fits into the file and 1 MB, found " + std::to_string(length) + " bytes");
  std::string text(length, ' ');
  if (status s = read(std::as_writable_bytes(std::span(text))); !s) return s;
  npy_header header;
  if (const npy_dictionary d(path, text, header); !d.outcome()) return d.outcome();
  header.data = before + length;
  const auto wanted = tensor_bytes(header.shape, bytes_of(header.type));
  if (!wanted || *wanted != size - header.data)
    return file_failure(path + ": expected " + (wanted ? std::to_string(*wanted) : "less than 2^63") + " bytes for " + described(header) +
                        ", found " + std::to_string(size - header.data));
  return header;
}

/// Elements from NumPy's Fortran order (first axis fastest) to row-major order.
inline void to_row_major(std::span<const std::byte> from, std::span<std::byte> to, std::span<const std::uint64_t> shape,
                         std::uint64_t element) {
  const std::size_t rank = shape.size();
  std::uint64_t index[max_axes]{}, stride[max_axes]{element};  // vectors draw a false -Wfree-nonheap-object from g++ 12 -O2
  for (std::size_t a = 1; a < rank; ++a) stride[a] = stride[a - 1] * shape[a - 1];
  std::uint64_t at = 0;
  for (; !to.empty(); to = to.subspan(element)) {
    std::memcpy(to.data(), from.data() + at, element);
    for (std::size_t a = rank; a-- > 0;) {  // the next index, last axis first
      at += stride[a];
      if (++index[a] < shape[a]) break;
      at -= stride[a] * shape[a];
      index[a] = 0;
    }
  }
}

/// What stands before the numbers in C order, byte for byte NumPy's.
inline std::string npy_start(dtype type, std::span<const std::uint64_t> extents) {
  std::string shape, head("\x93NUMPY\x01\0\0\0", 10);
  for (const auto d : extents) shape += std::to_string(d) + (extents.size() == 1 ? "," : ", ");
  if (extents.size() > 1) shape.resize(shape.size() - 2);
  head.append("{'descr': '").append(bytes_of(type) == 1 ? "|" : "<").append(npy_name(type));
  head.append("', 'fortran_order': False, 'shape': (").append(shape).append("), }");
  head.resize((head.size() + 64) / 64 * 64, ' ');  // so that the numbers lie aligned
  head.back() = '\n';
  head[8] = static_cast<char>((head.size() - 10) & 255), head[9] = static_cast<char>((head.size() - 10) >> 8);
  return head;
}

/// An open .npy file whose header has been checked against its size.
class npy_file {
 public:
  static result<npy_file> open(const source& from) {
    auto file = input_file::open(from);
    if (!file) return static_cast<status&>(file);
    auto header = read_npy_header(file->path(), file->size(), [&file, at = std::uint64_t{0}](std::span<std::byte> to) mutable {
      at += to.size();
      return file->read(at - to.size(), to);
    });
    if (!header) return static_cast<status&>(header);
    return npy_file(*std::move(file), *std::move(header));
  }
  const npy_header& header() const noexcept { return header_; }
  const std::string& path() const noexcept { return file_.path(); }

  /// The numbers in row-major order, whatever the file's order is. Each must be one of T's (fits), or nothing is written.
  template <storable T>
  status read(std::span<T> to) const {
    const auto& [type, fortran_order, shape, data] = header_;
    const std::size_t size = file_.size() - data;
    std::vector<std::byte> room, rows;
    std::span<const std::byte> bytes = file_.view(data, size);
    if (bytes.data() == nullptr) {
      room.resize(size);
      if (status s = file_.read(data, room); !s) return s;
      bytes = room;
    }
    if (fortran_order) {
      rows.resize(size);
      to_row_major(bytes, rows, shape, bytes_of(type));
      bytes = rows;
    }
    if (const auto at = first_misfit<T>(type, bytes))
      return shape_failure(path() + ": expected what fits " + std::string(name_of(dtype_of<T>())) + ", found " +
                           shown_number(type, bytes, *at, shape) + " in " + std::string(name_of(type)));
    convert<T>(type, bytes, to);
    return {};
  }

 private:
  npy_file(input_file file, npy_header header) : file_(std::move(file)), header_(std::move(header)) {}

  input_file file_;
  npy_header header_;
};

/// Refuses a file of another shape.
template <storable T, class Shape>
status check_npy(const npy_file& file, const Shape& shape, const std::string& what) {
  if (std::equal(file.header().shape.begin(), file.header().shape.end(), shape.begin(), shape.end(),
                 [](auto a, auto b) { return a == static_cast<std::uint64_t>(b); }))
    return {};
  return shape_failure(file.path() + ": " + what + ": expected " + format_shape(shape) + " in what fits " +
                       std::string(name_of(dtype_of<T>())) + ", found " + described(file.header()));
}

}  // namespace io

/// The tensor of a .npy file, at a path or in memory: try_load_npy<float, 5>(path). Each number must be one of T's (io::fits: whole numbers
/// that T has, doubles by rounding); C and Fortran order. An error is of the kind file if the file is not as it should be, and shape if
/// rank or numbers do not fit.
template <io::storable T, std::size_t Rank>
result<xt::xtensor<T, Rank>> try_load_npy(const io::source& from) {
  const auto file = io::npy_file::open(from);
  if (!file) return static_cast<const status&>(file);
  const auto& found = file->header().shape;
  if (found.size() != Rank)
    return io::shape_failure(file->path() + ": expected " + std::to_string(Rank) + " axes in what fits " +
                             std::string(io::name_of(io::dtype_of<T>())) + ", found " + io::described(file->header()));
  std::array<std::size_t, Rank> shape{};
  if constexpr (Rank > 0) std::copy(found.begin(), found.end(), shape.begin());
  xt::xtensor<T, Rank> t(shape);
  if (status s = file->read(std::span<T>(t.data(), t.size())); !s) return s;
  return t;
}

/// A value for an input or parameter, of just its shape: try_load_npy(path, image). In float, or as try_load_npy<double>(...).
template <io::storable T = float, class Node>
requires requires { Node::name.view(), Node::shape(); }
auto try_load_npy(const io::source& from, Node) -> result<owned_tensor<T, Node::shape().rank>> {
  static constexpr extents wanted = Node::shape();
  const auto file = io::npy_file::open(from);
  if (!file) return static_cast<const status&>(file);
  if (status s = io::check_npy<T>(*file, xtensor_shape<wanted>, io::shown(Node::name.view())); !s) return s;
  owned_tensor<T, wanted.rank> t(xtensor_shape<wanted>);
  if (status s = file->read(std::span<T>(t.data(), t.size())); !s) return s;
  return t;
}

/// Into a tensor that is there and dense, for instance m.parameter<"0.weight">(). After an error it is as it was.
template <class Tensor>
requires runtime::shaped<std::remove_cvref_t<Tensor>> status try_load_npy(const io::source& from, Tensor&& to) {
  using T = typename std::remove_cvref_t<Tensor>::value_type;
  const auto file = io::npy_file::open(from);
  if (!file) return static_cast<const status&>(file);
  if (status s = io::check_npy<T>(*file, to.shape(), "tensor"); !s) return s;
  T* const data = runtime::dense_data<T>(to);
  if (data == nullptr)
    return io::shape_failure(file->path() + ": expected a dense row-major tensor to read into, found strides " +
                             format_shape(to.strides()));
  return file->read(std::span<T>(data, to.size()));
}

/// Writes any tensor expression, in its element type and C order, to a path or into a std::vector<std::byte>; np.load reads it. Atomic, as
/// write_atomically is.
template <class Tensor>
requires runtime::shaped<Tensor> status try_save_npy(const io::target& to, const Tensor& tensor) {
  using T = std::remove_cv_t<typename Tensor::value_type>;
  if constexpr (!io::storable<T>) {
    static_assert(sizeof(T) == 0, "volute: save_npy wants whole numbers, float or double");
    return {};
  } else {
    std::vector<T> copy;
    const T* data = runtime::dense_data<T>(tensor);
    if (data == nullptr) copy.assign(tensor.begin(), tensor.end()), data = copy.data();
    const std::vector<std::uint64_t> shape(tensor.shape().begin(), tensor.shape().end());
    const std::string head = io::npy_start(io::dtype_of<T>(), shape);
    const std::span<const std::byte> parts[]{std::as_bytes(std::span(head)), std::as_bytes(std::span(data, tensor.size()))};
    return io::write_whole(to, parts);
  }
}

inline namespace VOLUTE_ERRORS {

/// The same; these throw file_error or shape_error.
template <io::storable T, std::size_t Rank>
xt::xtensor<T, Rank> load_npy(const io::source& from) {
  return io::demand(try_load_npy<T, Rank>(from));
}
template <io::storable T = float, class Node>
requires requires { Node::name.view(), Node::shape(); }
auto load_npy(const io::source& from, Node node) { return io::demand(try_load_npy<T>(from, node)); }
template <class Tensor>
requires runtime::shaped<std::remove_cvref_t<Tensor>>
void load_npy(const io::source& from, Tensor&& to) { io::demand(try_load_npy(from, to)); }
/// Writes a tensor, in row-major order, as NumPy reads it; a file that was there is replaced whole. Throws file_error.
template <class Tensor>
requires runtime::shaped<Tensor>
void save_npy(const io::target& to, const Tensor& tensor) { io::demand(try_save_npy(to, tensor)); }

}  // namespace VOLUTE_ERRORS
}  // namespace volute
