// Parameters in .npz files: of NumPy, of ours, and files that are wrong.
#include <volute/io/npz.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include <unit/io_support.hpp>

#include <algorithm>
#include <array>

using namespace volute;

namespace {

/// A program as load_npz and save_npz see it.
template <class T>
struct tensors_of {
  struct entry {
    std::string_view path;
    extents shape;
    T* data;
  };
  std::array<T, 6> weight{9, 9, 9, 9, 9, 9};
  std::array<T, 2> bias{9, 9};
  std::array<entry, 2> parameter_table() {
    return {entry{"a.weight", make_extents(2, 3), weight.data()}, entry{"a.bias", make_extents(2), bias.data()}};
  }
  friend bool operator==(const tensors_of& a, const tensors_of& b) { return a.weight == b.weight && a.bias == b.bias; }
};
using tensors = tensors_of<float>;
const tensors ramps{{0, 1, 2, 3, 4, 5}, {0, 1}};  // of tests/data/npz

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>>, nn::batch_norm3d<4>, nn::relu, nn::flatten, nn::linear<32, 3>> {};
constexpr auto x = input<"input", 2, 1, 4, 4, 4>;

std::string npz_file_of(const std::string& name) { return data_file("npz/" + name + ".npz"); }

/// What loading says, without the path; nothing may have changed then.
template <class E>
std::string says(const std::string& path, const load_options& options = {}) {
  tensors t;
  const std::string what = message<E>([&] { load_npz(t, path, options); });
  CHECK(t == tensors{});
  return what.starts_with(path) ? what.substr(path.size()) : what;
}

}  // namespace

TEST_CASE("np.savez and np.savez_compressed of a state_dict load as the safetensors file does", "[io]") {
  model<net, x> m, wanted;  // never run: their kernels need not be compiled
  load_npz(m, data_file("torch.npz"));
  load(wanted, data_file("torch.safetensors"));
  CHECK(std::ranges::equal(m.parameter_values(), wanted.parameter_values()));
  for (std::size_t i = 0; i < m.parameter_table().size(); ++i) {
    const auto a = m.parameter_table()[i], b = wanted.parameter_table()[i];
    CHECK(std::equal(a.data, a.data + a.shape.size(), b.data));
  }

  // Half precision, float and double, one in Fortran order; NumPy has no bfloat16, so these are not there.
  basic_model<double, net, x> wide;
  CHECK(npz_file(data_file("mixed.npz")).tensors().at("4.weight").fortran_order);
  const load_report r = load_npz(wide, data_file("mixed.npz"), {.allow_missing = true, .allow_unused = true});
  CHECK(r.missing == std::vector<std::string>{"0.bias", "1.running_var"});
  CHECK(r.unused.empty());  // num_batches_tracked has no part in it
  const safetensors_file values(data_file("mixed_values.safetensors"));
  for (const auto& p : wide.parameter_table()) {
    const auto v = values.values<double>(p.path);
    if (std::ranges::find(r.missing, p.path) == r.missing.end()) CHECK(std::equal(v.begin(), v.end(), p.data));
  }
}

TEST_CASE("save_npz and load_npz; names can be changed on the way", "[io]") {
  const scratch_folder folder;
  const std::string path = folder / "t.npz";
  auto saved = ramps;
  for (const npz how : {npz::stored, npz::deflated}) {
    save_npz(saved, path, how);
    const std::string bytes = contents(path);
    CHECK((bytes.find(std::string_view(reinterpret_cast<const char*>(saved.weight.data()), 24)) != bytes.npos) == (how == npz::stored));
    save_npz(saved, path, how);
    CHECK(contents(path) == bytes);  // no time, no chance
    tensors t;
    CHECK(load_npz(t, path).missing.empty());
    CHECK(t == saved);
    tensors_of<double> wide;
    load_npz(wide, path);
    CHECK(std::ranges::equal(wide.weight, saved.weight));
    save_npz(wide, path, how);
    t = {};
    load_npz(t, path);
    CHECK(t == saved);
  }
  tensors t;
  load_npz(t, npz_file_of("good"));
  CHECK(t == ramps);

  t = {};
  const auto short_name = [](std::string_view p) { return std::string(p.substr(2)); };
  load_npz(t, npz_file_of("good"), {.prefix = "a.", .rename = short_name});
  CHECK(t == ramps);
  t = {};
  const load_report r = load_npz(t, npz_file_of("good"), {.allow_missing = true, .allow_unused = true, .rename = [](std::string_view p) {
                                                            return p == "a.bias" ? std::string("b") : std::string(p);
                                                          }});
  CHECK(r.missing == std::vector<std::string>{"a.bias"});
  CHECK(r.unused == std::vector<std::string>{"a.bias"});
  CHECK((t == tensors{ramps.weight, {9, 9}}));

  struct nothing {
    std::array<tensors::entry, 0> parameter_table() { return {}; }
  } none;
  save_npz(none, path);
  CHECK(contents(path) == contents(npz_file_of("empty")));
  CHECK(load_npz(none, path).unused.empty());
  CHECK(folder.files() == 1);
}

