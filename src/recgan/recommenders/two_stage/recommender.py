"""Two stages: a generator proposes items, and a discriminator judges its very proposals.

The generator G is any other candidate. It ranks the catalogue. The discriminator D ranks the N items that G
puts first, by features of the shopper and the item (pairs.py), G's own score among them. D learns to tell
what a shopper really took next from what G would have proposed (learning.py). It is shown nothing else, so
it learns what G gets wrong.

The protocol is strict:

1. G and the item statistics are fitted on what came before a window at the end of train, and propose for it.
   D learns from these lists, of one or several windows (windows.py). Neither has seen what D is to find.
2. G and the statistics are fitted on train and propose for validation. There D's form, N, regularisation and
   passes are chosen (search.py).
3. With `refit`, G and the statistics are fitted on train + validation. D is fitted again as it was chosen, on
   the windows and on validation, for which step 2 has the proposals of a G that has not seen it.

Where repeat purchases are recommended there is no step 1: a matrix knows the last event of a pair alone, so
what was bought again would stand in no history before it, and D would learn that nobody buys again. D learns
from validation, whose histories are whole: for the choice of step 2 from one half of its shoppers for the
other, in step 3 from all.

Beside it stand, with the same budget, the same D with fakes drawn uniformly, G alone, and G blended with
other recommenders (`ablations`). They are for comparison, and no package holds them.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from scipy.sparse import csr_array

from recgan.adversarial.processes import by_first, is_first
from recgan.core import layout
from recgan.core.errors import RecganError
from recgan.features.matrices import Features
from recgan.recommenders.chosen import Chosen, beside, choose_candidate
from recgan.recommenders.loading import load_recommender
from recgan.recommenders.protocol import Best, Recommender
from recgan.recommenders.trained import Training, reading, write_trained
from recgan.recommenders.two_stage.ablations import named, part_of, read_ablations, write_ablations
from recgan.recommenders.two_stage.blend import Blend, blended_with
from recgan.recommenders.two_stage.decided import Arm, Choice, Decided, shown
from recgan.recommenders.two_stage.discriminator import Discriminator
from recgan.recommenders.two_stage.gathered import gathered
from recgan.recommenders.two_stage.judged import Judged
from recgan.recommenders.two_stage.lists import TOLD, Lists, lists_of
from recgan.recommenders.two_stage.pairs import FEATURES
from recgan.recommenders.two_stage.reasons import Reason, reasons
from recgan.recommenders.two_stage.settings import TwoStageParams
from recgan.recommenders.two_stage.statistics import Statistics
from recgan.recommenders.two_stage.windows import times_known, windows_of
from recgan.recommenders.widened import as_noted

log = logging.getLogger(__name__)

GENERATOR = "generator"  # its folder beside the discriminator's files


class TwoStage:
    """A generator's proposals, in a discriminator's order."""

    name = "two_stage"

    def __init__(
        self, settings: TwoStageParams, features: Features | None, decided: Decided | None = None
    ) -> None:
        """Keep the settings.

        Args:
            settings: the candidate's section.
            features: matrices to be fitted on; None of one that is read to score.
            decided: what an earlier fit chose.
        """
        self.settings = settings
        self.features = features
        self.decided = decided
        self.training = Training()
        self.served: Judged
        self._generator: Chosen
        self.ablations: dict[str, Any] = {}
        """Name → what is for comparison alone: uniform, generator, blend."""

    @property
    def parameters(self) -> int:
        """Number of weights that scoring needs."""
        return self.served.parameters

    @classmethod
    def unfitted(cls, settings: TwoStageParams, features: Features) -> Self:
        """Return one of these settings for the matrices of these features."""
        return cls(settings, features)

    def anew(self, features: Features | None = None) -> Self:
        """Return an unfitted one of the same settings and all that validation chose."""
        return type(self)(self.settings, features or self.features, self.decided)

    def fit(
        self,
        user_items: csr_array,
        validate: Callable[[Any], float] | None = None,
        epochs: int | None = None,
        checkpoint: Path | None = None,
        label: str = "two_stage",
    ) -> Self:
        """Fit the generator and its discriminator; arguments are those of `Trained.fit`.

        Raises:
            RecganError: an event has no time, there is nothing to learn from, or the generator's fit fails.
        """
        assert self.features is not None
        if self.decided is None:
            self._choose(self.features, validate, checkpoint, label)
        else:
            self._fit_again(self.decided, user_items, checkpoint)
        return self

    def _choose(
        self,
        features: Features,
        validate: Callable[[Any], float] | None,
        checkpoint: Path | None,
        label: str,
    ) -> None:
        """Steps 1 and 2 of the protocol above."""
        settings, held = self.settings, features.validation
        exclude_seen = not features.summary["repeat_purchases"]
        # What is amiss in the times is said before anything is slow.
        windows = windows_of(features, settings.windows) if exclude_seen else []
        times_known(features)
        if not windows and (validate is None or held is None):
            raise RecganError(
                "two_stage learns repeat purchases from validation alone, and there is none; give "
                "features.split a validation window, or take this candidate out of candidates"
            )
        generator = choose_candidate(
            settings.generator, features, validate, beside(checkpoint, "g"), f"{label} generator"
        )
        log.info("%s: the generator has %s on validation", label, shown(generator.validation_ndcg))
        self._generator = generator
        shape, seed = (max(*settings.proposals, TOLD), features.train.shape[1]), settings.seed
        lists = gathered(generator, windows, *shape, exclude_seen, seed, checkpoint)
        # Of several processes the first one alone trains what judges; the others help to train generators.
        self.training, choices = by_first(
            lambda: self._judges(generator, len(windows), lists, features, validate, label)
        )
        if not is_first() and choices:
            proposals, uniform = map(Arm, choices, lists)
            self.decided = Decided(generator, proposals, uniform, (), ())

    def _judges(
        self,
        generator: Chosen,
        windows: int,
        lists: tuple[Lists, Lists],
        features: Features,
        validate: Callable[[Any], float] | None,
        label: str,
    ) -> tuple[Training, tuple[Choice, ...]]:
        """Learn to judge, and choose how; return the training, and the choices that validation made."""
        from recgan.recommenders.two_stage.search import fit_as, search_both  # torch

        settings, held = self.settings, features.validation
        exclude_seen, longest = not features.summary["repeat_purchases"], max(*settings.proposals, TOLD)
        known = Statistics.fit(features.train, times_known(features), features.items)
        if validate is None or held is None:
            choice = Choice(settings.proposals[0], settings.hidden[0], settings.l2[0], settings.epochs)
            judge, other = (fit_as(choice, each, settings.seed)[0] for each in lists)
            self._take(generator.recommender, known, choice, judge, choice, other)
            return Training(), ()
        seed = settings.seed + windows
        last = lists_of(generator.recommender, known, held, longest, exclude_seen, seed)
        (choice, judge, ndcg), (choice_of_uniform, other, uniform_ndcg) = search_both(
            settings, lists if windows else None, last, held, validate, label
        )
        self._take(generator.recommender, known, choice, judge, choice_of_uniform, other)
        blend, blended, blend_ndcg = blended_with(generator, settings.blend, features, validate)
        self.ablations["blend"] = blend
        self.decided = Decided(
            generator,
            Arm(choice, lists[0].and_then(last[0])),
            Arm(choice_of_uniform, lists[1].and_then(last[1])),
            blended,
            tuple(blend.weights),
        )
        training = Training(
            epochs=choice.epochs,
            best_epoch=choice.epochs,
            validation_ndcg=ndcg,
            ablations={"uniform": uniform_ndcg, "generator": generator.validation_ndcg, "blend": blend_ndcg},
        )
        others = ", ".join(f"{name} {shown(found)}" for name, found in training.ablations.items())
        log.info("%s: %s; on validation %.4f, beside it %s", label, choice, ndcg, others)
        return training, (choice, choice_of_uniform)

    def _fit_again(self, decided: Decided, user_items: csr_array, checkpoint: Path | None) -> None:
        """Step 3 of the protocol above."""
        features = self.features
        assert features is not None
        both = replace(
            features, train=user_items, train_times=features.train_validation_times, validation=None
        )
        generator = decided.generator.again(both, beside(checkpoint, "g"))
        arms, epochs = (decided.proposals, decided.uniform), decided.proposals.choice.epochs
        self.training = Training(epochs=epochs, best_epoch=epochs)

        def judge() -> None:
            from recgan.recommenders.two_stage.search import fit_as

            known = Statistics.fit(user_items, times_known(both), features.items)
            judges = [fit_as(arm.choice, arm.lists, self.settings.seed)[0] for arm in arms]
            self._generator = decided.generator
            self._take(generator, known, arms[0].choice, judges[0], arms[1].choice, judges[1])
            others = [one.again(both, None) for one in decided.blended]
            self.ablations["blend"] = Blend([generator, *others], decided.weights)

        by_first(judge)

    def _take(
        self,
        generator: Recommender,
        known: Statistics,
        choice: Choice,
        judge: Discriminator,
        choice_of_uniform: Choice,
        other: Discriminator,
    ) -> None:
        assert self.features is not None
        exclude_seen = not self.features.summary["repeat_purchases"]
        self.choice = asdict(choice)
        self.served = Judged(generator, known, judge, choice.proposals, exclude_seen)
        self.ablations = {
            "uniform": replace(self.served, discriminator=other, proposals=choice_of_uniform.proposals),
            "generator": generator,
        }

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Score all items for each history (rows, items); see `Judged.score`."""
        return self.served.score(user_items, ages)

    def best(self, user_items: csr_array, ages: csr_array | None, n: int) -> Best:
        """Return the best of what is proposed to one history; see `Judged.best`."""
        return self.served.best(user_items, ages, n)

    def reasons(self, user_items: csr_array, ages: csr_array | None, position: int) -> list[Reason]:
        """Return what speaks for an item of a history (1, items), as the explorer asks; see `reasons`."""
        return reasons(self.served, user_items, ages, position)

    def save(self, folder: Path) -> None:
        """Write the discriminator, the generator's folder and the ablations' into an existing folder."""
        served, ablations = self.served, folder / layout.ABLATIONS
        tensors = named("discriminator", served.discriminator) | named("known", served.known)
        write_trained(
            folder,
            self.name,
            self.settings,
            self.training,
            save(tensors),
            choice=self.choice,
            exclude_seen=served.exclude_seen,
        )
        (folder / GENERATOR).mkdir()
        self._generator.save(served.generator, folder / GENERATOR)
        ablations.mkdir()
        write_ablations(ablations, self.ablations, () if self.decided is None else self.decided.blended)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote but the ablations; imports torch only if the generator does.

        Raises:
            RecganError: a file is missing, damaged, or its sizes disagree.
        """
        with reading(folder) as (about, content, training):
            recommender = cls(TwoStageParams.model_validate(about["settings"]), None)
            recommender.training, recommender.choice = training, about["choice"]
            arrays = load(content)
            known = Statistics.from_arrays(part_of("known", arrays))
            judge = Discriminator.from_arrays(part_of("discriminator", arrays))
            if len(judge.linear) != len(FEATURES):
                raise ValueError(f"{len(judge.linear)} features, but this version has {len(FEATURES)}")
            generator, proposals = load_recommender(folder / GENERATOR), int(about["choice"]["proposals"])
            recommender.served = Judged(generator, known, judge, proposals, bool(about["exclude_seen"]))
        return recommender


def load_ablations(folder: Path) -> dict[str, Any]:
    """Read what stands beside a recommender for comparison alone: name → recommender.

    Raises:
        RecganError: a file is missing or damaged.
    """
    served = TwoStage.load(folder).served
    with reading(folder):
        found = read_ablations(folder / layout.ABLATIONS, served)
        return {name: as_noted(one, folder) for name, one in found.items()}
