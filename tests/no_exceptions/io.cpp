// Files without exceptions: parameters, trainings and arrays, at paths and in memory, and errors as values.
#include <volute/io/checkpoint.hpp>
#include <volute/io/npz.hpp>
#include <volute/volute.hpp>

#include <cstdio>
#include <filesystem>

using namespace volute;

namespace {

using net = nn::linear<3, 2>;
constexpr auto x = input<"x", 1, 3>;
int mistakes = 0;

void check(bool good, const char* what) {
  if (!good) std::printf("failed: %s\n", what), ++mistakes;
}
void check_error(const status& s, error_kind kind, const char* part) {
  check(!s && s.kind() == kind && s.message().find(part) != std::string::npos, part);
  std::printf("%s\n", s.message().c_str());
}

}  // namespace

int main() {
  const std::string path = std::filesystem::temp_directory_path().string() + "/volute-no-exceptions-" + std::to_string(::getpid()),
                    none = path + "/none";
  model<net, x> m, n;
  model<nn::sequential<net>, x> other;
  m.initialize(5);
  const auto alike = [&] { return m.parameter<"weight">() == n.parameter<"weight">() && m.parameter<"bias">() == n.parameter<"bias">(); };

  std::vector<std::byte> bytes;
  check(m.try_save(path).ok() && m.try_save(bytes).ok(), "save");
  const auto report = n.try_load(bytes);
  check(report && report->loaded.size() == 2 && alike(), "load from memory");
  n.initialize(1);
  n.load(path);
  check(alike(), "load");
  check_error(n.try_load(none), error_kind::file, "cannot be opened");
  check_error(n.try_load(std::span(bytes).first(20)), error_kind::file, "length of the header");
  check_error(other.try_load(bytes), error_kind::shape, "4 tensors do not fit");
  check_error(m.try_save(none), error_kind::file, "cannot be created");
  check_error(m.try_save(path, io::metadata_map{{"\xff", ""}}), error_kind::file, "UTF-8");
  const std::string text = "{\"a\":[";  // JSON that ends early
  std::vector<std::byte> broken(8 + text.size());
  broken[0] = std::byte(text.size());
  std::memcpy(broken.data() + 8, text.data(), text.size());
  check_error(n.try_load(broken), error_kind::file, "expected objects, found an array");
  broken[13] = std::byte('x');
  check_error(n.try_load(broken), error_kind::file, "expected JSON");
  check(alike(), "nothing has changed");

  n.initialize(1);
  check(try_save_npz(m, bytes, npz::deflated).ok() && try_load_npz(n, bytes).ok() && alike(), "npz");
  check_error(try_load_npz(n, std::span(bytes).first(bytes.size() - 1)), error_kind::file, "expected a .npz file");
  check(try_save_npz(m, path).ok() && npz_file::open(path)->tensors().size() == 2, "npz file");

  const xt::xtensor<double, 2> batch{{1, 2, 3}};
  check(try_save_npy(bytes, batch).ok() && *try_load_npy(bytes, x) == batch, "npy");
  check_error(try_load_npy<float, 3>(bytes), error_kind::shape, "expected 3 axes");

  using training = trainer<net, nn::mse, adam, x, input<"target", 1, 2>>;
  training a, b;
  const xt::xtensor<float, 2> in{{1, 2, 3}}, target{{0, 1}};
  a.step(in, target);
  check(try_save_checkpoint(a, bytes).ok() && *try_resume(b, bytes), "checkpoint");
  const float next = a.step(in, target);
  check(next == b.step(in, target), "the same step");
  check(try_save(m, path).ok(), "save again");
  check_error(try_resume(b, path), error_kind::file, "expected a checkpoint");
  ::unlink(path.c_str());
  check(!*try_resume(b, path), "no checkpoint");
  return mistakes;
}
