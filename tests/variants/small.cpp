#include "small.hpp"

#include <volute/core/isa.hpp>

#ifdef VOLUTE_TEST_GLOBAL
int counter = 0;  // what a model's interface must not have
#endif
#if defined(VOLUTE_TEST_DIFFERENT) && defined(__AVX2__)
int only_in_one() { return 1; }
#endif

const char* small_isa() { return volute::isa_name; }
