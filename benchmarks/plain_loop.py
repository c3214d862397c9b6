"""Train CFGAN or RC-GAN on the published ML100K split: a plain PyTorch loop against recgan, same settings.

    python benchmarks/plain_loop.py cfgan|rcgan --data FOLDER [--epochs N] [--seeds 1] [--threads 1]

FOLDER holds ML100K.train and ML100K.test (`user item rating`) from github.com/Bigdasgit/CFGAN. The settings
are those of examples/, nothing is chosen on the way. CFGAN's are the paper's for this data (item-based, zero
reconstruction and partial masking, 1,000 passes of the generator = 250 epochs of 4); the replication of 30
runs reached NDCG@20 .4207 ± .0048, P@5 .4244 ± .0064, R@20 .3400 ± .0050. RC-GAN trains 55 epochs, as long as
validation chooses there; what is scored is its generator alone.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from recgan.recommenders.cfgan.recommender import CFGAN
from recgan.recommenders.cfgan.settings import CFGANParams
from recgan.recommenders.protocol import Recommender, recommend
from recgan.recommenders.ranking import hits, ndcg
from recgan.recommenders.rcgan.recommender import RCGAN
from recgan.recommenders.rcgan.settings import RCGANParams
from recgan.recommenders.train import TrainParams
from recgan.settings import load_with_base

USERS, ITEMS = 943, 1653
CPU = torch.device("cpu")

EXAMPLES = Path(__file__).parents[1] / "examples"
EPOCHS = {"cfgan": 250, "rcgan": 55}


class FixedScores:
    """What the plain loop's generator wrote, as a recommender."""

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.scores = scores

    def score(self, user_items: csr_array, ages: csr_array | None = None) -> NDArray[np.float32]:
        """Return the fitted users' scores; the rows must be theirs, in their order."""
        return self.scores[: user_items.shape[0]]


def plain(settings: TrainParams, train: csr_array) -> FixedScores:
    """Train as one writes it down."""
    if isinstance(settings, CFGANParams):
        return plain_cfgan(settings, train)
    assert isinstance(settings, RCGANParams)
    return plain_rcgan(settings, train)


