// The functions that XLA calls, and those that Python asks about the library.
#include <algorithm>
#include <memory>
#include <new>

#include "allocation.h"
#include "arguments.h"
#include "kernels.h"
#include "threads.h"

namespace jaxrnn {
namespace {

// Of the functions below. _library.py asks for this one; a change here needs one there.
constexpr int kInterface = 3;

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

template <class S>
const Kernels<S>& kernels_of(const Level& level) {
  if constexpr (std::is_same_v<S, float>) return level.f32;
  if constexpr (std::is_same_v<S, double>) return level.f64;
  if constexpr (std::is_same_v<S, Bfloat16>) return level.bf16;
}

ffi::Error out_of_memory() {
  return ffi::Error(ffi::ErrorCode::kResourceExhausted, "out of memory");
}

// What a call is for.
struct Call {
  ffi::ThreadPool& pool;
  const Level* level;
  Cell cell;
  Sizes sizes;
  int gates;

  // In how many parts the work runs side by side. Waking a thread costs about as much as this work.
  std::ptrdiff_t parts(std::ptrdiff_t most) const {
    constexpr double least = 2e6;
    const double rows = 2.0 * sizes.steps * sizes.batch;
    const double work = rows * gates * sizes.hidden * (sizes.hidden + sizes.inputs);
    const std::ptrdiff_t threads = work < least ? 1 : std::max<std::int64_t>(pool.num_threads(), 1);
    return std::min(threads, most);
  }

