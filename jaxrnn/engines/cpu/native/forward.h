// The forward pass: runs a part of the batch through all steps.
//
// Time is divided into chunks. The inputs of a chunk are multiplied by the kernel at once, and the
// products stay in the cache until their steps run. Their layout matches the panels: (rows, unit
// vectors, gates, lanes).
//
// With a mask, the states of all rows are kept in `held`. Each step copies those of its real rows to
// contiguous memory, and multiplies no others.
#pragma once

#include "cells.h"
#include "team.h"
#include "panels.h"
#include "states.h"
#include "steps.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

constexpr std::ptrdiff_t kTile = kMaxRows * kMaxVectors;  // vectors in the tile of a product

// Steps in a chunk: enough rows to repay reading the kernel; fewer with a team, because its workers
// join between chunks.
inline std::ptrdiff_t chunk_steps(const Sizes& sizes) {
  const std::ptrdiff_t rows = sizes.workers > 1 && sizes.rows < 8 ? 16 : 64;
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

// Scratch for the tile, four copies of the state, the inputs of a chunk, and their products.
template <class S>
std::ptrdiff_t forward_scratch(const Sizes& sizes, int gates) {
  using T = Wide<S>;
  const std::ptrdiff_t hidden = padded<T>(sizes.hidden);
  const std::ptrdiff_t row = padded<T>(sizes.inputs) + gates * hidden;
  return kTile * kLanes<T> + 4 * sizes.rows * hidden + chunk_steps(sizes) * sizes.rows * row;
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
  const std::ptrdiff_t* const order;  // the batch row of each row
  const Packing by_input = projection<T>(f.sizes, gates), by_carry = recurrence<T>(f.sizes, gates);
  Worker worker;
  Steps steps;
  T *states[2], *held, *memory;  // shared, in the leader's scratch
  T *tile, *us, *xs;             // in this worker's scratch
  T *h, *next;                   // the states of the real rows before this step and the next one

  ForwardPass(const Forward<S>& forward, const Part<T>& part)
      : f(forward),
        begin(part.begin),
        rows(part.end - part.begin),
        order(f.order + begin),
        worker(part.slots, part.leads),
        steps(f.sizes, f.mask, order, rows, f.sizes.reverse,
              part.numbers + worker.number() * 2 * f.sizes.rows) {
    const std::ptrdiff_t size = f.sizes.rows * stride;
    states[0] = part.scratch + kTile * kLanes<T>;
    states[1] = states[0] + size;
    held = states[1] + size;
    memory = held + size;
    tile = part.scratch + worker.number() * forward_scratch<S>(f.sizes, gates);
    us = tile + kTile * kLanes<T> + 4 * size;
    xs = us + chunk_steps(f.sizes) * f.sizes.rows * u_stride;
  }

  void run() {
    if (worker.leads()) start();
    Chunk chunk;
    while (worker.next_chunk(chunk.last < f.sizes.steps)) {
      std::ptrdiff_t turn = 0;  // the number of the step among those with a real row
      while (chunk.number < worker.chunk()) {
        turn = chunk.turns;
        chunk = steps.after(chunk, chunk_steps(f.sizes));
      }
      project(chunk);
      if (f.mask) write_zeros(chunk);
      run(chunk, turn);
    }
    if (!worker.leads()) return;
    const T* last = f.mask ? held : states[chunk.turns % 2];
    for (std::ptrdiff_t row = 0; row < rows; row++) {
      const std::ptrdiff_t to = order[row] * hidden;
      write_row(f.last_h + to, last + row * stride, whole(), hidden);
      if (remembers) write_row(f.last_memory + to, memory + row * stride, whole(), hidden);
    }
  }

  void start() {
    T* first = f.mask ? held : states[0];
    for (std::ptrdiff_t row = 0; row < rows; row++)
      restore(first + row * stride, row, whole(), f.h, f.memory);
    if (!f.mask) return;
    steps.seek(0);
    collect(states[0], whole());
  }

  void run(const Chunk& chunk, std::ptrdiff_t turn) {
    const bool back = steps.from_end();
    std::ptrdiff_t place = back ? chunk.rows : 0, number = steps.seek(chunk.first);
    while (number < chunk.last) {
      h = states[turn % 2];
      next = states[(turn + 1) % 2];
      if (back) place -= steps.count();
      advance(steps.time(number) * f.sizes.batch, us + place * u_stride, turn++);
      if (!back) place += steps.count();
      number = steps.seek(number + 1);
      if (f.mask) collect(next, share());
      worker.barrier();
    }
  }

  Units whole() const { return {0, hidden}; }

  // Copies these units of the real rows from `held`.
  void collect(T* to, Units units) {
    for (std::ptrdiff_t i = 0; i < steps.count(); i++)
      for (std::ptrdiff_t unit = units.first; unit < units.last; unit += kLanes<T>)
        store(to + i * stride + unit, load(held + steps[i] * stride + unit));
  }

  void restore(T* state, std::ptrdiff_t row, Units units, const S* from_h, const S* from_memory) {
    const std::ptrdiff_t from = order[row] * hidden;
    read_row(state, from_h + from, units, hidden);
    if (remembers) read_row(memory + row * stride, from_memory + from, units, hidden);
  }

  // This worker's share of the panels.
  std::ptrdiff_t first_panel() const { return worker.begin(panels<T>(by_carry)); }
  std::ptrdiff_t last_panel() const { return worker.end(panels<T>(by_carry)); }
  Units share() const {
    const std::ptrdiff_t width = by_carry.vectors * kLanes<T>, last = last_panel() * width;
    return {first_panel() * width, last < hidden ? last : hidden};
  }

  // Computes the input products of the real rows of a chunk.
  void project(const Chunk& chunk) {
    if (f.us) return arrange(chunk);
    const T* x = gather(chunk);
    const std::ptrdiff_t finer = by_carry.vectors / by_input.vectors, all = panels<T>(by_input);
    for (std::ptrdiff_t number = first_panel() * finer;
         number < last_panel() * finer && number < all; number++) {
      const Panel panel = panel_at<T>(by_input, number);
      const std::ptrdiff_t column = panel.first * gates * kLanes<T>;
      const int vectors = panel.vectors * gates;
      tiles(chunk.rows, vectors, [&](std::ptrdiff_t row, std::ptrdiff_t height) {
        multiply_of<T>(height, vectors)({x + row * inputs, inputs, 1,
                                         f.packed_kernel + column * inputs, inputs,
                                         f.packed_bias + column, 0,
                                         us + row * u_stride + column, u_stride});
      });
    }
  }

  // Calls `body(at)` for the real rows of a chunk, with their places in (T, B), the earliest first.
  template <class Body>
  JAXRNN_INLINE void each(const Chunk& chunk, Body body) {
    const std::ptrdiff_t start = steps.start(chunk);
    for (std::ptrdiff_t t = start; t < start + chunk.last - chunk.first; t++) {
      const std::ptrdiff_t count = steps.find(t);
      for (std::ptrdiff_t i = 0; i < count; i++) body(t * f.sizes.batch + order[steps[i]]);
    }
  }

  // Copies the given input products into the layout of the panels.
  void arrange(const Chunk& chunk) {
    const Units units = share();
    T* row = us;
    each(chunk, [&](std::ptrdiff_t at) {
      const T* from = f.us + at * gates * hidden;
      T* to = row + units.first * gates;
      for (std::ptrdiff_t unit = units.first; unit < units.last; unit += kLanes<T>)
        for (int gate = 0; gate < gates; gate++, to += kLanes<T>)
          store(to, load(from + gate * hidden + unit, hidden - unit));
      row += u_stride;
    });
  }

  // The inputs of the real rows of a chunk, contiguous.
  const T* gather(const Chunk& chunk) {
    const std::ptrdiff_t start = steps.start(chunk), batch = f.sizes.batch;
    if (!f.mask && rows == batch)
      return widened(f.xs + start * batch * inputs, chunk.rows * inputs, xs);
    T* to = xs;
    const auto copy = [&](const S* from, std::ptrdiff_t size) {
      for (std::ptrdiff_t i = 0; i < size; i += kLanes<T>)
        store(to + i, load(from + i, size - i), size - i);
      to += size;
    };
    if (f.mask) {
      each(chunk, [&](std::ptrdiff_t at) { copy(f.xs + at * inputs, inputs); });
    } else {
      for (std::ptrdiff_t t = start; t < start + chunk.last - chunk.first; t++)
        copy(f.xs + (t * batch + begin) * inputs, rows * inputs);
    }
    return xs;
  }

  // Runs the real rows of one step; `at` is the first row of the step in (T, B).
  void advance(std::ptrdiff_t at, const T* u, std::ptrdiff_t turn) {
    // The other workers have written most of h.
    if (!worker.alone()) prefetch<kFirstCache>(h, 0, 1, steps.count() * stride);
    if (f.resets && reset(at)) worker.barrier();
    const std::ptrdiff_t start = first_panel(), end = last_panel();
    for (std::ptrdiff_t i = 0; i < end - start; i++)
      advance(panel_at<T>(by_carry, to_and_fro(i, start, end, turn)), at, u);
  }

  // Resets this worker's units; returns whether any row was reset.
  bool reset(std::ptrdiff_t at) {
    bool any = false;
    for (std::ptrdiff_t i = 0; i < steps.count(); i++)
      if (f.resets[at + order[steps[i]]]) {
        any = true;
        restore(h + i * stride, steps[i], share(), f.initial_h, f.initial_memory);
      }
    return any;
  }

  // Advances the units of one panel.
  void advance(Panel panel, std::ptrdiff_t at, const T* u) {
    const std::ptrdiff_t unit = panel.first * kLanes<T>;
    const int vectors = panel.vectors * gates;
    const T* packed = f.packed + unit * gates * hidden;
    T* after = f.mask ? held : next;
    tiles(steps.count(), vectors, [&](std::ptrdiff_t first, std::ptrdiff_t height) {
      multiply_of<T>(height, vectors)({h + first * stride, stride, 1, packed, hidden, nullptr, 0,
                                       tile, vectors * kLanes<T>});
      const T* z = tile;
      for (std::ptrdiff_t i = first; i < first + height; i++) {
        const std::ptrdiff_t row = steps[i] * stride, here = at + order[steps[i]];
        for (std::ptrdiff_t v = 0; v < panel.vectors; v++, z += gates * kLanes<T>)
          finish(h + i * stride, after + row, memory + row, here, unit + v * kLanes<T>,
                 u + i * u_stride, z);
      }
    });
  }

  // Finishes units of one row: `before` and `after` are its states, and `at` its place in (T, B).
  JAXRNN_INLINE void finish(const T* before, T* after, T* c, std::ptrdiff_t at, std::ptrdiff_t unit,
                            const T* u, const T* z) {
    const std::ptrdiff_t count = hidden - unit;
    const Place place = {at * hidden + unit, at * gates * hidden + unit, hidden, unit, count};
    State<T> state = {load(before + unit), remembers ? load(c + unit) : Vector<T>{}};
    if (f.previous) store(f.previous + place.units, state.h, count);
    state = CellOf<S>::forward(f, place, u + unit * gates, z, state);
    state.h = rounded<S>(state.h);
    if (remembers) state.memory = rounded<S>(state.memory);
    store(after + unit, state.h);
    if (remembers) store(c + unit, state.memory);
    store(f.ys + place.units, state.h, count);
  }

  // Of a masked step the backward pass reads nothing, but no result is left unwritten.
  void write_zeros(const Chunk& chunk) {
    const Units units = share();
    const std::ptrdiff_t width = units.last - units.first;
    if (width <= 0) return;
    steps.masked(chunk, [&](std::ptrdiff_t at) {
      const std::ptrdiff_t unit = at * hidden + units.first;
      std::memset(f.ys + unit, 0, width * sizeof(S));
      if (f.previous) std::memset(f.previous + unit, 0, width * sizeof(S));
      if (f.extra) std::memset(f.extra + unit, 0, width * sizeof(T));
      for (int gate = 0; f.gates && gate < gates; gate++)
        std::memset(f.gates + (at * gates + gate) * hidden + units.first, 0, width * sizeof(T));
    });
  }
};

template <class S, template <class> class CellOf>
void forward(const Forward<S>& f, const Part<Wide<S>>& part) {
  ForwardPass<S, CellOf>(f, part).run();
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
