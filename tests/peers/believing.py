"""An identity provider that believes everybody, and checks what binds a login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secureflow.application.ports.identityprovider import (
    AuthorizationAnswer,
    AuthorizationRequest,
    DeviceAnswer,
    DeviceAuthorization,
    DeviceQuestion,
)
from secureflow.kit.errors import SecureFlowError

ADA = {"sub": "1", "preferred_username": "ada", "name": "Ada L", "org": "a",
       "groups": ["scientists"]}  # fmt: skip


@dataclass
class BelievingProvider:
    """Logs in whom `claims` describe."""

    name: str = "sso"
    title: str = "SSO"
    issuer: str = "https://sso.example"
    claims: Mapping[str, Any] = field(default_factory=lambda: dict(ADA))
    requests: list[AuthorizationRequest] = field(default_factory=list)
    answers: list[AuthorizationAnswer] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)
    questions: list[DeviceQuestion] = field(default_factory=list)
    waiting: list[DeviceAnswer] = field(default_factory=list)
    refusal: SecureFlowError | None = None

    async def authorization_url(self, request: AuthorizationRequest) -> str:
        self.requests.append(request)
        return f"{self.issuer}/authorize?state={request.state}"

    async def authenticate(self, answer: AuthorizationAnswer) -> Mapping[str, Any]:
        asked = self.requests[-1]
        assert (answer.nonce, answer.verifier) == (asked.nonce, asked.verifier)
        self.answers.append(answer)
        return self.claims

    async def start_device(self, nonce: str) -> DeviceAuthorization:
        self.nonces.append(nonce)
        address = f"{self.issuer}/activate"
        return DeviceAuthorization(f"device {len(self.nonces)}", "WDJB", address, "", 300, 5)

    async def ask_device(self, asked: DeviceQuestion) -> DeviceAnswer:
        self.questions.append(asked)
        assert asked.nonce == self.nonces[int(asked.code.split()[1]) - 1]
        if self.refusal is not None:
            raise self.refusal
        return self.waiting.pop() if self.waiting else DeviceAnswer(self.claims)

    async def check(self) -> None:
        return
