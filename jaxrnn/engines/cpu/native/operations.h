// The operations of a program, each on a few rows of numbers.
#pragma once

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
  JAXRNN_INLINE Reader(const Operand<T>& o, std::ptrdiff_t row, std::ptrdiff_t outer)
      : from_(o.array + row * o.row + outer * o.outer), step_(o.is_unit ? kLanes<T> : 0) {
    if (o.is_unit) return;
    store(spread_, all<T>(*from_));
    from_ = spread_;
  }
  JAXRNN_INLINE Vector<T> next() {
    const T* from = from_;
    from_ += step_;
    return load(from);
  }
  JAXRNN_INLINE Vector<T> last(std::ptrdiff_t count) const {
    return step_ ? load(from_, count) : load(from_);
  }

 private:
  const T* from_;
  std::ptrdiff_t step_;
  alignas(JAXRNN_BYTES) T spread_[kLanes<T>];
};

template <class T, class F>
JAXRNN_INLINE void each_row(const Operands<T>& o, F body) {
  for (std::ptrdiff_t row = 0; row < o.rows; row++)
    for (std::ptrdiff_t outer = 0; outer < o.outer; outer++)
      body(row, outer, o.out.array + row * o.out.row + outer * o.out.outer);
}

// F has `static Vector<T> of(Vector<T>...)`, of one to three vectors.
template <class T, class F>
void map1(const Operands<T>& o) {
  each_row(o, [&](std::ptrdiff_t row, std::ptrdiff_t outer, T* out) {
    Reader<T> a(o.in[0], row, outer);
    std::ptrdiff_t i = 0;
    for (; i + kLanes<T> <= o.inner; i += kLanes<T>) store(out + i, F::of(a.next()));
    const std::ptrdiff_t left = o.inner - i;
    if (left > 0) store(out + i, F::of(a.last(left)), left);
  });
}

template <class T, class F>
void map2(const Operands<T>& o) {
  each_row(o, [&](std::ptrdiff_t row, std::ptrdiff_t outer, T* out) {
    Reader<T> a(o.in[0], row, outer), b(o.in[1], row, outer);
    std::ptrdiff_t i = 0;
    for (; i + kLanes<T> <= o.inner; i += kLanes<T>) store(out + i, F::of(a.next(), b.next()));
    const std::ptrdiff_t left = o.inner - i;
    if (left > 0) store(out + i, F::of(a.last(left), b.last(left)), left);
  });
}

template <class T, class F>
void map3(const Operands<T>& o) {
  each_row(o, [&](std::ptrdiff_t row, std::ptrdiff_t outer, T* out) {
    Reader<T> a(o.in[0], row, outer), b(o.in[1], row, outer), c(o.in[2], row, outer);
    std::ptrdiff_t i = 0;
    for (; i + kLanes<T> <= o.inner; i += kLanes<T>)
      store(out + i, F::of(a.next(), b.next(), c.next()));
    const std::ptrdiff_t left = o.inner - i;
    if (left > 0) store(out + i, F::of(a.last(left), b.last(left), c.last(left)), left);
  });
}

// One number from each row of `inner`; the last vector is filled up with what changes nothing.
template <class T, class F>
void reduce(const Operands<T>& o) {
  each_row(o, [&](std::ptrdiff_t row, std::ptrdiff_t outer, T* out) {
    Reader<T> a(o.in[0], row, outer);
    Vector<T> total = all<T>(F::kNothing);
    std::ptrdiff_t i = 0;
    for (; i + kLanes<T> <= o.inner; i += kLanes<T>) total = F::of(total, a.next());
    T lanes[kLanes<T>];
    if (i < o.inner) {
      store(lanes, all<T>(F::kNothing));
      store(lanes, a.last(o.inner - i), o.inner - i);
      total = F::of(total, load(lanes));
    }
    for (std::ptrdiff_t half = kLanes<T> / 2; half > 0; half /= 2) {
      store(lanes, total);
      T folded[kLanes<T>] = {};
      for (std::ptrdiff_t k = 0; k < half; k++) folded[k] = lanes[k + half];
      total = F::of(total, load(folded));
    }
    store(lanes, total);
    *out = lanes[0];
  });
}

// Adds to what is there.
template <class T>
void accumulate(const Operands<T>& o) {
  each_row(o, [&](std::ptrdiff_t row, std::ptrdiff_t outer, T* out) {
    Reader<T> a(o.in[0], row, outer);
    std::ptrdiff_t i = 0;
    for (; i + kLanes<T> <= o.inner; i += kLanes<T>) store<T>(out + i, load(out + i) + a.next());
    const std::ptrdiff_t left = o.inner - i;
    if (left > 0) store<T>(out + i, load(out + i, left) + a.last(left), left);
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
JAXRNN_MAP2(AddTanh, tanh<T>(a + b))
JAXRNN_MAP2(AddSigmoid, sigmoid<T>(a + b))
// The derivatives of tanh and of sigmoid from their values: the cotangent is the second.
JAXRNN_MAP2(TanhSlope, (T(1) + a) * (T(1) - a) * b)
JAXRNN_MAP2(SigmoidSlope, a * (T(1) - a) * b)

template <class T>
struct Sum : Add<T> {
  static constexpr T kNothing = 0;
};
template <class T>
struct Largest : Maximum<T> {
  static constexpr T kNothing = -__builtin_inf();
};
template <class T>
struct Smallest : Minimum<T> {
  static constexpr T kNothing = __builtin_inf();
};

// In the order of Op, whose last is the product.
template <class T>
constexpr Operation<T> kOperations[] = {
    map1<T, Copy<T>>,      map1<T, Negative<T>>,    map1<T, Absolute<T>>,
    map1<T, Sign<T>>,      map1<T, Exponent<T>>,    map1<T, Expm1<T>>,
    map1<T, Log<T>>,       map1<T, Log1p<T>>,       map1<T, Tanh<T>>,
    map1<T, Sigmoid<T>>,   map1<T, Root<T>>,        map1<T, InverseRoot<T>>,
    map1<T, Square<T>>,    map1<T, Not<T>>,         map2<T, Add<T>>,
    map2<T, Subtract<T>>,  map2<T, Times<T>>,    map2<T, Divide<T>>,
    map2<T, Maximum<T>>,   map2<T, Minimum<T>>,     map2<T, Equal<T>>,
    map2<T, NotEqual<T>>,  map2<T, Less<T>>,        map2<T, LessEqual<T>>,
    map2<T, And<T>>,       map2<T, Or<T>>,          map3<T, Select<T>>,
    map3<T, MultiplyAdd<T>>, map2<T, AddTanh<T>>,   map2<T, AddSigmoid<T>>,
    map2<T, TanhSlope<T>>, map2<T, SigmoidSlope<T>>, reduce<T, Sum<T>>,
    reduce<T, Largest<T>>, reduce<T, Smallest<T>>,  accumulate<T>,
};
static_assert(sizeof(kOperations<float>) / sizeof(Operation<float>) ==
              static_cast<std::size_t>(Op::kProduct));

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
