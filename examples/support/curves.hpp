// Loss curves as a panel for write_png.
#pragma once

#include <support/png.hpp>

#include <cmath>
#include <cstdio>

namespace example {

struct curve {
  std::string name;
  std::vector<double> losses;  // one a step
};

/// Curves over the steps on a logarithmic scale, the first one white, each further one darker. A value is the mean of those around it, over
/// one step in fifty; lines lie at powers of ten. Write it with zoom 1.
inline panel loss_panel(const std::vector<curve>& curves, std::size_t height = 320, std::size_t width = 640) {
  std::vector<std::vector<double>> values(curves.size(), std::vector<double>(width));
  double low = INFINITY, high = -INFINITY;
  for (std::size_t k = 0; k < curves.size(); ++k) {
    const auto& losses = curves[k].losses;
    const std::size_t around = losses.size() / 100 + 1;
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t at = x * (losses.size() - 1) / (width - 1), from = at - std::min(at, around),
                        to = std::min(at + around, losses.size());
      double sum = 0;
      for (std::size_t i = from; i < to; ++i) sum += losses[i];
      values[k][x] = std::log10(sum / static_cast<double>(to - from));
      low = std::min(low, values[k][x]), high = std::max(high, values[k][x]);
    }
  }
  const auto row = [&](double v) { return static_cast<std::size_t>((v - low) / (high - low + 1e-9) * static_cast<double>(height - 1)); };

  panel p{"loss", xt::xtensor<float, 2>({height, width})};
  p.slice.fill(0.f);
  for (double line = std::ceil(low); line <= high; ++line)
    for (std::size_t x = 0; x < width; x += 4) p.slice(row(line), x) = .4f;
  float grey = 1;
  for (std::size_t k = 0; k < curves.size(); ++k, grey *= .55f) {
    for (std::size_t x = 1; x < width; ++x) {
      const auto [from, to] = std::minmax({row(values[k][x - 1]), row(values[k][x])});
      for (std::size_t y = from; y <= to; ++y) p.slice(y, x) = grey;
    }
    char text[64];
    std::snprintf(text, sizeof text, "  %s %.3g", curves[k].name.c_str(), std::pow(10, values[k].back()));
    p.caption += text;
  }
  return p;
}

}  // namespace example
