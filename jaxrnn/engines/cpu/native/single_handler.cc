// jaxrnn_single: one step of one sequence. It has few buffers, as XLA takes time for each.
#include "call.h"

namespace jaxrnn {
namespace {

// Arguments, then results, in the order in which Python passes them.
struct SingleBuffers {
  Buffer kernel, bias, recurrent, recurrent_bias, h, memory, xs;
  Buffer last_h, last_memory;
};

template <class S>
ffi::Error parse(const Call& call, const SingleBuffers& in, Forward<S>* f) {
  Arguments args;
  const Sizes& sizes = call.sizes;
  const std::ptrdiff_t hidden = sizes.hidden, wide = hidden * call.gates;
  f->sizes = sizes;
  f->kernel = args.array<const S>("kernel", in.kernel, {sizes.inputs, wide});
  f->bias = args.array<const S>("bias", in.bias, {wide});
  f->recurrent = args.array<const S>("recurrent_kernel", in.recurrent, {hidden, wide});
  f->recurrent_bias = args.optional<const S>("recurrent_bias", in.recurrent_bias, {hidden});
  f->h = args.array<const S>("h", in.h, {1, hidden});
  f->memory = args.optional<const S>("c", in.memory, {1, hidden});
  f->xs = args.array<const S>("xs", in.xs, {1, 1, sizes.inputs});
  f->last_h = args.array<S>("last h", in.last_h, {1, hidden});
  f->last_memory = args.optional<S>("last c", in.last_memory, {1, hidden});
  args.require(!has_memory(call.cell) || (f->memory && f->last_memory), "an LSTM needs c");
  args.require(call.cell != Cell::kGru || f->recurrent_bias, "a GRU needs recurrent_bias");
  return args.error();
}

// Blocks of units to run in parallel. Weights of this size do not stay in the second cache of one
// processor, and to read them again takes longer than to wake a thread.
template <class S>
std::ptrdiff_t tasks_of(const Call& call, std::ptrdiff_t blocks) {
  constexpr std::ptrdiff_t large = 3 << 19;
  const Sizes& sizes = call.sizes;
  const std::ptrdiff_t numbers = call.gates * sizes.hidden * (sizes.hidden + sizes.inputs);
  if (numbers * static_cast<std::ptrdiff_t>(sizeof(S)) < large) return 1;
  return std::min<std::ptrdiff_t>(std::max<std::int64_t>(call.pool.num_threads(), 1), blocks);
}

template <class S>
ffi::Error single(Call call, const SingleBuffers& in) {
  using T = Wide<S>;
  constexpr std::ptrdiff_t lanes = 64;  // the most that a vector may have
  call.sizes.inputs = in.xs.dimensions()[2];
  Forward<S> f = {};
  const ffi::Error error = parse(call, in, &f);
  if (error.failure()) return error;

  const auto run = kernels_of<S>(*call.instruction_set).single[static_cast<int>(call.cell)];
  const std::ptrdiff_t blocks = (f.sizes.hidden + kSingleBlock - 1) / kSingleBlock;
  const std::ptrdiff_t tasks = tasks_of<S>(call, blocks);
  const std::ptrdiff_t scratch_size = f.sizes.inputs + f.sizes.hidden + 2 * lanes;
  Memory<T> scratch;
  if (sizeof(S) < sizeof(T) && !(scratch = allocate<T>(scratch_size * tasks)))
    return out_of_memory();
  parallel(call.pool, tasks, Order::kByProcessor, [&](std::int64_t task) {
    run(f, blocks * task / tasks, blocks * (task + 1) / tasks,
        scratch ? scratch.get() + task * scratch_size : nullptr);
  });
  return ffi::Error::Success();
}

ffi::Error single_any(ffi::ThreadPool pool, Buffer kernel, Buffer bias, Buffer recurrent,
                      Buffer recurrent_bias, Buffer h, Buffer memory, Buffer xs, Result last_h,
                      Result last_memory, std::int64_t cell, std::int64_t instruction_set,
                      bool reverse) {
  Call call = {pool, nullptr, Cell::kLstm, {}, 0};
  const ffi::Error error = describe(h, xs, cell, instruction_set, reverse, &call);
  if (error.failure()) return error;
  const SingleBuffers in = {kernel, bias, recurrent, recurrent_bias, h, memory, xs, *last_h,
                            *last_memory};
  return by_dtype(recurrent.element_type(),
                  [&](auto number) { return single<decltype(number)>(call, in); });
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_single, jaxrnn::single_any,
                              (jaxrnn::bind<7, 2>(jaxrnn::with_pool())));
