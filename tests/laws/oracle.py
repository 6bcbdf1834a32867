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
    carry = tuple(np.asarray(c, np.result_type(c.dtype, np.float64)) for c in carry)
    ys = []
    for x in np.asarray(xs, np.float64):
        carry, y = step(params, carry, x)
        ys.append(y)
    return carry, np.array(ys)


def _three(array):
    return np.split(array, 3, axis=-1)


def _affine(params, x):
    return params.kernel.T @ x + (0 if params.bias is None else params.bias)


def mgu(params, carry, x):
    (h,) = carry
    (u_f, u_n), (k_f, k_n) = (
        np.split(_affine(params, x), 2),
        np.split(params.recurrent_kernel, 2, 1),
    )
    f = sigmoid(u_f + k_f.T @ h)
    h = (1 - f) * h + f * np.tanh(u_n + k_n.T @ (f * h))
    return (h,), h


def ugrnn(params, carry, x):
    (h,) = carry
    g, c = np.split(_affine(params, x) + params.recurrent_kernel.T @ h, 2)
    h = sigmoid(g) * h + (1 - sigmoid(g)) * np.tanh(c)
    return (h,), h


def janet(params, carry, x):
    (h,) = carry
    f, g = np.split(_affine(params, x) + params.recurrent_kernel.T @ h, 2)
    h = sigmoid(f) * h + (1 - sigmoid(f - 1)) * np.tanh(g)
    return (h,), h


def li_gru(params, carry, x):
    (h,) = carry
    z, n = np.split(_affine(params, x) + params.recurrent_kernel.T @ h, 2)
    h = sigmoid(z) * h + (1 - sigmoid(z)) * np.maximum(n, 0)
    return (h,), h


def minimal_rnn(params, carry, x):
    (h,) = carry
    b_z, b_f = np.split(params.bias, 2)
    z = np.tanh(params.kernel.T @ x + b_z)
    f = sigmoid(params.recurrent_kernel.T @ h + params.gate_kernel.T @ z + b_f)
    h = f * h + (1 - f) * z
    return (h,), h


def indrnn(params, carry, x):
    (h,) = carry
    h = np.maximum(_affine(params, x) + params.recurrent_scale * h, 0)
    return (h,), h


def scrn(alpha):
    def step(params, carry, x):
        h, s = carry
        s = (1 - alpha) * params.slow_kernel.T @ x + alpha * s
        slow = params.slow_to_hidden_kernel.T @ s
        h = sigmoid(_affine(params, x) + slow + params.recurrent_kernel.T @ h)
        return (h, s), np.concatenate([h, s])

    return step


def rhn(params, carry, x):
    (s,) = carry
    kernels = params.recurrent_kernel, *params.deeper_kernels
    biases = params.bias, *params.deeper_biases
    for layer, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        seen = params.kernel.T @ x if layer == 0 else 0
        n, t = np.split(seen + kernel.T @ s + bias, 2)
        s = np.tanh(n) * sigmoid(t) + s * (1 - sigmoid(t))
    return (s,), s


def atr(params, carry, x):
    (h,) = carry
    p, q = _affine(params, x), params.recurrent_kernel.T @ h
    h = sigmoid(p + q) * p + sigmoid(p - q) * h
    return (h,), h


def ran(params, carry, x):
    h, c = carry
    u_i, u_f, g = np.split(_affine(params, x), 3)
    v_i, v_f = np.split(params.recurrent_kernel.T @ h, 2)
    c = sigmoid(u_i + v_i) * g + sigmoid(u_f + v_f) * c
    return (np.tanh(c), c), np.tanh(c)


def star(params, carry, x):
    (h,) = carry
    z, k = np.split(_affine(params, x), 2)
    k = sigmoid(k + params.recurrent_kernel.T @ h)
    h = np.tanh((1 - k) * h + k * np.tanh(z))
    return (h,), h


def _bistable(a, c, n, h):
    return sigmoid(c) * h + (1 - sigmoid(c)) * np.tanh(n + (1 + np.tanh(a)) * h)


