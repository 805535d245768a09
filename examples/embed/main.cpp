// A program that uses a network and includes nothing of the library: it calls the network in a loop, measures each call and counts what is
// allocated meanwhile.
//   embed [weights.safetensors]
#include "classifier.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <numeric>
#include <vector>

// Every new of the program comes by here, the library's too: the other forms (arrays, nothrow) call these two.
static std::size_t allocations = 0;
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  const auto a = static_cast<std::size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (bytes + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

int main(int count, char** arguments) try {
  constexpr std::size_t calls = 10000;
  classifier classify(count > 1 ? arguments[1] : "");
  std::printf("%zu allocations to build the classifier\n", allocations);

  std::array<float, classifier::voxels> volume{};
  std::array<float, classifier::classes> scores{};
  std::array<int, classifier::classes> won{};
  std::vector<double> microseconds(calls);

  const std::size_t before = allocations;
  for (std::size_t i = 0; i < calls; ++i) {
    for (std::size_t v = 0; v < volume.size(); ++v) volume[v] = static_cast<float>((v * (i + 1)) % 97) / 97;  // another volume each time
    const auto start = std::chrono::steady_clock::now();
    classify(volume, scores);
    microseconds[i] = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    ++won[static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin())];
  }
  const std::size_t during = allocations - before;

  std::sort(microseconds.begin(), microseconds.end());
  std::printf("%zu calls: p50 %.1f us, p99 %.1f us, max %.1f us\n", calls, microseconds[calls / 2], microseconds[calls * 99 / 100],
              microseconds.back());
  std::printf("%zu allocations during the calls\nvolumes by class:", during);
  for (int n : won) std::printf(" %d", n);
  std::puts("");
  return during == 0 && before > 0 ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
