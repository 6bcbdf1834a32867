// The interface between the handlers and the kernels of each instruction set. Arrays are row-major.
// Axis letters: T time, B batch, I input, H hidden, G gates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "program_types.h"

namespace jaxrnn {

enum class Cell { kLstm, kGru, kElmanTanh, kElmanRelu };
constexpr int kCells = 4;

constexpr int gates_of(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }
constexpr std::ptrdiff_t kSingleBlock = 64;  // units in a block of `single`
constexpr bool has_memory(Cell cell) { return cell == Cell::kLstm; }

// The upper 16 bits of a float.
struct Bfloat16 {
  std::uint16_t bits;
};

// The type used to compute with numbers stored as S.
template <class S>
struct WideOf {
  using type = S;
};
template <>
struct WideOf<Bfloat16> {
  using type = float;
};
template <class S>
using Wide = typename WideOf<S>::type;

// How a matrix is packed, so that the products read it in order: see panels.h.
struct Packing {
  int columns;                  // matrix columns per unit
  std::ptrdiff_t depth, units;  // the matrix has `depth` rows and `columns * units` columns
  std::ptrdiff_t vectors;       // unit vectors per panel
};

struct Sizes {
  std::ptrdiff_t steps, batch, inputs, hidden;
  std::ptrdiff_t rows;     // the most batch rows in one part
  std::ptrdiff_t workers;  // the most workers in the team of one part
  bool reverse;
  std::ptrdiff_t real;  // rows of (T, B) that no mask excludes
};

// What one worker tells the rest of its team: see team.h. All fields start at zero.
struct Slot {
  alignas(64) std::int64_t barriers;  // that this worker has reached
  // Used in the leader's slot only:
  alignas(64) std::int64_t command;
  std::int64_t before;  // barriers before the chunk in `command`
  alignas(64) std::int64_t joined;
};

// A part of a call: rows [begin, end) of Forward::order, and the team that computes them.
template <class T>
struct Part {
  std::ptrdiff_t begin, end;
  T* scratch;               // one for each of Sizes::workers
  std::ptrdiff_t* numbers;  // likewise, of 2 * Sizes::rows
  Slot* slots;              // likewise; the first is the leader's
  bool leads;
};

// A null pointer marks a missing array. `memory` is the cell state c of an LSTM.
template <class S>
struct Forward {
  using T = Wide<S>;
  Sizes sizes;
  const T *packed_kernel, *packed_bias;  // null if `us` is given
  const T* packed;                       // the recurrent kernel
  const S *kernel, *bias, *recurrent;    // not packed; only `single` reads them
  const S* recurrent_bias;               // (H,), GRU only
  const S *h, *memory;                   // (B, H), before the first step
  const S *initial_h, *initial_memory;   // (B, H), after a reset
  const S* xs;                           // (T, B, I), or null
  const T* us;                           // (T, B, G*H), the input projection, or null
  const bool *mask, *resets;             // (T, B)
  const std::ptrdiff_t* order;           // (B,), rows of the batch; 0 to B - 1 without a mask
  S *last_h, *last_memory;               // (B, H)
  S* ys;                                 // (T, B, H)
  // Saved for the derivative; null without one. `previous` is also null if `ys` determines it.
  T* gates;     // (T, B, G*H): the activated gates
  S* previous;  // (T, B, H): h before each step
  T* extra;     // (T, B, H): c before each step of an LSTM, v = U_n h + d of a GRU
};

template <class S>
struct Backward {
  using T = Wide<S>;
  Sizes sizes;
  const T* packed;                    // the recurrent kernel, transposed
  const T *gates, *extra;             // from Forward; an Elman cell may use ys as its gates
  const S *previous, *h, *ys;         // from Forward
  const bool *mask, *resets;          // (T, B)
  const std::ptrdiff_t* order;        // as in Forward
  const S* dys;                       // (T, B, H), and so on: cotangents
  const S *dlast_h, *dlast_memory;    // (B, H)
  T* dus;                             // (T, B, G*H), may be the same array as `gates`
  T* dvs;                             // (T, B, H), GRU only; may be the same array as `extra`
  S *dh, *dmemory;                    // (B, H)
  S *dinitial_h, *dinitial_memory;    // (B, H)
};

// The rows of a sum of outer products: a(k) times b(k), summed over k < count.
template <class S>
struct Rows {
  const S* a;        // (count, M)
  const Wide<S>* b;  // (count, N), rows `b_stride` apart
  std::ptrdiff_t count;
  const std::ptrdiff_t* numbers;  // (count,), the row of a and b for each k; null if it is k
  const S* const* rows_of_a = nullptr;  // (count,), those of a, if they are elsewhere
};

// The gradient of N columns of a kernel with M rows, and of a bias.
template <class S>
struct Outer {
  Rows<S> rows[2];
  std::ptrdiff_t height, width;  // M, N
  std::ptrdiff_t b_stride, out_stride;
  S* out;   // (M, N)
  S* sums;  // (N,), the sum of b; or null
};

// Rows times a packed matrix, such as the cotangent of the inputs.
template <class S>
struct Inputs {
  const Wide<S>* packed;  // the kernel, transposed
  const Wide<S>* dus;     // (rows, depth)
  std::ptrdiff_t inputs, depth;
  S* dxs;                         // (rows, I)
  const std::ptrdiff_t* numbers;  // the rows to compute; null for all
  const Wide<S>* bias;  // added to each row, with zeros past its end as in a panel; or null
};

// A linear recurrence of `width` numbers: see linear.h. Complex numbers are pairs.
template <class T>
struct Linear {
  const T *a, *b;  // (T, width)
  const T* h0;     // (width,)
  T* hs;           // (T, width)
  std::ptrdiff_t steps, width;
  bool reverse, lagged, is_complex;
};

// The kernels for arrays that store S.
template <class S>
struct Kernels {
  using T = Wide<S>;
  // How to pack the matrices of a call.
  Packing (*projection)(const Sizes&, int gates);
  Packing (*recurrence)(const Sizes&, int gates);
  Packing (*transposed_projection)(const Sizes&, int gates);
  Packing (*transposed_recurrence)(const Sizes&, int gates);
  std::ptrdiff_t (*packed_size)(const Packing&);  // -1 if it overflows
  std::ptrdiff_t (*panels)(const Packing&);
  void (*pack)(const Packing&, const S* matrix, T* packed, std::ptrdiff_t panel);
  void (*pack_transposed)(const Packing&, const S* matrix, T* packed, std::ptrdiff_t panel);
  // Run a part of the batch through all steps; the scratch size is for one worker.
  std::ptrdiff_t (*forward_scratch)(const Sizes&, int gates);
  void (*forward[kCells])(const Forward<S>&, const Part<T>&);
  // Run blocks of kSingleBlock units through one step of one sequence without a mask or resets.
  void (*single[kCells])(const Forward<S>&, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch);
  std::ptrdiff_t (*backward_scratch)(const Sizes&, int gates);
  void (*backward[kCells])(const Backward<S>&, const Part<T>&);
  // Column panels [begin, end) of the gradient of a kernel.
  std::ptrdiff_t (*outer_panels)(std::ptrdiff_t width);
  std::ptrdiff_t (*outer_scratch)(std::ptrdiff_t height, std::ptrdiff_t panels);
  void (*outer)(const Outer<S>&, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch);
  // The cotangent of the inputs: items [begin, end) of Inputs::numbers.
  std::ptrdiff_t (*inputs_scratch)(std::ptrdiff_t depth);
  void (*inputs)(const Inputs<S>&, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch);
  // Columns [begin, end) of a linear recurrence.
  void (*linear)(const Linear<T>&, std::ptrdiff_t begin, std::ptrdiff_t end);
  // Runs a part of the batch through all steps of a program; see program.h.
  Packing (*program_packing)(std::ptrdiff_t depth, std::ptrdiff_t units, std::ptrdiff_t rows);
  void (*program)(const Program<T>&, const ProgramPart<T>&);
};

struct InstructionSet {
  Kernels<float> f32;
  Kernels<double> f64;
  Kernels<Bfloat16> bf16;
};

// Null if the library was compiled without these instructions.
extern const InstructionSet* const kPlain;
extern const InstructionSet* const kAvx2;
extern const InstructionSet* const kAvx512;

// The kernels of an instruction set, or of the best one for a negative number; null if this
// processor or this library lacks it.
const InstructionSet* find_instruction_set(std::int64_t number);

}  // namespace jaxrnn
