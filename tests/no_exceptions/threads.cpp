// The pool without exceptions: it works, and threads that the system does not give end the program.
#include <volute/core/executor.hpp>

#include <atomic>

#if defined(__linux__) && defined(__GLIBC__)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace {

bool works(volute::executor& e) {
  std::atomic<int> done{0};
  for (int i = 0; i < 100; ++i)
    e.parallel(
        10, [](void* context, std::int64_t, int) noexcept { ++*static_cast<std::atomic<int>*>(context); }, &done);
  return done == 1000;
}

bool ends_without_threads() {
#if defined(__linux__) && defined(__GLIBC__)
  const pid_t child = fork();
  if (child == 0) {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_AS, &none);
    close(STDERR_FILENO);
    volute::spinning_pool pool(8);
    _exit(0);
  }
  int state = 0;
  waitpid(child, &state, 0);
  return state != 0;  // by abort(); sanitizers have ends of their own
#else
  return true;
#endif
}

}  // namespace

int main() {
  const bool ends = ends_without_threads();
  volute::spinning_pool pool(3);
  return ends && works(pool) ? 0 : 1;
}
