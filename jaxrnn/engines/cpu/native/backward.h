// The backward pass: the cotangents of a part of the batch, from the last step to the first.
//
// With a mask, each step copies what the product reads for its real rows to contiguous memory, and
// multiplies no others. A row may wait through masked steps, so each row has a `later` step of its
// own.
#pragma once

#include "forward.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

template <class T>
Packing transposed_recurrence(const Sizes& sizes, int gates) {
  const std::ptrdiff_t vectors = panel_vectors<T>(1, sizes.hidden, sizes.rows, sizes.workers);
  return {1, gates * sizes.hidden, sizes.hidden, vectors};
}

// Scratch for the tile of a product, four copies of the state, and the cotangents of the gates.
template <class S>
std::ptrdiff_t backward_scratch(const Sizes& sizes, int gates) {
  using T = Wide<S>;
  return kTile * kLanes<T> + (4 + gates) * sizes.rows * padded<T>(sizes.hidden);
}

// The work of one worker.
template <class S, template <class> class CellOf>
struct BackwardPass {
  using T = Wide<S>;
  static constexpr int gates = gates_of(CellOf<S>::kCell);
  static constexpr bool remembers = has_memory(CellOf<S>::kCell);
  static constexpr bool is_gru = CellOf<S>::kCell == Cell::kGru;

  const Backward<S>& b;
  const std::ptrdiff_t rows, hidden = b.sizes.hidden, stride = padded<T>(hidden);
  const std::ptrdiff_t* const order;  // the batch row of each row
  // Columns of the recurrent product whose cotangents are in `dus`; the rest are in `dvs`.
  const std::ptrdiff_t shared = (is_gru ? gates - 1 : gates) * hidden;
  const Packing packing = transposed_recurrence<T>(b.sizes, gates);
  Worker worker;
  Steps steps;
  // Cotangents, shared in the leader's scratch: of h, without what comes through the recurrent
  // product; of memory; and of the initial carry.
  T *direct, *memory, *initial, *initial_memory;
  T *tile, *gathered;     // in this worker's scratch
  std::ptrdiff_t* later;  // for each row its place in (T, B) at the step done last, or negative

  BackwardPass(const Backward<S>& backward, const Part<T>& part)
      : b(backward),
        rows(part.end - part.begin),
        order(b.order + part.begin),
        worker(part.slots, part.leads),
        steps(b.sizes, b.mask, order, rows, !b.sizes.reverse,
              part.numbers + worker.number() * 2 * b.sizes.rows),
        later(part.numbers + (worker.number() * 2 + 1) * b.sizes.rows) {
    const std::ptrdiff_t size = b.sizes.rows * stride;
    direct = part.scratch + kTile * kLanes<T>;
    memory = direct + size;
    initial = memory + size;
    initial_memory = initial + size;
    tile = part.scratch + worker.number() * backward_scratch<S>(b.sizes, gates);
    gathered = tile + kTile * kLanes<T> + 4 * size;
    for (std::ptrdiff_t row = 0; row < rows; row++) later[row] = -1;
  }

  void run() {
    if (worker.leads()) start();
    Chunk chunk;
    while (worker.next_chunk(chunk.last < b.sizes.steps)) {
      while (chunk.number < worker.chunk()) {
        chunk = steps.after(chunk, chunk_steps(b.sizes));
        if (chunk.number < worker.chunk()) pass(chunk);
      }
      if (b.mask) write_zeros(chunk);
      std::ptrdiff_t number = steps.seek(chunk.first);
      for (; number < chunk.last; number = steps.seek(number + 1)) {
        if (number && !worker.alone() && !b.mask) prefetch_later();
        go_back(number);
        pass(steps.time(number));
        worker.barrier();
      }
    }
    if (!worker.leads()) return;
    steps.find_all();
    const auto nothing = [](auto...) {};
    sweep(0, 0, panels<T>(packing), nothing,
          [&](std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
            store(direct + row * stride + unit, dh);
          });
    for (std::ptrdiff_t row = 0; row < rows; row++) write(row);
  }

  void start() {
    const Units all = {0, hidden};
    std::memset(initial, 0, 2 * b.sizes.rows * stride * sizeof(T));
    for (std::ptrdiff_t row = 0; row < rows; row++) {
      const std::ptrdiff_t from = order[row] * hidden;
      read_row(direct + row * stride, b.dlast_h + from, all, hidden);
      if (remembers) read_row(memory + row * stride, b.dlast_memory + from, all, hidden);
    }
  }

