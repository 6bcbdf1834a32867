// A loop whose turns are shared between the caller and XLA's own threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

#include "xla/ffi/api/ffi.h"

namespace jaxrnn {

// The processor that this thread is on; negative where that cannot be asked.
inline int processor() {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

// Moves this thread off a processor, if it is there and may be elsewhere. Linux often wakes a thread
// on the processor of the one that wakes it, where it waits for milliseconds while another idles.
inline void leave(int taken) {
#ifdef __linux__
  cpu_set_t allowed, others;
  if (taken < 0 || taken >= CPU_SETSIZE || sched_getcpu() != taken) return;
  if (sched_getaffinity(0, sizeof allowed, &allowed)) return;
  others = allowed;
  CPU_CLR(taken, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others)) return;
  sched_setaffinity(0, sizeof allowed, &allowed);
#endif
}

// In which order a thread looks for turns.
enum class Order {
  kFirstOnesFirst,
  kByProcessor,  // from a place of its processor on: what it wrote in the last call is in its cache
};

// Calls `body(0)` to `body(turns - 1)`, each once, and returns when all are done.
//
// The caller takes part, and waits only for turns that another thread has begun. So it cannot wait
// forever where all threads of the pool are themselves in here.
template <class Body>
void parallel(xla::ffi::ThreadPool& pool, std::int64_t turns, Order order, const Body& body) {
  if (turns == 1) return body(0);
  struct Progress {
    explicit Progress(std::int64_t turns) : begun(new std::atomic<bool>[turns]()) {}
    std::unique_ptr<std::atomic<bool>[]> begun;
    std::atomic<std::int64_t> done{0};
  };
  const auto progress = std::make_shared<Progress>(turns);
  const std::int64_t threads = std::max<std::int64_t>(pool.num_threads(), 1);
  // A thread that comes late finds no turn left, and does not touch `body`, which may be gone.
  const auto work = [progress, turns, order, threads, &body] {
    const std::int64_t place = order == Order::kByProcessor ? std::max(processor(), 0) % threads : 0;
    for (std::int64_t i = 0; i < turns; i++) {
      const std::int64_t turn = (turns * place / threads + i) % turns;
      if (progress->begun[turn].exchange(true, std::memory_order_relaxed)) continue;
      body(turn);
      progress->done.fetch_add(1, std::memory_order_release);
    }
  };
  const std::int64_t helpers = std::min(turns, threads) - 1;
  for (std::int64_t helper = 0; helper < helpers; helper++)
    pool.Schedule([work, caller = processor()] {
      leave(caller);
      work();
    });
  if (helpers > 0) std::this_thread::yield();  // to a helper that waits for this processor
  work();
  while (progress->done.load(std::memory_order_acquire) < turns) std::this_thread::yield();
}

}  // namespace jaxrnn
