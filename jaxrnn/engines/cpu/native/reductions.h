// The operations of a program that take all numbers of a row together.
#pragma once

#include "maps.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// What all lanes make together, halves first.
template <class T, class F>
JAXRNN_INLINE T folded(Vector<T> total) {
  T lanes[kLanes<T>];
  store(lanes, total);
  for (std::ptrdiff_t half = kLanes<T> / 2; half > 0; half /= 2)
    for (std::ptrdiff_t i = 0; i < half; i++) lanes[i] = F::of(lanes[i], lanes[i + half]);
  return lanes[0];
}

// What F makes of a row of `inner` numbers: F has `of` of two numbers or vectors, and kNothing, which
// changes nothing, and `take`, what is reduced.
template <class T, class F, class... Readers>
JAXRNN_INLINE T reduced(std::ptrdiff_t inner, Readers&&... in) {
  const std::ptrdiff_t whole = inner / kLanes<T> * kLanes<T>;
  const std::ptrdiff_t fours = whole / 4 / kLanes<T> * 4 * kLanes<T>;
  Vector<T> total = all<T>(F::kNothing), more[3] = {total, total, total};
  std::ptrdiff_t i = 0;
  for (; i < fours; i += 4 * kLanes<T>) {
    total = F::of(total, F::take(in.next()...));
    for (Vector<T>& each : more) each = F::of(each, F::take(in.next()...));
  }
  for (; i < whole; i += kLanes<T>) total = F::of(total, F::take(in.next()...));
  for (const Vector<T>& each : more) total = F::of(total, each);
  T last = folded<T, F>(total);
  if (i < inner) {
    T lanes[kLanes<T>];
    store(lanes, F::take(in.last(inner - i)...));
    for (std::ptrdiff_t k = 0; k < inner - i; k++) last = F::of(last, lanes[k]);
  }
  return last;
}

// One number from each row of `inner`.
template <class T, class F, std::size_t inputs>
void reduce(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner;
  each(o, std::make_index_sequence<inputs>(), [inner](T* out, auto&&... in)
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
  each(o, std::make_index_sequence<1>(), [inner](T* out, auto&& x) __attribute__((always_inline)) {
    *out = reduced<T, Sum<T>>(inner, x) / T(inner);
  });
}

template <class T>
struct SquaredDifference : Sum<T> {
  JAXRNN_INLINE static Vector<T> take(Vector<T> a, Vector<T> b) { return (a - b) * (a - b); }
};

// 1 / sqrt(variance + eps) of a row, from its mean; eps is the same for all.
template <class T>
void inverse_deviation(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner;
  const T eps = *o.in[2].array;
  each(o, std::make_index_sequence<2>(), [inner, eps](T* out, auto&& x, auto&& mean)
                                             __attribute__((always_inline)) {
    const T variance = reduced<T, SquaredDifference<T>>(inner, x, mean) / T(inner);
    *out = (T(1) / root<T>(all<T>(variance + eps)))[0];
  });
}

// The cotangent of a row x from that of y = scale (x - mean(x)), where scale is the inverse deviation:
// g - mean(g) - y mean(y g), where g is scale times the cotangent of y.
template <class T>
void normalize_slope(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner, whole = inner / kLanes<T> * kLanes<T>;
  each(o, std::make_index_sequence<3>(), [inner, whole](T* out, auto&& y, auto&& scale, auto&& dy)
                                             __attribute__((always_inline)) {
    auto y_again = y, scale_again = scale, dy_again = dy;
    Vector<T> sum = {}, sum_of_products = {};
    std::ptrdiff_t i = 0;
    for (; i < whole; i += kLanes<T>) {
      const Vector<T> g = scale.next() * dy.next();
      sum += g;
      sum_of_products += y.next() * g;
    }
    if (i < inner) {  // what is read past the end is zero
      const Vector<T> g = scale.last(inner - i) * dy.last(inner - i);
      sum += g;
      sum_of_products += y.last(inner - i) * g;
    }
    const Vector<T> mean = all<T>(folded<T, Sum<T>>(sum) / -T(inner));
    const Vector<T> slope = all<T>(folded<T, Sum<T>>(sum_of_products) / -T(inner));
    for (i = 0; i < whole; i += kLanes<T>)
      store(out + i, y_again.next() * slope + (mean + scale_again.next() * dy_again.next()));
    const std::ptrdiff_t left = inner - i;
    if (left > 0)
      store_lanes(out + i,
                  y_again.last(left) * slope + (mean + scale_again.last(left) * dy_again.last(left)),
                  left);
  });
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
