// Runs programs of one instruction set over odd sizes, their parts in threads of their own. Each
// array has its own memory of exactly its size. Compile and run it as native_asan.cc, once with
// -fsanitize=address,undefined and once with -fsanitize=thread.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#define JAXRNN_STRING_OF(x) #x
#define JAXRNN_STRING(x) JAXRNN_STRING_OF(x)
#include JAXRNN_STRING(JAXRNN_INCLUDE_INSTRUCTION_SET.cc)

namespace {

using namespace jaxrnn;
using Index = std::ptrdiff_t;

template <class T>
std::unique_ptr<T[]> random(Index size) {
  std::unique_ptr<T[]> array(new T[size]);
  for (Index i = 0; i < size; i++) array[i] = std::rand() / (0.5 * RAND_MAX) - 1;
  return array;
}

template <>
std::unique_ptr<bool[]> random(Index size) {
  std::unique_ptr<bool[]> array(new bool[size]);
  for (Index i = 0; i < size; i++) array[i] = std::rand() % 2;
  return array;
}

enum Buffer { kU, kH, kNextH, kZ, kLocal, kOther, kBias, kHalf, kYs, kTotal, kEarlier, kAfter,
              kBuffers };

// A step z = W h + u in two heads, each operation once on z, and h = sigmoid(z_1) h + z_2 / 2.
template <class T>
std::vector<Instruction> instructions_for(const std::vector<ProgramBuffer<T>>& buffers, Index size) {
  std::vector<Instruction> all;
  const auto view = [&](int buffer, Index offset, Index outer, bool unit) {
    const ProgramBuffer<T>& of = buffers[buffer];
    const Index row = of.space == Space::kConstant ? 0 : of.width;
    ProgramView made = {};
    made.offset = offset;
    made.outer = outer;
    made.row = row;
    made.buffer = buffer;
    made.unit = unit;
    made.is_at_row = of.space != Space::kLocal;
    return made;
  };
  const auto whole = [&](int buffer) { return view(buffer, 0, 0, true); };
  const auto add = [&](Op op, Index outer, Index inner, ProgramView out,
                       const std::vector<ProgramView>& in) {
    Instruction one = {};
    one.op = op;
    one.inputs = in.size();
    one.outer = outer;
    one.inner = inner;
    one.is_flat = outer == 1;
    one.out = out;
    if (op >= Op::kSum && op < Op::kProduct) one.is_flat = false;
    const auto check = [&](const ProgramView& view) {
      const ProgramBuffer<T>& buffer = buffers[view.buffer];
      if (view.unit && (buffer.space == Space::kConstant || buffer.width != inner))
        one.is_flat = false;
    };
    check(out);
    int k = 0;
    for (const ProgramView& view : in) check(one.in[k++] = view);
    all.push_back(one);
  };
  const ProgramView half = view(kHalf, 0, 0, false), out = whole(kOther);
  add(Op::kProduct, 2, size, view(kZ, 0, size, true),
      {view(kH, 0, 0, true), view(kU, 0, size, true)});
  add(Op::kCopy, 1, 2 * size, whole(kLocal), {whole(kBias)});
  for (int number = 0; number < static_cast<int>(Op::kProduct); number++) {
    const Op op = static_cast<Op>(number);
    const ProgramView z = whole(kZ), local = whole(kLocal), bias = whole(kBias);
    if (op == Op::kMeanAndScale) {
      add(op, 1, 2 * size, out, {z, half});
      continue;
    }
    if (op >= Op::kNormalize && op <= Op::kNormalizeSlopeSum) {
      // The mean and the scale of a row, of which there are two numbers, and as many rows as needed.
      std::vector<ProgramView> in = {z, bias, local, z};
      in.resize(kInputs[number] < 4 ? kInputs[number] : 4, z);
      if (op == Op::kNormalizeSlopeSum) in.push_back(whole(kTotal));
      add(op, 1, size, out, in);
      continue;
    }
    switch (kInputs[number]) {
      case 1:
        add(op, 1, 2 * size, out, {z});
        break;
      case 2:
        add(op, 1, 2 * size, out, {z, local});
        add(op, 2, size, view(kOther, 0, size, true),  // along an outer axis, not flat
            {view(kZ, 0, size, true), view(kBias, size, 0, true)});
        break;
      case 3:
        add(op, 1, 2 * size, out, {z, half, bias});
        break;
      default:
        add(op, 1, 2 * size, out, {z, half, bias, local});
    }
  }
  add(Op::kSigmoid, 1, size, whole(kNextH), {whole(kZ)});
  add(Op::kMultiply, 1, size, whole(kNextH), {whole(kNextH), whole(kH)});
  add(Op::kMultiplyAdd, 1, size, whole(kNextH), {view(kZ, size, 0, true), half, whole(kNextH)});
  add(Op::kTanh, 1, size, whole(kNextH), {whole(kNextH)});
  add(Op::kAdd, 1, size, whole(kYs), {whole(kNextH), whole(kEarlier)});
  add(Op::kAccumulate, 1, size, whole(kTotal), {whole(kNextH)});
  return all;
}

enum class Flags { kNone, kResets, kBoth };  // both resets and a mask

template <class T>
bool run(const Kernels<T>& kernels, Index steps, Index batch, Index size, Index parts,
         bool is_backward, Flags flags) {
  Program<T> p = {};
  p.steps = steps, p.batch = batch, p.rows = (batch + parts - 1) / parts;
  p.block = p.rows < 3 ? p.rows : 3;
  p.reverse = is_backward, p.is_backward = is_backward;
  const auto mask = random<bool>(steps * batch), resets = random<bool>(steps * batch);
  const bool has_flags = flags != Flags::kNone, has_mask = flags == Flags::kBoth;
  if (has_mask) p.mask = mask.get();
  if (has_flags) p.resets = resets.get();
  const Index rows = batch * size, all = steps * rows;
  const auto us = random<T>(2 * all), ys = random<T>(all), before = random<T>(all);
  constexpr Index depth = 3;
  const auto xs = random<T>(steps * batch * depth), kernel = random<T>(depth * 2 * size);
  const auto after = random<T>(all);
  const auto first = random<T>(rows), initial = random<T>(rows), last = random<T>(rows);
  const auto dinitial = random<T>(rows), earliest = random<T>(rows), totals = random<T>(rows);
  const auto bias = random<T>(2 * size), half = random<T>(1), weights = random<T>(2 * size * size);

  const int kept = has_flags ? -1 : kAfter;  // states are those of a sequence
  const ProgramState<T> state = {size, 0, first.get(), initial.get(), last.get(),
                                 has_flags && is_backward ? dinitial.get() : nullptr, kept};
  const ProgramSum<T> total = {size, 0, size, totals.get()};
  const ProgramResult<T> result = {size, true, ys.get()};
  std::vector<ProgramBuffer<T>> buffers(kBuffers);
  buffers[kU] = {Space::kSequence, 2 * size, 0, false, -1, us.get(), nullptr};
  buffers[kH] = {Space::kState, size, 0, false, kept, nullptr, nullptr};
  buffers[kNextH] = {Space::kNext, size, 0, false, kept, nullptr, nullptr};
  buffers[kZ] = {Space::kWide, 2 * size, 0, false, -1, nullptr, nullptr};
  buffers[kLocal] = {Space::kLocal, 2 * size, 0, false, -1, nullptr, nullptr};
  buffers[kOther] = {Space::kLocal, 2 * size, 2 * size, false, -1, nullptr, nullptr};
  buffers[kBias] = {Space::kConstant, 2 * size, 0, false, -1, bias.get(), nullptr};
  buffers[kHalf] = {Space::kConstant, 1, 0, false, -1, half.get(), nullptr};
  buffers[kYs] = {Space::kSequence, size, 2 * size, true, -1, ys.get(), nullptr};
  buffers[kTotal] = {Space::kSum, size, 0, false, -1, nullptr, nullptr};
  buffers[kEarlier] = {Space::kBefore, size, 3 * size, false, -1, before.get(), earliest.get(),
                       initial.get()};
  buffers[kAfter] = {Space::kSequence, size, 4 * size, true, -1, after.get(), nullptr};
  const auto instructions = instructions_for(buffers, size);

  const Packing packing = kernels.program_packing(size, size, p.rows);
  const Index packed_size = kernels.packed_size(packing);
  const auto packed = random<T>(2 * packed_size);
  for (Index head = 0; head < 2; head++)
    for (Index panel = 0; panel < kernels.panels(packing); panel++)
      kernels.pack(packing, weights.get() + head * size * size, packed.get() + head * packed_size,
                   panel);
  const ProgramMatrix<T> matrix = {2, size, size, packed.get(), packed_size};
  Sizes sides = {};
  sides.inputs = 2 * size, sides.hidden = depth;
  const Packing wide = kernels.transposed_projection(sides, 1);
  const auto columns = random<T>(kernels.packed_size(wide)), biases = random<T>(2 * size + 64);
  for (Index panel = 0; panel < kernels.panels(wide); panel++)
    kernels.pack(wide, kernel.get(), columns.get(), panel);
  const ProgramProjection<T> projection = {depth,    2 * size,      xs.get(),
                                           us.get(), columns.get(), biases.get()};
  p.projections = &projection, p.num_projections = 1, p.chunk = 2;
  p.num_states = p.num_sums = p.num_results = 1;
  p.num_buffers = buffers.size(), p.num_instructions = instructions.size();
  p.states = &state, p.sums = &total, p.results = &result, p.matrices = &matrix;
  p.buffers = buffers.data(), p.instructions = instructions.data();
  p.local_size = 4 * size, p.staged_size = 5 * size, p.wide_size = 2 * size, p.state_size = p.sum_size = size;

  std::vector<Index> order;
  for (Index row = 0; row < batch; row++) order.push_back(batch - 1 - row);
  constexpr Index slack = 64;  // as the handler has it
  const Index each = p.wide_size + p.sum_size + p.state_size * (is_backward ? 3 : 2) +
                     (has_flags ? p.staged_size : 0);
  const Index gathered = kernels.inputs_scratch(depth);
  std::vector<std::thread> threads;
  for (Index begin = 0; begin < batch; begin += p.rows)
    threads.emplace_back([&, begin] {
      const auto scratch = random<T>(p.local_size * p.block + each * p.rows + gathered + slack);
      const auto numbers = std::unique_ptr<Index[]>(new Index[p.rows * p.chunk]);
      const Index end = begin + p.rows < batch ? begin + p.rows : batch;
      kernels.program(p, {begin, end, has_mask ? order.data() : nullptr, scratch.get(),
                          numbers.get()});
    });
  for (std::thread& thread : threads) thread.join();
  bool finite = true;
  for (Index i = 0; i < all; i++) finite = finite && std::isfinite(ys[i]);
  for (Index i = 0; i < rows; i++) finite = finite && std::isfinite(last[i]);
  return finite;
}

}  // namespace

int main() {
  const InstructionSet& kernels = JAXRNN_INCLUDE_INSTRUCTION_SET::instruction_set;
  int failures = 0;
  for (const bool is_backward : {false, true})
    for (const Flags flags : {Flags::kNone, Flags::kResets, Flags::kBoth})
      for (Index size : {1, 3, 16, 17, 65})
        for (Index batch : {1, 2, 7, 33})
          for (Index parts : {1, 2, 4})
            for (Index steps : {0, 1, 5})
              failures += !run(kernels.f32, steps, batch, size, parts, is_backward, flags) +
                          !run(kernels.f64, steps, batch, size, parts, is_backward, flags);
  std::printf("%d failures\n", failures);
  return failures != 0;
}
