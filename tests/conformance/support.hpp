// The closed-form inputs of cases.json, its expected values, and how they are compared. The formulas are exact in float; i is the
// flat row-major index.
#pragma once

#include <volute/volute.hpp>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <xtensor/xtensor.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace conformance {

using nlohmann::json;

// ---- inputs ---------------------------------------------------------------------------------------------------------------------

inline double fx(std::int64_t i) { return static_cast<double>((7 * i + 3) % 13 - 6); }
inline double fw(std::int64_t i) { return static_cast<double>((5 * i + 1) % 11 - 5); }
inline double fb(std::int64_t i) { return static_cast<double>(i % 5 - 2); }
inline double fm(std::int64_t i) { return static_cast<double>((3 * i + 2) % 9 - 4) / 4; }
inline double fg(std::int64_t i) { return static_cast<double>((3 * i + 2) % 7 - 3); }
inline double ar(std::int64_t i) { return static_cast<double>(i + 1); }

/// A tensor filled by a formula of the flat index: `filled<float>(shape<2, 3, 4, 5, 6>, fx)`.
template <class T, std::int64_t... D, class Formula>
xt::xtensor<T, sizeof...(D)> filled(volute::shape_constant<D...>, Formula formula) {
  xt::xtensor<T, sizeof...(D)> t(typename xt::xtensor<T, sizeof...(D)>::shape_type{static_cast<std::size_t>(D)...});
  for (std::size_t i = 0; i < t.size(); ++i) t.data()[i] = static_cast<T>(formula(static_cast<std::int64_t>(i)));
  return t;
}

/// An input or a parameter of a shape that is given as a value.
template <volute::text Name, std::int64_t... D>
constexpr auto input_of(volute::shape_constant<D...>) {
  return volute::input<Name, D...>;
}
template <volute::text Name, std::int64_t... D>
constexpr auto parameter_of(volute::shape_constant<D...>) {
  return volute::parameter<Name, D...>;
}

/// The entry of cases.json with this id.
inline const json& entry(std::string_view id) {
  static const json all = json::parse(std::ifstream(VOLUTE_CASES));
  const auto found = std::find_if(all.begin(), all.end(), [&](const json& e) { return e.at("id") == id; });
  if (found == all.end()) FAIL("cases.json has no " << id);
  return *found;
}

/// x, w and b of a convolution case. C01 to C04 are the Conv3D document's own examples.
template <class T>
struct conv_inputs {
  xt::xtensor<T, 5> x, w;
  xt::xtensor<T, 1> b;

  template <class Case>
  static conv_inputs of() {
    const std::string id = Case::id;
    constexpr auto channels = volute::shape<Case::w.value[0]>;
    const auto ar8 = [](std::int64_t i) { return ar(i % 8); };
    if (id == "C02") return {filled<T>(Case::x, ar8), filled<T>(Case::w, ar8), {}};
    if (id == "C01" || id == "C03" || id == "C04")
      return {filled<T>(Case::x, ar), filled<T>(Case::w, ar), filled<T>(channels, [](std::int64_t i) { return 17 + i; })};
    REQUIRE_FALSE(entry(id).contains("inputs"));  // a new special input has to be taught here
    return {filled<T>(Case::x, fx), filled<T>(Case::w, fw), filled<T>(channels, fb)};
  }
};

/// x, w and mod of a modulated case, as its `inputs` says.
template <class T>
struct mod_inputs {
  xt::xtensor<T, 5> x, w;
  xt::xtensor<T, 2> mod;

  template <class Case>
  static mod_inputs of() {
    const std::string inputs = entry(Case::id).value("inputs", "");
    double weight = 0.125;
    std::vector<double> listed;
    double factor = 1, offset = 0;  // mod = fm * factor + offset
    const auto starts = [&](const char* text) { return inputs.rfind(text, 0) == 0; };
    if (starts("w = fw/8 * 2^"))
      weight = std::ldexp(weight, std::stoi(inputs.substr(13)));
    else if (inputs == "w = 0")
      weight = 0;
    else if (starts("mod = [["))
      for (const auto& row : json::parse(inputs.substr(6))) listed.insert(listed.end(), row.begin(), row.end());
    else if (starts("mod = 0"))
      factor = 0;
    else if (starts("mod = -1 everywhere"))
      factor = 0, offset = -1;
    else if (inputs == "scale = mod itself, mod = fm + 1")
      offset = 1;
    else
      REQUIRE(inputs == "");  // a new special input has to be taught here
    return {filled<T>(Case::x, fx), filled<T>(Case::w, [&](std::int64_t i) { return fw(i) * weight; }),
            filled<T>(Case::mod,
                      [&](std::int64_t i) { return listed.empty() ? fm(i) * factor + offset : listed.at(static_cast<std::size_t>(i)); })};
  }
};

// ---- comparison -----------------------------------------------------------------------------------------------------------------

/// How close a result must be, relative to its largest magnitude; 0 is equality.
inline constexpr double exact = 0;
template <class T>
inline constexpr double rounding = sizeof(T) == 4 ? 2e-5 : 1e-11;

/// Compares a tensor with an expected value of cases.json: a summary, every element, a number, or null (zero everywhere).
template <class Tensor>
void check(const json& want, const Tensor& got, double tolerance) {
  std::vector<double> v(got.size());
  std::copy(got.begin(), got.end(), v.begin());
  double largest = 0, sum = 0, cs = 0, sum_scale = 0, cs_scale = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    const double weight = static_cast<double>(i % 17 + 1);
    largest = std::max(largest, std::abs(v[i]));
    sum += v[i], sum_scale += std::abs(v[i]);
    cs += v[i] * weight, cs_scale += std::abs(v[i]) * weight;
  }
  const auto near = [&](const char* what, double a, double b, double scale) {
    INFO(what << ": got " << a << ", wanted " << b << ", allowed difference " << tolerance * std::max(scale, std::abs(b)));
    CHECK(std::abs(a - b) <= tolerance * std::max(scale, std::abs(b)));  // false for NaN
  };
  if (want.is_array()) {
    REQUIRE(want.size() == v.size());
    for (std::size_t i = 0; i < v.size(); ++i) near("element", v[i], want[i], largest);
  } else if (want.is_object()) {
    near("first", v.front(), want.at("first"), largest);
    near("last", v.back(), want.at("last"), largest);
    near("sum", sum, want.at("sum"), sum_scale);
    near("cs", cs, want.at("cs"), cs_scale);
  } else if (want.is_number()) {
    REQUIRE(v.size() == 1);
    near("value", v.front(), want, largest);
  } else {
    near("largest", largest, 0, 0);
  }
}

}  // namespace conformance
