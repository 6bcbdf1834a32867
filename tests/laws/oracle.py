"""Cells in NumPy, one step of one sequence at a time, written from the papers' equations.

Each is ``step(params, carry, x) -> (carry, y)`` with `params` a NamedTuple of arrays and `carry` a
tuple. Nothing here is shared with the library.
"""

import jax
import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(activation):
    def step(params, carry, x):
        (h,) = carry
        h = activation(params.kernel.T @ x + params.recurrent_kernel.T @ h + params.bias)
        return (h,), h

    return step


def _lstm(params, h, c, x, gate_function=sigmoid, candidate=np.tanh, output=np.tanh):
    """What the output gate lets through, and the memory, both of the size of c."""
    size = len(c)
    w, u, b = params.kernel, params.recurrent_kernel, params.bias

    def gate(k):
        at = slice(k * size, (k + 1) * size)
        return w[:, at].T @ x + u[:, at].T @ h + b[at]

    i, f, o = (gate_function(gate(k)) for k in (0, 1, 3))
    c = f * c + i * candidate(gate(2))
    return o * output(c), c


def lstm_with(gate, candidate, output):
    def step(params, carry, x):
        h, c = _lstm(params, *carry, x, gate, candidate, output)
        return (h, c), h

    return step


lstm = lstm_with(sigmoid, np.tanh, np.tanh)


def peephole_lstm(params, carry, x):
    h, c = carry
    a = params.kernel.T @ x + params.recurrent_kernel.T @ h + params.bias
    (i, f, g, o), (p_i, p_f, p_o) = np.split(a, 4), np.split(params.peephole, 3)
    c = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
    h = sigmoid(o + p_o * c) * np.tanh(c)
    return (h, c), h


def coupled_lstm(params, carry, x):
    h, c = carry
    a = params.kernel.T @ x + params.recurrent_kernel.T @ h + params.bias
    i, g, o = np.split(a, 3)
    p_i, p_o = (0, 0) if params.peephole is None else np.split(params.peephole, 2)
    i = sigmoid(i + p_i * c)
    c = (1 - i) * c + i * np.tanh(g)
    h = sigmoid(o + p_o * c) * np.tanh(c)
    return (h, c), h


def projected_lstm(params, carry, x):
    m, c = _lstm(params, *carry, x)
    h = params.projection.T @ m
    return (h, c), h


def gru_with(gate, candidate):
    def step(params, carry, x):
        (h,) = carry
        (w_r, w_z, w_n), (u_r, u_z, u_n) = _three(params.kernel), _three(params.recurrent_kernel)
        b_r, b_z, b_n = _three(params.bias)
        r = gate(w_r.T @ x + u_r.T @ h + b_r)
        z = gate(w_z.T @ x + u_z.T @ h + b_z)
        n = candidate(w_n.T @ x + b_n + r * (u_n.T @ h + params.recurrent_bias))
        h = z * h + (1 - z) * n
        return (h,), h

    return step


gru_reset_after = gru_with(sigmoid, np.tanh)


def gru_reset_before(params, carry, x):
    (h,) = carry
    (w_r, w_z, w_n), (u_r, u_z, u_n) = _three(params.kernel), _three(params.recurrent_kernel)
    b_r, b_z, b_n = _three(params.bias)
    r = sigmoid(w_r.T @ x + u_r.T @ h + b_r)
    z = sigmoid(w_z.T @ x + u_z.T @ h + b_z)
    n = np.tanh(w_n.T @ x + u_n.T @ (r * h) + b_n)
    h = z * h + (1 - z) * n
    return (h,), h


def convolve(x, kernel, dilation=None):
    """Pictures (*S, C) with a kernel (*K, C, N): (*S, N), zeros outside of the picture."""
    window = kernel.shape[:-2]
    dilation = dilation or (1,) * len(window)
    before = [(k - 1) * d // 2 for k, d in zip(window, dilation, strict=True)]
    y = np.zeros((*x.shape[:-1], kernel.shape[-1]))
    for at in np.ndindex(x.shape[:-1]):
        for tap in np.ndindex(window):
            place = tuple(
                a + t * d - b for a, t, d, b in zip(at, tap, dilation, before, strict=True)
            )
            if all(0 <= p < size for p, size in zip(place, x.shape, strict=False)):
                y[at] += x[place] @ kernel[tap]
    return y


def conv_lstm(dilation=None):
    def step(params, carry, x):
        h, c = carry
        a = convolve(x, params.kernel, dilation) + convolve(h, params.recurrent_kernel)
        i, f, g, o = np.split(a + params.bias, 4, axis=-1)
        p_i, p_f, p_o = (0, 0, 0) if params.peephole is None else np.split(params.peephole, 3)
        c_new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * np.tanh(g)
        h = sigmoid(o + p_o * c_new) * np.tanh(c_new)
        return (h, c_new), h

    return step


def conv_gru(dilation=None):
    def step(params, carry, x):
        (h,) = carry
        u_r, u_z, u_n = _three(convolve(x, params.kernel, dilation) + params.bias)
        v_r, v_z, v_n = _three(convolve(h, params.recurrent_kernel))
        r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)
        n = np.tanh(u_n + r * (v_n + params.recurrent_bias))
        h = z * h + (1 - z) * n
        return (h,), h

    return step


def conv_gru_reset_before(params, carry, x):
    (h,) = carry
    u_r, u_z, u_n = _three(convolve(x, params.kernel) + params.bias)
    kernel_r, kernel_z, kernel_n = _three(params.recurrent_kernel)
    r, z = sigmoid(u_r + convolve(h, kernel_r)), sigmoid(u_z + convolve(h, kernel_z))
    n = np.tanh(u_n + convolve(r * h, kernel_n))
    h = z * h + (1 - z) * n
    return (h,), h


def normalize(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def layer_norm_lstm(params, carry, x):
    h, c = carry
    a = params.gain * normalize(x @ params.kernel) + params.bias
    a = a + params.recurrent_gain * normalize(h @ params.recurrent_kernel)
    i, f, g, o = np.split(a, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(params.cell_gain * normalize(c) + params.cell_bias)
    return (h, c), h


def layer_norm_gru(params, carry, x):
    (h,) = carry
    size = 2 * len(h)
    w, u = params.kernel, params.recurrent_kernel
    a, b = params.gain[:size], params.recurrent_gain[:size]
    rz = a * normalize(x @ w[:, :size]) + b * normalize(h @ u[:, :size]) + params.bias[:size]
    r, z = np.split(sigmoid(rz), 2)
    from_x = params.gain[size:] * normalize(x @ w[:, size:]) + params.bias[size:]
    from_h = params.recurrent_gain[size:] * normalize(h @ u[:, size:]) + params.recurrent_bias
    n = np.tanh(from_x + r * from_h)
    h = z * h + (1 - z) * n
    return (h,), h


def run(step, params, carry, xs):
    """The carry after ``xs (T, I)`` and the outputs (T, H), a Python loop in float64."""
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    carry = tuple(np.asarray(c, np.float64) for c in carry)
    ys = []
    for x in np.asarray(xs, np.float64):
        carry, y = step(params, carry, x)
        ys.append(y)
    return carry, np.array(ys)


def _three(array):
    return np.split(array, 3, axis=-1)
