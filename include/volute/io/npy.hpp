// NumPy's .npy files, read and written with every check. (xtensor's xnpy.hpp trusts what it reads: a file that ends early gives
// uninitialised numbers, and sizes may overflow.)
#pragma once

#include <volute/core/xtensor.hpp>
#include <volute/io/dtype.hpp>
#include <volute/runtime/bind.hpp>

#include <cctype>

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

/// The dictionary of a .npy header: a Python literal with the keys descr, fortran_order and shape, in any order, and no others.
class npy_header {
 public:
  dtype type{};
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::uint64_t data = 0;  ///< where the numbers begin in the file

  npy_header(const std::string& path, std::string_view text) : path_(path), text_(text) {
    unsigned seen = 0;
    expect('{');
    while (!take('}')) {
      const std::string_view key = quotation();
      const unsigned bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0 || (seen & bit) != 0) refuse("descr, fortran_order and shape once each", shown(key));
      seen |= bit;
      expect(':');
      if (bit == 1)
        read_type();
      else if (bit == 2)
        fortran_order = word("True") || (!word("False") && (refuse("True or False", here()), false));
      else
        read_shape();
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    if (seen != 7) refuse("descr, fortran_order and shape", "not all of them");
    if (skip(), !text_.empty()) refuse("the end of the header", here());
  }
  std::string described() const { return format_shape(shape) + " in " + std::string(name_of(type)); }

 private:
  const std::string& path_;
  std::string_view text_;

  [[noreturn]] void refuse(const std::string& wanted, const std::string& found) const {
    throw file_error(path_ + ": header: expected " + wanted + ", found " + found);
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
  void expect(char c) {
    if (!take(c)) refuse(shown({&c, 1}), here());
  }
  std::string_view quotation() {
    skip();
    const char mark = text_.starts_with('"') ? '"' : '\'';
    expect(mark);
    const auto end = text_.find(mark);
    if (end == text_.npos) refuse("a text that ends", here());
    const std::string_view s = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return s;
  }
  void read_type() {
    skip();
    if (!text_.starts_with('\'') && !text_.starts_with('"')) refuse("one element type", here());  // a list: a structure
    const std::string_view descr = quotation();
    for (std::size_t i = 0; i < std::size(dtype_rows) && descr.size() == 3; ++i) {
      type = static_cast<dtype>(i);
      if (npy_name(type) == descr.substr(1) && (descr[0] == '<' || (descr[0] == '|' && bytes_of(type) == 1))) return;
    }
    refuse("a little-endian number type", shown(descr));
  }
  void read_shape() {
    expect('(');
    while (!take(')')) {
      if (skip(), text_.empty() || std::isdigit(static_cast<unsigned char>(text_.front())) == 0) refuse("an extent", here());
      std::uint64_t d = 0;
      for (; !text_.empty() && std::isdigit(static_cast<unsigned char>(text_.front())) != 0; text_.remove_prefix(1)) {
        const auto digit = static_cast<std::uint64_t>(text_.front() - '0');
        if (!multiply(d, 10, d) || d > std::numeric_limits<std::uint64_t>::max() - digit) refuse("an extent of 64 bits", here());
        d += digit;
      }
      shape.push_back(d);
      if (shape.size() > 64) refuse("at most 64 axes", "more");
      if (!take(',')) {
        if (shape.size() == 1) refuse("a tuple", "a number in parentheses");
        expect(')');
        return;
      }
    }
  }
};

/// Reads the start of a .npy file of `size` bytes, whose next bytes read(span) gives, and compares it with the size.
template <class Read>
npy_header read_npy_header(const std::string& path, std::uint64_t size, Read read) {
  static constexpr std::string_view magic = "\x93NUMPY";
  unsigned char start[12]{};
  const auto bytes = std::as_writable_bytes(std::span(start));
  if (size < 10 || (read(bytes.first(10)), std::memcmp(start, magic.data(), magic.size()) != 0))
    throw file_error(path + ": expected a .npy file, found another");
  const unsigned version = start[6];
  if (version < 1 || version > 3 || start[7] != 0)
    throw file_error(path + ": expected version 1.0, 2.0 or 3.0, found " + std::to_string(version) + '.' + std::to_string(start[7]));
  const std::uint64_t before = version == 1 ? 10 : 12;
  if (size < before) throw file_error(path + ": ends in its header");
  read(bytes.subspan(10, before - 10));
  std::uint64_t length = 0;
  for (std::uint64_t i = before; i-- > 8;) length = length << 8 | start[i];
  if (length > std::min<std::uint64_t>(size - before, 1 << 20))
    throw file_error(path + ": header: expected what fits into the file and 1 MB, found " + std::to_string(length) + " bytes");
  std::string text(length, ' ');
  read(std::as_writable_bytes(std::span(text)));
  npy_header header(path, text);
  header.data = before + length;
  const auto wanted = tensor_bytes(header.shape, bytes_of(header.type));
  if (!wanted || *wanted != size - header.data)
    throw file_error(path + ": expected " + (wanted ? std::to_string(*wanted) : "less than 2^63") + " bytes for " + header.described() +
                     ", found " + std::to_string(size - header.data));
  return header;
}

/// Elements from NumPy's Fortran order (first axis fastest) to row-major order.
inline void to_row_major(std::span<const std::byte> from, std::span<std::byte> to, std::span<const std::uint64_t> shape,
                         std::uint64_t element) {
  const std::size_t rank = shape.size();
  std::vector<std::uint64_t> index(rank), stride(rank, element);
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
  explicit npy_file(const std::string& path)
      : file_(path), header_(read_npy_header(file_.path(), file_.size(), [this, at = std::uint64_t{0}](std::span<std::byte> to) mutable {
          file_.read(at, to);
          at += to.size();
        })) {}
  const npy_header& header() const noexcept { return header_; }
  const std::string& path() const noexcept { return file_.path(); }
  std::string described() const { return header_.described(); }

  /// The numbers in row-major order, whatever the file's order is.
  template <class T>
  void read(std::span<T> to) const {
    std::vector<std::byte> bytes(file_.size() - header_.data);
    file_.read(header_.data, bytes);
    if (header_.fortran_order) {
      std::vector<std::byte> rows(bytes.size());
      to_row_major(bytes, rows, header_.shape, bytes_of(header_.type));
      bytes.swap(rows);
    }
    convert<T>(header_.type, bytes, to);
  }

 private:
  input_file file_;
  npy_header header_;
};

/// Refuses a file unless every value of its element type is a T and its shape is this one.
template <storable T, class Shape>
void check_npy(const npy_file& file, const Shape& shape, const std::string& what) {
  if (std::equal(file.header().shape.begin(), file.header().shape.end(), shape.begin(), shape.end(),
                 [](auto a, auto b) { return a == static_cast<std::uint64_t>(b); }) &&
      holds<T>(file.header().type))
    return;
  fail(file.path() + ": " + what + ": expected " + format_shape(shape) + " in what fits " + std::string(name_of(dtype_of<T>())) +
       ", found " + file.described());
}

}  // namespace io

