// Times all that family.cpp entered: for each face of each convolution the families take turns, round by round. Prints lines of
// name,face,family,microseconds (the least of the rounds' medians: what else runs on a machine only adds).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "family.hpp"
#include "timing.hpp"

using namespace compare;

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const double budget = (argc > 2 ? std::atof(argv[2]) : 0.02) * 1e6;
  const std::regex only(argc > 3 ? argv[3] : ".");
  std::map<std::pair<std::string, std::string>, std::vector<contender>> groups;
  for (const contender& c : contenders())
    if (std::regex_search(c.name, only)) groups[{c.name, c.face}].push_back(c);
  std::size_t done = 0;
  for (const auto& [key, group] : groups) {
    std::fprintf(stderr, "\r%zu of %zu: %s %s        ", ++done, groups.size(), key.first.c_str(), key.second.c_str());
    std::vector<contestant> all;
    for (const contender& c : group) all.push_back({c.family, turns_of(c.prepare()), false});
    std::vector<double> least(all.size(), HUGE_VAL);
    for (int r = 0; r < rounds; ++r)
      for (std::size_t i = 0; i < all.size(); ++i) {
        std::vector<double> samples;
        all[i].turn(budget, samples);
        std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2), samples.end());
        least[i] = std::min(least[i], samples[samples.size() / 2]);
      }
    for (std::size_t i = 0; i < all.size(); ++i)
      std::printf("%s,%s,%s,%.4g\n", key.first.c_str(), key.second.c_str(), all[i].name.c_str(), least[i]);
    std::fflush(stdout);
  }
  std::fputs("\n", stderr);
}
