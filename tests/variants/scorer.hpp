// The handle of a network of several variants: classes, functions, exceptions and a global variable with an initial value that is computed.
#pragma once

#include <memory>
#include <span>
#include <string>

class scorer {
 public:
  explicit scorer(const std::string& weights);  // throws std::runtime_error
  ~scorer();
  void operator()(std::span<const float, 125> volume, std::span<float, 4> scores) noexcept;
  void save(const std::string& weights) const;

 private:
  struct network;
  std::unique_ptr<network> network_;
};

/// What it was compiled for, as the library and as the program's own static data say.
const char* scorer_isa();
const std::string& scorer_remembers();