/// The tensor of a .npy file: load_npy<float, 5>(path). Its element type must be one whose every value is a T (so whole numbers up to 16
/// bits and half precision are read as float, doubles are not); C and Fortran order. Throws file_error if the file is not as it should be,
/// shape_error if rank or type do not fit.
template <io::storable T, std::size_t Rank>
xt::xtensor<T, Rank> load_npy(const std::string& path) {
  const io::npy_file file(path);
  const auto& found = file.header().shape;
  if (found.size() != Rank || !io::holds<T>(file.header().type))
    fail(path + ": expected " + std::to_string(Rank) + " axes in what fits " + std::string(io::name_of(io::dtype_of<T>())) + ", found " +
         file.described());
  std::array<std::size_t, Rank> shape{};
  if constexpr (Rank > 0) std::copy(found.begin(), found.end(), shape.begin());
  xt::xtensor<T, Rank> t(shape);
  file.read(std::span<T>(t.data(), t.size()));
  return t;
}

/// A value for an input or parameter, of just its shape: const auto batch = load_npy(path, image). In float, or as load_npy<double>(...).
template <io::storable T = float, class Node>
requires requires { Node::name.view(), Node::shape(); }
auto load_npy(const std::string& path, Node) {
  static constexpr extents wanted = Node::shape();
  const io::npy_file file(path);
  io::check_npy<T>(file, xtensor_shape<wanted>, io::shown(Node::name.view()));
  owned_tensor<T, wanted.rank> t(xtensor_shape<wanted>);
  file.read(std::span<T>(t.data(), t.size()));
  return t;
}

/// Into a tensor that is there and dense, for instance m.parameter<"0.weight">(). If it throws, the tensor is as it was.
template <class Tensor>
requires runtime::shaped<std::remove_cvref_t<Tensor>>
void load_npy(const std::string& path, Tensor&& to) {
  using T = typename std::remove_cvref_t<Tensor>::value_type;
  const io::npy_file file(path);
  io::check_npy<T>(file, to.shape(), "tensor");
  T* const data = runtime::dense_data<T>(to);
  if (data == nullptr) fail(path + ": expected a dense row-major tensor to read into, found strides " + format_shape(to.strides()));
  file.read(std::span<T>(data, to.size()));
}

/// Writes any tensor expression, in its element type and C order; np.load reads it. Atomic, as write_atomically is. Throws file_error.
template <class Tensor>
requires runtime::shaped<Tensor>
void save_npy(const std::string& path, const Tensor& tensor) {
  using T = std::remove_cv_t<typename Tensor::value_type>;
  if constexpr (!io::storable<T>) {
    static_assert(sizeof(T) == 0, "volute: save_npy wants whole numbers, float or double");
  } else {
    std::vector<T> copy;
    const T* data = runtime::dense_data<T>(tensor);
    if (data == nullptr) copy.assign(tensor.begin(), tensor.end()), data = copy.data();
    const std::vector<std::uint64_t> shape(tensor.shape().begin(), tensor.shape().end());
    const std::string head = io::npy_start(io::dtype_of<T>(), shape);
    const std::span<const std::byte> parts[]{std::as_bytes(std::span(head)), std::as_bytes(std::span(data, tensor.size()))};
    io::write_atomically(path, parts);
  }
}

}  // namespace volute
