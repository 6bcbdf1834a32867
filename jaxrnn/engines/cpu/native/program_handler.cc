// jaxrnn_program: runs a program over a sequence.
#include <algorithm>

#include "deal.h"
#include "program_code.h"
#include "rows_matrix.h"

namespace jaxrnn {
namespace {

// The parts of a call, so that threads are woken only for work that repays it.
template <class T>
std::ptrdiff_t count_parts(ffi::ThreadPool& pool, const Parsed<T>& parsed) {
  constexpr double least = 2e6, small = 1 << 18, operation = 8;  // an operation in products
  constexpr std::ptrdiff_t several = 8;  // rows that repay reading a matrix
  const Program<T>& p = parsed.program;
  double products = 0, work = 0;
  for (const auto& matrix : parsed.matrices)
    products += 1.0 * matrix.heads * matrix.depth * matrix.units;
  for (const auto& made : parsed.projections)
    if (made.buffer >= 0) work += made.depth * parsed.buffers[made.buffer].width;
  for (const auto& one : parsed.instructions) work += operation * one.outer * one.inner;
  const bool is_little = 2.0 * p.steps * p.batch * (products + work) < least;
  const std::ptrdiff_t threads = is_little ? 1 : std::max<std::int64_t>(pool.num_threads(), 1);
  std::ptrdiff_t count = std::min(threads, p.batch);
  while (threads > 1 && products <= small && count < 4 * threads &&
         p.batch >= 2 * count * several)
    count *= 2;
  return count;
}

// Packs the matrices; false if memory runs out.
template <class T>
bool pack(const Kernels<T>& kernels, Parsed<T>* parsed, std::vector<Memory<T>>* memory) {
  for (std::size_t i = 0; i < parsed->matrices.size(); i++) {
    ProgramMatrix<T>& matrix = parsed->matrices[i];
    const Packing packing =
        kernels.program_packing(matrix.depth, matrix.units, parsed->program.rows);
    matrix.size = kernels.packed_size(packing);
    std::ptrdiff_t size;
    if (matrix.size < 0 || __builtin_mul_overflow(matrix.size, matrix.heads, &size)) return false;
    memory->push_back(allocate<T>(size));
    T* const packed = memory->back().get();
    if (!packed) return false;
    const auto pack_panel = parsed->is_transposed[i] ? kernels.pack_transposed : kernels.pack;
    for (std::ptrdiff_t head = 0; head < matrix.heads; head++)
      for (std::ptrdiff_t panel = 0; panel < kernels.panels(packing); panel++)
        pack_panel(packing, parsed->kernels[i] + head * matrix.depth * matrix.units,
                   packed + head * matrix.size, panel);
    matrix.packed = packed;
  }
  return true;
}

// The projections that a program makes, and scratch for the rows of a chunk of steps.
template <class T>
class Projections {
 public:
  // False if memory runs out.
  bool prepare(ffi::ThreadPool& pool, const Kernels<T>& kernels, const Parsed<T>& parsed,
               std::ptrdiff_t threads) {
    for (const auto& made : parsed.projections) {
      if (made.buffer < 0) continue;
      const auto& buffer = parsed.buffers[made.buffer];
      matrices_.emplace_back();
      const bool is_packed = matrices_.back().pack(pool, kernels, made.matrix, made.bias, made.depth,
                                                   buffer.width, made.is_transposed, threads);
      if (!is_packed) return false;
      const auto& matrix = matrices_.back();
      all_.push_back({made.depth, buffer.width, made.rows, buffer.array, matrix.matrix(),
                      matrix.bias()});
      scratch_ = std::max(scratch_, kernels.inputs_scratch(made.depth));
      width_ += made.depth + buffer.width;
    }
    return true;
  }

  // Tells a program of them; returns the rows of a chunk.
  std::ptrdiff_t describe(Program<T>* p) const {
    constexpr std::ptrdiff_t cache = 1 << 16;  // numbers that stay in the L2 cache beside a matrix
    p->projections = all_.data();
    p->num_projections = all_.size();
    p->chunk = std::max<std::ptrdiff_t>(cache / std::max<std::ptrdiff_t>(p->rows * width_, 1), 1);
    p->chunk = std::min(p->chunk, std::max<std::ptrdiff_t>(p->steps, 1));
    return all_.empty() ? 0 : p->rows * p->chunk;
  }

  // Numbers for each part.
  std::ptrdiff_t scratch() const { return scratch_; }

