// A step of any cell as a program: straight-line operations on rows, for the numbers of a few rows
// at a time, which stay in the L1 cache between operations.
#pragma once

#include "gradients.h"
#include "operations.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

template <class T>
Packing program_packing(std::ptrdiff_t depth, std::ptrdiff_t units, std::ptrdiff_t rows) {
  return {1, depth, units, panel_vectors<T>(1, units, rows)};
}

// The steps of one part of the batch.
template <class T>
class ProgramPass {
 public:
  ProgramPass(const Program<T>& program, const ProgramPart<T>& part)
      : p(program),
        begin(part.begin),
        rows(part.end - part.begin),
        order(part.order),
        numbers(part.numbers),
        local(part.scratch) {
    wide = local + p.local_size * p.block;
    now = wide + p.wide_size * p.rows;
    next = now + p.state_size * p.rows;
    sums = next + p.state_size * p.rows;
    staged = sums + (p.sum_size + (p.is_backward ? p.state_size : 0)) * p.rows;
    gathered = staged + (p.mask || p.resets ? p.staged_size : 0) * p.rows;
  }

  void run() {
    for (int i = 0; i < p.num_states; i++) copy_rows(now, i, p.states[i].first);
    std::memset(sums, 0, p.sum_size * p.rows * sizeof(T));
    if (p.is_backward) std::memset(initial(), 0, p.state_size * p.rows * sizeof(T));
    for (std::ptrdiff_t step = 0; step < p.steps; step++) {
      if (p.num_projections && step % p.chunk == 0) project(step);
      t = time(step);
      place();
      if (p.resets && !p.is_backward) restore();
      for (std::ptrdiff_t row = 0; row < rows;) row = advance(row);
      if (p.resets && p.is_backward) send_back();
      T* const last = now;
      now = next;
      next = last;
    }
    finish();
  }

 private:
  std::ptrdiff_t time(std::ptrdiff_t step) const { return p.reverse ? p.steps - 1 - step : step; }

  // Makes the projections of the real rows of a chunk of steps.
  void project(std::ptrdiff_t step) {
    const std::ptrdiff_t stop = step + p.chunk < p.steps ? step + p.chunk : p.steps;
    std::ptrdiff_t count = 0;
    for (; step < stop; step++) {
      t = time(step);
      for (std::ptrdiff_t row = 0; row < rows; row++)
        if (is_real(row)) numbers[count++] = t * p.batch + in_batch(row);
    }
    for (std::ptrdiff_t i = 0; i < p.num_projections; i++) {
      const ProgramProjection<T>& o = p.projections[i];
      inputs<T>({o.matrix, o.rows, o.units, o.depth, o.out, numbers, o.bias}, 0, count, gathered);
    }
  }

  // Advances the rows from `first` on that are alike, real or masked; returns the row after them.
  std::ptrdiff_t advance(std::ptrdiff_t first) {
    std::ptrdiff_t end = first;
    while (end < rows && is_real(end) == is_real(first)) end++;
    if (is_real(first)) {
      stage(first, end, false);
      execute(first, end);
      if (order) stage(first, end, true);
    } else {
      hold(first, end);
    }
    return end;
  }

  // The row of the batch that is row `row` of the part.
  std::ptrdiff_t in_batch(std::ptrdiff_t row) const {
    return order ? order[begin + row] : begin + row;
  }
  bool is_real(std::ptrdiff_t row) const { return !p.mask || p.mask[t * p.batch + in_batch(row)]; }
  bool is_reset(std::ptrdiff_t row) const {
    return is_real(row) && p.resets[t * p.batch + in_batch(row)];
  }

  // The cotangents of the carries that resets restore.
  T* initial() const { return sums + p.sum_size * p.rows; }

  // State `i` of a row, whose states are those of all rows one after the other.
  T* state(T* all, int i, std::ptrdiff_t row) const {
    return all + p.states[i].place * p.rows + row * p.states[i].width;
  }

  void copy_rows(T* all, int i, const T* from) const {
    const std::ptrdiff_t width = p.states[i].width;
    for (std::ptrdiff_t row = 0; row < rows; row++)
      std::memcpy(state(all, i, row), from + in_batch(row) * width, width * sizeof(T));
  }

  // Whether rows of a buffer are copied to where they follow each other. The carry before a step is
  // not always that of the step before.
  bool is_staged(const ProgramBuffer<T>& buffer) const {
    if (buffer.space == Space::kSequence) return order != nullptr;
    return buffer.space == Space::kBefore && (p.mask || p.resets);
  }

  // Copies what a step reads of some rows to where they follow each other, or back what it wrote.
  void stage(std::ptrdiff_t first, std::ptrdiff_t end, bool is_back) {
    for (int i = 0; i < p.num_buffers; i++) {
      const ProgramBuffer<T>& buffer = p.buffers[i];
      if (!is_staged(buffer) || buffer.is_result != is_back) continue;
      T* const array = sequence(buffer);
      for (std::ptrdiff_t row = first; row < end; row++) {
        T* const there = buffer.space == Space::kBefore ? before(buffer, in_batch(row))
                                                        : array + in_batch(row) * buffer.width;
        T* const here = bases[i] + row * buffer.width;
        std::memcpy(is_back ? there : here, is_back ? here : there, buffer.width * sizeof(T));
      }
    }
  }

