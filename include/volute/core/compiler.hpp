// One error where the compiler is too old: g++ 11 and clang 17 would print hundreds of lines of what they do not understand. The name of a
// header that does not exist is the message, because the compilers go on after an #error.
#pragma once

#if defined(__apple_build_version__)
#if __clang_major__ < 17  // that is LLVM 19
#include "volute needs Apple clang 17 (Xcode 16.3) or newer"
#endif
#elif defined(__clang__)
#if __clang_major__ < 18
#include "volute needs clang 18 or newer"
#endif
#elif defined(__GNUC__)
#if __GNUC__ < 12
#include "volute needs g++ 12 or newer"
#endif
#endif

#if __cplusplus < 202002L
#include "volute needs -std=c++20 or newer"
#endif
