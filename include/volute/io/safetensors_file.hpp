// The safetensors format (github.com/huggingface/safetensors): eight bytes with the length of the header, the header in JSON, the tensors'
// bytes one after the other. Every rule of the format is checked before a byte of data is read.
#pragma once

#include <volute/io/parameters.hpp>

#include <nlohmann/json.hpp>

namespace volute {
namespace io {

/// The `__metadata__` of a file: text by name.
using metadata_map = std::map<std::string, std::string>;

/// By name; `begin` counts from the end of the header.
using tensor_map = std::map<std::string, tensor_info, std::less<>>;

/// What nlohmann-json does with text that is no UTF-8.
using json_errors = nlohmann::json::error_handler_t;

/// The reference implementation's limit too.
inline constexpr std::uint64_t max_header_bytes = 100'000'000;

inline namespace VOLUTE_ERRORS {  // the parser's functions for this class have two bodies, too

/// Receives the header from the JSON parser piece by piece and refuses what is not a header at the first piece: nothing is built that
/// nests deeper or holds more than a header does, and a key that comes twice is seen. The parser stops where a function returns false.
class header_reader {
 public:
  using json = nlohmann::json;

  header_reader(const std::string& path, tensor_map& tensors, metadata_map& metadata)
      : path_(path), tensors_(tensors), metadata_(metadata) {}

  /// Why the parser stopped.
  const status& outcome() const noexcept { return outcome_; }

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a boolean"); }
  bool number_integer(json::number_integer_t) { return unexpected("a negative number"); }
  bool number_float(json::number_float_t, const std::string&) { return unexpected("a fraction or a number beyond 64 bits"); }
  bool binary(json::binary_t&) { return unexpected("binary data"); }
  bool number_unsigned(json::number_unsigned_t v) {
    if (in_ == place::shape)
      tensor_->second.shape.push_back(v);
    else if (in_ == place::offsets && offsets_ < 2)
      offset_[offsets_++] = v;
    else
      return unexpected("the number " + std::to_string(v));
    return true;
  }
  bool string(std::string& v) {
    if (in_ == place::metadata) {
      metadata_.at(key_) = std::move(v);
    } else if (in_ == place::tensor && key_ == "dtype") {
      const auto type = find_dtype(v);
      if (!type) return refuse("expected a known dtype, found " + shown(v));
      tensor_->second.type = *type;
    } else {
      return unexpected("the text " + shown(v));
    }
    return true;
  }
  bool start_object(std::size_t) {
    if (in_ == place::start) {
      in_ = place::top;
    } else if (in_ == place::top && key_ == "__metadata__") {
      in_ = place::metadata;
    } else if (in_ == place::top) {
      const auto [place_of, is_new] = tensors_.try_emplace(key_);
      tensor_ = place_of;
      if (!is_new) return refuse("expected once, found twice");
      in_ = place::tensor;
      seen_ = 0;
    } else {
      return unexpected("an object");
    }
    return true;
  }
  bool key(std::string& k) {
    key_ = std::move(k);
    if (in_ == place::top && key_ == "__metadata__") {
      if (std::exchange(has_metadata_, true)) return refuse("expected __metadata__ once, found it twice");
    } else if (in_ == place::metadata) {
      if (!metadata_.try_emplace(key_).second) return refuse("expected the key " + shown(key_) + " of __metadata__ once, found it twice");
    } else if (in_ == place::tensor) {
      const unsigned bit = key_ == "dtype" ? 1 : key_ == "shape" ? 2 : key_ == "data_offsets" ? 4 : 0;
      if (bit == 0 || (seen_ & bit) != 0) return refuse("expected dtype, shape and data_offsets once each, found " + shown(key_));
      seen_ |= bit;
    }
    return true;
  }
  bool start_array(std::size_t) {
    if (in_ == place::tensor && key_ == "shape")
      in_ = place::shape;
    else if (in_ == place::tensor && key_ == "data_offsets")
      in_ = place::offsets, offsets_ = 0;
    else
      return unexpected("an array");
    return true;
  }
  bool end_array() {
    if (in_ == place::offsets && offsets_ != 2) return refuse("expected two data_offsets, found " + std::to_string(offsets_));
    in_ = place::tensor;
    return true;
  }
  bool end_object() {
    if (in_ == place::tensor && !finish_tensor()) return false;
    in_ = place::top;
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const json::exception& e) {
    const std::string_view what = e.what();
    outcome_ =
        file_failure(path_ + ": header: expected JSON, found at its byte " + std::to_string(at) + ": " + std::string(what.substr(0, 200)));
    return false;
  }

 private:
  enum class place { start, top, metadata, tensor, shape, offsets };

  const std::string& path_;
  tensor_map& tensors_;
  metadata_map& metadata_;
  place in_ = place::start;
  std::string key_;
  tensor_map::iterator tensor_;
  status outcome_;
  std::uint64_t offset_[2]{};
  unsigned offsets_ = 0, seen_ = 0;
  bool has_metadata_ = false;

  bool refuse(const std::string& what) {
    const bool inside = in_ == place::tensor || in_ == place::shape || in_ == place::offsets || (in_ == place::top && !key_.empty());
    outcome_ = file_failure(path_ + (inside ? ": tensor " + shown(in_ == place::top ? key_ : tensor_->first) : ": header") + ": " + what);
    return false;
  }
  bool unexpected(const std::string& what) {
    static constexpr const char* wanted[]{"an object",
                                          "objects",
                                          "texts in __metadata__",
                                          "dtype, shape and data_offsets",
                                          "whole numbers as shape",
                                          "two whole numbers as data_offsets"};
    return refuse(std::string("expected ") + wanted[static_cast<int>(in_)] + ", found " + what);
  }
  bool finish_tensor() {
    tensor_info& t = tensor_->second;
    if (seen_ != 7) return refuse("expected dtype, shape and data_offsets, found not all of them");
    if (offset_[0] > offset_[1]) return refuse("data_offsets: expected begin <= end, found " + range());
    const auto bytes = tensor_bytes(t.shape, bytes_of(t.type));
    if (!bytes) return refuse("expected less than 2^63 bytes, found shape " + shown_shape(t.shape));
    t.begin = offset_[0];
    t.bytes = offset_[1] - offset_[0];
    if (*bytes != t.bytes)
      return refuse("data_offsets: expected " + std::to_string(*bytes) + " bytes for " + described(t) + ", found " + range());
    return true;
  }
  std::string range() const { return std::to_string(offset_[0]) + " to " + std::to_string(offset_[1]); }
};

/// Checks a header against the number of bytes that follow it.
inline status parse_header(const std::string& path, std::string_view header, std::uint64_t data_bytes, tensor_map& tensors,
                           metadata_map& metadata) {
  // The parser takes a byte-order mark for nothing and a zero byte for the end.
  if (!header.starts_with('{')) return file_failure(path + ": header: expected '{' as its first byte");
  if (header.find('\0') != header.npos) return file_failure(path + ": header: expected text, found a zero byte");
  header_reader reader(path, tensors, metadata);
  if (!nlohmann::json::sax_parse(header.begin(), header.end(), &reader)) return reader.outcome();

  std::vector<const tensor_map::value_type*> order;
  order.reserve(tensors.size());
  for (const auto& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](auto a, auto b) {
    return a->second.begin != b->second.begin ? a->second.begin < b->second.begin : a->second.bytes < b->second.bytes;
  });
  std::uint64_t at = 0;  // no overlap and no gap
  for (const auto* t : order) {
    if (t->second.begin != at)
      return file_failure(path + ": tensor " + shown(t->first) + ": data_offsets: expected to begin at " + std::to_string(at) + ", found " +
                          std::to_string(t->second.begin));
    at += t->second.bytes;  // the sum of differences of 64-bit numbers without a gap is the last of them
  }
  if (at != data_bytes)
    return file_failure(path + ": expected " + std::to_string(at) + " bytes of tensors, found " + std::to_string(data_bytes));
  return {};
}

}  // namespace VOLUTE_ERRORS

}  // namespace io

