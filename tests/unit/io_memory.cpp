// Files in memory, embedded ones among them; and errors as values, which say what the exceptions say.
#include <volute/io/npz.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/language/tensor.hpp>

#include <unit/io_support.hpp>

#include <array>
#include <cstring>

using namespace volute;

// torch.safetensors, embedded by the assembler; as `xxd -i` would write it, it is an array of unsigned char too.
asm(".pushsection .rodata\n"
    ".byte 0\n"  // at an odd address
    "volute_test_embedded: .incbin \"" VOLUTE_TEST_DATA
    "/torch.safetensors\"\n"
    "volute_test_embedded_end:\n"
    ".popsection\n");
extern "C" const unsigned char volute_test_embedded[], volute_test_embedded_end[];

namespace {

struct tensors {
  struct entry {
    std::string_view path;
    extents shape;
    float* data;
  };
  std::array<float, 96> weight{};
  std::array<float, 3> bias{7, 8, 9};
  std::array<entry, 2> parameter_table() {
    return {entry{"4.weight", make_extents(3, 32), weight.data()}, entry{"4.bias", make_extents(3), bias.data()}};
  }
  friend bool operator==(const tensors& a, const tensors& b) { return a.weight == b.weight && a.bias == b.bias; }
};
/// Weights that can be read only, as of a const object.
struct constant_tensors {
  struct entry {
    std::string_view path;
    extents shape;
    const float* data;
  };
  std::array<float, 3> bias{1, 2, 3};
  std::array<entry, 1> parameter_table() const { return {entry{"4.bias", make_extents(3), bias.data()}}; }
};
static_assert(loadable<tensors> && has_parameters<const constant_tensors> && !loadable<constant_tensors>);

std::vector<std::byte> bytes_of(const std::string& path) {
  const std::string s = contents(path);
  std::vector<std::byte> b(s.size());
  std::memcpy(b.data(), s.data(), s.size());
  return b;
}

}  // namespace

TEST_CASE("an embedded file loads where it lies", "[io]") {
  const std::span embedded(volute_test_embedded, volute_test_embedded_end);
  tensors t, wanted;
  load(wanted, data_file("torch.safetensors"), {.allow_unused = true});
  const load_report r = load(t, embedded, {.allow_unused = true});
  CHECK(r.loaded == std::vector<std::string>{"4.weight", "4.bias"});
  CHECK(t == wanted);

  const safetensors_file file(embedded);
  const auto& weight = file.tensors().at("4.weight");
  const auto* const at = reinterpret_cast<const unsigned char*>(file.view(weight).data());
  CHECK((at >= volute_test_embedded && at + weight.bytes <= volute_test_embedded_end));  // no copy
  CHECK(std::memcmp(at, t.weight.data(), sizeof t.weight) == 0);
  CHECK(file.values<float>("4.bias") == std::vector<float>(t.bias.begin(), t.bias.end()));
  CHECK(file.path() == "memory");
  CHECK(safetensors_file(data_file("torch.safetensors")).view(weight).empty());
}

TEST_CASE("whatever range of bytes it is, and never beyond its end", "[io]") {
  const scratch_folder folder;
  const auto copy_of = [](const auto& t) {
    tensors to;
    load(to, t);
    return to;
  };
  tensors saved;
  saved.weight.fill(3);
  std::vector<std::byte> bytes(5);  // is replaced
  save(saved, bytes);
  save(saved, folder / "t");
  CHECK(bytes == bytes_of(folder / "t"));
  std::vector<unsigned char> chars(bytes.size());
  std::memcpy(chars.data(), bytes.data(), bytes.size());
  std::array<char8_t, 2000> room{};
  std::memcpy(room.data(), bytes.data(), bytes.size());
  CHECK(copy_of(bytes) == saved);
  CHECK(copy_of(chars) == saved);
  CHECK(copy_of(std::span(bytes)) == saved);
  CHECK(copy_of(std::span<const char8_t>(room).first(bytes.size())) == saved);
  CHECK(copy_of(std::as_bytes(std::span(chars))) == saved);
  const std::string text = contents(folder / "t");
  CHECK(copy_of(std::vector<char>(text.begin(), text.end())) == saved);
  CHECK(copy_of(std::as_bytes(std::span(text))) == saved);
  CHECK(copy_of(std::filesystem::path(folder / "t")) == saved);
  const std::string path = folder / "t";
  CHECK(copy_of(std::string_view(path)) == saved);

  // Each part of it in memory of just its size, so that the sanitizers see what is read beyond.
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    tensors t;
    const auto refused = try_load(t, part);
    CHECK((refused.kind() == error_kind::file && refused.message().starts_with("memory: ") && t == tensors{}));
  }
  CHECK(message<file_error>([&] { copy_of(std::span(bytes).first(3)); }) == "memory: expected a safetensors file, found 3 bytes");

  const constant_tensors fixed;
  save(fixed, bytes);
  tensors t;
  CHECK(load(t, bytes, {.allow_missing = true}).loaded == std::vector<std::string>{"4.bias"});
  CHECK(t.bias == fixed.bias);
}

