// m.load(path) and m.save(path), for those who include <volute/io/safetensors.hpp>: the core itself reads no files and needs no JSON.
#pragma once

#include <string>

namespace volute::runtime {

// Hide the members of the same name, so that volute::load and save are looked up by their argument where the member is used.
void load() = delete;
void save() = delete;

template <class Self>
class file_members {
 public:
  /// load(*this, path, options) of <volute/io/safetensors.hpp>.
  template <class... Options>
  auto load(const std::string& path, const Options&... options) {
    using runtime::load;
    if constexpr (requires(Self & p) { load(p, path, options...); })
      return load(static_cast<Self&>(*this), path, options...);
    else
      static_assert(sizeof(Self) == 0, "volute: load wants #include <volute/io/safetensors.hpp>, a path and load_options");
  }
  /// save(*this, path, metadata) of <volute/io/safetensors.hpp>.
  template <class... Metadata>
  void save(const std::string& path, const Metadata&... metadata) const {
    using runtime::save;
    if constexpr (requires(const Self& p) { save(p, path, metadata...); })
      save(static_cast<const Self&>(*this), path, metadata...);
    else
      static_assert(sizeof(Self) == 0, "volute: save wants #include <volute/io/safetensors.hpp>, a path and metadata");
  }
};

}  // namespace volute::runtime
