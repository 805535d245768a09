// The safetensors format: files of the original writer, of ours, and files that are wrong.
#include <volute/io/safetensors.hpp>

#include <unit/io_support.hpp>

#include <array>
#include <cmath>
#include <csignal>
#include <sys/resource.h>
#include <sys/wait.h>

using namespace volute;

namespace {

/// A program as load and save see it.
struct tensors {
  struct entry {
    std::string_view path;
    extents shape;
    float* data;
  };
  std::array<float, 6> weight{1, 2, 3, 4, 5, 6};
  std::array<float, 2> bias{7, 8};
  std::array<entry, 2> parameter_table() {
    return {entry{"a.weight", make_extents(2, 3), weight.data()}, entry{"a.bias", make_extents(2), bias.data()}};
  }
  friend bool operator==(const tensors& a, const tensors& b) { return a.weight == b.weight && a.bias == b.bias; }
};

std::string file_of(std::string header, std::size_t data_bytes) {
  const std::uint64_t n = header.size();
  return std::string(reinterpret_cast<const char*>(&n), 8) + header + std::string(data_bytes, '\x3f');
}

}  // namespace

TEST_CASE("half precision and bfloat16 are read exactly", "[io]") {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const auto b = static_cast<std::uint16_t>(bits);
    const int exponent = static_cast<int>(b >> 10 & 31), fraction = b & 1023;
    const double size = exponent == 0    ? std::ldexp(fraction, -24)
                        : exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                                         : std::ldexp(1024 + fraction, exponent - 25);
    const double want = b >> 15 != 0 ? -size : size, got = static_cast<double>(io::from_half(b));
    if (!(std::isnan(want) ? std::isnan(got) : want == got && std::signbit(want) == std::signbit(got)))
      FAIL(bits << ": " << got << ", expected " << want);
  }
  CHECK(io::from_bfloat(0x3FC0) == 1.5f);
  CHECK(io::from_bfloat(0xC2F7) == -123.5f);
  CHECK(std::isinf(io::from_bfloat(0x7F80)));
}

TEST_CASE("every type of the original writer, and the same bytes back", "[io]") {
  const safetensors_file file(data_file("types.safetensors"));
  CHECK(file.metadata() == io::metadata_map{{"made by", "safetensors \"0.8\", größer"}});
  CHECK(file.tensors().at("i2").shape == std::vector<std::uint64_t>{2, 3});
  CHECK(file.tensors().at("empty").shape == std::vector<std::uint64_t>{3, 0, 2});
  CHECK(file.values<float>("scalar") == std::vector<float>{2.5f});
  CHECK(file.values<float>("empty").empty());
  CHECK(file.values<std::uint8_t>("bool") == std::vector<std::uint8_t>{1, 0, 1});
  CHECK(file.values<double>("u1") == std::vector<double>{0, 0, 1, 2, 3, 255});
  CHECK(file.values<std::int16_t>("i1") == std::vector<std::int16_t>{-128, 0, 1, 2, 3, 127});
  CHECK(file.values<float>("u2") == std::vector<float>{0, 0, 1, 2, 3, 65535});
  CHECK(file.values<int>("i2") == std::vector<int>{-32768, 0, 1, 2, 3, 32767});
  CHECK(file.values<std::int64_t>("u4") == std::vector<std::int64_t>{0, 0, 1, 2, 3, 4294967295});
  CHECK(file.values<double>("i4") == std::vector<double>{-2147483648.0, 0, 1, 2, 3, 2147483647});
  CHECK(file.values<std::uint64_t>("u8")[5] == ~std::uint64_t{0});
  CHECK(file.values<std::int64_t>("i8")[0] == std::numeric_limits<std::int64_t>::min());
  const float third = 0x1.554p-2f;  // of half precision
  CHECK(file.values<float>("f2") == std::vector<float>{-65504, -0.0f, 0x1p-14f, 0x1p-24f, INFINITY, third});
  CHECK(file.values<double>("f4") == std::vector<double>{-static_cast<double>(std::numeric_limits<float>::max()), -0.0, 0x1p-126, 0x1p-149,
                                                         INFINITY, static_cast<double>(1.0f / 3)});
  CHECK(file.values<double>("f8")[5] == 1.0 / 3);
  CHECK(message<shape_error>([&] { file.values<float>("f8"); }) ==
        file.path() + ": tensor 'f8': expected what fits F32, found -1.7976931348623157e+308 at (0,0) in F64");
  CHECK(message<shape_error>([&] { file.values<float>("i4"); }) ==
        file.path() + ": tensor 'i4': expected what fits F32, found 2147483647 at (1,2) in I32");
  CHECK(message<shape_error>([&] { file.values<std::uint8_t>("i1"); }) ==
        file.path() + ": tensor 'i1': expected what fits U8, found -128 at (0,0) in I8");
  CHECK(message<shape_error>([&] { file.values<float>("f3"); }) ==
        file.path() + ": tensor 'f3': expected what fits F32, found none; nearest are 'f2', 'f4' and 'f8'");

  const scratch_folder folder;
  std::vector<std::vector<std::byte>> bytes;
  std::vector<io::memory_tensor<const std::byte>> copy;
  for (const auto& [name, t] : file.tensors()) {
    bytes.emplace_back(t.bytes);
    file.read(t, bytes.back());
    copy.push_back({name, t.type, t.shape, bytes.back()});
  }
  io::write_safetensors<const std::byte>(folder / "copy", copy, file.metadata());
  CHECK(contents(folder / "copy") == contents(file.path()));
  CHECK(folder.files() == 1);
}

