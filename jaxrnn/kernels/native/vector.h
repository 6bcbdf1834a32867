// Vectors as wide as the registers of the instruction set, JAXRNN_BYTES, by the vector extension
// of GCC and Clang. All that depends on the instruction set lives in a namespace of its own, and
// uses nothing inline from outside it: the linker must never take one level's code for another's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#define JAXRNN_INLINE inline __attribute__((always_inline))

namespace jaxrnn::JAXRNN_LEVEL {

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(JAXRNN_BYTES)));
  typedef T unaligned __attribute__((vector_size(JAXRNN_BYTES), aligned(sizeof(T)), may_alias));
};

template <class T>
using Vector = typename VectorOf<T>::type;

template <class T>
constexpr std::ptrdiff_t kLanes = JAXRNN_BYTES / sizeof(T);

template <class T>
constexpr std::ptrdiff_t padded(std::ptrdiff_t size) {
  return (size + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <class T>
JAXRNN_INLINE Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename VectorOf<T>::unaligned*>(from);
}

template <class T>
JAXRNN_INLINE void store(T* to, Vector<T> value) {
  *reinterpret_cast<typename VectorOf<T>::unaligned*>(to) = value;
}

// The first `count` lanes; the others are zero.
template <class T>
JAXRNN_INLINE Vector<T> load(const T* from, std::ptrdiff_t count) {
  if (__builtin_expect(count >= kLanes<T>, 1)) return load(from);
  Vector<T> value = {};
  std::memcpy(&value, from, count * sizeof(T));
  return value;
}

template <class T>
JAXRNN_INLINE void store(T* to, Vector<T> value, std::ptrdiff_t count) {
  if (__builtin_expect(count >= kLanes<T>, 1)) return store(to, value);
  std::memcpy(to, &value, count * sizeof(T));
}

template <class T>
JAXRNN_INLINE Vector<T> all(T value) {
  return value - Vector<T>{};
}

}  // namespace jaxrnn::JAXRNN_LEVEL
