// The operations of a program, each on a few rows of numbers.
#pragma once

#include <utility>

#include "logarithm.h"
#include "program_types.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// An array (rows, outer, inner). Without `is_unit` one number stands for all of `inner`.
template <class T>
struct Operand {
  T* array;
  std::ptrdiff_t row, outer;  // the distances between rows, and within a row
  bool is_unit;
};

template <class T>
struct Operands {
  Operand<T> out, in[kMaxInputs];
  std::ptrdiff_t rows, outer, inner;
};

template <class T>
using Operation = void (*)(const Operands<T>&);

// Truth is 1 and 0, as in the arrays.
template <class T, class Mask>
JAXRNN_INLINE Vector<T> truth(Mask mask) {
  return mask ? all<T>(1) : Vector<T>{};
}

// Reads one input: vectors one after the other, or always the same number.
template <class T>
class Reader {
 public:
  JAXRNN_INLINE Reader(const T* from, bool is_unit)
      : from_(from), step_(is_unit ? kLanes<T> : 0) {
    if (is_unit) return;
    store(spread_, all<T>(*from_));
    from_ = spread_;
  }
  JAXRNN_INLINE Vector<T> next() {
    const T* const from = from_;
    from_ += step_;
    return load(from);
  }
  JAXRNN_INLINE Vector<T> last(std::ptrdiff_t count) const {
    return step_ ? load_lanes(from_, count) : load(from_);
  }

 private:
  const T* from_;
  const std::ptrdiff_t step_;
  alignas(JAXRNN_BYTES) T spread_[kLanes<T>];
};

// Calls `body(out, in...)` for each inner array.
template <class T, class Body, std::size_t... k>
JAXRNN_INLINE void each(const Operands<T>& o, std::index_sequence<k...>, Body body) {
  const std::ptrdiff_t rows = o.rows, outer = o.outer;
  for (std::ptrdiff_t row = 0; row < rows; row++) {
    T* out = o.out.array + row * o.out.row;
    const T* in[] = {o.in[k].array + row * o.in[k].row...};
    for (std::ptrdiff_t i = 0; i < outer; i++) {
      body(out, Reader<T>(in[k], o.in[k].is_unit)...);
      out += o.out.outer;
      ((in[k] += o.in[k].outer), ...);
    }
  }
}

// F has `static Vector<T> of(Vector<T>...)`, of `inputs` vectors.
template <class T, class F, std::size_t inputs>
void map(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner, whole = inner / kLanes<T> * kLanes<T>;
  each(o, std::make_index_sequence<inputs>(), [inner, whole](T* out, auto&&... in)
                                                  __attribute__((always_inline)) {
    std::ptrdiff_t i = 0;
    for (; i < whole; i += kLanes<T>) store(out + i, F::of(in.next()...));
    if (i < inner) store_lanes(out + i, F::of(in.last(inner - i)...), inner - i);
  });
}

// What all lanes make together, halves first.
template <class T, class F>
JAXRNN_INLINE T folded(Vector<T> total) {
  T lanes[kLanes<T>];
  store(lanes, total);
  for (std::ptrdiff_t half = kLanes<T> / 2; half > 0; half /= 2)
    for (std::ptrdiff_t i = 0; i < half; i++) lanes[i] = F::of(lanes[i], lanes[i + half]);
  return lanes[0];
}

// One number from each row of `inner`: F has `of` of two numbers or vectors, and kNothing, which
// changes nothing, and `take`, what is reduced.
template <class T, class F, std::size_t inputs>
void reduce(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner, whole = inner / kLanes<T> * kLanes<T>;
  const std::ptrdiff_t fours = whole / 4 / kLanes<T> * 4 * kLanes<T>;
  each(o, std::make_index_sequence<inputs>(), [=](T* out, auto&&... in)
                                                  __attribute__((always_inline)) {
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
    *out = last;
  });
}

// Adds to what is there: F has `take`, what is added.
template <class T, class F, std::size_t inputs>
void accumulate(const Operands<T>& o) {
  const std::ptrdiff_t inner = o.inner, whole = inner / kLanes<T> * kLanes<T>;
  each(o, std::make_index_sequence<inputs>(), [inner, whole](T* out, auto&&... in)
                                                  __attribute__((always_inline)) {
    std::ptrdiff_t i = 0;
    for (; i < whole; i += kLanes<T>) store<T>(out + i, load(out + i) + F::take(in.next()...));
    const std::ptrdiff_t left = inner - i;
    if (left > 0)
      store_lanes<T>(out + i, load_lanes(out + i, left) + F::take(in.last(left)...), left);
  });
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
JAXRNN_MAP2(AddTanh, tanh<T>(a + b))
JAXRNN_MAP2(AddSigmoid, sigmoid<T>(a + b))
// The derivatives of tanh and of sigmoid from their values: the cotangent is the second.
JAXRNN_MAP2(TanhSlope, (T(1) + a) * (T(1) - a) * b)
JAXRNN_MAP2(SigmoidSlope, a * (T(1) - a) * b)
JAXRNN_MAP3(TanhSlopeTimes, (T(1) + a) * (T(1) - a) * (b * c))
JAXRNN_MAP3(SigmoidSlopeTimes, a * (T(1) - a) * (b * c))

// Reductions.
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

// In the order of Op, whose last is the product.
template <class T>
constexpr Operation<T> kOperations[] = {
    map<T, Copy<T>, 1>,      map<T, Negative<T>, 1>,    map<T, Absolute<T>, 1>,
    map<T, Sign<T>, 1>,      map<T, Exponent<T>, 1>,    map<T, Expm1<T>, 1>,
    map<T, Log<T>, 1>,       map<T, Log1p<T>, 1>,       map<T, Tanh<T>, 1>,
    map<T, Sigmoid<T>, 1>,   map<T, Root<T>, 1>,        map<T, InverseRoot<T>, 1>,
    map<T, Square<T>, 1>,    map<T, Not<T>, 1>,         map<T, Add<T>, 2>,
    map<T, Subtract<T>, 2>,  map<T, Times<T>, 2>,    map<T, Divide<T>, 2>,
    map<T, Maximum<T>, 2>,   map<T, Minimum<T>, 2>,     map<T, Equal<T>, 2>,
    map<T, NotEqual<T>, 2>,  map<T, Less<T>, 2>,        map<T, LessEqual<T>, 2>,
    map<T, And<T>, 2>,       map<T, Or<T>, 2>,          map<T, Select<T>, 3>,
    map<T, MultiplyAdd<T>, 3>,         map<T, MultiplySubtract<T>, 3>,
    map<T, SubtractProduct<T>, 3>,     map<T, OneMinusTimes<T>, 2>,
    map<T, AddTanh<T>, 2>,             map<T, AddSigmoid<T>, 2>,
    map<T, TanhSlope<T>, 2>,           map<T, SigmoidSlope<T>, 2>,
    map<T, TanhSlopeTimes<T>, 3>,      map<T, SigmoidSlopeTimes<T>, 3>,
    reduce<T, Sum<T>, 1>,              reduce<T, Largest<T>, 1>,
    reduce<T, Smallest<T>, 1>,         reduce<T, SumOfProducts<T>, 2>,
    accumulate<T, Sum<T>, 1>,          accumulate<T, SumOfProducts<T>, 2>,
};
static_assert(sizeof(kOperations<float>) / sizeof(Operation<float>) ==
              static_cast<std::size_t>(Op::kProduct));

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
