"""Exact values and their estimate: axioms, views, orders."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from secureflow.engines.contribution.gtg import Sampling, round_scores
from secureflow.engines.contribution.orders import order
from secureflow.engines.contribution.shapley import Floats, coalitions, shapley
from secureflow.engines.contribution.tally import Tally, student
from secureflow.engines.contribution.views import others

SEED = bytes(range(32))
EXACT = Sampling(SEED, 64, 0.0, 0.0)


def random_game(players: int, seed: int = 1) -> Callable[[int], Floats]:
    values = np.random.default_rng(seed).normal(size=1 << players)
    return lambda mask: np.full(players, values[mask])


def by_permutations(players: int, value: Callable[[int], Floats]) -> Floats:
    """The definition, another way: the mean gain over every order."""
    gains = np.zeros(players)
    every = list(itertools.permutations(range(players)))
    for joining in every:
        mask = 0
        for player in joining:
            gains[player] += (value(mask | 1 << player) - value(mask))[player]
            mask |= 1 << player
    return gains / len(every)


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_values_are_the_mean_gain_over_every_order(players: int) -> None:
    game = random_game(players)
    np.testing.assert_allclose(shapley(players, game), by_permutations(players, game))


def test_values_add_up_and_a_dummy_has_none() -> None:
    base = random_game(3)
    scores = shapley(4, lambda mask: np.full(4, base(mask & 7)[0]))
    assert scores[3] == pytest.approx(0)
    assert scores.sum() == pytest.approx(base(7)[0] - base(0)[0])


def test_a_game_of_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="17 players"):
        shapley(17, random_game(1))


def test_a_round_of_few_parties_is_exact() -> None:
    game = random_game(4)
    found = round_scores(4, 1, game, Sampling(SEED, 8, 0.0, 0.0))
    np.testing.assert_allclose(found.scores, shapley(4, game))
    assert not found.variances.any()
    assert found.evaluations == 2 + coalitions(4)


def test_sampled_orders_come_near_the_exact_values() -> None:
    game = random_game(8)
    exact = shapley(8, game)
    found = round_scores(8, 1, game, Sampling(SEED, 32, 0.0, 0.0))
    errors = np.abs(found.scores - exact) / np.sqrt(found.variances)
    assert found.evaluations < 1 << 8
    assert (errors < 4).all()
    assert found.scores.sum() == pytest.approx(exact.sum())


def test_the_same_seed_gives_the_same_scores_and_another_one_does_not() -> None:
    game = random_game(8)
    first, again, other = (
        round_scores(8, 3, game, Sampling(seed, 4, 0.0, 0.0)).scores
        for seed in (SEED, SEED, bytes(32))
    )
    assert first.tobytes() == again.tobytes()
    assert (first != other).any()


def test_every_party_has_every_place_once_in_as_many_orders() -> None:
    drawn = [order(SEED, 5, index) for index in range(10)]
    for block in (drawn[:5], drawn[5:]):
        for place in range(5):
            assert sorted(one[place] for one in block) == [0, 1, 2, 3, 4]
    assert drawn[0] == (3, 0, 4, 2, 1)  # whoever recomputes scores draws the same


def test_orders_are_uniform() -> None:
    drawn = [order(number.to_bytes(32, "big"), 3, 0) for number in range(600)]
    counts = [drawn.count(one) for one in itertools.permutations(range(3))]
    assert sum((count - 100) ** 2 / 100 for count in counts) < 20.5  # χ², 5 degrees, 0.1 %


def test_a_round_that_changes_nothing_costs_two_models() -> None:
    found = round_scores(
        8, 1, lambda mask: np.full(8, 1e-4 * mask.bit_count()), Sampling(SEED, 4, 0.0, 0.01)
    )
    assert found.evaluations == 2
    assert not found.scores.any()


def test_who_joins_when_nothing_is_missing_costs_nothing() -> None:
    def value(mask: int) -> Floats:
        return np.full(8, min(mask.bit_count(), 2) / 2)

    cut = round_scores(8, 1, value, Sampling(SEED, 4, 0.01, 0.0))
    whole = round_scores(8, 1, value, Sampling(SEED, 4, 0.0, 0.0))
    np.testing.assert_allclose(cut.scores, whole.scores)
    assert cut.evaluations < whole.evaluations


@pytest.mark.parametrize("sampling", [EXACT, Sampling(SEED, 3, 0.3, 0.2)])
def test_no_rows_of_ones_own_change_ones_score(sampling: Sampling) -> None:
    """Whatever a party brings: truncation, too, looks at the others' rows alone."""
    players, rng = 6, np.random.default_rng(3)
    on_rows = rng.normal(size=(1 << players, players))
    honest = round_scores(players, 2, lambda mask: others(on_rows[mask]), sampling)
    for liar in range(players):
        lied = on_rows.copy()
        lied[:, liar] = [100.0 * (mask >> liar & 1) for mask in range(1 << players)]
        found = round_scores(players, 2, lambda mask, lied=lied: others(lied[mask]), sampling)
        assert found.scores[liar].tobytes() == honest.scores[liar].tobytes()
        assert (np.delete(found.scores, liar) != np.delete(honest.scores, liar)).any()


