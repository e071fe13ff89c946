"""Losses on embeddings: which way is down, whose face is looked at, and through which alignment."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from cloak import eot, geometry, io_image, networks, objectives
from cloak.settings import Settings
from cloak.surrogates import Surrogate

SIZE = 16
CPU = torch.device("cpu")


class Flat(nn.Module):
    """A small network without symmetry, so that a flip, a shift or another person all count."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("weight", torch.randn((8, 3 * SIZE * SIZE), generator=generator))

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        return torch.tanh((chips - 0.5).flatten(1) @ self.weight.to(chips).T / 10)


def stub(seed=0):
    return Surrogate(f"stub{seed}", Flat(seed), SIZE, np.zeros((5, 2)))


def pictures(count=3, seed=0):
    coarse = torch.rand((count, 3, 7, 7), generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, 40, mode="bicubic").clamp(0, 1)


def places(count=3):
    """Each row looks at another part of its picture."""
    return torch.stack([torch.tensor([[1.0, 0.1, 4 + 3 * i], [-0.1, 1.0, 9 - 2 * i]], dtype=torch.float64)
                        for i in range(count)])


@pytest.fixture
def still(monkeypatch):
    """No jitter and no view: what is left of the loss has a known answer."""
    for name in ("JITTER_SHIFT", "JITTER_DEGREES", "JITTER_SCALE"):
        monkeypatch.setattr(objectives, name, 0.0)

    def identity(count, size_px, *, generator, device):
        nothing = torch.zeros(count, 1, 1, 1)
        same = torch.eye(size_px).expand(count, -1, -1)
        return eot.Views(same, same, 0.0, (0, 0), nothing + 1, nothing, torch.zeros(count, 3, size_px, size_px))

    monkeypatch.setattr(eot, "draw", identity)


def test_an_anchor_is_a_unit_vector_near_the_face_and_its_mirror_image():
    surrogate, pixels, matrices = stub(), pictures(), places()
    anchors = objectives.anchor(surrogate, pixels, matrices)
    assert anchors.shape == (3, 8)
    assert_close(anchors.norm(dim=1), torch.ones(3))
    chips = geometry.warp(pixels, matrices, SIZE)
    plain, mirrored = surrogate.embed(chips), surrogate.embed(chips.flip(3))
    centre = F.normalize(plain + mirrored, dim=1)
    # nearer to each of the two than they are to each other
    between = (plain * mirrored).sum(1)
    assert ((anchors * plain).sum(1) > between).all() and ((anchors * mirrored).sum(1) > between).all()
    assert ((anchors * centre).sum(1) > 0.8).all()


def test_similarity_is_one_for_the_embedding_itself_and_its_cosine_for_another():
    surrogate, pixels, matrices = stub(), pictures(), places()
    embedded = surrogate.embed(geometry.warp(pixels, matrices, SIZE))
    assert_close(objectives.similarity(surrogate, pixels, matrices, embedded), torch.ones(3))
    others = embedded.roll(1, 0)
    expected = F.cosine_similarity(embedded, others)
    assert_close(objectives.similarity(surrogate, pixels, matrices, others), expected)
    assert_close(objectives.similarity(surrogate, pixels, matrices, -embedded), -torch.ones(3))


def test_the_loss_is_the_mean_similarity_over_the_surrogates(still):
    nets = [stub(0), stub(1)]
    pixels, rows, matrices = pictures(), torch.arange(3), [places(), places().flip(0)]
    anchors = [s.embed(geometry.warp(pictures(seed=5), m, SIZE)) for s, m in zip(nets, matrices)]
    loss = objectives.away_from(anchors, nets, matrices, torch.Generator())
    each = [objectives.similarity(s, pixels, m, a) for s, m, a in zip(nets, matrices, anchors)]
    assert_close(loss(pixels, rows), (each[0] + each[1]) / 2)
    assert not torch.allclose(each[0], each[1])


def test_the_rows_choose_the_anchor_and_the_place_of_each_picture(still):
    """After finished pictures have left, the third row of the batch is another face than the third of the photo."""
    surrogate, pixels, matrices = stub(), pictures(4), places(4)
    anchors = objectives.anchor(surrogate, pictures(4, seed=9), matrices)
    loss = objectives.away_from([anchors], [surrogate], [matrices], torch.Generator())
    whole = loss(pixels, torch.arange(4))
    left = torch.tensor([3, 1])
    assert_close(loss(pixels[left], left), whole[left])
    assert not torch.allclose(loss(pixels[left], torch.tensor([0, 1])), whole[left])


def test_each_call_looks_another_way_and_a_seed_decides_how():
    surrogate, pixels, matrices = stub(), pictures(), places()
    anchors = objectives.anchor(surrogate, pixels, matrices)

    def three_calls(seed):
        loss = objectives.away_from([anchors], [surrogate], [matrices], torch.Generator().manual_seed(seed))
        return torch.stack([loss(pixels, torch.arange(3)) for _ in range(3)])

    torch.manual_seed(1)
    first = three_calls(0)
    torch.manual_seed(2)
    assert torch.equal(first, three_calls(0))
    assert not torch.equal(first, three_calls(1))
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[1], first[2])


def test_the_gradient_stays_where_the_alignment_looks():
    surrogate, pixels = stub(), pictures(1).requires_grad_(True)
    corner = torch.tensor([[[0.8, 0.0, 2.0], [0.0, 0.8, 3.0]]], dtype=torch.float64)  # chip -> about (2..14, 3..15)
    anchors = objectives.anchor(surrogate, pictures(1, seed=3), corner)
    loss = objectives.away_from([anchors], [surrogate], [corner], torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(sum(loss(pixels, torch.tensor([0])).sum() for _ in range(20)), pixels)
    assert torch.isfinite(gradient).all()
    assert (gradient[0, :, 3:15, 2:14] != 0).all()
    assert (gradient[0, :, 22:, :] == 0).all() and (gradient[0, :, :, 22:] == 0).all()


def test_following_the_loss_takes_a_real_face_away_from_its_person(portrait):
    """Down is away: with the sign turned round the similarity would rise."""
    nets = networks.load(Settings(device="cpu"))
    surrogate = nets.surrogates[0]
    photo = io_image.read_photo(portrait, max_pixels=10**7)
    (faces,) = nets.find([photo.pixels])
    grid = networks.grids.cut(photo.pixels, faces.boxes[0])
    matrices = networks.to_tensor([networks.chip_to_grid(surrogate, grid, faces.landmarks[0])], CPU)
    pixels, rows = networks.stack([grid.pixels], CPU), torch.tensor([0])
    with torch.no_grad():
        anchors = objectives.anchor(surrogate, pixels, matrices)
        before = objectives.similarity(surrogate, pixels, matrices, anchors)
    assert before > 0.97
    loss = objectives.away_from([anchors], [surrogate], [matrices], torch.Generator().manual_seed(0))
    for _ in range(5):
        pixels.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(pixels, rows).sum(), pixels)
        pixels = (pixels.detach() - 3 * gradient / gradient.norm()).clamp(0, 1)
    with torch.no_grad():
        after = objectives.similarity(surrogate, pixels, matrices, anchors)
    assert after < before - 0.05
