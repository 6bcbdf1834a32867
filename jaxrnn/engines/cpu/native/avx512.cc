// The AVX-512 kernels: compiled with -mavx512f and its extensions on x86-64, null elsewhere.
#define JAXRNN_INSTRUCTION_SET avx512
#define JAXRNN_BYTES 64
#define JAXRNN_REGISTERS 32
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "instruction_set.h"

const jaxrnn::InstructionSet* const jaxrnn::kAvx512 = &jaxrnn::avx512::instruction_set;
#else
#include "kernels.h"

const jaxrnn::InstructionSet* const jaxrnn::kAvx512 = nullptr;
#endif
