// Convolutions of cases.json: every value must be equal, forward and, where given, the gradients by x, w and b.
#include "support.hpp"

#include <volute/volute.hpp>

namespace {

using namespace volute;
using namespace conformance;

/// The convolution of a case with its options, without bias.
template <class C, class... Bias>
constexpr auto convolution(Bias... b) {
  return conv3d(input_of<"x">(C::x), parameter_of<"w">(C::w), b..., stride<C::stride[0], C::stride[1], C::stride[2]>,
                padding<C::pad_lo[0], C::pad_hi[0], C::pad_lo[1], C::pad_hi[1], C::pad_lo[2], C::pad_hi[2]>,
                dilation<C::dilation[0], C::dilation[1], C::dilation[2]>, groups<C::groups>);
}

template <class C, class T>
void run() {
  INFO(C::id << " in " << (sizeof(T) == 4 ? "float" : "double"));
  const json& want = entry(C::id);
  const auto in = conv_inputs<T>::template of<C>();
  constexpr auto x = input_of<"x">(C::x);
  constexpr auto w = parameter_of<"w">(C::w);
  constexpr auto b = parameter<"b", C::w.value[0]>;
  constexpr auto g = input_of<"g">(C::y);
  constexpr auto y = [] {
    if constexpr (C::bias)
      return convolution<C>(parameter<"b", C::w.value[0]>);
    else
      return convolution<C>();
  }();
  static_assert(y.shape() == C::y.value);

  const auto verify = [&](const auto& results) {
    check(want.at("Y"), std::get<0>(results), exact);
    if constexpr (std::tuple_size_v<std::remove_cvref_t<decltype(results)>> > 1) {
      check(want.at("dx"), std::get<1>(results), exact);
      check(want.at("dw"), std::get<2>(results), exact);
    }
    if constexpr (std::tuple_size_v<std::remove_cvref_t<decltype(results)>> > 3) check(want.at("db"), std::get<3>(results), exact);
  };
  if constexpr (C::gradients && C::bias) {
    constexpr auto d = gradient(y, x, w, b, cotangent(g));
    verify(evaluate(outputs(y, std::get<0>(d), std::get<1>(d), std::get<2>(d)), x = in.x, w = in.w, b = in.b, g = filled<T>(C::y, fg)));
  } else if constexpr (C::gradients) {
    constexpr auto d = gradient(y, x, w, cotangent(g));
    verify(evaluate(outputs(y, std::get<0>(d), std::get<1>(d)), x = in.x, w = in.w, g = filled<T>(C::y, fg)));
  } else if constexpr (C::bias) {
    verify(evaluate(outputs(y), x = in.x, w = in.w, b = in.b));
  } else {
    verify(evaluate(outputs(y), x = in.x, w = in.w));
  }
}

}  // namespace

#define CONV_CASE(id)             \
  TEST_CASE(#id) {                \
    run<id, float>();             \
    run<id, double>();            \
  }
#include "conformance_cases.hpp"
