// Divides the batch of a call into parts that run in parallel.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>

#include "call.h"
#include "deal.h"

namespace jaxrnn {

// Divides the rows among the threads. Where that would not be fast, a team of threads has a part and
// divides its units: if there are too few rows, or if the recurrent kernel is larger than a cache
// and a thread has too few rows to repay reading all of it at each step. The shares of a team may
// each stay in a cache.
inline void divide(const Call& call, Sizes* sizes) {
  constexpr double least = 1 << 13;  // products of a worker at each step that repay a barrier
  constexpr double small = 1 << 18;  // numbers in a recurrent kernel that stays in the cache
  constexpr std::ptrdiff_t several = 8;  // rows that repay reading it from there
  constexpr std::ptrdiff_t many = 8;  // rows past which reading a larger one is repaid
  const std::ptrdiff_t threads = call.parts(PTRDIFF_MAX);
  const double numbers = 1.0 * call.gates * sizes->hidden * sizes->hidden;
  const std::ptrdiff_t at_once = sizes->steps ? sizes->real / sizes->steps : 0;  // real rows
  const bool shares = numbers > small && at_once <= threads * many;
  const double each = shares ? std::min(std::ceil(numbers / small), 1.0 * threads) : 1;
  const std::ptrdiff_t teams = threads / static_cast<std::ptrdiff_t>(each);
  std::ptrdiff_t count = std::min(teams, sizes->batch);
  // With smaller parts, a thread that starts late delays the call less.
  while (threads > 1 && numbers <= small && count < 4 * threads &&
         at_once >= 2 * count * several)
    count *= 2;
  sizes->rows = (sizes->batch + count - 1) / count;
  const double useful = sizes->rows * numbers / least;
  sizes->workers = std::max<std::ptrdiff_t>(std::min(1.0 * threads / count, useful), 1);
}

// Calls `run` for each worker of each part, with its own scratch for every part.
template <class T, class Run>
ffi::Error run_parts(const Call& call, const Sizes& sizes, std::ptrdiff_t scratch_size, Run run) {
  const std::ptrdiff_t count = (sizes.batch + sizes.rows - 1) / sizes.rows, most = sizes.workers;
  const std::ptrdiff_t numbers_size = 2 * sizes.rows;
  const auto scratch = allocate<T>(scratch_size * count * most);
  const auto numbers = allocate<std::ptrdiff_t>(numbers_size * count * most);
  const std::unique_ptr<Slot[]> slots(new (std::nothrow) Slot[count * most]());
  if (!scratch || !numbers || !slots) return out_of_memory();
  // A worker joins a team after its leader has started.
  const Order order = most > 1 ? Order::kInOrder : Order::kByProcessor;
  parallel(call.pool, count * most, order, [&](std::int64_t task) {
    const std::ptrdiff_t part = task % count, first = part * most;
    const Range rows(sizes, part);
    run(Part<T>{rows.begin, rows.end, scratch.get() + first * scratch_size,
                numbers.get() + first * numbers_size, &slots[first], task < count});
  });
  return ffi::Error::Success();
}

}  // namespace jaxrnn
