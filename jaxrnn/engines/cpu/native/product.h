// The matrix product of a few rows and a packed panel, with its sums in registers.
#pragma once

#include "vector.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

constexpr int kMaxRows = 8;
constexpr int kMaxVectors = 8;

// The most rows that leave registers for one vector of the panel and one number of each row.
constexpr int rows_for(int vectors) {
  const int rows = (JAXRNN_REGISTERS - 1) / (vectors + 1);
  return rows < 1 ? 1 : rows > kMaxRows ? kMaxRows : rows;
}

template <class T>
struct Product {
  const T* a;  // (rows, depth)
  std::ptrdiff_t a_stride, a_step;  // distance between rows, and along the depth
  const T* panel;  // (depth, vectors, lanes)
  std::ptrdiff_t depth;
  const T* start;  // (rows, vectors, lanes), added to the product; null for zeros
  std::ptrdiff_t start_stride;
  T* out;  // (rows, vectors, lanes)
  std::ptrdiff_t out_stride;
};

template <class T, int M, int N>
void multiply(const Product<T>& p) {
  constexpr std::ptrdiff_t lanes = kLanes<T>;
  Vector<T> sum[M][N];
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 8
    for (int n = 0; n < N; n++)
      sum[m][n] = p.start ? load(p.start + m * p.start_stride + n * lanes) : Vector<T>{};
  const T* panel = p.panel;
  const T* a = p.a;
  const std::ptrdiff_t stride = p.a_stride, step = p.a_step;
  for (std::ptrdiff_t k = p.depth; k > 0; k--, a += step, panel += N * lanes) {
    Vector<T> x[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; m++) x[m] = all<T>(a[m * stride]);
#pragma GCC unroll 8
    for (int n = 0; n < N; n++) {
      const Vector<T> b = load(panel + n * lanes);
#pragma GCC unroll 8
      for (int m = 0; m < M; m++) sum[m][n] += x[m] * b;
    }
  }
  T* out = p.out;
#pragma GCC unroll 8
  for (int m = 0; m < M; m++)
#pragma GCC unroll 8
    for (int n = 0; n < N; n++) store(out + m * p.out_stride + n * lanes, sum[m][n]);
}

template <class T>
using Multiply = void (*)(const Product<T>&);

template <class T, int N, int M = 1>
constexpr Multiply<T> multiply_by_rows(int rows) {
  if constexpr (M == rows_for(N)) {
    return multiply<T, M, N>;
  } else {
    return rows == M ? multiply<T, M, N> : multiply_by_rows<T, N, M + 1>(rows);
  }
}

// The product for `rows` <= rows_for(vectors) and `vectors` <= kMaxVectors.
template <class T, int N = 1>
constexpr Multiply<T> multiply_of(int rows, int vectors) {
  if constexpr (N == kMaxVectors) {
    return multiply_by_rows<T, N>(rows);
  } else {
    return vectors == N ? multiply_by_rows<T, N>(rows) : multiply_of<T, N + 1>(rows, vectors);
  }
}

// Divides the rows into tiles of nearly equal height, and calls `body(first row, rows)` for each.
template <class Body>
JAXRNN_INLINE void tiles(std::ptrdiff_t rows, int vectors, Body body) {
  const std::ptrdiff_t count = (rows + rows_for(vectors) - 1) / rows_for(vectors);
  for (std::ptrdiff_t tile = 0; tile < count; tile++) {
    const std::ptrdiff_t first = rows * tile / count;
    body(first, rows * (tile + 1) / count - first);
  }
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
