// Models and files that PyTorch and NumPy made.
#include <volute/io/npy.hpp>
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include <unit/io_support.hpp>

#include <numeric>
#include <xtensor/xview.hpp>

using namespace volute;

namespace {

struct net : nn::sequential<nn::conv3d<1, 4, nn::kernel<3>>, nn::batch_norm3d<4>, nn::relu, nn::flatten, nn::linear<32, 3>> {};
constexpr auto x = input<"input", 2, 1, 4, 4, 4>;

/// The named tensor of torch_values.safetensors.
template <std::size_t Rank>
xt::xtensor<float, Rank> expected(const std::string& name) {
  const safetensors_file file(data_file("torch_values.safetensors"));
  const auto values = file.values<float>(name);
  std::array<std::size_t, Rank> shape{};
  std::copy_n(file.tensors().find(name)->second.shape.begin(), Rank, shape.begin());
  xt::xtensor<float, Rank> t(shape);
  std::copy(values.begin(), values.end(), t.begin());
  return t;
}
double distance(const xt::xtensor<double, 2>& a, const xt::xtensor<double, 2>& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0;
  for (std::size_t i = 0; i < a.size(); ++i) d = std::max(d, std::abs(a.data()[i] - b.data()[i]));
  return d;
}

}  // namespace

TEST_CASE("a state_dict of PyTorch loads, and the model computes what PyTorch's does", "[io]") {
  const auto batch = expected<5>("input");
  const auto wanted = expected<2>("output");
  model<net, x> m;
  basic_model<double, net, x> wide;  // never run: its kernels need not be compiled
  const xt::xtensor<float, 2> before = m(batch);
  CHECK(distance(before, wanted) > 1e-2);
  m.load(data_file("torch.safetensors"));         // num_batches_tracked has no part in it
  const xt::xtensor<float, 2> result = m(batch);  // packed filters are made anew
  CHECK(distance(result, wanted) < 1e-5);
  wide.load(data_file("torch.safetensors"));

  const scratch_folder folder;
  m.save(folder / "m");
  wide.save(folder / "wide", io::metadata_map{{"epoch", "3"}});
  CHECK(safetensors_file(folder / "m").metadata().at("format") == "pt");
  model<net, x> p;
  p.load(folder / "wide");  // float from double
  for (std::size_t i = 0; i < p.parameter_table().size(); ++i) {
    const auto a = m.parameter_table()[i], b = p.parameter_table()[i];
    CHECK(std::equal(a.data, a.data + a.shape.size(), b.data));
  }
  const auto before_error = m.parameter_values();
  const std::vector<float> kept(before_error.begin(), before_error.end());
  CHECK(message<shape_error>([&] {
          m.load(data_file("torch_values.safetensors"));
        }).find("10 tensors do not fit:\n  tensor '0.weight': expected (4,1,3,3,3) in F32, found none") != std::string::npos);
  CHECK(std::equal(kept.begin(), kept.end(), m.parameter_values().begin()));
}

TEST_CASE("F16, BF16, F32 and F64 become the model's type", "[io]") {
  basic_model<double, net, x> m;
  model<net, x> narrow;
  m.load(data_file("mixed.safetensors"), load_options{.prefix = "net."});
  narrow.load(data_file("mixed.safetensors"), load_options{.prefix = "net."});
  const safetensors_file values(data_file("mixed_values.safetensors"));
  REQUIRE(m.parameter_table().size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    const auto p = m.parameter_table()[i];
    const auto n = narrow.parameter_table()[i];
    const auto v = values.values<double>(p.path);
    REQUIRE(v.size() == static_cast<std::size_t>(p.shape.size()));
    for (std::size_t k = 0; k < v.size(); ++k) {
      CHECK(p.data[k] == v[k]);
      CHECK(n.data[k] == static_cast<float>(v[k]));
    }
  }
}

