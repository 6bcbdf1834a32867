// Copies states between arrays (B, H) and scratch.
#pragma once

#include "vector.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// Hidden units [first, last).
struct Units {
  std::ptrdiff_t first, last;
};

// Copy units of a row between an array (B, H) and a state, whose rows are padded with zeros.
template <class S>
JAXRNN_INLINE void read_row(Wide<S>* state, const S* from, Units units, std::ptrdiff_t hidden) {
  for (std::ptrdiff_t unit = units.first; unit < units.last; unit += kLanes<Wide<S>>)
    store(state + unit, load(from + unit, hidden - unit));
}

template <class S>
JAXRNN_INLINE void write_row(S* to, const Wide<S>* state, Units units, std::ptrdiff_t hidden) {
  for (std::ptrdiff_t unit = units.first; unit < units.last; unit += kLanes<Wide<S>>)
    store(to + unit, load(state + unit), hidden - unit);
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
