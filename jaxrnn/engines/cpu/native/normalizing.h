// The operations of a program that shift and scale rows to mean 0 and variance 1.
#pragma once

#include "reductions.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// Calls `body(out, in...)` with the arrays of each row.
template <class T, class Body, std::size_t... k>
JAXRNN_INLINE void each_row(const Operands<T>& o, std::index_sequence<k...>, Body body) {
  for (std::ptrdiff_t row = 0; row < o.rows; row++)
    for (std::ptrdiff_t i = 0; i < o.outer; i++)
      body(o.out.array + row * o.out.row + i * o.out.outer,
           o.in[k].array + row * o.in[k].row + i * o.in[k].outer...);
}

// Calls `body(i)` for each whole vector of a row, and `body(i, count)` for what is left.
template <class T, class Body>
JAXRNN_INLINE void vectors_of(std::ptrdiff_t inner, Body body) {
  const std::ptrdiff_t whole = inner / kLanes<T> * kLanes<T>;
  for (std::ptrdiff_t i = 0; i < whole; i += kLanes<T>) body(i);
  if (whole < inner) body(whole, inner - whole);
}

template <class T>
JAXRNN_INLINE Vector<T> get(const T* from, std::ptrdiff_t i) {
  return load(from + i);
}
template <class T>  // the lanes after `count` are zero
JAXRNN_INLINE Vector<T> get(const T* from, std::ptrdiff_t i, std::ptrdiff_t count) {
  return load_lanes(from + i, count);
}
template <class T>
JAXRNN_INLINE void put(T* to, Vector<T> value, std::ptrdiff_t i) {
  store(to + i, value);
}
template <class T>
JAXRNN_INLINE void put(T* to, Vector<T> value, std::ptrdiff_t i, std::ptrdiff_t count) {
  store_lanes(to + i, value, count);
}

template <class T>
JAXRNN_INLINE Vector<T> square(Vector<T> x, std::ptrdiff_t) {
  return x * x;
}
template <class T>
JAXRNN_INLINE Vector<T> square(Vector<T> x, std::ptrdiff_t, std::ptrdiff_t count) {
  T lanes[kLanes<T>];
  store<T>(lanes, x * x);
  return load_lanes(lanes, count);
}

JAXRNN_INLINE float root_of(float x) { return __builtin_sqrtf(x); }
JAXRNN_INLINE double root_of(double x) { return __builtin_sqrt(x); }

// The mean of each of `rows` rows, and 1 / sqrt(variance + eps), its scale. While one row waits for
// the sum of its lanes, which is a long chain of operations, another one goes on.
template <class T, int rows>
JAXRNN_INLINE void mean_and_scale_of(std::ptrdiff_t inner, T eps, T** out, T** x) {
  Vector<T> sum[rows] = {}, mean[rows], squares[rows] = {};
  vectors_of<T>(inner, [&](auto... at) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) sum[r] += get<T>(x[r], at...);
  });
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
    mean[r] = all<T>(out[r][0] = folded<T, Sum<T>>(sum[r]) / T(inner));
  vectors_of<T>(inner, [&](auto... at) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) squares[r] += square<T>(get<T>(x[r], at...) - mean[r], at...);
  });
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
    out[r][1] = T(1) / root_of(folded<T, Sum<T>>(squares[r]) / T(inner) + eps);
}

template <class T>
void mean_and_scale(const Operands<T>& o) {
  constexpr int most = 4;
  T *out[most], *x[most];
  const T eps = *o.in[1].array;  // the same for all rows
  int count = 0;
  each_row(o, std::make_index_sequence<1>(), [&](T* to, T* from) __attribute__((always_inline)) {
    out[count] = to;
    x[count] = from;
    if (++count < most) return;
    mean_and_scale_of<T, most>(o.inner, eps, out, x);
    count = 0;
  });
  for (int r = 0; r < count; r++) mean_and_scale_of<T, 1>(o.inner, eps, out + r, x + r);
}

// The vectors of a row, normalized by its mean and scale.
template <class T>
struct Normalized {
  JAXRNN_INLINE Normalized(const T* x, const T* statistics)
      : from(x), mean(all<T>(statistics[0])), scale(all<T>(statistics[1])) {}
  template <class... At>
  JAXRNN_INLINE Vector<T> centered(At... at) const {
    return get<T>(from, at...) - mean;
  }
  template <class... At>
  JAXRNN_INLINE Vector<T> at(At... at) const {
    return centered(at...) * scale;
  }
  const T* from;
  Vector<T> mean, scale;
};

// F of a row that is normalized, and of other rows.
template <class T, class F, std::size_t inputs>
void normalize(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner;
  each_row(o, std::make_index_sequence<inputs>(),
           [inner](T* out, T* x, T* statistics, auto... more) __attribute__((always_inline)) {
    const Normalized<T> y(x, statistics);
    vectors_of<T>(inner, [&](auto... at) __attribute__((always_inline)) {
      put<T>(out, F::of(y.at(at...), get<T>(more, at...)...), at...);
    });
  });
}

// The cotangent of a row x from that of y = scale (x - mean(x)): with g the cotangent of y,
// scale (g - mean(g) - y mean(y g)). That may be the product of a gain and d; then y d, which is the
// cotangent of the gain, may be added to sums.
template <class T, std::size_t inputs>
void normalize_slope(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner;
  each_row(o, std::make_index_sequence<inputs>(),
           [inner](T* out, T* x, T* statistics, auto... rest) __attribute__((always_inline)) {
    T* const more[] = {rest...};  // d; or a gain, d, and sums
    const T* const d = more[inputs > 3];
    const Normalized<T> y(x, statistics);
    const auto g = [&](auto... at) __attribute__((always_inline)) {
      if constexpr (inputs == 3) return get<T>(d, at...);
      return get<T>(more[0], at...) * get<T>(d, at...);
    };
    Vector<T> sum = {}, products = {};
    vectors_of<T>(inner, [&](auto... at) __attribute__((always_inline)) {
      const Vector<T> normalized = y.at(at...), each = g(at...);
      sum += each;
      products += normalized * each;
      if constexpr (inputs == 5)
        put<T>(more[2], get<T>(more[2], at...) + normalized * get<T>(d, at...), at...);
    });
    const T factor = -statistics[1] / T(inner);
    const Vector<T> mean = all<T>(factor * folded<T, Sum<T>>(sum));
    const Vector<T> slope = all<T>(factor * statistics[1] * folded<T, Sum<T>>(products));
    vectors_of<T>(inner, [&](auto... at) __attribute__((always_inline)) {
      put<T>(out, y.centered(at...) * slope + (y.scale * g(at...) + mean), at...);
    });
  });
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