def brc(params, carry, x):
    (h,) = carry
    (a, c, n), (r_a, r_c) = np.split(_affine(params, x), 3), np.split(params.recurrent_scale, 2)
    h = _bistable(a + r_a * h, c + r_c * h, n, h)
    return (h,), h


def nbrc(params, carry, x):
    (h,) = carry
    a, c, n = np.split(_affine(params, x), 3)
    v_a, v_c = np.split(params.recurrent_kernel.T @ h, 2)
    h = _bistable(a + v_a, c + v_c, n, h)
    return (h,), h


def fast_rnn(params, carry, x):
    (h,) = carry
    new = np.tanh(_affine(params, x) + params.recurrent_kernel.T @ h)
    h = sigmoid(params.alpha) * new + sigmoid(params.beta) * h
    return (h,), h


def fast_grnn(params, carry, x):
    (h,) = carry
    a, (b_z, b_n) = params.kernel.T @ x + params.recurrent_kernel.T @ h, np.split(params.bias, 2)
    z, n = sigmoid(a + b_z), np.tanh(a + b_n)
    h = (sigmoid(params.zeta) * (1 - z) + sigmoid(params.nu)) * n + z * h
    return (h,), h


def wmc_lstm(params, carry, x):
    h, c = carry
    i, f, g, o = np.split(_affine(params, x) + params.recurrent_kernel.T @ h, 4)
    v_i, v_f, v_o = np.hsplit(params.memory_kernel, 3)
    i, f = sigmoid(i + np.tanh(v_i.T @ c)), sigmoid(f + np.tanh(v_f.T @ c))
    c = f * c + i * np.tanh(g)
    h = sigmoid(o + np.tanh(v_o.T @ c)) * np.tanh(c)
    return (h, c), h


