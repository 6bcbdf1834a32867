// exp, sigmoid and tanh on vectors, to a few units in the last place.
//
// With x = k ln 2 + r and |r| <= ln 2 / 2: exp(x) = 2^k (1 + p(r)), where p(r) = expm1(r) is
// r + r^2 q(r) with q a near-minimax polynomial. NaN gives NaN, and infinities give the limits.
#pragma once

#include "vector.h"

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

template <class T>
struct Constants;

template <>
struct Constants<float> {
  typedef std::int32_t Bits __attribute__((vector_size(JAXRNN_BYTES)));
  static constexpr int kMantissa = 23;
  static constexpr std::int32_t kOne = 0x3f800000;      // the bits of 1
  static constexpr float kRound = 12582912.0f;          // 1.5 * 2^23: adding it rounds to integers
  static constexpr float kLn2High = 0.693359375f;       // few bits, so that k * kLn2High is exact
  static constexpr float kLn2Low = -2.12194440e-4f;
  static constexpr float kExpMin = -87.0f, kExpMax = 88.0f;  // exp is a normal number between
  static constexpr float kTanhMax = 10.0f;                   // tanh rounds to 1 there
  static constexpr float q[] = {0.5f, 0.16666576266288757f, 0.041666556149721146f,
                                0.008363203145563602f, 0.0013926213141530752f};
};

template <>
struct Constants<double> {
  typedef std::int64_t Bits __attribute__((vector_size(JAXRNN_BYTES)));
  static constexpr int kMantissa = 52;
  static constexpr std::int64_t kOne = 0x3ff0000000000000;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLn2High = 6.93147180369123816490e-01;
  static constexpr double kLn2Low = 1.90821492927058770002e-10;
  static constexpr double kExpMin = -708.0, kExpMax = 709.0;
  static constexpr double kTanhMax = 20.0;
  static constexpr double q[] = {0.5,
                                 0.1666666666666667,
                                 0.04166666666666667,
                                 0.008333333333326112,
                                 0.001388888888888373,
                                 0.0001984126987490126,
                                 2.4801587325605324e-05,
                                 2.7557255297969643e-06,
                                 2.755727357010214e-07,
                                 2.5105259538448494e-08,
                                 2.0914717341716378e-09};
};

// exp(x) = scale * (1 + p)
template <class T>
struct Exponential {
  Vector<T> scale, p;
};

template <class T>
JAXRNN_INLINE Exponential<T> exponential(Vector<T> x) {
  using C = Constants<T>;
  using Bits = typename C::Bits;
  constexpr int degree = sizeof(C::q) / sizeof(T) - 1;
  const Vector<T> shifted = x * T(1.44269504088896340736) + C::kRound;
  const Vector<T> k = shifted - C::kRound;
  const Vector<T> r = (x - k * C::kLn2High) - k * C::kLn2Low;
  Vector<T> q = all<T>(C::q[degree]);
  for (int n = degree - 1; n >= 0; n--) q = q * r + C::q[n];
  const Bits exponent = ((Bits)shifted << C::kMantissa) + C::kOne;
  return {(Vector<T>)exponent, r * r * q + r};
}

// Keeps NaN: comparisons with it are false, and the intrinsics return their second operand.
template <class T>
JAXRNN_INLINE Vector<T> clamp(Vector<T> x, T low, T high) {
#ifdef __AVX512F__
  if constexpr (sizeof(T) == 4)
    return _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), x));
#endif
  x = x < low ? all<T>(low) : x;
  return x > high ? all<T>(high) : x;
}

// 1 / x, for finite x that are not tiny.
template <class T>
JAXRNN_INLINE Vector<T> reciprocal(Vector<T> x) {
#ifdef __AVX512F__
  // A division takes as long as ten products; this is an estimate to 14 bits and one Newton step.
  if constexpr (sizeof(T) == 4) {
    const Vector<T> r = _mm512_rcp14_ps(x);
    return r + r * (T(1) - x * r);
  }
#endif
  return T(1) / x;
}

template <class T>
JAXRNN_INLINE Vector<T> sigmoid(Vector<T> x) {
  using C = Constants<T>;
  const auto e = exponential<T>(clamp<T>(-x, C::kExpMin, C::kExpMax));
  const Vector<T> y = reciprocal<T>(T(1) + (e.scale * e.p + e.scale));
  return -x > C::kExpMax ? Vector<T>{} : y;
}

// expm1(2x) / (expm1(2x) + 2), so that small x keep all their digits.
template <class T>
JAXRNN_INLINE Vector<T> tanh(Vector<T> x) {
  using C = Constants<T>;
  const auto e = exponential<T>(T(2) * clamp<T>(x, -C::kTanhMax, C::kTanhMax));
  const Vector<T> expm1 = e.scale * e.p + (e.scale - T(1));
  return expm1 * reciprocal<T>(expm1 + T(2));
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
