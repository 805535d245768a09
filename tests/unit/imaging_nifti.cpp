// NIfTI files: nibabel's (data/imaging.py), our own, and those that are none.
#include "imaging_support.hpp"

#include <volute/imaging/nifti.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>

using namespace imaging_support;

namespace {

const std::filesystem::path folder = [] {
  const auto f = std::filesystem::temp_directory_path() / ("volute-imaging-" + std::to_string(getpid()));
  std::filesystem::create_directory(f);
  return f;
}();
struct cleaner {
  ~cleaner() { std::filesystem::remove_all(folder); }
} const at_end;

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
std::string written(const std::string& name, const std::vector<char>& bytes) {
  const std::string path = folder / name;
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}
/// A file of 2 x 3 x 4 bytes whose header has `value` at `offset`.
template <class T>
std::string changed(std::size_t offset, T value) {
  image<std::uint8_t> x{tensor_of<std::uint8_t>({2, 3, 4}), {{2, 3, 4}}};
  x.at.code = 1;
  std::fill(x.voxels.begin(), x.voxels.end(), std::uint8_t{7});
  const std::string path = folder / "changed.nii";
  write_nifti(path, x);
  auto bytes = bytes_of(path);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
  return written("changed.nii", bytes);
}
std::string message(const std::string& path, std::int64_t frame = 0) {
  const auto r = try_read_nifti(path, frame);
  REQUIRE(!r);
  REQUIRE(r.message().starts_with(path + ": "));
  return r.message().substr(path.size() + 2);
}

}  // namespace

TEST_CASE("spacing as the header says it") {
  CHECK(read_nifti_spacing(data + "imaging_frames.nii") == std::array<double, 3>{3, 2, 1.5});
  const float width = 2.5f;  // where the affine says 1
  CHECK(read_nifti_spacing(changed(80, width)) == std::array<double, 3>{1, 1, 2.5});
  CHECK(try_read_nifti_spacing(data + "none.nii").message() == try_read_nifti(data + "none.nii").message());
  CHECK(try_read_nifti_spacing(changed(70, std::int16_t{32})).message().ends_with("expected whole or real numbers, found COMPLEX64"));
}

TEST_CASE("nibabel's files") {
  const auto x = read_nifti(data + "imaging_float.nii.gz");
  CHECK(apart(x.voxels, stored<float>("read")) < 1e-5);  // 2 v + 5
  CHECK(apart(x.at.affine, stored_affine("affine")) < 1e-6);
  CHECK(x.at.code == 1);

  const auto labels = stored<std::int32_t>("labels");
  const auto first = read_nifti<std::int32_t>(data + "imaging_frames.nii"),
             second = read_nifti<std::int32_t>(data + "imaging_frames.nii", 1);
  CHECK(apart(first.voxels, labels) == 0);
  CHECK(second.voxels(1, 2, 3) == 9 - labels(1, 2, 3));
  CHECK(apart(first.at.affine, {{{1.5, 0, 0, 1}, {0, -2, 0, 2}, {0, 0, 3, 3}}}) < 1e-6);
  CHECK(try_read_nifti(data + "imaging_frames.nii", 2).kind() == volute::error_kind::shape);
  CHECK(message(data + "imaging_frames.nii", 2) == "expected a frame below 2, found 2");
}

