"""Cells in NumPy, one step of one sequence at a time, written from the papers' equations.

Each is ``step(params, carry, x) -> (carry, y)`` with `params` a NamedTuple of arrays and `carry` a
tuple. Nothing here is shared with the library.
"""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elman(activation):
    def step(params, carry, x):
        (h,) = carry
        h = activation(params.kernel.T @ x + params.recurrent_kernel.T @ h + params.bias)
        return (h,), h

    return step


def _lstm(params, h, c, x):
    """What the output gate lets through, and the memory, both of the size of c."""
    size = len(c)
    w, u, b = params.kernel, params.recurrent_kernel, params.bias

    def gate(k):
        at = slice(k * size, (k + 1) * size)
        return w[:, at].T @ x + u[:, at].T @ h + b[at]

    i, f, g, o = sigmoid(gate(0)), sigmoid(gate(1)), np.tanh(gate(2)), sigmoid(gate(3))
    c = f * c + i * g
    return o * np.tanh(c), c


def lstm(params, carry, x):
    h, c = _lstm(params, *carry, x)
    return (h, c), h


def projected_lstm(params, carry, x):
    m, c = _lstm(params, *carry, x)
    h = params.projection.T @ m
    return (h, c), h


def gru_reset_after(params, carry, x):
    (h,) = carry
    (w_r, w_z, w_n), (u_r, u_z, u_n) = _three(params.kernel), _three(params.recurrent_kernel)
    b_r, b_z, b_n = _three(params.bias)
    r = sigmoid(w_r.T @ x + u_r.T @ h + b_r)
    z = sigmoid(w_z.T @ x + u_z.T @ h + b_z)
    n = np.tanh(w_n.T @ x + b_n + r * (u_n.T @ h + params.recurrent_bias))
    h = z * h + (1 - z) * n
    return (h,), h


def gru_reset_before(params, carry, x):
    (h,) = carry
    (w_r, w_z, w_n), (u_r, u_z, u_n) = _three(params.kernel), _three(params.recurrent_kernel)
    b_r, b_z, b_n = _three(params.bias)
    r = sigmoid(w_r.T @ x + u_r.T @ h + b_r)
    z = sigmoid(w_z.T @ x + u_z.T @ h + b_z)
    n = np.tanh(w_n.T @ x + u_n.T @ (r * h) + b_n)
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
    params = type(params)(*(np.asarray(p, np.float64) for p in params))
    carry = tuple(np.asarray(c, np.float64) for c in carry)
    ys = []
    for x in np.asarray(xs, np.float64):
        carry, y = step(params, carry, x)
        ys.append(y)
    return carry, np.array(ys)


def _three(array):
    return np.split(array, 3, axis=-1)
