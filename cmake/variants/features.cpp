// Compiled into each variant with the variant's options: what a processor must have to run it. The upper half is the length of vectors of
// SVE.
#include <volute/core/isa.hpp>

#if defined(__ARM_FEATURE_SVE_BITS)
#define VOLUTE_VECTOR_BITS __ARM_FEATURE_SVE_BITS
#else
#define VOLUTE_VECTOR_BITS 0
#endif

#if defined(VOLUTE_VARIANT_BASELINE)
static_assert(VOLUTE_ISA_FEATURES == 0,
              "the baseline variant was given options of later processors, perhaps by CMAKE_CXX_FLAGS or CXXFLAGS");
#endif

extern "C" {
extern const unsigned long long volute_features;
const unsigned long long volute_features = VOLUTE_ISA_FEATURES | (0ull + VOLUTE_VECTOR_BITS) << 32;
}