TEST_CASE("what is written is read") {
  for (const char* name : {"x.nii", "x.nii.gz"}) {
    image<float> x{stored<float>("x"), {{6, 7, 9}, stored_affine("affine"), 4}};
    write_nifti(folder / name, x);
    const auto y = read_nifti(folder / name);
    CHECK(apart(y.voxels, x.voxels) == 0);
    CHECK(apart(y.at.affine, x.at.affine) < 1e-5);
    CHECK(y.at.code == 4);
    x.at.code = 0;  // would be read as if there were no turn
    write_nifti(folder / name, x);
    CHECK(apart(read_nifti(folder / name).at.affine, x.at.affine) < 1e-5);
  }
  image<float> skewed{stored<float>("x"), {{6, 7, 9}, {{{0.6, -1.6, 0, 20}, {0, 0, 3, -9}, {-0.8, -1.2, 0, 15}}}, 1}};
  const auto codes = [&] {  // of the qform and the sform
    write_nifti(folder / "skewed.nii", skewed);
    const auto bytes = bytes_of(folder / "skewed.nii");
    return std::pair{bytes[252], bytes[254]};
  };
  CHECK(codes() == std::pair<char, char>{1, 1});
  for (auto& row : skewed.at.affine) row[0] += 0.3 * row[1];  // no qform has axes that are not at right angles
  CHECK(codes() == std::pair<char, char>{0, 1});
  CHECK(apart(read_nifti(folder / "skewed.nii").at.affine, skewed.at.affine) < 1e-5);
  const image<double> numbers{{{{-1, 0.4, 0.6, 1e9}}}, {{1, 1, 4}}};
  write_nifti(folder / "d.nii", numbers);
  CHECK(apart(read_nifti<std::uint8_t>(folder / "d.nii").voxels, xt::xtensor<int, 3>{{{0, 0, 1, 255}}}) == 0);
  CHECK(apart(read_nifti<double>(folder / "d.nii").voxels, numbers.voxels) == 0);
  CHECK(try_write_nifti(folder / "no" / "x.nii", numbers).kind() == volute::error_kind::file);
  CHECK(try_write_nifti(folder / "x.png", numbers).message() ==
        (folder / "x.png").string() + ": expected a name that ends in .nii or .nii.gz");
}

TEST_CASE("names that do not say whether a file is compressed; whole numbers of 32 and 64 bits") {
  image<std::uint32_t> x{tensor_of<std::uint32_t>({40, 40, 40}), {{40, 40, 40}}};
  std::fill(x.voxels.begin(), x.voxels.end(), 4000000000u);
  write_nifti(folder / "x.nii.gz", x), write_nifti(folder / "x.nii", x);
  CHECK(apart(read_nifti<std::uint32_t>(written("packed.nii", bytes_of(folder / "x.nii.gz"))).voxels, x.voxels) == 0);
  CHECK(apart(read_nifti<std::uint32_t>(written("plain.nii.gz", bytes_of(folder / "x.nii"))).voxels, x.voxels) == 0);

  const image<double> eight{tensor_of<double>({1, 1, 2}), {{1, 1, 2}}};  // 8 bytes a voxel, made 64 bits of whole numbers by their header
  write_nifti(folder / "d.nii", eight);
  auto bytes = bytes_of(folder / "d.nii");
  const std::int16_t int64_type = 1024;
  const std::int64_t large[]{(std::int64_t{1} << 53) + 1, std::numeric_limits<std::int64_t>::min()};
  std::memcpy(bytes.data() + 70, &int64_type, sizeof int64_type);
  std::memcpy(bytes.data() + 352, large, sizeof large);
  const auto y = read_nifti<std::int64_t>(written("d.nii", bytes));
  CHECK((y.voxels(0, 0, 0) == large[0] && y.voxels(0, 0, 1) == large[1]));
  CHECK(read_nifti<std::uint16_t>(folder / "d.nii").voxels(0, 0, 0) == 65535);
  CHECK(read_nifti<std::uint16_t>(folder / "d.nii").voxels(0, 0, 1) == 0);
}

TEST_CASE("what could not be read back is not written") {
  const auto refused = [](const image<float>& x) {
    const auto s = try_write_nifti(folder / "refused.nii", x);
    CHECK(s.kind() == volute::error_kind::shape);
    CHECK_FALSE(std::filesystem::exists(folder / "refused.nii"));
    return s.message().substr(s.message().find(": "));
  };
  CHECK(refused({tensor_of<float>({2, 3, 4}), {{2, 3, 5}}}) == ": expected the voxels of its grid, (2,3,5), found (2,3,4)");
  CHECK(refused({tensor_of<float>({2, 3, 4}), {{2, 3, 4}, {{{1, 0, 0, 0}, {1, 0, 0, 0}, {0, 0, 1, 0}}}}}) ==
        ": expected axes that span a space, found an affine without inverse");
}

