// Runs the native kernels of one instruction set over odd sizes. Each array has its own memory of
// exactly its size, so that AddressSanitizer sees every access out of bounds:
//
//   g++ -std=c++17 -g -O1 -fsanitize=address,undefined -Wno-psabi \
//     -DJAXRNN_INCLUDE_INSTRUCTION_SET=avx512 \
//     -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx2 -mfma -I jaxrnn/engines/cpu/native \
//     tests/engines/native_asan.cc -o native_asan -pthread && ./native_asan
//
// Run it also for avx2 with -mavx2 -mfma, and for plain without -m flags. With -fsanitize=thread it
// finds races between the threads that share rows. native_programs.cc does the same for programs.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#define JAXRNN_STRING_OF(x) #x
#define JAXRNN_STRING(x) JAXRNN_STRING_OF(x)
#include JAXRNN_STRING(JAXRNN_INCLUDE_INSTRUCTION_SET.cc)

namespace {

using namespace jaxrnn;
using Index = std::ptrdiff_t;

std::unique_ptr<bool[]> random_flags(Index size) {
  std::unique_ptr<bool[]> array(new bool[size]);
  for (Index i = 0; i < size; i++) array[i] = std::rand() % 2;
  return array;
}

// Random numbers and their count.
template <class S>
struct Array {
  std::unique_ptr<S[]> numbers;
  Index size;

  explicit Array(Index size, double most = 1) : numbers(new S[size]), size(size) {
    for (Index i = 0; i < size; i++) set(numbers[i], most * (std::rand() / (0.5 * RAND_MAX) - 1));
  }
  static void set(Bfloat16& to, double value) {
    const float narrow = value;
    std::uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof bits);
    to.bits = bits >> 16;
  }
  template <class T>
  static void set(T& to, double value) {
    to = value;
  }
  static bool finite(Bfloat16 x) { return (x.bits & 0x7f80) != 0x7f80; }
  template <class T>
  static bool finite(T x) {
    return std::isfinite(x);
  }
  bool finite() const {
    for (Index i = 0; i < size; i++)
      if (!finite(numbers[i])) return false;
    return true;
  }
  operator S*() const { return numbers.get(); }
};

// Calls `run` for each part of the batch, from all workers of its team at once.
template <class T, class Run>
void in_parts(const Sizes& sizes, Index scratch_size, Run run) {
  for (Index begin = 0; begin < sizes.batch; begin += sizes.rows) {
    const Array<T> scratch(scratch_size * sizes.workers);
    const std::unique_ptr<Index[]> numbers(new Index[2 * sizes.rows * sizes.workers]);
    const std::unique_ptr<Slot[]> slots(new Slot[sizes.workers]());
    const Index end = begin + sizes.rows < sizes.batch ? begin + sizes.rows : sizes.batch;
    std::vector<std::thread> threads;
    for (Index worker = 1; worker < sizes.workers; worker++)
      threads.emplace_back([&] { run(Part<T>{begin, end, scratch, numbers.get(), slots.get(), false}); });
    run(Part<T>{begin, end, scratch, numbers.get(), slots.get(), true});
    for (std::thread& thread : threads) thread.join();
  }
}

