// The forward pass: runs a part of the batch through all steps.
//
// Time is divided into chunks. The inputs of a chunk are multiplied by the kernel at once, and the
// products stay in the cache until their steps run. Their layout matches the panels: (rows, unit
// vectors, gates, lanes).
#pragma once

#include "cells.h"
#include "team.h"
#include "panels.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

constexpr std::ptrdiff_t kTile = kMaxRows * kMaxVectors;  // vectors in the tile of a product

// Steps in a chunk: enough rows to repay reading the kernel; fewer with a team, because its workers
// join between chunks.
inline std::ptrdiff_t chunk_steps(const Sizes& sizes) {
  const std::ptrdiff_t rows = sizes.workers > 1 ? 16 : 64;
  const std::ptrdiff_t steps = (rows + sizes.rows - 1) / sizes.rows;
  return steps < sizes.steps ? steps : sizes.steps;
}

template <class T>
Packing recurrence(const Sizes& sizes, int gates) {
  const std::ptrdiff_t vectors = panel_vectors<T>(gates, sizes.hidden, sizes.rows, sizes.workers);
  return {gates, sizes.hidden, sizes.hidden, vectors};
}

// Each panel of the recurrence is a whole number of these panels, so that a worker's share of both
// has the same units.
template <class T>
Packing projection(const Sizes& sizes, int gates) {
  const std::ptrdiff_t rows = chunk_steps(sizes) * sizes.rows;
  const std::ptrdiff_t vectors = panel_vectors<T>(gates, sizes.hidden, rows);
  const std::ptrdiff_t most = recurrence<T>(sizes, gates).vectors;
  return {gates, sizes.inputs, sizes.hidden, vectors < most ? vectors : most};
}

// Scratch for the tile, three copies of the state, the inputs of a chunk, and their products.
template <class S>
std::ptrdiff_t forward_scratch(const Sizes& sizes, int gates) {
  using T = Wide<S>;
  const std::ptrdiff_t hidden = padded<T>(sizes.hidden);
  const std::ptrdiff_t row = padded<T>(sizes.inputs) + gates * hidden;
  return kTile * kLanes<T> + 3 * sizes.rows * hidden + chunk_steps(sizes) * sizes.rows * row;
}

// Hidden units [first, last).
struct Units {
  std::ptrdiff_t first, last;
};

// Copy units of a row between an array (B, H) and a state, whose rows are padded with zeros.
template <class S>
JAXRNN_INLINE void read_row(Wide<S>* state, const S* from, Units units, std::ptrdiff_t hidden) {
  for (std::ptrdiff_t unit = units.first; unit < units.last; unit += kLanes<Wide<S>>)
    store(state + unit, load(from + unit, hidden - unit));
}

template <class S>
JAXRNN_INLINE void write_row(S* to, const Wide<S>* state, Units units, std::ptrdiff_t hidden) {
  for (std::ptrdiff_t unit = units.first; unit < units.last; unit += kLanes<Wide<S>>)
    store(to + unit, load(state + unit), hidden - unit);
}

// The work of one worker.
template <class S, template <class> class CellOf>
struct ForwardPass {
  using T = Wide<S>;
  static constexpr int gates = gates_of(CellOf<S>::kCell);
  static constexpr bool remembers = has_memory(CellOf<S>::kCell);

  const Forward<S>& f;
  const std::ptrdiff_t begin, rows, hidden = f.sizes.hidden, inputs = f.sizes.inputs;
  const std::ptrdiff_t stride = padded<T>(hidden), u_stride = stride * gates;
  const Packing by_input = projection<T>(f.sizes, gates), by_carry = recurrence<T>(f.sizes, gates);
  Worker worker;
  T *states[2], *memory;  // shared, in the leader's scratch
  T *tile, *us, *xs;      // in this worker's scratch
  T *h, *next;            // the states before and after this step