TEST_CASE("tensors that do not fit: one exception, and nothing has changed", "[io]") {
  CHECK(says<shape_error>(npz_file_of("empty")) ==
        ": 2 tensors do not fit:\n  tensor 'a.weight': expected (2,3) in F32, found none\n  tensor 'a.bias': expected (2) in F32, found "
        "none");
  // A megabyte in a thousand bytes, as its header says: not what is wanted, so not read.
  CHECK(says<shape_error>(npz_file_of("wanted")) == ": tensor 'a.bias': expected (2) in F32, found (262144) in F32");
  CHECK(says<shape_error>(npz_file_of("good"), {.rename = [](std::string_view p) { return std::string(p == "a.bias" ? "b" : p); }}) ==
        ": 2 tensors do not fit:\n  tensor 'b' of parameter 'a.bias': expected (2) in F32, found none; nearest is 'a.bias'\n  tensor "
        "'a.bias': expected no such tensor, found (2) in "
        "F32");
  tensors t;
  load_npz(t, npz_file_of("whole"));  // whole numbers that float has
  CHECK(t == ramps);
}

TEST_CASE("archives that are wrong are refused", "[io]") {
  const auto bad = [](const std::string& name) {
    return says<file_error>(npz_file_of(name), {.allow_missing = true, .allow_unused = true});
  };
  CHECK(bad("bomb") == ": member 'a.bias.npy': expected 8 bytes for (2) in F32, found 1048584");
  CHECK(bad("lying_bomb") == ": member 'a.bias.npy': goes on after its size");
  const std::string inconsistent = ": expected a .npz file: Zip archive inconsistent";  // newer releases of libzip say in what
  const std::string longer = bad("long");
  CHECK((longer == ": member 'a.bias.npy': goes on after its size" || longer.starts_with(inconsistent)));
  CHECK(bad("short") == ": member 'a.bias.npy': ends before its size");
  CHECK(bad("checksum") == ": member 'a.bias.npy': CRC error");
  CHECK(bad("twice") == ": expected members of different names, found one twice");
  CHECK(bad("overlap") == ": member 'y.npy': expected members of their own bytes, found more than the file has");
  CHECK(bad("other") == ": member 'a.bias': expected a name that ends in .npy");
  CHECK(bad("method") == ": member 'a.bias.npy': expected it stored or deflated, found method 12");
  CHECK(bad("deflate").starts_with(": member 'a.bias.npy': "));
  CHECK(bad("big_endian") == ": member 'a.bias.npy': header: expected a little-endian number type, found '>f4'");

  const scratch_folder folder;
  const std::string path = folder / "t.npz";
  for (const std::string& good : {contents(npz_file_of("good")), contents(data_file("mixed.npz"))}) {
    for (std::size_t n = 0; n < good.size(); n += good.size() < 1000 ? 1 : 7) {
      write(path, good.substr(0, n));
      CHECK(says<file_error>(path, {.allow_missing = true, .allow_unused = true}) != "(no exception)");
    }
    write(path, good + '\0');
    CHECK(says<file_error>(path, {.allow_missing = true, .allow_unused = true}).starts_with(inconsistent));
  }
  // Whatever byte is another: refused, or of no weight (times, versions); never other numbers.
  const std::string good = contents(npz_file_of("good"));
  int refused = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string other = good;
    other[i] = static_cast<char>(other[i] ^ 0x41);
    write(path, other);
    tensors t;
    try {
      load_npz(t, path);
      CHECK(t == ramps);
    } catch (const std::exception& e) {
      ++refused;
      CHECK(t == tensors{});
      CHECK(std::string_view(e.what()).starts_with(path));
    }
  }
  CHECK(refused > 350);
  CHECK(says<file_error>(folder / "none") == ": cannot be opened: No such file or directory");
  CHECK(says<file_error>(folder / "") == ": not a regular file");
}

TEST_CASE("what cannot be written as .npz leaves the old file", "[io]") {
  const scratch_folder folder;
  auto t = ramps;
  CHECK(message<file_error>([&] { save_npz(t, folder / "no/t"); }).ends_with("cannot be created: No such file or directory"));
  const std::string path = folder / "t.npz";
  save_npz(t, path);
  const std::string before = contents(path);
  struct names {
    std::string_view name;
    float value = 1;
    std::array<tensors::entry, 2> parameter_table() {
      return {tensors::entry{"a", make_extents(), &value}, tensors::entry{name, make_extents(), &value}};
    }
  } twice{"a"}, bytes{"\xff"};
  CHECK(message<file_error>([&] { save_npz(twice, path); }) == path + ": member 'a.npy': File already exists");
  CHECK(message<file_error>([&] { save_npz(bytes, path); }) == path + ": member '\xff.npy': Invalid argument");
  CHECK(contents(path) == before);
  CHECK(folder.files() == 1);
}
