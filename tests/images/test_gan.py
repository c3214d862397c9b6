"""Image GANs: the laws of every GAN of the project, what they learn, and what a saved one writes."""

import numpy as np
import pytest
import torch

from recgan.core.errors import RecganError
from recgan.images.game import ImageGame, to_unit
from recgan.images.gan import ImageGAN, even_labels, to_bytes
from recgan.images.networks import Dropout
from tests.adversarial.laws import (
    assert_a_turn_leaves_the_opponent_untouched,
    assert_it_teaches_the_generator_alone,
)
from tests.images.data import CLASSES, halves, train_settings

NETWORKS = [(network, conditional) for network in ("dense", "dcgan") for conditional in (True, False)]
LOSSES = ["non_saturating", "saturating", "least_squares"]
"""Those that see more than a difference of logits, from which the discriminator's last bias falls out."""
CPU = torch.device("cpu")


def game(n=64, **changes):
    return ImageGame(train_settings(**changes), halves(n), len(CLASSES), CPU)


def trained(n=160, look=None, checkpoint=None, **changes):
    return ImageGAN(train_settings(**changes), 8, CLASSES).fit(halves(n), look, checkpoint)


@pytest.mark.parametrize(("network", "conditional"), NETWORKS)
def test_the_adversarial_loss_reaches_every_generator_weight_and_no_discriminator_weight(
    network, conditional
):
    played = game(network=network, conditional=conditional)
    real, labels = next(played.batches("generator"))
    assert_it_teaches_the_generator_alone(
        played.generator, played.discriminator, lambda: played.generator_loss(real, labels)
    )


@pytest.mark.parametrize("network", ["dense", "dcgan"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_turn_leaves_the_opponent_untouched(network, loss):
    played = game(network=network, loss=loss)
    played.begin_epoch(0)
    assert_a_turn_leaves_the_opponent_untouched(played)


@pytest.mark.parametrize(
    "constraints", [{"gradient_penalty": 10}, {"r1": 1, "r2": 1}, {"spectral_norm": True}]
)
@pytest.mark.parametrize("network", ["dense", "dcgan"])
def test_every_constraint_bounds_a_discriminator_of_images(network, constraints):
    gan = trained(64, network=network, loss="wasserstein", constraints=constraints, epochs=1)
    assert np.isfinite([value for row in gan.curves for value in row.values() if value is not None]).all()


def test_a_penalty_is_that_of_the_discriminators_own_slope():
    played = game(network="dense", constraints={"r1": 2}, discriminator={"dropout": 0})
    real, labels = next(played.batches("generator"))
    (penalty,) = played._penalties(real, real, labels)
    at = real.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(played.discriminator(at, labels).sum(), at)
    assert penalty.item() == pytest.approx(slopes.square().sum(dim=1).mean().item(), rel=1e-5)


@pytest.mark.parametrize(("network", "side"), [("dense", 8), ("dense", 9), ("dcgan", 8), ("dcgan", 28)])
def test_networks_are_sized_to_their_images(network, side):
    images = halves(32, side=side)
    played = ImageGame(train_settings(network=network), images, len(CLASSES), CPU)
    real, labels = next(played.batches("generator"))
    assert played.generator(played._noise(16), labels).shape == (16, side * side)
    assert played.discriminator(real, labels).shape == (16,)


def test_a_dcgan_refuses_a_side_that_it_cannot_double_twice():
    with pytest.raises(RecganError, match="multiple of 4, not 9; set network"):
        ImageGame(train_settings(), halves(32, side=9), len(CLASSES), CPU)


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(RecganError, match=r"8 training images are fewer than train\.batch_size 16"):
        game(8)


def test_the_condition_changes_what_both_players_say():
    played = game()
    noise = played._noise(16)
    zero, one = torch.zeros(16, dtype=torch.long), torch.ones(16, dtype=torch.long)
    assert not torch.equal(played.generator(noise, zero), played.generator(noise, one))
    real, _ = next(played.batches("generator"))
    assert not torch.equal(played.discriminator(real, zero), played.discriminator(real, one))


def test_a_pass_shows_every_image_once_with_its_class():
    images = halves(64)
    played = game(64)
    seen = [(rows, labels) for rows, labels in played.batches("generator")]
    rows = torch.cat([rows for rows, _ in seen])
    labels = torch.cat([labels for _, labels in seen])
    assert len(rows) == 64
    shown = {(to_bytes(row).numpy().tobytes(), int(label)) for row, label in zip(rows, labels, strict=True)}
    assert shown == {
        (image.tobytes(), int(label)) for image, label in zip(images.pixels, images.labels, strict=True)
    }


def test_bytes_there_and_back():
    everything = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_unit(everything)), everything)


