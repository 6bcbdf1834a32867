// A linear recurrence, element by element: h = a h + b. It is bound by memory: each number is read
// or written once.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "vector.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// The lanes of `vector` that `from` names: compilers make one permutation of it.
template <class T, class From, std::size_t... Lane>
JAXRNN_INLINE Vector<T> permuted(Vector<T> vector, From from, std::index_sequence<Lane...>) {
  return Vector<T>{vector[from(Lane)]...};
}

template <class T, class From>
JAXRNN_INLINE Vector<T> permuted(Vector<T> vector, From from) {
  return permuted<T>(vector, from, std::make_index_sequence<kLanes<T>>{});
}

// a h + b. Complex numbers are pairs of lanes.
template <bool kComplex, class T>
JAXRNN_INLINE Vector<T> advanced(Vector<T> a, Vector<T> h, Vector<T> b) {
  if constexpr (!kComplex) return a * h + b;
  const Vector<T> real = permuted<T>(a, [](std::size_t lane) { return lane & ~std::size_t{1}; });
  const Vector<T> imaginary = permuted<T>(a, [](std::size_t lane) { return lane | 1; });
  const Vector<T> crossed = imaginary * permuted<T>(h, [](std::size_t lane) { return lane ^ 1; });
  Vector<T> signs = all<T>(1);
  for (std::ptrdiff_t lane = 0; lane < kLanes<T>; lane += 2) signs[lane] = -1;
  return real * h + (signs * crossed + b);
}

// Whether states go past the caches: they don't fit there, and rows begin where vectors do.
template <class T>
bool streams(const Linear<T>& call) {
  constexpr std::ptrdiff_t kLarge = 8 << 20;
  return call.steps * call.width * std::ptrdiff_t(sizeof(T)) >= kLarge &&
         call.width % kLanes<T> == 0 && reinterpret_cast<std::uintptr_t>(call.hs) % JAXRNN_BYTES == 0;
}

// Steps [begin, end) of `kVectors` vectors of columns from `first`, whose state stays in registers.
// Only the first `count` lanes of the last vector are columns.
template <bool kComplex, bool kStreams, int kVectors, class T>
JAXRNN_INLINE void run_steps(const Linear<T>& call, std::ptrdiff_t first, std::ptrdiff_t count,
                             std::ptrdiff_t begin, std::ptrdiff_t end) {
  const std::ptrdiff_t stride = call.reverse ? -call.width : call.width;
  const std::ptrdiff_t start = call.reverse ? (call.steps - 1) * call.width : 0;
  std::ptrdiff_t at = start + begin * stride + first;
  const auto lanes = [&](int i) { return i + 1 == kVectors ? count : kLanes<T>; };
  const auto put = [&](int i, Vector<T> value) {
    T* to = call.hs + at + i * kLanes<T>;
    kStreams ? stream(to, value) : store(to, value, lanes(i));
  };
  const T* before = begin ? call.hs + at - stride : call.h0 + first;
  Vector<T> state[kVectors];
  for (int i = 0; i < kVectors; i++) state[i] = load(before + i * kLanes<T>, lanes(i));
  // Lagged, a belongs to the step before, and the first step has none.
  if (call.lagged && begin == 0) {
    for (int i = 0; i < kVectors; i++)
      put(i, state[i] += load(call.b + at + i * kLanes<T>, lanes(i)));
    begin++, at += stride;
  }
  const std::ptrdiff_t lag = call.lagged ? stride : 0;
  for (std::ptrdiff_t step = begin; step < end; step++, at += stride) {
    for (int i = 0; i < kVectors; i++) {
      const T *a = call.a + at - lag + i * kLanes<T>, *b = call.b + at + i * kLanes<T>;
      state[i] = advanced<kComplex, T>(load(a, lanes(i)), state[i], load(b, lanes(i)));
      put(i, state[i]);
    }
  }
}

// Columns [begin, end) of the width. Wide rows are far apart in memory, so a few of them at a time.
template <bool kComplex, bool kStreams, class T>
void run_columns(const Linear<T>& call, std::ptrdiff_t begin, std::ptrdiff_t end) {
  constexpr std::ptrdiff_t kNumbers = 1 << 14;
  const std::ptrdiff_t block = std::max<std::ptrdiff_t>(8, kNumbers / (end - begin));
  for (std::ptrdiff_t step = 0; step < call.steps; step += block) {
    const std::ptrdiff_t last = std::min(step + block, call.steps);
    std::ptrdiff_t first = begin;
    const auto groups = [&](auto size) {
      constexpr std::ptrdiff_t columns = size() * kLanes<T>;
      for (; end - first >= columns; first += columns)
        run_steps<kComplex, kStreams, size()>(call, first, kLanes<T>, step, last);
    };
    groups(std::integral_constant<int, 4>{});
    groups(std::integral_constant<int, 2>{});
    groups(std::integral_constant<int, 1>{});
    if (first < end) run_steps<kComplex, kStreams, 1>(call, first, end - first, step, last);
  }
}

template <bool kComplex, class T>
void run_part(const Linear<T>& call, std::ptrdiff_t begin, std::ptrdiff_t end) {
  if (!streams(call)) return run_columns<kComplex, false>(call, begin, end);
  run_columns<kComplex, true>(call, begin, end);
  finish_streams();
}

template <class T>
void linear(const Linear<T>& call, std::ptrdiff_t begin, std::ptrdiff_t end) {
  if (begin >= end) return;
  call.is_complex ? run_part<true>(call, begin, end) : run_part<false>(call, begin, end);
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