def plain_cfgan(settings: CFGANParams, train: csr_array, device: torch.device = CPU) -> FixedScores:
    """Train CFGAN in plain PyTorch: dense rows, nn.Linear, Adam with its defaults."""
    halves = partial(torch.autocast, device.type, torch.bfloat16, settings.trainer.precision == "bf16-mixed")
    torch.manual_seed(settings.seed)
    rows = torch.as_tensor(train.toarray().T.copy()).to(device)  # (items, users)
    n_rows, width = rows.shape
    g, d = settings.generator, settings.discriminator
    generator = nn.Sequential(nn.Linear(width, g.hidden[0]), nn.Sigmoid(), nn.Linear(g.hidden[0], width))
    discriminator = nn.Sequential(nn.Linear(2 * width, d.hidden[0]), nn.Sigmoid(), nn.Linear(d.hidden[0], 1))
    for network in (generator, discriminator):
        for layer in (network[0], network[2]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.uniform_(layer.bias, -0.01, 0.01)
        network.to(device)
    g_adam = torch.optim.Adam(generator.parameters(), lr=g.learning_rate, weight_decay=g.l2)
    d_adam = torch.optim.Adam(discriminator.parameters(), lr=d.learning_rate, weight_decay=d.l2)
    bce = nn.BCEWithLogitsLoss()
    for _ in range(settings.epochs):
        drawn = torch.rand(n_rows, width, device=device) < settings.partial_masking_share
        visible = torch.where(rows > 0, 1.0, drawn.float())
        zeros = (torch.rand(n_rows, width, device=device) < settings.zero_reconstruction_share).float() * (
            rows == 0
        )
        for _ in range(d.steps):
            for batch in torch.randperm(n_rows, device=device).split(d.batch_size):
                condition = rows[batch]
                with torch.no_grad(), halves():
                    fake = generator(condition) * visible[batch]
                with halves():
                    real_logits = discriminator(torch.cat([condition, condition], dim=1))
                    fake_logits = discriminator(torch.cat([condition, fake], dim=1))
                    loss = bce(real_logits, torch.ones_like(real_logits)) + bce(
                        fake_logits, torch.zeros_like(fake_logits)
                    )
                d_adam.zero_grad()
                loss.backward()
                d_adam.step()
        for _ in range(g.steps):
            for batch in torch.randperm(n_rows, device=device).split(g.batch_size):
                condition = rows[batch]
                with halves():
                    written = generator(condition)
                    logits = discriminator(torch.cat([condition, written * visible[batch]], dim=1))
                    reconstruction = (written.square() * zeros[batch]).sum(dim=1).mean()
                    judged = bce(logits, torch.ones_like(logits))
                loss = judged + settings.zero_reconstruction * reconstruction
                g_adam.zero_grad()
                loss.backward()
                g_adam.step()
    with torch.no_grad():
        return FixedScores(generator(rows).T.contiguous().cpu().numpy())


def plain_rcgan(settings: RCGANParams, train: csr_array, device: torch.device = CPU) -> FixedScores:
    """Train RC-GAN in plain PyTorch: dense rows, nn.Linear, AdamW with its defaults."""
    halves = partial(torch.autocast, device.type, torch.bfloat16, settings.trainer.precision == "bf16-mixed")
    torch.manual_seed(settings.seed)
    users = torch.as_tensor(train.toarray()).to(device)  # (users, items)
    items = users.T.contiguous()
    base = settings.unobserved_weight
    user_weights, item_weights = base + (1 - base) * users, base + (1 - base) * items
    share = (users > 0).sum(dim=1, keepdim=True).clamp(min=1) ** -settings.user_weight_power
    user_weights *= share / share.mean()
    g, d = settings.generator, settings.critic

    def network(width: int, hidden: int, dropout: float) -> nn.Sequential:
        layers = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, width)
        )
        for layer in (layers[1], layers[3]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.uniform_(layer.bias, -0.01, 0.01)
        return layers.to(device)

    def read(rows: Tensor) -> Tensor:
        return rows / rows.norm(dim=1, keepdim=True).clamp(min=1)

    generator = network(users.shape[1], g.hidden[0], g.dropout)
    critic = network(users.shape[0], d.hidden[0], d.dropout)
    nn.init.zeros_(critic[3].weight)
    nn.init.zeros_(critic[3].bias)
    g_adam = torch.optim.AdamW(generator.parameters(), lr=g.learning_rate, weight_decay=g.weight_decay)
    d_adam = torch.optim.AdamW(critic.parameters(), lr=d.learning_rate, weight_decay=d.weight_decay)
    for _ in range(settings.epochs):
        with torch.no_grad(), halves():
            scores = generator(read(users)).T.contiguous()  # (items, users)
        for batch in torch.randperm(len(items), device=device).split(d.batch_size):
            with halves():
                residual = critic(read(items[batch]))
            weighted = item_weights[batch] * residual
            fake, real = (weighted * scores[batch]).sum(dim=1), (weighted * items[batch]).sum(dim=1)
            penalty = (weighted * residual).sum(dim=1)
            loss = (fake - real + settings.gradient_penalty / 2 * penalty).mean()
            d_adam.zero_grad()
            loss.backward()
            d_adam.step()
        with torch.no_grad(), halves():
            residuals = critic.eval()(read(items)).T.contiguous()  # (users, items)
            critic.train()
        for batch in torch.randperm(len(users), device=device).split(g.batch_size):
            with halves():
                written, weights = generator(read(users[batch])), user_weights[batch]
            squares = (weights * (written - users[batch]).square()).sum(dim=1) / 2
            judged = (weights * residuals[batch] * written).sum(dim=1)
            loss = (squares - settings.adversarial * judged).mean()
            g_adam.zero_grad()
            loss.backward()
            g_adam.step()
    with torch.no_grad():
        return FixedScores(generator.eval()(read(users)).cpu().numpy())


def ours(settings: TrainParams, train: csr_array) -> Recommender:
    """Train with recgan."""
    if isinstance(settings, CFGANParams):
        return CFGAN(settings).fit(train)
    assert isinstance(settings, RCGANParams)
    return RCGAN(settings).fit(train)


def read(path: Path) -> csr_array:
    table = np.loadtxt(path)
    users, items = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    return csr_array((np.ones(len(table), dtype=np.float32), (users, items)), shape=(USERS, ITEMS))


def measure(recommender: Recommender, train: csr_array, test: csr_array) -> NDArray[np.float64]:
    """Return NDCG@20, P@5 and R@20 over the users with something held out."""
    ranking, _ = recommend(recommender, train, 20, block=USERS)
    sizes = np.diff(test.indptr)
    found, asked = hits(ranking, test), sizes > 0
    recall = found[asked].sum(axis=1) / sizes[asked]
    return np.array([ndcg(ranking, test, 20)[asked].mean(), found[asked, :5].mean(), recall.mean()])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("gan", choices=list(EPOCHS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["plain", "recgan"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    epochs = arguments.epochs or EPOCHS[arguments.gan]
    settings = load_with_base(EXAMPLES / f"{arguments.gan}-ml100k.yaml").candidates[arguments.gan]
    assert isinstance(settings, (CFGANParams, RCGANParams))
    on_cpu = settings.trainer.model_copy(update={"accelerator": "cpu"})
    given: dict[str, object] = {"trainer": on_cpu, "epochs": epochs}
    if arguments.gan == "rcgan":
        given["critic_shares"] = (0,)
    settings = settings.model_copy(update=given)
    train, test = read(arguments.data / "ML100K.train"), read(arguments.data / "ML100K.test")
    ours(settings.model_copy(update={"epochs": 1}), train)  # imports and warm caches are no one's fault
    contestants = {"plain": plain, "recgan": ours}
    if arguments.only:
        contestants = {arguments.only: contestants[arguments.only]}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in contestants}
    figures: dict[str, list[NDArray[np.float64]]] = {name: [] for name in contestants}
    print(f"{epochs} epochs, {arguments.threads} thread(s), torch {torch.__version__}")
    for seed in range(arguments.seeds):
        seeded = settings.model_copy(update={"seed": seed})
        for name, fit in contestants.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            recommender = fit(seeded, train)
            seconds[name].append(time.perf_counter() - start)
            cpu_seconds[name].append(time.process_time() - cpu_start)
            figures[name].append(measure(recommender, train, test))
            n20, p5, r20 = figures[name][-1]
            print(
                f"{name:7} seed {seed}: N@20 {n20:.4f}  P@5 {p5:.4f}  R@20 {r20:.4f}  "
                f"{seconds[name][-1]:6.1f} s, {cpu_seconds[name][-1]:6.1f} s of CPU",
                flush=True,
            )
    if len(contestants) == 2:
        for label, taken in (("", seconds), (" in CPU time", cpu_seconds)):
            ratio = np.array(taken["plain"]) / np.array(taken["recgan"])
            print(f"recgan is {np.median(ratio):.2f} times as fast{label} (median of {len(ratio)})")
    for name, rows in figures.items():
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        shown = "  ".join(
            f"{metric} {m:.4f} ± {s:.4f}"
            for metric, m, s in zip(("N@20", "P@5", "R@20"), mean, spread, strict=True)
        )
        print(f"{name:7} over {len(rows)} seed(s): {shown}")


if __name__ == "__main__":
    main()