TEST_CASE(".npz and .npy in memory", "[io]") {
  const scratch_folder folder;
  tensors saved, t;
  saved.weight.fill(3);
  std::vector<std::byte> bytes;
  for (const npz how : {npz::stored, npz::deflated}) {
    save_npz(saved, bytes, how);
    save_npz(saved, folder / "t", how);
    CHECK(bytes == bytes_of(folder / "t"));
    t = {};
    load_npz(t, bytes);
    CHECK(t == saved);
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
      CHECK(try_load_npz(t, part).kind() == error_kind::file);
    }
    CHECK(t == saved);
  }
  CHECK(message<file_error>([&] { load_npz(t, std::span(bytes).first(3)); }) == "memory: expected a .npz file, found 3 bytes");
  CHECK(message<file_error>([&] { npz_file(bytes_of(data_file("npz/twice.npz"))); }) ==
        "memory: expected members of different names, found one twice");
  CHECK(try_load_npz(t, bytes_of(data_file("npz/checksum.npz")), {.allow_missing = true, .allow_unused = true}).ok());

  const xt::xtensor<float, 2> ramp{{1, 2, 3}, {4, 5, 6}};
  save_npy(bytes, ramp);
  CHECK((load_npy<float, 2>(bytes) == ramp));
  CHECK((load_npy(bytes, input<"x", 2, 3>) == ramp));
  xt::xtensor<float, 2> into({2, 3});
  load_npy(bytes, into);
  CHECK((into == ramp));
  CHECK((load_npy<float, 3>(bytes_of(data_file("npy/fortran.npy")))(1, 2, 3) == 23));
  for (std::size_t n = 0; n < bytes.size(); ++n)
    CHECK(try_load_npy<float, 2>(std::vector<std::byte>(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n))).kind() ==
          error_kind::file);
}

TEST_CASE("errors as values say what the exceptions say", "[io]") {
  const scratch_folder folder;
  const std::string good = data_file("torch.safetensors"), none = folder / "none", no_folder = folder / "no/t";
  tensors t;
  const auto alike = [](const status& s, auto throwing) {
    CHECK(!s.ok());
    CHECK(!static_cast<bool>(s));
    if (s.kind() == error_kind::file)
      CHECK(message<file_error>(throwing) == s.message());
    else
      CHECK(message<shape_error>(throwing) == s.message());
  };
  alike(try_load(t, none), [&] { load(t, none); });
  alike(try_load(t, good), [&] { load(t, good); });
  alike(safetensors_file::open(none), [&] { safetensors_file f(none); });
  alike(safetensors_file(good).try_values<float>("none"), [&] { safetensors_file(good).values<float>("none"); });
  alike(try_save(t, no_folder), [&] { save(t, no_folder); });
  alike(try_save(t, folder / "t", {{"\xff", ""}}), [&] { save(t, folder / "t", {{"\xff", ""}}); });
  alike(try_load_npz(t, none), [&] { load_npz(t, none); });
  alike(try_load_npz(t, data_file("torch.npz")), [&] { load_npz(t, data_file("torch.npz")); });
  alike(npz_file::open(none), [&] { npz_file f(none); });
  alike(try_save_npz(t, no_folder), [&] { save_npz(t, no_folder); });
  const std::string npy = data_file("npy/f4.npy");
  xt::xtensor<float, 2> x({2, 2});
  alike(try_load_npy<float, 2>(none), [&] { load_npy<float, 2>(none); });
  alike(try_load_npy<float, 3>(npy), [&] { load_npy<float, 3>(npy); });
  alike(try_load_npy(npy, input<"x", 2, 2>), [&] { load_npy(npy, input<"x", 2, 2>); });
  alike(try_load_npy(npy, x), [&] { load_npy(npy, x); });
  alike(try_save_npy(no_folder, x), [&] { save_npy(no_folder, x); });
  CHECK(folder.files() == 0);

  const auto r = try_load(t, good, {.allow_unused = true});
  CHECK((r.ok() && r && r.kind() == error_kind::none && r.message().empty() && r->loaded.size() == 2));
  CHECK((try_load_npy<float, 2>(npy)->shape()[1] == 3));
  CHECK(try_save(t, folder / "t"));
}