TEST_CASE("save and load; names can be changed on the way", "[io]") {
  const scratch_folder folder;
  const std::string path = folder / "t.safetensors";
  tensors saved, t{{}, {}};
  save(saved, path, {{"epoch", "12"}});
  CHECK(safetensors_file(path).metadata().at("epoch") == "12");
  CHECK(load(t, path).missing.empty());
  CHECK(t == saved);

  const std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8};
  const std::int64_t batches = 3;
  const auto tensor = [&](std::string name, std::vector<std::uint64_t> shape, std::size_t from, std::size_t n) {
    return io::tensor_of(std::move(name), std::move(shape), std::span(values).subspan(from, n));
  };
  const std::vector all{tensor("net.a.gamma", {2, 3}, 0, 6), tensor("net.a.bias", {2}, 6, 2), tensor("head.bias", {1}, 0, 1),
                        io::tensor_of("net.a.num_batches_tracked", {}, std::span(&batches, 1))};
  io::write_safetensors<const std::byte>(path, all);
  const auto gamma = [](std::string_view p) { return p == "a.weight" ? std::string("a.gamma") : std::string(p); };
  t = {{}, {}};
  CHECK(load(t, path, {.prefix = "net.", .rename = gamma}).unused.empty());
  CHECK(t == saved);

  t = {{}, {}};
  const load_report r = load(t, path, {.allow_missing = true, .allow_unused = true, .prefix = "net."});
  CHECK(r.missing == std::vector<std::string>{"a.weight"});
  CHECK(r.unused == std::vector<std::string>{"net.a.gamma"});
  CHECK(t.bias == saved.bias);
  CHECK(t.weight == std::array<float, 6>{});
}

