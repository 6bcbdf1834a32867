// Deals the rows of a batch to the parts of a call, so that each part has about the same number of
// real steps.
#pragma once

#include <algorithm>
#include <numeric>

#include "allocation.h"
#include "kernels.h"

namespace jaxrnn {

// Rows [begin, end) of part `number`.
struct Range {
  std::ptrdiff_t begin, end;

  Range(const Sizes& sizes, std::ptrdiff_t number) {
    const std::ptrdiff_t parts = (sizes.batch + sizes.rows - 1) / sizes.rows;
    begin = sizes.batch * number / parts;
    end = sizes.batch * (number + 1) / parts;
  }
};

class Deal {
 public:
  explicit Deal(std::ptrdiff_t batch) : batch_(batch), memory_(allocate<std::ptrdiff_t>(5 * batch)) {}

  explicit operator bool() const { return !!memory_; }

  // Counts the real steps of each row. A mask that excludes nothing becomes null.
  void count(const bool** mask, Sizes* sizes) {
    std::ptrdiff_t* counts = at(kCounts);
    std::fill(counts, counts + batch_, *mask ? 0 : sizes->steps);
    if (!*mask) return;
    for (const bool* step = *mask; step < *mask + sizes->steps * batch_; step += batch_)
      for (std::ptrdiff_t row = 0; row < batch_; row++) counts[row] += step[row];
    sizes->real = std::accumulate(counts, counts + batch_, std::ptrdiff_t{0});
    if (sizes->real == sizes->steps * batch_) *mask = nullptr;
  }

  // Whether all rows have as many real steps, so that any order is as good.
  bool is_even() const {
    const std::ptrdiff_t* counts = at(kCounts);
    return std::all_of(counts, counts + batch_, [&](std::ptrdiff_t x) { return x == counts[0]; });
  }

  // The rows in the order of the parts. With a mask, the longest row comes first, and each goes to
  // the part with the least work of those that have room.
  const std::ptrdiff_t* order(const Sizes& sizes, bool has_mask) {
    std::ptrdiff_t *order = at(kOrder), *longest = at(kLongest), *counts = at(kCounts);
    std::ptrdiff_t *work = at(kWork), *used = at(kUsed);
    std::iota(order, order + batch_, 0);
    if (!has_mask) return order;
    std::iota(longest, longest + batch_, 0);
    std::sort(longest, longest + batch_, [&](std::ptrdiff_t a, std::ptrdiff_t b) {
      return counts[a] != counts[b] ? counts[a] > counts[b] : a < b;
    });
    const std::ptrdiff_t parts = (batch_ + sizes.rows - 1) / sizes.rows;
    std::fill(work, work + parts, 0);
    std::fill(used, used + parts, 0);
    for (std::ptrdiff_t i = 0; i < batch_; i++) {
      std::ptrdiff_t best = -1;
      for (std::ptrdiff_t part = 0; part < parts; part++) {
        const Range rows(sizes, part);
        const bool has_room = used[part] < rows.end - rows.begin;
        if (has_room && (best < 0 || work[part] < work[best])) best = part;
      }
      order[Range(sizes, best).begin + used[best]++] = longest[i];
      work[best] += counts[longest[i]];
    }
    return order;
  }

 private:
  enum Array { kCounts, kOrder, kLongest, kWork, kUsed };

  std::ptrdiff_t* at(Array array) const { return memory_.get() + array * batch_; }

  const std::ptrdiff_t batch_;
  const Memory<std::ptrdiff_t> memory_;
};

}  // namespace jaxrnn
