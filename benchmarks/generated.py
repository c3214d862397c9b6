"""A generator of fake accounts, trained against the screen that looks for them.

In kind AUSH (Lin et al., CIKM 2020) and Leg-UP (Lin et al., TKDE 2022). Each fake account has a genuine
shopper as its template. The generator reads the template's products, the product to push and noise. It says
which products the account takes, as many as its template has, and when. The pushed product comes beside them.

    generator's loss  = - gain · push + adversarial · L(D(fake)) + screen · found
    push    mean over genuine shoppers and pushed products of σ((s - the tenth best score) / τ). s is EASE's
            score on the log with the fakes in it. With P = (XᵀX + l2·I)⁻¹ m fakes Y make it
            P - PYᵀ(I + YPYᵀ)⁻¹YP, so the closed form has a gradient in them
    D       a projection discriminator: is there such a profile, and was it active in these parts of a log
    found   what the screen would see (src/recgan/accounts/): lockstep's figures in expectation, beyond half
            of their limits; nearness of an account to another beyond what its template's is to anybody; the
            products' popularity, unlike the template's

A choice of products has no gradient: the hard choice goes forward, a soft one's gradient comes back.

This attacker knows the log, the recommender and the screen, which is more than any real one does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import avg_pool1d, max_pool1d, normalize, one_hot, pad, relu

from recgan.adversarial.constraints import zero_centred_penalty
from recgan.adversarial.diagnostics import Means, win_rate
from recgan.adversarial.game import Player
from recgan.adversarial.losses import LOSSES
from recgan.adversarial.networks import ProjectionDiscriminator, VectorGenerator, adam
from recgan.adversarial.share import ALONE
from recgan.recommenders.ease.recommender import EASE

K, NOISE, HIDDEN = 10, 16, 128
SHORTEST, LONGEST = 10, 60
"""Products of a template."""
WINDOWS, LEAST, FLOOR = (1.0, 3.0, 7.0), 3, 0.5
"""The screen's windows in days, its smallest crowd, and the accounts that a rate is based on at least."""
CROWD, MEAN_CROWD = 8.0, 1.0
"""The screen's limits: an account beyond both is left out."""


@dataclass(frozen=True)
class Settings:
    """How the attacker learns."""

    gain: float = 30.0
    """Weight of the push."""
    adversarial: float = 1.0
    """Weight of the discriminator's judgement; 0 plays without one."""
    screen: float = 3.0
    """Weight of what the screen would see."""
    l2: float = 200.0
    """Ridge of the EASE that is pushed through."""
    tau: float = 0.03
    """Width of the step from not recommended to recommended, in EASE's scores."""
    learning_rate: float = 3e-3
    epochs: int = 6
    steps: int = 15
    """Of the generator in an epoch, each on a whole campaign."""
    seed: int = 0


class Known(NamedTuple):
    """What the attacker knows of the log; the pairs are those of all accounts."""

    user: NDArray[np.int64]
    """(pairs,)"""
    item: NDArray[np.int64]
    """(pairs,)"""
    day: NDArray[np.float64]
    """(pairs,) of the pair's first event, from the log's start."""
    liked: csr_array
    """(users, items) 1 for the pairs that recommenders learn from."""


class Profiles(NamedTuple):
    """What the fake accounts deal with, an entry for each product of one."""

    account: NDArray[np.int64]
    """From 0."""
    item: NDArray[np.int64]
    day: NDArray[np.float64]


