"""CFGAN (Chae et al., CIKM 2018): a GAN that writes whole interaction vectors.

The condition c is a row of the matrix (a user's items, or in the item view an item's users), and the
generator's output y = G(c) is judged against the row itself:

    e = entries of c, and a share of its zeros      (partial masking)
    D minimises   loss(D(c, c), D(c, y∘e))
    G minimises   loss(D(c, y∘e)) + α Σ_z y_j²      (zero reconstruction over z, a share of the row's zeros)

Penalties on D's slope take it with respect to the judged row on its support e. WGAN-GP's points between c and
y∘e mean something here, unlike between two sparse sets: both are vectors on the same e, which D sees whole.

As in the original code the default loss is the non-saturating one, although the paper writes log(1 - D),
there is no noise z, hidden layers are sigmoid and outputs linear, and an epoch is all discriminator passes,
then all generator passes, with one draw of the zeros. Unlike it, the two draws are independent (there, both
follow a seed from the clock, and are one and the same), each zero is drawn on its own with the given
probability (there, exactly that share of each row), and everything follows from one seed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from recgan.adversarial.constraints import gradient_penalty, normalise_spectrum, zero_centred_penalty
from recgan.adversarial.diagnostics import win_rate
from recgan.adversarial.losses import LOSSES, LossPair, feature_matching, smoothed
from recgan.adversarial.networks import (
    ConditionalDiscriminator,
    Perceptron,
    SparseBatch,
    SparseRows,
    adam,
)
from recgan.adversarial.schedule import ramp
from recgan.recommenders import stability
from recgan.recommenders.gan import (
    Training,
    history_keys,
    pick_device,
    play_out,
    read_recommender,
    write_recommender,
)
from recgan.settings import CFGANParams


class CFGANGame(nn.Module):
    """CFGAN's two networks and what they play for, on rows of one matrix.

    Memory on the device: 16 bytes for each entry and zero of the matrix (what it holds, two draws, and the
    generator's output on all rows while the discriminator has its turn), so 300 MB for 4,400 x 4,100;
    4 bytes more with a penalty on the discriminator's slope.
    """

    played: Tensor
    """Epochs begun; part of a checkpoint."""

    def __init__(self, settings: CFGANParams, rows: csr_array, device: torch.device) -> None:
        """Build the networks.

        Args:
            settings: the train section.
            rows: (rows, width), the conditions: users by items, or items by users.
            device: where the game will be played.
        """
        super().__init__()
        self.settings = settings
        self.loss = _loss(settings)
        width = rows.shape[1]
        first = torch.Generator().manual_seed(settings.seed)  # on the CPU: the same start on every device
        self.generator = Perceptron(width, settings.generator.hidden, width, first)
        self.discriminator = ConditionalDiscriminator(width, settings.discriminator.hidden, first)
        self.rows = SparseRows(rows)
        if settings.stability.constraints.spectral_norm:
            normalise_spectrum(self.discriminator, first)
        self.rng = torch.Generator(device).manual_seed(settings.seed)
        self.register_buffer("played", torch.zeros((), dtype=torch.long))
        self._interleaved = settings.stability.schedule.critic_steps is not None
        self._share = 1.0
        self._dense: Tensor | None = None
        self._held: Tensor | None = None
        self._sums: dict[str, Tensor] = {}

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Return the discriminator's and the generator's Adam."""
        d, g, steady = self.settings.discriminator, self.settings.generator, self.settings.stability
        return (
            adam(self.discriminator, d.learning_rate, d.l2, steady.discriminator.betas),
            adam(self.generator, g.learning_rate, g.l2, steady.generator.betas),
        )

    def begin_epoch(self) -> None:
        """Draw the zeros that the discriminator sees, and those that the generator must keep at zero."""
        if self._held is None:
            self._held = self.rows.held()
        self._visible = self._draw(self.settings.partial_masking_share).maximum(self._held)
        self._zeros = self._draw(self.settings.zero_reconstruction_share) * (1 - self._held)
        self._sums = {}
        schedule = self.settings.stability.schedule
        self._share = ramp(int(self.played), schedule.warm_up, schedule.ramp)
        self.played += 1

    def discriminator_turn(self) -> Iterator[Tensor]:
        """Yield the discriminator's losses; a generator that rests writes its rows once."""
        fakes = None if self._interleaved else self._write(self.rows.all())  # (rows, width)
        side = self.settings.discriminator
        for batch in self._passes(side.steps, side.batch_size):
            read = self.discriminator.read(batch)  # (batch, hidden)
            real = self.discriminator(read, batch)  # (batch,)
            written = self._write(batch) if fakes is None else fakes.index_select(0, batch.rows)
            fake = self.discriminator(read, written)
            self._measure("d_real", torch.sigmoid(real.detach()).mean())
            self._measure("d_fake", torch.sigmoid(fake.detach()).mean())
            self._measure("win_rate", win_rate(real.detach(), fake.detach()))
            loss = self.loss.discriminator(real, fake)
            for penalty in self._penalties(batch, read, written):
                loss = loss + penalty
            yield loss

    def generator_turn(self) -> Iterator[Tensor]:
        """Yield the generator's losses; a discriminator that rests reads the conditions once."""
        with torch.no_grad():
            reads = None if self._interleaved else self.discriminator.read(self.rows.all())  # (rows, hidden)
        side = self.settings.generator
        for batch in self._passes(side.steps, side.batch_size):
            with torch.no_grad():
                read = self.discriminator.read(batch) if reads is None else reads.index_select(0, batch.rows)
            adversarial, reconstruction = self.generator_losses(batch, read)
            self._measure("zero_reconstruction", reconstruction.detach())
            yield self._share * adversarial + self.settings.zero_reconstruction * reconstruction

    def generator_steps(self) -> int:
        """Return how many losses the generator's turn yields."""
        side = self.settings.generator
        return side.steps * -(-self.rows.shape[0] // side.batch_size)

    def generator_losses(self, batch: SparseBatch, read: Tensor) -> tuple[Tensor, Tensor]:
        """Return the adversarial loss, feature matching included, and the mean row's Σ y_j² over the zeros.

        Args:
            batch: the conditions.
            read: (batch, hidden), the discriminator's reading of them.
        """
        scores = self.generator(batch)  # (batch, width)
        features = self.discriminator.features(read, scores * self._visible.index_select(0, batch.rows))
        fake, real = self.discriminator.logits(features), None  # (batch,)
        matching = self.settings.stability.feature_matching
        if matching or self.loss.relativistic:
            with torch.no_grad():
                real_features = self.discriminator.features(read, batch)  # (batch, hidden)
                real = self.discriminator.logits(real_features)
        adversarial = self.loss.generator(fake, real)
        if matching:
            adversarial = adversarial + matching * feature_matching(real_features, features)
        kept = (scores * self._zeros.index_select(0, batch.rows)).float()
        return adversarial, kept.square().sum() / len(batch.rows)

    def measured(self) -> dict[str, Tensor]:
        """Return the epoch's mean d_real, d_fake (as probabilities), win_rate and zero_reconstruction."""
        settings = self.settings
        n_rows = self.rows.shape[0]
        d_steps = settings.discriminator.steps * -(-n_rows // settings.discriminator.batch_size)
        g_steps = self.generator_steps()
        if settings.stability.schedule.critic_steps is not None:
            d_steps = settings.stability.schedule.critic_steps * g_steps
        steps = {"d_real": d_steps, "d_fake": d_steps, "win_rate": d_steps, "zero_reconstruction": g_steps}
        return {name: total / steps[name] for name, total in self._sums.items()}

    def _write(self, batch: SparseBatch) -> Tensor:
        """Return the fake rows (batch, width) on their visible support, without gradient."""
        with torch.no_grad():
            written: Tensor = self.generator(batch) * self._visible.index_select(0, batch.rows)
            return written

    def _penalties(self, batch: SparseBatch, read: Tensor, fake: Tensor) -> Iterator[Tensor]:
        """Yield what the constraints add to the discriminator's loss."""
        chosen = self.settings.stability.constraints
        if not (chosen.gradient_penalty or chosen.r1 or chosen.r2):
            return
        if self._dense is None:
            self._dense = self.rows.dense()
        visible = self._visible.index_select(0, batch.rows)
        real = self._dense.index_select(0, batch.rows)

        def judge(rows: Tensor) -> Tensor:
            logits: Tensor = self.discriminator(read, rows * visible)
            return logits

        if chosen.gradient_penalty:
            yield chosen.gradient_penalty * gradient_penalty(judge, real, fake, self.rng)
        if chosen.r1:
            yield chosen.r1 * zero_centred_penalty(judge, real)
        if chosen.r2:
            yield chosen.r2 * zero_centred_penalty(judge, fake)

    def _passes(self, passes: int, size: int) -> Iterator[SparseBatch]:
        for _ in range(passes):
            order = torch.randperm(self.rows.shape[0], generator=self.rng, device=self.rng.device)
            yield from self.rows.batches(order, size)

    def _draw(self, share: float) -> Tensor:
        uniform = torch.rand(self.rows.shape, generator=self.rng, device=self.rng.device)
        return (uniform < share).float()  # (rows, width); a float mask multiplies five times as fast

    def _measure(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums[name] + value if name in self._sums else value


def _loss(settings: CFGANParams) -> LossPair:
    smoothing = settings.stability.label_smoothing
    if smoothing and settings.loss in ("non_saturating", "saturating", "least_squares"):
        return smoothed(settings.loss, smoothing)
    return LOSSES[settings.loss]


class CFGAN:
    """Recommend with CFGAN's generator.

    User view: the scores are G(history), for any history. Item view: G writes, for every item, one entry
    per fitted user, so a history equal to a fitted user's row gets that user's entries. Any other history
    x is folded in: with h_i the generator's last hidden layer for item i (rows of H), s̄ the mean fitted
    user's scores, its output weights are the ridge solution

        w = w̄ + (HᵀH + fold_in_l2 I)⁻¹ Hᵀ (x - s̄),    scores = s̄ + H (w - w̄)

    and an empty history gets s̄, whether or not a fitted user has none either.
    """

    name = "cfgan"

    def __init__(self, settings: CFGANParams) -> None:
        """Take the train section; nothing is computed."""
        self.settings = settings
        self.training = Training()

    @property
    def parameters(self) -> int:
        """Number of the generator's weights."""
        return sum(parameter.numel() for parameter in self.generator.parameters())

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Self], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "cfgan",
    ) -> Self:
        """Train both networks; arguments and errors are those of `Trained.fit`."""
        device = pick_device(self.settings.accelerator)
        item_view = self.settings.view == "item"
        rows = csr_array(user_items.T) if item_view else user_items
        game = CFGANGame(self.settings, rows, device)
        self._take(game.generator, user_items if item_view else None, user_items.shape[1])

        def look() -> float:
            assert validate is not None
            return validate(self)

        def probe() -> dict[str, float]:
            self._prepare()
            return stability.diversity(self, user_items)

        steady = self.settings.stability
        self.training = play_out(
            game,
            self.settings,
            device,
            epochs=epochs,
            validate=look if validate is not None else None,
            checkpoint=checkpoint,
            label=label,
            rules=stability.rules(steady),
            lines=stability.lines(steady.alarms),
            probe=probe,
        )
        self._prepare()
        return self

    def anew(self) -> Self:
        """Return an unfitted one of the same settings."""
        return type(self)(self.settings)

    def score(self, user_items: csr_array) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        if self.fitted is None:
            scores: NDArray[np.float32] = self._generate(SparseRows(user_items)).numpy()
            return scores
        positions = np.array(
            [self._position.get(key, -1) for key in history_keys(user_items)], dtype=np.int64
        )
        scores = np.empty(user_items.shape, dtype=np.float32)
        own = positions >= 0
        layer = self.generator.output
        units = torch.as_tensor(positions[own], device=layer.weight.device)
        with torch.no_grad():
            written = layer.weight[units] @ self._hidden.T + layer.bias[units, None]  # (own rows, items)
        scores[own] = written.float().cpu().numpy()
        new = np.flatnonzero(~own)
        if len(new):
            history = user_items[new]
            surprise = history.toarray() - self._mean_scores  # (new rows, items)
            surprise[np.diff(history.indptr) == 0] = 0
            scores[new] = self._mean_scores + (surprise @ self._fold_in) @ self._factors.T
        return scores

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        tensors = {f"generator.{name}": weight for name, weight in self.generator.state_dict().items()}
        if self.fitted is not None:
            tensors["fitted.indptr"] = torch.as_tensor(self.fitted.indptr, dtype=torch.int64)
            tensors["fitted.indices"] = torch.as_tensor(self.fitted.indices, dtype=torch.int32)
            tensors["fitted.values"] = torch.as_tensor(self.fitted.data, dtype=torch.float32)
        write_recommender(
            folder,
            self.name,
            self.settings,
            self.training,
            tensors,
            items=self.items,
            width=self.generator.first.shape[0],
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with read_recommender(folder) as (about, tensors, training):
            recommender = cls(CFGANParams.model_validate(about["settings"]))
            recommender.training = training
            width, items = int(about["width"]), int(about["items"])
            generator = Perceptron(
                width, recommender.settings.generator.hidden, width, torch.Generator().manual_seed(0)
            )
            generator.load_state_dict(
                {
                    name.removeprefix("generator."): tensor
                    for name, tensor in tensors.items()
                    if name.startswith("generator.")
                }
            )
            fitted = None
            if recommender.settings.view == "item":
                parts = (tensors[f"fitted.{part}"].numpy() for part in ("values", "indices", "indptr"))
                fitted = csr_array(tuple(parts), shape=(width, items))
            elif width != items:
                raise ValueError(f"width {width} in the user view, but {items} items")
        generator.requires_grad_(False)
        recommender._take(generator, fitted, items)
        recommender._prepare()
        return recommender

    def _take(self, generator: Perceptron, fitted: csr_array | None, items: int) -> None:
        """Hold a generator, and in the item view the rows it was fitted on."""
        self.generator = generator
        self.fitted = fitted
        self.items = items
        if fitted is not None:
            keys = list(history_keys(fitted))
            self._position = {key: position for position, key in reversed(list(enumerate(keys))) if key}
            self._columns = SparseRows(csr_array(fitted.T))

    def _prepare(self) -> None:
        """In the item view: the hidden layer of every item, and what folding in needs."""
        if self.fitted is None:
            return
        layer = self.generator.output
        with torch.no_grad():
            self._hidden = self.generator.last_hidden(
                self._columns.to(layer.weight.device).all()
            )  # (items, hidden)
        H = self._hidden.double().cpu().numpy()
        weight = layer.weight.detach().double().mean(dim=0).cpu().numpy()  # (hidden,)
        mean = H @ weight + float(layer.bias.detach().double().mean())
        gram = H.T @ H
        gram[np.diag_indices_from(gram)] += self.settings.fold_in_l2
        self._mean_scores: NDArray[np.float32] = mean.astype(np.float32)  # (items,)
        self._factors: NDArray[np.float32] = H.astype(np.float32)  # (items, hidden)
        self._fold_in: NDArray[np.float32] = np.linalg.solve(gram, H.T).T.astype(
            np.float32
        )  # (items, hidden)

    def _generate(self, rows: SparseRows) -> Tensor:
        with torch.no_grad():
            written: Tensor = self.generator(rows.to(self.generator.first.device).all())
            return written.float().cpu()
