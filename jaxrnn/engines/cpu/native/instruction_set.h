// The kernels of one instruction set. The including file defines JAXRNN_INSTRUCTION_SET (the
// namespace), JAXRNN_BYTES (the size of a vector), and JAXRNN_REGISTERS (the number of vector
// registers).
#pragma once

#include "backward.h"
#include "gradients.h"
#include "linear.h"
#include "program.h"
#include "single.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

template <class S>
constexpr Kernels<S> kernels() {
  using T = Wide<S>;
  return {projection<T>,
          recurrence<T>,
          transposed_projection<T>,
          transposed_recurrence<T>,
          packed_size<T>,
          panels<T>,
          pack<S>,
          pack_transposed<S>,
          forward_scratch<S>,
          {forward<S, Lstm>, forward<S, Gru>, forward<S, ElmanTanh>, forward<S, ElmanRelu>},
          {single<S, Lstm>, single<S, Gru>, single<S, ElmanTanh>, single<S, ElmanRelu>},
          backward_scratch<S>,
          {backward<S, Lstm>, backward<S, Gru>, backward<S, ElmanTanh>, backward<S, ElmanRelu>},
          outer_panels<T>,
          outer_scratch<T>,
          outer<S>,
          inputs_scratch<T>,
          inputs<S>,
          linear<T>,
          program_packing<T>,
          run_program<T>};
}

constexpr InstructionSet instruction_set = {kernels<float>(), kernels<double>(),
                                            kernels<Bfloat16>()};

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
