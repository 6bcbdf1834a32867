// jaxrnn_forward: runs a cell over a sequence.
#include "call.h"
#include "parts.h"

namespace jaxrnn {
namespace {

// Arguments, then results, in the order in which Python passes them.
struct ForwardBuffers {
  Buffer kernel, bias, recurrent, recurrent_bias, h, memory, initial_h, initial_memory, sequence;
  Buffer mask, resets;
  Buffer last_h, last_memory, ys, gates, previous, extra;
};

// Fills in `f`, where `projects` says whether the sequence is xs or the input projection.
template <class S>
ffi::Error parse(const Call& call, const ForwardBuffers& in, bool projects, Forward<S>* f) {
  using T = Wide<S>;
  Arguments args;
  const Sizes& sizes = call.sizes;
  const std::ptrdiff_t steps = sizes.steps, batch = sizes.batch, hidden = sizes.hidden;
  const std::ptrdiff_t wide = hidden * call.gates;
  const bool remembers = has_memory(call.cell), is_gru = call.cell == Cell::kGru;
  f->sizes = sizes;
  f->kernel = args.optional<const S>("kernel", in.kernel, {sizes.inputs, wide});
  f->bias = args.optional<const S>("bias", in.bias, {wide});
  f->recurrent = args.array<const S>("recurrent_kernel", in.recurrent, {hidden, wide});
  f->recurrent_bias = args.optional<const S>("recurrent_bias", in.recurrent_bias, {hidden});
  f->h = args.array<const S>("h", in.h, {batch, hidden});
  f->memory = args.optional<const S>("c", in.memory, {batch, hidden});
  f->initial_h = args.optional<const S>("initial h", in.initial_h, {batch, hidden});
  f->initial_memory = args.optional<const S>("initial c", in.initial_memory, {batch, hidden});
  if (projects) {
    f->xs = args.array<const S>("xs", in.sequence, {steps, batch, sizes.inputs});
  } else {
    f->us = args.array<const T>("us", in.sequence, {steps, batch, wide});
  }
  f->mask = args.optional<const bool>("mask", in.mask, {steps, batch});
  f->resets = args.optional<const bool>("resets", in.resets, {steps, batch});
  f->last_h = args.array<S>("last h", in.last_h, {batch, hidden});
  f->last_memory = args.optional<S>("last c", in.last_memory, {batch, hidden});
  f->ys = args.array<S>("ys", in.ys, {steps, batch, hidden});
  f->gates = args.optional<T>("gates", in.gates, {steps, batch, wide});
  f->previous = args.optional<S>("previous", in.previous, {steps, batch, hidden});
  f->extra = args.optional<T>("extra", in.extra, {steps, batch, hidden});
  args.require(projects == !!f->bias, "a kernel needs a bias");
  args.require(!remembers || (f->memory && f->last_memory), "an LSTM needs c");
  args.require(!is_gru || f->recurrent_bias, "a GRU needs recurrent_bias");
  args.require(!f->resets || (f->initial_h && (!remembers || f->initial_memory)),
               "resets need the carry that they return to");
  args.require(!f->gates || f->extra || !(remembers || is_gru),
               "what the derivative needs is kept as a whole or not at all");
  return args.error();
}

template <class S>
ffi::Error forward(Call call, const ForwardBuffers& in) {
  using T = Wide<S>;
  Sizes& sizes = call.sizes;
  const bool projects = !is_absent(in.kernel);
  sizes.inputs = projects ? in.sequence.dimensions()[2] : 0;
  Forward<S> f = {};
  const ffi::Error error = parse(call, in, projects, &f);
  if (error.failure()) return error;
  if (sizes.batch == 0) return ffi::Error::Success();

  const Kernels<S>& kernels = kernels_of<S>(*call.instruction_set);
  Deal deal(sizes.batch);
  if (!deal) return out_of_memory();
  deal.count(&f.mask, &sizes);
  divide(call, &sizes);
  f.sizes = sizes;
  f.order = deal.order(sizes, f.mask);
  const std::ptrdiff_t units = sizes.steps * sizes.batch * sizes.hidden;
  prepare(f.gates, units * call.gates);
  prepare(f.ys, units);
  prepare(f.previous, units);
  prepare(f.extra, units);
  const Packing recurrence = kernels.recurrence(sizes, call.gates);
  const auto packed = call.packed(kernels, recurrence, f.recurrent, kernels.pack);
  Memory<T> packed_kernel, packed_bias;
  if (projects) {
    Packing projection = kernels.projection(sizes, call.gates);
    packed_kernel = call.packed(kernels, projection, f.kernel, kernels.pack);
    projection.depth = 1;
    packed_bias = call.packed(kernels, projection, f.bias, kernels.pack);
  }
  if (!packed || (projects && !(packed_kernel && packed_bias))) return out_of_memory();
  f.packed = packed.get();
  f.packed_kernel = packed_kernel.get();
  f.packed_bias = packed_bias.get();
  const auto run = kernels.forward[static_cast<int>(call.cell)];
  return run_parts<T>(call, sizes, kernels.forward_scratch(sizes, call.gates),
                      [&](const Part<T>& part) { run(f, part); });
}

ffi::Error forward_any(ffi::ThreadPool pool, Buffer kernel, Buffer bias, Buffer recurrent,
                       Buffer recurrent_bias, Buffer h, Buffer memory, Buffer initial_h,
                       Buffer initial_memory, Buffer sequence, Buffer mask, Buffer resets,
                       Result last_h, Result last_memory, Result ys, Result gates, Result previous,
                       Result extra, std::int64_t cell, std::int64_t instruction_set,
                       bool reverse) {
  Call call = {pool, nullptr, Cell::kLstm, {}, 0};
  const ffi::Error error = describe(h, sequence, cell, instruction_set, reverse, &call);
  if (error.failure()) return error;
  const ForwardBuffers in = {kernel, bias, recurrent, recurrent_bias, h, memory, initial_h,
                             initial_memory, sequence, mask, resets, *last_h, *last_memory, *ys,
                             *gates, *previous, *extra};
  return by_dtype(recurrent.element_type(),
                  [&](auto number) { return forward<decltype(number)>(call, in); });
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_forward, jaxrnn::forward_any,
                              (jaxrnn::bind<11, 6>(jaxrnn::with_pool())));
