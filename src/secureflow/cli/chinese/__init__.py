"""The Chinese catalogue of the command line: English text → Chinese text, a module a noun."""

from __future__ import annotations

from typing import Final

from secureflow.cli.chinese import (
    agent,
    audit,
    charter,
    console,
    contexts,
    data,
    demo,
    doctor,
    inbox,
    jobs,
    main,
    models,
    organisations,
    owndata,
    processes,
    projects,
    users,
    words,
)

CHINESE: Final[dict[str, str]] = {
    english: chinese
    for module in (
        agent,
        audit,
        charter,
        console,
        contexts,
        data,
        demo,
        doctor,
        processes,
        inbox,
        jobs,
        main,
        models,
        organisations,
        owndata,
        projects,
        users,
        words,
    )
    for english, chinese in module.TEXTS.items()
}
