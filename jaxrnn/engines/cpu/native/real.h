// The rows of a sequence that no mask excludes, and the shares of several threads.
#pragma once

#include <algorithm>

#include "call.h"

namespace jaxrnn {

// The rows of (T, B) to multiply.
struct Real {
  std::ptrdiff_t count;
  Memory<std::ptrdiff_t> numbers;  // null if these are all rows

  // Returns whether there was enough memory.
  bool find(const bool* mask, std::ptrdiff_t total) {
    count = mask ? std::count(mask, mask + total, true) : total;
    if (count == total) return true;
    numbers = allocate<std::ptrdiff_t>(count);
    if (!numbers) return false;
    std::ptrdiff_t* next = numbers.get();
    for (std::ptrdiff_t row = 0; row < total; row++)
      if (mask[row]) *next++ = row;
    return true;
  }
};

// One share of `size` rows or panels, divided into equal shares.
struct Share {
  std::ptrdiff_t begin, end;

  Share(std::ptrdiff_t size, std::ptrdiff_t part, std::ptrdiff_t parts) {
    const std::ptrdiff_t each = (size + parts - 1) / parts;
    begin = std::min(part * each, size);
    end = std::min(begin + each, size);
  }
};

}  // namespace jaxrnn
