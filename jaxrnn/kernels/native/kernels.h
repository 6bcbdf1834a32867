// What the handlers and the kernels of each instruction set agree on. Row-major arrays; axis letters
// as in Python: T steps, B batch, I input, H hidden, G gates.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jaxrnn {

enum class Cell { kLstm, kGru, kElmanTanh, kElmanRelu };
constexpr int kCells = 4;

constexpr int gates_of(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }
constexpr bool has_memory(Cell cell) { return cell == Cell::kLstm; }

// The upper half of a float.
struct Bfloat16 {
  std::uint16_t bits;
};

// What numbers of a stored type S are computed in.
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

// A matrix in the order in which the products read it: see panels.h.
struct Packing {
  int columns;                  // of the matrix, for each unit
  std::ptrdiff_t depth, units;  // its rows; its columns are `columns` times `units`
  std::ptrdiff_t vectors;       // of units in a panel
};

struct Sizes {
  std::ptrdiff_t steps, batch, inputs, hidden;
  std::ptrdiff_t rows;     // of the batch, at most, that one call works on
  std::ptrdiff_t members;  // that work together on them, at most
  bool reverse;
};

// What one member of a crew tells the others: see crew.h. It begins with zeros.
struct Seat {
  alignas(64) std::int64_t meetings;  // to which this member has come
  // Of the leader alone:
  alignas(64) std::int64_t command;
  std::int64_t before;  // meetings, before the chunk that is commanded
  alignas(64) std::int64_t joined;
};

// A part of a call: rows [begin, end) of the batch, and who works on them.
template <class T>
struct Part {
  std::ptrdiff_t begin, end;
  T* scratch;  // for each of Sizes::members
  Seat* seats;  // likewise; the first is the leader's
  bool leads;
};

// A null pointer stands for an array that is not there. `memory` is the c of an LSTM.
template <class S>
struct Forward {
  using T = Wide<S>;
  Sizes sizes;
  const T *packed_kernel, *packed_bias;  // null where `us` is given
  const T* packed;                       // the recurrent kernel
  const S *kernel, *bias, *recurrent;    // as they are, for `single` alone
  const S* recurrent_bias;               // (H,), GRU only
  const S *h, *memory;                   // (B, H), before the first step
  const S *initial_h, *initial_memory;   // (B, H), after a reset
  const S* xs;                           // (T, B, I), or null
  const T* us;                           // (T, B, G*H), the input projection, or null
  const bool *mask, *resets;             // (T, B)
  S *last_h, *last_memory;               // (B, H)
  S* ys;                                 // (T, B, H)
  // What the derivative needs; null where there is none, and `previous` where `ys` tells it.
  T* gates;     // (T, B, G*H): the activated gates
  S* previous;  // (T, B, H): h before each step
  T* extra;     // (T, B, H): c before each step of an LSTM, v = U_n h + d of a GRU
};

template <class S>
struct Backward {
  using T = Wide<S>;
  Sizes sizes;
  const T* packed;                    // the recurrent kernel, transposed
  const T *gates, *extra;             // from Forward; of an Elman cell, ys may stand for gates
  const S *previous, *h, *ys;         // likewise
  const bool *mask, *resets;          // (T, B)
  const S* dys;                       // (T, B, H), and so on: cotangents
  const S *dlast_h, *dlast_memory;    // (B, H)
  T* dus;                             // (T, B, G*H), may be the same array as `gates`
  T* dvs;                             // (T, B, H): of v, for a GRU; may be the same array as `extra`
  S *dh, *dmemory;                    // (B, H)
  S *dinitial_h, *dinitial_memory;    // (B, H)
};

// A part of the sum over k of the outer product of a(k) and b(k): those for k < count.
template <class S>
struct Rows {
  const S* a;        // (count, M)
  const Wide<S>* b;  // (count, N), `b_stride` from row to row
  std::ptrdiff_t count;
};

// The gradient of N columns of a kernel of M rows, and of a bias.
template <class S>
struct Outer {
  Rows<S> rows[2];
  std::ptrdiff_t height, width;  // M, N
  std::ptrdiff_t b_stride, out_stride;
  S* out;   // (M, N)
  S* sums;  // (N,), of b; or null
};

// The cotangent of the inputs.
template <class S>
struct Inputs {
  const Wide<S>* packed;  // the kernel, transposed
  const Wide<S>* dus;     // (rows, depth)
  std::ptrdiff_t inputs, depth;
  S* dxs;  // (rows, I)
};

// S is what arrays are stored in.
template <class S>
struct Kernels {
  using T = Wide<S>;
  // How the matrices of a call are packed.
  Packing (*projection)(const Sizes&, int gates);
  Packing (*recurrence)(const Sizes&, int gates);
  Packing (*transposed_projection)(const Sizes&, int gates);
  Packing (*transposed_recurrence)(const Sizes&, int gates);
  std::ptrdiff_t (*packed_size)(const Packing&);  // -1 where it overflows
  std::ptrdiff_t (*panels)(const Packing&);
  void (*pack)(const Packing&, const S* matrix, T* packed, std::ptrdiff_t panel);
  void (*pack_transposed)(const Packing&, const S* matrix, T* packed, std::ptrdiff_t panel);
  // These run a part of the batch through all steps; scratch is for one member.
  std::ptrdiff_t (*forward_scratch)(const Sizes&, int gates);
  void (*forward[kCells])(const Forward<S>&, const Part<T>&);
  // Runs blocks of units through one step of one sequence that has neither mask nor reset.
  std::ptrdiff_t (*single_blocks)(std::ptrdiff_t hidden);
  void (*single[kCells])(const Forward<S>&, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch);
  std::ptrdiff_t (*backward_scratch)(const Sizes&, int gates);
  void (*backward[kCells])(const Backward<S>&, const Part<T>&);
  // Column panels [begin, end) of the gradient of a kernel.
  std::ptrdiff_t (*outer_panels)(std::ptrdiff_t width);
  std::ptrdiff_t (*outer_scratch)(std::ptrdiff_t height, std::ptrdiff_t panels);
  void (*outer)(const Outer<S>&, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch);
  // Rows [begin, end) of the cotangent of the inputs.
  void (*inputs)(const Inputs<S>&, std::ptrdiff_t begin, std::ptrdiff_t end);
};

struct Level {
  Kernels<float> f32;
  Kernels<double> f64;
  Kernels<Bfloat16> bf16;
};

// Null where the compiler was not asked for these instructions.
extern const Level* const kPlain;
extern const Level* const kAvx2;
extern const Level* const kAvx512;

}  // namespace jaxrnn
