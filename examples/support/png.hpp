// A row of captioned slices, grey with coloured marks, in a PNG file (libpng).
#pragma once

#include <png.h>
#include <xtensor/xtensor.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace example {

using colour = std::array<std::uint8_t, 3>;  // red, green, blue

struct colour_image {
  std::size_t width, height;
  std::vector<colour> pixels = std::vector<colour>(width * height);

  void fill(std::size_t x, std::size_t y, std::size_t w, std::size_t h, colour c) {
    for (std::size_t j = y; j < std::min(y + h, height); ++j)
      for (std::size_t i = x; i < std::min(x + w, width); ++i) pixels[j * width + i] = c;
  }

  /// Capitals, digits and a few signs, 3 by 5 dots of `dot` pixels; anything else is a blank.
  void write(std::size_t x, std::size_t y, std::string_view text, std::size_t dot = 2) {
    // One octal digit a row, its three bits the three dots.
    static constexpr std::string_view signs = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.-+:/=";
    static constexpr int glyphs[] = {075557, 026227, 071747, 071717, 055711, 074717, 074757, 071111, 075757, 075717, 025755,
                                     065656, 034443, 065556, 074647, 074644, 034553, 055755, 072227, 011152, 055655, 044447,
                                     057755, 065555, 025552, 065644, 025563, 065655, 034216, 072222, 055557, 055552, 055775,
                                     055255, 055222, 071247, 000002, 000700, 002720, 002020, 011244, 007070};
    for (std::size_t k = 0; k < text.size(); ++k) {
      const auto sign = signs.find(static_cast<char>(std::toupper(static_cast<unsigned char>(text[k]))));
      if (sign == std::string_view::npos) continue;
      for (std::size_t bit = 0; bit < 15; ++bit)
        if (glyphs[sign] >> (14 - bit) & 1) fill(x + (4 * k + bit % 3) * dot, y + bit / 3 * dot, dot, dot, {255, 255, 255});
    }
  }
};

enum mark { unmarked, red, green, blue };

struct panel {
  std::string caption;
  xt::xtensor<float, 2> slice;  // row 0 is drawn at the bottom, as in radiology; values 0..1
  xt::xtensor<int, 2> marks{};  // a mark for each, or none at all
};

/// Writes panels of equal size side by side, each enlarged `zoom` times under its caption.
inline void write_png(const std::string& path, const std::vector<panel>& panels, std::size_t zoom = 2) {
  const std::size_t rows = panels.at(0).slice.shape(0), columns = panels[0].slice.shape(1), gap = 8, top = 22;
  colour_image image{panels.size() * (columns * zoom + gap) + gap, rows * zoom + top + gap};
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const std::size_t left = gap + p * (columns * zoom + gap);
    image.write(left, 6, panels[p].caption);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c) {
        const float grey = 255 * std::clamp(panels[p].slice(r, c), 0.f, 1.f) + .5f;
        colour shade{static_cast<std::uint8_t>(grey), static_cast<std::uint8_t>(grey), static_cast<std::uint8_t>(grey)};
        if (const int m = panels[p].marks.size() > 0 ? panels[p].marks(r, c) : unmarked; m != unmarked)
          for (int k = 0; k < 3; ++k) shade[static_cast<std::size_t>(k)] = static_cast<std::uint8_t>(.6f * grey + (k == m - red ? 100 : 0));
        image.fill(left + c * zoom, top + (rows - 1 - r) * zoom, zoom, zoom, shade);
      }
  }
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  if (!png_image_write_to_file(&header, path.c_str(), 0, image.pixels.data(), 0, nullptr))
    throw std::runtime_error(path + ": " + header.message);
}

}  // namespace example