TEST_CASE("bad files: one error each") {
  CHECK(message(folder / "none.nii") == "cannot be opened: No such file or directory");
  CHECK(message(folder) == "not a regular file");
  CHECK(message(written("x.png", {'x'})) == "expected a name that ends in .nii or .nii.gz");
  const std::string header = "expected a NIfTI-1 file, found no such header";
  CHECK(message(written("empty.nii", {})) == header);
  CHECK(message(written("short.nii", std::vector<char>(100, 'x'))) == header);
  CHECK(message(written("noise.nii", std::vector<char>(1000, 'x'))) == header);
  CHECK(message(written("noise.nii.gz", std::vector<char>(1000, 'x'))) == header);

  const auto whole = bytes_of(data + "imaging_float.nii.gz"), plain = bytes_of(data + "imaging_frames.nii");
  for (const std::size_t n : {whole.size() / 2, whole.size() - 20})
    CHECK(message(written("cut.nii.gz", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)})) ==
          "ends before its voxels, or is damaged");
  CHECK(message(written("cut.nii.gz", {whole.begin(), whole.begin() + 30})) == header);
  CHECK(message(written("cut.nii", {plain.begin(), plain.end() - 1}), 1) == "ends before its voxels: 9 x 7 x 6 and 2 frames in 3375 bytes");
  auto damaged = whole;
  for (std::size_t i = damaged.size() / 2; i < damaged.size() / 2 + 40; ++i) damaged[i] = static_cast<char>(~damaged[i]);
  CHECK_FALSE(message(written("damaged.nii.gz", damaged)).empty());
  image<std::int32_t> x{tensor_of<std::int32_t>({50, 60, 70}), {{50, 60, 70}}};
  std::uint32_t random = 1;
  for (std::int32_t& v : x.voxels) v = static_cast<std::int32_t>(random = random * 1664525 + 1013904223);
  write_nifti(folder / "x.nii.gz", x);
  damaged = bytes_of(folder / "x.nii.gz");
  damaged[damaged.size() - 6] ^= 1;  // the checksum
  CHECK(message(written("damaged.nii.gz", damaged)) == "ends before its voxels, or is damaged");
}

TEST_CASE("hostile headers") {
  struct dims {
    std::int16_t d[8];
  };
  CHECK(message(changed(40, dims{{7, 32767, 32767, 32767, 32767, 32767, 32767, 32767}}))
            .starts_with("ends before its voxels: 32767 x 32767"));
  CHECK(message(changed(40, dims{{3, 4, 4, 4, 1, 1, 1, 1}})).starts_with("ends before its voxels: 4 x 4 x 4 in "));
  for (const dims d : {dims{{3, 4, -3, 2, 1, 1, 1, 1}}, dims{{0, 4, 3, 2, 1, 1, 1, 1}}, dims{{9, 4, 3, 2, 1, 1, 1, 1}},
                       dims{{3, 0, 3, 2, 1, 1, 1, 1}}, dims{{-1, 4, 3, 2, 1, 1, 1, 1}}})
    CHECK(message(changed(40, d)) == "expected 1 to 7 extents of 1 or more");
  CHECK(message(changed(70, std::int16_t{128})) == "expected whole or real numbers, found RGB24");
  CHECK(message(changed(70, std::int16_t{12345})) == "expected whole or real numbers, found **ILLEGAL**");
  struct scale {
    float slope, inter;
  };
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(message(changed(112, scale{2, nan})) == "expected a finite scl_inter, found nan");
  CHECK_NOTHROW(read_nifti(changed(112, scale{0, nan})));  // no scale, nothing to add
  CHECK(message(changed(344, 'x')) == "expected a NIfTI-1 file, found no such header");
  for (const float offset : {0.f, -1e9f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e30f})
    CHECK(message(changed(108, offset)).starts_with("expected the voxels behind the header, found them at "));
  CHECK(message(changed(108, 1e8f)).starts_with("ends before its voxels: 4 x 3 x 2 in "));
  const auto no_space = changed(280, 0.f);  // srow_x[0]
  CHECK(message(no_space) == "expected axes that span a space, found an affine without inverse");
  // A small file that says it is huge
  image<std::uint8_t> x{tensor_of<std::uint8_t>({1, 1, 1}), {{1, 1, 1}}};
  x.voxels(0, 0, 0) = 1;
  write_nifti(folder / "small.nii", x);
  auto bytes = bytes_of(folder / "small.nii");
  const dims huge{{3, 30000, 30000, 30000, 1, 1, 1, 1}};
  std::memcpy(bytes.data() + 40, &huge, sizeof huge);
  const std::span<const std::byte> parts[]{std::as_bytes(std::span(bytes))};
  const auto packed = detail::gzipped(parts);
  const std::vector<char> chars(reinterpret_cast<const char*>(packed.data()), reinterpret_cast<const char*>(packed.data()) + packed.size());
  CHECK(message(written("huge.nii.gz", chars)).starts_with("ends before its voxels: 30000 x 30000 x 30000 in "));
}
