// expect: volute/io reports errors as exceptions
#if !defined(VOLUTE_CONTROL)
#undef __cpp_exceptions
#endif
#include <volute/io/safetensors.hpp>

int main() {}
