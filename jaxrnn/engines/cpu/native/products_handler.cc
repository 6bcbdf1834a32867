// jaxrnn_products: products over all rows of a sequence, with matrices or for their gradients, and
// sums over the batch.
#include <memory>
#include <vector>

#include "outer_job.h"
#include "rows_job.h"
#include "sums_job.h"

namespace jaxrnn {
namespace {

enum class Kind { kRows, kOuter, kSums, kKinds };

template <class T>
std::unique_ptr<Job<T>> job_of(Kind kind, const Sequence<T>& sequence, Code& code,
                               Tensors<T>& tensors) {
  switch (kind) {
    case Kind::kOuter:
      return std::make_unique<OuterJob<T>>(sequence, code, tensors);
    case Kind::kSums:
      return std::make_unique<SumsJob<T>>(sequence, code, tensors);
    default:
      return std::make_unique<RowsJob<T>>(sequence, code, tensors);
  }
}

// Runs products as Python asks for them: the kind of each, and its numbers. They share the threads,
// which are woken once, and only for work that repays it.
template <class T>
ffi::Error products(ffi::ThreadPool& pool, const Kernels<T>& kernels, ffi::RemainingArgs args,
                    ffi::RemainingRets rets, ffi::Span<const std::int64_t> numbers,
                    std::ptrdiff_t steps, std::ptrdiff_t batch, bool reverse) {
  constexpr double least = 1e6;
  Code code(numbers);
  Tensors<T> tensors(args, rets);
  Sequence<T> sequence = {pool, kernels, steps, batch, reverse, nullptr, {}};
  sequence.mask = tensors.template optional<const bool>({steps, batch});
  std::vector<std::unique_ptr<Job<T>>> jobs(code.count(1 << 12));
  for (auto& job : jobs) {
    const auto kind = static_cast<Kind>(code.next(0, static_cast<int>(Kind::kKinds) - 1));
    job = job_of(kind, sequence, code, tensors);
  }
  if (tensors.checked.error().failure()) return tensors.checked.error();
  if (!code.is_done() || !tensors.all_read())
    return ffi::Error::InvalidArgument("the numbers of the products do not fit their arrays");
  if (!sequence.real.find(sequence.mask, sequence.total())) return out_of_memory();
  double size = 0;
  for (const auto& job : jobs) size += job->size();
  const std::ptrdiff_t threads = size < least ? 1 : std::max<std::int64_t>(pool.num_threads(), 1);
  std::vector<std::pair<const Job<T>*, std::ptrdiff_t>> tasks;  // a product and the part of it
  for (const auto& job : jobs) {
    if (!job->prepare(threads)) return out_of_memory();
    for (std::ptrdiff_t part = 0; part < job->parts(); part++) tasks.push_back({job.get(), part});
  }
  if (threads == 1)
    for (const auto& [job, part] : tasks) job->run(part);
  else
    parallel(pool, tasks.size(), Order::kInOrder,
             [&](std::int64_t task) { tasks[task].first->run(tasks[task].second); });
  return ffi::Error::Success();
}

ffi::Error products_any(ffi::ThreadPool pool, ffi::RemainingArgs args, ffi::RemainingRets rets,
                        ffi::Span<const std::int64_t> products_asked, std::int64_t steps,
                        std::int64_t batch, std::int64_t instruction_set, bool reverse,
                        bool is_double) {
  const InstructionSet* const set = find_instruction_set(instruction_set);
  if (!set) return ffi::Error::InvalidArgument("this processor lacks the instructions asked for");
  if (is_double)
    return products(pool, set->f64, args, rets, products_asked, steps, batch, reverse);
  return products(pool, set->f32, args, rets, products_asked, steps, batch, reverse);
}

}  // namespace
}  // namespace jaxrnn

XLA_FFI_DEFINE_HANDLER_SYMBOL(jaxrnn_products, jaxrnn::products_any,
                              (jaxrnn::with_pool()
                                   .RemainingArgs()
                                   .RemainingRets()
                                   .Attr<jaxrnn::ffi::Span<const std::int64_t>>("products")
                                   .Attr<std::int64_t>("steps")
                                   .Attr<std::int64_t>("batch")
                                   .Attr<std::int64_t>("instruction_set")
                                   .Attr<bool>("reverse")
                                   .Attr<bool>("is_double")));
