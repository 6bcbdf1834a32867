// Rows times a matrix, plus a bias.
#pragma once

#include <cstring>

#include "job.h"
#include "rows_matrix.h"

namespace jaxrnn {

// Rows (T, B, depth) times a matrix. Where the mask excludes the row, zero, or what was there before
// if nobody reads it.
template <class T>
class RowsJob : public Job<T> {
 public:
  RowsJob(const Sequence<T>& sequence, Code& code, Tensors<T>& tensors)
      : Job<T>(sequence),
        depth(code.size()),
        units(code.size()),
        is_transposed(code.next(0, 1)),
        has_zeros(code.next(0, 1)),
        rows(tensors.operand({s.steps, s.batch, depth})),
        matrix(is_transposed ? tensors.operand({units, depth}) : tensors.operand({depth, units})),
        bias(tensors.optional({units})),
        out(tensors.result({s.steps, s.batch, units})) {}

  double size() const override { return 1.0 * s.real.count * depth * units; }

  bool prepare(std::ptrdiff_t threads) override {
    this->parts_ = threads;
    jaxrnn::prepare(out, s.total() * units);
    scratch_size_ = s.real.numbers ? s.kernels.inputs_scratch(depth) : 0;
    scratch_ = allocate<T>(scratch_size_ * threads);
    return scratch_ && matrix_.pack(s.pool, s.kernels, matrix, bias, depth, units, is_transposed,
                                    threads);
  }

  void run(std::ptrdiff_t part) const override {
    const Share all(s.total(), part, this->parts()), share(s.real.count, part, this->parts());
    for (std::ptrdiff_t row = all.begin; has_zeros && s.real.numbers && row < all.end; row++)
      if (!s.mask[row]) std::memset(out + row * units, 0, units * sizeof(T));
    const Inputs<T> inputs = {matrix_.matrix(), rows, units, depth, out, s.real.numbers.get(),
                              matrix_.bias()};
    s.kernels.inputs(inputs, share.begin, share.end, scratch_.get() + part * scratch_size_);
  }

 private:
  using Job<T>::s;
  const std::ptrdiff_t depth, units;
  const bool is_transposed, has_zeros;
  const T *const rows, *const matrix, *const bias;
  T* const out;
  RowsMatrix<T> matrix_;
  Memory<T> scratch_;
  std::ptrdiff_t scratch_size_ = 0;
};

}  // namespace jaxrnn
