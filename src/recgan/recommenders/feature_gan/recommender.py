"""The retail GAN as a recommender: the products nearest to what the generator draws."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recgan.adversarial.networks import VectorGenerator
from recgan.features.matrices import Features
from recgan.recommenders import stability
from recgan.recommenders.ages import times_of
from recgan.recommenders.feature_gan.game import FeatureGANGame, make_generator, standing
from recgan.recommenders.feature_gan.histories import Times
from recgan.recommenders.feature_gan.item_vectors import (
    Content,
    Vectors,
    collaborative_factors,
    fit_content,
)
from recgan.recommenders.feature_gan.nearest import (
    ApproximateIndex,
    faiss_is_there,
    merged,
    nearest,
)
from recgan.recommenders.feature_gan.settings import FeatureGANParams
from recgan.recommenders.gan import (
    GANRecommender,
    looking,
    pick_device,
    play_out,
    read_recommender,
    write_recommender,
)
from recgan.recommenders.validation import judged_by_all


class FeatureGAN(GANRecommender[FeatureGANParams]):
    """Recommend the nearest products to several draws of a generator of product vectors."""

    name = "feature_gan"
    generator: VectorGenerator

    def __init__(self, settings: FeatureGANParams, items: pd.DataFrame, times: Times) -> None:
        """Take the train section and what is known of the products; nothing is computed.

        Args:
            settings: the train section.
            items: in the order of positions: item_id, and where there is one title, category, brand, price;
                there may be more than a matrix to be fitted on has columns.
            times: says when the entries of a matrix to be fitted on were.
        """
        super().__init__(settings)
        self.items = items
        self.times = times

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Self], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "feature_gan",
    ) -> Self:
        """Train on the products' vectors; arguments and errors are those of `Trained.fit`."""
        settings, chosen = self.settings, self.settings.vectors
        device = pick_device(settings.trainer.accelerator)
        items = self.items.head(user_items.shape[1])  # train has fewer than train + validation
        content = fit_content(items, chosen.tokens, chosen.min_token_items, chosen.content, chosen.content_l2)
        factors = collaborative_factors(user_items, chosen.factors, settings.seed)
        vectors = np.hstack([factors, content.vectors(items)])
        game = FeatureGANGame(settings, user_items, vectors, factors.shape[1], self.times(user_items), device)
        popularity = np.bincount(user_items.indices, minlength=user_items.shape[1])
        self._take(game.generator, content, vectors, factors.shape[1], popularity)

        steady = settings.stability
        self.training = play_out(
            game,
            settings,
            looking(self, user_items, validate, lambda: None),
            validated=validate is not None,
            epochs=epochs,
            checkpoint=checkpoint,
            label=label,
            rules=stability.rules(steady),
            lines=stability.lines(steady.alarms),
        )
        return judged_by_all(self, validate, settings.look_users)

    @classmethod
    def unfitted(cls, settings: FeatureGANParams, features: Features) -> Self:
        """Return one of these settings for the products of these features, and the times of its matrices."""
        return cls(settings, features.items, partial(times_of, features))

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings, and of these features or the same products."""
        if features is not None:
            return self.unfitted(self.settings, features)
        return type(self)(self.settings, self.items, self.times)

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items): rows in, rows out."""
        queries = self.draw(user_items)
        k = min(self.settings.serving.nearest, len(self._known))
        flat = queries.reshape(-1, queries.shape[2])
        found = nearest(flat, self._known, k) if self._index is None else self._index.nearest(flat, k)
        rankings = found.reshape(*queries.shape[:2], k)
        return merged(rankings, self._rest, self.settings.serving.merge == "best")

    def score_new(
        self, user_items: csr_array, items: pd.DataFrame, among_known: bool = False
    ) -> NDArray[np.float32]:
        """Score products that were never sold, by what is known of them.

        Alone they are ranked by the content's part of the similarity. Among the known ones that part would be
        small beside the factors' part. So there a new product is placed by its content among the known
        products' content. It gets as many standard deviations from the mean similarity of all known products.

        Args:
            user_items: (rows, items), histories over the fitted items.
            items: the new products: title, category, brand and price where there is one.
            among_known: rank them among the fitted items, whose scores then stand first.

        Returns:
            (rows, new items), or (rows, fitted items + new items).
        """
        new = self.content.vectors(items)
        drawn = self.draw(user_items)
        queries = drawn.reshape(-1, drawn.shape[2])
        rest = np.full(len(new), -1, dtype=np.float32)
        by_content = queries[:, self.factors :]
        if among_known:
            # One inner product for both: known products are 0 in the entries of the new ones, and conversely.
            mean, spread = standing(queries, self._known)
            own_mean, own_spread = standing(by_content, self.vectors[:, self.factors :])
            scale = spread / np.where(own_spread > 0, own_spread, np.inf)
            queries = np.hstack([queries, by_content * scale[:, None], (mean - scale * own_mean)[:, None]])
            beside = np.zeros((len(self._known), new.shape[1] + 1), dtype=np.float32)
            ones = np.ones((len(new), 1), dtype=np.float32)
            new = np.hstack([np.zeros((len(new), drawn.shape[2]), dtype=np.float32), new, ones])
            new, rest = np.vstack([np.hstack([self._known, beside]), new]), np.append(self._rest, rest)
        else:
            queries = by_content
        k = min(self.settings.serving.nearest, len(new))
        rankings = nearest(queries, new, k).reshape(*drawn.shape[:2], k)
        return merged(rankings, rest, self.settings.serving.merge == "best")

    def draw(self, user_items: csr_array) -> Vectors:
        """Return the vectors drawn for each history (draws, rows, width), the first one without noise."""
        whole = np.asarray(user_items.sum(axis=1), dtype=np.float32)
        taste = (user_items @ self.vectors) / np.maximum(whole, np.finfo(np.float32).tiny)[:, None]
        counts = np.log1p(np.diff(user_items.indptr)).astype(np.float32)
        condition = torch.as_tensor(np.hstack([taste, counts[:, None]]))
        weight = self.generator.output.weight
        condition = condition.to(weight.device, weight.dtype)
        with torch.no_grad():
            drawn = [
                self.generator(condition, noise.to(weight.device).expand(len(condition), -1)).float().cpu()
                for noise in self._noises
            ]
        vectors: Vectors = torch.stack(drawn).numpy()
        return vectors

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and recommender.json into an existing folder; no pickle."""
        tensors = {f"generator.{name}": weight for name, weight in self.generator.state_dict().items()}
        text = "\n".join(self.content.tokens).encode()
        tensors |= {
            "vectors": torch.as_tensor(self.vectors),
            "popularity": torch.as_tensor(self.popularity, dtype=torch.int64),
            "content.tokens": torch.frombuffer(bytearray(text + b"\n"), dtype=torch.uint8),
            "content.rarity": torch.as_tensor(self.content.rarity),
            "content.projection": torch.as_tensor(self.content.projection),
            "content.log_price": torch.tensor(self.content.log_price, dtype=torch.float64),
        }
        write_recommender(folder, self.name, self.settings, self.training, tensors, factors=self.factors)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote, onto the CPU; it scores, and is not to be fitted anew.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with read_recommender(folder) as (about, tensors, training):
            settings = FeatureGANParams.model_validate(about["settings"])
            recommender = cls(settings, pd.DataFrame(), lambda _: None)
            recommender.training = training
            vectors, popularity = tensors["vectors"].numpy(), tensors["popularity"].numpy()
            tokens = bytes(tensors["content.tokens"].numpy()).decode().split("\n")[:-1]
            mean, spread = tensors["content.log_price"].tolist()
            content = Content(
                tokens=tuple(tokens) if tokens != [""] else (),
                rarity=tensors["content.rarity"].numpy(),
                log_price=(mean, spread),
                projection=tensors["content.projection"].numpy(),
            )
            factors = int(about["factors"])
            first = torch.Generator().manual_seed(0)
            generator = make_generator(settings, vectors.shape[1], factors, first)
            generator.load_state_dict(
                {
                    name.removeprefix("generator."): tensor
                    for name, tensor in tensors.items()
                    if name.startswith("generator.")
                }
            )
            widths = factors + content.projection.shape[1]
            if (len(popularity), widths) != vectors.shape:
                raise ValueError(f"vectors are {vectors.shape}, not {(len(popularity), widths)}")
        generator.requires_grad_(False)
        recommender._take(generator, content, vectors, factors, popularity)
        return recommender

    def _take(
        self,
        generator: VectorGenerator,
        content: Content,
        vectors: Vectors,
        factors: int,
        popularity: NDArray[np.int64],
    ) -> None:
        """Hold a generator and the products' vectors (items, width), and prepare the search."""
        serving = self.settings.serving
        self.generator = generator
        self.content = content
        self.vectors = vectors
        self.factors = factors
        self.popularity = popularity
        # A mean of the two blocks' pictures of how likely a product is: a new one has the content's alone.
        shares = np.full(vectors.shape[1], serving.content_share, dtype=np.float32)
        shares[:factors] = 1 - shares[:factors]
        self._known = vectors * shares
        self._rest = (popularity / (popularity.max(initial=0) + 1) - 1).astype(np.float32)
        rng = torch.Generator().manual_seed(self.settings.seed)
        self._noises = torch.randn(serving.draws, self.settings.noise, generator=rng) * serving.noise_scale
        self._noises[0] = 0
        large = len(vectors) > serving.faiss_above
        self._index = ApproximateIndex(self._known) if large and faiss_is_there() else None