TEST_CASE("tensors that do not fit: one exception, and nothing has changed", "[io]") {
  const scratch_folder folder;
  const std::string path = folder / "t.safetensors";
  const std::vector<float> f(8);
  const std::vector<std::int32_t> i(8);
  const auto tensor = [](const char* name, std::vector<std::uint64_t> shape, auto& values) {
    std::size_t n = 1;
    for (auto d : shape) n *= d;
    return io::tensor_of(name, std::move(shape), std::span(std::as_const(values)).first(n));
  };
  const auto weight = tensor("a.weight", {2, 3}, f), bias = tensor("a.bias", {2}, f);
  const auto says = [&](const std::vector<io::memory_tensor<const std::byte>>& all) {
    io::write_safetensors<const std::byte>(path, all);
    tensors t;
    std::string what = message<shape_error>([&] { load(t, path); });
    CHECK(t == tensors{});
    return what.starts_with(path) ? what.substr(path.size()) : what;
  };
  CHECK(says({weight}) == ": tensor 'a.bias': expected (2) in F32, found none; nearest is 'a.weight'");
  CHECK(says({weight, tensor("a.bias", {1, 2}, f)}) == ": tensor 'a.bias': expected (2) in F32, found (1,2) in F32");
  CHECK(says({bias, tensor("a.weight", {3, 2}, f)}) == ": tensor 'a.weight': expected (2,3) in F32, found (3,2) in F32");
  const std::vector<std::int32_t> large{1, (1 << 24) + 1};
  CHECK(says({weight, tensor("a.bias", {2}, large)}) == ": tensor 'a.bias': expected (2) in F32, found 16777217 at (1) in I32");
  CHECK(says({weight, bias, tensor("b", {}, f)}) == ": tensor 'b': expected no such tensor, found () in F32");
  CHECK(says({weight, bias, tensor("num_batches_tracked", {}, i)}) ==
        ": tensor 'num_batches_tracked': expected no such tensor, found () in I32");
  CHECK(says({tensor("a.bias", {3}, f), tensor("c", {}, f)}) ==
        ": 3 tensors do not fit:\n  tensor 'a.weight': expected (2,3) in F32, found none; nearest is 'c'\n  tensor 'a.bias': expected (2) "
        "in F32, found "
        "(3) in F32\n"
        "  tensor 'c': expected no such tensor, found () in F32");
}

