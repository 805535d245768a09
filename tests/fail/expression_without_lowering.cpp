// expect: no_lowering<unheard_of
#include <volute/runtime/compile.hpp>

using namespace volute;

/// An expression that the lowering has not been told of.
struct unheard_of : expression_tag {
  static constexpr binding_state state = binding_state::closed;
  static constexpr extents shape() { return make_extents(2); }
};
#if defined(VOLUTE_CONTROL)
template <>
struct lowering::lowering_of<unheard_of> {
  static constexpr bool remember = false;
  static constexpr int run(session& s) { return s.g.fill(0, unheard_of::shape()); }
};
#else
template struct lowering::lowering_of<unheard_of>;
#endif