def test_views_need_others() -> None:
    np.testing.assert_array_equal(others([1.0, 2.0, 6.0]), [4.0, 3.5, 1.5])
    with pytest.raises(ValueError, match="no others"):
        others([1.0])


def test_a_tally_rounds_clips_and_adds_up() -> None:
    tally = Tally(["a", "b", "c", "d"], 2)
    game = {1: [0.3, -0.2, 0.1], 2: [0.1, 0.05, 0.2]}
    for number, scores in game.items():
        one = round_scores(3, number, _additive(scores), EXACT)
        tally.add(number, ["a", "b", "c"], one)
    found = tally.scores()
    assert {name: one.score for name, one in found.items()} == {
        "a": 0.4, "b": -0.15, "c": 0.3, "d": 0.0,
    }  # fmt: skip
    assert {name: one.share for name, one in found.items()} == {
        "a": 0.5714, "b": 0.0, "c": 0.4286, "d": 0.0,
    }  # fmt: skip
    assert found["a"].low == found["a"].high == 0.4
    assert tally.rounds == [1, 2]


def test_shares_of_nobody_are_none() -> None:
    tally = Tally(["a", "b", "c"], 2)
    tally.add(1, ["a", "b", "c"], round_scores(3, 1, _additive([-1.0, -2.0, 0.0]), EXACT))
    assert {one.share for one in tally.scores().values()} == {0.0}


def test_intervals_hold_the_exact_score() -> None:
    """95 in 100 of them, at least: rotated orders vary less than drawn ones."""
    hits = 0
    for seed in range(60):
        tally, exact = Tally([str(one) for one in range(6)], 3), np.zeros(6)
        for number in range(1, 5):
            game = random_game(6, 100 * seed + number)
            sampling = Sampling(seed.to_bytes(32, "big"), 3, 0.0, 0.0)
            tally.add(number, tally.parties, round_scores(6, number, game, sampling))
            exact += shapley(6, game)
        found = list(tally.scores().values())
        hits += sum(one.low <= value <= one.high for one, value in zip(found, exact, strict=True))
    assert hits >= 0.93 * 360


def test_students_points() -> None:
    assert (student(1), student(30), student(31), student(0)) == (12.706, 2.042, 1.96, 1.96)


def _additive(scores: list[float]) -> Callable[[int], Floats]:
    def value(mask: int) -> Floats:
        return np.full(
            len(scores), sum(one for place, one in enumerate(scores) if mask >> place & 1)
        )

    return value


def test_a_round_that_changes_nothing_in_ones_view_scores_oneself_nothing() -> None:
    def value(mask: int) -> Floats:
        own = np.array([0.0, 1.0, 1.0, 1.0])
        return own * mask.bit_count() + np.eye(4)[0] * 0.001 * (mask & 1)

    for orders in (5, 2):  # exact, sampled
        found = round_scores(4, 1, value, Sampling(SEED, orders, 0.0, 0.01))
        assert list(found.scores) == [0.0, 1.0, 1.0, 1.0]