TEST_CASE("files that break the format's rules are refused", "[io]") {
  const scratch_folder folder;
  const std::string path = folder / "t.safetensors";
  const auto says = [&](const std::string& bytes) {
    write(path, bytes);
    tensors t;
    std::string what = message<file_error>([&] { load(t, path, {.allow_missing = true, .allow_unused = true}); });
    CHECK(t == tensors{});
    return what.starts_with(path) ? what.substr(path.size()) : what;
  };
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  REQUIRE(says(file_of("{" + a + "}", 8)) == "(no exception)");  // what the others are changed from
  REQUIRE(says(file_of(" { }", 0)).starts_with(": header: expected '{'"));
  REQUIRE(says(file_of("{}  \n", 0)) == "(no exception)");

  // Lengths.
  CHECK(says("") == ": expected a safetensors file, found 0 bytes");
  CHECK(says(std::string("\2\0\0\0\0\0\0", 7)) == ": expected a safetensors file, found 7 bytes");
  CHECK(says(std::string(8, '\xff') + "{}").starts_with(": length of the header: expected 2 to 2, found 18446744073709551615"));
  CHECK(says(std::string("\3\0\0\0\0\0\0\0{}", 10)).starts_with(": length of the header: expected 2 to 2, found 3"));
  CHECK(says(std::string("\0\0\0\0\0\0\0\0{}", 10)).starts_with(": length of the header: expected 2 to 2, found 0"));
  const std::string good = contents(data_file("torch.safetensors"));
  for (std::size_t n = 0; n < good.size(); n += n < 1000 ? 1 : 97) CHECK(says(good.substr(0, n)) != "(no exception)");
  CHECK(says(good + '\0') == ": expected 916 bytes of tensors, found 917");
  CHECK(says(good.substr(0, good.size() - 1)) == ": expected 916 bytes of tensors, found 915");

  // Text.
  const auto header = [&](const std::string& h, std::size_t data = 8) { return says(file_of(h, data)); };
  CHECK(header("{" + a + "").find("expected JSON") != std::string::npos);
  CHECK(header("{" + a + "}x").find("expected JSON") != std::string::npos);
  CHECK(header("{" + a + "}" + std::string(1, '\0') + "x").find("zero byte") != std::string::npos);
  CHECK(header("{" + a + ",}").find("expected JSON") != std::string::npos);
  CHECK(header("{" + a + "}//").find("expected JSON") != std::string::npos);
  CHECK(header("\xef\xbb\xbf{" + a + "}").find("expected '{'") != std::string::npos);
  CHECK(header("{\"\xff\":{}}").find("expected JSON") != std::string::npos);  // not UTF-8
  CHECK(header("[" + a + "]").find("expected '{'") != std::string::npos);
  CHECK(header("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}") == ": tensor 'a': expected objects, found an array");
  std::string deep = "{";
  for (int i = 0; i < 100000; ++i) deep += "\"a\":{";
  CHECK(header(deep) == ": tensor 'a': expected dtype, shape and data_offsets once each, found 'a'");

  // Names.
  CHECK(header("{" + a + "," + a + "}") == ": tensor 'a': expected once, found twice");
  CHECK(header(R"({"\u0061":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)" + a + "}") == ": tensor 'a': expected once, found twice");
  CHECK(header(R"({"__metadata__":{},"__metadata__":{}})", 0).find("found it twice") != std::string::npos);
  CHECK(header(R"({"__metadata__":{"k":"1","k":"2"}})", 0).find("found it twice") != std::string::npos);
  CHECK(header(R"({"__metadata__":{"k":1}})", 0) == ": header: expected texts in __metadata__, found the number 1");
  CHECK(header(R"({"__metadata__":{"k":{}}})", 0).find("expected texts in __metadata__, found an object") != std::string::npos);
  CHECK(header(R"({"__metadata__":"k"})", 0).find("expected objects, found the text 'k'") != std::string::npos);
  CHECK(header(R"({"__metadata__":null})", 0).find("expected objects, found null") != std::string::npos);
  CHECK(header("{\"" + std::string(5000, 'n') + "\\n\":7}").size() < 300);  // a message stays short

  // A tensor's three keys.
  const auto tensor = [&](const std::string& inside, std::size_t data = 8) { return header("{\"a\":{" + inside + "}}", data); };
  CHECK(tensor(R"("dtype":"F32","shape":[2])") == ": tensor 'a': expected dtype, shape and data_offsets, found not all of them");
  CHECK(tensor("") == ": tensor 'a': expected dtype, shape and data_offsets, found not all of them");
  CHECK(tensor(R"("dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8])").find("once each, found 'dtype'") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1)").find("once each, found 'more'") != std::string::npos);
  CHECK(tensor(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])") == ": tensor 'a': expected a known dtype, found 'F31'");
  CHECK(tensor(R"("dtype":"f32","shape":[2],"data_offsets":[0,8])") == ": tensor 'a': expected a known dtype, found 'f32'");
  CHECK(tensor(R"("dtype":["F32"],"shape":[2],"data_offsets":[0,8])").find("found an array") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":2,"data_offsets":[0,8])").find("found the number 2") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":"2","data_offsets":[0,8])").find("found the text '2'") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])").find("found a fraction") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])").find("found a negative number") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])").find("whole numbers as shape, found an array") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[true],"data_offsets":[0,8])").find("found a boolean") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0])") == ": tensor 'a': expected two data_offsets, found 1");
  CHECK(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])").find("two whole numbers as data_offsets, found the number 8") !=
        std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])") == ": tensor 'a': data_offsets: expected begin <= end, found 8 to 0");

  // Sizes.
  CHECK(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4) ==
        ": tensor 'a': data_offsets: expected 8 bytes for (2) in F32, found 0 to 4");
  CHECK(tensor(R"("dtype":"F64","shape":[2],"data_offsets":[0,8])").find("expected 16 bytes") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[2,4611686018427387904],"data_offsets":[0,0])", 0).find("less than 2^63 bytes") !=
        std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])", 0).find("less than 2^63 bytes") != std::string::npos);
  CHECK(tensor(R"("dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,9223372036854775808])").find("less than 2^63 bytes") !=
        std::string::npos);
  CHECK(tensor(R"("dtype":"U8","shape":[0,4611686018427387904,4],"data_offsets":[0,0])", 0).find("less than 2^63 bytes") !=
        std::string::npos);
  std::string ones = "1";
  for (int i = 0; i < 100000; ++i) ones += ",1";
  CHECK(tensor("\"dtype\":\"U8\",\"shape\":[" + ones + "],\"data_offsets\":[0,8]") ==
        ": tensor 'a': data_offsets: expected 1 bytes for (1,1,1,1,1,1,1,1,...) in U8, found 0 to 8");
  CHECK(tensor(R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,0])").find("beyond 64 bits") != std::string::npos);
  CHECK(tensor(R"("dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807])") ==
        ": expected 9223372036854775807 bytes of tensors, found 8");
  CHECK(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[1,9])", 9).find("expected to begin at 0, found 1") != std::string::npos);
  CHECK(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])", 9) == ": expected 8 bytes of tensors, found 9");
  const auto with = [&](const std::string& b, std::size_t data) {
    return header("{" + a + ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" + b + "}}", data);
  };
  CHECK(with("[8,16]", 16) == "(no exception)");
  CHECK(with("[0,8]", 8) == ": tensor 'b': data_offsets: expected to begin at 8, found 0");
  CHECK(with("[4,12]", 12) == ": tensor 'b': data_offsets: expected to begin at 8, found 4");
  CHECK(with("[12,20]", 20) == ": tensor 'b': data_offsets: expected to begin at 8, found 12");
  CHECK(with("[8,16]", 12) == ": expected 16 bytes of tensors, found 12");
}

