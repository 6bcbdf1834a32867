// jaxrnn_backward: backpropagation through time, without the products over all steps.
#include <type_traits>

#include "call.h"
#include "parts.h"

namespace jaxrnn {
namespace {

// Arguments, then results, in the order in which Python passes them.
struct BackwardBuffers {
  Buffer recurrent, gates, extra, previous, h, ys, dlast_h, dlast_memory, dys, mask, resets;
  Buffer dus, dvs, dh, dmemory, dinitial_h, dinitial_memory;
};

// Fills in `b`, and `matrix` with the recurrent kernel.
template <class S>
ffi::Error parse(const Call& call, const BackwardBuffers& in, Backward<S>* b, const S** matrix) {
  using T = Wide<S>;
  Arguments args;
  const Sizes& sizes = call.sizes;
  const std::ptrdiff_t steps = sizes.steps, batch = sizes.batch, hidden = sizes.hidden;
  const std::ptrdiff_t wide = hidden * call.gates;
  const bool remembers = has_memory(call.cell), is_gru = call.cell == Cell::kGru;
  *matrix = args.array<const S>("recurrent_kernel", in.recurrent, {hidden, wide});
  b->gates = args.optional<const T>("gates", in.gates, {steps, batch, wide});
  b->extra = args.optional<const T>("extra", in.extra, {steps, batch, hidden});
  b->previous = args.optional<const S>("previous", in.previous, {steps, batch, hidden});
  b->h = args.array<const S>("h", in.h, {batch, hidden});
  b->ys = args.array<const S>("ys", in.ys, {steps, batch, hidden});
  b->mask = args.optional<const bool>("mask", in.mask, {steps, batch});
  b->resets = args.optional<const bool>("resets", in.resets, {steps, batch});
  b->dlast_h = args.array<const S>("cotangent of h", in.dlast_h, {batch, hidden});
  b->dlast_memory = args.optional<const S>("cotangent of c", in.dlast_memory, {batch, hidden});
  b->dys = args.array<const S>("cotangent of ys", in.dys, {steps, batch, hidden});
  b->dus = args.array<T>("cotangent of us", in.dus, {steps, batch, wide});
  b->dvs = args.optional<T>("cotangent of vs", in.dvs, {steps, batch, hidden});
  b->dh = args.array<S>("cotangent of h", in.dh, {batch, hidden});
  b->dmemory = args.optional<S>("cotangent of c", in.dmemory, {batch, hidden});
  b->dinitial_h = args.array<S>("cotangent of initial h", in.dinitial_h, {batch, hidden});
  b->dinitial_memory =
      args.optional<S>("cotangent of initial c", in.dinitial_memory, {batch, hidden});
  args.require(!remembers || (b->dlast_memory && b->dmemory && b->dinitial_memory),
               "an LSTM needs c");
  args.require(b->extra || !(remembers || is_gru), "an LSTM and a GRU need extra");
  args.require(b->previous || !(b->mask || b->resets), "with a mask or resets, previous is needed");
  args.require(b->gates || (call.gates == 1 && !b->previous && std::is_same_v<S, T>),
               "the gates are needed where ys do not tell them");
  args.require(!b->dvs == !is_gru, "a GRU alone has a cotangent of vs");
  return args.error();
}

template <class S>
ffi::Error backward(Call call, const BackwardBuffers& in) {
  using T = Wide<S>;
  Sizes& sizes = call.sizes;
  Backward<S> b = {};
  const S* matrix;
  const ffi::Error error = parse(call, in, &b, &matrix);
  if (error.failure()) return error;
  if (sizes.batch == 0) return ffi::Error::Success();

  const Kernels<S>& kernels = kernels_of<S>(*call.instruction_set);
  Deal deal(sizes.batch);
  if (!deal) return out_of_memory();
  deal.count(&b.mask, &sizes);
  divide(call, &sizes);
  b.sizes = sizes;
  b.order = deal.order(sizes, b.mask);
  if (b.dus != b.gates) prepare(b.dus, sizes.steps * sizes.batch * sizes.hidden * call.gates);
  const Packing packing = kernels.transposed_recurrence(sizes, call.gates);
  const auto packed = call.packed(kernels, packing, matrix, kernels.pack_transposed);
  if (!packed) return out_of_memory();
  b.packed = packed.get();
  const auto run = kernels.backward[static_cast<int>(call.cell)];
  return run_parts<T>(call, sizes, kernels.backward_scratch(sizes, call.gates),
                      [&](const Part<T>& part) { run(b, part); });
}

ffi::Error backward_any(ffi::ThreadPool pool, Buffer recurrent, Buffer gates, Buffer extra,
                        Buffer previous, Buffer h, Buffer ys, Buffer dlast_h, Buffer dlast_memory,
                        Buffer dys, Buffer mask, Buffer resets, Result dus, Result dvs, Result dh,
                        Result dmemory, Result dinitial_h, Result dinitial_memory,
                        std::int64_t cell, std::int64_t instruction_set, bool reverse) {
  Call call = {pool, nullptr, Cell::kLstm, {}, 0};
  const ffi::Error error = describe(h, dys, cell, instruction_set, reverse, &call);
  if (error.failure()) return error;
  const BackwardBuffers in = {recurrent, gates, extra, previous, h, ys, dlast_h, dlast_memory, dys,
                              mask, resets, *dus, *dvs, *dh, *dmemory, *dinitial_h,
                              *dinitial_memory};
  return by_dtype(recurrent.element_type(),
                  [&](auto number) { return backward<decltype(number)>(call, in); });
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_backward, jaxrnn::backward_any,
                              (jaxrnn::bind<11, 6>(jaxrnn::with_pool())));
