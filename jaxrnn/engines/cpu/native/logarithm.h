// exp, expm1, log, log1p and roots on vectors, with the limits of the scalar functions.
#pragma once

#include "activations.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

template <class T>
struct Range;

template <>
struct Range<float> {
  static constexpr float kLow = -104.0f, kHigh = 89.0f;  // exp is 0 below, infinite above
  static constexpr float kTiny = 1.17549435e-38f, kScale = 33554432.0f;  // 2^25
  static constexpr int kScaleBits = 25, kTerms = 5;
};

template <>
struct Range<double> {
  static constexpr double kLow = -746.0, kHigh = 710.0;
  static constexpr double kTiny = 2.2250738585072014e-308, kScale = 18014398509481984.0;  // 2^54
  static constexpr int kScaleBits = 54, kTerms = 11;
};

// exp(x) = 2^k (1 + p), with 2^k in two factors, since k may be too large for one.
template <class T>
JAXRNN_INLINE Vector<T> exp_of(Vector<T> x) {
  using C = Constants<T>;
  using Bits = typename C::Bits;
  const Vector<T> clamped = clamp<T>(x, Range<T>::kLow, Range<T>::kHigh);
  const Vector<T> p = exponential<T>(clamped).p;
  const Vector<T> shifted = clamped * T(1.44269504088896340736) + C::kRound;
  const Bits k = (Bits)shifted - (Bits)all<T>(C::kRound), half = k >> 1;
  const Vector<T> first = (Vector<T>)((half << C::kMantissa) + C::kOne);
  const Vector<T> second = (Vector<T>)(((k - half) << C::kMantissa) + C::kOne);
  return (first * p + first) * second;
}

template <class T>
JAXRNN_INLINE Vector<T> expm1_of(Vector<T> x) {
  const Vector<T> small = x < T(-0.5) ? all<T>(-0.5) : x > T(0.5) ? all<T>(0.5) : x;
  const auto e = exponential<T>(small);
  const Vector<T> near = e.scale * e.p + (e.scale - T(1)), far = exp_of<T>(x) - T(1);
  return x == small ? near : far;
}

// With x = 2^k m and sqrt(1/2) <= m < sqrt(2): log(m) = 2 atanh((m - 1) / (m + 1)).
template <class T>
JAXRNN_INLINE Vector<T> log_of(Vector<T> x) {
  using C = Constants<T>;
  using Bits = typename C::Bits;
  const Vector<T> scaled = x < Range<T>::kTiny ? x * Range<T>::kScale : x;
  const Bits shift = (Bits)all<T>(T(0.70710678118654752440));
  const Bits bits = (Bits)scaled - shift;
  const Bits k = bits >> C::kMantissa;
  const Vector<T> m = (Vector<T>)((Bits)scaled - (k << C::kMantissa));
  Vector<T> exponent = __builtin_convertvector(k, Vector<T>);
  exponent = x < Range<T>::kTiny ? exponent - T(Range<T>::kScaleBits) : exponent;
  const Vector<T> s = (m - T(1)) / (m + T(1)), z = s * s;
  Vector<T> series = all<T>(T(1) / T(2 * Range<T>::kTerms + 1));
  for (int n = Range<T>::kTerms - 1; n > 0; n--) series = series * z + T(1) / T(2 * n + 1);
  const Vector<T> log_m = T(2) * s + T(2) * s * z * series;
  const Vector<T> y = exponent * C::kLn2High + (exponent * C::kLn2Low + log_m);
  const Vector<T> infinity = all<T>(T(__builtin_inf()));
  const Vector<T> limit = x == T(0) ? -infinity : x == infinity ? infinity : x - x;
  const Vector<T> nan = (x - x) / (x - x);
  return x > T(0) && x < infinity ? y : x < T(0) ? nan : limit;
}

// log(u) x / (u - 1) with u = 1 + x rounded, which makes up for the rounding.
template <class T>
JAXRNN_INLINE Vector<T> log1p_of(Vector<T> x) {
  const Vector<T> u = T(1) + x, infinity = all<T>(T(__builtin_inf()));
  const Vector<T> y = log_of<T>(u) * (x / (u - T(1)));
  return u == T(1) ? x : u == infinity ? u : y;
}

template <class T>
JAXRNN_INLINE Vector<T> root(Vector<T> x) {
#ifdef __AVX512F__
  if constexpr (sizeof(T) == 4) return (Vector<T>)_mm512_maskz_sqrt_ps(0xffff, x);
  if constexpr (sizeof(T) == 8) return (Vector<T>)_mm512_maskz_sqrt_pd(0xff, x);
#endif
  Vector<T> y{};
  for (int lane = 0; lane < kLanes<T>; lane++)
    y[lane] = sizeof(T) == 4 ? T(__builtin_sqrtf(float(x[lane]))) : T(__builtin_sqrt(x[lane]));
  return y;
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
