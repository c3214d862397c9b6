"""The train section of the retail GAN."""

from typing import Literal

from pydantic import model_validator

from recgan.adversarial.settings import NetworkParams
from recgan.core.sections import Count, NonNegative, Positive, Section, Share
from recgan.recommenders.settings import StabilityParams, TrainingParams, stability_faults


class VectorParams(Section):
    """How products become vectors."""

    factors: Count
    """Collaborative factors, the leading singular vectors of train."""
    content: Count
    """Most dimensions of the content's part."""
    content_l2: Positive
    """Ridge of the content's whitening: the larger, the less the rare contents count."""
    tokens: Count
    """Most categories, brands and title words, those of the most products."""
    min_token_items: Count
    """Products that a category, brand or word must have."""


class ServingParams(Section):
    """From what the generator draws to the scores of products."""

    draws: Count
    """Vectors drawn for each history; the first is without noise, so 1 is the point forecast alone."""
    noise_scale: Positive
    """Standard deviation of the noise of those draws; below 1 they are likelier ones and more alike (the
    truncation trick, Brock et al. 2019)."""
    nearest: Count
    """Products taken from the neighbourhood of each draw; all others follow by popularity."""
    merge: Literal["sum", "best"]
    """The draws are merged by the sum of a product's reciprocal ranks (consensus), or by the best of them
    (every taste in turn)."""
    content_share: Share
    """Share of the content in the similarity, the rest is of the collaborative factors; a new product has the
    content's part alone."""
    faiss_above: Count
    """Products above which neighbours are searched by faiss where it is installed, approximately."""


class FeatureGANParams(TrainingParams):
    """The retail GAN: from a history and noise to the vector of a product."""

    recommender: Literal["feature_gan"]
    vectors: VectorParams
    factor_dropout: Share
    """Share of the training's histories, and of the judged vectors, that have no collaborative factors."""
    noise: Count
    """Dimensions of z."""
    loss: Literal["non_saturating", "saturating", "least_squares", "wasserstein", "hinge", "relativistic"]
    """The adversarial loss."""
    adversarial: NonNegative
    """Coefficient of the adversarial loss of the vectors drawn with noise."""
    mode_seeking: NonNegative
    """Coefficient of the term that keeps apart two vectors drawn for one history (Mao et al. 2019)."""
    regression: NonNegative
    """Coefficient of the squared distance of the vector without noise from the mean of what came."""
    stability: StabilityParams
    generator: NetworkParams
    discriminator: NetworkParams
    serving: ServingParams

    @model_validator(mode="after")
    def _terms_fit_together(self) -> "FeatureGANParams":
        faults = stability_faults(self.stability, self.loss, self.discriminator.steps, self.epochs)
        if not (self.adversarial or self.regression or self.stability.feature_matching):
            faults.append("adversarial, regression and stability.feature_matching are 0: nothing is learned")
        if faults:
            raise ValueError("; ".join(faults))
        return self
