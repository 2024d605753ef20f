"""`oidc-provider-mock`, in a process of its own on a free port."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

MISSING = importlib.util.find_spec("oidc_provider_mock") is None
if MISSING and os.environ.get("CI"):
    raise AssertionError("oidc-provider-mock is a requirement of the tests")
SERVER = """
import os, sys
import oidc_provider_mock, werkzeug.serving
users = [oidc_provider_mock.User(sub="ada", claims={"groups": ["scientists"], "name": "Ada L"})]
app = oidc_provider_mock.app(require_nonce=True, user_claims=users)
server = werkzeug.serving.make_server("127.0.0.1", 0, app, threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Run the provider until the file's tests have ended."""
    if MISSING:
        pytest.skip("oidc-provider-mock is not installed: pip install secureflow[dev]")
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"},
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
            process.wait(10)
