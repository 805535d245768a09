// expect: not handled in switch
// expect-gcc: enumeration value 'third'
// expect-clang: enumeration value 'third'
#include <volute/ops/rule.hpp>

enum class kind { first, second, third };

VOLUTE_EXHAUSTIVE_BEGIN
constexpr int place(kind k) {
  switch (k) {
    case kind::first:
      return 1;
    case kind::second:
      return 2;
#if defined(VOLUTE_CONTROL)
    case kind::third:
      return 3;
#endif
  }
  return 0;
}
VOLUTE_EXHAUSTIVE_END
static_assert(place(kind::first) == 1);
