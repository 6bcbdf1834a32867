// The operands of the operations of a program: rows of numbers.
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

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
