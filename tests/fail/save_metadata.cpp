// expect: save wants #include <volute/io/safetensors.hpp>, a path and metadata
#include <volute/io/safetensors.hpp>
#include <volute/volute.hpp>
using namespace volute;
namespace nn = volute::nn;

int main() {
  model<nn::linear<3, 2>, input<"x", 1, 3>> m;
#if defined(VOLUTE_CONTROL)
  m.save("net.safetensors", io::metadata_map{{"epoch", "1"}});
#else
  m.save("net.safetensors", 1);
#endif
}
