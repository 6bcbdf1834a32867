// The sum over all rows of outer products.
#pragma once

#include "job.h"

namespace jaxrnn {

// The outer products of rows of a (T, B, height) and `width` columns of b from `begin` on, and the
// sum of those columns. Where there is `first`, `a` is one step behind: its rows follow those of
// `first`, or those of `initial` where there are resets.
template <class T>
class OuterJob : public Job<T> {
 public:
  OuterJob(const Sequence<T>& sequence, Code& code, Tensors<T>& tensors)
      : Job<T>(sequence),
        height(code.size()),
        width(code.size()),
        begin(code.size()),
        stride(code.size()),
        first(tensors.optional({s.batch, height})),
        initial(tensors.optional({s.batch, height})),
        a(tensors.operand({s.steps, s.batch, height})),
        b(tensors.operand({s.steps, s.batch, stride})),
        resets(tensors.template optional<const bool>({s.steps, s.batch})),
        out(tensors.result({height, width})),
        sum(tensors.result({width})) {
    tensors.checked.require(!resets || (first && initial), "resets restore rows");
    tensors.checked.require(begin + width <= stride, "b lacks the columns asked for");
  }

  double size() const override { return 1.0 * s.real.count * width * height; }

  bool prepare(std::ptrdiff_t threads) override {
    const std::ptrdiff_t panels = s.kernels.outer_panels(width);
    const std::ptrdiff_t later = s.total() - s.batch;
    const T* const right = b + begin;
    this->parts_ = std::min(threads, std::max<std::ptrdiff_t>(panels, 1));
    outer_ = {{}, height, width, stride, width, out, sum};
    if (!first || s.total() == 0) {
      outer_.rows[0] = {a, right, s.real.count, s.real.numbers.get()};
    } else if (s.real.numbers || resets) {
      if (!find_before()) return false;
      outer_.rows[0] = {nullptr, right, s.real.count, s.real.numbers.get(), before_.get()};
    } else {
      const std::ptrdiff_t to_first = s.reverse ? later : 0, to_rest = s.reverse ? 0 : s.batch;
      outer_.rows[0] = {first, right + to_first * stride, s.batch, nullptr};
      outer_.rows[1] = {a + (s.reverse ? s.batch * height : 0), right + to_rest * stride, later,
                        nullptr};
    }
    scratch_size_ = s.kernels.outer_scratch(height, (panels + this->parts() - 1) / this->parts());
    scratch_ = allocate<T>(scratch_size_ * this->parts());
    return !!scratch_;
  }

  void run(std::ptrdiff_t part) const override {
    const Share share(s.kernels.outer_panels(width), part, this->parts());
    if (share.begin < share.end)
      s.kernels.outer(outer_, share.begin, share.end, scratch_.get() + part * scratch_size_);
  }

 private:
  // The rows that stand before each real step: those after the step before it, or `first`, or the
  // ones that resets restore.
  bool find_before() {
    before_ = allocate<const T*>(s.real.count);
    const auto last = allocate<const T*>(s.batch);
    if (!before_ || !last) return false;
    for (std::ptrdiff_t row = 0; row < s.batch; row++) last[row] = first + row * height;
    const T** next = s.reverse ? before_.get() + s.real.count : before_.get();
    for (std::ptrdiff_t i = 0; i < s.total(); i++) {
      const std::ptrdiff_t number = s.reverse ? s.total() - 1 - i : i, row = number % s.batch;
      if (s.mask && !s.mask[number]) continue;
      *(s.reverse ? --next : next++) =
          resets && resets[number] ? initial + row * height : last[row];
      last[row] = a + number * height;
    }
    return true;
  }

  using Job<T>::s;
  const std::ptrdiff_t height, width, begin, stride;
  const T *const first, *const initial, *const a, *const b;
  const bool* const resets;
  T *const out, *const sum;
  Outer<T> outer_ = {};
  Memory<const T*> before_;
  Memory<T> scratch_;
  std::ptrdiff_t scratch_size_ = 0;
};

}  // namespace jaxrnn
