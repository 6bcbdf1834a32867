// A parallel loop over the calling thread and XLA's thread pool.
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

// The processor that runs this thread; negative if unknown.
inline int processor() {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

// Moves this thread off processor `taken` if it is there and may run on another. Linux often wakes
// a thread on the processor of the thread that woke it, where it waits for milliseconds while
// another processor is idle.
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

// The order in which a thread looks for tasks.
enum class Order {
  kInOrder,
  kByProcessor,  // starts at a task fixed by the processor, whose cache may hold the task's memory
};

// Calls `body(0)` to `body(tasks - 1)`, each once, and returns when all are done.
//
// The caller takes part, and waits only for tasks that another thread has started. So it cannot
// deadlock, even if every thread of the pool is inside this function.
template <class Body>
void parallel(xla::ffi::ThreadPool& pool, std::int64_t tasks, Order order, const Body& body) {
  if (tasks == 1) return body(0);
  struct Progress {
    explicit Progress(std::int64_t tasks) : started(new std::atomic<bool>[tasks]()) {}
    std::unique_ptr<std::atomic<bool>[]> started;
    std::atomic<std::int64_t> done{0};
  };
  const auto progress = std::make_shared<Progress>(tasks);
  const std::int64_t threads = std::max<std::int64_t>(pool.num_threads(), 1);
  // A thread that starts late finds no task left and does not touch `body`, which may be gone.
  const auto work = [progress, tasks, order, threads, &body] {
    const bool by_processor = order == Order::kByProcessor;
    const std::int64_t place = by_processor ? std::max(processor(), 0) % threads : 0;
    for (std::int64_t i = 0; i < tasks; i++) {
      const std::int64_t task = (tasks * place / threads + i) % tasks;
      if (progress->started[task].exchange(true, std::memory_order_relaxed)) continue;
      body(task);
      progress->done.fetch_add(1, std::memory_order_release);
    }
  };
  const std::int64_t helpers = std::min(tasks, threads) - 1;
  for (std::int64_t helper = 0; helper < helpers; helper++)
    pool.Schedule([work, caller = processor()] {
      leave(caller);
      work();
    });
  if (helpers > 0) std::this_thread::yield();  // a helper may wait for this processor
  work();
  while (progress->done.load(std::memory_order_acquire) < tasks) std::this_thread::yield();
}

}  // namespace jaxrnn