  ForwardPass(const Forward<S>& forward, const Part<T>& part)
      : f(forward), begin(part.begin), rows(part.end - part.begin), worker(part.slots, part.leads) {
    const std::ptrdiff_t size = f.sizes.rows * stride;
    states[0] = part.scratch + kTile * kLanes<T>;
    states[1] = states[0] + size;
    memory = states[1] + size;
    tile = part.scratch + worker.number() * forward_scratch<S>(f.sizes, gates);
    us = tile + kTile * kLanes<T> + 3 * size;
    xs = us + chunk_steps(f.sizes) * f.sizes.rows * u_stride;
  }

  void run() {
    const Units all = {0, hidden};
    const std::ptrdiff_t steps = f.sizes.steps, most = chunk_steps(f.sizes);
    if (worker.leads())
      for (std::ptrdiff_t row = 0; row < rows; row++) restore(states[0], row, all, f.h, f.memory);
    while (worker.next_chunk(steps ? (steps + most - 1) / most : 0)) {
      const std::ptrdiff_t done = worker.chunk() * most, left = steps - done;
      const std::ptrdiff_t count = left < most ? left : most;
      const std::ptrdiff_t first = f.sizes.reverse ? left - count : done;
      project(first, count);
      for (std::ptrdiff_t step = 0; step < count; step++) {
        h = states[(done + step) % 2];
        next = states[(done + step + 1) % 2];
        advance(first, f.sizes.reverse ? count - 1 - step : step);
        worker.barrier();
      }
    }
    if (!worker.leads()) return;
    for (std::ptrdiff_t row = 0; row < rows; row++) {
      const std::ptrdiff_t to = (begin + row) * hidden;
      write_row(f.last_h + to, states[steps % 2] + row * stride, all, hidden);
      if (remembers) write_row(f.last_memory + to, memory + row * stride, all, hidden);
    }
  }

  void restore(T* state, std::ptrdiff_t row, Units units, const S* from_h, const S* from_memory) {
    const std::ptrdiff_t from = (begin + row) * hidden;
    read_row(state + row * stride, from_h + from, units, hidden);
    if (remembers) read_row(memory + row * stride, from_memory + from, units, hidden);
  }

  // The first row of step `t` in (T, B).
  std::ptrdiff_t at(std::ptrdiff_t t) const { return t * f.sizes.batch + begin; }

  // This worker's share of the panels.
  std::ptrdiff_t first_panel() const { return worker.begin(panels<T>(by_carry)); }
  std::ptrdiff_t last_panel() const { return worker.end(panels<T>(by_carry)); }
  Units share() const {
    const std::ptrdiff_t width = by_carry.vectors * kLanes<T>, last = last_panel() * width;
    return {first_panel() * width, last < hidden ? last : hidden};
  }

  // Computes the input products of steps [first, first + count).
  void project(std::ptrdiff_t first, std::ptrdiff_t count) {
    if (f.us) return arrange(first, count);
    const T* x = gather(first, count);
    const std::ptrdiff_t finer = by_carry.vectors / by_input.vectors, all = panels<T>(by_input);
    for (std::ptrdiff_t number = first_panel() * finer;
         number < last_panel() * finer && number < all; number++) {
      const Panel panel = panel_at<T>(by_input, number);
      const std::ptrdiff_t column = panel.first * gates * kLanes<T>;
      const int vectors = panel.vectors * gates;
      tiles(count * rows, vectors, [&](std::ptrdiff_t row, std::ptrdiff_t height) {
        multiply_of<T>(height, vectors)({x + row * inputs, inputs, 1,
                                         f.packed_kernel + column * inputs, inputs,
                                         f.packed_bias + column, 0,
                                         us + row * u_stride + column, u_stride});
      });
    }
  }

  // Copies the given input products into the layout of the panels.
  void arrange(std::ptrdiff_t first, std::ptrdiff_t count) {
    const Units units = share();
    for (std::ptrdiff_t step = 0; step < count; step++)
      for (std::ptrdiff_t row = 0; row < rows; row++) {
        const T* from = f.us + (at(first + step) + row) * gates * hidden;
        T* to = us + (step * rows + row) * u_stride + units.first * gates;
        for (std::ptrdiff_t unit = units.first; unit < units.last; unit += kLanes<T>)
          for (int gate = 0; gate < gates; gate++, to += kLanes<T>)
            store(to, load(from + gate * hidden + unit, hidden - unit));
      }
  }