def multiplicative_lstm(params, carry, x):
    h, c = carry
    m = (params.factor_kernel.T @ x) * (params.state_kernel.T @ h)
    i, f, g, o = np.split(_affine(params, x) + params.recurrent_kernel.T @ m, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (h, c), h


def slstm(params, carry, x):
    """With the scale written out: c and n are exp(m) times what the carry holds."""
    h, c, n, m = carry
    i, f, g, o = np.split(_affine(params, x) + params.recurrent_kernel.T @ h, 4)
    full_c = sigmoid(f) * c * np.exp(m) + np.exp(i) * np.tanh(g)
    full_n = sigmoid(f) * n * np.exp(m) + np.exp(i)
    m = np.maximum(np.log(sigmoid(f)) + m, i)
    h = sigmoid(o) * full_c / full_n
    return (h, full_c * np.exp(-m), full_n * np.exp(-m), m), h


def lem(step_size):
    def step(params, carry, x):
        h, z = carry
        (a, d, p, q) = np.split(_affine(params, x), 4)
        v_a, v_d, v_p = np.split(params.recurrent_kernel.T @ h, 3)
        step_z, step_h = step_size * sigmoid(a + v_a), step_size * sigmoid(d + v_d)
        z = (1 - step_z) * z + step_z * np.tanh(p + v_p)
        h = (1 - step_h) * h + step_h * np.tanh(q + params.inner_kernel.T @ z)
        return (h, z), h

    return step


def antisymmetric(step_size, diffusion):
    def step(params, carry, x):
        (h,) = carry
        kernel = params.recurrent_kernel
        v = (kernel - kernel.T - diffusion * np.eye(len(h))).T @ h
        gates = np.split(_affine(params, x), len(_affine(params, x)) // len(h))
        gate = sigmoid(gates[0] + v) if len(gates) == 2 else 1
        h = h + step_size * gate * np.tanh(gates[-1] + v)
        return (h,), h

    return step


def cornn(step_size, gamma, epsilon):
    def step(params, carry, x):
        h, z = carry
        w_h, w_z = np.split(params.recurrent_kernel, 2)
        force = np.tanh(_affine(params, x) + w_h.T @ h + w_z.T @ z)
        z = z + step_size * (force - gamma * h - epsilon * z)
        h = h + step_size * z
        return (h, z), h

    return step


def unicornn(step_size, alpha):
    def step(params, carry, x):
        h, z = carry
        step = step_size * sigmoid(params.time_scale)
        z = z - step * (np.tanh(_affine(params, x) + params.recurrent_scale * h) + alpha * h)
        h = h + step * z
        return (h, z), h

    return step


def clockwork(*periods):
    def step(params, carry, x):
        h, count = carry
        every = np.repeat(periods, len(h) // len(periods))
        new = _affine(params, x)
        for unit in range(len(h)):
            for other in range(len(h)):
                if every[other] >= every[unit]:
                    new[unit] = new[unit] + params.recurrent_kernel[other, unit] * h[other]
        h = np.where(count % every == 0, np.tanh(new), h)
        return (h, count + 1), h

    return step


def ctrnn(alpha, excitatory=None, connections=True):
    def step(params, carry, x):
        (h,) = carry
        kernel = params.recurrent_kernel
        if excitatory is not None:
            signs = np.where(np.arange(len(h)) < excitatory, 1, -1)
            kernel = np.abs(kernel) * signs[:, None] * np.array(connections)
        h = (1 - alpha) * h + alpha * np.tanh(_affine(params, x) + kernel.T @ h)
        return (h,), h

    return step


def scornn(negative):
    def step(params, carry, x):
        (h,) = carry
        skew, one = params.recurrent_kernel - params.recurrent_kernel.T, np.eye(len(h))
        signs = np.diag(np.where(np.arange(len(h)) < negative, -1.0, 1.0))
        z = params.kernel.T @ x + np.linalg.inv(one + skew) @ (one - skew) @ signs @ h
        h = np.sign(z) * np.maximum(np.abs(z) + params.bias, 0)
        return (h,), h

    return step


def at_times(step, *, missing=False):
    """`step`, given the features, of which large ones may be missing, and the gap after them."""

    def timed(params, carry, x):
        values = np.where(x[:-1] > 0.7, np.nan, x[:-1]) if missing else x[:-1]
        return step(params, carry, values, max(x[-1], 0))

    return timed


def cfc(params, carry, x, dt):
    (h,) = carry
    z = 1.7159 * np.tanh(0.666 * (_affine(params, x) + params.recurrent_kernel.T @ h))
    f, g, a, b = np.split(params.head_kernel.T @ z + params.head_bias, 4)
    s = sigmoid(a * dt + b)
    h = (1 - s) * np.tanh(f) + s * np.tanh(g)
    return (h,), h


def ltc(num_substeps):
    def softplus(x):
        return np.log1p(np.exp(x))

    def step(params, carry, x, dt):
        (h,) = carry
        leak, capacitance = softplus(params.leak), softplus(params.capacitance)
        for _ in range(num_substeps):
            new = np.zeros_like(h)
            for k in range(len(h)):
                current, conductance = leak[k] * params.rest[k], leak[k]
                for source, synapses in (x, params.sensory), (h, params.recurrent):
                    for j, value in enumerate(source):
                        opening = synapses.steepness[j, k] * (value - synapses.midpoint[j, k])
                        g = softplus(synapses.weight[j, k]) * sigmoid(opening)
                        current += g * synapses.reversal[j, k]
                        conductance += g
                gap = dt / num_substeps
                new[k] = (capacitance[k] * h[k] + gap * current) / (
                    capacitance[k] + gap * conductance
                )
            h = new
        return (h,), h

    return step


def time_aware_lstm(params, carry, x, dt):
    h, c = carry
    short = np.tanh(params.decay_kernel.T @ c + params.decay_bias)
    c = (c - short) + short / np.log(np.e + dt)
    h, c = _lstm(params, h, c, x)
    return (h, c), h


def gru_d(params, carry, x, dt):
    h, last, missing = carry
    seen, gap = ~np.isnan(x), dt + missing
    fade = np.exp(-np.maximum(0, params.value_decay * gap + params.value_decay_bias))
    values = np.where(seen, x, fade * last)
    h = np.exp(-np.maximum(0, params.state_decay_kernel.T @ gap + params.state_decay_bias)) * h
    u = params.kernel.T @ values + params.observed_kernel.T @ seen + params.bias
    (u_r, u_z, u_n), (k_r, k_z, k_n) = np.split(u, 3), _three(params.recurrent_kernel)
    r, z = sigmoid(u_r + k_r.T @ h), sigmoid(u_z + k_z.T @ h)
    h = (1 - z) * h + z * np.tanh(u_n + k_n.T @ (r * h))
    return (h, np.where(seen, x, last), np.where(seen, 0, gap)), h


def _positive(x):
    return np.where(x >= 0, x + 0.5, sigmoid(x))


def min_gru(params, carry, x):
    (h,) = carry
    z, n = np.split(_affine(params, x), 2)
    h = (1 - sigmoid(z)) * h + sigmoid(z) * _positive(n)
    return (h,), h


def min_lstm(params, carry, x):
    (h,) = carry
    i, f, n = np.split(_affine(params, x), 3)
    h = (sigmoid(f) * h + sigmoid(i) * _positive(n)) / (sigmoid(f) + sigmoid(i))
    return (h,), h


def rg_lru(params, carry, x):
    (h,) = carry
    r, i = np.split(sigmoid(_affine(params, x)), 2)
    a = np.exp(-8 * np.log1p(np.exp(params.decay)) * r)
    h = a * h + np.sqrt(1 - a**2) * i * x
    return (h,), h


def lru(params, carry, x):
    (s,) = carry
    size = len(params.log_decay)
    eigenvalues = np.exp(-np.exp(params.log_decay) + 1j * np.exp(params.log_phase))
    b = params.kernel[:, :size] + 1j * params.kernel[:, size:]
    c = params.output_kernel[:size] + 1j * params.output_kernel[size:]
    s = eigenvalues * s + np.exp(params.log_scale) * (b.T @ x)
    return (s,), (c.T @ s).real + params.skip * x


def _by_heads(params, x, num_heads, num_blocks):
    blocks = np.split(_affine(params, x), num_blocks)
    return [block.reshape(num_heads, -1) for block in blocks]


def _normalized_heads(heads):
    centered = heads - heads.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-5)


def _swish(x):
    return x * sigmoid(x)


def retention(params, carry, x):
    (state,) = carry
    num_heads, size, _ = state.shape
    q, k, v, g = _by_heads(params, x, num_heads, 4)
    state = np.stack(
        [
            (1 - 2.0 ** (-5 - n)) * state[n] + np.outer(k[n], v[n]) / np.sqrt(size)
            for n in range(num_heads)
        ]
    )
    y = _normalized_heads(np.stack([state[n].T @ q[n] for n in range(num_heads)])) * _swish(g)
    return (state,), y.ravel()


def gated_linear_attention(temperature):
    def step(params, carry, x):
        (state,) = carry
        num_heads, size, _ = state.shape
        q, k, v, g = _by_heads(params, x, num_heads, 4)
        low = params.decay_kernel.T @ x
        decay = sigmoid(params.decay_up_kernel.T @ low + params.decay_bias) ** (1 / temperature)
        decay = decay.reshape(num_heads, size)
        state = np.stack(
            [np.diag(decay[n]) @ state[n] + np.outer(k[n], v[n]) for n in range(num_heads)]
        )
        read = np.stack([state[n].T @ q[n] / np.sqrt(size) for n in range(num_heads)])
        return (state,), (_normalized_heads(read) * _swish(g)).ravel()


def zoh(eigenvalues, step):
    """The exact solution over a step in which the input stays as it is."""
    return np.exp(step * eigenvalues), (np.exp(step * eigenvalues) - 1) / eigenvalues


def bilinear(eigenvalues, step):
    half = step * eigenvalues / 2
    return (1 + half) / (1 - half), step / (1 - half)


def _halves(array, axis):
    """The complex numbers whose real parts and then imaginary parts lie along this axis."""
    real, imaginary = np.split(array, 2, axis)
    return real + 1j * imaginary


def s4d(discretize):
    def step(params, carry, x):
        (h,) = carry
        eigenvalues = -np.exp(params.log_decay) + 1j * params.phase
        a, scale = discretize(eigenvalues, np.exp(params.log_step)[:, None])
        h = a * h + scale * x[:, None]
        c = _halves(params.output_kernel, -1)
        return (h,), 2 * (c * h).real.sum(-1) + params.skip * x

    return step


def delta_net(params, carry, x):
    (state,) = carry
    num_heads, size, _ = state.shape
    q, k, v = _by_heads(params, x, num_heads, 3)
    q, k = (_swish(s) / np.sqrt((_swish(s) ** 2).sum(-1, keepdims=True) + 1e-6) for s in (q, k))
    rate = sigmoid(params.rate_kernel.T @ x)
    state = np.stack(
        [
            (np.eye(size) - rate[n] * np.outer(k[n], k[n])) @ state[n]
            + rate[n] * np.outer(k[n], v[n])
            for n in range(num_heads)
        ]
    )
    read = np.stack([state[n].T @ q[n] for n in range(num_heads)])
    return (state,), _normalized_heads(read).ravel()


def mlstm(params, carry, x):
    state, normalizer, log_scale = carry
    num_heads, size, _ = state.shape
    q, k, v, o = _by_heads(params, x, num_heads, 4)
    i, f = np.split(params.gate_kernel.T @ x + params.gate_bias, 2)
    keep = sigmoid(f) * np.exp(log_scale)  # of a state that is not divided
    scale = np.maximum(np.log(keep), i)
    states, normalizers, heads = [], [], []
    for n in range(num_heads):
        key = k[n] / np.sqrt(size)
        c = keep[n] * state[n] + np.exp(i[n]) * np.outer(key, v[n])
        weights = keep[n] * normalizer[n] + np.exp(i[n]) * key
        heads.append(sigmoid(o[n]) * (c.T @ q[n]) / max(abs(weights @ q[n]), 1))
        states.append(c / np.exp(scale[n]))
        normalizers.append(weights / np.exp(scale[n]))
    return (np.stack(states), np.stack(normalizers), scale), np.concatenate(heads)


def mamba(params, carry, x):
    (state,) = carry
    rank, size = len(params.step_kernel), params.log_decay.shape[1]
    low, b, c = np.split(params.kernel.T @ x, [rank, rank + size])
    delta = np.log1p(np.exp(params.step_kernel.T @ low + params.step_bias))
    a = np.exp(-delta[:, None] * np.exp(params.log_decay))
    state = a * state + np.outer(delta * x, b)
    return (state,), state @ c + params.skip * x


def s5(discretize):
    def step(params, carry, x):
        (h,) = carry
        eigenvalues = -np.exp(params.log_decay) + 1j * params.phase
        a, scale = discretize(eigenvalues, np.exp(params.log_step))
        h = a * h + scale * (_halves(params.kernel, 1).T @ x)
        return (h,), 2 * (_halves(params.output_kernel, 0).T @ h).real + params.skip * x

    return step


def qrnn(params, carry, x):
    (c,) = carry
    z, f, o = np.split(_affine(params, x), 3)
    c = sigmoid(f) * c + (1 - sigmoid(f)) * np.tanh(z)
    return (c,), sigmoid(o) * c


def sru(params, carry, x):
    (c,) = carry
    z, f, r = np.split(params.kernel.T @ x, 3)
    f_bias, r_bias = np.split(params.bias, 2)
    f, r = sigmoid(f + f_bias), sigmoid(r + r_bias)
    c = f * c + (1 - f) * z
    highway = x if params.highway_kernel is None else params.highway_kernel.T @ x
    return (c,), r * np.tanh(c) + (1 - r) * highway


def hgrn(lower_bound):
    def step(params, carry, x):
        (s,) = carry
        p, q, f, *o = np.split(_affine(params, x), 5)
        kept = lower_bound + (1 - lower_bound) * sigmoid(f)
        s = kept * np.exp(1j * params.phase) * s + (1 - kept) * (
            p * sigmoid(p) + 1j * q * sigmoid(q)
        )
        y = sigmoid(np.concatenate(o)) * np.concatenate([s.real, s.imag])
        y = (y - y.mean()) / np.sqrt(y.var() + 1e-5)
        return (s,), params.output_kernel.T @ y + params.output_bias

    return step