class AttackGame:
    """The generator of profiles, its discriminator, and the log on which they play."""

    share = ALONE

    def __init__(
        self, settings: Settings, known: Known, targets: NDArray[np.int64], accounts: int, days: float
    ) -> None:
        """Build the players.

        Args:
            settings: how the attacker learns.
            known: what he knows.
            targets: positions of the products to push; the accounts are dealt out to them in turn.
            accounts: fake accounts in all.
            days: length of the campaign, which ends with the log.
        """
        self.settings, self.known, self.targets = settings, known, torch.as_tensor(targets)
        self.rng, first = (torch.Generator().manual_seed(settings.seed) for _ in range(2))
        self.aims = torch.arange(accounts) % len(targets)
        self.end = float(known.day.max())
        self.days = min(days, self.end)
        self.parts = max(2, round(self.days / max(1.0, self.days / 21)))
        n_users, n_items = known.liked.shape
        self.genuine = torch.as_tensor(known.liked.toarray() != 0).float()
        self.lengths = self.genuine.sum(dim=1)
        self.popularity = self.genuine.mean(dim=0)
        fits = (self.lengths >= SHORTEST) & (self.lengths <= LONGEST)
        self.templates = torch.nonzero(fits).squeeze(1)
        near = normalize(self.genuine, dim=1)
        near = near[self.templates] @ near.T
        near[torch.arange(len(near)), self.templates] = 0
        self.nearest = torch.zeros(n_users).index_put((self.templates,), near.amax(dim=1))
        part = (known.day / (self.end + 1e-6) * self.parts).astype(np.int64)
        when = np.zeros((n_users, self.parts), dtype=np.float32)
        np.add.at(when, (known.user, part), 1)
        self.when = torch.as_tensor(when / np.maximum(when.sum(axis=1, keepdims=True), 1))
        part = np.floor((known.day - (self.end - self.days)) / self.days * self.parts).astype(np.int64)
        there = np.zeros((n_items, self.parts), dtype=np.float32)
        np.add.at(there, (known.item[part >= 0], np.minimum(part, self.parts - 1)[part >= 0]), 1)
        self.there = torch.as_tensor(there)  # genuine accounts on a product in each part of the campaign
        self.buyers = torch.as_tensor(np.bincount(known.item, minlength=n_items).astype(np.float32))
        self.first_seen = np.full(n_items, self.end)
        np.minimum.at(self.first_seen, known.item, known.day)
        self.active = torch.as_tensor(np.maximum(self.end - self.first_seen, 1)).float()
        gram = self.genuine.T.double() @ self.genuine.double()
        gram.diagonal().add_(settings.l2)
        self.inverse = torch.linalg.inv(gram).float()
        scores = torch.as_tensor(EASE(settings.l2).fit(known.liked).score(known.liked))
        self.tenth = scores.masked_fill(self.genuine > 0, -torch.inf).topk(K, dim=1).values[:, -1]
        width = n_items + len(targets)
        self.generator = VectorGenerator(width, NOISE, [HIDDEN], n_items + self.parts, n_items, first)
        with torch.no_grad():  # so that what the template has is far more likely than what it lacks
            self.generator.around.weight[:n_items].mul_(4)
        self.discriminator = (
            ProjectionDiscriminator(self.parts, n_items, [HIDDEN, 32], first)
            if settings.adversarial
            else None
        )
        sides = [one for one in (self.discriminator, self.generator) if one is not None]
        self._adams = tuple(adam(one, settings.learning_rate, 1e-5, (0.5, 0.9)) for one in sides)

    def optimizers(self) -> tuple[torch.optim.Optimizer, ...]:
        """Return both Adams, or the generator's alone."""
        return self._adams

    def begin_epoch(self, epoch: int) -> None:
        """Forget what the last epoch measured."""
        self._means = Means()

    def begin_turn(self, player: Player) -> None:
        """Compute nothing: the players interleave."""

    def steps(self, player: Player) -> int:
        """Return how many campaigns a turn has."""
        return self.settings.steps

    def batches(self, player: Player) -> Iterator[Tensor]:
        """Yield the templates of whole campaigns."""
        for _ in range(self.steps(player)):
            yield self._draw(self.rng)

    def _draw(self, rng: torch.Generator) -> Tensor:
        return self.templates[torch.randint(len(self.templates), (len(self.aims),), generator=rng)]

    def write(self, templates: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return profiles (accounts, items), 0 or 1 with a gradient, and when: shares (accounts, parts)."""
        rows, n_items = self.genuine[templates], self.genuine.shape[1]
        condition = torch.cat([rows, one_hot(self.aims, len(self.targets)).float()], dim=1)
        written = self.generator(condition, torch.randn(len(rows), NOISE, generator=rng))
        chance = torch.rand(len(rows), n_items, generator=rng).clamp(1e-6, 1 - 1e-6)
        own = one_hot(self.targets[self.aims], n_items).bool()
        # Gumbel's noise: the largest are a draw without replacement.
        logits = (written[:, :n_items] - (-chance.log()).log()).masked_fill(own, -1e9)
        ordered = logits.detach().topk(LONGEST + 1, dim=1).values
        last = ordered.gather(1, self.lengths[templates].long()[:, None])
        soft, hard = torch.sigmoid(logits - last), (logits.detach() > last).float()
        profiles = torch.where(own, torch.ones_like(soft), hard + soft - soft.detach())
        return profiles, torch.softmax(written[:, n_items:], dim=1)

    def push(self, profiles: Tensor) -> Tensor:
        """Return the soft share of genuine shoppers whose ten have a pushed product."""
        PY = self.inverse @ profiles.T  # (items, accounts)
        inner = torch.eye(len(profiles)) + profiles @ PY
        columns = self.inverse[:, self.targets] - PY @ torch.linalg.solve(inner, PY[self.targets].T)
        each = torch.arange(len(self.targets))
        weights = -columns / columns[self.targets, each]  # (items, targets)
        scores = self.genuine @ weights  # a pushed product's own weight counts for its owners alone
        seen = torch.sigmoid((scores - self.tenth[:, None]) / self.settings.tau)
        return seen[self.genuine[:, self.targets] == 0].mean()

    def crowds(self, profiles: Tensor, when: Tensor) -> Tensor:
        """Return lockstep's measure (items, parts) of what is to be expected of a campaign."""
        both = profiles.T @ when + self.there
        total = self.buyers + profiles.sum(dim=0)
        found = torch.zeros_like(both)
        for size in {min(self.parts, max(1, round(one * self.parts / self.days))) for one in WINDOWS}:
            days = size * self.days / self.parts
            inside = (avg_pool1d(both[:, None], size, stride=1) * size)[:, 0]
            elsewhere = (total[:, None] - inside).clamp(min=FLOOR)
            expected = elsewhere / (self.active - days).clamp(min=days)[:, None] * days
            ratio = inside * (inside.clamp(min=1e-6) / expected).log() - (inside - expected)
            crowd = (inside >= LEAST) & (inside > expected)
            measure = torch.where(crowd, ratio / inside.clamp(min=1).sqrt(), torch.zeros_like(ratio))
            padded = pad(measure, (size - 1, size - 1))
            found = torch.maximum(found, max_pool1d(padded[:, None], size, stride=1)[:, 0])
        return found

    def found(self, templates: Tensor, profiles: Tensor, when: Tensor) -> Tensor:
        """Return what the screen would see of a campaign."""
        at = profiles * (when @ self.crowds(profiles, when).T)
        lengths = self.lengths[templates] + 1
        margin = torch.minimum(at.amax(dim=1) / CROWD, at.sum(dim=1) / lengths / MEAN_CROWD)
        units = normalize(profiles, dim=1)
        near = (units @ units.T - 2 * torch.eye(len(units))).amax(dim=1)
        usual = self.genuine[templates] @ self.popularity / self.lengths[templates]
        unlike = (profiles @ self.popularity / lengths - usual) / usual.std()
        seen = {
            "lockstep": relu(margin - 0.5).mean(),
            "twins": relu(near - self.nearest[templates]).mean(),
            "unlike": unlike.square().mean(),
        }
        for name, value in seen.items():
            self._means.add(name, value)
        return seen["lockstep"] + seen["twins"] + 0.3 * seen["unlike"]

    def loss(self, player: Player, batch: Tensor) -> Tensor:
        """Return a player's loss on a campaign."""
        settings, judge = self.settings, self.discriminator
        if player == "discriminator":
            assert judge is not None
            with torch.no_grad():
                profiles, when = self.write(batch, self.rng)
            of = self._draw(self.rng)
            rows, read = self.genuine[of], judge.read(self.when[of])
            real, fake = judge(read, rows), judge(judge.read(when), profiles)
            self._means.add("win_rate", win_rate(real.detach(), fake.detach()))
            penalty = zero_centred_penalty(lambda at: judge(read.detach(), at), rows)
            return LOSSES["non_saturating"].discriminator(real, fake) + penalty
        profiles, when = self.write(batch, self.rng)
        push = self.push(profiles)
        self._means.add("push", push)
        loss = -settings.gain * push
        if judge is not None:
            fooled = LOSSES["non_saturating"].generator(judge(judge.read(when), profiles))
            loss = loss + settings.adversarial * fooled
        if settings.screen:
            loss = loss + settings.screen * self.found(batch, profiles, when)
        return loss

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's means."""
        return self._means.found()

    def profiles(self, seed: int) -> Profiles:
        """Draw a campaign of the present generator."""
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            chosen, when = self.write(self._draw(rng), rng)
            account, item = torch.nonzero(chosen > 0.5, as_tuple=True)
            part = torch.multinomial(when[account], 1, generator=rng).squeeze(1)
            within = torch.rand(len(part), generator=rng, dtype=torch.float64)
        day = self.end - self.days + self.days * ((part + within) / self.parts).numpy()
        return Profiles(account.numpy(), item.numpy(), np.maximum(day, self.first_seen[item.numpy()]))
