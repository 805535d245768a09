#include <volute/core/extents.hpp>
#include <volute/io/npz.hpp>
#include <volute/io/safetensors_file.hpp>
#include <volute/version.hpp>
#include <xsimd/xsimd.hpp>
#include <xtensor/xfixed.hpp>

#include <boost/hana/tuple.hpp>

static_assert(VOLUTE_VERSION == VOLUTE_VERSION_MAJOR * 10000 + VOLUTE_VERSION_MINOR * 100 + VOLUTE_VERSION_PATCH);
static_assert(FOUND_VERSION == VOLUTE_VERSION, "find_package and the headers agree");
static_assert(volute::make_extents(1, 2, 3).size() == 6);

#ifdef WITH_VARIANTS
#include "../variants/small.hpp"
#else
static const char* small_isa() { return volute::isa_name; }
#endif

extern "C" int plain_c();

int main(int, char** argument) {
  try {
    volute::npz_file{argument[0]};  // links libzip
  } catch (const volute::file_error&) {
    return plain_c() + (*small_isa() == '\0');
  }
  return 1;
}