  // Keeps in mind that the real rows at time `t` are done.
  void pass(std::ptrdiff_t t) {
    for (std::ptrdiff_t i = 0; i < steps.count(); i++)
      later[steps[i]] = t * b.sizes.batch + order[steps[i]];
  }
  // Likewise for a chunk that others have done.
  void pass(const Chunk& chunk) {
    for (std::ptrdiff_t number = chunk.first; number < chunk.last; number++) {
      steps.find(steps.time(number));
      pass(steps.time(number));
    }
  }

  // Prefetches what the other workers wrote at the later step.
  void prefetch_later() {
    prefetch<kFirstCache>(b.dus + later[0] * gates * hidden, 0, 1, rows * gates * hidden);
    if (is_gru) prefetch<kFirstCache>(b.dvs + later[0] * hidden, 0, 1, rows * hidden);
  }

  // Copies the cotangents of the gates at the later step of each real row.
  void gather() {
    const std::ptrdiff_t depth = packing.depth;
    for (std::ptrdiff_t i = 0; i < steps.count(); i++) {
      const std::ptrdiff_t from = later[steps[i]];
      T* to = gathered + i * depth;
      if (from < 0) {
        std::memset(to, 0, depth * sizeof(T));
        continue;
      }
      std::memcpy(to, b.dus + from * depth, shared * sizeof(T));
      if (is_gru) std::memcpy(to + shared, b.dvs + from * hidden, hidden * sizeof(T));
    }
  }

  void go_back(std::ptrdiff_t step) {
    const std::ptrdiff_t batch = b.sizes.batch, here = steps.time(step) * batch;
    const std::ptrdiff_t number = panels<T>(packing);
    const S* before = step + 1 < b.sizes.steps ? b.ys + steps.time(step + 1) * batch * hidden : b.h;
    if (b.previous) before = b.previous + here * hidden;
    // Prefetches what `finish` reads for this row and these units.
    const auto prefetch_saved = [&](std::ptrdiff_t row, std::ptrdiff_t unit, std::ptrdiff_t width) {
      const std::ptrdiff_t at = here + order[row], units = at * hidden + unit;
      for (int gate = 0; b.gates && gate < gates; gate++)
        prefetch<kFirstCache>(b.gates + (at * gates + gate) * hidden + unit, 0, 1, width);
      if (!b.gates) prefetch<kFirstCache>(b.ys + units, 0, 1, width);
      prefetch<kFirstCache>(b.dys + units, 0, 1, width);
      if (b.extra) prefetch<kFirstCache>(b.extra + units, 0, 1, width);
      if (is_gru) prefetch<kFirstCache>(before + order[row] * hidden + unit, 0, 1, width);
    };
    sweep(step, worker.begin(number), worker.end(number), prefetch_saved,
          [&](std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
            finish(row, here + order[row], unit, before + order[row] * hidden + unit, dh);
          });
  }

  void write(std::ptrdiff_t row) {
    const Units all = {0, hidden};
    const std::ptrdiff_t to = order[row] * hidden;
    write_row(b.dh + to, direct + row * stride, all, hidden);
    write_row(b.dinitial_h + to, initial + row * stride, all, hidden);
    if (!remembers) return;
    write_row(b.dmemory + to, memory + row * stride, all, hidden);
    write_row(b.dinitial_memory + to, initial_memory + row * stride, all, hidden);
  }

  bool is_reset(std::ptrdiff_t at) const { return b.resets && b.resets[at]; }