  // A matrix, packed, by several threads if it is large; null where there is no memory for it.
  template <class S, class Pack>
  Memory<Wide<S>> packed(const Kernels<S>& kernels, const Packing& packing, const S* matrix,
                         Pack pack) const {
    constexpr std::ptrdiff_t large = 1 << 17;
    const std::ptrdiff_t size = kernels.packed_size(packing), panels = kernels.panels(packing);
    auto memory = allocate<Wide<S>>(size);
    if (!memory) return memory;
    const std::ptrdiff_t packers = size < large ? 1 : parts(panels);
    parallel(pool, packers, Order::kFirstOnesFirst, [&](std::int64_t part) {
      for (std::ptrdiff_t panel = part; panel < panels; panel += packers)
        pack(packing, matrix, memory.get(), panel);
    });
    return memory;
  }
};

// The call, from h (B, H) and an array (T, B, ...).
ffi::Error describe(const ffi::AnyBuffer& h, const ffi::AnyBuffer& sequence, std::int64_t cell,
                    std::int64_t level, bool reverse, Call* call) {
  const auto rows = h.dimensions(), dims = sequence.dimensions();
  if (cell < 0 || cell >= kCells || dims.size() != 3 || rows.size() != 2 || rows[1] == 0)
    return ffi::Error::InvalidArgument("no such cell, h not (B, H), or no sequence (T, B, ...)");
  call->level = find_level(level);
  if (!call->level)
    return ffi::Error::InvalidArgument("this processor lacks the instructions asked for");
  call->cell = static_cast<Cell>(cell);
  call->gates = gates_of(call->cell);
  call->sizes = {dims[0], dims[1], 0, rows[1], 0, 1, reverse};
  return ffi::Error::Success();
}

// Divides the rows among the threads, or, where the rows are too few, a few threads among the units
// of each part.
void divide(const Call& call, Sizes* sizes) {
  constexpr double least = 1 << 13;  // products of a member at each step, for which to wait for it
  constexpr double small = 1 << 18;  // numbers of a recurrent kernel that stays in the cache
  constexpr std::ptrdiff_t several = 8;  // rows that are worth reading it for
  const std::ptrdiff_t threads = call.parts(PTRDIFF_MAX);
  std::ptrdiff_t count = std::min(threads, sizes->batch);
  const double numbers = 1.0 * call.gates * sizes->hidden * sizes->hidden;
  // Smaller parts leave less to wait for where a thread comes late.
  while (threads > 1 && numbers <= small && count < 4 * threads && sizes->batch >= 2 * count * several)
    count *= 2;
  sizes->rows = (sizes->batch + count - 1) / count;
  const double useful = sizes->rows * numbers / least;
  sizes->members = std::max<std::ptrdiff_t>(std::min(1.0 * threads / count, useful), 1);
}

// Runs the parts of the batch, each with scratch of its own.
template <class T, class Run>
ffi::Error run_rows(const Call& call, const Sizes& sizes, std::ptrdiff_t scratch_size, Run run) {
  const std::ptrdiff_t count = (sizes.batch + sizes.rows - 1) / sizes.rows, most = sizes.members;
  const auto scratch = allocate<T>(scratch_size * count * most);
  const std::unique_ptr<Seat[]> seats(new (std::nothrow) Seat[count * most]());
  if (!scratch || !seats) return out_of_memory();
  // Who joins a crew comes after its leader.
  const Order order = most > 1 ? Order::kFirstOnesFirst : Order::kByProcessor;
  parallel(call.pool, count * most, order, [&](std::int64_t turn) {
    const std::ptrdiff_t part = turn % count, begin = part * sizes.rows;
    run(Part<T>{begin, std::min(begin + sizes.rows, sizes.batch),
                scratch.get() + part * most * scratch_size, &seats[part * most], turn < count});
  });
  return ffi::Error::Success();
}

// Runs one step of one sequence.
template <class S>
ffi::Error run_single(const Call& call, const Kernels<S>& kernels, const Forward<S>& f) {
  using T = Wide<S>;
  constexpr std::ptrdiff_t lanes = 64;  // as many as a vector may have
  const std::ptrdiff_t scratch_size = f.sizes.inputs + f.sizes.hidden + 2 * lanes;
  const std::ptrdiff_t blocks = kernels.single_blocks(f.sizes.hidden);
  const std::ptrdiff_t turns = call.parts(blocks);
  const auto scratch = allocate<T>(sizeof(S) < sizeof(T) ? scratch_size * turns : 0);
  if (!scratch) return out_of_memory();
  parallel(call.pool, turns, Order::kByProcessor, [&](std::int64_t turn) {
    kernels.single[static_cast<int>(call.cell)](f, blocks * turn / turns,
                                                blocks * (turn + 1) / turns,
                                                scratch.get() + turn * scratch_size);
  });
  return ffi::Error::Success();
}

using Buffer = ffi::AnyBuffer;
using Result = ffi::Result<ffi::AnyBuffer>;

template <class S>
ffi::Error forward(Call call, Buffer kernel, Buffer bias, Buffer recurrent, Buffer recurrent_bias,
                   Buffer h, Buffer memory, Buffer initial_h, Buffer initial_memory, Buffer sequence,
                   Buffer mask, Buffer resets, Result last_h, Result last_memory, Result ys,
                   Result gates, Result previous, Result extra) {
  using T = Wide<S>;
  Arguments args;
  const bool projects = !is_absent(kernel);
  Sizes& sizes = call.sizes;
  sizes.inputs = projects ? sequence.dimensions()[2] : 0;
  const std::ptrdiff_t steps = sizes.steps, batch = sizes.batch, hidden = sizes.hidden;
  const std::ptrdiff_t wide = hidden * call.gates;
  const bool remembers = has_memory(call.cell), is_gru = call.cell == Cell::kGru;
  Forward<S> f = {};
  const S* input_matrix = args.optional<const S>("kernel", kernel, {sizes.inputs, wide});
  const S* bias_row = args.optional<const S>("bias", bias, {wide});
  const S* matrix = args.array<const S>("recurrent_kernel", recurrent, {hidden, wide});
  f.recurrent_bias = args.optional<const S>("recurrent_bias", recurrent_bias, {hidden});
  f.h = args.array<const S>("h", h, {batch, hidden});
  f.memory = args.optional<const S>("c", memory, {batch, hidden});
  f.initial_h = args.optional<const S>("initial h", initial_h, {batch, hidden});
  f.initial_memory = args.optional<const S>("initial c", initial_memory, {batch, hidden});
  if (projects) {
    f.xs = args.array<const S>("xs", sequence, {steps, batch, sizes.inputs});
  } else {
    f.us = args.array<const T>("us", sequence, {steps, batch, wide});
  }
  f.mask = args.optional<const bool>("mask", mask, {steps, batch});
  f.resets = args.optional<const bool>("resets", resets, {steps, batch});
  f.last_h = args.array<S>("last h", *last_h, {batch, hidden});
  f.last_memory = args.optional<S>("last c", *last_memory, {batch, hidden});
  f.ys = args.array<S>("ys", *ys, {steps, batch, hidden});
  f.gates = args.optional<T>("gates", *gates, {steps, batch, wide});
  f.previous = args.optional<S>("previous", *previous, {steps, batch, hidden});
  f.extra = args.optional<T>("extra", *extra, {steps, batch, hidden});
  args.require(projects == !!bias_row, "a kernel needs a bias");
  args.require(!remembers || (f.memory && f.last_memory), "an LSTM needs c");
  args.require(!is_gru || f.recurrent_bias, "a GRU needs recurrent_bias");
  args.require(!f.resets || (f.initial_h && (!remembers || f.initial_memory)),
               "resets need the carry that they return to");
  args.require(!f.gates || f.extra || !(remembers || is_gru),
               "what the derivative needs is kept as a whole or not at all");
  if (args.error().failure()) return args.error();
  if (batch == 0) return ffi::Error::Success();

  const Kernels<S>& kernels = kernels_of<S>(*call.level);
  const bool has_flags = f.mask || f.resets;
  if (steps * batch == 1 && projects && !has_flags && !f.gates) {
    f.sizes = sizes;
    f.kernel = input_matrix;
    f.bias = bias_row;
    f.recurrent = matrix;
    return run_single(call, kernels, f);
  }
  divide(call, &sizes);
  f.sizes = sizes;
  const std::ptrdiff_t units = steps * batch * hidden;
  prepare(f.gates, units * call.gates);
  prepare(f.ys, units);
  prepare(f.previous, units);
  prepare(f.extra, units);
  const Packing recurrence = kernels.recurrence(sizes, call.gates);
  const auto packed = call.packed(kernels, recurrence, matrix, kernels.pack);
  Memory<T> packed_kernel, packed_bias;
  if (projects) {
    Packing projection = kernels.projection(sizes, call.gates);
    packed_kernel = call.packed(kernels, projection, input_matrix, kernels.pack);
    projection.depth = 1;
    packed_bias = call.packed(kernels, projection, bias_row, kernels.pack);
  }
  if (!packed || (projects && !(packed_kernel && packed_bias))) return out_of_memory();
  f.packed = packed.get();
  f.packed_kernel = packed_kernel.get();
  f.packed_bias = packed_bias.get();
  const auto run = kernels.forward[static_cast<int>(call.cell)];
  return run_rows<T>(call, sizes, kernels.forward_scratch(sizes, call.gates),
                     [&](const Part<T>& part) { run(f, part); });
}

template <class S>
ffi::Error backward(Call call, Buffer recurrent, Buffer gates, Buffer extra, Buffer previous,
                    Buffer h, Buffer ys, Buffer dlast_h, Buffer dlast_memory, Buffer dys,
                    Buffer mask, Buffer resets, Result dus, Result dvs, Result dh, Result dmemory,
                    Result dinitial_h, Result dinitial_memory) {
  using T = Wide<S>;
  Arguments args;
  Sizes& sizes = call.sizes;
  const std::ptrdiff_t steps = sizes.steps, batch = sizes.batch, hidden = sizes.hidden;
  const std::ptrdiff_t wide = hidden * call.gates;
  const bool remembers = has_memory(call.cell), is_gru = call.cell == Cell::kGru;
  Backward<S> b = {};
  const S* matrix = args.array<const S>("recurrent_kernel", recurrent, {hidden, wide});
  b.gates = args.optional<const T>("gates", gates, {steps, batch, wide});
  b.extra = args.optional<const T>("extra", extra, {steps, batch, hidden});
  b.previous = args.optional<const S>("previous", previous, {steps, batch, hidden});
  b.h = args.array<const S>("h", h, {batch, hidden});
  b.ys = args.array<const S>("ys", ys, {steps, batch, hidden});
  b.mask = args.optional<const bool>("mask", mask, {steps, batch});
  b.resets = args.optional<const bool>("resets", resets, {steps, batch});
  b.dlast_h = args.array<const S>("cotangent of h", dlast_h, {batch, hidden});
  b.dlast_memory = args.optional<const S>("cotangent of c", dlast_memory, {batch, hidden});
  b.dys = args.array<const S>("cotangent of ys", dys, {steps, batch, hidden});
  b.dus = args.array<T>("cotangent of us", *dus, {steps, batch, wide});
  b.dvs = args.optional<T>("cotangent of vs", *dvs, {steps, batch, hidden});
  b.dh = args.array<S>("cotangent of h", *dh, {batch, hidden});
  b.dmemory = args.optional<S>("cotangent of c", *dmemory, {batch, hidden});
  b.dinitial_h = args.array<S>("cotangent of initial h", *dinitial_h, {batch, hidden});
  b.dinitial_memory =
      args.optional<S>("cotangent of initial c", *dinitial_memory, {batch, hidden});
  args.require(!remembers || (b.dlast_memory && b.dmemory && b.dinitial_memory),
               "an LSTM needs c");
  args.require(b.extra || !(remembers || is_gru), "an LSTM and a GRU need extra");
  args.require(b.previous || !(b.mask || b.resets), "with a mask or resets, previous is needed");
  args.require(b.gates || (call.gates == 1 && !b.previous && std::is_same_v<S, T>),
               "the gates are needed where ys do not tell them");
  args.require(!b.dvs == !is_gru, "a GRU alone has a cotangent of vs");
  if (args.error().failure()) return args.error();
  if (batch == 0) return ffi::Error::Success();

  const Kernels<S>& kernels = kernels_of<S>(*call.level);
  divide(call, &sizes);
  b.sizes = sizes;
  if (b.dus != b.gates) prepare(b.dus, steps * batch * wide);
  const Packing packing = kernels.transposed_recurrence(sizes, call.gates);
  const auto packed = call.packed(kernels, packing, matrix, kernels.pack_transposed);
  if (!packed) return out_of_memory();
  b.packed = packed.get();
  const auto run = kernels.backward[static_cast<int>(call.cell)];
  return run_rows<T>(call, sizes, kernels.backward_scratch(sizes, call.gates),
                     [&](const Part<T>& part) { run(b, part); });
}

// Of the rows or panels of a product, those of one part.
struct Share {
  std::ptrdiff_t begin, end;

