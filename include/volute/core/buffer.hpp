// A growable array for constexpr code. std::vector works there too, but each push_back costs the compiler about ten nested calls; this one
// costs two. g++ 12 frees nothing before a constant evaluation ends: 280-430 bytes for an element that is made with a value, none for one
// without until it is written (docs/compile_cost.md). So room has no values where T can be without one. (__is_class, because each of the
// traits is 20 classes.)
#pragma once

#include <cstddef>
#include <utility>

namespace volute {

/// Growable array of trivially copyable T. Elements are reached through `data`, so that a loop over them makes no calls.
template <class T>
struct buffer {
  T* data = nullptr;
  int size = 0;
  int capacity = 0;

  constexpr buffer() = default;
  constexpr explicit buffer(int n, T value = T{})
      : data(new T[static_cast<std::size_t>(n > 0 ? n : 1)]{}), size(n), capacity(n > 0 ? n : 1) {
    if constexpr (!__is_class(T))
      if (value == T{}) return;
    for (int i = 0; i < n; ++i) data[i] = value;
  }
  buffer(const buffer&) = delete;
  buffer& operator=(const buffer&) = delete;
  constexpr ~buffer() { delete[] data; }

  constexpr void swap(buffer& other) { std::swap(data, other.data), std::swap(size, other.size), std::swap(capacity, other.capacity); }
  constexpr void push_back(const T& value) {
    if (size == capacity) grow();
    data[size++] = value;
  }
  constexpr T& operator[](int i) { return data[i]; }
  constexpr const T& operator[](int i) const { return data[i]; }
  constexpr void clear() { size = 0; }
  constexpr T* begin() { return data; }
  constexpr T* end() { return data + size; }
  constexpr const T* begin() const { return data; }
  constexpr const T* end() const { return data + size; }

 private:
  constexpr void grow() {
    const int wider = capacity == 0 ? 32 : (__is_trivially_constructible(T) ? 4 : 2) * capacity;
    T* moved = new T[static_cast<std::size_t>(wider)];
    for (int i = 0; i < size; ++i) moved[i] = data[i];
    delete[] data;
    data = moved;
    capacity = wider;
  }
};

}  // namespace volute
