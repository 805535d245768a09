// A run asks nothing of the system after the first: no call of it, no lock, no memory. The kernel itself watches (seccomp): the child that
// makes a system call while it runs is killed. Locks that nobody contends make no call, so they are counted.
#include <volute/volute.hpp>

#include <catch2/catch.hpp>

#ifdef __linux__

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <utility>

namespace {
int locks = 0;
}
// Instead of the C library's, in this program: what locks here locks nothing, which a child of one thread does not miss.
extern "C" int pthread_mutex_lock(pthread_mutex_t*) noexcept { return ++locks, 0; }
extern "C" int pthread_mutex_unlock(pthread_mutex_t*) noexcept { return 0; }

using namespace volute;

namespace {

enum class verdict { quiet, called_the_system, locked, not_watched };

/// From here on this thread may end the process, and that is all.
bool watched() {
  sock_filter code[]{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                     {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_exit_group},
                     {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
                     {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS}};
  sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// What f() does, called ten times in a child after before(), which is not judged.
template <class B, class F>
verdict judged(B before, F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    before();
    const int taken = locks;
    if (!watched()) ::_exit(static_cast<int>(verdict::not_watched));
    for (int i = 0; i < 10; ++i) f();
    ::_exit(static_cast<int>(locks == taken ? verdict::quiet : verdict::locked));
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return verdict::not_watched;
  return WIFEXITED(status) ? static_cast<verdict>(WEXITSTATUS(status)) : verdict::called_the_system;
}
template <class F>
verdict judged(F f) {
  return judged(f, f);
}

void check_quiet(verdict v) {
  if (v == verdict::not_watched)
    WARN("this system cannot be watched");
  else
    CHECK(v == verdict::quiet);
}

struct net : nn::sequential<nn::conv3d<1, 16, nn::kernel<3>, nn::same>, nn::batch_norm3d<16>, nn::relu,
                            nn::conv3d<16, 16, nn::kernel<3>, nn::same>, nn::instance_norm3d<16>, nn::gelu, nn::max_pool3d<2>,
                            nn::dropout<>, nn::flatten, nn::linear<16 * 64, 3>> {};
constexpr auto x = input<"x", 2, 1, 8, 8, 8>;
constexpr auto t = input<"t", 2>;
using batch = xt::xtensor<float, 5>;

}  // namespace

TEST_CASE("the watcher sees system calls, memory and locks") {
  const verdict call = judged([] { ::syscall(SYS_getppid); });
  if (call == verdict::not_watched) {
    WARN("this system cannot be watched");
    return;
  }
  CHECK(call == verdict::called_the_system);
  CHECK(judged([] { ::munmap(::mmap(nullptr, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1); }) == verdict::called_the_system);
  static std::mutex m;
  CHECK(judged([] { const std::lock_guard hold(m); }) == verdict::locked);
  CHECK(judged([] {}) == verdict::quiet);
}

TEST_CASE("a run asks nothing of the system") {
  static const batch in = xt::ones<float>({2, 1, 8, 8, 8});
  static model<net, x> direct;
  static xt::xtensor<float, 2> scores = xt::zeros<float>({2, 3});
  check_quiet(judged([] { xt::noalias(scores) = direct(in); }));
  static model<nn::minimal_filtering<net>, x> minimal;
  check_quiet(judged([] { xt::noalias(scores) = minimal(in); }));
  const verdict changed = judged([] { minimal.initialize(3), xt::noalias(scores) = minimal(in); });
  CHECK((changed == verdict::locked || changed == verdict::not_watched));  // filters are packed anew, once for all who share them
}

TEST_CASE("nor does the first run after warm_up") {
  static const batch in = xt::ones<float>({2, 1, 8, 8, 8});
  static xt::xtensor<float, 2> scores = xt::zeros<float>({2, 3});
  static model<net, x> m;
  const auto run = [] { xt::noalias(scores) = m(in); };
  const verdict cold = judged([] {}, run);
  CHECK((cold == verdict::locked || cold == verdict::not_watched));
  check_quiet(judged([] { m.warm_up(); }, run));
  check_quiet(judged([] { m.initialize(5), m.warm_up(); }, run));
  static auto w = workspace::of<decltype(m)>();
  check_quiet(judged([] { std::as_const(m).warm_up(w); }, [] { xt::noalias(scores) = std::as_const(m)(w, in); }));
  run();
  const xt::xtensor<float, 2> before = scores;
  m.warm_up();
  run();
  CHECK(before == scores);
}

TEST_CASE("warm_up leaves states and random numbers as they are") {
  constexpr auto scores = training(net{}(x));
  using step = program<outputs(scores, gradient(sum(square(scores)), parameters))>;
  static step a, b;
  const batch in = xt::ones<float>({2, 1, 8, 8, 8});
  a.warm_up();
  for (int i = 0; i < 2; ++i) {
    const xt::xtensor<float, 2> ya = std::get<0>(a(x = in)), yb = std::get<0>(b(x = in));
    CHECK(ya == yb);
    CHECK(std::equal(a.parameter_values().begin(), a.parameter_values().end(), b.parameter_values().begin()));
  }
}

TEST_CASE("a training step asks nothing of the system") {
  static const batch in = xt::ones<float>({2, 1, 8, 8, 8});
  static const xt::xtensor<int, 1> labels{1, 2};
  static trainer<net, nn::cross_entropy<>, adam, x, t> step(adam{}, {.clip_norm = 1, .ema_decay = 0.9, .accumulate = 2});
  check_quiet(judged([] { step.step(in, labels); }));
}

#endif
