"""The sections `serve` and `off_policy` of params.yaml."""

from recgan.core.sections import Count, Positive, Section, Share


class ExploreParams(Section):
    """Answers that are drawn by chance, from whose log other versions can be judged before any traffic."""

    share: Share
    """Of the requests for recommendations; 0 draws none."""
    temperature: Positive
    """Of the draw, in standard deviations of the candidates' scores. A low one seldom leaves the best order;
    of a high one every order is about as likely."""
    candidates: Count
    """Best items of each request that are drawn from; k where that is more."""


class ServeParams(Section):
    """The server; read when it starts, by no DVC stage."""

    explore: ExploreParams


class OffPolicyParams(Section):
    """When a version's value is estimated from the log of others; read by commands and flow tasks.

    Intervals and their draws are those of `evaluate`: confidence, bootstrap_samples, seed.
    """

    min_answers: Count
    """Effective ones: so many drawn answers of the version itself would say as much. Fewer tell nothing."""
    min_events: Count
    """Effective ones, of the kind that is judged."""
    min_support: Share
    """Share of the places of the version's lists whose item was among the candidates that were drawn from."""
