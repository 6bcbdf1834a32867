// Products over all rows of a sequence: jaxrnn_rows, with a matrix; jaxrnn_outer, for its gradient.
#include <cstring>

#include "real.h"

namespace jaxrnn {
namespace {

// The threads that repay being woken for `products` products of numbers.
std::ptrdiff_t threads_for(const ffi::ThreadPool& pool, double products) {
  constexpr double least = 1e6;
  return products < least ? 1 : std::max<std::int64_t>(pool.num_threads(), 1);
}

// Rows (T, B, depth) times a matrix, plus a bias. Where a mask excludes the row, zero, or what was
// there before if nobody reads it.
template <class T>
ffi::Error rows_of(ffi::ThreadPool& pool, const Kernels<T>& kernels, const Buffer& a,
                   const Buffer& matrix, const Buffer& bias, const Buffer& mask,
                   const Buffer& out, bool is_transposed, bool has_zeros) {
  const auto dims = a.dimensions(), out_dims = out.dimensions();
  if (dims.size() != 3 || out_dims.size() != 3)
    return ffi::Error::InvalidArgument("products of rows take and give arrays (T, B, width)");
  const std::ptrdiff_t steps = dims[0], batch = dims[1], depth = dims[2], units = out_dims[2];
  const std::ptrdiff_t total = steps * batch;
  Arguments args;
  const T* const rows = args.array<const T>("rows", a, {steps, batch, depth});
  const T* const weights =
      is_transposed ? args.array<const T>("matrix", matrix, {units, depth})
                    : args.array<const T>("matrix", matrix, {depth, units});
  const T* const added = args.optional<const T>("bias", bias, {units});
  const bool* const real_rows = args.optional<const bool>("mask", mask, {steps, batch});
  T* const to = args.array<T>("result", out, {steps, batch, units});
  if (args.error().failure()) return args.error();
  prepare(to, total * units);
  Real real;
  if (!real.find(real_rows, total)) return out_of_memory();
  const std::ptrdiff_t threads = threads_for(pool, 1.0 * real.count * depth * units);
  Sizes sizes = {};
  sizes.inputs = units;
  sizes.hidden = depth;
  const Packing packing = kernels.transposed_projection(sizes, 1);
  const auto packing_of = is_transposed ? kernels.pack_transposed : kernels.pack;
  const auto memory = packed(pool, kernels, packing, weights, packing_of, threads);
  const std::ptrdiff_t size = real.numbers ? kernels.inputs_scratch(depth) : 0;
  const auto scratch = allocate<T>(size * threads);
  constexpr std::ptrdiff_t most_lanes = 64;  // a panel ends with a whole vector
  const std::ptrdiff_t padded = added ? units + most_lanes : 0;
  const auto biases = allocate<T>(padded);
  if (!memory || !scratch || !biases) return out_of_memory();
  if (added) {
    std::memset(biases.get(), 0, padded * sizeof(T));
    std::memcpy(biases.get(), added, units * sizeof(T));
  }
  const Inputs<T> inputs = {memory.get(), rows, units, depth, to, real.numbers.get(),
                            added ? biases.get() : nullptr};
  parallel(pool, threads, Order::kInOrder, [&](std::int64_t part) {
    const Share all(total, part, threads), share(real.count, part, threads);
    for (std::ptrdiff_t row = all.begin; has_zeros && real.numbers && row < all.end; row++)
      if (!real_rows[row]) std::memset(to + row * units, 0, units * sizeof(T));
    kernels.inputs(inputs, share.begin, share.end, scratch.get() + part * size);
  });
  return ffi::Error::Success();
}

// The rows that stand before each real step: those after the step before it, or `first`, or the ones
// that resets restore. Null if memory runs out.
template <class T>
Memory<const T*> rows_before(const T* first, const T* initial, const T* after, const bool* mask,
                             const bool* resets, std::ptrdiff_t steps, std::ptrdiff_t batch,
                             std::ptrdiff_t width, const Real& real, bool reverse) {
  auto rows = allocate<const T*>(real.count), last = allocate<const T*>(batch);
  if (!rows || !last) return nullptr;
  for (std::ptrdiff_t row = 0; row < batch; row++) last[row] = first + row * width;
  const T** next = reverse ? rows.get() + real.count : rows.get();
  for (std::ptrdiff_t i = 0; i < steps * batch; i++) {
    const std::ptrdiff_t number = reverse ? steps * batch - 1 - i : i, row = number % batch;
    if (mask && !mask[number]) continue;
    *(reverse ? --next : next++) =
        resets && resets[number] ? initial + row * width : last[row];
    last[row] = after + number * width;
  }
  return rows;
}

// The sum over the rows of outer products of a and columns of b from `begin` on, and the sum of
// those. Where there is `first`, `a` is one step behind: its rows follow those of `first`, or those
// of `initial` where there are resets.
template <class T>
ffi::Error outer_of(ffi::ThreadPool& pool, const Kernels<T>& kernels, const Buffer& first,
                    const Buffer& initial, const Buffer& rest, const Buffer& b,
                    const Buffer& mask, const Buffer& resets, const Buffer& out,
                    const Buffer& sum, std::ptrdiff_t begin, bool reverse) {
  const auto dims = b.dimensions(), a_dims = rest.dimensions(), sums = sum.dimensions();
  if (dims.size() != 3 || a_dims.size() != 3 || sums.size() != 1)
    return ffi::Error::InvalidArgument("outer products take arrays (T, B, width)");
  const std::ptrdiff_t steps = dims[0], batch = dims[1], stride = dims[2];
  const std::ptrdiff_t height = a_dims[2], width = sums[0];
  Arguments args;
  const T* const h = args.optional<const T>("first", first, {batch, height});
  const T* const restored = args.optional<const T>("initial", initial, {batch, height});
  const T* const a = args.array<const T>("a", rest, {steps, batch, height});
  const T* right = args.array<const T>("b", b, {steps, batch, stride});
  const bool* const real_rows = args.optional<const bool>("mask", mask, {steps, batch});
  const bool* const is_reset = args.optional<const bool>("resets", resets, {steps, batch});
  T* const to = args.array<T>("result", out, {height, width});
  T* const total_of_b = args.array<T>("sum", sum, {width});
  args.require(!is_reset || (h && restored), "resets restore rows");
  args.require(begin >= 0 && begin <= stride - width, "b lacks the columns asked for");
  if (args.error().failure()) return args.error();
  right += begin;
  const std::ptrdiff_t total = steps * batch, later = total - batch;
  Real real;
  if (!real.find(real_rows, total)) return out_of_memory();
  Outer<T> outer = {{}, height, width, stride, width, to, total_of_b};
  Memory<const T*> before;
  if (!h || total == 0) {
    outer.rows[0] = {a, right, real.count, real.numbers.get()};
  } else if (real.numbers || is_reset) {
    before = rows_before(h, restored, a, real_rows, is_reset, steps, batch, height, real, reverse);
    if (!before) return out_of_memory();
    outer.rows[0] = {nullptr, right, real.count, real.numbers.get(), before.get()};
  } else {
    outer.rows[0] = {h, right + (reverse ? later * stride : 0), batch, nullptr};
    outer.rows[1] = {a + (reverse ? batch * height : 0), right + (reverse ? 0 : batch * stride),
                     later, nullptr};
  }
  const std::ptrdiff_t panels = kernels.outer_panels(width);
  const std::ptrdiff_t parts = std::min(threads_for(pool, 1.0 * real.count * width * height),
                                        std::max<std::ptrdiff_t>(panels, 1));
  const std::ptrdiff_t size = kernels.outer_scratch(height, (panels + parts - 1) / parts);
  const auto scratch = allocate<T>(size * parts);
  if (!scratch) return out_of_memory();
  parallel(pool, parts, Order::kInOrder, [&](std::int64_t part) {
    const Share share(panels, part, parts);
    if (share.begin < share.end)
      kernels.outer(outer, share.begin, share.end, scratch.get() + part * size);
  });
  return ffi::Error::Success();
}

// Calls `run` with the kernels for the dtype of `like`.
template <class Run>
ffi::Error with_kernels(const Buffer& like, std::int64_t instruction_set, Run run) {
  const InstructionSet* const set = find_instruction_set(instruction_set);
  if (!set) return ffi::Error::InvalidArgument("this processor lacks the instructions asked for");
  if (like.element_type() == ffi::DataType::F64) return run(set->f64);
  return run(set->f32);
}

ffi::Error rows_any(ffi::ThreadPool pool, Buffer a, Buffer matrix, Buffer bias, Buffer mask,
                    Result out, std::int64_t instruction_set, bool is_transposed,
                    bool has_zeros) {
  return with_kernels(a, instruction_set, [&](const auto& kernels) {
    return rows_of(pool, kernels, a, matrix, bias, mask, *out, is_transposed, has_zeros);
  });
}

ffi::Error outer_any(ffi::ThreadPool pool, Buffer first, Buffer initial, Buffer a, Buffer b,
                     Buffer mask, Buffer resets, Result out, Result sum,
                     std::int64_t instruction_set, std::int64_t begin, bool reverse) {
  return with_kernels(b, instruction_set, [&](const auto& kernels) {
    return outer_of(pool, kernels, first, initial, a, b, mask, resets, *out, *sum, begin, reverse);
  });
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_rows, jaxrnn::rows_any,
                              (jaxrnn::with_pool()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Ret<jaxrnn::Buffer>()
                                   .Attr<std::int64_t>("instruction_set")
                                   .Attr<bool>("is_transposed")
                                   .Attr<bool>("has_zeros")));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_outer, jaxrnn::outer_any,
                              (jaxrnn::with_pool()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Ret<jaxrnn::Buffer>()
                                   .Ret<jaxrnn::Buffer>()
                                   .Attr<std::int64_t>("instruction_set")
                                   .Attr<std::int64_t>("begin")
                                   .Attr<bool>("reverse")));
