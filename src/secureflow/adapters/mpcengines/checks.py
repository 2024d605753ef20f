"""What every engine refuses before it starts anything: who computes what with whom, by which."""

from __future__ import annotations

from secureflow.application.ports.mpcengine import BUNDLE, EngineInfo, EngineJob
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text


def check_choice(info: EngineInfo, program: str, protocol: str, parties: int) -> None:
    """Refuse a program, protocol or number of parties that an engine does not take.

    Raises:
        SecureFlowError: `program_unknown`, `protocol_refused`, `parties_wrong`.
    """
    known = info.programs.get(program)
    if known is None and (program != BUNDLE or info.programs):
        raise SecureFlowError(
            "program_unknown",
            Text("{engine} has no program {name!r}.", engine=info.name, name=shown(program[:64])),
            Text("Choose one of these: {names}.", names=", ".join(sorted(info.programs)) or BUNDLE),
        )
    protocols = tuple(info.protocols) if known is None else known.protocols
    if protocol not in protocols or protocol not in info.protocols:
        raise SecureFlowError(
            "protocol_refused",
            Text(
                "{engine} does not run {program} by {protocol!r}.",
                engine=info.name,
                program=shown(program[:64]),
                protocol=shown(protocol[:64]),
            ),
            Text("Choose one of these: {names}.", names=", ".join(protocols)),
        )
    least, most = info.parties if known is None else known.parties
    if not least <= parties <= most:
        raise SecureFlowError(
            "parties_wrong",
            Text(
                "{engine} runs {program} with {least} to {most} parties, not with {count}.",
                engine=info.name,
                program=shown(program[:64]),
                least=least,
                most=most,
                count=parties,
            ),
            "Name as many parties as the program takes, or choose another protocol.",
        )


def check_job(info: EngineInfo, job: EngineJob) -> None:
    """Refuse a job that does not fit its engine, before any peer is asked.

    Raises:
        SecureFlowError: as `check_choice`; `program_mismatch`: this agent's program is another one
            than the job's.
        ValueError: parties, receivers and channels contradict one another: the caller's mistake.
    """
    check_choice(info, job.program, job.protocol, len(job.parties))
    consistent = (
        len(set(job.parties)) == len(job.parties)
        and job.party in job.parties
        and set(job.receivers) <= set(job.parties)
        and set(job.channels) == set(job.peers)
    )
    if not consistent:
        message = "parties, receivers and channels contradict one another"
        raise ValueError(message)
    known = info.programs.get(job.program)
    if known is not None and known.digest != job.digest:
        raise SecureFlowError(
            "program_mismatch",
            Text(
                "{party} has another program {program} of {engine} {version} than the job names.",
                party=job.party,
                program=job.program,
                engine=info.name,
                version=info.version,
            ),
            "All parties install the same version of SecureFlow and of the engine (secureflow "
            "engine list), and the job is drafted again.",
            {"engine": info.name, "party": job.party, "phase": "connect"},
        )