 private:
  std::vector<RowsMatrix<T>> matrices_;
  std::vector<ProgramProjection<T>> all_;
  std::ptrdiff_t scratch_ = 0, width_ = 0;
};

template <class T>
ffi::Error run(ffi::ThreadPool& pool, const Kernels<T>& kernels, ffi::RemainingArgs args,
               ffi::RemainingRets rets, ffi::Span<const std::int64_t> numbers,
               ffi::Span<const double> constants, std::ptrdiff_t steps, std::ptrdiff_t batch,
               bool reverse) {
  constexpr std::ptrdiff_t cache = 32 << 10;  // bytes of local scratch
  Code code(numbers);
  Tensors<T> tensors(args, rets);
  Parsed<T> parsed;
  const bool is_read = parse(code, tensors, constants, steps, batch, &parsed);
  if (tensors.checked.error().failure()) return tensors.checked.error();
  if (!is_read) return ffi::Error::InvalidArgument("the numbers of a program do not make one");
  Program<T>& p = parsed.program;
  if (batch == 0) return ffi::Error::Success();
  p.reverse = reverse;
  const std::ptrdiff_t parts = count_parts(pool, parsed);
  p.rows = (batch + parts - 1) / parts;
  Deal deal(batch);
  if (!deal) return out_of_memory();
  Sizes sizes = {};
  sizes.steps = steps;
  sizes.batch = batch;
  sizes.rows = p.rows;
  deal.count(&p.mask, &sizes);
  const std::ptrdiff_t* const order =
      p.mask && !deal.is_even() ? deal.order(sizes, true) : nullptr;
  const std::ptrdiff_t most = cache / sizeof(T) / std::max<std::ptrdiff_t>(p.local_size, 1);
  const std::ptrdiff_t each = std::max<std::ptrdiff_t>(most, 1);
  // Blocks of nearly equal height, of which none holds a few rows that are left over.
  const std::ptrdiff_t blocks = (p.rows + each - 1) / each;
  p.block = (p.rows + blocks - 1) / blocks;
  std::vector<Memory<T>> packed;
  if (!pack(kernels, &parsed, &packed)) return out_of_memory();
  Projections<T> projections;
  if (!projections.prepare(pool, kernels, parsed, parts)) return out_of_memory();
  const std::ptrdiff_t chunk = projections.describe(&p);
  for (const auto& result : parsed.results) prepare(result.array, steps * batch * result.width);
  constexpr std::ptrdiff_t slack = 64;  // numbers past the last row that a vector may read
  const std::ptrdiff_t states = p.state_size * (p.is_backward ? 3 : 2);
  const bool is_staged = p.mask || p.resets;
  const std::ptrdiff_t each_row =
      p.wide_size + p.sum_size + states + (is_staged ? p.staged_size : 0);
  const std::ptrdiff_t size =
      (p.local_size * p.block + each_row * p.rows + projections.scratch() + slack + 15) / 16 * 16;
  const std::ptrdiff_t count = (batch + p.rows - 1) / p.rows;
  const auto scratch = allocate<T>(size * count);
  const auto rows = allocate<std::ptrdiff_t>(chunk * count);
  if (!scratch || !rows) return out_of_memory();
  parallel(pool, count, Order::kByProcessor, [&](std::int64_t part) {
    const Range range(sizes, part);
    kernels.program(p, {range.begin, range.end, order, scratch.get() + part * size,
                        rows.get() + part * chunk});
  });
  return ffi::Error::Success();
}

ffi::Error program_any(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                       ffi::Span<const std::int64_t> program, ffi::Span<const double> numbers,
                       std::int64_t steps, std::int64_t batch, std::int64_t instruction_set,
                       bool reverse, bool is_double) {
  const InstructionSet* const set = find_instruction_set(instruction_set);
  if (!set) return ffi::Error::InvalidArgument("this processor lacks the instructions asked for");
  if (is_double)
    return run<double>(pool, set->f64, args, rets, program, numbers, steps, batch, reverse);
  return run<float>(pool, set->f32, args, rets, program, numbers, steps, batch, reverse);
}

}  // namespace
}  // namespace jaxrnn

extern "C" const char* jaxrnn_operations() { return jaxrnn::kNames; }

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_program, jaxrnn::program_any,
                              (jaxrnn::with_pool()
                                   .RemainingArgs()
                                   .RemainingRets()
                                   .Attr<jaxrnn::ffi::Span<const std::int64_t>>("program")
                                   .Attr<jaxrnn::ffi::Span<const double>>("numbers")
                                   .Attr<std::int64_t>("steps")
                                   .Attr<std::int64_t>("batch")
                                   .Attr<std::int64_t>("instruction_set")
                                   .Attr<bool>("reverse")
                                   .Attr<bool>("is_double")));
