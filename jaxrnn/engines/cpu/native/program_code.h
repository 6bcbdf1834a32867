// Reads a program from the numbers in which Python writes it, and checks each of them.
#pragma once

#include <algorithm>
#include <vector>

#include "code.h"
#include "program_types.h"

namespace jaxrnn {

// What rows times a matrix make, which the program computes itself.
template <class T>
struct ParsedProjection {
  std::ptrdiff_t depth;
  bool is_transposed, has_bias;
  std::ptrdiff_t shared;  // the result in whose place it lies; -1 where it has its own
  int buffer;             // which holds it; -1 where nothing reads it
  const T *rows, *matrix, *bias;
};

// A program and what it is made of.
template <class T>
struct Parsed {
  Program<T> program = {};
  std::vector<ProgramState<T>> states;
  std::vector<ProgramSum<T>> sums;
  std::vector<ProgramResult<T>> results;
  std::vector<ProgramBuffer<T>> buffers;
  std::vector<ProgramMatrix<T>> matrices;
  std::vector<const T*> kernels;  // of `matrices`
  std::vector<bool> is_transposed;
  std::vector<Instruction> instructions;
  std::vector<T> numbers;
  std::vector<ParsedProjection<T>> projections;
};

inline std::ptrdiff_t numbers_in(const Instruction& one) {
  return std::ptrdiff_t{one.outer} * one.inner;
}

template <class T>
bool parse_view(Code& code, const Parsed<T>& parsed, ProgramView* view, std::ptrdiff_t outer,
                std::ptrdiff_t inner) {
  view->buffer = code.count(static_cast<int>(parsed.buffers.size()) - 1);
  view->offset = code.next(0, kMaxWidth);
  view->outer = code.next(0, kMaxWidth);
  view->unit = code.next(0, 1);
  if (code.failed()) return false;
  const ProgramBuffer<T>& buffer = parsed.buffers[view->buffer];
  view->row = buffer.space == Space::kConstant ? 0 : buffer.width;
  view->is_at_row = buffer.space != Space::kLocal;
  const std::ptrdiff_t last = (outer ? (outer - 1) * view->outer : 0) + (view->unit ? inner : 1);
  return view->offset + last <= buffer.width;
}

// Whether the numbers of all rows follow each other, or one number is the same for all.
template <class T>
bool is_flat(const Instruction& one, const ProgramView& view, const ProgramBuffer<T>& buffer) {
  const bool is_constant = buffer.space == Space::kConstant;
  if (!view.unit) return is_constant && (one.outer == 1 || view.outer == 0);
  return !is_constant && buffer.width == numbers_in(one) &&
         (one.outer == 1 || view.outer == one.inner);
}

template <class T>
bool parse_instruction(Code& code, const Parsed<T>& parsed, Instruction* one) {
  one->op = static_cast<Op>(code.count(static_cast<int>(Op::kOps) - 1));
  one->matrix = code.count(static_cast<int>(parsed.matrices.size()));
  one->inputs = code.count(kMaxInputs);
  one->outer = code.next(0, kMaxNumbers);
  one->inner = code.next(0, kMaxNumbers);
  if (numbers_in(*one) > kMaxNumbers) return false;
  const bool multiplies = one->op == Op::kProduct;
  const int inputs = kInputs[static_cast<int>(one->op)];
  if (one->inputs != inputs && !(multiplies && one->inputs == inputs - 1)) return false;
  if (multiplies && one->matrix >= static_cast<int>(parsed.matrices.size())) return false;
  const bool is_of_rows = one->op >= Op::kSum && one->op < Op::kProduct;
  const bool reduces = is_of_rows && one->op < Op::kMeanAndScale;
  const bool normalizes = is_of_rows && !reduces;
  const std::ptrdiff_t depth = multiplies ? parsed.matrices[one->matrix].depth : one->inner;
  const std::ptrdiff_t written = reduces ? 1 : one->op == Op::kMeanAndScale ? 2 : one->inner;
  if (!parse_view(code, parsed, &one->out, one->outer, written)) return false;
  one->is_flat =
      !multiplies && !is_of_rows && is_flat(*one, one->out, parsed.buffers[one->out.buffer]);
  for (int k = 0; k < one->inputs; k++) {
    const bool is_second = normalizes && k == 1;  // the mean and the scale of a row, or eps
    const std::ptrdiff_t second = one->op == Op::kMeanAndScale ? 1 : 2;
    const std::ptrdiff_t inner = multiplies && k == 0 ? depth : is_second ? second : one->inner;
    if (!parse_view(code, parsed, &one->in[k], one->outer, inner)) return false;
    if (normalizes && !one->in[k].unit) return false;
    one->is_flat = one->is_flat && is_flat(*one, one->in[k], parsed.buffers[one->in[k].buffer]);
  }
  const Space to = parsed.buffers[one->out.buffer].space;
  const bool is_written = to != Space::kConstant && to != Space::kBefore && to != Space::kState;
  if (one->op == Op::kNormalizeSlopeSum)
    return is_written && parsed.buffers[one->in[4].buffer].space == Space::kSum;
  if (!multiplies) return is_written;
  const ProgramMatrix<T>& matrix = parsed.matrices[one->matrix];
  return is_written && one->outer == matrix.heads && one->inner == matrix.units;
}

// A state that is copied to a sequence is written there at once. Masks and resets change states
// outside the program, so only without them.
template <class T>
void keep_states(Parsed<T>* parsed) {
  auto& all = parsed->instructions;
  const auto is_needless = [&](const Instruction& one) {
    const auto &from = parsed->buffers[one.in[0].buffer], &to = parsed->buffers[one.out.buffer];
    if (one.op != Op::kCopy || !one.is_flat || from.space != Space::kNext) return false;
    if (to.space != Space::kSequence || !to.is_result) return false;
    for (auto& state : parsed->states) {
      if (state.place != from.place || state.width != to.width || state.kept >= 0) continue;
      state.kept = one.out.buffer;
      for (auto& buffer : parsed->buffers)
        if ((buffer.space == Space::kState || buffer.space == Space::kNext) &&
            buffer.place == state.place && buffer.width == state.width)
          buffer.kept = state.kept;
      return true;
    }
    return false;
  };
  all.erase(std::remove_if(all.begin(), all.end(), is_needless), all.end());
}

// A place in scratch, at the start of a cache line if the number of rows times its size is one: a
// vector that crosses two lines is read at half the speed.
template <class T>
std::ptrdiff_t reserve(std::ptrdiff_t width, std::ptrdiff_t* size) {
  constexpr std::ptrdiff_t line = 64 / sizeof(T);
  const std::ptrdiff_t place = *size;
  *size += (width + line - 1) / line * line;
  return place;
}

template <class T>
void parse_projection(Tensors<T>& tensors, std::ptrdiff_t steps, std::ptrdiff_t batch,
                      std::ptrdiff_t width, ParsedProjection<T>* made) {
  made->rows = tensors.operand({steps, batch, made->depth});
  made->matrix = made->is_transposed ? tensors.operand({width, made->depth})
                                     : tensors.operand({made->depth, width});
  if (made->has_bias) made->bias = tensors.operand({width});
}

// Gives each projection that is read its place; false where it fits none.
template <class T>
bool place_projections(Tensors<T>& tensors, std::ptrdiff_t steps, std::ptrdiff_t batch,
                       Parsed<T>* parsed) {
  const std::ptrdiff_t results = parsed->results.size();
  for (const auto& made : parsed->projections) {
    if (made.buffer < 0) continue;
    ProgramBuffer<T>& buffer = parsed->buffers[made.buffer];
    if (made.shared >= results) return false;
    if (made.shared < 0) {
      buffer.array = tensors.result({steps, batch, buffer.width});
    } else if (parsed->results[made.shared].width == buffer.width) {
      buffer.array = parsed->results[made.shared].array;
    } else {
      return false;
    }
  }
  return true;
}

// Reads the program of a call over (T, B); false where the numbers make none.
template <class T>
bool parse(Code& code, Tensors<T>& tensors, ffi::Span<const double> numbers, std::ptrdiff_t steps,
           std::ptrdiff_t batch, Parsed<T>* parsed) {
  Program<T>& p = parsed->program;
  p.steps = steps;
  p.batch = batch;
  p.is_backward = code.next(0, 1);
  const bool has_mask = code.next(0, 1), has_resets = code.next(0, 1);
  if (has_mask) p.mask = tensors.template operand<const bool>({steps, batch});
  if (has_resets) p.resets = tensors.template operand<const bool>({steps, batch});
  const auto most = kMaxBuffers;
  parsed->projections.resize(code.count(most));
  for (auto& made : parsed->projections) {
    made = {code.size(), code.next(0, 1) == 1, code.next(0, 1) == 1, code.next(-1, most), -1};
    made.rows = made.matrix = made.bias = nullptr;
  }
  parsed->states.resize(code.count(most));
  for (auto& state : parsed->states) {
    state = {code.size(), 0, nullptr, nullptr, nullptr, nullptr, -1};
    state.place = reserve<T>(state.width, &p.state_size);
    state.first = tensors.operand({batch, state.width});
    if (has_resets && !p.is_backward) state.initial = tensors.operand({batch, state.width});
    state.last = tensors.result({batch, state.width});
    if (has_resets && p.is_backward) state.dinitial = tensors.result({batch, state.width});
  }
  parsed->sums.resize(code.count(most));
  std::ptrdiff_t stride = 0;
  for (auto& sum : parsed->sums) {
    sum.width = code.size();
    sum.place = reserve<T>(sum.width, &p.sum_size);
    stride += sum.width;
  }
  T* total = parsed->sums.empty() ? nullptr : tensors.result({batch, stride});
  for (auto& sum : parsed->sums) {
    sum.stride = stride;
    sum.array = total;
    if (total) total += sum.width;
  }
  parsed->matrices.resize(code.count(most));
  for (auto& matrix : parsed->matrices) {
    const bool is_transposed = code.next(0, 1);
    matrix = {code.size(), code.size(), code.size(), nullptr, 0};
    const auto rows = is_transposed ? matrix.units : matrix.depth;
    const auto columns = is_transposed ? matrix.depth : matrix.units;
    parsed->kernels.push_back(tensors.operand({matrix.heads, rows, columns}));
    parsed->is_transposed.push_back(is_transposed);
  }
  for (const double number : numbers) parsed->numbers.push_back(static_cast<T>(number));
  parsed->buffers.resize(code.count(most));
  for (auto& buffer : parsed->buffers) {
    const auto space = static_cast<Space>(code.count(static_cast<int>(Space::kSpaces) - 1));
    buffer = {space, code.next(0, kMaxWidth), 0, false, -1, nullptr, nullptr, nullptr};
    const std::ptrdiff_t number = code.next(-1 - most, most), width = buffer.width;
    switch (space) {
      case Space::kLocal:
        buffer.place = reserve<T>(width, &p.local_size);
        break;
      case Space::kWide:
        buffer.place = reserve<T>(width, &p.wide_size);
        break;
      case Space::kState:
      case Space::kNext:
        if (number < 0 || number >= static_cast<std::ptrdiff_t>(parsed->states.size()) ||
            parsed->states[number].width != width)
          return false;
        buffer.place = parsed->states[number].place;
        break;
      case Space::kSum:
        if (number < 0 || number >= static_cast<std::ptrdiff_t>(parsed->sums.size()) ||
            parsed->sums[number].width != width)
          return false;
        buffer.place = parsed->sums[number].place;
        break;
      case Space::kConstant:
        if (number >= static_cast<std::ptrdiff_t>(parsed->numbers.size())) return false;
        if (number >= 0 && width != 1) return false;
        buffer.array = number >= 0 ? &parsed->numbers[number]
                                   : const_cast<T*>(tensors.operand({width}));
        break;
      case Space::kSequence:  // a result where `number` is 1, or 2: zero where it is masked; and
                              // from -2 down, what a projection makes
        buffer.place = reserve<T>(width, &p.staged_size);
        buffer.is_result = number == 1 || number == 2;
        if (buffer.is_result) {
          buffer.array = tensors.result({steps, batch, width});
          parsed->results.push_back({width, number == 2, buffer.array});
        } else if (-2 - number >= 0 &&
                   -2 - number < static_cast<std::ptrdiff_t>(parsed->projections.size())) {
          auto& made = parsed->projections[-2 - number];
          made.buffer = &buffer - parsed->buffers.data();
          parse_projection(tensors, steps, batch, width, &made);
        } else {
          buffer.array = const_cast<T*>(tensors.operand({steps, batch, width}));
        }
        break;
      case Space::kBefore:
        buffer.place = reserve<T>(width, &p.staged_size);
        buffer.array = const_cast<T*>(tensors.operand({steps, batch, width}));
        buffer.first = const_cast<T*>(tensors.operand({batch, width}));
        if (has_resets) buffer.initial = const_cast<T*>(tensors.operand({batch, width}));
        break;
      default:
        return false;
    }
  }
  if (!place_projections(tensors, steps, batch, parsed)) return false;
  parsed->instructions.resize(code.count(1 << 12));
  for (auto& one : parsed->instructions)
    if (!parse_instruction(code, *parsed, &one)) return false;
  if (!has_mask && !has_resets) keep_states(parsed);
  p.num_states = parsed->states.size();
  p.num_sums = parsed->sums.size();
  p.num_results = parsed->results.size();
  p.num_buffers = parsed->buffers.size();
  p.num_instructions = parsed->instructions.size();
  p.states = parsed->states.data();
  p.sums = parsed->sums.data();
  p.results = parsed->results.data();
  p.buffers = parsed->buffers.data();
  p.matrices = parsed->matrices.data();
  p.instructions = parsed->instructions.data();
  return code.is_done() && tensors.all_read();
}

}  // namespace jaxrnn
