// One step of one sequence, for streaming. The matrices are read only once, so they are not packed.
#pragma once

#include "cells.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

constexpr int kSingleVectors = 4;  // unit vectors in a block; threads divide the blocks

template <class T>
std::ptrdiff_t single_blocks(std::ptrdiff_t hidden) {
  return (hidden + kSingleVectors * kLanes<T> - 1) / (kSingleVectors * kLanes<T>);
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
  T us[kSingleVectors * gates * lanes], zs[kSingleVectors * gates * lanes];

  // Runs units [unit, unit + V * lanes), up to `hidden` if V is 1.
  template <int V>
  void run(std::ptrdiff_t unit) {
    multiply<V>(f.bias, x, f.sizes.inputs, f.kernel, unit, us);
    multiply<V>(nullptr, h, hidden, f.recurrent, unit, zs);
    for (int v = 0; v < V; v++)
      finish(unit + v * lanes, us + v * gates * lanes, zs + v * gates * lanes);
  }

  template <int V>
  void multiply(const S* start, const T* a, std::ptrdiff_t depth, const S* matrix,
                std::ptrdiff_t unit, T* out) {
    Vector<T> sum[V][gates];
    const std::ptrdiff_t count = hidden - unit;
    const auto each = [&](auto body) {
#pragma GCC unroll 8
      for (int v = 0; v < V; v++)
#pragma GCC unroll 8
        for (int gate = 0; gate < gates; gate++) body(v, gate, gate * hidden + unit + v * lanes);
    };
    each([&](int v, int gate, std::ptrdiff_t at) {
      sum[v][gate] = start ? load(start + at, count - v * lanes) : Vector<T>{};
    });
    for (std::ptrdiff_t k = 0; k < depth; k++, matrix += gates * hidden) {
      const Vector<T> number = all<T>(a[k]);
      each([&](int v, int gate, std::ptrdiff_t at) {
        // Only the last unit vector may have fewer lanes, and it runs with V = 1.
        sum[v][gate] += number * (V > 1 ? load(matrix + at) : load(matrix + at, count));
      });
    }
    each([&](int v, int gate, std::ptrdiff_t) {
      store(out + (v * gates + gate) * lanes, sum[v][gate]);
    });
  }

  void finish(std::ptrdiff_t unit, const T* u, const T* z) {
    const std::ptrdiff_t count = hidden - unit;
    const Place place = {unit, unit, hidden, unit, count};
    State<T> state = {load(f.h + unit, count), Vector<T>{}};
    if (remembers) state.memory = load(f.memory + unit, count);
    state = CellOf<S>::forward(f, place, u, z, state);
    store(f.last_h + unit, state.h, count);
    store(f.ys + unit, state.h, count);
    if (remembers) store(f.last_memory + unit, state.memory, count);
  }
};

// Runs the units of blocks [begin, end).
template <class S, template <class> class CellOf>
void single(const Forward<S>& f, std::ptrdiff_t begin, std::ptrdiff_t end, Wide<S>* scratch) {
  using T = Wide<S>;
  const T* x = widened(f.xs, f.sizes.inputs, scratch);
  const T* h = widened(f.h, f.sizes.hidden, scratch + padded<T>(f.sizes.inputs));
  SingleStep<S, CellOf> step = {f, x, h};
  constexpr std::ptrdiff_t width = kSingleVectors * kLanes<T>;
  for (std::ptrdiff_t unit = begin * width; unit < end * width && unit < f.sizes.hidden;) {
    if (unit + width <= f.sizes.hidden) {
      step.template run<kSingleVectors>(unit);
      unit += width;
    } else {
      step.template run<1>(unit);
      unit += kLanes<T>;
    }
  }
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
