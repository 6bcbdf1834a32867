// Threads that go through the steps of one part of the batch together, each with units of its own.
//
// Where there are fewer rows than threads, the rows cannot be divided. One thread leads. The others
// join when they come to it, if they do: at the start of each chunk of time the leader sees who is
// there, divides the units among them, and waits for nobody else. So no thread waits for one that
// the operating system or XLA has yet to start.
#pragma once

#include <sched.h>

#include "vector.h"

namespace jaxrnn::JAXRNN_LEVEL {

class Member {
 public:
  // The leader of a crew, or one who joins it.
  Member(Crew& crew, bool leads) : crew_(crew), leads_(leads) {
    if (!leads) number_ = __atomic_add_fetch(&crew_.joined, 1, __ATOMIC_ACQ_REL);
  }

  // Waits for the next chunk that this member works on; false where all are done.
  bool next_chunk(std::ptrdiff_t chunks) {
    if (leads_) {
      const bool more = chunk_ + 1 < chunks;
      members_ = 1 + __atomic_load_n(&crew_.joined, __ATOMIC_ACQUIRE);
      __atomic_store_n(&crew_.command, more ? (++chunk_ + 1) * kMembers + members_ : kOver,
                       __ATOMIC_RELEASE);
      return more;
    }
    do {
      std::int64_t command;
      wait([&] {
        command = __atomic_load_n(&crew_.command, __ATOMIC_ACQUIRE);
        return command != seen_;
      });
      seen_ = command;
      if (command == kOver) return false;
      chunk_ = command / kMembers - 1;
      members_ = command % kMembers;
    } while (number_ >= members_);
    return true;
  }

  std::ptrdiff_t chunk() const { return chunk_; }

  // Where this member's share of `count` things begins, and where the next one's does.
  std::ptrdiff_t begin(std::ptrdiff_t count) const { return count * number_ / members_; }
  std::ptrdiff_t end(std::ptrdiff_t count) const { return count * (number_ + 1) / members_; }

  // Waits until all who work on this chunk have come here.
  void meet() {
    if (members_ == 1) return;
    const std::int64_t meeting = __atomic_load_n(&crew_.meetings, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&crew_.arrived, 1, __ATOMIC_ACQ_REL) == members_) {
      __atomic_store_n(&crew_.arrived, 0, __ATOMIC_RELAXED);
      __atomic_store_n(&crew_.meetings, meeting + 1, __ATOMIC_RELEASE);
    } else {
      wait([&] { return __atomic_load_n(&crew_.meetings, __ATOMIC_ACQUIRE) != meeting; });
    }
  }

  bool leads() const { return leads_; }
  std::ptrdiff_t number() const { return number_; }  // 0 for the leader

 private:
  static constexpr std::int64_t kMembers = 1 << 16, kOver = -1;

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

  Crew& crew_;
  const bool leads_;
  std::int64_t number_ = 0, members_ = 1, chunk_ = -1, seen_ = 0;
};

}  // namespace jaxrnn::JAXRNN_LEVEL
