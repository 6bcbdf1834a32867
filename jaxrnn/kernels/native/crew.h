// Threads that go through the steps of one part of the batch together, each with units of its own.
//
// Where there are fewer rows than threads, the rows cannot be divided. One thread leads. The others
// join when they come to it, if they do: at the start of each chunk of time the leader sees who is
// there, divides the units among them, and waits for nobody else. So no thread waits for one that
// the operating system or XLA has yet to start.
#pragma once

#include <sched.h>
#include <time.h>

#include "vector.h"

namespace jaxrnn::JAXRNN_LEVEL {

class Member {
 public:
  // The leader of a crew, or one who joins it.
  Member(Seat* seats, bool leads) : seats_(seats), leads_(leads) {
    if (!leads) number_ = __atomic_add_fetch(&seats[0].joined, 1, __ATOMIC_ACQ_REL);
  }

  // Waits for the next chunk that this member works on; false where all are done.
  bool next_chunk(std::ptrdiff_t chunks) {
    if (leads_) {
      reckon();
      if (++chunk_ >= chunks) dismissed_ = true;
      members_ = dismissed_ ? 1 : 1 + __atomic_load_n(&seats_[0].joined, __ATOMIC_ACQUIRE);
      seats_[0].before = meetings_;
      __atomic_store_n(&seats_[0].command, dismissed_ ? kOver : (chunk_ + 1) * kMembers + members_,
                       __ATOMIC_RELEASE);
      return chunk_ < chunks;
    }
    do {
      std::int64_t command;
      wait([&] {
        command = __atomic_load_n(&seats_[0].command, __ATOMIC_ACQUIRE);
        return command != seen_;
      });
      seen_ = command;
      if (command == kOver) return false;
      chunk_ = command / kMembers - 1;
      members_ = command % kMembers;
    } while (number_ >= members_);
    meetings_ = seats_[0].before;
    return true;
  }

  std::ptrdiff_t chunk() const { return chunk_; }

  // Where this member's share of `count` things begins, and where the next one's does.
  std::ptrdiff_t begin(std::ptrdiff_t count) const { return count * number_ / members_; }
  std::ptrdiff_t end(std::ptrdiff_t count) const { return count * (number_ + 1) / members_; }

  // Waits until all who work on this chunk have come here. Each counts for itself, and looks at the
  // others: so a cache line goes from one processor to the other once.
  void meet() {
    if (alone()) return;
    __atomic_store_n(&seats_[number_].meetings, ++meetings_, __ATOMIC_RELEASE);
    for (std::int64_t other = 0; other < members_; other++)
      wait([&] {
        return __atomic_load_n(&seats_[other].meetings, __ATOMIC_ACQUIRE) >= meetings_;
      });
  }

  bool alone() const { return members_ == 1; }
  bool leads() const { return leads_; }
  std::ptrdiff_t number() const { return number_; }  // 0 for the leader

 private:
  static constexpr std::int64_t kMembers = 1 << 16, kOver = -1;

  // Dismisses the others where chunks with them take longer than one without: as processors are far
  // apart, or busy with something else.
  void reckon() {
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
    // Much longer than a meeting takes. Then the one who is waited for may want this processor.
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

  Seat* const seats_;
  const bool leads_;
  std::int64_t number_ = 0, members_ = 1, chunk_ = -1, seen_ = 0, meetings_ = 0;
  // Of the leader alone, in seconds:
  double time_ = 0, time_alone_ = 0, lost_ = 0;
  bool dismissed_ = false;
};

}  // namespace jaxrnn::JAXRNN_LEVEL
