// Compiled with -mavx512f and what comes with it where the compiler knows them.
#define JAXRNN_LEVEL avx512
#define JAXRNN_BYTES 64
#define JAXRNN_REGISTERS 32
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "level.h"

const jaxrnn::Level* const jaxrnn::kAvx512 = &jaxrnn::avx512::level;
#else
#include "kernels.h"

const jaxrnn::Level* const jaxrnn::kAvx512 = nullptr;
#endif
