// The sum over the batch.
#pragma once

#include <algorithm>
#include <vector>

#include "job.h"

namespace jaxrnn {

// The sums of rows (B, width), each group of columns in an array of its own. They are added up in
// float64.
template <class T>
class SumsJob : public Job<T> {
 public:
  SumsJob(const Sequence<T>& sequence, Code& code, Tensors<T>& tensors)
      : Job<T>(sequence), groups_(code.count(kMostGroups)) {
    for (auto& group : groups_) {
      group = {code.size(), width_, nullptr};
      width_ += group.width;
    }
    rows_ = tensors.operand({s.batch, width_});
    for (auto& group : groups_) group.out = tensors.result({group.width});
  }

  double size() const override { return 1.0 * s.batch * width_; }
  bool prepare(std::ptrdiff_t) override { return true; }

  void run(std::ptrdiff_t) const override {
    constexpr std::ptrdiff_t block = 64;
    for (const auto& group : groups_)
      for (std::ptrdiff_t first = 0; first < group.width; first += block) {
        const std::ptrdiff_t count = std::min(block, group.width - first);
        const T* row = rows_ + group.begin + first;
        double sums[block] = {};
        for (std::ptrdiff_t i = 0; i < s.batch; i++, row += width_)
          for (std::ptrdiff_t k = 0; k < count; k++) sums[k] += row[k];
        std::copy(sums, sums + count, group.out + first);
      }
  }

 private:
  static constexpr int kMostGroups = 1 << 12;
  struct Group {
    std::ptrdiff_t width, begin;
    T* out;
  };

  using Job<T>::s;
  std::vector<Group> groups_;
  std::ptrdiff_t width_ = 0;
  const T* rows_;
};

}  // namespace jaxrnn
