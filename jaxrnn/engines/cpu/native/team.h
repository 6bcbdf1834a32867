// A team of threads that step through one part of the batch together and divide its hidden units.
//
// A team is used when there are fewer rows than threads, so that rows cannot be divided. One thread
// leads, and the others may join at any time. At the start of each chunk of time the leader counts
// the workers that have joined, divides the units among them, and waits for nobody else. So no
// thread ever waits for one that the operating system or XLA has yet to start.
#pragma once

#include <sched.h>
#include <time.h>

#include "vector.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

class Worker {
 public:
  // The leader of a team, or a thread that joins it.
  Worker(Slot* slots, bool leads) : slots_(slots), leads_(leads) {
    if (!leads) number_ = __atomic_add_fetch(&slots[0].joined, 1, __ATOMIC_ACQ_REL);
  }

  // The leader starts the next chunk; another worker waits for the next one that includes it.
  // Returns false when there are no more chunks, which the leader tells.
  bool next_chunk(bool is_more) {
    if (leads_) {
      rebalance();
      chunk_++;
      if (!is_more) dismissed_ = true;
      workers_ = dismissed_ ? 1 : 1 + __atomic_load_n(&slots_[0].joined, __ATOMIC_ACQUIRE);
      slots_[0].before = barriers_;
      __atomic_store_n(&slots_[0].command, dismissed_ ? kOver : (chunk_ + 1) * kWorkers + workers_,
                       __ATOMIC_RELEASE);
      return is_more;
    }
    do {
      std::int64_t command;
      wait([&] {
        command = __atomic_load_n(&slots_[0].command, __ATOMIC_ACQUIRE);
        return command != seen_;
      });
      seen_ = command;
      if (command == kOver) return false;
      chunk_ = command / kWorkers - 1;
      workers_ = command % kWorkers;
    } while (number_ >= workers_);
    barriers_ = slots_[0].before;
    return true;
  }

  std::ptrdiff_t chunk() const { return chunk_; }

  // This worker's share of `count` items is [begin, end).
  std::ptrdiff_t begin(std::ptrdiff_t count) const { return count * number_ / workers_; }
  std::ptrdiff_t end(std::ptrdiff_t count) const { return count * (number_ + 1) / workers_; }

  // Waits until every worker on this chunk has arrived. Each worker writes its own counter and
  // reads the others', so each cache line moves between two processors only once.
  void barrier() {
    if (alone()) return;
    __atomic_store_n(&slots_[number_].barriers, ++barriers_, __ATOMIC_RELEASE);
    for (std::int64_t other = 0; other < workers_; other++)
      wait([&] {
        return __atomic_load_n(&slots_[other].barriers, __ATOMIC_ACQUIRE) >= barriers_;
      });
  }

  bool alone() const { return workers_ == 1; }
  bool leads() const { return leads_; }
  std::ptrdiff_t number() const { return number_; }  // 0 for the leader

 private:
  static constexpr std::int64_t kWorkers = 1 << 16, kOver = -1;

  // Dismisses the other workers if chunks take longer with them than without, because the
  // processors are far apart or busy with something else.
  void rebalance() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const double time = now.tv_sec + 1e-9 * now.tv_nsec, taken = time - time_;
    time_ = time;
    if (chunk_ < 0 || dismissed_) return;
    if (alone()) {
      time_alone_ = taken;
    } else if (time_alone_ > 0) {
      lost_ += taken - time_alone_;
      if (lost_ < 0) lost_ = 0;
      dismissed_ = lost_ > time_alone_ / 4;
    }
  }

  template <class Condition>
  static JAXRNN_INLINE void wait(Condition condition) {
    // Much longer than a barrier takes. After that, the awaited thread may need this processor.
    constexpr int patience = 200;
    for (int turn = 0; !condition(); turn++) {
      if (turn < patience) {
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
      } else {
        sched_yield();
      }
    }
  }

  Slot* const slots_;
  const bool leads_;
  std::int64_t number_ = 0, workers_ = 1, chunk_ = -1, seen_ = 0, barriers_ = 0;
  // In seconds; only the leader uses these:
  double time_ = 0, time_alone_ = 0, lost_ = 0;
  bool dismissed_ = false;
};

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
