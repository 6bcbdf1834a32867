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

template <class T>
struct SquaredDifference : Sum<T> {
  JAXRNN_INLINE static Vector<T> take(Vector<T> a, Vector<T> b) { return (a - b) * (a - b); }
};

JAXRNN_INLINE float root_of(float x) { return __builtin_sqrtf(x); }
JAXRNN_INLINE double root_of(double x) { return __builtin_sqrt(x); }

// 1 / sqrt(variance + eps) of a row, from its mean; eps is the same for all.
template <class T>
void inverse_deviation(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner;
  const T eps = *o.in[2].array;
  each<T, 0b01>(o, std::make_index_sequence<2>(), [inner, eps](T* out, const auto& x,
                                                               const auto& mean)
                                                      __attribute__((always_inline)) {
    const T variance = reduced<T, SquaredDifference<T>>(inner, x, mean) / T(inner);
    *out = T(1) / root_of(variance + eps);
  });
}

template <class T>
JAXRNN_INLINE Vector<T> scaled(Vector<T> scale, Vector<T> dy) {
  return scale * dy;
}
template <class T>
JAXRNN_INLINE Vector<T> scaled(Vector<T> scale, Vector<T> gain, Vector<T> dy) {
  return scale * (gain * dy);
}

// The cotangent of a row x from that of y = scale (x - mean(x)), where scale is the inverse
// deviation: g - mean(g) - y mean(y g), where g is scale times the cotangent of y. That may be given
// as the product of two arrays.
template <class T, std::size_t inputs, unsigned vectors>
void normalize_slope(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner, whole = inner / kLanes<T> * kLanes<T>, left = inner - whole;
  const auto all_inputs = std::make_index_sequence<inputs>();
  each<T, vectors>(o, all_inputs, [inner, whole, left](T* out, const auto& y, const auto&... rest)
                                      __attribute__((always_inline)) {
    Vector<T> sum = {}, sum_of_products = {};
    for (std::ptrdiff_t i = 0; i < whole; i += kLanes<T>) {
      const Vector<T> g = scaled<T>(rest.at(i)...);
      sum += g;
      sum_of_products += y.at(i) * g;
    }
    if (left > 0) {  // what is read past the end is zero
      const Vector<T> g = scaled<T>(rest.at(whole, left)...);
      sum += g;
      sum_of_products += y.at(whole, left) * g;
    }
    const Vector<T> mean = all<T>(folded<T, Sum<T>>(sum) / -T(inner));
    const Vector<T> slope = all<T>(folded<T, Sum<T>>(sum_of_products) / -T(inner));
    for (std::ptrdiff_t i = 0; i < whole; i += kLanes<T>)
      store(out + i, y.at(i) * slope + (mean + scaled<T>(rest.at(i)...)));
    if (left <= 0) return;
    const Vector<T> last = mean + scaled<T>(rest.at(whole, left)...);
    store_lanes(out + whole, y.at(whole, left) * slope + last, left);
  });
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
