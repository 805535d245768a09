// m.load(path) and m.save(path), for those who include <volute/io/safetensors.hpp>: the core itself reads no files and needs no JSON.
#pragma once

#include <volute/core/exceptions.hpp>

#include <type_traits>

namespace volute::runtime {

// Hide the members of the same name, so that volute::load and save are looked up by their argument where the member is used.
void load() = delete;
void save() = delete;
void try_load() = delete;
void try_save() = delete;

inline namespace VOLUTE_ERRORS {

/// The members load, save, try_load and try_save of models and programs.
template <class Self>
class file_members {
 public:
  /// load(*this, from, options) of <volute/io/safetensors.hpp>, from a path or from bytes in memory.
  template <class From, class... Options>
  auto load(const From& from, const Options&... options) {
    using runtime::load;
    if constexpr (requires(Self & p) { load(p, from, options...); })
      return load(static_cast<Self&>(*this), from, options...);
    else
      static_assert(sizeof(Self) == 0, "volute: load wants #include <volute/io/safetensors.hpp>, a path and load_options");
  }
  /// The same without exceptions: what was loaded, or what went wrong.
  template <class From, class... Options>
  auto try_load(const From& from, const Options&... options) {
    using runtime::try_load;
    if constexpr (requires(Self & p) { try_load(p, from, options...); })
      return try_load(static_cast<Self&>(*this), from, options...);
    else
      static_assert(sizeof(Self) == 0, "volute: try_load wants #include <volute/io/safetensors.hpp>, a path and load_options");
  }
  /// save(*this, to, metadata) of <volute/io/safetensors.hpp>, to a path or into a std::vector<std::byte>.
  template <class To, class... Metadata>
  void save(To&& to, const Metadata&... metadata) const {
    using runtime::save;
    if constexpr (requires(const Self& p) { save(p, to, metadata...); })
      save(static_cast<const Self&>(*this), to, metadata...);
    else
      static_assert(sizeof(Self) == 0, "volute: save wants #include <volute/io/safetensors.hpp>, a path and metadata");
  }
  /// The same without exceptions.
  template <class To, class... Metadata>
  auto try_save(To&& to, const Metadata&... metadata) const {
    using runtime::try_save;
    if constexpr (requires(const Self& p) { try_save(p, to, metadata...); })
      return try_save(static_cast<const Self&>(*this), to, metadata...);
    else
      static_assert(sizeof(Self) == 0, "volute: try_save wants #include <volute/io/safetensors.hpp>, a path and metadata");
  }
};

}  // namespace VOLUTE_ERRORS
}  // namespace volute::runtime
