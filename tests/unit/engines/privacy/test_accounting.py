"""The accountant against published figures, and its own algebra.

Published: TensorFlow Privacy `tutorials/README.md` (ε 1.19, 3.01, 7.10), Abadi et al. 2016 (1.26),
Opacus `examples/mnist_README.md` (1.16), TensorFlow Privacy's privacy statement test (13.376,
1.616; PLD 12.595, 1.199), dp-accounting's own PLD and tree tests.
"""

from __future__ import annotations

import math
import subprocess
import sys

import dp_accounting
import numpy as np
import pytest
from dp_accounting import rdp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secureflow.engines.privacy.accounting import (
    FILTER_ORDERS,
    ORDERS,
    Mechanism,
    calibrate,
    calibrate_charge,
    convert,
    curve,
    delta_at,
    epsilon,
    noise_share,
    parse_charge,
    renyi,
    sum_gap,
)
from secureflow.kit.errors import SecureFlowError

pytestmark = pytest.mark.slow


def dp_sgd(rows: int, batch: int, noise: float, epochs: int) -> tuple[Mechanism, ...]:
    return (Mechanism("gaussian", noise, batch / rows, epochs * rows // batch),)


MNIST_13 = dp_sgd(60_000, 256, 1.3, 15)
MNIST_11 = dp_sgd(60_000, 256, 1.1, 60)
MNIST_07 = dp_sgd(60_000, 256, 0.7, 45)
ABADI = (Mechanism("gaussian", 4.0, 0.01, 10_000),)
OPACUS = (Mechanism("gaussian", 1.0, 64 / 60_000, 14_070),)


@pytest.mark.parametrize("noise", [1e-3, 0.7, 4.0, 1e9])
def test_the_curve_that_has_a_formula_is_the_librarys(noise: float) -> None:
    library = rdp.RdpAccountant(list(ORDERS))
    library.compose(dp_accounting.GaussianDpEvent(noise))
    ours = curve(Mechanism("gaussian", noise))
    assert ours == pytest.approx(list(library._rdp), rel=1e-12)


@pytest.mark.parametrize(
    ("charge", "published", "to_digits"),
    [
        (MNIST_13, 1.19, 1.1921),
        (MNIST_11, 3.01, 3.0083),
        (MNIST_07, 7.10, 7.1013),
        (ABADI, 1.26, 1.2586),
    ],
)
def test_published_figures_under_the_older_conversion(
    charge: tuple[Mechanism, ...], published: float, to_digits: float
) -> None:
    got = epsilon(charge, 1e-5, "rdp-mironov17")
    assert round(got, 2) == published
    assert got == pytest.approx(to_digits, abs=6e-5)


def test_opacus_mnist() -> None:
    got = epsilon(OPACUS, 1e-5, "rdp-mironov17")
    assert got == pytest.approx(1.1663, abs=6e-5)
    assert abs(got - 1.16) < 0.01


@pytest.mark.parametrize(
    ("charge", "improved", "pld"),
    [
        (MNIST_13, 0.954, 0.865),
        (MNIST_11, 2.597, 2.382),
        (MNIST_07, 6.320, 5.639),
        (ABADI, 1.036, 0.947),
    ],
)
def test_the_same_under_the_newer_conversion_and_pld(
    charge: tuple[Mechanism, ...], improved: float, pld: float
) -> None:
    assert epsilon(charge, 1e-5, "rdp-cks20") == pytest.approx(improved, abs=1e-3)
    assert epsilon(charge, 1e-5, "pld") == pytest.approx(pld, abs=1e-3)


# N = 1e4, B = 64, z = 2 and microbatches of 2 (so z = 1 in effect), 5 epochs, δ = 1e-6.
ONCE_AN_EPOCH = (Mechanism("gaussian", 1.0, 1.0, 5),)
POISSON = (Mechanism("gaussian", 1.0, 64 / 10_000, 5 * math.ceil(10_000 / 64)),)


@pytest.mark.parametrize(
    ("charge", "rdp", "pld"), [(ONCE_AN_EPOCH, 13.3764, 12.5952), (POISSON, 1.6164, 1.1987)]
)
def test_tensorflow_privacys_statement(
    charge: tuple[Mechanism, ...], rdp: float, pld: float
) -> None:
    assert epsilon(charge, 1e-6, "rdp-cks20") == pytest.approx(rdp, abs=2e-3)
    assert epsilon(charge, 1e-6, "pld") == pytest.approx(pld, abs=2e-3)


def test_delta_of_three_gaussians() -> None:
    assert delta_at((Mechanism("gaussian", math.sqrt(3), 1.0, 3),), 1.0) == pytest.approx(
        0.126936, abs=2e-6
    )


@pytest.mark.parametrize(("noise", "published"), [(1.13, 19.74), (8.83, 2.04)])
def test_tree_aggregation_of_1600_steps(noise: float, published: float) -> None:
    got = epsilon((Mechanism("tree", noise, 1.0, 1600),), 1e-6)
    assert published * 0.85 < got < published


@pytest.mark.parametrize("charge", [MNIST_13, ABADI, OPACUS, ONCE_AN_EPOCH, POISSON])
def test_the_conversion_is_dp_accountings(charge: tuple[Mechanism, ...]) -> None:
    from dp_accounting.rdp import compute_epsilon

    for delta in (1e-9, 1e-5, 0.1):
        theirs = compute_epsilon(ORDERS, renyi(charge), delta)[0]
        assert convert(renyi(charge), delta, "rdp-cks20") == pytest.approx(theirs)
    zero = np.zeros(len(ORDERS))
    assert convert(zero, 1e-5, "rdp-cks20") == compute_epsilon(ORDERS, zero, 1e-5)[0] == 0


def test_pld_is_never_looser_and_sampling_never_costs() -> None:
    charge = (Mechanism("laplace", 2.0, 1.0, 3), Mechanism("gaussian", 3.0, 0.1, 20))
    assert epsilon(charge, 1e-6, "pld") <= epsilon(charge, 1e-6, "rdp-cks20")
    assert epsilon(charge, 1e-6, "rdp-cks20") <= epsilon(charge, 1e-6, "rdp-mironov17")
    full = epsilon((Mechanism("gaussian", 3.0, 1.0, 20),), 1e-6)
    assert epsilon((Mechanism("gaussian", 3.0, 0.1, 20),), 1e-6) < full
    assert epsilon((), 1e-6) == epsilon((), 1e-6, "pld") == 0


@given(
    st.floats(0.5, 8),
    st.sampled_from([1e-9, 1e-6, 1e-3]),
    st.sampled_from([1.0, 0.1, 0.01]),
    st.integers(1, 500),
)
@example(1.9147093798492265, 1e-6, 0.01, 479)  # 1.008, where 1.00697 would do
@settings(max_examples=3, deadline=None)
def test_calibration_meets_the_target_and_wastes_nothing(
    target: float, delta: float, sampling: float, count: int
) -> None:
    noise = calibrate(target, delta, sampling=sampling, count=count)
    assert epsilon((Mechanism("gaussian", noise, sampling, count),), delta) <= target
    if noise > 0.26:
        # Searched to 1e-4 and rounded up to 4 digits, which is 1e-3 just above a power of ten.
        less = (Mechanism("gaussian", noise * (1 - 1.1e-3), sampling, count),)
        assert epsilon(less, delta) > target


@pytest.mark.parametrize("target", [0.3, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("sampling", [1.0, pytest.param(0.01, marks=pytest.mark.full)])
def test_the_filter_costs_little_more(target: float, sampling: float) -> None:
    noise = calibrate(target, 1e-6, sampling=sampling, count=1000)
    charge = (Mechanism("gaussian", noise, sampling, 1000),)
    assert target * 0.99 < epsilon(charge, 1e-6) <= epsilon(charge, 1e-6, "rdp-filter")
    assert epsilon(charge, 1e-6, "rdp-filter") < 1.25 * target


def test_the_filter_is_the_best_of_fixed_orders_at_a_share_of_delta() -> None:
    from dp_accounting.rdp import compute_epsilon

    curve = renyi(ABADI)
    at = [int(np.flatnonzero(np.isclose(ORDERS, order))[0]) for order in FILTER_ORDERS]
    share = 1e-5 / len(FILTER_ORDERS)
    theirs = [compute_epsilon([ORDERS[i]], [curve[i]], share)[0] for i in at]
    assert convert(curve, 1e-5, "rdp-filter") == pytest.approx(min(theirs))


def test_an_impossible_target_is_refused() -> None:
    with pytest.raises(SecureFlowError) as refused:
        calibrate(1e-9, 1e-9, count=10_000_000)
    assert refused.value.code == "budget_impossible"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("noise", 0.0),
        ("noise", math.nan),
        ("noise", math.inf),
        ("sampling", 0.0),
        ("sampling", 1.1),
        ("sampling", math.nan),
        ("count", 0),
        ("count", 2.5),
        ("count", True),
        ("kind", "magic"),
    ],
)
def test_a_mechanism_out_of_range_is_refused_by_name(field: str, value: object) -> None:
    good = {"kind": "gaussian", "noise": 1.0, "sampling": 0.5, "count": 1}
    assert parse_charge([good])[0].as_json() == good
    with pytest.raises(SecureFlowError) as refused:
        parse_charge([good | {field: value}])
    assert refused.value.code == "invalid_mechanism"
    assert refused.value.details["field"] in {field, "charge"}


@pytest.mark.parametrize(
    "value",
    [None, {}, [1], [{}], [{"kind": "gaussian", "noise": "1", "sampling": 1.0, "count": 1}]],
)
def test_a_malformed_charge_is_refused(value: object) -> None:
    with pytest.raises(SecureFlowError) as refused:
        parse_charge(value)
    assert refused.value.code == "invalid_mechanism"


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, math.nan])
def test_delta_must_be_a_probability(delta: float) -> None:
    with pytest.raises(SecureFlowError):
        epsilon(ABADI, delta)