inline namespace VOLUTE_ERRORS {

/// A safetensors file that is open for reading, at a path or in memory. Opening it reads and checks the header: then all that it says is
/// consistent with itself and with the size of the file. What is named try_ returns errors, the rest throws them.
class safetensors_file {
 public:
  /// Opens and checks it. Throws file_error.
  explicit safetensors_file(const io::source& from) : safetensors_file(io::demand(open(from))) {}

  /// The same, with the error as a value.
  static result<safetensors_file> open(const io::source& from) {
    auto file = io::input_file::open(from);
    if (!file) return static_cast<status&>(file);
    const std::string& path = file->path();
    std::byte length[8];
    if (file->size() < 8) return io::file_failure(path + ": expected a safetensors file, found " + std::to_string(file->size()) + " bytes");
    if (status s = file->read(0, length); !s) return s;
    std::uint64_t header_bytes;
    std::memcpy(&header_bytes, length, 8);
    const std::uint64_t most = std::min(file->size() - 8, io::max_header_bytes);
    if (header_bytes < 2 || header_bytes > most)
      return io::file_failure(path + ": length of the header: expected 2 to " + std::to_string(most) + ", found " +
                              std::to_string(header_bytes));
    std::string header(header_bytes, ' ');
    if (status s = file->read(8, std::as_writable_bytes(std::span(header))); !s) return s;
    safetensors_file f(*std::move(file), 8 + header_bytes);
    if (status s = io::parse_header(f.path(), header, f.file_.size() - f.data_, f.tensors_, f.metadata_); !s) return s;
    return f;
  }

  /// Its path, or the name that stands for memory.
  const std::string& path() const noexcept { return file_.path(); }
  /// By name: dtype, shape and place.
  const io::tensor_map& tensors() const noexcept { return tensors_; }
  const io::metadata_map& metadata() const noexcept { return metadata_; }

  /// The bytes of one of the tensors where they lie, if the file is in memory; else null.
  std::span<const std::byte> view(const io::tensor_info& t) const noexcept { return file_.view(data_ + t.begin, t.bytes); }
  /// The bytes of one of the tensors.
  status try_read(const io::tensor_info& t, std::span<std::byte> to) const { return file_.read(data_ + t.begin, to); }
  void read(const io::tensor_info& t, std::span<std::byte> to) const { io::demand(try_read(t, to)); }

  /// A tensor as numbers of type T, in row-major order. shape_error if there is none of the name, or if a number is none of T's (io::fits).
  template <io::storable T>
  result<std::vector<T>> try_values(std::string_view name) const {
    const auto t = tensors_.find(name);
    const std::string wanted =
        path() + ": tensor " + io::shown(name) + ": expected what fits " + std::string(io::name_of(io::dtype_of<T>()));
    if (t == tensors_.end()) {
      std::vector<std::string_view> there;
      for (const auto& other : tensors_) there.push_back(other.first);
      return io::shape_failure(wanted + ", found none" + io::nearest(name, there));
    }
    const auto& [type, shape, begin, size] = t->second;
    if (!io::is_number(type)) return io::shape_failure(wanted + ", found " + std::string(io::name_of(type)));
    std::vector<std::byte> bytes(size);
    if (status s = try_read(t->second, bytes); !s) return s;
    if (const auto at = io::first_misfit<T>(type, bytes))
      return io::shape_failure(wanted + ", found " + io::shown_number(type, bytes, *at, shape) + " in " + std::string(io::name_of(type)));
    std::vector<T> v(size / io::bytes_of(type));
    io::convert<T>(type, bytes, v);
    return v;
  }
  template <io::storable T>
  std::vector<T> values(std::string_view name) const {
    return io::demand(try_values<T>(name));
  }

 private:
  safetensors_file(io::input_file file, std::uint64_t data) : file_(std::move(file)), data_(data) {}

  io::input_file file_;
  std::uint64_t data_ = 0;
  io::tensor_map tensors_;
  io::metadata_map metadata_;
};

}  // namespace VOLUTE_ERRORS

