// The operations of a program that make each number from those at its place.
#pragma once

#include "operands.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// F has `static Vector<T> of(Vector<T>...)`, of `inputs` vectors.
template <class T, class F, std::size_t inputs, unsigned vectors = kAllVectors>
void map(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner, whole = inner / kLanes<T> * kLanes<T>;
  const auto all_inputs = std::make_index_sequence<inputs>();
  each<T, vectors>(o, all_inputs, [inner, whole](T* out, const auto&... in)
                                      __attribute__((always_inline)) {
    std::ptrdiff_t i = 0;
#pragma GCC unroll 4
    for (; i < whole; i += kLanes<T>) store(out + i, F::of(in.at(i)...));
    if (i < inner) store_lanes(out + i, F::of(in.at(i, inner - i)...), inner - i);
  });
}

// Truth is 1 and 0, as in the arrays.
template <class T, class Mask>
JAXRNN_INLINE Vector<T> truth(Mask mask) {
  return mask ? all<T>(1) : Vector<T>{};
}

#define JAXRNN_MAP1(Name, expression)                                        \
  template <class T>                                                         \
  struct Name {                                                              \
    JAXRNN_INLINE static Vector<T> of(Vector<T> a) { return expression; }    \
  };
#define JAXRNN_MAP2(Name, expression)                                                  \
  template <class T>                                                                   \
  struct Name {                                                                        \
    JAXRNN_INLINE static Vector<T> of(Vector<T> a, Vector<T> b) { return expression; } \
  };
#define JAXRNN_MAP3(Name, expression)                                          \
  template <class T>                                                           \
  struct Name {                                                                \
    JAXRNN_INLINE static Vector<T> of(Vector<T> a, Vector<T> b, Vector<T> c) { \
      return expression;                                                       \
    }                                                                          \
  };

#define JAXRNN_MAP4(Name, expression)                                                        \
  template <class T>                                                                         \
  struct Name {                                                                              \
    JAXRNN_INLINE static Vector<T> of(Vector<T> a, Vector<T> b, Vector<T> c, Vector<T> d) { \
      return expression;                                                                     \
    }                                                                                        \
  };

JAXRNN_MAP1(Copy, a)
JAXRNN_MAP1(Negative, -a)
JAXRNN_MAP1(Absolute, a < T(0) ? -a : a + T(0))
JAXRNN_MAP1(Sign, a > T(0) ? all<T>(1) : a < T(0) ? all<T>(-1) : a)
JAXRNN_MAP1(Exponent, exp_of<T>(a))
JAXRNN_MAP1(Expm1, expm1_of<T>(a))
JAXRNN_MAP1(Log, log_of<T>(a))
JAXRNN_MAP1(Log1p, log1p_of<T>(a))
JAXRNN_MAP1(Tanh, tanh<T>(a))
JAXRNN_MAP1(Sigmoid, sigmoid<T>(a))
JAXRNN_MAP1(Root, root<T>(a))
JAXRNN_MAP1(InverseRoot, T(1) / root<T>(a))
JAXRNN_MAP1(Square, a * a)
JAXRNN_MAP1(Not, T(1) - a)
JAXRNN_MAP2(Add, a + b)
JAXRNN_MAP2(Subtract, a - b)
JAXRNN_MAP2(Times, a * b)
JAXRNN_MAP2(Divide, a / b)
JAXRNN_MAP2(Maximum, a != a ? a : a > b ? a : b)  // NaN of either
JAXRNN_MAP2(Minimum, a != a ? a : a < b ? a : b)
JAXRNN_MAP2(Equal, truth<T>(a == b))
JAXRNN_MAP2(NotEqual, truth<T>(a != b))
JAXRNN_MAP2(Less, truth<T>(a < b))
JAXRNN_MAP2(LessEqual, truth<T>(a <= b))
JAXRNN_MAP2(And, a * b)
JAXRNN_MAP2(Or, a > b ? a : b)
JAXRNN_MAP3(Select, a != T(0) ? c : b)
JAXRNN_MAP3(MultiplyAdd, a * b + c)
JAXRNN_MAP3(MultiplySubtract, a * b - c)
JAXRNN_MAP3(SubtractProduct, a - b * c)
JAXRNN_MAP2(OneMinusTimes, (T(1) - a) * b)
JAXRNN_MAP3(Mix, (T(1) - a) * b + a * c)
JAXRNN_MAP4(AddProducts, a * b + c * d)
JAXRNN_MAP3(TimesDifference, a * b - a * c)
JAXRNN_MAP3(DifferenceTimes, (a - b) * c)
JAXRNN_MAP2(AddTanh, tanh<T>(a + b))
JAXRNN_MAP2(AddSigmoid, sigmoid<T>(a + b))
// The derivatives of tanh and of sigmoid from their values: the cotangent is the second.
JAXRNN_MAP2(TanhSlope, (T(1) + a) * (T(1) - a) * b)
JAXRNN_MAP2(SigmoidSlope, a * (T(1) - a) * b)
JAXRNN_MAP3(TanhSlopeTimes, (T(1) + a) * (T(1) - a) * (b * c))
JAXRNN_MAP3(SigmoidSlopeTimes, a * (T(1) - a) * (b * c))
JAXRNN_MAP4(SigmoidSlopeDifference, a * (T(1) - a) * (b * c - b * d))

// Adds to what is there: F has `take`, what is added.
template <class T, class F, std::size_t inputs>
void accumulate(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner, whole = inner / kLanes<T> * kLanes<T>;
  const auto all_inputs = std::make_index_sequence<inputs>();
  each<T, kAllVectors>(o, all_inputs, [inner, whole](T* out, const auto&... in)
                                          __attribute__((always_inline)) {
    std::ptrdiff_t i = 0;
#pragma GCC unroll 4
    for (; i < whole; i += kLanes<T>) store<T>(out + i, load(out + i) + F::take(in.at(i)...));
    const std::ptrdiff_t left = inner - i;
    if (left > 0)
      store_lanes<T>(out + i, load_lanes(out + i, left) + F::take(in.at(i, left)...), left);
  });
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