  // The carry of a row of the batch before this step, which is real: the one of a reset, or the one
  // after the last real step, or the first.
  T* before(const ProgramBuffer<T>& buffer, std::ptrdiff_t row) const {
    if (p.resets && p.resets[t * p.batch + row]) return buffer.initial + row * buffer.width;
    const std::ptrdiff_t back = p.reverse ? -1 : 1;
    std::ptrdiff_t past = t + back;
    while (past >= 0 && past < p.steps && p.mask && !p.mask[past * p.batch + row]) past += back;
    const bool is_first = past < 0 || past >= p.steps;
    return (is_first ? buffer.first : buffer.array + past * p.batch * buffer.width) +
           row * buffer.width;
  }

  // The rows of the whole batch at this step.
  T* sequence(const ProgramBuffer<T>& buffer) const {
    if (buffer.space == Space::kSequence) return buffer.array + t * p.batch * buffer.width;
    // The carry before a step, from the one after each step.
    const bool is_first = t == (p.reverse ? 0 : p.steps - 1);
    const std::ptrdiff_t before = p.reverse ? t - 1 : t + 1;
    return is_first ? buffer.first : buffer.array + before * p.batch * buffer.width;
  }

  std::ptrdiff_t first() const { return p.reverse ? p.steps - 1 : 0; }

  // The rows of the batch in a sequence that holds a state, at time `at`.
  T* kept(int number, std::ptrdiff_t at) const {
    const ProgramBuffer<T>& buffer = p.buffers[number];
    return buffer.array + at * p.batch * buffer.width;
  }

  // Finds the arrays of this step, at the first row of the part.
  void place() {
    for (int i = 0; i < p.num_buffers; i++) {
      const ProgramBuffer<T>& buffer = p.buffers[i];
      const std::ptrdiff_t width = buffer.width;
      switch (buffer.space) {
        case Space::kLocal:
          bases[i] = local + buffer.place * p.block;
          break;
        case Space::kWide:
          bases[i] = wide + buffer.place * p.rows;
          break;
        case Space::kState:
          bases[i] = buffer.kept >= 0 && t != first()
                         ? kept(buffer.kept, t + (p.reverse ? 1 : -1)) + begin * width
                         : now + buffer.place * p.rows;
          break;
        case Space::kNext:
          bases[i] = buffer.kept >= 0 ? kept(buffer.kept, t) + begin * width
                                      : next + buffer.place * p.rows;
          break;
        case Space::kSum:
          bases[i] = sums + buffer.place * p.rows;
          break;
        case Space::kConstant:
          bases[i] = buffer.array;
          break;
        case Space::kSequence:
        case Space::kBefore:
          bases[i] = is_staged(buffer) ? staged + buffer.place * p.rows
                                       : sequence(buffer) + begin * width;
          break;
        default:
          break;
      }
    }
  }

  void execute(std::ptrdiff_t first, std::ptrdiff_t end) {
    for (int start = 0; start < p.num_instructions;) {
      if (p.instructions[start].op == Op::kProduct) {
        multiply(p.instructions[start++], first, end - first);
        continue;
      }
      int stop = start;
      while (stop < p.num_instructions && p.instructions[stop].op != Op::kProduct) stop++;
      for (std::ptrdiff_t row = first; row < end; row += p.block) {
        const std::ptrdiff_t left = end - row, count = left < p.block ? left : p.block;
        for (int i = start; i < stop; i++) apply(p.instructions[i], row, count);
      }
      start = stop;
    }
  }

  JAXRNN_INLINE T* at(const ProgramView& view, std::ptrdiff_t row) const {
    return bases[view.buffer] + view.offset + (view.is_at_row ? row * view.row : 0);
  }

  JAXRNN_INLINE void apply(const Instruction& one, std::ptrdiff_t row, std::ptrdiff_t count) {
    Operands<T> operands;
    operands.out = {at(one.out, row), one.out.row, one.out.outer, true};
    for (int k = 0; k < one.inputs; k++)
      operands.in[k] = {at(one.in[k], row), one.in[k].row, one.in[k].outer, one.in[k].unit};
    if (one.is_flat) {  // the rows lie one after the other
      operands.rows = operands.outer = 1;
      operands.inner = count * one.inner;
    } else {
      operands.rows = count;
      operands.outer = one.outer;
      operands.inner = one.inner;
    }
    kOperations<T>[static_cast<int>(one.op)](operands);
  }

