// The operands of the operations of a program: rows of numbers.
#pragma once

#include <type_traits>
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

// An input whose vectors lie one after the other.
template <class T>
struct Vectors {
  JAXRNN_INLINE explicit Vectors(const T* first) : from(first) {}
  JAXRNN_INLINE Vector<T> at(std::ptrdiff_t i) const { return load(from + i); }
  JAXRNN_INLINE Vector<T> at(std::ptrdiff_t i, std::ptrdiff_t count) const {
    return load_lanes(from + i, count);
  }
  const T* from;
};

// An input that is one number for all.
template <class T>
struct Same {
  JAXRNN_INLINE explicit Same(const T* first) : value(all<T>(*first)) {}
  JAXRNN_INLINE Vector<T> at(std::ptrdiff_t) const { return value; }
  JAXRNN_INLINE Vector<T> at(std::ptrdiff_t, std::ptrdiff_t) const { return value; }
  Vector<T> value;
};

// An input of which only the call says which of the two it is.
template <class T>
struct Either {
  JAXRNN_INLINE Either(const T* first, bool is_unit, T* spread)
      : from(is_unit ? first : spread), mask(is_unit ? -1 : 0) {
    if (!is_unit) store(spread, all<T>(*first));
  }
  JAXRNN_INLINE Vector<T> at(std::ptrdiff_t i) const { return load(from + (i & mask)); }
  JAXRNN_INLINE Vector<T> at(std::ptrdiff_t i, std::ptrdiff_t count) const {
    return mask ? load_lanes(from + i, count) : load(from);
  }
  const T* from;
  std::ptrdiff_t mask;
};

template <class T, bool is_unit>
using Input = std::conditional_t<is_unit, Vectors<T>, Same<T>>;

// Inputs by number, as bits: those of which a row has as many numbers as the result.
constexpr unsigned kAllVectors = ~0u;

// Calls `body(out, in...)` for each inner array. It is compiled once for the usual kinds of inputs,
// and once for all others.
template <class T, unsigned vectors, class Body, std::size_t... k>
JAXRNN_INLINE void each(const Operands<T>& o, std::index_sequence<k...>, Body body) {
  const std::ptrdiff_t rows = o.rows, outer = o.outer;
  const bool is_usual = ((o.in[k].is_unit == bool(vectors >> k & 1)) && ...);
  alignas(JAXRNN_BYTES) T spread[sizeof...(k)][kLanes<T>];
  for (std::ptrdiff_t row = 0; row < rows; row++) {
    T* out = o.out.array + row * o.out.row;
    const T* in[] = {o.in[k].array + row * o.in[k].row...};
    for (std::ptrdiff_t i = 0; i < outer; i++) {
      if (is_usual)
        body(out, Input<T, (vectors >> k & 1) != 0>(in[k])...);
      else
        body(out, Either<T>(in[k], o.in[k].is_unit, spread[k])...);
      out += o.out.outer;
      ((in[k] += o.in[k].outer), ...);
    }
  }
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
