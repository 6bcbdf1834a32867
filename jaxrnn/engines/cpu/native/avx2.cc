// The AVX2 kernels: compiled with -mavx2 -mfma on x86-64, null elsewhere.
#define JAXRNN_INSTRUCTION_SET avx2
#define JAXRNN_BYTES 32
#define JAXRNN_REGISTERS 16
#if defined(__AVX2__) && defined(__FMA__)
#include "instruction_set.h"

const jaxrnn::InstructionSet* const jaxrnn::kAvx2 = &jaxrnn::avx2::instruction_set;
#else
#include "kernels.h"

const jaxrnn::InstructionSet* const jaxrnn::kAvx2 = nullptr;
#endif
