// Packs a matrix in the order in which the products read it.
//
// Units are grouped into vectors. A few vectors with all their columns form a panel (depth,
// vectors, columns per unit, lanes). In the forward pass a hidden unit has one column per gate, and
// the depth is I or H. In the backward pass the matrix is transposed, and a unit has one column, of
// depth G*H.
#pragma once

#include "product.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// Unit vectors in a panel for `rows` rows, so that there are at least `shares` panels if there are
// enough units. Few rows need many columns to keep enough sums in flight. A single row has enough
// of them sooner, and gains more from a panel that stays in the L1 cache.
template <class T>
JAXRNN_INLINE std::ptrdiff_t panel_vectors(int columns, std::ptrdiff_t units, std::ptrdiff_t rows,
                                           std::ptrdiff_t shares = 1) {
  const bool is_few = rows > 1 && rows <= rows_for(kMaxVectors);
  const int most = is_few ? kMaxVectors : kMaxVectors / 2;
  std::ptrdiff_t vectors = most / columns;
  while (vectors > 1 && vectors * kLanes<T> * (shares - 1) >= units) vectors /= 2;
  return vectors;
}

struct Panel {
  std::ptrdiff_t first, vectors;  // the first unit vector, and how many
};

// Panel `i` of [first, last), in an order that alternates from step to step: the panels read last
// are still in the cache.
JAXRNN_INLINE std::ptrdiff_t to_and_fro(std::ptrdiff_t i, std::ptrdiff_t first, std::ptrdiff_t last,
                                        std::ptrdiff_t step) {
  return step % 2 ? last - 1 - i : first + i;
}

template <class T>
JAXRNN_INLINE std::ptrdiff_t unit_vectors(const Packing& p) {
  return padded<T>(p.units) / kLanes<T>;
}

template <class T>
std::ptrdiff_t panels(const Packing& p) {
  return (unit_vectors<T>(p) + p.vectors - 1) / p.vectors;
}

template <class T>
std::ptrdiff_t packed_size(const Packing& p) {
  std::ptrdiff_t size = padded<T>(p.units);
  if (__builtin_mul_overflow(size, p.columns, &size) ||
      __builtin_mul_overflow(size, p.depth, &size))
    return -1;
  return size;
}

template <class T>
JAXRNN_INLINE Panel panel_at(const Packing& p, std::ptrdiff_t number) {
  const std::ptrdiff_t first = number * p.vectors, left = unit_vectors<T>(p) - first;
  return {first, left < p.vectors ? left : p.vectors};
}

// Packs one panel of a matrix (depth, columns, units).
template <class S>
void pack(const Packing& p, const S* matrix, Wide<S>* packed, std::ptrdiff_t number) {
  constexpr std::ptrdiff_t lanes = kLanes<Wide<S>>;
  const Panel panel = panel_at<Wide<S>>(p, number);
  Wide<S>* to = packed + panel.first * lanes * p.columns * p.depth;
  for (std::ptrdiff_t k = 0; k < p.depth; k++)
    for (std::ptrdiff_t v = panel.first; v < panel.first + panel.vectors; v++)
      for (int column = 0; column < p.columns; column++, to += lanes)
        store(to, load(matrix + (k * p.columns + column) * p.units + v * lanes,
                       p.units - v * lanes));
}

// Packs one panel of a matrix (units, depth), with one column per unit.
template <class S>
void pack_transposed(const Packing& p, const S* matrix, Wide<S>* packed, std::ptrdiff_t number) {
  using T = Wide<S>;
  const Panel panel = panel_at<T>(p, number);
  const std::ptrdiff_t first = panel.first * kLanes<T>, width = panel.vectors * kLanes<T>;
  T* to = packed + first * p.depth;
  T line[kLanes<T>];
  for (std::ptrdiff_t start = 0; start < p.depth; start += kLanes<T>) {
    const std::ptrdiff_t left = p.depth - start, count = left < kLanes<T> ? left : kLanes<T>;
    for (std::ptrdiff_t unit = 0; unit < width; unit++) {
      const bool is_real = first + unit < p.units;
      store(line, is_real ? load(matrix + (first + unit) * p.depth + start, left) : Vector<T>{});
      for (std::ptrdiff_t k = 0; k < count; k++) to[(start + k) * width + unit] = line[k];
    }
  }
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
