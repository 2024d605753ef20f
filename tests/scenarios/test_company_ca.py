"""A centre under the intermediate of a company's CA, over real links: parties pin its root."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from secureflow.adapters.link import CredentialFiles
from secureflow.kit.caroots import root_name, roots
from secureflow.kit.certchains import parse_chain
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.ownca import own_authority
from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem
from secureflow.server.authorities import read_authorities, rotate
from secureflow.server.initialise import initialise
from secureflow.server.settings import ServerSettings
from tests.peers.links import until
from tests.scenarios.test_ca_rotation import OPERATOR, Party, enrolled, running
from tests.unit.kit.test_ownca import DOMAIN, Company, Made


def sibling(company: Company) -> Authority:
    """Another intermediate of the same company, in other hands."""
    other = Made(cn="other", issuer=company.policy)
    above = parse_chain(company.policy.pem + company.root.pem, 2)
    return Authority(other.key, parse_chain(other.pem, 1)[0], above)


async def test_parties_link_renew_and_are_revoked_under_a_companys_chain(tmp_path: Path) -> None:
    company, folder = Company(), tmp_path / "centre"
    authority = own_authority(
        company.chain(), private_pem(company.issuing.key), DOMAIN, system_clock()
    )
    words = {"rest_port": 0, "link_port": 0, "authority": authority}
    await asyncio.to_thread(initialise, folder, trust_domain=DOMAIN, **words)
    settings = ServerSettings.load(folder / "server.yaml")
    name = root_name(roots(company.root.pem)[0])
    async with running(settings) as centre:
        await centre.services.organisations.create(OPERATOR, "bank-a", "A")
        agent = await enrolled(centre, tmp_path / "agent")
        assert (agent.pinned, agent.issuer) == ([name], name)
        async with agent.linked(centre) as link:
            await until(link.connected.is_set)
            before = agent.files().leaf.serial_number
            reply = await link.call("certificate.renew", {"csr": agent.files.request()})
            agent.files.install(reply["certificate"], system_clock())
        assert agent.files().leaf.serial_number != before
        assert len(parse_chain(agent.files().certificate.decode(), 5)) == 4
        async with agent.linked(centre) as link:
            await until(link.connected.is_set)

        # Another CA of the same root may issue what it likes: it opens no link here.
        key = new_link_key()
        uri = f"spiffe://{DOMAIN}/org/bank-a/agent/main"
        chain = sibling(company).issue(make_csr(key), uri, system_clock())
        files = CredentialFiles.create(tmp_path / "thief", company.root.pem, key, chain)
        async with Party(files, tmp_path / "thief", agent.key).linked(centre) as link:
            await until(lambda: link.trouble is not None)
            assert link.trouble is not None
            assert link.trouble.code == "certificate_foreign"

        await centre.services.organisations.revoke(OPERATOR, uri)
        async with agent.linked(centre) as link:
            await until(lambda: link.trouble is not None)
            assert link.trouble is not None
            assert link.trouble.code == "certificate_revoked"
    with pytest.raises(SecureFlowError, match="is an intermediate"):
        rotate(settings)
    assert read_authorities(settings).issuing.chain == company.chain()