// Runs one cell at one size. `flags` adds a mask and resets; without `projects` the input projection
// is given.
template <class S>
bool run(const Kernels<S>& kernels, int number, Index steps, Index batch, Index inputs,
         Index hidden, Index workers, bool flags, bool projects) {
  using T = Wide<S>;
  const Cell cell = static_cast<Cell>(number);
  const Index gates = gates_of(cell), wide = gates * hidden;
  const Index units = steps * batch * hidden, states = batch * hidden;
  const Index rows = workers > 1 ? batch : (batch + 1) / 2;
  const Sizes sizes = {steps, batch, inputs, hidden, rows, workers, flags, steps * batch};
  const auto pack = [&](const Packing& packing, const Array<S>& matrix, auto pack_panel) {
    Array<T> out(kernels.packed_size(packing));
    for (Index panel = 0; panel < kernels.panels(packing); panel++)
      pack_panel(packing, matrix, out, panel);
    return out;
  };
  const Array<S> kernel(inputs * wide), recurrent(hidden * wide, 1.0 / hidden);
  const Array<S> bias(wide), recurrent_bias(hidden);
  const Array<S> h(states), c(states), h0(states), c0(states), last_h(states), last_c(states);
  const Array<S> xs(steps * batch * inputs), ys(units), previous(units);
  const Array<T> us(units * gates), kept(units * gates), extra(units);
  const Array<S> dh(states), dc(states), dh0(states), dc0(states), dxs(xs.size);
  const Array<S> dkernel(kernel.size), drecurrent(recurrent.size), dbias(wide), dv_sums(hidden);
  const auto mask = random_flags(steps * batch), resets = random_flags(steps * batch);
  std::vector<Index> order, numbers;
  for (Index row = 0; row < batch; row++) order.push_back(flags ? batch - 1 - row : row);
  for (Index row = 0; row < steps * batch; row++)
    if (mask[row]) numbers.push_back(row);

  Packing projection = kernels.projection(sizes, gates);
  const auto packed_kernel = pack(projection, kernel, kernels.pack);
  projection.depth = 1;
  const auto packed_bias = pack(projection, bias, kernels.pack);
  const auto forward = pack(kernels.recurrence(sizes, gates), recurrent, kernels.pack);
  Forward<S> f = {};
  f.sizes = sizes;
  f.packed_kernel = packed_kernel;
  f.packed_bias = packed_bias;
  f.packed = forward;
  f.recurrent_bias = recurrent_bias;
  f.h = h, f.memory = c, f.initial_h = h0, f.initial_memory = c0;
  f.xs = projects ? static_cast<S*>(xs) : nullptr;
  f.us = projects ? nullptr : static_cast<T*>(us);
  f.order = order.data();
  f.mask = flags ? mask.get() : nullptr, f.resets = flags ? resets.get() : nullptr;
  f.last_h = last_h, f.last_memory = last_c, f.ys = ys;
  f.gates = kept, f.previous = flags ? static_cast<S*>(previous) : nullptr, f.extra = extra;
  in_parts<T>(sizes, kernels.forward_scratch(sizes, gates),
              [&](const Part<T>& part) { kernels.forward[number](f, part); });

  const Packing transposed = kernels.transposed_recurrence(sizes, gates);
  const auto backward = pack(transposed, recurrent, kernels.pack_transposed);
  Backward<S> b = {};
  b.sizes = sizes;
  b.packed = backward;
  const bool ys_tell = gates == 1 && !flags && std::is_same_v<S, T>;
  b.gates = ys_tell ? nullptr : static_cast<T*>(kept);
  b.extra = extra, b.previous = f.previous, b.h = h, b.ys = ys;
  b.mask = f.mask, b.resets = f.resets, b.order = f.order;
  b.dys = ys, b.dlast_h = last_h, b.dlast_memory = last_c;
  b.dus = kept, b.dvs = cell == Cell::kGru ? static_cast<T*>(extra) : nullptr;
  b.dh = dh, b.dmemory = dc, b.dinitial_h = dh0, b.dinitial_memory = dc0;
  in_parts<T>(sizes, kernels.backward_scratch(sizes, gates),
              [&](const Part<T>& part) { kernels.backward[number](b, part); });

  const Index total = steps * batch, rest = total > batch ? total - batch : 0;
  const Index count = flags ? numbers.size() : total;
  const Index shared = b.dvs ? wide - hidden : wide;
  // Outer products with h before each step, for `columns` columns from number `first` on.
  const auto of_h = [&](const T* from, Index stride, Index first, Index columns, S* sums) {
    Outer<S> outer = {{}, hidden, columns, stride, wide, drecurrent + first, sums};
    outer.rows[0] = {h, from, total - rest, nullptr};
    outer.rows[1] = {ys, from + (total - rest) * stride, rest, nullptr};
    if (flags) outer.rows[0] = {previous, from, count, numbers.data()}, outer.rows[1] = {};
    return outer;
  };
  std::vector<Outer<S>> outers = {
      {{{xs, kept, count, flags ? numbers.data() : nullptr}, {}},
       inputs, wide, wide, wide, dkernel, dbias},
      of_h(kept, wide, 0, shared, nullptr)};
  if (b.dvs) outers.push_back(of_h(extra, hidden, shared, hidden, dv_sums));
  for (const Outer<S>& outer : outers) {
    const Index panels = kernels.outer_panels(outer.width), half = panels / 2;
    for (const auto& [begin, end] : {std::pair{Index(0), half}, std::pair{half, panels}}) {
      const Array<T> scratch(kernels.outer_scratch(outer.height, end - begin));
      kernels.outer(outer, begin, end, scratch);
    }
  }
  const Packing columns = kernels.transposed_projection(sizes, gates);
  const auto packed_columns = pack(columns, kernel, kernels.pack_transposed);
  const Inputs<S> of_inputs = {packed_columns, kept, inputs, wide, dxs,
                               flags ? numbers.data() : nullptr};
  const Array<T> gathered(kernels.inputs_scratch(wide));
  kernels.inputs(of_inputs, 0, count / 2, gathered);
  kernels.inputs(of_inputs, count / 2, count, gathered);
  return ys.finite() && kept.finite() && dh.finite() && dkernel.finite() && drecurrent.finite() &&
         dbias.finite() && dxs.finite();
}

