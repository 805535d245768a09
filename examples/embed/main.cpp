// A program that uses a network and includes nothing of the library: it calls the network in a loop, measures each call and counts what is
// allocated meanwhile.
//   embed [weights.safetensors]
#include "classifier.hpp"

#include <support/allocations.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <vector>

int main(int count, char** arguments) try {
  constexpr std::size_t calls = 10000;
  classifier classify(count > 1 ? arguments[1] : "");
  const long before = example::allocation_count;
  std::printf("%ld allocations and releases to build the classifier\n", before);

  std::array<float, classifier::voxels> volume{};
  std::array<float, classifier::classes> scores{};
  std::array<int, classifier::classes> won{};
  std::vector<double> microseconds(calls);

  const long start_of_calls = example::allocation_count;
  for (std::size_t i = 0; i < calls; ++i) {
    for (std::size_t v = 0; v < volume.size(); ++v) volume[v] = static_cast<float>((v * (i + 1)) % 97) / 97;  // another volume each time
    const auto start = std::chrono::steady_clock::now();
    classify(volume, scores);
    microseconds[i] = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    ++won[static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin())];
  }
  const long during = example::allocation_count - start_of_calls;

  std::sort(microseconds.begin(), microseconds.end());
  std::printf("%zu calls: p50 %.1f us, p99 %.1f us, max %.1f us\n", calls, microseconds[calls / 2], microseconds[calls * 99 / 100],
              microseconds.back());
  std::printf("%ld allocations and releases during the calls\nvolumes by class:", during);
  for (int n : won) std::printf(" %d", n);
  std::puts("");
  return during == 0 && before > 0 ? 0 : 1;
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
