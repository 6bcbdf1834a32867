// The steps of a part of the batch: which of its rows are real at each, and their chunks.
#pragma once

#include "vector.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// Steps [first, last), by their numbers in the order in which they run.
struct Chunk {
  std::ptrdiff_t first = 0, last = 0, number = -1;
  std::ptrdiff_t rows = 0;   // real rows of these steps, all together
  std::ptrdiff_t turns = 0;  // steps with a real row that have run after this chunk
};

// Steps without a real row are left out, and cost no more than a look at the mask.
class Steps {
 public:
  // `real` is scratch for `rows` numbers.
  Steps(const Sizes& sizes, const bool* mask, const std::ptrdiff_t* order, std::ptrdiff_t rows,
        bool from_end, std::ptrdiff_t* real)
      : sizes_(sizes), mask_(mask), order_(order), rows_(rows), from_end_(from_end), real_(real) {
    find_all();
  }

  // The time of a step.
  std::ptrdiff_t time(std::ptrdiff_t number) const {
    return from_end_ ? sizes_.steps - 1 - number : number;
  }
  // The earliest time in a chunk.
  std::ptrdiff_t start(const Chunk& chunk) const {
    return time(from_end_ ? chunk.last - 1 : chunk.first);
  }
  bool from_end() const { return from_end_; }

  // The rows of the part that `find` or `seek` has found, and how many.
  std::ptrdiff_t operator[](std::ptrdiff_t i) const { return real_[i]; }
  std::ptrdiff_t count() const { return count_; }

  // Finds the real rows at time `t`; without a mask these are all, and are never searched.
  std::ptrdiff_t find(std::ptrdiff_t t) {
    if (!mask_) return count_;
    const bool* here = mask_ + t * sizes_.batch;
    count_ = 0;
    for (std::ptrdiff_t row = 0; row < rows_; row++) {
      real_[count_] = row;
      count_ += here[order_[row]];
    }
    return count_;
  }
  void find_all() {
    for (count_ = 0; count_ < rows_; count_++) real_[count_] = count_;
  }

  // The first step from `number` on that has a real row, or the number of steps.
  std::ptrdiff_t seek(std::ptrdiff_t number) {
    while (number < sizes_.steps && !find(time(number))) number++;
    return number;
  }

  // Calls `body(at)` for each masked row of a chunk, with its place in (T, B).
  template <class Body>
  JAXRNN_INLINE void masked(const Chunk& chunk, Body body) const {
    const std::ptrdiff_t begin = start(chunk) * sizes_.batch;
    const std::ptrdiff_t end = begin + (chunk.last - chunk.first) * sizes_.batch;
    for (std::ptrdiff_t here = begin; here < end; here += sizes_.batch)
      for (std::ptrdiff_t row = 0; row < rows_; row++)
        if (!mask_[here + order_[row]]) body(here + order_[row]);
  }

  // The chunk after `chunk`, with at most `most` times as many real rows as the largest part has.
  // So each chunk of a team takes about as long as any other.
  Chunk after(const Chunk& chunk, std::ptrdiff_t most) {
    Chunk next = {chunk.last, chunk.last, chunk.number + 1, 0, chunk.turns};
    for (; next.last < sizes_.steps; next.last++) {
      if (!mask_ && next.last - next.first == most) break;
      const std::ptrdiff_t count = find(time(next.last));
      if (next.rows + count > most * sizes_.rows) break;
      next.rows += count;
      next.turns += count > 0;
    }
    return next;
  }

 private:
  const Sizes& sizes_;
  const bool* const mask_;
  const std::ptrdiff_t* const order_;  // of this part
  const std::ptrdiff_t rows_;
  const bool from_end_;
  std::ptrdiff_t* const real_;
  std::ptrdiff_t count_;
};

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
