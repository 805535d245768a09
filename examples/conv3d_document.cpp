// The examples of the document on the Conv3D layer: values, gradients, and a model with one step of training.
#include <volute/volute.hpp>

#include <cstdio>

using namespace volute;

/// 1, 2, 3, ... in a tensor of this shape.
xt::xtensor<float, 5> counting(const std::array<std::size_t, 5>& shape) {
  xt::xtensor<float, 5> t(shape);
  float next = 1;
  for (float& v : t) v = next++;
  return t;
}

void print(const char* name, const auto& tensor) {
  std::printf("%-22s", name);
  for (float v : tensor) std::printf(" %g", static_cast<double>(v));
  std::puts("");
}

/// A volume of 2x2x2 voxels under a filter of the same size: 1*1 + 2*2 + ... + 8*8.
void one_filter() {
  constexpr auto x = input<"x", 1, 1, 2, 2, 2>;
  constexpr auto w = parameter<"w", 1, 1, 2, 2, 2>;
  constexpr auto y = conv3d(x, w);  // an expression: nothing is computed yet, but its shape is known
  static_assert(y.shape() == shape<1, 1, 1, 1, 1>);

  const auto eight = counting({1, 1, 2, 2, 2});
  const auto [value, dx, dw] = evaluate(outputs(y, gradient(y, x), gradient(y, w)), x = eight, w = eight);
  std::puts("A filter as large as the volume, both 1..8 (204 holds for one input channel)");
  print("value", value);
  print("gradient by the input", dx);   // the filter
  print("gradient by the filter", dw);  // the input: 1..8, where the document prints another
}

/// Two samples, two channels in and out, with a bias.
void channels_and_bias() {
  constexpr auto x = input<"x", 2, 2, 3, 3, 3>;
  constexpr auto w = parameter<"w", 2, 2, 2, 2, 2>;
  constexpr auto b = parameter<"b", 2>;
  constexpr auto y = conv3d(x, w, b);
  static_assert(y.shape() == shape<2, 2, 2, 2, 2>);

  const xt::xtensor<float, 1> bias{17, 18};
  const auto [value, db] =
      evaluate(outputs(y, gradient(sum(y), b)), x = counting({2, 2, 3, 3, 3}), w = counting({2, 2, 2, 2, 2}), b = bias);
  std::puts("\nTwo samples, two channels in and out, bias 17 and 18");
  print("value", value);
  print("gradient by the bias", db);  // every output voxel counts once
}

/// The document's model. Its linear layer wants 4x4x4 voxels after the pooling, so the volume has 10 (or 11) an axis; with 3, as in the
/// document, it does not compile.
struct net : nn::sequential<nn::conv3d<1, 8, nn::kernel<3>, nn::padding<1>>, nn::relu, nn::conv3d<8, 16, nn::kernel<3>>, nn::relu,
                            nn::max_pool3d<2>, nn::flatten, nn::linear<16 * 4 * 4 * 4, 10>> {};

void train_a_model() {
  constexpr auto x = input<"x", 4, 1, 10, 10, 10>;
  constexpr auto labels = input<"labels", 4>;
  constexpr auto loss = cross_entropy(net{}(x), labels);
  program<outputs(loss, gradient(loss, parameters))> step;  // forward, backward and all their memory

  std::puts("\nThe model, and a step of training it");
  std::fputs(summary(step).c_str(), stdout);
  const auto volumes = xt::eval(counting({4, 1, 10, 10, 10}) / 4000.f);
  const xt::xtensor<float, 1> classes{0, 1, 2, 3};
  const auto [before, gradients] = step(x = volumes, labels = classes);
  for (const auto& g : gradients)
    std::printf("gradient by %-9s  first element %g\n", std::string(g.path).c_str(), static_cast<double>(*g.data));

  // Gradient descent: all parameters, and all their gradients, lie in one block each.
  const auto values = step.parameter_values();
  const auto slopes = step.gradient_values();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] -= .01f * slopes[i];
  const float after = std::get<0>(step(x = volumes, labels = classes));
  std::printf("loss %g, after the step %g\n", static_cast<double>(before), static_cast<double>(after));
}

int main() {
  one_filter();
  channels_and_bias();
  train_a_model();
}
