// A part of the batch through all steps.
#pragma once

#include "cells.h"
#include "panels.h"

namespace jaxrnn::JAXRNN_LEVEL {

// Numbers for the tile of a product, and for four copies of the state.
template <class T>
std::ptrdiff_t scratch(const Sizes& sizes) {
  return kMaxRows * kMaxVectors * kLanes<T> + 4 * sizes.rows * padded<T>(sizes.hidden);
}

// Calls `body(first row, rows)` for tiles of nearly equal height.
template <class Body>
JAXRNN_INLINE void tiles(std::ptrdiff_t rows, int vectors, Body body) {
  const std::ptrdiff_t count = (rows + rows_for(vectors) - 1) / rows_for(vectors);
  for (std::ptrdiff_t tile = 0; tile < count; tile++) {
    const std::ptrdiff_t first = rows * tile / count;
    body(first, rows * (tile + 1) / count - first);
  }
}

// Copies rows of H numbers between an array (B, H) and a state, whose rows are padded with zeros.
template <class T>
JAXRNN_INLINE void read_row(T* state, const T* from, const Sizes& sizes) {
  for (std::ptrdiff_t unit = 0; unit < sizes.hidden; unit += kLanes<T>)
    store(state + unit, load(from + unit, sizes.hidden - unit));
}

template <class T>
JAXRNN_INLINE void write_row(T* to, const T* state, const Sizes& sizes) {
  std::memcpy(to, state, sizes.hidden * sizeof(T));
}

template <class T, template <class> class CellOf>
struct ForwardPass {
  static constexpr int gates = gates_of(CellOf<T>::kCell);
  static constexpr bool remembers = has_memory(CellOf<T>::kCell);

  const Forward<T>& f;
  const std::ptrdiff_t begin, rows;
  const std::ptrdiff_t stride = padded<T>(f.sizes.hidden);
  T *tile, *h, *next, *memory;

  ForwardPass(const Forward<T>& forward, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch)
      : f(forward), begin(begin), rows(end - begin), tile(scratch) {
    h = tile + kMaxRows * kMaxVectors * kLanes<T>;
    next = h + f.sizes.rows * stride;
    memory = next + f.sizes.rows * stride;
  }

  void run() {
    for (std::ptrdiff_t row = 0; row < rows; row++) restore(row, f.h, f.memory);
    for (std::ptrdiff_t step = 0; step < f.sizes.steps; step++) {
      const std::ptrdiff_t t = f.sizes.reverse ? f.sizes.steps - 1 - step : step;
      const std::ptrdiff_t at = t * f.sizes.batch + begin;
      if (f.resets) reset(at);
      for (std::ptrdiff_t number = 0; number < panels<T>(gates, f.sizes); number++)
        advance(panel_at<T>(gates, f.sizes, number), at);
      T* old = h;
      h = next;
      next = old;
    }
    for (std::ptrdiff_t row = 0; row < rows; row++) {
      const std::ptrdiff_t to = (begin + row) * f.sizes.hidden;
      write_row(f.last_h + to, h + row * stride, f.sizes);
      if (remembers) write_row(f.last_memory + to, memory + row * stride, f.sizes);
    }
  }

  void restore(std::ptrdiff_t row, const T* from_h, const T* from_memory) {
    const std::ptrdiff_t from = (begin + row) * f.sizes.hidden;
    read_row(h + row * stride, from_h + from, f.sizes);
    if (remembers) read_row(memory + row * stride, from_memory + from, f.sizes);
  }

  bool is_real(std::ptrdiff_t at) const { return !f.mask || f.mask[at]; }

  void reset(std::ptrdiff_t at) {
    for (std::ptrdiff_t row = 0; row < rows; row++)
      if (is_real(at + row) && f.resets[at + row]) restore(row, f.initial_h, f.initial_memory);
  }

  // The units of one panel, at the step whose first row is number `at` of (T, B).
  void advance(Panel panel, std::ptrdiff_t at) {
    const std::ptrdiff_t unit = panel.first * kLanes<T>, width = panel.vectors * gates;
    const T* packed = f.packed + unit * gates * f.sizes.hidden;
    tiles(rows, width, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
      multiply_of<T>(count, width)(
          {h + first * stride, stride, packed, f.sizes.hidden, nullptr, 0, tile});
      const T* z = tile;
      for (std::ptrdiff_t row = first; row < first + count; row++)
        for (std::ptrdiff_t v = 0; v < panel.vectors; v++, z += gates * kLanes<T>)
          finish(row, at + row, unit + v * kLanes<T>, z);
    });
  }

  JAXRNN_INLINE void finish(std::ptrdiff_t row, std::ptrdiff_t at, std::ptrdiff_t unit,
                            const T* z) {
    const std::ptrdiff_t hidden = f.sizes.hidden, count = hidden - unit;
    const std::ptrdiff_t here = row * stride + unit;
    const Place place = {at * hidden + unit, at * gates * hidden + unit, hidden, unit, count};
    State<T> state = {load(h + here), remembers ? load(memory + here) : Vector<T>{}};
    if (f.previous) store(f.previous + place.units, state.h, count);
    Vector<T> y = {};
    if (is_real(at)) {
      state = CellOf<T>::forward(f, place, z, state);
      y = state.h;
    }
    store(next + here, state.h);
    if (remembers) store(memory + here, state.memory);
    store(f.ys + place.units, y, count);
  }
};

template <class T, template <class> class CellOf>
void forward(const Forward<T>& f, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch) {
  ForwardPass<T, CellOf>(f, begin, end, scratch).run();
}

}  // namespace jaxrnn::JAXRNN_LEVEL
