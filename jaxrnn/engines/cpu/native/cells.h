// The equations of each cell and of its derivative, for a vector of units of one row at one step.
#pragma once

#include "activations.h"
#include "kernels.h"

namespace jaxrnn::JAXRNN_INSTRUCTION_SET {

// The position of some units: `units` in an array (T, B, H), and `gates` in an array (T, B, G*H),
// where the gates of a unit are `hidden` apart.
struct Place {
  std::ptrdiff_t units, gates, hidden, unit, count;
};

// The state of these units.
template <class T>
struct State {
  Vector<T> h, memory;
};

// `forward` takes u and z (gates, lanes), the products with x and with h, and returns the state
// after the step. It saves the gates if `Forward::gates` is given.
//
// `backward` takes h before the step, which only the GRU reads, and the cotangent of the state
// after it. It writes the cotangents of the gates and returns the cotangent of the state before the
// step, without what comes through the recurrent product.

template <class S>
struct Lstm {
  static constexpr Cell kCell = Cell::kLstm;
  using T = Wide<S>;

  JAXRNN_INLINE static State<T> forward(const Forward<S>& f, const Place& at, const T* u,
                                        const T* z, State<T> state) {
    constexpr std::ptrdiff_t lanes = kLanes<T>;
    const auto i = sigmoid<T>(load(z) + load(u));
    const auto f_gate = sigmoid<T>(load(z + lanes) + load(u + lanes));
    const auto g = tanh<T>(load(z + 2 * lanes) + load(u + 2 * lanes));
    const auto o = sigmoid<T>(load(z + 3 * lanes) + load(u + 3 * lanes));
    if (f.gates) {
      T* gates = f.gates + at.gates;
      store(gates, i, at.count);
      store(gates + at.hidden, f_gate, at.count);
      store(gates + 2 * at.hidden, g, at.count);
      store(gates + 3 * at.hidden, o, at.count);
      store(f.extra + at.units, state.memory, at.count);
    }
    const Vector<T> memory = f_gate * state.memory + i * g;
    return {o * tanh<T>(memory), memory};
  }

  JAXRNN_INLINE static State<T> backward(const Backward<S>& b, const Place& at, Vector<T>,
                                         State<T> d) {
    const T* gates = b.gates + at.gates;
    const auto i = load(gates, at.count), f = load(gates + at.hidden, at.count);
    const auto g = load(gates + 2 * at.hidden, at.count);
    const auto o = load(gates + 3 * at.hidden, at.count);
    const auto memory = load(b.extra + at.units, at.count);
    const Vector<T> t = tanh<T>(f * memory + i * g);
    const Vector<T> dmemory = d.memory + d.h * o * (T(1) - t * t);
    T* du = b.dus + at.gates;
    store<T>(du, dmemory * g * i * (T(1) - i), at.count);
    store<T>(du + at.hidden, dmemory * memory * f * (T(1) - f), at.count);
    store<T>(du + 2 * at.hidden, dmemory * i * (T(1) - g * g), at.count);
    store<T>(du + 3 * at.hidden, d.h * t * o * (T(1) - o), at.count);
    return {Vector<T>{}, dmemory * f};
  }
};

template <class S>
struct Gru {
  static constexpr Cell kCell = Cell::kGru;
  using T = Wide<S>;

  JAXRNN_INLINE static State<T> forward(const Forward<S>& f, const Place& at, const T* u,
                                        const T* z, State<T> state) {
    constexpr std::ptrdiff_t lanes = kLanes<T>;
    const auto r = sigmoid<T>(load(z) + load(u));
    const auto keep = sigmoid<T>(load(z + lanes) + load(u + lanes));
    const Vector<T> v = load(z + 2 * lanes) + load(f.recurrent_bias + at.unit, at.count);
    const auto n = tanh<T>(load(u + 2 * lanes) + r * v);
    if (f.gates) {
      T* gates = f.gates + at.gates;
      store(gates, r, at.count);
      store(gates + at.hidden, keep, at.count);
      store(gates + 2 * at.hidden, n, at.count);
      store(f.extra + at.units, v, at.count);
    }
    return {keep * state.h + (T(1) - keep) * n, state.memory};
  }

  JAXRNN_INLINE static State<T> backward(const Backward<S>& b, const Place& at, Vector<T> h,
                                         State<T> d) {
    const T* gates = b.gates + at.gates;
    const auto r = load(gates, at.count), keep = load(gates + at.hidden, at.count);
    const auto n = load(gates + 2 * at.hidden, at.count);
    const auto v = load(b.extra + at.units, at.count);
    const Vector<T> dn = d.h * (T(1) - keep) * (T(1) - n * n);
    const Vector<T> dr = dn * v * r * (T(1) - r);
    const Vector<T> dkeep = d.h * (h - n) * keep * (T(1) - keep);
    T* du = b.dus + at.gates;
    store(du, dr, at.count);
    store(du + at.hidden, dkeep, at.count);
    store(du + 2 * at.hidden, dn, at.count);
    store<T>(b.dvs + at.units, dn * r, at.count);
    return {d.h * keep, d.memory};
  }
};

// The gate of an Elman cell, which is h after the step: the saved gate or the output.
template <class S>
JAXRNN_INLINE Vector<Wide<S>> gate(const Backward<S>& b, const Place& at) {
  return b.gates ? load(b.gates + at.gates, at.count) : load(b.ys + at.units, at.count);
}

template <class S>
struct ElmanTanh {
  static constexpr Cell kCell = Cell::kElmanTanh;
  using T = Wide<S>;

  JAXRNN_INLINE static State<T> forward(const Forward<S>& f, const Place& at, const T* u,
                                        const T* z, State<T> state) {
    const auto h = tanh<T>(load(z) + load(u));
    if (f.gates) store(f.gates + at.gates, h, at.count);
    return {h, state.memory};
  }

  JAXRNN_INLINE static State<T> backward(const Backward<S>& b, const Place& at, Vector<T>,
                                         State<T> d) {
    const auto h = gate(b, at);
    store<T>(b.dus + at.gates, d.h * (T(1) - h * h), at.count);
    return {Vector<T>{}, d.memory};
  }
};

template <class S>
struct ElmanRelu {
  static constexpr Cell kCell = Cell::kElmanRelu;
  using T = Wide<S>;

  // The comparison keeps NaN; max(sum, 0) would not.
  JAXRNN_INLINE static State<T> forward(const Forward<S>& f, const Place& at, const T* u,
                                        const T* z, State<T> state) {
    const Vector<T> sum = load(z) + load(u);
    const Vector<T> h = sum < T(0) ? Vector<T>{} : sum;
    if (f.gates) store(f.gates + at.gates, h, at.count);
    return {h, state.memory};
  }

  JAXRNN_INLINE static State<T> backward(const Backward<S>& b, const Place& at, Vector<T>,
                                         State<T> d) {
    const auto h = gate(b, at);
    store<T>(b.dus + at.gates, h > T(0) ? d.h : Vector<T>{}, at.count);
    return {Vector<T>{}, d.memory};
  }
};

}  // namespace jaxrnn::JAXRNN_INSTRUCTION_SET
