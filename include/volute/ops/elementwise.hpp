// The scalar functions that work element by element, and scalar programs: short straight-line sequences of them. Fusion turns a
// chain of elementwise nodes into one scalar program; a kernel runs it on vector registers, so that no intermediate is stored.
#pragma once

#include <cstdint>

namespace volute::ops {

/// One scalar function. The number of operands is `arity(fn)`.
// clang-format off
enum class fn : std::int8_t {
  // unary
  identity, negate, abs, sign, reciprocal, square, sqrt, rsqrt, exp, expm1, log, log1p, sin, cos, tanh, sigmoid, softplus, erf, floor, relu,
  step,  // x > 0 ? 1 : 0, the derivative of relu; 0 at 0 as in PyTorch
  // binary
  add, subtract, multiply, divide, minimum, maximum, power, less, less_equal, equal,  // comparisons give 1 or 0
  leaky,  // a > 0 ? a : a * b, b >= 0
  // ternary
  select,  // a != 0 ? b : c; the operand that is not chosen has no influence, not even a NaN
};
// clang-format on

/// The number of operands.
constexpr int arity(fn f) { return f < fn::add ? 1 : f < fn::select ? 2 : 3; }

/// Everything in a scalar program is a register: first the inputs, then the constants, then one register for each instruction.
/// The result is the last register (with no instruction: input 0).
struct instruction {
  fn f{};
  std::int8_t a = 0, b = 0, c = 0;
  friend constexpr bool operator==(const instruction&, const instruction&) = default;
};

/// The most that one program holds: what a group of fused nodes may need.
inline constexpr int max_program_inputs = 8;
inline constexpr int max_program_constants = 8;
inline constexpr int max_program_length = 24;

/// A scalar program: a structural value and so a template argument of the kernels that run it.
struct scalar_program {
  int inputs = 1;
  int constants = 0;
  int length = 0;
  double constant[max_program_constants]{};
  instruction code[max_program_length]{};

  /// What lies behind the last constant and instruction is zero in all programs.
  friend constexpr bool operator==(const scalar_program& p, const scalar_program& q) {
    if (p.inputs != q.inputs || p.constants != q.constants || p.length != q.length) return false;
    for (int i = 0; i < p.length; ++i) {
      const instruction &s = p.code[i], &t = q.code[i];
      if (s.f != t.f || s.a != t.a || s.b != t.b || s.c != t.c) return false;
    }
    for (int i = 0; i < p.constants; ++i)
      if (p.constant[i] != q.constant[i]) return false;
    return true;
  }
};

/// How a further operand of an epilogue varies over the output (n, c, d, h, w) of the kernel that it rides on.
enum class access : std::int8_t {
  whole,               // a tensor of the output's own shape
  per_channel,         // (c)
  per_sample_channel,  // (n, c)
  scalar,              // one element
};

/// What is done to each result y of a convolution before it is stored: program(y, extra[0], extra[1], ...); input 0 is y.
struct epilogue {
  scalar_program program{};
  access operand[max_program_inputs]{};  // of inputs 1..program.inputs-1 (entry 0: see kernels/blocked_maps.hpp)
  friend constexpr bool operator==(const epilogue&, const epilogue&) = default;
};

}  // namespace volute::ops