// Runs one step of one sequence, by two tasks.
template <class S>
bool run_single(const Kernels<S>& kernels, int number, Index inputs, Index hidden) {
  using T = Wide<S>;
  const Index wide = gates_of(static_cast<Cell>(number)) * hidden;
  const Array<S> kernel(inputs * wide), recurrent(hidden * wide, 1.0 / hidden);
  const Array<S> bias(wide), recurrent_bias(hidden), xs(inputs);
  const Array<S> h(hidden), c(hidden), last_h(hidden), last_c(hidden);
  const Array<T> scratch(inputs + hidden + 128);
  Forward<S> f = {};
  f.sizes = {1, 1, inputs, hidden, 1, 1, false, 1};
  f.kernel = kernel, f.bias = bias, f.recurrent = recurrent, f.recurrent_bias = recurrent_bias;
  f.h = h, f.memory = c, f.xs = xs, f.last_h = last_h, f.last_memory = last_c;
  const Index blocks = (hidden + kSingleBlock - 1) / kSingleBlock;
  kernels.single[number](f, 0, blocks / 2, scratch);
  kernels.single[number](f, blocks / 2, blocks, scratch);
  return last_h.finite() && last_c.finite();
}

}  // namespace

int main() {
  const InstructionSet& kernels = JAXRNN_INCLUDE_INSTRUCTION_SET::instruction_set;
  int failures = 0;
  const auto all = [&](auto... sizes) {
    failures += !run(kernels.f32, sizes...) + !run(kernels.f64, sizes...) +
                !run(kernels.bf16, sizes...);
  };
  for (int cell = 0; cell < kCells; cell++)
    for (Index hidden : {1, 16, 65, 130, 600, 1200})
      for (Index inputs : {0, 1, 8, 19})
        failures += !run_single(kernels.f32, cell, inputs, hidden) +
                    !run_single(kernels.f64, cell, inputs, hidden) +
                    !run_single(kernels.bf16, cell, inputs, hidden);
  for (int cell = 0; cell < kCells; cell++)
    for (const auto& [flags, projects] :
         {std::pair{false, true}, std::pair{true, true}, std::pair{true, false}}) {
      for (Index hidden : {1, 3, 16, 17, 65, 130})
        for (Index batch : {1, 2, 7, 33})
          for (Index steps : {0, 1, 3})
            all(cell, steps, batch, hidden == 65 ? Index(0) : hidden + 2, hidden, Index(1), flags,
                projects);
      for (Index hidden : {40, 130})
        for (Index workers : {2, 3})
          for (const auto& [steps, batch] : {std::pair{150, 1}, std::pair{40, 9}})
            all(cell, Index(steps), Index(batch), Index(20), hidden, workers, flags, projects);
    }
  std::printf("%d failures\n", failures);
  return failures != 0;
}