TEST_CASE(".npy files of NumPy, of several types and both orders", "[io]") {
  const auto file = [](const char* name) { return data_file("npy/" + std::string(name) + ".npy"); };
  xt::xtensor<float, 3> ramp({2, 3, 4});
  std::iota(ramp.begin(), ramp.end(), 0.0f);
  CHECK((load_npy<float, 3>(file("fortran")) == ramp));
  CHECK((load_npy<double, 3>(file("version2")) == ramp));
  CHECK((load_npy<float, 0>(file("scalar"))() == 2.5f));
  CHECK(load_npy<float, 3>(file("empty")).shape() == std::array<std::size_t, 3>{3, 0, 2});
  CHECK((load_npy<float, 1>(file("bool")) == xt::xtensor<float, 1>{1, 0, 1}));
  CHECK((load_npy<float, 2>(file("u1")) == xt::xtensor<float, 2>{{0, 0, 1}, {2, 3, 255}}));
  CHECK((load_npy<float, 2>(file("i2")) == xt::xtensor<float, 2>{{-32768, 0, 1}, {2, 3, 32767}}));
  CHECK((load_npy<std::int64_t, 2>(file("u4"))(1, 2) == 4294967295));
  CHECK((load_npy<std::int64_t, 2>(file("i8"))(0, 0) == std::numeric_limits<std::int64_t>::min()));
  CHECK((load_npy<float, 2>(file("f2")) == xt::xtensor<float, 2>{{-65504, 0, 0x1p-14f}, {0x1p-24f, INFINITY, 0x1.554p-2f}}));
  CHECK((load_npy<double, 2>(file("f8"))(1, 2) == 1.0 / 3));

  CHECK(message<shape_error>([&] { load_npy<float, 2>(file("f8")); }) ==
        file("f8") + ": expected what fits F32, found -1.7976931348623157e+308 at (0,0) in F64");
  CHECK(message<shape_error>([&] { load_npy<float, 2>(file("i4")); }) ==
        file("i4") + ": expected what fits F32, found 2147483647 at (1,2) in I32");
  CHECK(message<shape_error>([&] { load_npy<float, 1>(file("f4")); }) ==
        file("f4") + ": expected 1 axes in what fits F32, found (2,3) in F32");
  CHECK(message<file_error>([&] { load_npy<float, 3>(file("big_endian")); }) ==
        file("big_endian") + ": header: expected a little-endian number type, found '>f4'");
  CHECK(message<file_error>([&] { load_npy<float, 3>(file("complex")); }) ==
        file("complex") + ": header: expected a little-endian number type, found '<c8'");
  CHECK(message<file_error>([&] { load_npy<float, 1>(file("structure")); }).find(": header: expected one element type, found '[('a'") !=
        std::string::npos);
}

TEST_CASE(".npy files into inputs, parameters and tensors, and back", "[io]") {
  const scratch_folder folder;
  const std::string path = folder / "t.npy";
  const auto batch = expected<5>("input");
  save_npy(path, batch);
  CHECK((load_npy(path, x) == batch));
  CHECK((load_npy<double>(path, x) == batch));
  CHECK(message<shape_error>([&] { load_npy(path, input<"y", 2, 1, 4, 4>); }) ==
        path + ": 'y': expected (2,1,4,4) in what fits F32, found (2,1,4,4,4) in F32");

  model<net, x> m;
  xt::xtensor<float, 2> weight({3, 32});
  std::iota(weight.begin(), weight.end(), 0.5f);
  save_npy(path, weight);
  load_npy(path, m.parameter<"4.weight">());
  CHECK((m.parameter<"4.weight">() == weight));
  CHECK(message<shape_error>([&] { load_npy(path, m.parameter<"4.bias">()); }) ==
        path + ": tensor: expected (3) in what fits F32, found (3,32) in F32");
  xt::xtensor<std::int32_t, 2> whole({3, 32});
  CHECK(message<shape_error>([&] { load_npy(path, whole); }) == path + ": expected what fits I32, found 0.5 at (0,0) in F32");

  save_npy(path, xt::view(weight, xt::all(), xt::range(1, 3)) * 2);  // whatever expression
  CHECK((load_npy<float, 2>(path) == xt::xtensor<float, 2>{{3, 5}, {67, 69}, {131, 133}}));
  save_npy(path, xt::xtensor<std::uint8_t, 1>{1, 2, 255});
  CHECK((load_npy<std::uint8_t, 1>(path) == xt::xtensor<std::uint8_t, 1>{1, 2, 255}));
  save_npy(path, xt::xtensor<double, 0>(0.25));
  CHECK((load_npy<double, 0>(path)() == 0.25));

  const std::string ours = [&] {
    save_npy(path, xt::eval(load_npy<float, 2>(data_file("npy/f4.npy"))));
    return contents(path);
  }();
  CHECK(ours == contents(data_file("npy/f4.npy")));  // NumPy's very bytes
}

