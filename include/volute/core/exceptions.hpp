// Code with and without exceptions in one program (-fno-exceptions for some of its files): functions whose bodies differ, and those that
// call them, must not share a name (one definition rule), or the linker would keep one of two bodies for both. They live in this namespace;
// what lives in VOLUTE_ISA (core/simd.hpp) has the difference there.
#pragma once

#if defined(__cpp_exceptions)
#define VOLUTE_ERRORS throwing
#else
#define VOLUTE_ERRORS aborting
#endif
