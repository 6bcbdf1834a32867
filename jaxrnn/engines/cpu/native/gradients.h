// Products over all steps at once: the gradients of the kernels and the cotangents of the inputs.
#pragma once

#include "forward.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

constexpr std::ptrdiff_t kInputRows = 48;  // rows for each time that a panel is read

template <class T>
Packing transposed_projection(const Sizes& sizes, int gates) {
  const std::ptrdiff_t vectors = panel_vectors<T>(1, sizes.inputs, kInputRows);
  return {1, gates * sizes.hidden, sizes.inputs, vectors};
}

constexpr int kOuterVectors = kMaxVectors / 2;  // vectors in a panel of columns

template <class T>
constexpr std::ptrdiff_t kOuterWidth = kOuterVectors * kLanes<T>;

template <class T>
std::ptrdiff_t outer_panels(std::ptrdiff_t width) {
  return (width + kOuterWidth<T> - 1) / kOuterWidth<T>;
}

// Rows in a block, chosen so that a block of `a` stays in the L2 cache.
inline std::ptrdiff_t outer_depth(std::ptrdiff_t height) {
  constexpr std::ptrdiff_t numbers = 80 << 10, least = 32, most = 512;
  const std::ptrdiff_t depth = numbers / (height + 1);
  return depth < least ? least : depth > most ? most : depth;
}

// Scratch for blocks of a and b, and for the panels and the sums of their columns.
template <class T>
std::ptrdiff_t outer_scratch(std::ptrdiff_t height, std::ptrdiff_t panels) {
  return outer_depth(height) * (kOuterWidth<T> + padded<T>(height)) +
         panels * kOuterWidth<T> * (height + 1);
}

template <class S>
struct OuterPass {
  using T = Wide<S>;
  static constexpr std::ptrdiff_t width = kOuterWidth<T>;

  const Outer<S>& o;
  const std::ptrdiff_t begin, end;
  const std::ptrdiff_t depth = outer_depth(o.height);
  T *b, *a, *sums, *products;
  bool started = false;

  OuterPass(const Outer<S>& outer, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch)
      : o(outer), begin(begin), end(end), b(scratch) {
    a = b + depth * width;
    sums = a + depth * padded<T>(o.height);
    products = sums + (end - begin) * width;
    std::memset(sums, 0, (end - begin) * width * sizeof(T));
  }

  void run() {
    for (const Rows<S>& rows : o.rows)
      for (std::ptrdiff_t first = 0; first < rows.count; first += depth)
        add(from(rows, first), from(rows, first + depth));
    if (!started) std::memset(products, 0, (end - begin) * o.height * width * sizeof(T));
    for (std::ptrdiff_t panel = begin; panel < end; panel++) write(panel);
  }

  // The block of rows that starts at `first`; empty past the end.
  Rows<S> from(const Rows<S>& rows, std::ptrdiff_t first) const {
    const std::ptrdiff_t left = rows.count - first;
    if (left <= 0) return {};
    const std::ptrdiff_t count = left < depth ? left : depth;
    Rows<S> block = {rows.a, rows.b, count, nullptr};
    if (rows.numbers)
      block.numbers = rows.numbers + first;
    else
      block.a += first * o.height, block.b += first * o.b_stride;
    if (rows.rows_of_a) block.rows_of_a = rows.rows_of_a + first;
    return follow_each_other(block) ? without_lists(block) : block;
  }

  // Whether rows that are listed lie one after the other, as where all sequences end together.
  bool follow_each_other(const Rows<S>& rows) const {
    if (rows.count == 0) return true;
    const std::ptrdiff_t first = number(rows, 0);
    const S* const a = row_of_a(rows, 0);
    for (std::ptrdiff_t k = 1; k < rows.count; k++)
      if (number(rows, k) != first + k || row_of_a(rows, k) != a + k * o.height) return false;
    return true;
  }

  Rows<S> without_lists(const Rows<S>& rows) const {
    return {row_of_a(rows, 0), rows.b + number(rows, 0) * o.b_stride, rows.count, nullptr};
  }

  void add(const Rows<S>& now, const Rows<S>& later) {
    const bool is_apart = now.numbers || now.rows_of_a;
    const T* block = is_apart ? gather(now) : widened(now.a, now.count * o.height, a);
    const std::ptrdiff_t count = end - begin;
    for (std::ptrdiff_t panel = 0; panel < count; panel++) {
      T* product = products + panel * o.height * width;
      copy(now, begin + panel);
      const bool is_last = panel + 1 == count;
      const Rows<S>& next = is_last ? later : now;
      const T* columns = next.b + (is_last ? begin : begin + panel + 1) * width;
      tiles(o.height, kOuterVectors, [&](std::ptrdiff_t row, std::ptrdiff_t height) {
        // Prefetches part of what is read next: the columns of a panel, and the later `a`.
        const std::ptrdiff_t k = next.count * row / o.height;
        const std::ptrdiff_t last = next.count * (row + height) / o.height;
        for (std::ptrdiff_t i = k; i < last; i++)
          prefetch<kSecondCache>(columns + number(next, i) * o.b_stride, 0, 1, width);
        const std::ptrdiff_t done = panel * o.height + row, all = count * o.height;
        const std::ptrdiff_t stop = later.count * (done + height) / all;
        for (std::ptrdiff_t i = later.count * done / all; i < stop; i++)
          prefetch<kSecondCache>(row_of_a(later, i), 0, 1, o.height);
        T* out = product + row * width;
        multiply_of<T>(height, kOuterVectors)({block + row, 1, o.height, b, now.count,
                                               started ? out : nullptr, width, out, width});
      });
    }
    started = true;
  }