TEST_CASE(".npy files that break the format's rules are refused", "[io]") {
  const scratch_folder folder;
  const std::string path = folder / "t.npy";
  const auto says = [&](const std::string& bytes) {
    write(path, bytes);
    xt::xtensor<float, 2> t{{7, 7}};
    std::string what = message<file_error>([&] { load_npy(path, t); });
    if (what != "(no exception)") CHECK((t == xt::xtensor<float, 2>{{7, 7}}));
    return what.starts_with(path) ? what.substr(path.size()) : what;
  };
  const auto file = [&](const std::string& header, std::size_t data = 8, char version = 1) {
    std::string s("\x93NUMPY");
    s += version, s += '\0';
    for (int i = 0; i < (version == 1 ? 2 : 4); ++i) s += static_cast<char>(header.size() >> (8 * i) & 255);
    return says(s + header + std::string(data, '\0'));
  };
  REQUIRE(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n") == "(no exception)");
  CHECK(file("{\"shape\":(1,2,),'fortran_order':True,'descr':'<f4'}", 8, 2) == "(no exception)");
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", 8, 4) == ": expected version 1.0, 2.0 or 3.0, found 4.0");
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", 7) == ": expected 8 bytes for (1,2) in F32, found 7");
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", 9) == ": expected 8 bytes for (1,2) in F32, found 9");
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}").find("less than 2^63 bytes") !=
        std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 23372036854736854, 77807)}", 0).find("less than 2^63 bytes") !=
        std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}").find("an extent of 64 bits") !=
        std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2)}") == ": header: expected an extent, found '-1, 2)}'");
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (2)}") == ": header: expected a tuple, found a number in parentheses");
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2").find("expected ')', found its end") != std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2)}").find("expected True or False") != std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': False}").find("found not all of them") != std::string::npos);
  CHECK(file("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}").find("once each, found 'descr'") !=
        std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), 'x': 1}").find("once each, found 'x'") != std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} x").find("expected the end of the header") != std::string::npos);
  CHECK(file("{'descr: '<f4'").find("header: expected") != std::string::npos);
  CHECK(file("{'descr': '<O8', 'fortran_order': False, 'shape': (1, 2)}").find("number type") != std::string::npos);
  CHECK(file("{'descr': '|f4', 'fortran_order': False, 'shape': (1, 2)}").find("number type") != std::string::npos);
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::string(1000, '1') + ",)}").find("64 bits") != std::string::npos);
  std::string axes;
  for (int i = 0; i < 100; ++i) axes += "1,";
  CHECK(file("{'descr': '<f4', 'fortran_order': False, 'shape': (" + axes + ")}").find("at most 64 axes") != std::string::npos);
  CHECK(file("") == ": header: expected '{', found its end");
  const std::string good = contents(data_file("npy/version2.npy"));
  for (std::size_t n = 0; n < good.size(); ++n) CHECK(says(good.substr(0, n)) != "(no exception)");
  CHECK(says(good + '\0') != "(no exception)");
}
