"""The other side of the tests: a transformer written out token by token and head by head.

It reads the weights of `Transformer` and shares none of its code. One text at a time, no padding,
no cache; slow and plain. `run` returns the value at every site and lets a function change each.
"""

from __future__ import annotations

import math

import torch


def run(model, ids, change=None):
    """All sites' values for one text `ids` (a list); `change(site, value)` may return another.

    Values have no batch axis: [pos, d_model], [pos, head, d_head], [head, query, key].
    """
    c = model.config
    values = {}

    def see(site, x):
        x = x if change is None else change(site, x)
        values[site] = x
        return x

    n = len(ids)
    x = torch.stack([model.w_token[i] for i in ids])
    if model.w_embed_in is not None:
        x = x @ model.w_embed_in.T
    x = see("embed", x * c.embed_scale)
    if c.positions == "learned":
        table = torch.stack([model.w_pos[p + c.position_offset] for p in range(n)])
        x = x + see("pos_embed", table)
    if c.token_types:
        x = x + model.w_type[0]
    if c.embed_norm:
        x = norm(model.embed_norm, x, lambda s: see("embed_norm_scale", s))
    for layer, block in enumerate(model.blocks):
        x = run_block(c, layer, block, x, lambda name, value: see(f"{layer}.{name}", value))  # noqa: B023
    if c.final_norm:
        x = norm(model.final_norm, x, lambda s: see("final_norm_scale", s))
    x = see("final", x)
    if c.has_head:
        see("logits", unembed(model, x))
    return values


def run_block(c, layer, block, x, see):
    x = see("resid_pre", x)
    first = c.norm_place in ("pre", "sandwich")
    read = norm(block.norm1, x, lambda s: see("norm1_scale", s)) if first else x
    attn = attention(c, layer, block.attn, see("attn.in", read), see)
    if c.norm_place == "sandwich":
        attn = see("attn.raw", attn)
        attn = norm(block.norm1_post, attn, lambda s: see("attn_out_scale", s))
    attn = see("attn.out", attn)
    if c.parallel:
        mid = x
    else:
        mid = x + attn
        if c.norm_place == "post":
            mid = norm(block.norm1, mid, lambda s: see("norm1_scale", s))
        mid = see("resid_mid", mid)
    read = norm(block.norm2, mid, lambda s: see("norm2_scale", s)) if first else mid
    mlp = run_mlp(c, block.mlp, see("mlp.in", read), see)
    if c.norm_place == "sandwich":
        mlp = see("mlp.raw", mlp)
        mlp = norm(block.norm2_post, mlp, lambda s: see("mlp_out_scale", s))
    mlp = see("mlp.out", mlp)
    out = x + attn + mlp if c.parallel else mid + mlp
    if not first:
        out = norm(block.norm2, out, lambda s: see("norm2_scale", s))
    return see("resid_post", out)


def norm(weights, x, see):
    """Each row by itself."""
    if not weights.rms:
        x = x - x.mean(-1, keepdim=True)
    scale = see(((x**2).mean(-1, keepdim=True) + weights.eps) ** 0.5)
    out = x / scale * (weights.gain + weights.offset)
    return out if weights.bias is None else out + weights.bias


def attention(c, layer, w, x, see):
    n, dh, heads, kv = len(x), c.d_head, c.n_heads, c.kv_heads
    rows = x @ w.w_qkv.T + (0 if w.b_qkv is None else w.b_qkv)
    q = rows[:, : heads * dh].reshape(n, heads, dh)
    k = rows[:, heads * dh : (heads + kv) * dh].reshape(n, kv, dh)
    v = rows[:, (heads + kv) * dh :].reshape(n, kv, dh)
    if c.qk_norm:
        q = norm(w.q_norm, q, lambda s: see("attn.q_scale", s))
        k = norm(w.k_norm, k, lambda s: see("attn.k_scale", s))
    if c.positions == "rotary":
        q, k = rotated(c, layer, q), rotated(c, layer, k)
    q, k, v = see("attn.q", q), see("attn.k", k), see("attn.v", v)
    scale = dh**-0.5 if c.attn_scale is None else c.attn_scale
    scores = x.new_zeros(heads, n, n)
    for h in range(heads):
        scores[h] = q[:, h] @ k[:, h * kv // heads].T * scale
    if c.attn_softcap is not None:
        scores = torch.tanh(scores / c.attn_softcap) * c.attn_softcap
    scores = see("attn.scores", scores)
    seen = torch.zeros(n, n, dtype=torch.bool)
    window = c.window if layer in c.windowed_layers else None
    for i in range(n):
        for j in range(n):
            seen[i, j] = (j <= i or not c.causal) and (window is None or i - j < window)
    pattern = see("attn.pattern", torch.where(seen, scores, -math.inf).softmax(-1))
    mix = torch.stack([pattern[h] @ v[:, h * kv // heads] for h in range(heads)], dim=1)
    mix = see("attn.mix", mix)
    parts = [mix[:, h] @ w.w_out[:, h * dh : (h + 1) * dh].T for h in range(heads)]
    result = see("attn.result", torch.stack(parts, dim=1))
    return result.sum(1) + (0 if w.b_out is None else w.b_out)


def rotated(c, layer, x):
    """Pairs (i, i + half) turned by position times frequency."""
    dims = x.shape[-1] if c.rotary_dims is None else c.rotary_dims
    theta = c.rope_theta
    if c.rope_theta_windowed is not None and layer in c.windowed_layers:
        theta = c.rope_theta_windowed
    out = x.clone()
    for p in range(len(x)):
        for i in range(dims // 2):
            angle = p * theta ** (-2 * i / dims)
            a, b = x[p, :, i], x[p, :, i + dims // 2]
            out[p, :, i] = a * math.cos(angle) - b * math.sin(angle)
            out[p, :, i + dims // 2] = b * math.cos(angle) + a * math.sin(angle)
    return out


def run_mlp(c, w, x, see):
    asked = x @ w.w_in.T + (0 if w.b_in is None else w.b_in)
    if c.gated:
        gate, up = see("mlp.gate", asked[:, : c.d_mlp]), see("mlp.pre", asked[:, c.d_mlp :])
        act = activation(c, gate) * up
    else:
        act = activation(c, see("mlp.pre", asked))
    act = see("mlp.act", act)
    return act @ w.w_out.T + (0 if w.b_out is None else w.b_out)


def activation(c, x):
    if c.activation == "relu":
        return torch.clamp(x, min=0)
    if c.activation == "silu":
        return x / (1 + torch.exp(-x))
    if c.activation == "gelu":
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def unembed(model, x):
    if model.w_head is not None:
        x = activation(type("gelu", (), {"activation": "gelu"}), x @ model.w_head.T + model.b_head)
        x = norm(model.head_norm, x, lambda s: s)
    if model.w_embed_out is not None:
        x = x @ model.w_embed_out.T
    table = model.w_token if model.w_unembed is None else model.w_unembed
    x = x @ table.T + (0 if model.b_unembed is None else model.b_unembed)
    cap = model.config.final_softcap
    return x if cap is None else torch.tanh(x / cap) * cap