  void multiply(const Instruction& one, std::ptrdiff_t first, std::ptrdiff_t count) {
    const ProgramMatrix<T>& matrix = p.matrices[one.matrix];
    const std::ptrdiff_t depth = matrix.depth, units = matrix.units;
    const Packing packing = program_packing<T>(depth, units, p.rows);
    const T* a = at(one.in[0], first);
    const T* start = one.inputs > 1 ? at(one.in[1], first) : nullptr;
    T* out = at(one.out, first);
    const std::ptrdiff_t a_stride = one.in[0].row, out_stride = one.out.row;
    const std::ptrdiff_t start_stride = start ? one.in[1].row : 0;
    for (std::ptrdiff_t head = 0; head < matrix.heads; head++) {
      const T* packed = matrix.packed + head * matrix.size;
      for (std::ptrdiff_t i = 0; i < panels<T>(packing); i++) {
        const Panel panel = panel_at<T>(packing, to_and_fro(i, 0, panels<T>(packing), t));
        const std::ptrdiff_t unit = panel.first * kLanes<T>, width = panel.vectors * kLanes<T>;
        const bool is_whole = unit + width <= units;
        tiles(count, panel.vectors, [&](std::ptrdiff_t row, std::ptrdiff_t height) {
          const auto product = multiply_of<T>(height, panel.vectors);
          T* to = out + row * out_stride + unit;
          const T* from = start ? start + row * start_stride + unit : nullptr;
          const T* block = packed + unit * depth;
          if (is_whole)
            return product({a + row * a_stride, a_stride, 1, block, depth, from, start_stride, to,
                            out_stride});
          T tile[kMaxRows * kMaxVectors * kLanes<T>];
          product({a + row * a_stride, a_stride, 1, block, depth, nullptr, 0, tile, width});
          for (std::ptrdiff_t r = 0; r < height; r++)
            for (std::ptrdiff_t v = 0; v < width && unit + v < units; v += kLanes<T>) {
              const std::ptrdiff_t left = units - unit - v;
              Vector<T> sum = load(tile + r * width + v);
              if (from) sum += load(from + r * start_stride + v, left);
              store(to + r * out_stride + v, sum, left);
            }
        });
      }
      a += one.in[0].outer;
      out += one.out.outer;
      if (start) start += one.in[1].outer;
    }
  }

  // A masked step keeps the carry, or its cotangent, and writes zeros where they are read.
  void hold(std::ptrdiff_t first, std::ptrdiff_t end) {
    const std::ptrdiff_t back = p.reverse ? 1 : -1;
    for (std::ptrdiff_t row = first; row < end; row++) {
      // Where the step before was masked too, both places hold it.
      if (t != this->first() && !p.mask[(t + back) * p.batch + in_batch(row)]) continue;
      for (int i = 0; i < p.num_states; i++)
        std::memcpy(state(next, i, row), state(now, i, row), p.states[i].width * sizeof(T));
    }
    for (int i = 0; i < p.num_results; i++) {
      const std::ptrdiff_t width = p.results[i].width;
      if (!p.results[i].has_zeros) continue;
      for (std::ptrdiff_t row = first; row < end; row++)
        std::memset(p.results[i].array + (t * p.batch + in_batch(row)) * width, 0,
                    width * sizeof(T));
    }
  }

  void restore() {
    for (std::ptrdiff_t row = 0; row < rows; row++)
      for (int i = 0; i < p.num_states && is_reset(row); i++) {
        const std::ptrdiff_t width = p.states[i].width;
        std::memcpy(state(now, i, row), p.states[i].initial + in_batch(row) * width,
                    width * sizeof(T));
      }
  }

  // A reset sends the cotangent of the carry before the step to the carry that it restores.
  void send_back() {
    for (std::ptrdiff_t row = 0; row < rows; row++)
      for (int i = 0; i < p.num_states && is_reset(row); i++) {
        T *from = state(next, i, row), *to = state(initial(), i, row);
        for (std::ptrdiff_t unit = 0; unit < p.states[i].width; unit++) {
          to[unit] += from[unit];
          from[unit] = T(0);
        }
      }
  }

  void finish() {
    for (std::ptrdiff_t row = 0; row < rows; row++) {
      const std::ptrdiff_t at = in_batch(row);
      for (int i = 0; i < p.num_states; i++) {
        const ProgramState<T>& s = p.states[i];
        const bool is_kept = s.kept >= 0 && p.steps > 0;
        const T* const last = is_kept ? kept(s.kept, t) + at * s.width : state(now, i, row);
        std::memcpy(s.last + at * s.width, last, s.width * sizeof(T));
        if (s.dinitial)
          std::memcpy(s.dinitial + at * s.width, state(initial(), i, row), s.width * sizeof(T));
      }
      for (int i = 0; i < p.num_sums; i++) {
        const ProgramSum<T>& s = p.sums[i];
        std::memcpy(s.array + at * s.stride, sums + s.place * p.rows + row * s.width,
                    s.width * sizeof(T));
      }
    }
  }

  const Program<T>& p;
  const std::ptrdiff_t begin, rows;
  const std::ptrdiff_t* const order;
  std::ptrdiff_t* const numbers;
  T *local, *wide, *now, *next, *sums, *staged, *gathered;
  std::ptrdiff_t t = 0;
  T* bases[kMaxBuffers];
};

template <class T>
void run_program(const Program<T>& program, const ProgramPart<T>& part) {
  ProgramPass<T>(program, part).run();
}

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
