// expect: extra wants a variable that is a number, or a std::span of numbers
#include <volute/io/checkpoint.hpp>

int main() {
  std::vector<int> order(4);
#if defined(VOLUTE_CONTROL)
  volute::extra("order", std::span(order));
#else
  volute::extra("order", order);
#endif
}
