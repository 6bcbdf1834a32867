// Memory for a call: scratch, and huge pages for large results.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace jaxrnn {

template <class T>
struct Free {
  void operator()(T* memory) const { std::free(memory); }
};

template <class T>
using Memory = std::unique_ptr<T[], Free<T>>;

// Aligned to cache lines; null if `count` is negative or memory runs out.
template <class T>
Memory<T> allocate(std::ptrdiff_t count) {
  std::size_t bytes;
  void* memory = nullptr;
  if (count < 0 || __builtin_mul_overflow(static_cast<std::size_t>(count), sizeof(T), &bytes) ||
      posix_memalign(&memory, 64, std::max<std::size_t>(bytes, 64)))
    memory = nullptr;
  return Memory<T>(static_cast<T*>(memory));
}

// Requests huge pages for a large array before it is written for the first time. With the default
// pages of 4 KiB, a long call has thousands of page faults.
template <class T>
void prepare(T* array, std::ptrdiff_t count) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr std::uintptr_t page = 4 << 10, huge = 2 << 20;
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(array), bytes = count * sizeof(T);
  // Rounded to whole pages, so that neighboring arrays share the huge page at their boundary.
  const std::uintptr_t first = begin / page * page, last = (begin + bytes + page - 1) / page * page;
  if (array && bytes >= huge) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace jaxrnn
