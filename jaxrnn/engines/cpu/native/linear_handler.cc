// jaxrnn_linear: a linear recurrence over a whole sequence.
#include "call.h"

namespace jaxrnn {
namespace {

template <class T>
const Kernels<T>& best_kernels() {
  return kernels_of<T>(*find_instruction_set(-1));
}

// Both kinds of numbers are read as their parts: a complex number is two.
template <class T>
void run(ffi::ThreadPool& pool, Linear<T> call) {
  constexpr std::ptrdiff_t unit = 32;       // columns, whose memory no two threads share
  constexpr std::ptrdiff_t least = 1 << 17;  // numbers that repay waking another thread
  const std::ptrdiff_t threads = std::max<std::int64_t>(pool.num_threads(), 1);
  const std::ptrdiff_t units = (call.width + unit - 1) / unit;
  const std::ptrdiff_t parts = call.steps * call.width < least ? 1 : std::min(threads, units);
  const std::ptrdiff_t each = (units + parts - 1) / parts * unit;
  const auto& kernels = best_kernels<T>();
  prepare(call.hs, call.steps * call.width);
  parallel(pool, parts, Order::kInOrder, [&](std::int64_t part) {
    const std::ptrdiff_t begin = std::min<std::ptrdiff_t>(part * each, call.width);
    kernels.linear(call, begin, std::min(begin + each, call.width));
  });
}

template <class T>
ffi::Error linear_of(ffi::ThreadPool& pool, const Buffer& a, const Buffer& b, const Buffer& h0,
                     const Buffer& hs, bool reverse, bool lagged, bool is_complex) {
  const std::ptrdiff_t steps = a.dimensions()[0], parts = is_complex ? 2 : 1;
  run<T>(pool, {static_cast<const T*>(a.untyped_data()), static_cast<const T*>(b.untyped_data()),
                static_cast<const T*>(h0.untyped_data()), static_cast<T*>(hs.untyped_data()), steps,
                static_cast<std::ptrdiff_t>(h0.element_count()) * parts, reverse, lagged,
                is_complex});
  return ffi::Error::Success();
}

ffi::Error linear_any(ffi::ThreadPool pool, Buffer a, Buffer b, Buffer h0, Result hs, bool reverse,
                      bool lagged) {
  const auto dims = a.dimensions(), state = h0.dimensions();
  const auto type = a.element_type();
  const bool fits = dims.size() == state.size() + 1 &&
                    std::equal(state.begin(), state.end(), dims.begin() + 1) &&
                    b.dimensions() == dims && hs->dimensions() == dims &&
                    b.element_type() == type && h0.element_type() == type &&
                    hs->element_type() == type;
  if (!fits)
    return ffi::Error::InvalidArgument("a, b and hs must be (T, ...), h0 (...), of one dtype");
  switch (type) {
    case ffi::DataType::F32:
      return linear_of<float>(pool, a, b, h0, *hs, reverse, lagged, false);
    case ffi::DataType::F64:
      return linear_of<double>(pool, a, b, h0, *hs, reverse, lagged, false);
    case ffi::DataType::C64:
      return linear_of<float>(pool, a, b, h0, *hs, reverse, lagged, true);
    case ffi::DataType::C128:
      return linear_of<double>(pool, a, b, h0, *hs, reverse, lagged, true);
    default:
      return ffi::Error::InvalidArgument("linear recurrences have kernels for 32 and 64 bits");
  }
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_linear, jaxrnn::linear_any,
                              (jaxrnn::with_pool()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Arg<jaxrnn::Buffer>()
                                   .Ret<jaxrnn::Buffer>()
                                   .Attr<bool>("reverse")
                                   .Attr<bool>("lagged")));
