// The backward pass: the cotangents of a part of the batch, from the last step to the first.
#pragma once

#include "forward.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

template <class T>
Packing transposed_recurrence(const Sizes& sizes, int gates) {
  const std::ptrdiff_t vectors = panel_vectors<T>(1, sizes.hidden, sizes.rows, sizes.workers);
  return {1, gates * sizes.hidden, sizes.hidden, vectors};
}

// Scratch for the tile of a product and for four copies of the state.
template <class S>
std::ptrdiff_t backward_scratch(const Sizes& sizes, int) {
  using T = Wide<S>;
  return kTile * kLanes<T> + 4 * sizes.rows * padded<T>(sizes.hidden);
}

// The work of one worker.
template <class S, template <class> class CellOf>
struct BackwardPass {
  using T = Wide<S>;
  static constexpr int gates = gates_of(CellOf<S>::kCell);
  static constexpr bool remembers = has_memory(CellOf<S>::kCell);
  static constexpr bool is_gru = CellOf<S>::kCell == Cell::kGru;

  const Backward<S>& b;
  const std::ptrdiff_t begin, rows, hidden = b.sizes.hidden, stride = padded<T>(hidden);
  // Columns of the recurrent product whose cotangents are in `dus`; the rest are in `dvs`.
  const std::ptrdiff_t shared = (is_gru ? gates - 1 : gates) * hidden;
  const Packing packing = transposed_recurrence<T>(b.sizes, gates);
  Worker worker;
  // Cotangents, shared in the leader's scratch: of h, without what comes through the recurrent
  // product; of memory; and of the initial carry.
  T *direct, *memory, *initial, *initial_memory;
  T* tile;
  std::ptrdiff_t later;  // the first row in (T, B) of the step done last, or negative

  BackwardPass(const Backward<S>& backward, const Part<T>& part)
      : b(backward),
        begin(part.begin),
        rows(part.end - part.begin),
        worker(part.slots, part.leads) {
    const std::ptrdiff_t size = b.sizes.rows * stride;
    direct = part.scratch + kTile * kLanes<T>;
    memory = direct + size;
    initial = memory + size;
    initial_memory = initial + size;
    tile = part.scratch + worker.number() * backward_scratch<S>(b.sizes, gates);
  }

  void run() {
    if (worker.leads()) start();
    const std::ptrdiff_t steps = b.sizes.steps, most = chunk_steps(b.sizes);
    while (worker.next_chunk(steps ? (steps + most - 1) / most : 0)) {
      const std::ptrdiff_t done = worker.chunk() * most, left = steps - done;
      const std::ptrdiff_t last = done + (left < most ? left : most);
      for (std::ptrdiff_t step = done; step < last; step++) {
        later = step ? at(step - 1) : -1;
        if (step && !worker.alone()) prefetch_later();
        go_back(step);
        worker.barrier();
      }
    }
    if (!worker.leads()) return;
    later = steps ? at(steps - 1) : -1;
    const auto nothing = [](auto...) {};
    sweep(steps, 0, panels<T>(packing), nothing,
          [&](std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
            store(direct + row * stride + unit, dh);
          });
    for (std::ptrdiff_t row = 0; row < rows; row++) write(row);
  }

  void start() {
    const Units all = {0, hidden};
    std::memset(initial, 0, 2 * b.sizes.rows * stride * sizeof(T));
    for (std::ptrdiff_t row = 0; row < rows; row++) {
      const std::ptrdiff_t from = (begin + row) * hidden;
      read_row(direct + row * stride, b.dlast_h + from, all, hidden);
      if (remembers) read_row(memory + row * stride, b.dlast_memory + from, all, hidden);
    }
  }

  // The first row of a step in (T, B); step 0 is the last in time.
  std::ptrdiff_t at(std::ptrdiff_t step) const {
    return (b.sizes.reverse ? step : b.sizes.steps - 1 - step) * b.sizes.batch + begin;
  }

  // Prefetches what the other workers wrote at the later step.
  void prefetch_later() {
    prefetch<kFirstCache>(b.dus + later * gates * hidden, 0, 1, rows * gates * hidden);
    if (is_gru) prefetch<kFirstCache>(b.dvs + later * hidden, 0, 1, rows * hidden);
  }

