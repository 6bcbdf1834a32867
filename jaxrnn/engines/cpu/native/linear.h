// A linear recurrence, element by element: h = a h + b. It is bound by memory: each number is read
// or written once.
#pragma once

#include <algorithm>

#include "vector.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// state = a state + b for `count` numbers, which are real; without `a` it is 1.
template <class T>
JAXRNN_INLINE void advance_real(const T* a, const T* b, T* state, T* to, std::ptrdiff_t count) {
  for (std::ptrdiff_t i = 0; i < count; i += kLanes<T>) {
    const std::ptrdiff_t rest = count - i;
    const Vector<T> before = load(state + i, rest), added = load(b + i, rest);
    const Vector<T> after = a ? load(a + i, rest) * before + added : before + added;
    store(state + i, after, rest);
    store(to + i, after, rest);
  }
}

// The same for pairs of numbers, which are complex.
template <class T>
JAXRNN_INLINE void advance_complex(const T* a, const T* b, T* state, T* to, std::ptrdiff_t count) {
  for (std::ptrdiff_t i = 0; i < count; i += 2) {
    const T re = state[i], im = state[i + 1];
    const T a_re = a ? a[i] : T(1), a_im = a ? a[i + 1] : T(0);
    state[i] = to[i] = a_re * re - a_im * im + b[i];
    state[i + 1] = to[i + 1] = a_re * im + a_im * re + b[i + 1];
  }
}

// Columns [begin, end) of the width. A tile of the state stays in the first cache for all steps.
template <class T>
void linear(const Linear<T>& call, std::ptrdiff_t begin, std::ptrdiff_t end) {
  constexpr std::ptrdiff_t kTile = 8192 / sizeof(T);
  T state[kTile];
  for (std::ptrdiff_t first = begin; first < end; first += kTile) {
    const std::ptrdiff_t count = std::min(kTile, end - first);
    std::copy(call.h0 + first, call.h0 + first + count, state);
    const std::ptrdiff_t stride = call.reverse ? -call.width : call.width;
    std::ptrdiff_t at = (call.reverse ? (call.steps - 1) * call.width : 0) + first;
    for (std::ptrdiff_t step = 0; step < call.steps; step++, at += stride) {
      // Lagged, a belongs to the step before, and the first step has none.
      const T* a = call.lagged ? (step ? call.a + at - stride : nullptr) : call.a + at;
      if (call.is_complex)
        advance_complex(a, call.b + at, state, call.hs + at, count);
      else
        advance_real(a, call.b + at, state, call.hs + at, count);
    }
  }
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