def test_dropout_draws_from_the_game_and_rests_in_evaluation():
    layer = Dropout(0.5, torch.Generator().manual_seed(0))
    ones = torch.ones(10_000)
    state = torch.get_rng_state()
    dropped = layer(ones)
    assert torch.equal(torch.get_rng_state(), state)
    assert dropped.unique().tolist() == [0, 2]
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.eval()(ones), ones)


def test_equal_seeds_give_equal_images_and_others_do_not():
    labels = even_labels(12, 4)
    first, second, other = (
        trained(64, seed=seed, epochs=1).write(labels, torch.Generator().manual_seed(0)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_building_leaves_the_callers_random_state_alone():
    state = torch.get_rng_state()
    game()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("network", "width"), [("dense", 64), ("dcgan", None)])
def test_a_conditional_gan_learns_its_classes(network, width):
    """Bright halves are learned in seconds: each class is bright where it should be."""
    player = {"learning_rate": 2e-3} | (
        {} if width is None else {"learning_rate": 1e-3, "hidden": [width] * 2}
    )
    gan = trained(
        400, network=network, epochs=10, ema=0.9, generator=player, discriminator={**player, "dropout": 0.1}
    )
    labels = even_labels(100, 4)
    pixels = gan.write(labels, torch.Generator().manual_seed(3)).astype(float)
    left, top = pixels[:, :, :4].mean((1, 2)), pixels[:, :4].mean((1, 2))
    right, bottom = pixels[:, :, 4:].mean((1, 2)), pixels[:, 4:].mean((1, 2))
    sides = np.stack([left - right, right - left, top - bottom, bottom - top])
    assert (sides.argmax(axis=0) == labels).mean() > 0.9


def test_the_look_with_the_smallest_distance_is_kept():
    distances, seen = iter([5.0, 2.0, 3.0]), []

    def look(gan, epoch):
        seen.append((epoch, gan.write(even_labels(4, 4), torch.Generator().manual_seed(0))))
        return {"frechet": next(distances)}

    gan = trained(64, look, epochs=3)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert (gan.best_epoch, gan.frechet, gan.epochs) == (2, 2.0, 3)
    again = gan.write(even_labels(4, 4), torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(again, seen[1][1])


def test_a_killed_training_ends_as_the_uninterrupted_one(tmp_path):
    def look(dies_at=None):
        def measure(gan, epoch):
            if epoch == dies_at:
                raise MemoryError("killed")
            return {"frechet": float(gan.write(even_labels(4, 4), torch.Generator().manual_seed(0)).mean())}

        return measure

    settings = {"epochs": 4, "ema": 0.9, "discriminator": {"dropout": 0.3}}
    whole = trained(64, look(), **settings)
    checkpoint = tmp_path / "train.ckpt"
    with pytest.raises(MemoryError):
        trained(64, look(3), checkpoint, **settings)
    resumed = trained(64, look(), checkpoint, **settings)
    assert resumed.curves == whole.curves
    labels = even_labels(8, 4)
    first, second = (gan.write(labels, torch.Generator().manual_seed(1)) for gan in (whole, resumed))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("network", "conditional"), NETWORKS)
def test_a_saved_generator_writes_the_same(tmp_path, network, conditional):
    gan = trained(64, network=network, conditional=conditional, epochs=1, ema=0.5)
    gan.save(tmp_path)
    loaded = ImageGAN.load(tmp_path)
    labels = even_labels(9, 4)
    first, second = (one.write(labels, torch.Generator().manual_seed(5)) for one in (gan, loaded))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (9, 8, 8)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.json", "weights.safetensors"]


def test_nothing_asked_is_nothing_written():
    assert trained(64, epochs=1).write(even_labels(0, 4), torch.Generator()).shape == (0, 8, 8)


def test_a_damaged_folder_is_one_clear_error(tmp_path):
    gan = trained(64, epochs=1)
    gan.save(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(RecganError, match=r"no readable image generator .*run make images"):
        ImageGAN.load(tmp_path)