namespace io {

/// The tensor of this name in `values` (row-major), for write_safetensors.
template <storable T>
memory_tensor<const std::byte> tensor_of(std::string name, std::vector<std::uint64_t> shape, std::span<const T> values) {
  return {std::move(name), dtype_of<T>(), std::move(shape), std::as_bytes(values)};
}

/// Writes the file that the format's reference implementation would write: tensors by falling type (and so size of their elements: each is
/// aligned), then by name. Atomic (write_atomically).
template <class Byte>
status try_write_safetensors(const target& to, std::span<const memory_tensor<Byte>> tensors, const metadata_map& metadata = {}) {
  const std::string& path = to.path();
  std::vector<const memory_tensor<Byte>*> order;
  for (const auto& t : tensors) order.push_back(&t);
  std::sort(order.begin(), order.end(), [](auto a, auto b) { return a->type != b->type ? a->type > b->type : a->name < b->name; });

  std::string header = "{";                        // append below: operator+ draws a false -Wrestrict from g++ 12
  const auto is_text = [](const std::string& s) {  // what is not UTF-8 is left out or replaced, never thrown
    const nlohmann::json j(s);
    return j.dump(-1, ' ', false, json_errors::ignore) == j.dump(-1, ' ', false, json_errors::replace);
  };
  const auto text = [](const std::string& s) { return nlohmann::json(s).dump(-1, ' ', false, json_errors::replace); };
  const auto not_text = [&](const std::string& s) { return file_failure(path + ": expected UTF-8, found " + shown(s)); };
  for (const auto& [key, value] : metadata)
    if (!is_text(key) || !is_text(value)) return not_text(is_text(key) ? value : key);
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata)
      header.append(header.back() == '{' ? "" : ",").append(text(key)).append(":").append(text(value));
    header += '}';
  }
  std::vector<std::span<const std::byte>> parts(2);
  tensor_map names;
  std::uint64_t at = 0;
  for (const auto* t : order) {
    if (!is_text(t->name)) return not_text(t->name);
    if (t->name == "__metadata__" || !names.try_emplace(t->name).second)
      return file_failure(path + ": tensor " + shown(t->name) + ": expected a name of its own");
    if (tensor_bytes(t->shape, bytes_of(t->type)) != t->bytes.size())
      return file_failure(path + ": tensor " + shown(t->name) + ": expected the bytes of " + shown_shape(t->shape) + ", found " +
                          std::to_string(t->bytes.size()));
    std::string shape;
    for (const std::uint64_t d : t->shape) shape.append(shape.empty() ? "" : ",").append(std::to_string(d));
    header.append(header.size() == 1 ? "" : ",").append(text(t->name)).append(":{\"dtype\":\"").append(name_of(t->type));
    header.append("\",\"shape\":[").append(shape).append("],\"data_offsets\":[").append(std::to_string(at)).append(",");
    header.append(std::to_string(at + t->bytes.size())).append("]}");
    at += t->bytes.size();
    parts.push_back(t->bytes);
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > max_header_bytes)
    return file_failure(path + ": header: expected at most 100 MB, found " + std::to_string(header.size()));
  const std::uint64_t length = header.size();
  parts[0] = std::as_bytes(std::span(&length, 1));
  parts[1] = std::as_bytes(std::span(header));
  return write_whole(to, parts);
}

inline namespace VOLUTE_ERRORS {
/// The same; throws file_error.
template <class Byte>
void write_safetensors(const target& to, std::span<const memory_tensor<Byte>> tensors, const metadata_map& metadata = {}) {
  demand(try_write_safetensors(to, tensors, metadata));
}
}  // namespace VOLUTE_ERRORS

}  // namespace io
}  // namespace volute
