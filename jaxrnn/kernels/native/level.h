// The kernels of one instruction set. The file that includes this defines JAXRNN_LEVEL, its
// namespace, JAXRNN_BYTES in a vector, and JAXRNN_REGISTERS, the number of vector registers.
#pragma once

#include "backward.h"

namespace jaxrnn::JAXRNN_LEVEL {

template <class T>
constexpr Kernels<T> kernels() {
  return {kLanes<T>,
          panels<T>,
          pack_forward<T>,
          pack_backward<T>,
          scratch<T>,
          {forward<T, Lstm>, forward<T, Gru>, forward<T, ElmanTanh>, forward<T, ElmanRelu>},
          {backward<T, Lstm>, backward<T, Gru>, backward<T, ElmanTanh>, backward<T, ElmanRelu>}};
}

constexpr Level level = {kernels<float>(), kernels<double>()};

}  // namespace jaxrnn::JAXRNN_LEVEL
