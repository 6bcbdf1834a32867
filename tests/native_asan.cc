// Runs the native kernels of every instruction set over odd sizes, with each array in memory of its
// own and of its exact size, so that AddressSanitizer sees every access out of bounds:
//
//   g++ -std=c++17 -g -O1 -fsanitize=address,undefined -Wno-psabi -DJAXRNN_INCLUDE_LEVEL=avx512 \
//     -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx2 -mfma -I jaxrnn/kernels/native \
//     tests/native_asan.cc -o native_asan && ./native_asan
//
// and likewise for avx2 with -mavx2 -mfma, and for plain with neither.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#define JAXRNN_STRING_OF(x) #x
#define JAXRNN_STRING(x) JAXRNN_STRING_OF(x)
#include JAXRNN_STRING(JAXRNN_INCLUDE_LEVEL.cc)

namespace {

using namespace jaxrnn;
using Index = std::ptrdiff_t;

template <class T>
std::unique_ptr<T[]> random_array(Index size) {
  std::unique_ptr<T[]> array(new T[size]);
  for (Index i = 0; i < size; i++) array[i] = static_cast<T>(std::rand() / (0.5 * RAND_MAX) - 1);
  return array;
}

std::unique_ptr<bool[]> random_flags(Index size) {
  std::unique_ptr<bool[]> array(new bool[size]);
  for (Index i = 0; i < size; i++) array[i] = std::rand() % 2;
  return array;
}

template <class T>
bool finite(const T* array, Index size) {
  for (Index i = 0; i < size; i++)
    if (!std::isfinite(array[i])) return false;
  return true;
}

// One cell at one size, rows split in two parts; with masks and resets, or without.
template <class T>
bool run(const Kernels<T>& kernels, int number, Index steps, Index batch, Index hidden, bool flags) {
  const Cell cell = static_cast<Cell>(number);
  const Index gates = gates_of(cell), units = steps * batch * hidden, states = batch * hidden;
  const Sizes sizes = {steps, batch, hidden, (batch + 1) / 2, flags};
  const Index padded = (hidden + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
  const auto array = random_array<T>;
  const auto kernel = array(hidden * gates * hidden), bias = array(hidden);
  const auto packed = array(hidden * gates * padded), scratch = array(kernels.scratch(sizes));
  const auto h = array(states), c = array(states), h0 = array(states), c0 = array(states);
  const auto last_h = array(states), last_c = array(states), us = array(units * gates);
  const auto ys = array(units), kept = array(units * gates), previous = array(units);
  const auto extra = array(units), dus = array(units * gates), dvs = array(units * gates);
  const auto dh = array(states), dc = array(states), dh0 = array(states), dc0 = array(states);
  const auto mask = random_flags(steps * batch), resets = random_flags(steps * batch);
  for (Index panel = 0; panel < kernels.panels(gates, sizes); panel++)
    kernels.pack_forward(gates, sizes, kernel.get(), packed.get(), panel);
  const Forward<T> f = {sizes, packed.get(), bias.get(), h.get(), c.get(), h0.get(), c0.get(),
                        us.get(), flags ? mask.get() : nullptr, flags ? resets.get() : nullptr,
                        last_h.get(), last_c.get(), ys.get(), kept.get(), previous.get(),
                        extra.get()};
  kernels.forward[number](f, 0, sizes.rows, scratch.get());
  kernels.forward[number](f, sizes.rows, batch, scratch.get());
  for (Index panel = 0; panel < kernels.panels(1, sizes); panel++)
    kernels.pack_backward(gates, sizes, kernel.get(), packed.get(), panel);
  const Backward<T> b = {sizes, packed.get(), kept.get(), previous.get(), extra.get(), f.mask,
                         f.resets, ys.get(), last_h.get(), last_c.get(), dus.get(),
                         cell == Cell::kGru ? dvs.get() : dus.get(), dh.get(), dc.get(), dh0.get(),
                         dc0.get()};
  kernels.backward[number](b, 0, sizes.rows, scratch.get());
  kernels.backward[number](b, sizes.rows, batch, scratch.get());
  return finite(ys.get(), units) && finite(dus.get(), units * gates) && finite(dh.get(), states);
}

}  // namespace

int main() {
  const Level& level = JAXRNN_INCLUDE_LEVEL::level;
  int failures = 0;
  for (int cell = 0; cell < kCells; cell++)
    for (Index hidden : {1, 3, 16, 17, 65, 130})
      for (Index batch : {1, 2, 7, 33})
        for (Index steps : {0, 1, 3})
          for (bool flags : {false, true})
            failures += !run(level.f32, cell, steps, batch, hidden, flags) +
                        !run(level.f64, cell, steps, batch, hidden, flags);
  std::printf("%d failures\n", failures);
  return failures != 0;
}
