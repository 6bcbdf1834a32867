// The functions that XLA calls, and those that Python asks about the library.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "arguments.h"
#include "kernels.h"
#include "threads.h"

namespace jaxrnn {
namespace {

// Of the functions below. _library.py asks for this one; a change here needs one there.
constexpr int kInterface = 1;

bool usable(int level) {
#ifdef __x86_64__
  if (level == 2)
    return kAvx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  if (level == 1) return kAvx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return level == 0;
}

// The kernels of a level, or of the best there is for a negative number; null if there are none.
const Level* find_level(std::int64_t level) {
  const Level* const levels[] = {kPlain, kAvx2, kAvx512};
  if (level < 0) {
    level = 2;
    while (!usable(level)) level--;
  }
  return level <= 2 && usable(level) ? levels[level] : nullptr;
}

template <class T>
const Kernels<T>& kernels_of(const Level& level) {
  if constexpr (std::is_same_v<T, float>) {
    return level.f32;
  } else {
    return level.f64;
  }
}

template <class T>
struct Free {
  void operator()(T* memory) const { std::free(memory); }
};

// Aligned to cache lines; null where `count` numbers are more than memory holds.
template <class T>
std::unique_ptr<T[], Free<T>> allocate(std::ptrdiff_t count) {
  std::size_t bytes;
  void* memory = nullptr;
  if (__builtin_mul_overflow(static_cast<std::size_t>(count), sizeof(T), &bytes) ||
      posix_memalign(&memory, 64, std::max<std::size_t>(bytes, 64)))
    memory = nullptr;
  return std::unique_ptr<T[], Free<T>>(static_cast<T*>(memory));
}

// How many parts of the batch run side by side. Waking a thread costs about as much as this work.
std::ptrdiff_t parts(const Sizes& sizes, int gates, ffi::ThreadPool& pool) {
  constexpr double least = 2e6;
  const double work = 2.0 * sizes.steps * sizes.batch * gates * sizes.hidden * sizes.hidden;
  const std::ptrdiff_t threads = work < least ? 1 : std::max<std::int64_t>(pool.num_threads(), 1);
  return std::min(threads, sizes.batch);
}

// Packs the recurrent kernel, and runs the parts of the batch. `columns` of a unit are G or 1.
template <class T, class Arrays, class Pack, class Run>
ffi::Error run(ffi::ThreadPool& pool, const Kernels<T>& kernels, Arrays& arrays, int gates,
               int columns, const T* recurrent, Pack pack, Run run_part) {
  Sizes& sizes = arrays.sizes;
  if (sizes.batch == 0) return ffi::Error::Success();
  const std::ptrdiff_t count = parts(sizes, gates, pool);
  sizes.rows = (sizes.batch + count - 1) / count;
  std::ptrdiff_t size = (sizes.hidden + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
  if (__builtin_mul_overflow(size, sizes.hidden * gates, &size))
    return ffi::Error::InvalidArgument("the recurrent kernel is too large");
  const auto packed = allocate<T>(size);
  const std::ptrdiff_t scratch_size = kernels.scratch(sizes);
  const auto scratch = allocate<T>(scratch_size * count);
  if (!packed || !scratch) return ffi::Error(ffi::ErrorCode::kResourceExhausted, "out of memory");
  arrays.packed = packed.get();
  const std::ptrdiff_t panels = kernels.panels(columns, sizes);
  const std::ptrdiff_t packers = std::min(count, panels);
  parallel(pool, packers, [&](std::int64_t part) {
    for (std::ptrdiff_t panel = part; panel < panels; panel += packers)
      pack(gates, sizes, recurrent, packed.get(), panel);
  });
  parallel(pool, count, [&](std::int64_t part) {
    const std::ptrdiff_t begin = std::min(part * sizes.rows, sizes.batch);
    const std::ptrdiff_t end = std::min(begin + sizes.rows, sizes.batch);
    run_part(arrays, begin, end, scratch.get() + part * scratch_size);
  });
  return ffi::Error::Success();
}

struct Call {
  const Level* level;
  Cell cell;
  Sizes sizes;
  int gates;
};

// The sizes of a call, from an array (T, B, G*H).
ffi::Error describe(const ffi::AnyBuffer& us, std::int64_t cell, std::int64_t level, bool reverse,
                    Call* call) {
  const auto dims = us.dimensions();
  if (cell < 0 || cell >= kCells || dims.size() != 3)
    return ffi::Error::InvalidArgument("no such cell, or an array that is not (T, B, G*H)");
  call->level = find_level(level);
  if (!call->level)
    return ffi::Error::InvalidArgument("this processor lacks the instructions asked for");
  call->cell = static_cast<Cell>(cell);
  call->gates = gates_of(call->cell);
  if (dims[2] == 0 || dims[2] % call->gates != 0)
    return ffi::Error::InvalidArgument("the last axis does not divide into gates");
  call->sizes = {dims[0], dims[1], dims[2] / call->gates, 0, reverse};
  return ffi::Error::Success();
}

using Buffer = ffi::AnyBuffer;
using Result = ffi::Result<ffi::AnyBuffer>;

template <class T>
ffi::Error forward(ffi::ThreadPool& pool, const Call& call, Buffer recurrent, Buffer recurrent_bias,
                   Buffer h, Buffer memory, Buffer initial_h, Buffer initial_memory, Buffer us,
                   Buffer mask, Buffer resets, Result last_h, Result last_memory, Result ys,
                   Result gates, Result previous, Result extra) {
  Arguments args(us.element_type());
  const std::ptrdiff_t steps = call.sizes.steps, batch = call.sizes.batch;
  const std::ptrdiff_t hidden = call.sizes.hidden, wide = hidden * call.gates;
  const bool remembers = has_memory(call.cell), is_gru = call.cell == Cell::kGru;
  Forward<T> f = {};
  f.sizes = call.sizes;
  const T* kernel = args.array<const T>("recurrent_kernel", recurrent, {hidden, wide});
  f.recurrent_bias = args.optional<const T>("recurrent_bias", recurrent_bias, {hidden});
  f.h = args.array<const T>("h", h, {batch, hidden});
  f.memory = args.optional<const T>("c", memory, {batch, hidden});
  f.initial_h = args.optional<const T>("initial h", initial_h, {batch, hidden});
  f.initial_memory = args.optional<const T>("initial c", initial_memory, {batch, hidden});
  f.us = args.array<const T>("us", us, {steps, batch, wide});
  f.mask = args.optional<const bool>("mask", mask, {steps, batch});
  f.resets = args.optional<const bool>("resets", resets, {steps, batch});
  f.last_h = args.array<T>("last h", *last_h, {batch, hidden});
  f.last_memory = args.optional<T>("last c", *last_memory, {batch, hidden});
  f.ys = args.array<T>("ys", *ys, {steps, batch, hidden});
  f.gates = args.optional<T>("gates", *gates, {steps, batch, wide});
  f.previous = args.optional<T>("previous", *previous, {steps, batch, hidden});
  f.extra = args.optional<T>("extra", *extra, {steps, batch, hidden});
  args.require(!remembers || (f.memory && f.last_memory), "an LSTM needs c");
  args.require(!is_gru || f.recurrent_bias, "a GRU needs recurrent_bias");
  args.require(!f.resets || (f.initial_h && (!remembers || f.initial_memory)),
               "resets need the carry that they return to");
  args.require(!f.gates == !f.previous && (!f.gates || f.extra || !(remembers || is_gru)),
               "what the derivative needs is kept as a whole or not at all");
  if (args.error().failure()) return args.error();
  const Kernels<T>& kernels = kernels_of<T>(*call.level);
  return run(pool, kernels, f, call.gates, call.gates, kernel, kernels.pack_forward,
             kernels.forward[static_cast<int>(call.cell)]);
}

template <class T>
ffi::Error backward(ffi::ThreadPool& pool, const Call& call, Buffer recurrent, Buffer gates,
                    Buffer previous, Buffer extra, Buffer dlast_h, Buffer dlast_memory, Buffer dys,
                    Buffer mask, Buffer resets, Result dus, Result dvs, Result dh, Result dmemory,
                    Result dinitial_h, Result dinitial_memory) {
  Arguments args(gates.element_type());
  const std::ptrdiff_t steps = call.sizes.steps, batch = call.sizes.batch;
  const std::ptrdiff_t hidden = call.sizes.hidden, wide = hidden * call.gates;
  const bool remembers = has_memory(call.cell), is_gru = call.cell == Cell::kGru;
  Backward<T> b = {};
  b.sizes = call.sizes;
  const T* kernel = args.array<const T>("recurrent_kernel", recurrent, {hidden, wide});
  b.gates = args.array<const T>("gates", gates, {steps, batch, wide});
  b.previous = args.array<const T>("previous", previous, {steps, batch, hidden});
  b.extra = args.optional<const T>("extra", extra, {steps, batch, hidden});
  b.mask = args.optional<const bool>("mask", mask, {steps, batch});
  b.resets = args.optional<const bool>("resets", resets, {steps, batch});
  b.dlast_h = args.array<const T>("cotangent of h", dlast_h, {batch, hidden});
  b.dlast_memory = args.optional<const T>("cotangent of c", dlast_memory, {batch, hidden});
  b.dys = args.array<const T>("cotangent of ys", dys, {steps, batch, hidden});
  b.dus = args.array<T>("cotangent of us", *dus, {steps, batch, wide});
  b.dvs = args.optional<T>("cotangent of vs", *dvs, {steps, batch, wide});
  b.dh = args.array<T>("cotangent of h", *dh, {batch, hidden});
  b.dmemory = args.optional<T>("cotangent of c", *dmemory, {batch, hidden});
  b.dinitial_h = args.array<T>("cotangent of initial h", *dinitial_h, {batch, hidden});
  b.dinitial_memory =
      args.optional<T>("cotangent of initial c", *dinitial_memory, {batch, hidden});
  args.require(!remembers || (b.dlast_memory && b.dmemory && b.dinitial_memory),
               "an LSTM needs c");
  args.require(b.extra || !(remembers || is_gru), "an LSTM and a GRU need extra");
  args.require(!b.dvs == !is_gru, "the cotangent of vs is that of us but for a GRU");
  if (args.error().failure()) return args.error();
  if (!b.dvs) b.dvs = b.dus;
  const Kernels<T>& kernels = kernels_of<T>(*call.level);
  return run(pool, kernels, b, call.gates, 1, kernel, kernels.pack_backward,
             kernels.backward[static_cast<int>(call.cell)]);
}

ffi::Error no_kernel() { return ffi::Error::InvalidArgument("only float32 and float64 have kernels"); }

ffi::Error forward_any(ffi::ThreadPool pool, Buffer recurrent, Buffer recurrent_bias, Buffer h,
                       Buffer memory, Buffer initial_h, Buffer initial_memory, Buffer us,
                       Buffer mask, Buffer resets, Result last_h, Result last_memory, Result ys,
                       Result gates, Result previous, Result extra, std::int64_t cell,
                       std::int64_t level, bool reverse) {
  Call call;
  ffi::Error error = describe(us, cell, level, reverse, &call);
  if (error.failure()) return error;
  const auto dtype = us.element_type();
  if (dtype != ffi::DataType::F32 && dtype != ffi::DataType::F64) return no_kernel();
  return (dtype == ffi::DataType::F32 ? forward<float> : forward<double>)(
      pool, call, recurrent, recurrent_bias, h, memory, initial_h, initial_memory, us, mask, resets,
      last_h, last_memory, ys, gates, previous, extra);
}

ffi::Error backward_any(ffi::ThreadPool pool, Buffer recurrent, Buffer gates, Buffer previous,
                        Buffer extra, Buffer dlast_h, Buffer dlast_memory, Buffer dys, Buffer mask,
                        Buffer resets, Result dus, Result dvs, Result dh,
                        Result dmemory, Result dinitial_h, Result dinitial_memory,
                        std::int64_t cell, std::int64_t level, bool reverse) {
  Call call;
  ffi::Error error = describe(gates, cell, level, reverse, &call);
  if (error.failure()) return error;
  const auto dtype = gates.element_type();
  if (dtype != ffi::DataType::F32 && dtype != ffi::DataType::F64) return no_kernel();
  return (dtype == ffi::DataType::F32 ? backward<float> : backward<double>)(
      pool, call, recurrent, gates, previous, extra, dlast_h, dlast_memory, dys, mask, resets, dus,
      dvs, dh, dmemory, dinitial_h, dinitial_memory);
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_forward, jaxrnn::forward_any,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("cell")
                                  .Attr<std::int64_t>("level")
                                  .Attr<bool>("reverse"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_backward, jaxrnn::backward_any,
                              xla::ffi::Ffi::Bind()
                                  .Ctx<xla::ffi::ThreadPool>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Arg<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Ret<xla::ffi::AnyBuffer>()
                                  .Attr<std::int64_t>("cell")
                                  .Attr<std::int64_t>("level")
                                  .Attr<bool>("reverse"));

extern "C" int jaxrnn_interface() { return jaxrnn::kInterface; }

extern "C" bool jaxrnn_has_level(int level) { return jaxrnn::usable(level); }