  // The inputs of these steps, contiguous.
  const T* gather(std::ptrdiff_t first, std::ptrdiff_t count) {
    const std::ptrdiff_t size = rows * inputs;
    if (rows == f.sizes.batch) return widened(f.xs + at(first) * inputs, count * size, xs);
    for (std::ptrdiff_t step = 0; step < count; step++) {
      const S* from = f.xs + at(first + step) * inputs;
      for (std::ptrdiff_t i = 0; i < size; i += kLanes<T>)
        store(xs + step * size + i, load(from + i, size - i), size - i);
    }
    return xs;
  }

  void advance(std::ptrdiff_t first, std::ptrdiff_t step) {
    const std::ptrdiff_t here = at(first + step);
    // The other workers have written most of h.
    if (!worker.alone()) prefetch<kFirstCache>(h, 0, 1, rows * stride);
    if (f.resets && reset(here)) worker.barrier();
    const std::ptrdiff_t start = first_panel(), end = last_panel();
    for (std::ptrdiff_t i = 0; i < end - start; i++)
      advance(panel_at<T>(by_carry, to_and_fro(i, start, end, step)), here,
              us + step * rows * u_stride);
  }

  bool is_real(std::ptrdiff_t at) const { return !f.mask || f.mask[at]; }

  // Resets this worker's units; returns whether any row was reset.
  bool reset(std::ptrdiff_t at) {
    bool any = false;
    for (std::ptrdiff_t row = 0; row < rows; row++)
      if (is_real(at + row) && f.resets[at + row]) {
        any = true;
        restore(h, row, share(), f.initial_h, f.initial_memory);
      }
    return any;
  }

  // Advances the units of one panel; `at` is the first row of the step in (T, B).
  void advance(Panel panel, std::ptrdiff_t at, const T* u) {
    const std::ptrdiff_t unit = panel.first * kLanes<T>;
    const int vectors = panel.vectors * gates;
    const T* packed = f.packed + unit * gates * hidden;
    tiles(rows, vectors, [&](std::ptrdiff_t first, std::ptrdiff_t height) {
      multiply_of<T>(height, vectors)({h + first * stride, stride, 1, packed, hidden, nullptr, 0,
                                       tile, vectors * kLanes<T>});
      const T* z = tile;
      for (std::ptrdiff_t row = first; row < first + height; row++)
        for (std::ptrdiff_t v = 0; v < panel.vectors; v++, z += gates * kLanes<T>)
          finish(row, at + row, unit + v * kLanes<T>, u + row * u_stride, z);
    });
  }

  JAXRNN_INLINE void finish(std::ptrdiff_t row, std::ptrdiff_t at, std::ptrdiff_t unit, const T* u,
                            const T* z) {
    const std::ptrdiff_t count = hidden - unit, here = row * stride + unit;
    const Place place = {at * hidden + unit, at * gates * hidden + unit, hidden, unit, count};
    State<T> state = {load(h + here), remembers ? load(memory + here) : Vector<T>{}};
    if (f.previous) store(f.previous + place.units, state.h, count);
    Vector<T> y = {};
    if (is_real(at)) {
      state = CellOf<S>::forward(f, place, u + unit * gates, z, state);
      state.h = rounded<S>(state.h);
      if (remembers) state.memory = rounded<S>(state.memory);
      y = state.h;
    } else {
      write_zeros(place);
    }
    store(next + here, state.h);
    if (remembers) store(memory + here, state.memory);
    store(f.ys + place.units, y, count);
  }

  // Of a masked step the backward pass reads nothing, but no result is left unwritten.
  JAXRNN_INLINE void write_zeros(const Place& at) {
    if (!f.gates) return;
    for (int gate = 0; gate < gates; gate++)
      store(f.gates + at.gates + gate * at.hidden, Vector<T>{}, at.count);
    if (f.extra) store(f.extra + at.units, Vector<T>{}, at.count);
  }
};

template <class S, template <class> class CellOf>
void forward(const Forward<S>& f, const Part<Wide<S>>& part) {
  ForwardPass<S, CellOf>(f, part).run();
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
