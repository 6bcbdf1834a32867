// A call from XLA: its attributes, its threads, and the kernels that run it.
#pragma once

#include <algorithm>
#include <type_traits>
#include <utility>

#include "allocation.h"
#include "arguments.h"
#include "kernels.h"
#include "threads.h"

namespace jaxrnn {

using Buffer = ffi::AnyBuffer;
using Result = ffi::Result<ffi::AnyBuffer>;

template <class S>
const Kernels<S>& kernels_of(const InstructionSet& instruction_set) {
  if constexpr (std::is_same_v<S, float>) return instruction_set.f32;
  if constexpr (std::is_same_v<S, double>) return instruction_set.f64;
  if constexpr (std::is_same_v<S, Bfloat16>) return instruction_set.bf16;
}

inline ffi::Error out_of_memory() {
  return ffi::Error(ffi::ErrorCode::kResourceExhausted, "out of memory");
}

// Packs a matrix, with several threads if it is large; null if memory runs out.
template <class S, class Pack>
Memory<Wide<S>> packed(ffi::ThreadPool& pool, const Kernels<S>& kernels, const Packing& packing,
                       const S* matrix, Pack pack, std::ptrdiff_t threads) {
  constexpr std::ptrdiff_t large = 1 << 17;
  const std::ptrdiff_t size = kernels.packed_size(packing), panels = kernels.panels(packing);
  auto memory = allocate<Wide<S>>(size);
  if (!memory) return memory;
  const std::ptrdiff_t packers = size < large ? 1 : threads;
  parallel(pool, packers, Order::kInOrder, [&](std::int64_t part) {
    for (std::ptrdiff_t panel = part; panel < panels; panel += packers)
      pack(packing, matrix, memory.get(), panel);
  });
  return memory;
}

struct Call {
  ffi::ThreadPool& pool;
  const InstructionSet* instruction_set;
  Cell cell;
  Sizes sizes;
  int gates;

  // The number of parts to run in parallel, at most `most`; one if the work does not repay waking
  // another thread.
  std::ptrdiff_t parts(std::ptrdiff_t most) const {
    constexpr double least = 2e6;
    const double work = 2.0 * sizes.real * gates * sizes.hidden * (sizes.hidden + sizes.inputs);
    const std::ptrdiff_t threads = work < least ? 1 : std::max<std::int64_t>(pool.num_threads(), 1);
    return std::min(threads, most);
  }

  template <class S, class Pack>
  Memory<Wide<S>> packed(const Kernels<S>& kernels, const Packing& packing, const S* matrix,
                         Pack pack) const {
    return jaxrnn::packed(pool, kernels, packing, matrix, pack, parts(kernels.panels(packing)));
  }
};

// Fills in `call` from its attributes, h (B, H), and an array (T, B, ...).
inline ffi::Error describe(const Buffer& h, const Buffer& sequence, std::int64_t cell,
                           std::int64_t instruction_set, bool reverse, Call* call) {
  const auto rows = h.dimensions(), dims = sequence.dimensions();
  if (cell < 0 || cell >= kCells || dims.size() != 3 || rows.size() != 2 || rows[1] == 0)
    return ffi::Error::InvalidArgument("no such cell, h not (B, H), or no sequence (T, B, ...)");
  call->instruction_set = find_instruction_set(instruction_set);
  if (!call->instruction_set)
    return ffi::Error::InvalidArgument("this processor lacks the instructions asked for");
  call->cell = static_cast<Cell>(cell);
  call->gates = gates_of(call->cell);
  call->sizes = {dims[0], dims[1], 0, rows[1], 0, 1, reverse, dims[0] * dims[1]};
  return ffi::Error::Success();
}

// Calls `run` with a number of type `dtype`.
template <class Run>
ffi::Error by_dtype(ffi::DataType dtype, Run run) {
  if (dtype == ffi::DataType::F32) return run(float{});
  if (dtype == ffi::DataType::F64) return run(double{});
  if (dtype == ffi::DataType::BF16) return run(Bfloat16{});
  return ffi::Error::InvalidArgument("only float32, float64 and bfloat16 have kernels");
}

// Binds `Args` buffers in, `Results` buffers out, and the attributes that all handlers have.
template <int Args, int Results, class Binding>
auto bind(Binding binding) {
  if constexpr (Args > 0) {
    return bind<Args - 1, Results>(std::move(binding).template Arg<Buffer>());
  } else if constexpr (Results > 0) {
    return bind<0, Results - 1>(std::move(binding).template Ret<Buffer>());
  } else {
    return std::move(binding)
        .template Attr<std::int64_t>("cell")
        .template Attr<std::int64_t>("instruction_set")
        .template Attr<bool>("reverse");
  }
}

inline auto with_pool() { return ffi::Ffi::Bind().Ctx<ffi::ThreadPool>(); }

}  // namespace jaxrnn
