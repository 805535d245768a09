// What a refused program gives back. The mistake has been reported where it was made; whatever is done with the result stays silent.
#pragma once

#include <cstddef>
#include <type_traits>

namespace volute::runtime {

/// A value that anything can be made of and done with; its members are never defined.
struct nothing {
  template <class Anything>
  operator Anything() const;
  template <class Anything>
  nothing& operator=(const Anything&);
  template <class... Anything>
  nothing operator()(const Anything&...) const;
  template <class Anything>
  nothing operator[](const Anything&) const;
  const nothing* begin() const;
  const nothing* end() const;
  std::size_t size() const;
  const nothing* data() const;
};

/// What such an operand may stand beside.
template <class A, class B>
concept either_is_nothing = std::is_same_v<A, nothing> || std::is_same_v<B, nothing>;
template <class A, class B>
requires either_is_nothing<A, B> nothing operator+(const A&, const B&);
template <class A, class B>
requires either_is_nothing<A, B> nothing operator-(const A&, const B&);
template <class A, class B>
requires either_is_nothing<A, B> nothing operator*(const A&, const B&);
template <class A, class B>
requires either_is_nothing<A, B> nothing operator/(const A&, const B&);
template <class A, class B>
requires either_is_nothing<A, B>
bool operator<(const A&, const B&);
template <class A, class B>
requires either_is_nothing<A, B>
bool operator>(const A&, const B&);
template <class A, class B>
requires either_is_nothing<A, B>
bool operator==(const A&, const B&);

}  // namespace volute::runtime
