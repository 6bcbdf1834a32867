// jaxrnn_gradients: the products over all steps, for the gradients of the weights and the inputs.
#include <cstring>

#include "real.h"

namespace jaxrnn {
namespace {

// Arguments, then results, in the order in which Python passes them.
struct GradientsBuffers {
  Buffer kernel, xs, previous, h, ys, dus, dvs, mask;
  Buffer dkernel, dbias, drecurrent, drecurrent_bias, dxs;
};

// The buffers with their types. A null pointer marks a missing array.
template <class S>
struct Gradients {
  using T = Wide<S>;
  bool projects, of_weights;  // whether there are xs; whether the weights' gradients are asked for
  const S *kernel, *xs, *previous, *h, *ys;
  const T *dus, *dvs;
  const bool* mask;
  S *dkernel, *dbias, *drecurrent, *drecurrent_bias, *dxs;
};

template <class S>
ffi::Error parse(const Call& call, const GradientsBuffers& in, Gradients<S>* g) {
  using T = Wide<S>;
  Arguments args;
  const std::ptrdiff_t steps = call.sizes.steps, batch = call.sizes.batch;
  const std::ptrdiff_t hidden = call.sizes.hidden, wide = hidden * call.gates;
  const std::ptrdiff_t width = call.sizes.inputs;
  g->projects = !is_absent(in.xs);
  g->of_weights = !is_absent(in.drecurrent);
  g->kernel = args.optional<const S>("kernel", in.kernel, {width, wide});
  g->xs = args.optional<const S>("xs", in.xs, {steps, batch, width});
  g->previous = args.optional<const S>("previous", in.previous, {steps, batch, hidden});
  g->h = args.array<const S>("h", in.h, {batch, hidden});
  g->ys = args.array<const S>("ys", in.ys, {steps, batch, hidden});
  g->dus = args.array<const T>("cotangent of us", in.dus, {steps, batch, wide});
  g->dvs = args.optional<const T>("cotangent of vs", in.dvs, {steps, batch, hidden});
  g->mask = args.optional<const bool>("mask", in.mask, {steps, batch});
  g->dkernel = args.optional<S>("cotangent of kernel", in.dkernel, {width, wide});
  g->dbias = args.optional<S>("cotangent of bias", in.dbias, {wide});
  g->drecurrent =
      args.optional<S>("cotangent of recurrent_kernel", in.drecurrent, {hidden, wide});
  g->drecurrent_bias =
      args.optional<S>("cotangent of recurrent_bias", in.drecurrent_bias, {hidden});
  g->dxs = args.optional<S>("cotangent of xs", in.dxs, {steps, batch, width});
  args.require((g->projects && g->of_weights) == !is_absent(in.dkernel) &&
                   is_absent(in.dkernel) == is_absent(in.dbias),
               "the cotangents of the weights are asked for as a whole or not at all");
  args.require(!g->dxs || (g->projects && g->kernel), "the cotangent of xs needs the kernel");
  args.require(g->previous || !g->mask, "with a mask, previous is needed");
  args.require(!g->dvs == (call.cell != Cell::kGru), "a GRU alone has a cotangent of vs");
  return args.error();
}

// The gradient of `columns` columns of the recurrent kernel, from number `first` on, as outer
// products with h before each step.
template <class S>
Outer<S> recurrent_outer(const Call& call, const Gradients<S>& g, const Wide<S>* b,
                         const Real& real, std::ptrdiff_t stride, std::ptrdiff_t first,
                         std::ptrdiff_t columns, S* sums) {
  const std::ptrdiff_t batch = call.sizes.batch, hidden = call.sizes.hidden;
  const std::ptrdiff_t total = call.sizes.steps * batch;
  Outer<S> outer = {{}, hidden, columns, stride, hidden * call.gates, g.drecurrent + first, sums};
  if (g.previous || total == 0) {
    outer.rows[0] = {g.previous, b, real.count, real.numbers.get()};
  } else {  // h before a step is the output of the step run before it, and `h` for the first
    const std::ptrdiff_t rest = total - batch;
    const bool reverse = call.sizes.reverse;
    outer.rows[0] = {g.h, b + (reverse ? rest * stride : 0), batch, nullptr};
    outer.rows[1] = {g.ys + (reverse ? batch * hidden : 0), b + (reverse ? 0 : batch * stride),
                     rest, nullptr};
  }
  return outer;
}

template <class S>
ffi::Error gradients(Call call, const GradientsBuffers& in) {
  using T = Wide<S>;
  Sizes& sizes = call.sizes;
  const auto dims = in.xs.dimensions();
  sizes.inputs = !is_absent(in.xs) && dims.size() == 3 ? dims[2] : 0;
  Gradients<S> g = {};
  const ffi::Error error = parse(call, in, &g);
  if (error.failure()) return error;
  const std::ptrdiff_t total = sizes.steps * sizes.batch, hidden = sizes.hidden;
  const std::ptrdiff_t wide = hidden * call.gates, width = sizes.inputs;
  Real real;
  if (!real.find(g.mask, total)) return out_of_memory();
  sizes.real = real.count;
  Outer<S> outers[3];
  int count = 0;
  if (g.of_weights) {
    const std::ptrdiff_t shared = g.dvs ? wide - hidden : wide;
    outers[count++] = recurrent_outer<S>(call, g, g.dus, real, wide, 0, shared, nullptr);
    if (g.projects)
      outers[count++] = {{{g.xs, g.dus, real.count, real.numbers.get()}, {}},
                         width, wide, wide, wide, g.dkernel, g.dbias};
    if (g.dvs)
      outers[count++] =
          recurrent_outer<S>(call, g, g.dvs, real, hidden, shared, hidden, g.drecurrent_bias);
  }

  const Kernels<S>& kernels = kernels_of<S>(*call.instruction_set);
  const std::ptrdiff_t threads = std::max<std::ptrdiff_t>(call.parts(total), 1);
  Inputs<S> inputs = {};
  Memory<T> packed;
  if (g.dxs) {
    const Packing packing = kernels.transposed_projection(sizes, call.gates);
    packed = call.packed(kernels, packing, g.kernel, kernels.pack_transposed);
    if (!packed) return out_of_memory();
    inputs = {packed.get(), g.dus, width, wide, g.dxs, real.numbers.get(), nullptr};
  }
  const std::ptrdiff_t panels = kernels.outer_panels(wide), parts = std::min(threads, panels);
  const std::ptrdiff_t most = (panels + parts - 1) / parts, outer_tasks = count * parts;
  const std::ptrdiff_t scratch_size = kernels.outer_scratch(std::max(width, hidden), most);
  const std::ptrdiff_t input_tasks = g.dxs ? threads : 0, tasks = outer_tasks + input_tasks;
  const std::ptrdiff_t gathered_size = real.numbers ? kernels.inputs_scratch(wide) : 0;
  const auto scratch = allocate<T>(scratch_size * outer_tasks);
  const auto gathered = allocate<T>(gathered_size * input_tasks);
  if (!scratch || !gathered) return out_of_memory();
  parallel(call.pool, tasks, Order::kInOrder, [&](std::int64_t task) {
    if (task >= outer_tasks) {
      const std::ptrdiff_t part = task - outer_tasks;
      const Share all(total, part, threads), rows(real.count, part, threads);
      for (std::ptrdiff_t row = all.begin; real.numbers && row < all.end; row++)
        if (!g.mask[row]) std::memset(g.dxs + row * width, 0, width * sizeof(S));
      return kernels.inputs(inputs, rows.begin, rows.end, gathered.get() + part * gathered_size);
    }
    const Outer<S>& outer = outers[task / parts];
    const Share share(kernels.outer_panels(outer.width), task % parts, parts);
    if (share.begin < share.end)
      kernels.outer(outer, share.begin, share.end, scratch.get() + task * scratch_size);
  });
  return ffi::Error::Success();
}

ffi::Error gradients_any(ffi::ThreadPool pool, Buffer kernel, Buffer xs, Buffer previous, Buffer h,
                         Buffer ys, Buffer dus, Buffer dvs, Buffer mask, Result dkernel,
                         Result dbias, Result drecurrent, Result drecurrent_bias, Result dxs,
                         std::int64_t cell, std::int64_t instruction_set, bool reverse) {
  Call call = {pool, nullptr, Cell::kLstm, {}, 0};
  const ffi::Error error = describe(h, dus, cell, instruction_set, reverse, &call);
  if (error.failure()) return error;
  const GradientsBuffers in = {kernel, xs, previous, h, ys, dus, dvs, mask, *dkernel, *dbias,
                               *drecurrent, *drecurrent_bias, *dxs};
  return by_dtype(h.element_type(),
                  [&](auto number) { return gradients<decltype(number)>(call, in); });
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_gradients, jaxrnn::gradients_any,
                              (jaxrnn::bind<8, 5>(jaxrnn::with_pool())));
