// One program of two files, this one without exceptions: each has its own bodies of functions that report errors, in whatever order they
// are linked. The other is with_exceptions/mixed.cpp.
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>

#include <cstdio>

#include <csignal>
#include <sys/wait.h>

using namespace volute;

bool with_exceptions();

namespace {

template <class F>
bool aborts(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::freopen("/dev/null", "w", stderr) == nullptr ? ::_exit(2) : f();
    ::_exit(0);
  }
  int state = 0;
  return ::waitpid(child, &state, 0) == child && WIFSIGNALED(state) && WTERMSIG(state) == SIGABRT;
}

}  // namespace

int main() {
  model<nn::linear<3, 2>, input<"x", 1, 3>> m;
  const xt::xtensor<float, 2> wrong({2, 3}), right({1, 3});
  const xt::xtensor<float, 2> y = m(right);
  const bool shape = aborts([&] { const xt::xtensor<float, 2> z = m(wrong); });
  const bool file = aborts([&] { m.load("/none"); }) && !m.try_load("/none");
  const bool other = with_exceptions();
  std::printf("aborts: shape %d, file %d; throws: %d\n", shape, file, other);
  return shape && file && other && y.size() == 2 ? 0 : 1;
}
