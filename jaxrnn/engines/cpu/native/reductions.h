// The operations of a program that take all numbers of a row together.
#pragma once

#include "maps.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// The lanes in an order in which each lies where the one `half` beside it did.
template <class T, std::ptrdiff_t half, std::size_t... lane>
JAXRNN_INLINE Vector<T> exchanged(Vector<T> v, std::index_sequence<lane...>) {
#ifdef __clang__
  return __builtin_shufflevector(v, v, (lane ^ half)...);
#else
  return __builtin_shuffle(v, typename Constants<T>::Bits{(lane ^ half)...});
#endif
}

// What all lanes make together, halves first.
template <class T, class F, std::ptrdiff_t half = kLanes<T> / 2>
JAXRNN_INLINE T folded(Vector<T> total) {
  if constexpr (half == 0) {
    return total[0];
  } else {
    const auto lanes = std::make_index_sequence<kLanes<T>>();
    return folded<T, F, half / 2>(F::of(total, exchanged<T, half>(total, lanes)));
  }
}

// What F makes of a row of `inner` numbers: F has `of` of two numbers or vectors, and kNothing, which
// changes nothing, and `take`, what is reduced.
template <class T, class F, class... Readers>
JAXRNN_INLINE T reduced(std::ptrdiff_t inner, const Readers&... in) {
  const std::ptrdiff_t whole = inner / kLanes<T> * kLanes<T>;
  const std::ptrdiff_t fours = whole / 4 / kLanes<T> * 4 * kLanes<T>;
  Vector<T> total = all<T>(F::kNothing), more[3] = {total, total, total};
  std::ptrdiff_t i = 0;
  for (; i < fours; i += 4 * kLanes<T>) {
    total = F::of(total, F::take(in.at(i)...));
    for (int k = 0; k < 3; k++)
      more[k] = F::of(more[k], F::take(in.at(i + (k + 1) * kLanes<T>)...));
  }
  for (; i < whole; i += kLanes<T>) total = F::of(total, F::take(in.at(i)...));
  for (const Vector<T>& each : more) total = F::of(total, each);
  T last = folded<T, F>(total);
  if (i < inner) {
    T lanes[kLanes<T>];
    store(lanes, F::take(in.at(i, inner - i)...));
    for (std::ptrdiff_t k = 0; k < inner - i; k++) last = F::of(last, lanes[k]);
  }
  return last;
}

// One number from each row of `inner`.
template <class T, class F, std::size_t inputs>
void reduce(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner;
  const auto all_inputs = std::make_index_sequence<inputs>();
  each<T, kAllVectors>(o, all_inputs, [inner](T* out, const auto&... in)
                                          __attribute__((always_inline)) {
    *out = reduced<T, F>(inner, in...);
  });
}

template <class T>
struct Sum : Add<T> {
  static constexpr T kNothing = 0;
  JAXRNN_INLINE static Vector<T> take(Vector<T> a) { return a; }
  using Add<T>::of;
  JAXRNN_INLINE static T of(T a, T b) { return a + b; }
};
template <class T>
struct SumOfProducts : Sum<T> {
  JAXRNN_INLINE static Vector<T> take(Vector<T> a, Vector<T> b) { return a * b; }
};
template <class T>
struct Largest : Maximum<T> {
  static constexpr T kNothing = -__builtin_inf();
  JAXRNN_INLINE static Vector<T> take(Vector<T> a) { return a; }
  using Maximum<T>::of;
  JAXRNN_INLINE static T of(T a, T b) { return a != a ? a : a > b ? a : b; }
};
template <class T>
struct Smallest : Minimum<T> {
  static constexpr T kNothing = __builtin_inf();
  JAXRNN_INLINE static Vector<T> take(Vector<T> a) { return a; }
  using Minimum<T>::of;
  JAXRNN_INLINE static T of(T a, T b) { return a != a ? a : a < b ? a : b; }
};

template <class T>
void mean(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner;
  each<T, kAllVectors>(o, std::make_index_sequence<1>(), [inner](T* out, const auto& x)
                                                             __attribute__((always_inline)) {
    *out = reduced<T, Sum<T>>(inner, x) / T(inner);
  });
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
