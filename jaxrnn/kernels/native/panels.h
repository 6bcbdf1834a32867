// The recurrent kernel in the order in which the products read it.
//
// Hidden units are taken a vector at a time, and a few vectors with all their columns make a panel
// (depth, vectors, columns of a unit, lanes). Forward, a unit has a column for each gate and the
// depth is H; backward, the kernel is transposed: a unit has one column, of depth G*H.
#pragma once

#include "kernels.h"
#include "product.h"

namespace jaxrnn::JAXRNN_LEVEL {

// Unit vectors in a panel. Few rows need many columns, to have enough sums under way at a time.
inline std::ptrdiff_t panel_vectors(int columns, std::ptrdiff_t rows) {
  const int most = rows <= rows_for(kMaxVectors) ? kMaxVectors : kMaxVectors / 2;
  return most / columns;
}

struct Panel {
  std::ptrdiff_t first, vectors;  // of the unit vectors
};

template <class T>
JAXRNN_INLINE std::ptrdiff_t unit_vectors(const Sizes& sizes) {
  return padded<T>(sizes.hidden) / kLanes<T>;
}

template <class T>
std::ptrdiff_t panels(int columns, const Sizes& sizes) {
  const std::ptrdiff_t each = panel_vectors(columns, sizes.rows);
  return (unit_vectors<T>(sizes) + each - 1) / each;
}

template <class T>
JAXRNN_INLINE Panel panel_at(int columns, const Sizes& sizes, std::ptrdiff_t number) {
  const std::ptrdiff_t each = panel_vectors(columns, sizes.rows), first = number * each;
  const std::ptrdiff_t left = unit_vectors<T>(sizes) - first;
  return {first, left < each ? left : each};
}

template <class T>
void pack_forward(int gates, const Sizes& sizes, const T* kernel, T* packed,
                  std::ptrdiff_t number) {
  const std::ptrdiff_t hidden = sizes.hidden, lanes = kLanes<T>;
  const Panel panel = panel_at<T>(gates, sizes, number);
  T* to = packed + panel.first * lanes * gates * hidden;
  for (std::ptrdiff_t k = 0; k < hidden; k++)
    for (std::ptrdiff_t v = panel.first; v < panel.first + panel.vectors; v++)
      for (int gate = 0; gate < gates; gate++, to += lanes)
        store(to, load(kernel + (k * gates + gate) * hidden + v * lanes, hidden - v * lanes));
}

template <class T>
void pack_backward(int gates, const Sizes& sizes, const T* kernel, T* packed,
                   std::ptrdiff_t number) {
  const std::ptrdiff_t hidden = sizes.hidden, depth = gates * hidden, lanes = kLanes<T>;
  const Panel panel = panel_at<T>(1, sizes, number);
  const std::ptrdiff_t first = panel.first * lanes, width = panel.vectors * lanes;
  T* to = packed + first * depth;
  constexpr std::ptrdiff_t block = 16;  // columns at a time, so that their cache lines are used up
  for (std::ptrdiff_t start = 0; start < depth; start += block) {
    const std::ptrdiff_t stop = start + block < depth ? start + block : depth;
    for (std::ptrdiff_t lane = 0; lane < width; lane++)
      for (std::ptrdiff_t k = start; k < stop; k++)
        to[k * width + lane] = first + lane < hidden ? kernel[(first + lane) * depth + k] : T(0);
  }
}

}  // namespace jaxrnn::JAXRNN_LEVEL