  Share(std::ptrdiff_t size, std::ptrdiff_t part, std::ptrdiff_t parts) {
    const std::ptrdiff_t each = (size + parts - 1) / parts;
    begin = std::min(part * each, size);
    end = std::min(begin + each, size);
  }
};

template <class S>
ffi::Error gradients(Call call, Buffer kernel, Buffer xs, Buffer previous, Buffer h, Buffer ys,
                     Buffer dus, Buffer dvs, Result dkernel, Result dbias, Result drecurrent,
                     Result drecurrent_bias, Result dxs) {
  using T = Wide<S>;
  Arguments args;
  Sizes& sizes = call.sizes;
  const bool projects = !is_absent(xs);
  sizes.inputs = projects && xs.dimensions().size() == 3 ? xs.dimensions()[2] : 0;
  const std::ptrdiff_t steps = sizes.steps, batch = sizes.batch, hidden = sizes.hidden;
  const std::ptrdiff_t wide = hidden * call.gates, width = sizes.inputs;
  const std::ptrdiff_t total = steps * batch;
  const S* matrix = args.optional<const S>("kernel", kernel, {width, wide});
  const S* x = args.optional<const S>("xs", xs, {steps, batch, width});
  const S* before = args.optional<const S>("previous", previous, {steps, batch, hidden});
  const S* start = args.array<const S>("h", h, {batch, hidden});
  const S* y = args.array<const S>("ys", ys, {steps, batch, hidden});
  const T* du = args.array<const T>("cotangent of us", dus, {steps, batch, wide});
  const T* dv = args.optional<const T>("cotangent of vs", dvs, {steps, batch, hidden});
  S* by_input = args.optional<S>("cotangent of kernel", *dkernel, {width, wide});
  S* sums = args.optional<S>("cotangent of bias", *dbias, {wide});
  S* by_carry = args.optional<S>("cotangent of recurrent_kernel", *drecurrent, {hidden, wide});
  S* dv_sums = args.optional<S>("cotangent of recurrent_bias", *drecurrent_bias, {hidden});
  Inputs<S> inputs = {};
  inputs.dxs = args.optional<S>("cotangent of xs", *dxs, {steps, batch, width});
  const bool of_weights = !is_absent(*drecurrent);
  args.require((projects && of_weights) == !is_absent(*dkernel) &&
                   is_absent(*dkernel) == is_absent(*dbias),
               "the cotangents of the weights are asked for as a whole or not at all");
  args.require(!inputs.dxs || (projects && matrix), "the cotangent of xs needs the kernel");
  args.require(!dv == (call.cell != Cell::kGru), "a GRU alone has a cotangent of vs");
  if (args.error().failure()) return args.error();
  // Of the outer products with the h before each step, `columns` from number `first` on.
  const auto outer_of_h = [&](const T* b, std::ptrdiff_t stride, std::ptrdiff_t first,
                              std::ptrdiff_t columns, S* sums) {
    Outer<S> outer = {{}, hidden, columns, stride, wide, by_carry + first, sums};
    if (before || total == 0) {
      outer.rows[0] = {before, b, total};
    } else {  // each step begins with the output of its neighbour, and the first with h
      const std::ptrdiff_t rest = total - batch;
      const bool reverse = sizes.reverse;
      outer.rows[0] = {start, b + (reverse ? rest * stride : 0), batch};
      outer.rows[1] = {y + (reverse ? batch * hidden : 0), b + (reverse ? 0 : batch * stride), rest};
    }
    return outer;
  };
  Outer<S> outers[3];
  int count = 0;
  if (of_weights) {
    const std::ptrdiff_t shared = dv ? wide - hidden : wide;
    outers[count++] = outer_of_h(du, wide, 0, shared, nullptr);
    if (projects) outers[count++] = {{{x, du, total}, {}}, width, wide, wide, wide, by_input, sums};
    if (dv) outers[count++] = outer_of_h(dv, hidden, shared, hidden, dv_sums);
  }

  const Kernels<S>& kernels = kernels_of<S>(*call.level);
  const std::ptrdiff_t threads = std::max<std::ptrdiff_t>(call.parts(total), 1);
  Memory<T> packed;
  if (inputs.dxs) {
    const Packing packing = kernels.transposed_projection(sizes, call.gates);
    packed = call.packed(kernels, packing, matrix, kernels.pack_transposed);
    if (!packed) return out_of_memory();
    inputs.packed = packed.get();
    inputs.dus = du;
    inputs.inputs = width;
    inputs.depth = wide;
  }
  const std::ptrdiff_t panels = kernels.outer_panels(wide), parts = std::min(threads, panels);
  const std::ptrdiff_t most = (panels + parts - 1) / parts, outer_turns = count * parts;
  const std::ptrdiff_t scratch_size = kernels.outer_scratch(std::max(width, hidden), most);
  const auto scratch = allocate<T>(scratch_size * outer_turns);
  if (!scratch) return out_of_memory();
  const std::ptrdiff_t turns = outer_turns + (inputs.dxs ? threads : 0);
  parallel(call.pool, turns, Order::kFirstOnesFirst, [&](std::int64_t turn) {
    if (turn >= outer_turns) {
      const Share rows(total, turn - outer_turns, threads);
      return kernels.inputs(inputs, rows.begin, rows.end);
    }
    const Outer<S>& outer = outers[turn / parts];
    const Share share(kernels.outer_panels(outer.width), turn % parts, parts);
    if (share.begin < share.end)
      kernels.outer(outer, share.begin, share.end, scratch.get() + turn * scratch_size);
  });
  return ffi::Error::Success();
}

ffi::Error no_kernel() {
  return ffi::Error::InvalidArgument("only float32, float64 and bfloat16 have kernels");
}

// Calls `run(a number of the type of dtype)`.
template <class Run>
ffi::Error by_dtype(ffi::DataType dtype, Run run) {
  if (dtype == ffi::DataType::F32) return run(float{});
  if (dtype == ffi::DataType::F64) return run(double{});
  if (dtype == ffi::DataType::BF16) return run(Bfloat16{});
  return no_kernel();
}

ffi::Error forward_any(ffi::ThreadPool pool, Buffer kernel, Buffer bias, Buffer recurrent,
                       Buffer recurrent_bias, Buffer h, Buffer memory, Buffer initial_h,
                       Buffer initial_memory, Buffer sequence, Buffer mask, Buffer resets,
                       Result last_h, Result last_memory, Result ys, Result gates, Result previous,
                       Result extra, std::int64_t cell, std::int64_t level, bool reverse) {
  Call call = {pool, nullptr, Cell::kLstm, {}, 0};
  ffi::Error error = describe(h, sequence, cell, level, reverse, &call);
  if (error.failure()) return error;
  return by_dtype(recurrent.element_type(), [&](auto number) {
    return forward<decltype(number)>(call, kernel, bias, recurrent, recurrent_bias, h, memory,
                                     initial_h, initial_memory, sequence, mask, resets, last_h,
                                     last_memory, ys, gates, previous, extra);
  });
}

ffi::Error backward_any(ffi::ThreadPool pool, Buffer recurrent, Buffer gates, Buffer extra,
                        Buffer previous, Buffer h, Buffer ys, Buffer dlast_h, Buffer dlast_memory,
                        Buffer dys, Buffer mask, Buffer resets, Result dus, Result dvs, Result dh,
                        Result dmemory, Result dinitial_h, Result dinitial_memory,
                        std::int64_t cell, std::int64_t level, bool reverse) {
  Call call = {pool, nullptr, Cell::kLstm, {}, 0};
  ffi::Error error = describe(h, dys, cell, level, reverse, &call);
  if (error.failure()) return error;
  return by_dtype(recurrent.element_type(), [&](auto number) {
    return backward<decltype(number)>(call, recurrent, gates, extra, previous, h, ys, dlast_h,
                                      dlast_memory, dys, mask, resets, dus, dvs, dh, dmemory,
                                      dinitial_h, dinitial_memory);
  });
}

ffi::Error gradients_any(ffi::ThreadPool pool, Buffer kernel, Buffer xs, Buffer previous, Buffer h,
                         Buffer ys, Buffer dus, Buffer dvs, Result dkernel, Result dbias,
                         Result drecurrent, Result drecurrent_bias, Result dxs, std::int64_t cell,
                         std::int64_t level, bool reverse) {
  Call call = {pool, nullptr, Cell::kLstm, {}, 0};
  ffi::Error error = describe(h, dus, cell, level, reverse, &call);
  if (error.failure()) return error;
  return by_dtype(h.element_type(), [&](auto number) {
    return gradients<decltype(number)>(call, kernel, xs, previous, h, ys, dus, dvs, dkernel, dbias,
                                       drecurrent, drecurrent_bias, dxs);
  });
}

// The context, `Args` buffers in and `Results` out, and the attributes that all handlers have.
template <int Args, int Results, class Binding>
auto bind(Binding binding) {
  if constexpr (Args > 0) {
    return bind<Args - 1, Results>(std::move(binding).template Arg<Buffer>());
  } else if constexpr (Results > 0) {
    return bind<0, Results - 1>(std::move(binding).template Ret<Buffer>());
  } else {
    return std::move(binding)
        .template Attr<std::int64_t>("cell")
        .template Attr<std::int64_t>("level")
        .template Attr<bool>("reverse");
  }
}

auto with_pool() { return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>(); }

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_forward, jaxrnn::forward_any,
                              (jaxrnn::bind<11, 6>(jaxrnn::with_pool())));
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_backward, jaxrnn::backward_any,
                              (jaxrnn::bind<11, 6>(jaxrnn::with_pool())));
XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_gradients, jaxrnn::gradients_any,
                              (jaxrnn::bind<7, 5>(jaxrnn::with_pool())));

extern "C" int jaxrnn_interface() { return jaxrnn::kInterface; }

extern "C" bool jaxrnn_has_level(int level) { return jaxrnn::usable(level); }
