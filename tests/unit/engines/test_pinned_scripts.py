"""What each script asks for, pinned: whoever changes it gives the script a new name.

A job that was begun under one version of a script is replayed by the next version of the code. Were
its effects others under the same name, the job could not go on (`script_changed`). So when a pin
differs, a new script comes beside the old one (`application/running/scripts.py` says how long the
old one stays); pins of a script that was never released may be replaced where the change log says
so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.script import AwaitTime, Effect, RunJob, effect_digest
from secureflow.engines.secagg import client
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.mpc.engine_world import EngineWorld
from tests.unit.engines.mpc.engine_world import OnceLost as EngineLostOnce
from tests.unit.engines.pipeline.world import PipelineWorld
from tests.unit.engines.psi.world import BROKEN, OnceLost, PsiWorld
from tests.unit.engines.run.test_ending import COURSES, SILENT, play, world_of
from tests.unit.engines.sweep.world import PrivateSweep, SweepWorld
from tests.unit.engines.timetable.world import TimetableWorld
from tests.unit.engines.training.masked_world import MaskedWorld
from tests.unit.engines.training.world import World

Made = tuple[World, Callable[[World], str]]
NOISE = {"delta": 1e-6, "noise_multiplier": 2.0, "rows": 400}


def course(kind: str, name: str) -> Callable[[], Made]:
    return lambda: (world_of(kind), COURSES[name][1])


def lost_enclave() -> Made:
    return World(count=4, rounds=2, lose_enclave_at=6), play


def noised() -> Made:
    return World(count=4, rounds=2, privacy=NOISE), play


def refused() -> Made:
    world = World(count=4, rounds=1)
    world.refuse["bank-b", "consent"] = SILENT
    return world, play


def masked_and_sealed() -> Made:
    return MaskedWorld(count=4, rounds=2, protection="sealed+secagg"), play


def malformed_frame() -> Made:
    """A drop-out whose reason the script words itself."""

    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        lies = (party, verb) == ("bank-b", "mask")
        return {**reply, "upload": "bm8gZnJhbWU="} if lies else reply

    return MaskedWorld(count=4, rounds=1, protection="secagg", liar=lie), play


def forged_leaf() -> Made:
    """A failure whose reason the script words itself: it stands in its last entry of the log."""

    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if (party, verb) != ("bank-b", "train"):
            return reply
        leaf = {**reply["leaf"], "leaf": {**reply["leaf"]["leaf"], "kind": "other"}}
        return {**reply, "leaf": leaf, "leaves": []}

    return World(count=4, rounds=1, liar=lie), play


TRAINING: dict[str, Callable[[], Made]] = {
    **{f"sealed, {name}": course("sealed", name) for name in COURSES},
    **{f"secagg, {name}": course("secagg", name) for name in COURSES},
    "sealed, lost enclave": lost_enclave,
    "sealed, no consent": refused,
    "sealed, noise": noised,
    "sealed+secagg": masked_and_sealed,
    "secagg, bad frame": malformed_frame,
    "sealed, forged leaf": forged_leaf,
}


def swept(*fail: int) -> Callable[[], Made]:
    def made() -> Made:
        world = SweepWorld(count=4)
        world.fail = frozenset(fail)
        return world, play

    return made


def swept_until_cancelled() -> Made:
    return SweepWorld(count=4), lambda w: play(w, lambda _, effect: isinstance(effect, RunJob))


def swept_in_private() -> Made:
    return PrivateSweep(count=4), play


SWEEPS: dict[str, Callable[[], Made]] = {
    "success": swept(),
    "a point fails": swept(2),
    "all points fail": swept(1, 2, 3, 4),
    "cancelled": swept_until_cancelled,
    "noise": swept_in_private,
}


def timed(out: Mapping[int, str], *fail: int) -> Callable[[], Made]:
    def made() -> Made:
        world = TimetableWorld(count=4)
        world.out, world.fail = out, frozenset(fail)
        return world, play

    return made


def timed_until_cancelled() -> Made:
    return TimetableWorld(count=4), lambda w: play(w, lambda _, one: isinstance(one, AwaitTime))


TIMETABLES: dict[str, Callable[[], Made]] = {
    "success": timed({}),
    "a run fails": timed({}, 2),
    "left out": timed({1: "missed", 3: "paused"}),
    "none succeeds": timed({1: "missed"}, 2, 3),
    "cancelled": timed_until_cancelled,
}


def piped(*fail: int) -> Callable[[], Made]:
    def made() -> Made:
        world = PipelineWorld(count=4)
        world.fail = frozenset(fail)
        return world, play

    return made


def piped_until_cancelled() -> Made:
    return PipelineWorld(count=4), lambda w: play(w, lambda _, one: isinstance(one, RunJob))


PIPELINES: dict[str, Callable[[], Made]] = {
    "success": piped(),
    "a step fails once": piped(3),
    "a step fails": piped(3, 4),
    "cancelled": piped_until_cancelled,
}


def attempts(verb: str, error: SecureFlowError) -> Callable[[], Made]:
    """Two parties, one of which always refuses something."""

    def made() -> Made:
        world = PsiWorld(count=2)
        world.refuse["bank-b", verb] = error
        return world, play

    return made


def once_lost() -> Made:
    return OnceLost(count=2), play


PSI: dict[str, Callable[[], Made]] = {
    **{name: course("psi", name) for name in COURSES},
    "three parties": lambda: (PsiWorld(count=3), play),
    "a second attempt": once_lost,
    "exhausted": attempts("peer_run", BROKEN),
    "silent from the start": attempts("peer_offer", SILENT),
}


def lost_every_time() -> Made:
    world = EngineWorld(count=3)
    world.refuse["bank-b", "peer_run"] = SecureFlowError("engine_failed", "the engine ended")
    return world, play


ENGINES: dict[str, Callable[[], Made]] = {
    "engine, success": lambda: (EngineWorld(count=3), play),
    "engine, lost once": lambda: (EngineLostOnce(count=3), play),
    "engine, failure": lost_every_time,
}
PLAYED: dict[str, dict[str, Callable[[], Made]]] = {
    "training/2": TRAINING,
    "statistics/2": {name: course("statistics", name) for name in COURSES},
    "preparation/1": {name: course("preparation", name) for name in COURSES},
    "evaluation/1": {name: course("evaluation", name) for name in COURSES},
    "prediction/1": {
        **{name: course("prediction", name) for name in COURSES},
        **{f"delivered, {name}": course("delivered", name) for name in COURSES},
    },
    "mpc/1": {**{name: course("mpc", name) for name in COURSES}, **ENGINES},
    "psi/1": PSI,
    "sweep/1": SWEEPS,
    "timetable/1": TIMETABLES,
    "pipeline/1": PIPELINES,
}
PINS: dict[str, dict[str, str]] = {
    "training/2": {
        "sealed, success": "b72077960cc3bc2ad694a05d2fa322b1bded57faa1dfc41011466331a60077a1",
        "sealed, failure": "8b1203fe572ffc60a1856738eee423a2e5f2a2c3f084e5d5467d8a229c681d9d",
        "sealed, cancelled": "12c24982f4ccdb7833dac02739f4e2db081b94bc4efa01fecb2942cb5ce203e7",
        "sealed, dropped": "510fff58406f870d45955170fadb681da15d3bd5997287e1e858f7f8db0cb738",
        "sealed, accusation": "3731bf962f2a79a92431b36d4e2c988129d175dfcffc7b8887bfe235d23bb994",
        "secagg, success": "a5c7202577e1fc8a62d1e0d40c4042207f2cf4136dbb30e8648b15f871f321c9",
        "secagg, failure": "957cf7686eaaaa06eda9d833017064e1f0befebc90bb056b7679b98b1df06033",
        "secagg, cancelled": "18db97c91e776f7fc42a0fc62d617503f859e4d625fe10f7172590c6ab380514",
        "secagg, dropped": "76e07bac25aa2d7ba01d20e7c0a5d207cb1a7212ba73f9132ae3fb11d777b13c",
        "secagg, accusation": "468500e231af0a027e0402b7547e0bc5f6c599d848c08dffb8fd8fc1505ef058",
        "sealed, lost enclave": "64566c35ce7fa9df475637ddb310a53fa27e527c2490573ca9bf504aaaa9b30e",
        "sealed, no consent": "021128ed8c695c9bac3a705d864ac0d9eb5934ba13a3002ef019a82f12016d99",
        "sealed, noise": "ba505616ad9b8e1a88d03cc9bce261a8841f0f00e1ac1972965bb02ee44c52b9",
        "secagg, bad frame": "9600d5d95e6d1fb12432ce6bb730fd1dcac2cee7074202afa387ee71e9d3e2bd",
        "sealed, forged leaf": "3adfd12f9cb52325dbcae576c286035244217eb8852ef8998fa7aaa70b1daaac",
        "sealed+secagg": "e69839bbc5768290f85d99e45dce528ba0f5424cfd0c38d8129a447e68ffbbbc",
        "sealed, refused": "72d13ec751714068841d1038b4cce37b9a18e333ab6867dade3ebf4fc9057771",
        "secagg, refused": "3f0548fcdb6f040d43632dc77ece883b88dd5c059a7596979031ff5bae9cad47",
    },
    "statistics/2": {
        "success": "b0f3e4d466d7ef03dfd5815c61f4d36c166b2e7c1c3c63ab62b4ffc6a4e6cf5c",
        "failure": "ffb6f363db53477630cafe6a27ac348f48c14b639564fbc33306e47e82a79367",
        "cancelled": "ec3ce7d43f9315e82a1bb405c507020e988c1b20fa3f6c7946bad4642dfbf15d",
        "refused": "e27e8eac11f62e3862275ab07023215e628ba1e5264ef8ecf1a10d71d956486f",
        "dropped": "1484ed30e7935092ce6eb6627e78ed6059e678834ca6660ecc1c643a29177a74",
        "accusation": "e696552f3e3f66756fc129d97e0ddd8a3d3761571fa872b165bbb9a0591c9d2f",
    },
    "preparation/1": {
        "success": "b21c7cf75e5a0400481efa890279a3a86f8438593209e1cbc2b53693ff0ecf8c",
        "failure": "81bde32aee424f6f5bdf8078b08926b8f209cb1af141595a2b08bcfa795f903f",
        "cancelled": "2bbaa828ce932d12a4bbd9cb0c6b188d3debe436d3646a43350a802dfc199757",
        "refused": "8f3e20c83c1107fb8d53ae3b79968883502470fd45bc12edf010b58c518f6d60",
        "dropped": "c116eb2eaec4d8c923e4d3333debd2347468dcdffed5efbcd517a7f6c3b9d7fe",
        "accusation": "da2da206290a5958f5e364d9d1854ea5805442099174c88d27340bd26b5a49b1",
    },
    "evaluation/1": {
        "success": "f29c2d46794adeebb36c72f49cee06d8abd09e0b3401f7b26ec47388729f79ec",
        "failure": "f4de658db0e614c28443b22efd93069d314c1fad57918c80dedd28d0df025ed6",
        "cancelled": "5767a5c846ca540b3f00ad4031ec44577fd0c8dd42b501d16bc0ef41a26484d4",
        "refused": "a0014a88b072921ce89a79335f89da93e225abf1c35bcdf92bef4d72ffd92aa1",
        "dropped": "162e19c895dfe4b2a3c914666901f1f27ff631a61ba6a928424fdf0685abc126",
        "accusation": "a46f248c7000bc1f730d9e73c069e6cfa0f05749257eaebe4086d8ba82f273be",
    },
    "mpc/1": {
        "success": "57cea12f9861fb631376f23a7664e5d503363150c2c64845df2e0b13fb2827b4",
        "failure": "919989e677d9142b6ca1c4311fc1978633f1e196c973289e2bba7bfb772cd8fd",
        "cancelled": "3bdbd583274527841cf87ba80b08a45115367c5e11bc2fa935f5fbd34fc997d0",
        "refused": "e096ea9c3c0510e74d41a60899c522f3b994296249a86f0163b858fc9ff12566",
        "dropped": "156ce5e5a401fde9d9df2760052a6269e5f6411dfa3649f047a1f2b21ddc7bc3",
        "accusation": "c3d7e51c3a2e735912d9236c093dd3594e8426887729725c0ea0820d0cb99eaa",
        "engine, success": "8a26cdf2069d3665b9e8ab099814d1a5e2912b70e42531f4bcfca35fcc4d6f87",
        "engine, lost once": "0a0aee3bece017f1db641ada159a7dc3f0f9a481b446f460eb63b7ebc8611c21",
        "engine, failure": "56f35639c78b455199f754a87002b72cc58c475b08efd9a4ab1765a19a4deff0",
    },
    "sweep/1": {
        "success": "e9f7c0b171792dc118f6afab517e4d959413ba3f63ade867e07311ef7bd123de",
        "a point fails": "98901abf3d44ed788831465b360de695c08f8f103ad9c12735c106fbc49367f9",
        "all points fail": "56b525e5681dfd48b89c77a19b4b0c0b554734b1047441a13c883cfe335e6aaf",
        "cancelled": "405e47b6737f9e4fb577526a6ac01fb081cc9a7dc91d4d65ba0401a783b285bc",
        "noise": "83920c2eb155e31808f90e389984a71de67f459e67e44a5c8ea458a7b78eaa8d",
    },
    "pipeline/1": {
        "success": "5241f563b0f7e9479b8849448b721c825948083a2eea4a690327d4bc8dc0bc6c",
        "a step fails once": "945d5776226e47af780ae1ea9bceec741b2402b0d9153d6b7030f551da714db1",
        "a step fails": "aeda8cf859256c67ab7f9e124edca153d4f25924ef8e87f592a11dc065d2a447",
        "cancelled": "e997d8dab70ff160ff1dda78404ac06216d14eb2a56977512a520f949c924ca3",
    },
    "timetable/1": {
        "success": "30325a08814ef72f342d148aa5118640c29ab15d7394f9f51fccb09b45ceaac4",
        "a run fails": "8b2ba9ee146a30528dc6fa761c2617fe724838f7c2987125f50352e3d671b3c9",
        "left out": "b1afc3d8f75d0db3490b536c39fc1d215f25b5ae74970316627eee6218e8ee40",
        "none succeeds": "bdb44230ee3ca58229659042c29b0675a7ccf054561e7a9167ad586adca34200",
        "cancelled": "daa54b939a5ef442d1f5732e4bfa88a91b6c285b1402d89fc24ad154b5be8330",
    },
    "prediction/1": {
        "success": "fff1b976fe3cf49cee25ecab4c1cdee56dbd16579a23bb6ac64228b22afedb10",
        "failure": "0dac2aee56fe4d98c76f7a59d965ce7a587a1db0961aa36c100604db71e0f780",
        "cancelled": "06147903f936f3e91945df6b0d04202ee27e3118b1850f1d39796b79978e61e3",
        "refused": "fb7751cb99a5d97d7d3de99a1311566c4bf70aecabb283821e49b862c653c28c",
        "delivered, refused": "22ca7cc7ae3650f0e5690bccc050d42553fc46df815e9ad99737f1ef02affa0a",
        "dropped": "815f14f0a2f45af311101d6ff95c1def411341f583a8e018867395aa63b37b4d",
        "accusation": "d06bab0ff528813f35db4a3d242b225409a635231f9a8ee347ac0eb92dff6682",
        "delivered, success": "e44d40bac700e5500c41881f812a091dabcf7fd32f1b8d69c8526f47d4d0abc8",
        "delivered, failure": "a5ec2569c99b1ab53a0d8e93d22ea7cb3100b295fd34c0fa934545b4fa8e8632",
        "delivered, cancelled": "e416e9e8f3c54b0d2d69025129493b91775ee6fb4b4d56b7d762b2b52561d522",
        "delivered, dropped": "c8aa753a10e03c2c31808417e8bec923564dd72a8b36c399e46c9ca083ac3d39",
        "delivered, accusation": "79f4a3beb2cea56f576a39d00eb45b43b29eb4ea0a0ca4a9b7fdf060f3d947df",
    },
    "psi/1": {
        "success": "c96f89bad5c0dedcb189451334d62f7e32d0514537daad9d6a12d3873be59a25",
        "failure": "7daad359af224025d5507ef7d3589601c2c837a238974a41507069865b8f5509",
        "cancelled": "8b9b8927df5a4637958e58149d123dc8b819477c411857ef90a961ec694b7a59",
        "refused": "f7aae642cfa8d64bb28646508ee1a77e26308fc4c89fa4d51c630d518aca5791",
        "dropped": "e441649a8e9e43ce23cbec4da2af06f0f6ec25481994b30723f9ed9e19dcdf07",
        "accusation": "d9ac4d432be398c05a949385d98825012f4d1d189d17ca360c0a79e684a14740",
        "three parties": "6a332c2050e1cad1d7d6dbf05ed53ad9722b768cb14db6888d59d087c83e9a2a",
        "a second attempt": "13c310d01af7a229e3a980391d253f8c75c6e85d00f76639bc5279bbe027dc55",
        "exhausted": "3332bf309b9251ff49d1b7587995044865a992ee0365476856c41ba43bd64c0f",
        "silent from the start": "8cd92a31bc6f8be898934dfb736e62643ebabccdf504aa73121dba4f0b4c65f5",
    },
}


@pytest.fixture
def same_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let masked parties draw the same keys in every run."""
    drawn = count()

    def draw(size: int = 32) -> bytes:
        return hashlib.sha256(str(next(drawn)).encode()).digest()[:size]

    keys = SimpleNamespace(
        generate=lambda: X25519PrivateKey.from_private_bytes(draw()),
        from_private_bytes=X25519PrivateKey.from_private_bytes,
    )
    monkeypatch.setattr(client, "X25519PrivateKey", keys)
    monkeypatch.setattr(client.secrets, "token_bytes", draw)


def effects_of(made: Made) -> str:
    """Play a course; return the digest over its effects' digests, in order."""
    world, run = made
    digests: list[str] = []
    perform = world.perform

    def noting(seq: int, effect: Effect) -> Any:
        digests.append(effect_digest(effect))
        return perform(seq, effect)

    world.perform = noting  # type: ignore[method-assign]
    run(world)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@pytest.mark.usefixtures("same_dice")
@pytest.mark.parametrize(
    ("script", "name"), [(script, name) for script in PLAYED for name in PLAYED[script]]
)
def test_the_effects_of_a_script_are_what_its_name_stands_for(script: str, name: str) -> None:
    made = PLAYED[script][name]()
    assert made[0].spec.script == script
    assert effects_of(made) == PINS[script][name], (
        f"{script} asks for something else than it did: running jobs could not go on. "
        "Give the changed script a new name."
    )


def test_every_script_that_jobs_run_is_pinned() -> None:
    running = frozenset[str]().union(*(kind.scripts for kind in ENGINE_KINDS.values()))
    retired = frozenset[str]().union(*(kind.retired for kind in ENGINE_KINDS.values()))
    assert set(PINS) == set(PLAYED) == running
    assert not retired & running
