// The families that are chosen, beside what each family took on a named processor (data/conv3d_families.csv, which bench/families
// measures): close to the fastest one. No kernel is instantiated.
#include <volute/kernels/conv3d.hpp>

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <initializer_list>
#include <map>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

using namespace volute;
using namespace volute::kernels;

namespace {

#define VOLUTE_NAME_OF(x) #x
#define VOLUTE_EXPANDED_NAME_OF(x) VOLUTE_NAME_OF(x)
/// "avx2" of avx2_10001fff.
const std::string instruction_set = [] {
  const std::string name = VOLUTE_EXPANDED_NAME_OF(VOLUTE_ISA_NAME);
  return name.substr(0, name.find('_'));
}();

ops::conv_geometry geometry_of(std::istream& numbers) {
  std::vector<int64_t> v;
  for (std::string number; std::getline(numbers, number, ',');) v.push_back(std::stoll(number));
  REQUIRE(v.size() == 20);
  ops::conv_geometry g{v[0],
                       v[1],
                       v[2],
                       v[3],
                       {v[4], v[5], v[6]},
                       {},
                       {v[7], v[8], v[9]},
                       {v[10], v[11], v[12]},
                       {v[13], v[15], v[16]},
                       {v[17], v[18], v[19]}};
  const int64_t high[]{v[14], v[15], v[16]};
  for (int a = 0; a < 3; ++a) g.out[a] = (g.in[a] + g.lo[a] + high[a] - g.dilation[a] * (g.kernel[a] - 1) - 1) / g.stride[a] + 1;
  return g;
}

std::string chosen(ops::conv_geometry g, const std::string& face, ops::filtering filtering) {
  g.filtering = filtering;
  if (face == "weights") return family_name(weights_family_of<float>(g));
  return family_name(family_of<float>(g, face == "forward" ? conv_side::forward : conv_side::backward));
}

/// The families that are chosen beside the rows of a table for this instruction set; there are some for those that are `measured`.
void check_table(const char* path, ops::filtering filtering, std::initializer_list<std::string> measured) {
  std::ifstream file(path);
  REQUIRE(file);
  std::map<std::string, ops::conv_geometry> geometries;
  std::map<std::tuple<std::string, std::string, std::string>, std::map<std::string, double>> rows;  // of a processor, geometry and face
  std::string processor;
  bool ours = false;
  for (std::string line; std::getline(file, line);) {
    std::istringstream cells(line);
    std::string first;
    if (line.rfind("# ", 0) == 0) {
      ours = line.rfind("# " + instruction_set + ",", 0) == 0;
      processor = line.substr(2, line.find(" in a virtual machine") - 2);
    } else if (line.rfind("#geometry ", 0) == 0) {
      std::getline(cells.ignore(10), first, ',');
      geometries[first] = geometry_of(cells);
    } else if (ours) {
      std::string face, family, time;
      std::getline(cells, first, ','), std::getline(cells, face, ','), std::getline(cells, family, ','), std::getline(cells, time);
      rows[{processor, first, face}][family] = std::stod(time);
    }
  }
  REQUIRE(rows.empty() == (std::find(measured.begin(), measured.end(), instruction_set) == measured.end()));
  std::size_t close = 0;
  for (const auto& [key, times] : rows) {
    const auto& [of, geometry, face] = key;
    const std::string family = chosen(geometries.at(geometry), face, filtering);
    const auto best = std::min_element(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    INFO(of << ": " << geometry << ' ' << face << ": chosen " << family << ", fastest " << best->first << " of " << best->second << " us");
    REQUIRE(times.count(family) == 1);
    const double ratio = times.at(family) / best->second;
    CHECK(ratio <= 1.25);
    if (ratio > 1.05)
      WARN(of << ": " << geometry << ' ' << face << ": " << family << " takes " << ratio << " times what " << best->first << " does");
    close += ratio <= 1.05;
  }
  if (!rows.empty()) CHECK(static_cast<double>(close) >= 0.95 * static_cast<double>(rows.size()));
}

}  // namespace

TEST_CASE("the chosen family is within 5 % of the fastest in 95 of 100 rows, and never beyond 25 %") {
  check_table(VOLUTE_TEST_DATA "/conv3d_families.csv", ops::filtering::direct, {"avx512", "avx2"});
}

TEST_CASE("minimal filtering is taken where it pays, of rows that asked for it") {
  check_table(VOLUTE_TEST_DATA "/conv3d_minimal.csv", ops::filtering::minimal, {"avx512"});
}