  // Calls `body(row, unit, dh)` for the real rows and the units of panels [start, end), where dh is
  // the cotangent of h before the later step; and calls `prepare(row, unit, units)` for each row
  // before the product that gives dh.
  template <class Prepare, class Body>
  JAXRNN_INLINE void sweep(std::ptrdiff_t step, std::ptrdiff_t start, std::ptrdiff_t end,
                           Prepare prepare, Body body) {
    if (b.mask) gather();
    for (std::ptrdiff_t i = 0; i < end - start; i++) {
      const Panel panel = panel_at<T>(packing, to_and_fro(i, start, end, step));
      const std::ptrdiff_t unit = panel.first * kLanes<T>, width = panel.vectors * kLanes<T>;
      tiles(steps.count(), panel.vectors, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
        for (std::ptrdiff_t k = first; k < first + count; k++) prepare(steps[k], unit, width);
        multiply(panel, first, count);
        const T* z = tile;
        for (std::ptrdiff_t k = first; k < first + count; k++)
          for (std::ptrdiff_t v = 0; v < panel.vectors; v++, z += kLanes<T>) {
            const std::ptrdiff_t row = steps[k], here = unit + v * kLanes<T>;
            body(row, here, past_reset(row, here, load(z)));
          }
      });
    }
  }

  // Fills the tile with `direct` and the products of one panel.
  JAXRNN_INLINE void multiply(Panel panel, std::ptrdiff_t first, std::ptrdiff_t count) {
    const std::ptrdiff_t depth = packing.depth, width = panel.vectors * kLanes<T>;
    const std::ptrdiff_t unit = panel.first * kLanes<T>;
    const auto run = multiply_of<T>(count, panel.vectors);
    const T *matrix = b.packed + unit * depth, *start = direct + first * stride + unit;
    if (b.mask) {
      T* to = tile;
      for (std::ptrdiff_t i = first; i < first + count; i++)
        for (std::ptrdiff_t v = 0; v < width; v += kLanes<T>, to += kLanes<T>)
          store(to, load(direct + steps[i] * stride + unit + v));
      return run({gathered + first * depth, depth, 1, matrix, depth, tile, width, tile, width});
    }
    const bool is_last = later[0] < 0;  // there is no later step
    const std::ptrdiff_t from = is_last ? 0 : later[0] + first;
    run({b.dus + from * depth, depth, 1, matrix, is_last ? 0 : shared, start, stride, tile, width});
    if (is_gru && !is_last)
      run({b.dvs + from * hidden, hidden, 1, matrix + shared * width, hidden, tile, width, tile,
           width});
  }

  // A reset before the later step sends the cotangent to the initial carry.
  JAXRNN_INLINE Vector<T> past_reset(std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
    if (later[row] < 0 || !is_reset(later[row])) return dh;
    T* to = initial + row * stride + unit;
    store<T>(to, load(to) + dh);
    return Vector<T>{};
  }

  JAXRNN_INLINE void finish(std::ptrdiff_t row, std::ptrdiff_t at, std::ptrdiff_t unit,
                            const S* before, Vector<T> dh) {
    const std::ptrdiff_t count = hidden - unit, here = row * stride + unit;
    const Place place = {at * hidden + unit, at * gates * hidden + unit, hidden, unit, count};
    const Vector<T> dmemory = remembers ? load(memory + here) : Vector<T>{};
    State<T> d = {dh + load(b.dys + place.units, count), dmemory};
    d = CellOf<S>::backward(b, place, load(before, count), d);
    store(direct + here, d.h);
    if (!remembers) return;
    if (is_reset(at)) {
      T* to = initial_memory + here;
      store<T>(to, load(to) + d.memory);
      d.memory = Vector<T>{};
    }
    store(memory + here, d.memory);
  }

  // Writes zeros at the masked steps of a chunk. Arrays of the forward pass have them already.
  void write_zeros(const Chunk& chunk) {
    const bool to_dus = b.dus != b.gates, to_dvs = is_gru && b.dvs != b.extra;
    if (!to_dus && !to_dvs) return;
    const std::ptrdiff_t width = packing.vectors * kLanes<T>, number = panels<T>(packing);
    const std::ptrdiff_t first = worker.begin(number) * width, end = worker.end(number) * width;
    const std::ptrdiff_t size = ((end < hidden ? end : hidden) - first) * sizeof(T);
    if (size <= 0) return;
    steps.masked(chunk, [&](std::ptrdiff_t at) {
      for (int gate = 0; to_dus && gate < gates; gate++)
        std::memset(b.dus + (at * gates + gate) * hidden + first, 0, size);
      if (to_dvs) std::memset(b.dvs + at * hidden + first, 0, size);
    });
  }
};

template <class S, template <class> class CellOf>
void backward(const Backward<S>& b, const Part<Wide<S>>& part) {
  BackwardPass<S, CellOf>(b, part).run();
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
