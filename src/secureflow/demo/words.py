"""The language of the demo's texts."""

from __future__ import annotations

from dataclasses import dataclass

from secureflow.texts import Language, catalogue, filled


@dataclass(frozen=True)
class Words:
    """Texts in one language: `say("… {name} …", name=value)`."""

    language: Language = "en"

    def __call__(self, english: str, **values: object) -> str:
        """Return the text in the language, with `{named}` values filled in."""
        known = catalogue().get(english) if self.language == "zh" else None
        if not values:
            return known or english
        return english.format(**values) if known is None else filled(known, values)
