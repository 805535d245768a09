#!/usr/bin/python3
"""Writes attention_torch.hpp, as layers_torch.py does for layers: python3 attention_torch.py > attention_torch.hpp

For each case: y, then the gradients of sum(y * c) by the input and by each parameter, all in double precision. Run with PyTorch 2.15 and
torchvision 0.29."""
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.swin_transformer import ShiftedWindowAttention
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from torch_cases import case, layer, numbers


def parameters(*shapes):
    return [nn.Parameter(torch.zeros(s)) for s in shapes]


def attention(name, q, k, v, bias=(), **options):
    """Keys, values and a bias are parameters."""
    learned = parameters(k, v, *bias)

    def f(x):
        if bias:
            options["attn_mask"] = learned[2]
        return F.scaled_dot_product_attention(x, learned[0], learned[1], **options)

    case(name, f, q, learned)


print("// Written by attention_torch.py with PyTorch %s." % torch.__version__)
print("#pragma once\n\nnamespace torch_numbers {\n// clang-format off")
attention("attention", (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3))
attention("attention_causal", (5, 3), (5, 3), (5, 2), is_causal=True, scale=0.3)
attention("attention_bias", (2, 2, 3, 4), (2, 2, 5, 4), (2, 2, 5, 2), [(2, 3, 5)])
attention("attention_row", (2, 3, 4), (2, 5, 4), (2, 5, 2), [(1, 5)])
seen = numbers((3, 5), 7, 3, 13) > -0.4
seen[1] = False
attention("attention_mask", (2, 3, 4), (2, 5, 4), (2, 5, 2), attn_mask=seen)
keys = nn.Parameter(torch.zeros(4, 6))
case("attention_shared_keys", lambda x: F.scaled_dot_product_attention(x, keys.expand(2, 3, 4, 6), x), (2, 3, 4, 6), [keys])


def multihead(name, shape, **options):
    module = nn.MultiheadAttention(shape[-1], 2, batch_first=True, **options)
    case(name, lambda x: module(x, x, x, need_weights=False)[0], shape, list(module.parameters()))


multihead("multihead", (2, 3, 4))
multihead("multihead_no_bias", (3, 4), bias=False)
module = nn.MultiheadAttention(4, 2, batch_first=True)
hidden = torch.triu(torch.ones(3, 3), 1) > 0
case("multihead_causal", lambda x: module(x, x, x, attn_mask=hidden, need_weights=False)[0], (2, 3, 4), list(module.parameters()))
other = nn.Parameter(torch.zeros(2, 4, 4))
module = nn.MultiheadAttention(4, 2, batch_first=True)
learned = [other, *module.parameters()]
case("multihead_cross", lambda x: module(x, other, 2 * other, need_weights=False)[0], (2, 3, 4), learned)


def windows(name, shape, window, shift, **options):
    module = (ShiftedWindowAttention if len(window) == 2 else ShiftedWindowAttention3d)(shape[-1], window, shift, 2, **options)
    order = "qkv.weight qkv.bias relative_position_bias_table proj.weight proj.bias".split()
    learned = dict(module.named_parameters())
    case(name, module, shape, [learned[n] for n in order if n in learned])


windows("windows", (1, 2, 4, 4, 2), [2, 2, 2], [0, 0, 0])
windows("windows_shifted", (2, 3, 4, 3, 2), [2, 2, 2], [1, 1, 1])
windows("windows_short_axis", (1, 2, 3, 5, 2), [3, 2, 3], [1, 1, 2], qkv_bias=False)
windows("windows_plane", (1, 4, 5, 4), [2, 3], [1, 1])
windows("windows_small_plane", (1, 2, 5, 4), [3, 2], [1, 1])
print("// clang-format on\n}  // namespace torch_numbers")
