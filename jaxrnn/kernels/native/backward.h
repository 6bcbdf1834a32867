// The cotangents of a part of the batch, from the last step to the first.
#pragma once

#include "forward.h"

namespace jaxrnn::JAXRNN_LEVEL {

template <class T, template <class> class CellOf>
struct BackwardPass {
  static constexpr int gates = gates_of(CellOf<T>::kCell);
  static constexpr bool remembers = has_memory(CellOf<T>::kCell);

  const Backward<T>& b;
  const std::ptrdiff_t begin, rows;
  const std::ptrdiff_t stride = padded<T>(b.sizes.hidden);
  // Of h, what does not come through the recurrent product; of memory; and of the initial carry.
  T *tile, *direct, *memory, *initial, *initial_memory;
  std::ptrdiff_t later = -1;  // the first row in (T, B) of the step that was done before

  BackwardPass(const Backward<T>& backward, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch)
      : b(backward), begin(begin), rows(end - begin), tile(scratch) {
    direct = tile + kMaxRows * kMaxVectors * kLanes<T>;
    memory = direct + b.sizes.rows * stride;
    initial = memory + b.sizes.rows * stride;
    initial_memory = initial + b.sizes.rows * stride;
    std::memset(initial, 0, 2 * b.sizes.rows * stride * sizeof(T));
  }

  void run() {
    for (std::ptrdiff_t row = 0; row < rows; row++) {
      const std::ptrdiff_t from = (begin + row) * b.sizes.hidden;
      read_row(direct + row * stride, b.dlast_h + from, b.sizes);
      if (remembers) read_row(memory + row * stride, b.dlast_memory + from, b.sizes);
    }
    for (std::ptrdiff_t step = 0; step < b.sizes.steps; step++) {
      const std::ptrdiff_t t = b.sizes.reverse ? step : b.sizes.steps - 1 - step;
      const std::ptrdiff_t at = t * b.sizes.batch + begin;
      sweep([&](std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
        finish(row, at + row, unit, dh);
      });
      later = at;
    }
    sweep([&](std::ptrdiff_t row, std::ptrdiff_t unit, Vector<T> dh) {
      store(direct + row * stride + unit, dh);
    });
    for (std::ptrdiff_t row = 0; row < rows; row++) write(row);
  }

  void write(std::ptrdiff_t row) {
    const std::ptrdiff_t to = (begin + row) * b.sizes.hidden;
    write_row(b.dh + to, direct + row * stride, b.sizes);
    write_row(b.dinitial_h + to, initial + row * stride, b.sizes);
    if (!remembers) return;
    write_row(b.dmemory + to, memory + row * stride, b.sizes);
    write_row(b.dinitial_memory + to, initial_memory + row * stride, b.sizes);
  }

  bool is_real(std::ptrdiff_t at) const { return !b.mask || b.mask[at]; }
  bool is_reset(std::ptrdiff_t at) const { return b.resets && b.resets[at] && is_real(at); }

  // Calls `body(row, unit, the cotangent of h before the later step)`.
  template <class Body>
  JAXRNN_INLINE void sweep(Body body) {
    for (std::ptrdiff_t number = 0; number < panels<T>(1, b.sizes); number++) {
      const Panel panel = panel_at<T>(1, b.sizes, number);
      const std::ptrdiff_t unit = panel.first * kLanes<T>, depth = gates * b.sizes.hidden;
      const T* dv = b.dvs + (later < 0 ? 0 : later * depth);
      tiles(rows, panel.vectors, [&](std::ptrdiff_t first, std::ptrdiff_t count) {
        multiply_of<T>(count, panel.vectors)({dv + first * depth, depth,
                                              b.packed + unit * depth, later < 0 ? 0 : depth,
                                              direct + first * stride + unit, stride, tile});
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
                            Vector<T> dh) {
    const std::ptrdiff_t hidden = b.sizes.hidden, count = hidden - unit;
    const std::ptrdiff_t here = row * stride + unit;
    const Place place = {at * hidden + unit, at * gates * hidden + unit, hidden, unit, count};
    if (!is_real(at)) {
      store(direct + here, dh);
      return blank(place);
    }
    const Vector<T> dmemory = remembers ? load(memory + here) : Vector<T>{};
    State<T> d = {dh + load(b.dys + place.units, count), dmemory};
    d = CellOf<T>::backward(b, place, d);
    store(direct + here, d.h);
    if (!remembers) return;
    if (is_reset(at)) {
      T* to = initial_memory + here;
      store<T>(to, load(to) + d.memory);
      d.memory = Vector<T>{};
    }
    store(memory + here, d.memory);
  }

  JAXRNN_INLINE void blank(const Place& at) {
    for (int gate = 0; gate < gates; gate++) {
      store(b.dus + at.gates + gate * at.hidden, Vector<T>{}, at.count);
      store(b.dvs + at.gates + gate * at.hidden, Vector<T>{}, at.count);
    }
  }
};

template <class T, template <class> class CellOf>
void backward(const Backward<T>& b, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch) {
  BackwardPass<T, CellOf>(b, begin, end, scratch).run();
}

}  // namespace jaxrnn::JAXRNN_LEVEL
