// expect: layer path < 95 characters
// expect-gcc: got aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_...
// expect-clang: got
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

#if defined(VOLUTE_CONTROL)
constexpr text inner = "b";
#else
constexpr text inner = "bbbbbb";
#endif
struct net : nn::sequential<nn::named<"aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_aaaaaaaaa_",
                                      nn::sequential<nn::relu, nn::named<inner, nn::relu>>>> {};

int main() { model<net, input<"x", 1, 3>> m; }
