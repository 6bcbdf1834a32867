// The baseline kernels: vectors of 16 bytes, which every x86-64 and AArch64 processor has.
#define JAXRNN_INSTRUCTION_SET plain
#define JAXRNN_BYTES 16
#ifdef __aarch64__
#define JAXRNN_REGISTERS 32
#else
#define JAXRNN_REGISTERS 16
#endif
#include "instruction_set.h"

const jaxrnn::InstructionSet* const jaxrnn::kPlain = &jaxrnn::plain::instruction_set;
