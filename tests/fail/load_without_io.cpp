// expect: load wants #include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>
#if defined(VOLUTE_CONTROL)
#include <volute/io/safetensors.hpp>
#endif
using namespace volute;
namespace nn = volute::nn;

int main() {
  model<nn::linear<3, 2>, input<"x", 1, 3>> m;
  m.load("net.safetensors");
}
