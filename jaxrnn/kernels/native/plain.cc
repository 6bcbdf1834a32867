// Vectors of 16 bytes, which every x86-64 and AArch64 processor has.
#define JAXRNN_LEVEL plain
#define JAXRNN_BYTES 16
#ifdef __aarch64__
#define JAXRNN_REGISTERS 32
#else
#define JAXRNN_REGISTERS 16
#endif
#include "level.h"

const jaxrnn::Level* const jaxrnn::kPlain = &jaxrnn::plain::level;
