// Parameters in .npz files: of NumPy, of ours, and files that are wrong.
#include <volute/io/npz.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include <unit/io_support.hpp>

#include <array>
#include <iostream>

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
TEST_CASE("probe") {
  for (auto n : {"good","empty","bomb","lying_bomb","long","short","checksum","twice","overlap","other","method","deflate","wanted","big_endian"}) {
    tensors t;
    std::string w = "fine";
    try { load_npz(t, npz_file_of(n)); } catch (const std::exception& e) { w = e.what(); }
    std::cout << n << ": " << w << " " << (t == ramps) << (t == tensors{}) << "\n";
  }
  const scratch_folder folder;
  auto r = ramps;
  for (auto c : {npz::stored, npz::deflated}) {
    save_npz(r, folder / "t.npz", c);
    tensors t;
    load_npz(t, folder / "t.npz");
    std::cout << (t == r) << contents(folder / "t.npz").size() << "\n";
    std::filesystem::copy_file(folder / "t.npz", c == npz::stored ? "/tmp/npz_b/s.npz" : "/tmp/npz_b/d.npz", std::filesystem::copy_options::overwrite_existing);
  }
  const std::string good = contents(npz_file_of("good"));
  for (std::size_t n = 0; n <= good.size() + 1; ++n) { write(folder / "t.npz", (good + '\0').substr(0, n)); std::string w = "fine"; tensors t; try { load_npz(t, folder / "t.npz"); } catch (const std::exception& e) { w = e.what(); }
    if (n > 436 || n < 25) std::cout << n << w << "\n"; }
}