def test_shared_noise_covers_rounding_and_colluders() -> None:
    share = noise_share(noise=2.0, clip=1.0, dimension=100, step=0.01, honest=4)
    # Four honest shares add up to z · (Δ + √d · unit), in units of 0.01.
    assert math.sqrt(4) * share * 0.01 == pytest.approx(2.0 * (1.0 + 10 * 0.01))


def test_a_sum_of_discrete_gaussians_is_one_from_three_steps_on() -> None:
    assert sum_gap(3.0, 256) < 1e-35
    assert sum_gap(0.5, 2) > 0.01


@pytest.mark.parametrize("pure", [0.01, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("choices", [2, 3, 100])
def test_a_response_diverges_no_more_than_the_worst_pure_mechanism(
    pure: float, choices: int
) -> None:
    """The closed form for k choices; for two it is reached."""
    truth = math.exp(pure) / (math.exp(pure) + choices - 1)
    lie = math.exp(-pure) * truth
    with np.errstate(all="ignore"):  # at the highest orders; they are left out below
        moments = truth**ORDERS * lie ** (1 - ORDERS) + lie**ORDERS * truth ** (1 - ORDERS)
    exact = np.log(moments + (choices - 2) * lie) / (ORDERS - 1)
    bound = renyi((Mechanism("response", 1 / pure),))
    shown = np.isfinite(exact)
    assert (exact[shown] <= bound[shown] * (1 + 1e-9) + 1e-12).all()
    assert (bound <= pure).all()
    if choices == 2:
        np.testing.assert_allclose(bound[shown], exact[shown], rtol=1e-6, atol=1e-10)
    laplace = renyi((Mechanism("laplace", 1 / pure),))
    assert (laplace <= bound + 1e-12).all()


def test_a_tiny_response_is_bounded_where_the_closed_form_cannot_be_computed() -> None:
    bound = renyi((Mechanism("response", 1e6),))
    assert (bound > 0).all()
    np.testing.assert_allclose(bound, ORDERS * 1e-12 / 2)


@pytest.mark.parametrize("pure", [0.1, 1.0, 3.0])
def test_pld_of_one_response_is_its_closed_form(pure: float) -> None:
    """δ(ε) of binary response: (e^ε0 − e^ε) / (1 + e^ε0) below ε0, and 0 from there on."""
    charge = (Mechanism("response", 1 / pure),)
    at = pure / 2
    exact = (math.exp(pure) - math.exp(at)) / (1 + math.exp(pure))
    assert delta_at(charge, at) == pytest.approx(exact, rel=1e-3)
    assert delta_at(charge, pure * 1.001) == pytest.approx(0.0, abs=1e-12)
    assert epsilon((Mechanism("response", 1 / pure, 1.0, 3),), 1e-15, "pld") == pytest.approx(
        3 * pure, rel=1e-3
    )


def test_responses_compose_with_other_noise() -> None:
    gaussian, response = Mechanism("gaussian", 2.0), Mechanism("response", 2.0, 1.0, 3)
    for conversion in ("rdp-cks20", "rdp-filter", "pld"):
        both = epsilon((gaussian, response), 1e-6, conversion)
        apart = [epsilon((one,), 1e-6, conversion) for one in (gaussian, response)]
        assert max(apart) < both < sum(apart) * 1.01
    assert parse_charge([response.as_json()]) == (response,)
    assert len(curve(response)) == len(ORDERS)


def test_a_mixed_charge_is_calibrated_by_one_factor() -> None:
    charge = (Mechanism("response", 1.0, 1.0, 2), Mechanism("laplace", 1.0, 1.0, 3))
    factor = calibrate_charge(charge, 1.0, 1e-6)
    scaled = [Mechanism(m.kind, m.noise * factor, 1.0, m.count) for m in charge]
    assert 0.99 < epsilon(scaled, 1e-6) <= 1.0
    assert calibrate_charge((Mechanism("gaussian", 1.0, 0.01, 50),), 1.0, 1e-5) == calibrate(
        1.0, 1e-5, sampling=0.01, count=50
    )


def test_the_accountant_is_imported_lazily() -> None:
    code = "import sys, secureflow.engines.privacy; print('dp_accounting' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
