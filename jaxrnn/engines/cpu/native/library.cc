// What Python asks about the library, and the choice of an instruction set.
#include "kernels.h"

namespace jaxrnn {
namespace {

// The version of the exported functions. A change here needs the same change in _library.py.
constexpr int kInterface = 16;

bool usable(int number) {
#ifdef __x86_64__
  if (number == 2)
    return kAvx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  if (number == 1)
    return kAvx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return number == 0;
}

}  // namespace

const InstructionSet* find_instruction_set(std::int64_t number) {
  const InstructionSet* const all[] = {kPlain, kAvx2, kAvx512};
  if (number < 0) {
    number = 2;
    while (!usable(number)) number--;
  }
  return number <= 2 && usable(number) ? all[number] : nullptr;
}

}  // namespace jaxrnn

extern "C" int jaxrnn_interface() { return jaxrnn::kInterface; }

extern "C" bool jaxrnn_has_instruction_set(int number) { return jaxrnn::usable(number); }
