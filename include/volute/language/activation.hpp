// Activation functions beside those of composite.hpp, each as PyTorch's function of its name: value, and derivative at its corners.
#pragma once

#include <volute/language/composite.hpp>

namespace volute {
namespace function {

/// What lies between two limits, else the limit; unlike clamp without a derivative at a limit, as PyTorch's hard functions.
constexpr auto between(auto a, auto low, auto high) { return select(a <= low, low, select(high <= a, high, a)); }

/// The modules behind the functions of these names below.
template <double Low, double High>
struct hardtanh {
  static constexpr auto forward(auto x) {
    if constexpr (Low <= High) {
      return between(x, constant<Low>, constant<High>);
    } else {
      constexpr line got = line("got ") << Low << " and " << High;
      return failed<text(""), text("hardtanh wants min <= max"), to_text<got>()>{};
    }
  }
};
struct hardsigmoid {
  static constexpr auto forward(auto x) { return between(x + 3_c, 0_c, 6_c) * constant<1.0 / 6>; }
};
struct hardswish {
  static constexpr auto forward(auto x) { return select(x <= constant<-3>, 0_c, select(3_c <= x, x, x * (x + 3_c) * constant<1.0 / 6>)); }
};
template <double Lambda>
struct hardshrink {
  static constexpr auto forward(auto x) { return select(abs(x) <= constant<Lambda>, 0_c, x); }
};
template <double Lambda>
struct softshrink {
  static constexpr auto forward(auto x) { return select(abs(x) <= constant<Lambda>, 0_c, x - sign(x) * constant<Lambda>); }
};
template <double Threshold, double Value>
struct threshold {
  static constexpr auto forward(auto x) { return select(x <= constant<Threshold>, constant<Value>, x); }
};
struct gelu_tanh {
  static constexpr auto forward(auto x) {
    return x * (tanh((x + x * square(x) * 0.044715_c) * constant<0.79788456080286535588>) * 0.5_c + 0.5_c);
  }
};
struct selu {
  static constexpr auto forward(auto x) {
    return select(0_c < x, x, expm1(x) * constant<1.6732632423543772848>) * constant<1.0507009873554804934>;
  }
};
template <double Alpha>
struct celu {
  static constexpr auto forward(auto x) {
    if constexpr (Alpha != 0)
      return select(0_c < x, x, expm1(x * constant<1 / Alpha>) * constant<Alpha>);
    else
      return failed<text(""), text("celu wants alpha other than 0"), text("got 0")>{};
  }
};
struct mish {
  static constexpr auto forward(auto x) { return x * tanh(softplus(x)); }
};
struct softsign {
  static constexpr auto forward(auto x) { return x / (1_c + abs(x)); }
};
struct tanhshrink {
  static constexpr auto forward(auto x) { return x - tanh(x); }
};
struct prelu {
  static constexpr auto forward(auto x, auto slope) {
    constexpr extents e = decltype(x)::shape(), s = decltype(slope)::shape();
    constexpr std::int64_t channels = e.rank > 1 ? e[1] : 1;
    if constexpr (s.size() != 1 && !(s == make_extents(channels))) {
      constexpr line wanted = line("prelu wants 1 or ") << channels << " slopes";
      constexpr line got = line("got ") << s << " for " << e;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else {
      constexpr extents view = [&] {
        extents one_each;
        if (s.size() != 1)
          for (int a = 1; a < e.rank; ++a) one_each.push_back(a == 1 ? channels : 1);
        return one_each;
      }();
      return select(0_c < x, x, x * apply<ops::reshape_to{view}>(slope));
    }
  }
};
template <int Axis>
struct glu {
  static constexpr auto forward(auto x) {
    constexpr extents e = decltype(x)::shape();
    constexpr int at = Axis < 0 ? Axis + e.rank : Axis;
    if constexpr (at < 0 || at >= e.rank) {
      constexpr line wanted = line("glu wants an axis of rank ") << e.rank, got = line("got axis ") << Axis;
      return failed<text(""), to_text<wanted>(), to_text<got>()>{};
    } else if constexpr (e[at] % 2 != 0 || e[at] == 0) {
      constexpr line got = line("got ") << e[at] << " in " << e;
      return failed<text(""), text("glu wants an even extent"), to_text<got>()>{};
    } else {
      constexpr std::int64_t half = e[at] / 2;
      return slice(x, axis<at>, range<0, half>) * sigmoid(slice(x, axis<at>, range<half, e[at]>));
    }
  }
};

}  // namespace function

// clang-format off
/// Low where x <= Low, High where x >= High, else x.
template <auto Low = -1.0, auto High = 1.0, expression A> constexpr auto hardtanh(A a) { return invoke<function::hardtanh<static_cast<double>(Low), static_cast<double>(High)>>(a); }
/// hardtanh between 0 and 6.
template <expression A> constexpr auto relu6(A a) { return hardtanh<0, 6>(a); }
/// (x + 3) / 6 between 0 and 1.
template <expression A> constexpr auto hardsigmoid(A a) { return invoke<function::hardsigmoid>(a); }
/// x * hardsigmoid(x). (MobileNetV3, https://arxiv.org/abs/1905.02244)
template <expression A> constexpr auto hardswish(A a) { return invoke<function::hardswish>(a); }
/// 0 where |x| <= Lambda, else x.
template <auto Lambda = 0.5, expression A> constexpr auto hardshrink(A a) { return invoke<function::hardshrink<static_cast<double>(Lambda)>>(a); }
/// 0 where |x| <= Lambda, else x moved by Lambda towards 0.
template <auto Lambda = 0.5, expression A> constexpr auto softshrink(A a) { return invoke<function::softshrink<static_cast<double>(Lambda)>>(a); }
/// x where x > Threshold, else Value.
template <auto Threshold, auto Value, expression A> constexpr auto threshold(A a) { return invoke<function::threshold<static_cast<double>(Threshold), static_cast<double>(Value)>>(a); }
/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. (torch gelu, approximate='tanh'; https://arxiv.org/abs/1606.08415)
template <expression A> constexpr auto gelu_tanh(A a) { return invoke<function::gelu_tanh>(a); }
/// 1.0507 (x > 0 ? x : 1.6733 (exp(x) - 1)). (https://arxiv.org/abs/1706.02515)
template <expression A> constexpr auto selu(A a) { return invoke<function::selu>(a); }
/// x > 0 ? x : Alpha (exp(x / Alpha) - 1).
template <auto Alpha = 1.0, expression A> constexpr auto celu(A a) { return invoke<function::celu<static_cast<double>(Alpha)>>(a); }
/// x tanh(softplus(x)). (https://arxiv.org/abs/1908.08681)
template <expression A> constexpr auto mish(A a) { return invoke<function::mish>(a); }
/// log(sigmoid(x)), small values kept.
template <expression A> constexpr auto logsigmoid(A a) { return -softplus(-a); }
/// x / (1 + |x|).
template <expression A> constexpr auto softsign(A a) { return invoke<function::softsign>(a); }
/// x - tanh(x).
template <expression A> constexpr auto tanhshrink(A a) { return invoke<function::tanhshrink>(a); }
/// softmax(-x).
template <expression A, int X> constexpr auto softmin(A a, option::axis<X> x) { return softmax(-a, x); }
/// x > 0 ? x : slope * x; one slope, or (C) for x (N, C, ...). (https://arxiv.org/abs/1502.01852)
template <expression A, expression S> constexpr auto prelu(A a, S slope) { return invoke<function::prelu>(a, slope); }
/// The first half along an axis, times the sigmoid of the second. (https://arxiv.org/abs/1612.08083)
template <expression A, int X> constexpr auto glu(A a, option::axis<X>) { return invoke<function::glu<X>>(a); }
// clang-format on

}  // namespace volute
