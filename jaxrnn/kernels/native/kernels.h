// What the handlers and the kernels of each instruction set agree on. Row-major arrays; axis letters
// as in Python: T steps, B batch, H hidden, G gates.
#pragma once

#include <cstddef>

namespace jaxrnn {

enum class Cell { kLstm, kGru, kElmanTanh, kElmanRelu };
constexpr int kCells = 4;

constexpr int gates_of(Cell cell) { return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1; }
constexpr bool has_memory(Cell cell) { return cell == Cell::kLstm; }

struct Sizes {
  std::ptrdiff_t steps, batch, hidden;
  std::ptrdiff_t rows;  // of the batch, at most, that one call works on
  bool reverse;
};

// A null pointer stands for an array that is not there. `memory` is the c of an LSTM.
template <class T>
struct Forward {
  Sizes sizes;
  const T* packed;          // the recurrent kernel, by Kernels::pack_forward
  const T* recurrent_bias;  // (H,), GRU only
  const T *h, *memory;      // (B, H), before the first step
  const T *initial_h, *initial_memory;  // (B, H), after a reset
  const T* us;                          // (T, B, G*H), may be the same array as `gates`
  const bool *mask, *resets;            // (T, B)
  T *last_h, *last_memory;              // (B, H)
  T* ys;                                // (T, B, H)
  // What the derivative needs, all or none.
  T* gates;     // (T, B, G*H): the activated gates
  T* previous;  // (T, B, H): h before each step
  T* extra;     // (T, B, H): c before each step of an LSTM, U_n h + d of a GRU
};

template <class T>
struct Backward {
  Sizes sizes;
  const T* packed;                  // the recurrent kernel, by Kernels::pack_backward
  const T *gates, *previous, *extra;  // from Forward
  const bool *mask, *resets;        // (T, B)
  const T* dys;                     // (T, B, H), and so on: cotangents
  const T *dlast_h, *dlast_memory;  // (B, H)
  T* dus;                           // (T, B, G*H), may be the same array as `gates`
  T* dvs;                           // (T, B, G*H): of the recurrent product; `dus` but for a GRU
  T *dh, *dmemory;                  // (B, H)
  T *dinitial_h, *dinitial_memory;  // (B, H)
};

template <class T>
struct Kernels {
  std::ptrdiff_t lanes;  // of a vector; packed kernels are padded to a multiple
  // Packs panel number `panel` of panels(gates, sizes); all panels take H * G * padded(H) numbers.
  std::ptrdiff_t (*panels)(int gates, const Sizes&);
  void (*pack_forward)(int gates, const Sizes&, const T* kernel, T* packed, std::ptrdiff_t panel);
  void (*pack_backward)(int gates, const Sizes&, const T* kernel, T* packed, std::ptrdiff_t panel);
  // Run rows [begin, end) of the batch through all steps; scratch is of scratch(...) numbers.
  std::ptrdiff_t (*scratch)(const Sizes&);
  void (*forward[kCells])(const Forward<T>&, std::ptrdiff_t begin, std::ptrdiff_t end, T* scratch);
  void (*backward[kCells])(const Backward<T>&, std::ptrdiff_t begin, std::ptrdiff_t end,
                           T* scratch);
};

struct Level {
  Kernels<float> f32;
  Kernels<double> f64;
};

// Null where the compiler was not asked for these instructions.
extern const Level* const kPlain;
extern const Level* const kAvx2;
extern const Level* const kAvx512;

}  // namespace jaxrnn
