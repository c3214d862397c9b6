"""What keeps a discriminator from growing without bound: penalties, clipping, spectral norm.

A penalty takes `judge`: the discriminator as a function of the judged rows alone, with any condition fixed.
It differentiates the logits with respect to those rows, in float32 also under mixed precision. Only what
`judge` really sees counts: a judge that masks its rows has no gradient outside the mask.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Judge = Callable[[Tensor], Tensor]
"""Rows (batch, width) → logits (batch,)."""


def _squared_slopes(judge: Judge, rows: Tensor) -> Tensor:
    """Return ‖∂D/∂row‖² of each row (batch,), itself differentiable in the judge's weights."""
    with torch.autocast(rows.device.type, enabled=False):
        at = rows.detach().float().requires_grad_()
        (slopes,) = torch.autograd.grad(judge(at).sum(), at, create_graph=True)
        return slopes.square().sum(dim=1)


def gradient_penalty(judge: Judge, real: Tensor, fake: Tensor, rng: torch.Generator) -> Tensor:
    """Return E (‖∂D/∂x̂‖ - 1)² (WGAN-GP, Gulrajani et al. 2017, equation 3), to be taken times λ.

    x̂ lies at a random point between each real row and its fake. So give rows between which a point means
    something: embeddings, or vectors that the judge sees on one support. Between two sparse sets there is
    none.

    Args:
        judge: the discriminator.
        real: (batch, width).
        fake: (batch, width).
        rng: what draws the points.
    """
    share = torch.rand(len(real), 1, generator=rng, device=real.device)
    between = torch.lerp(real.float(), fake.float(), share)
    # The square root has no gradient at 0, where a judge is flat.
    return ((_squared_slopes(judge, between) + 1e-12).sqrt() - 1).square().mean()


def zero_centred_penalty(judge: Judge, rows: Tensor) -> Tensor:
    """Return E ‖∂D/∂x‖² / 2, to be taken times γ: R1 on real rows, R2 on fakes.

    Mescheder et al. 2018, section 4.1; both at once as in R3GAN (Huang et al. 2024).

    Args:
        judge: the discriminator.
        rows: (batch, width), real for R1, fake for R2.
    """
    return _squared_slopes(judge, rows).mean() / 2


def clip_weights(network: nn.Module, bound: float) -> None:
    """Bring every weight into [-bound, bound] (Arjovsky et al. 2017, algorithm 1), after a step."""
    with torch.no_grad():
        torch._foreach_clamp_min_(list(network.parameters()), -bound)
        torch._foreach_clamp_max_(list(network.parameters()), bound)


def normalise_spectrum(network: nn.Module, rng: torch.Generator) -> None:
    """Divide every weight matrix by its largest singular value from here on (Miyato et al. 2018).

    One power iteration whenever a matrix is used in training. A first layer kept in two parts has each part
    at norm 1. That bounds the whole by √2, and its slope in the judged rows by 1.

    Args:
        network: any module; parameters of two or more dimensions are its matrices.
        rng: what draws the first singular vectors.
    """
    matrices = [
        (module, name)
        for module in network.modules()
        for name, weight in module.named_parameters(recurse=False)
        if weight.ndim >= 2
    ]
    with torch.random.fork_rng(devices=[]):  # spectral_norm draws from the global state
        torch.default_generator.manual_seed(int(torch.randint(2**31, (), generator=rng)))
        for module, name in matrices:
            spectral_norm(module, name)
