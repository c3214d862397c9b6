"""RC-GAN as a recommender: the generator's scores and a share of the critic's residual."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.adversarial.kernels import dense
from recgan.adversarial.networks import Perceptron
from recgan.adversarial.processes import by_first
from recgan.adversarial.sparse import SparseRows
from recgan.features.matrices import Features
from recgan.recommenders import stability
from recgan.recommenders.ages import aged
from recgan.recommenders.gan import (
    VALIDATION,
    GANRecommender,
    pick_device,
    play_out,
    read_recommender,
    weights_of,
    write_recommender,
)
from recgan.recommenders.half_lives import best_half_life
from recgan.recommenders.rcgan.game import RCGANGame, make_generator, normalised
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.validation import Validate, Validation, at_looks


class RCGAN(GANRecommender[RCGANParams]):
    """Recommend with y + k d, the generator's scores and a share of the critic's residual.

    y is G(history), for any history. The critic writes, for every item, one entry of d per fitted user, from
    its last hidden layer h_i (rows of H) and that user's output weights. A history's own output weights are
    those that minimise the critic's loss for it, H held fast, with a ridge: a weighted least squares problem

        v = argmin Σ_i w_i (h_i v - (x_i - y_i) / γ)² + fold_in_l2 ‖v‖²,    d = H v

    so a history never seen is scored like any other, and what is kept of the critic is H. Where there is a
    half life, what is old in a history weighs less in both.
    """

    name = "rcgan"
    generator: Perceptron
    tables: ClassVar[Mapping[str, str]] = {
        f"{player}.{weight}": axis
        for player, axis in (("generator", "items"), ("discriminator", "users"))
        for weight in ("first", "output.weight", "output.bias")
    }

    def __init__(self, settings: RCGANParams, critic_share: float | None = None) -> None:
        """Take the train section; nothing is computed.

        Args:
            settings: the train section.
            critic_share: k, where a validation has chosen it; None lets `fit` choose.
        """
        super().__init__(settings)
        self.critic_share = critic_share
        self.half_life_days = settings.half_life_days[0]

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Self], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "rcgan",
    ) -> Self:
        """Train generator and critic; arguments and errors are those of `Trained.fit`.

        Weights and k of the best look are kept; without validation the first k, unless one was given. Where
        a sample judged the looks, all users choose k anew. The half life is tried on them.
        """
        settings = self.settings
        game = RCGANGame(settings, user_items, pick_device(settings.trainer.accelerator))
        if self.begin is not None:
            self.begin(game)
        shares = settings.critic_shares if self.critic_share is None else (self.critic_share,)
        self.critic_share = shares[0]
        if validate is not None:
            self.half_life_days = None  # until the weights are chosen
        judge = None if validate is None else at_looks(validate, settings.look_users)

        def look() -> dict[str, float]:
            self._take(game.generator, item_hidden(game))
            found: dict[str, float] = {}
            if judge is not None:
                found[VALIDATION] = self._choose_share(shares, judge)
                if len(shares) > 1:
                    assert self.critic_share is not None
                    found["critic_share"] = self.critic_share
            return {**found, **stability.diversity(self, user_items)}

        self.training = play_out(
            game,
            settings,
            look,
            validated=validate is not None,
            epochs=epochs,
            checkpoint=checkpoint,
            label=label,
            lines=stability.lines(settings.alarms),
        )
        self._take(game.generator, item_hidden(game))
        self.left = None if settings.warm_start is None else weights_of(game)
        kept = self.training.curves[self.training.best_epoch - 1].get("critic_share")
        self.critic_share = shares[0] if kept is None else kept
        if validate is not None and judge is not validate:
            self.training = replace(self.training, validation_ndcg=self._choose_share(shares, validate))
        if validate is not None and settings.half_life_days != (None,):
            self.half_life_days, score = by_first(
                lambda: best_half_life(self, settings.half_life_days, validate)
            )
            self.training = replace(self.training, validation_ndcg=score)
        return self

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings, and the share and half life that validation chose."""
        again = type(self)(self.settings, self.critic_share)
        again.half_life_days = self.half_life_days
        return again

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        user_items = aged(user_items, ages, self.half_life_days)
        hidden, scores = self._generated(user_items)
        if self.critic_share:
            weights = self.fold_in(user_items, hidden, scores)
            scores += (np.float32(self.critic_share) * weights) @ self._hidden.T
        return scores

    def score_each(
        self, shares: Sequence[float], user_items: csr_array, ages: csr_array | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Yield what `score` gives with each critic's share, to rounding; y and d are computed once."""
        user_items = aged(user_items, ages, self.half_life_days)
        hidden, scores = self._generated(user_items)
        residual = None
        for share in shares:
            if share and residual is None:
                residual = self.fold_in(user_items, hidden, scores) @ self._hidden.T
            yield scores if residual is None or not share else scores + np.float32(share) * residual

    def _generated(self, user_items: csr_array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the generator's last hidden layer (rows, hidden) and its scores y (rows, items)."""
        rows = SparseRows(normalised(user_items)).to(self.generator.first.device)
        output = self.generator.output
        with torch.no_grad():
            hidden = self.generator.last_hidden(rows.all())
            scores: NDArray[np.float32] = dense(hidden, output.weight, output.bias).float().cpu().numpy()
            return hidden.float().cpu().numpy(), scores

    def _choose_share(self, shares: Sequence[float], validate: Validate) -> float:
        """Take the critic's share with the best score, of equal ones the first; return the score."""
        if isinstance(validate, Validation) and len(shares) > 1:
            found = validate.each(partial(self.score_each, shares), len(shares))
        else:
            found = []
            for share in shares:
                self.critic_share = share
                found.append(validate(self))
        best = max(range(len(shares)), key=lambda place: found[place])
        self.critic_share = shares[best]
        return found[best]

    def vectors(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Return what each history's scores are the products of with `item_vectors`, (rows, width)."""
        user_items = aged(user_items, ages, self.half_life_days)
        rows = SparseRows(normalised(user_items)).to(self.generator.first.device)
        with torch.no_grad():
            hidden = self.generator.last_hidden(rows.all()).float().cpu().numpy()
        parts = [hidden, np.ones((len(hidden), 1), dtype=np.float32)]
        if self.critic_share:
            parts.append(np.float32(self.critic_share) * self.fold_in(user_items, hidden, None))
        return np.hstack(parts)

    def item_vectors(self) -> NDArray[np.float32]:
        """Return the generator's output weights and bias of each item and its critic's hidden layer."""
        weight, bias = (one.detach().float().cpu().numpy() for one in self.generator.output.parameters())
        return np.hstack([weight, bias[:, None], *([self._hidden] if self.critic_share else [])])

    def fold_in(
        self, user_items: csr_array, hidden: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return the output weights v of any histories, (rows, critic's hidden), 0 for an empty one.

        The normal equations (Hᵀ diag(w) H + l2 I) v = Hᵀ (w∘(x - y)) / γ differ between histories in the held
        items p alone, so with G = η HᵀH + l2 I and R = H G⁻¹ each costs one small system (Woodbury):

            v = v₀ - Rₚᵀ (I + E Hₚ Rₚᵀ)⁻¹ E Hₚ v₀,    G v₀ = the right-hand side,    E = diag(wₚ - η)

        Of w∘(x - y), all is -η y but for the held items; and as y is W2 times the last hidden layer plus b2,
        Rᵀ y is (Rᵀ W2) times it plus Rᵀ b2: no product over all items is needed.

        Args:
            user_items: (rows, items), the histories.
            hidden: (rows, hidden), the generator's last hidden layer for them.
            scores: (rows, items), the generator's y for them; None computes those of held items alone.
        """
        H, R, base = self._hidden, self._solved, self.settings.unobserved_weight
        starts, lengths = user_items.indptr[:-1], np.diff(user_items.indptr)
        extra = (1 - base) * user_items.data.astype(np.float32)  # (entries,) w - η
        places = np.repeat(np.arange(len(lengths)), lengths)
        if scores is None:
            weight, bias = (one.detach().float().cpu().numpy() for one in self.generator.output.parameters())
            y = np.einsum("eh,eh->e", hidden[places], weight[user_items.indices]) + bias[user_items.indices]
        else:
            y = scores[places, user_items.indices]
        held = base + extra - extra * y  # (entries,) w∘(x - y) + η y
        weights = csr_array((held, user_items.indices, user_items.indptr), user_items.shape) @ R
        weights -= base * (hidden @ self._seen + self._seen_bias)
        weights /= self.settings.gradient_penalty  # (rows, hidden) v₀
        for row in np.flatnonzero(lengths):
            part = slice(starts[row], starts[row] + lengths[row])
            items = user_items.indices[part]
            Hp, Rp, E = H[items], R[items], extra[part, None]
            system = E * (Hp @ Rp.T)
            system[np.diag_indices_from(system)] += 1
            weights[row] -= np.linalg.solve(system, E[:, 0] * (Hp @ weights[row])) @ Rp
        weights[lengths == 0] = 0
        return np.asarray(weights, dtype=np.float32)

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        tensors = {f"generator.{name}": weight for name, weight in self.generator.state_dict().items()}
        tensors["critic.hidden"] = torch.as_tensor(self._hidden)
        write_recommender(
            folder,
            self.name,
            self.settings,
            self.training,
            tensors,
            items=self.generator.first.shape[0],
            critic_share=self.critic_share,
            half_life_days=self.half_life_days,
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with read_recommender(folder) as (about, tensors, training):
            settings = RCGANParams.model_validate(about["settings"])
            recommender = cls(settings, float(about["critic_share"]))
            recommender.half_life_days = about.get("half_life_days")
            recommender.training = training
            hidden, items = tensors.pop("critic.hidden").numpy(), int(about["items"])
            generator = make_generator(recommender.settings, items, torch.Generator().manual_seed(0))
            generator.load_state_dict(
                {name.removeprefix("generator."): tensor for name, tensor in tensors.items()}
            )
            if hidden.shape != (items, recommender.settings.critic.hidden[-1]):
                raise ValueError(f"the critic's hidden layer is {hidden.shape}, but there are {items} items")
        generator.requires_grad_(False)
        recommender._take(generator, hidden)
        return recommender

    def _take(self, generator: Perceptron, hidden: NDArray[np.float32]) -> None:
        """Hold a generator, and of the critic its hidden layer of every item (items, hidden)."""
        self.generator = generator
        H = hidden.astype(np.float64)
        gram = self.settings.unobserved_weight * (H.T @ H)
        gram[np.diag_indices_from(gram)] += self.settings.fold_in_l2
        self._hidden = hidden
        self._solved: NDArray[np.float32] = np.linalg.solve(gram, H.T).T.astype(np.float32)  # (items, hidden)
        weight, bias = (one.detach().float().cpu().numpy() for one in generator.output.parameters())
        self._seen: NDArray[np.float32] = weight.T @ self._solved  # (generator's hidden, critic's hidden)
        self._seen_bias: NDArray[np.float32] = bias @ self._solved


def item_hidden(game: RCGANGame) -> NDArray[np.float32]:
    """Return the critic's last hidden layer of every item, (items, hidden)."""
    with torch.no_grad():
        hidden = game.discriminator.last_hidden(game.items.rows.all())
    written: NDArray[np.float32] = hidden.float().cpu().numpy()
    return written
