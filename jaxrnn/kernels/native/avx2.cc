// Compiled with -mavx2 -mfma where the compiler knows them.
#define JAXRNN_LEVEL avx2
#define JAXRNN_BYTES 32
#define JAXRNN_REGISTERS 16
#if defined(__AVX2__) && defined(__FMA__)
#include "level.h"

const jaxrnn::Level* const jaxrnn::kAvx2 = &jaxrnn::avx2::level;
#else
#include "kernels.h"

const jaxrnn::Level* const jaxrnn::kAvx2 = nullptr;
#endif
