// expect: save_npy wants whole numbers, float or double
#include <volute/io/npy.hpp>

#if defined(VOLUTE_CONTROL)
using element = float;
#else
using element = bool;
#endif

int main() { volute::save_npy("mask.npy", xt::xtensor<element, 1>({2}, element(1))); }