  void go_back(std::ptrdiff_t step) {
    const std::ptrdiff_t here = at(step), number = panels<T>(packing);
    const S* before =
        step + 1 < b.sizes.steps ? b.ys + at(step + 1) * hidden : b.h + begin * hidden;
    if (b.previous) before = b.previous + here * hidden;
    // Prefetches what `finish` reads for these rows and units.
    const auto prefetch_saved = [&](std::ptrdiff_t row, std::ptrdiff_t count, std::ptrdiff_t unit,
                                 std::ptrdiff_t width) {
      const std::ptrdiff_t units = (here + row) * hidden + unit;
      for (int gate = 0; b.gates && gate < gates; gate++)
        prefetch<kFirstCache>(b.gates + ((here + row) * gates + gate) * hidden + unit,
                              gates * hidden, count, width);
      if (!b.gates) prefetch<kFirstCache>(b.ys + units, hidden, count, width);
      prefetch<kFirstCache>(b.dys + units, hidden, count, width);
      if (b.extra) prefetch<kFirstCache>(b.extra + units, hidden, count, width);
      if (is_gru) prefetch<kFirstCache>(before + row * hidden + unit, hidden, count, width);
    };
    sweep(step, worker.begin(number), worker.end(number), prefetch_saved,
          [&](std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
            finish(row, here + row, unit, before, dh);
          });
  }

  void write(std::ptrdiff_t row) {
    const Units all = {0, hidden};
    const std::ptrdiff_t to = (begin + row) * hidden;
    write_row(b.dh + to, direct + row * stride, all, hidden);
    write_row(b.dinitial_h + to, initial + row * stride, all, hidden);
    if (!remembers) return;
    write_row(b.dmemory + to, memory + row * stride, all, hidden);
    write_row(b.dinitial_memory + to, initial_memory + row * stride, all, hidden);
  }

  bool is_real(std::ptrdiff_t at) const { return !b.mask || b.mask[at]; }
  bool is_reset(std::ptrdiff_t at) const { return b.resets && b.resets[at] && is_real(at); }

  // Calls `body(row, unit, dh)` for the units of panels [start, end), where dh is the cotangent of
  // h before the later step; and calls `prepare(row, rows, unit, units)` before each product that
  // gives dh.
  template <class Prepare, class Body>
  JAXRNN_INLINE void sweep(std::ptrdiff_t step, std::ptrdiff_t start, std::ptrdiff_t end,
                           Prepare prepare, Body body) {
    const std::ptrdiff_t depth = packing.depth, from = later < 0 ? 0 : later;
    for (std::ptrdiff_t i = 0; i < end - start; i++) {
      const Panel panel = panel_at<T>(packing, to_and_fro(i, start, end, step));
      const std::ptrdiff_t unit = panel.first * kLanes<T>, width = panel.vectors * kLanes<T>;
      const T* matrix = b.packed + unit * depth;
      tiles(rows, panel.vectors, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
        const auto multiply = multiply_of<T>(count, panel.vectors);
        prepare(first, count, unit, width);
        multiply({b.dus + (from + first) * depth, depth, 1, matrix, later < 0 ? 0 : shared,
                  direct + first * stride + unit, stride, tile, width});
        if (is_gru && later >= 0)
          multiply({b.dvs + (from + first) * hidden, hidden, 1, matrix + shared * width, hidden,
                    tile, width, tile, width});
        const T* z = tile;
        for (std::ptrdiff_t row = first; row < first + count; row++)
          for (std::ptrdiff_t v = 0; v < panel.vectors; v++, z += kLanes<T>) {
            const std::ptrdiff_t here = unit + v * kLanes<T>;
            body(row, here, past_reset(row, here, load(z)));
          }
      });
    }
  }

  // A reset before the later step sends the cotangent to the initial carry.
  JAXRNN_INLINE Vector<T> past_reset(std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
    if (later < 0 || !is_reset(later + row)) return dh;
    T* to = initial + row * stride + unit;
    store<T>(to, load(to) + dh);
    return Vector<T>{};
  }

  JAXRNN_INLINE void finish(std::ptrdiff_t row, std::ptrdiff_t at, std::ptrdiff_t unit,
                            const S* before, Vector<T> dh) {
    const std::ptrdiff_t count = hidden - unit, here = row * stride + unit;
    const Place place = {at * hidden + unit, at * gates * hidden + unit, hidden, unit, count};
    if (!is_real(at)) {
      store(direct + here, dh);
      return write_zeros(place);
    }
    const Vector<T> dmemory = remembers ? load(memory + here) : Vector<T>{};
    State<T> d = {dh + load(b.dys + place.units, count), dmemory};
    d = CellOf<S>::backward(b, place, load(before + row * hidden + unit, count), d);
    store(direct + here, d.h);
    if (!remembers) return;
    if (is_reset(at)) {
      T* to = initial_memory + here;
      store<T>(to, load(to) + d.memory);
      d.memory = Vector<T>{};
    }
    store(memory + here, d.memory);
  }

  JAXRNN_INLINE void write_zeros(const Place& at) {
    for (int gate = 0; gate < gates; gate++)
      store(b.dus + at.gates + gate * at.hidden, Vector<T>{}, at.count);
    if (is_gru) store(b.dvs + at.units, Vector<T>{}, at.count);
  }
};

template <class S, template <class> class CellOf>
void backward(const Backward<S>& b, const Part<Wide<S>>& part) {
  BackwardPass<S, CellOf>(b, part).run();
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