  static std::ptrdiff_t number(const Rows<S>& rows, std::ptrdiff_t k) {
    return rows.numbers ? rows.numbers[k] : k;
  }

  const S* row_of_a(const Rows<S>& rows, std::ptrdiff_t k) const {
    return rows.rows_of_a ? rows.rows_of_a[k] : rows.a + number(rows, k) * o.height;
  }

  // Copies these rows of `a` to contiguous memory.
  const T* gather(const Rows<S>& rows) {
    for (std::ptrdiff_t k = 0; k < rows.count; k++) {
      const S* from = row_of_a(rows, k);
      for (std::ptrdiff_t i = 0; i < o.height; i += kLanes<T>)
        store(a + k * o.height + i, load(from + i, o.height - i), o.height - i);
    }
    return a;
  }

  // Copies the columns of a panel to contiguous memory and adds up their sums.
  void copy(const Rows<S>& rows, std::ptrdiff_t panel) {
    const std::ptrdiff_t left = o.width - panel * width;
    Vector<T> sum[kOuterVectors] = {};
    T* to = b;
    for (std::ptrdiff_t k = 0; k < rows.count; k++) {
      const T* row = rows.b + panel * width + number(rows, k) * o.b_stride;
      for (int v = 0; v < kOuterVectors; v++, to += kLanes<T>) {
        const std::ptrdiff_t real = left - v * kLanes<T>;
        const Vector<T> value = real > 0 ? load(row + v * kLanes<T>, real) : Vector<T>{};
        store(to, value);
        sum[v] += value;
      }
    }
    T* total = sums + (panel - begin) * width;
    for (int v = 0; v < kOuterVectors; v++, total += kLanes<T>)
      store<T>(total, load(total) + sum[v]);
  }

  void write(std::ptrdiff_t panel) {
    const T* product = products + (panel - begin) * o.height * width;
    for (std::ptrdiff_t row = 0; row < o.height; row++)
      write_columns(o.out + row * o.out_stride, product + row * width, panel);
    if (o.sums) write_columns(o.sums, sums + (panel - begin) * width, panel);
  }

  void write_columns(S* row, const T* from, std::ptrdiff_t panel) {
    const std::ptrdiff_t first = panel * width, left = o.width - first;
    for (std::ptrdiff_t i = 0; i < width && i < left; i += kLanes<T>)
      store(row + first + i, load(from + i), left - i);
  }
};

template <class S>
void outer(const Outer<S>& o, std::ptrdiff_t begin, std::ptrdiff_t end, Wide<S>* scratch) {
  OuterPass<S>(o, begin, end, scratch).run();
}

// Scratch for the cotangents of some rows.
template <class T>
std::ptrdiff_t inputs_scratch(std::ptrdiff_t depth) {
  return kInputRows * depth;
}

template <class S>
void inputs(const Inputs<S>& p, std::ptrdiff_t begin, std::ptrdiff_t end, Wide<S>* scratch) {
  using T = Wide<S>;
  const Packing packing = {1, p.depth, p.inputs, panel_vectors<T>(1, p.inputs, kInputRows)};
  Vector<T> memory[kTile];
  T* tile = reinterpret_cast<T*>(memory);
  for (std::ptrdiff_t start = begin; start < end; start += kInputRows) {
    const std::ptrdiff_t rows = end - start < kInputRows ? end - start : kInputRows;
    const std::ptrdiff_t* numbers = p.numbers ? p.numbers + start : nullptr;
    const T* dus = numbers ? scratch : p.dus + start * p.depth;
    for (std::ptrdiff_t row = 0; numbers && row < rows; row++)
      std::memcpy(scratch + row * p.depth, p.dus + numbers[row] * p.depth, p.depth * sizeof(T));
    for (std::ptrdiff_t number = 0; number < panels<T>(packing); number++) {
      const Panel panel = panel_at<T>(packing, number);
      const std::ptrdiff_t first = panel.first * kLanes<T>, width = panel.vectors * kLanes<T>;
      tiles(rows, panel.vectors, [&](std::ptrdiff_t row, std::ptrdiff_t height) {
        multiply_of<T>(height, panel.vectors)({dus + row * p.depth, p.depth, 1,
                                               p.packed + first * p.depth, p.depth,
                                               p.bias ? p.bias + first : nullptr, 0, tile, width});
        for (std::ptrdiff_t m = row; m < row + height; m++) {
          S* to = p.dxs + (numbers ? numbers[m] : start + m) * p.inputs + first;
          for (std::ptrdiff_t i = 0; i < width; i += kLanes<T>)
            store(to + i, load(tile + (m - row) * width + i), p.inputs - first - i);
        }
      });
    }
  }
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