TEST_CASE("what cannot be read or written", "[io]") {
  const scratch_folder folder;
  tensors t;
  CHECK(message<file_error>([&] { load(t, folder / "none"); }) == folder / "none: cannot be opened: No such file or directory");
  CHECK(message<file_error>([&] { load(t, folder / ""); }) == folder / ": not a regular file");
  CHECK(message<file_error>([&] { save(t, folder / "no/t"); }).ends_with("cannot be created: No such file or directory"));
  CHECK(message<file_error>([&] { save(t, folder / "t", {{"\xff", ""}}); }).ends_with("expected UTF-8, found '\xff'"));
  const float one = 1;
  const auto x = io::tensor_of("x", {}, std::span(&one, 1)), m = io::tensor_of("__metadata__", {}, std::span(&one, 1));
  const auto two = io::tensor_of("y", {2}, std::span(&one, 1));
  const auto write_all = [&](std::vector<io::memory_tensor<const std::byte>> all) {
    io::write_safetensors<const std::byte>(folder / "t", all);
  };
  CHECK(message<file_error>([&] { write_all({x, x}); }).ends_with("tensor 'x': expected a name of its own"));
  CHECK(message<file_error>([&] { write_all({m}); }).ends_with("tensor '__metadata__': expected a name of its own"));
  CHECK(message<file_error>([&] { write_all({two}); }).ends_with("tensor 'y': expected the bytes of (2), found 4"));
  CHECK(folder.files() == 0);
}

TEST_CASE("a disk that is full and a second writer leave the old file", "[io]") {
  const scratch_folder folder;
  const std::string path = folder / "t.safetensors";
  tensors t;
  save(t, path);
  ::chmod(path.c_str(), 0640);
  const std::string before = contents(path);
  t.weight[0] = 100;

  const pid_t child = ::fork();  // a limit on the size of files stands for the full disk
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit most{100, 100};
    ::setrlimit(RLIMIT_FSIZE, &most);
    try {
      save(t, path);
    } catch (const file_error& e) {
      ::_exit(std::string(e.what()).ends_with("cannot be written: File too large") ? 7 : 1);
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 7));
  CHECK(contents(path) == before);
  CHECK(folder.files() == 1);

  {
    const io::open_file other(::open((path + ".tmp").c_str(), O_RDWR | O_CREAT, 0600));
    REQUIRE(::flock(other.get(), LOCK_EX) == 0);
    CHECK(message<file_error>([&] { save(t, path); }).ends_with("somebody else is writing it"));
    CHECK(contents(path) == before);
  }
  write(path + ".tmp", std::string(5000, 'x'));  // of a writer that was killed
  save(t, path);
  CHECK(contents(path).size() == before.size());
  CHECK(contents(path) != before);
  CHECK(folder.files() == 1);
  struct stat s {};
  REQUIRE(::stat(path.c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0640);
}
