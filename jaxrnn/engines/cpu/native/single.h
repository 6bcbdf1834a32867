// One step of one sequence, for streaming. The matrices are read only once, so they are not packed.
#pragma once

#include "cells.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

constexpr std::ptrdiff_t kSingleUnits = 8 * kSingleBlock;  // whose sums are kept at once
constexpr int kRowsAtOnce = 8;

// Adds the product of a (rows,) and `count` columns of these rows of a matrix. The sums stay in the
// first cache, and each row is read from its start to its end, as the processor predicts.
template <int rows, class S, class T>
JAXRNN_INLINE void add_rows(const T* a, const S* matrix, std::ptrdiff_t stride,
                            std::ptrdiff_t count, T* sums) {
  Vector<T> numbers[rows];
#pragma GCC unroll 8
  for (int row = 0; row < rows; row++) numbers[row] = all<T>(a[row]);
  std::ptrdiff_t at = 0;
  for (; at + kLanes<T> <= count; at += kLanes<T>) {
    Vector<T> sum = load(sums + at);
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++) sum += numbers[row] * load(matrix + row * stride + at);
    store(sums + at, sum);
  }
  if (at == count) return;
  Vector<T> sum = load(sums + at, count - at);
#pragma GCC unroll 8
  for (int row = 0; row < rows; row++)
    sum += numbers[row] * load(matrix + row * stride + at, count - at);
  store(sums + at, sum, count - at);
}

template <class S, template <class> class CellOf>
struct SingleStep {
  using T = Wide<S>;
  static constexpr std::ptrdiff_t lanes = kLanes<T>;
  static constexpr int gates = gates_of(CellOf<S>::kCell);
  static constexpr bool remembers = has_memory(CellOf<S>::kCell);

  const Forward<S>& f;
  const T *x, *h;
  const std::ptrdiff_t hidden = f.sizes.hidden;
  T us[gates * kSingleUnits + lanes], zs[gates * kSingleUnits + lanes];

  // Leaves the sums unwritten, where a list of members would fill them with zeros.
  SingleStep(const Forward<S>& f, const T* x, const T* h) : f(f), x(x), h(h) {}

  // Runs units [begin, end), at most kSingleUnits.
  void run(std::ptrdiff_t begin, std::ptrdiff_t end) {
    const std::ptrdiff_t units = end - begin;
    multiply(f.bias, x, f.sizes.inputs, f.kernel, begin, units, us);
    multiply(nullptr, h, hidden, f.recurrent, begin, units, zs);
    for (std::ptrdiff_t unit = 0; unit < units; unit += lanes) finish(begin, unit, units);
  }

  // Columns [begin, begin + units) of each gate, side by side.
  void multiply(const S* start, const T* a, std::ptrdiff_t depth, const S* matrix,
                std::ptrdiff_t begin, std::ptrdiff_t units, T* sums) {
    if (units == hidden) return multiply_rows(start, a, depth, matrix, gates * units, sums);
    for (int gate = 0; gate < gates; gate++, begin += hidden, sums += units)
      multiply_rows(start ? start + begin : nullptr, a, depth, matrix + begin, units, sums);
  }

  void multiply_rows(const S* start, const T* a, std::ptrdiff_t depth, const S* matrix,
                     std::ptrdiff_t count, T* sums) {
    const std::ptrdiff_t stride = gates * hidden;
    for (std::ptrdiff_t at = 0; at < count; at += lanes)
      store(sums + at, start ? load(start + at, count - at) : Vector<T>{}, count - at);
    std::ptrdiff_t k = 0;
    for (; k + kRowsAtOnce <= depth; k += kRowsAtOnce)
      add_rows<kRowsAtOnce>(a + k, matrix + k * stride, stride, count, sums);
    for (; k < depth; k++) add_rows<1>(a + k, matrix + k * stride, stride, count, sums);
  }

  // Runs the lanes from `unit` on, of `units` from `begin` on.
  void finish(std::ptrdiff_t begin, std::ptrdiff_t unit, std::ptrdiff_t units) {
    T u[gates * lanes], z[gates * lanes];
    for (int gate = 0; gate < gates; gate++) {
      store(u + gate * lanes, load(us + gate * units + unit));
      store(z + gate * lanes, load(zs + gate * units + unit));
    }
    const std::ptrdiff_t count = units - unit, at = begin + unit;
    const Place place = {at, at, hidden, at, count};
    State<T> state = {load(f.h + at, count), Vector<T>{}};
    if (remembers) state.memory = load(f.memory + at, count);
    state = CellOf<S>::forward(f, place, u, z, state);
    store(f.last_h + at, state.h, count);
    if (remembers) store(f.last_memory + at, state.memory, count);
  }
};

// Runs the units of blocks [begin, end). Numbers that need no widening need no scratch.
template <class S, template <class> class CellOf>
void single(const Forward<S>& f, std::ptrdiff_t begin, std::ptrdiff_t end, Wide<S>* scratch) {
  using T = Wide<S>;
  const T* x = widened(f.xs, f.sizes.inputs, scratch);
  const std::ptrdiff_t after = scratch ? padded<T>(f.sizes.inputs) : 0;
  const T* h = widened(f.h, f.sizes.hidden, scratch + after);
  SingleStep<S, CellOf> step(f, x, h);
  const std::ptrdiff_t last = std::min(end * kSingleBlock, f.sizes.hidden);
  for (std::ptrdiff_t unit = begin * kSingleBlock; unit < last; unit += kSingleUnits)
    step.run(unit, std::min(unit + kSingleUnits, last));
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
