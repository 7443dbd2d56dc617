"""Rows E1 to E4 of the fault table: a bad mirror costs time, never a wrong file."""

import datetime
import hashlib
import ipaddress
import multiprocessing
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from webserver import Server, serving

from okd.data import download as module
from okd.data.arrays import DataError
from okd.data.download import File, download

BODY = bytes(range(256)) * 400
FILE = File(name="images.bin", digest=f"sha256:{hashlib.sha256(BODY).hexdigest()}", size=len(BODY))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PAUSE_S": 0.01, "CONNECT_S": 0.5, "STALL_S": 0.3, "PACE_S": 0.2}.items():
        monkeypatch.setattr(module, name, value)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(BODY) as running:
        yield running


def get(folder: Path, *sources: str, said: list[str] | None = None) -> Path:
    return download(FILE, sources, folder, checked=True, say=(said if said is not None else []).append)


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"lock"}


BAD = [
    "missing",
    "always_503",
    "wrong",
    "page",
    "page_without_length",
    "too_long",
    "to_file",
    "in_circles",
    "stalls",
    "trickles",
]


@pytest.mark.parametrize("how", BAD)
def test_bad_mirror_is_left_for_the_next(how: str, server: Server, tmp_path: Path) -> None:
    said: list[str] = []
    path = get(tmp_path, server.base(how), server.base("good"), said=said)
    assert path.read_bytes() == BODY
    assert leftovers(tmp_path) == {FILE.name}
    assert server.base(how) in said[0]
    assert sum("trying again" not in line for line in said) == 1


@pytest.mark.parametrize("how", BAD)
def test_bad_mirrors_only_leave_nothing_at_the_final_name(how: str, server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        get(tmp_path, server.base(how), server.base("missing"))
    assert "\n" not in str(caught.value)
    assert server.base(how) in str(caught.value)
    assert server.base("missing") in str(caught.value)
    assert leftovers(tmp_path) <= {"part"}


@pytest.mark.parametrize("how", ["good", "once_500", "no_length"])
def test_good_enough(how: str, server: Server, tmp_path: Path) -> None:
    assert get(tmp_path, server.base(how)).read_bytes() == BODY


def test_cut_off_transfer_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    assert get(tmp_path, server.base("cut"), server.base("good")).read_bytes() == BODY
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-")) for _, wanted in server.asked if wanted]
    assert starts == sorted(starts)
    assert len(starts) == len(server.asked) - 1 == module.TRIES


@pytest.mark.parametrize("how", ["no_range", "wrong_range", "good"])
@pytest.mark.parametrize("part", [BODY[:5000], bytes(5000), BODY + b"too long", b""], ids=["right", "stale", "long", "empty"])
def test_part_of_an_earlier_try(how: str, part: bytes, server: Server, tmp_path: Path) -> None:
    """Also a file that changed on the server in between: the checksum notices, and it starts from the beginning."""
    (tmp_path / FILE.name).mkdir()
    (tmp_path / FILE.name / "part").write_bytes(part)
    assert get(tmp_path, server.base(how)).read_bytes() == BODY
    assert leftovers(tmp_path) == {FILE.name}


def test_nobody_there_and_no_encryption(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(DataError, match=r"cannot be reached.*TLS"):
        get(tmp_path, closed, server.base("good", scheme="https"))
    assert server.asked == []


def test_slow_source_is_kept_where_there_is_no_other(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACE", 10_000_000)
    said: list[str] = []
    assert get(tmp_path, server.base("slowly"), server.base("slowly"), said=said).read_bytes() == BODY
    assert "too slow" in said[0]
    assert server.asked[1][1], "the second one did not go on where the first was left"


def test_own_disk_is_not_the_source_s_fault(server: Server, tmp_path: Path) -> None:
    (tmp_path / FILE.name).mkdir()
    (tmp_path / FILE.name / "part").mkdir()
    with pytest.raises(OSError, match="part"):
        get(tmp_path, server.base("good"))


def test_unchecked_takes_what_comes(server: Server, tmp_path: Path) -> None:
    path = download(FILE, [server.base("wrong")], tmp_path, checked=False, say=print)
    assert path.read_bytes() == bytes(len(BODY))


def _get(folder: Path, source: str) -> None:
    get(folder, source)


def test_kill_in_the_middle(server: Server, tmp_path: Path) -> None:
    """E2: SIGKILL, then another start."""
    process = multiprocessing.get_context("fork").Process(target=_get, args=(tmp_path, server.base("slowly")))
    process.start()
    part = tmp_path / FILE.name / "part"
    deadline = time.monotonic() + 10
    while not (part.exists() and part.stat().st_size > 20_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert leftovers(tmp_path) > {"part"}, "pooch's temporary file"
    assert get(tmp_path, server.base("good")).read_bytes() == BODY
    assert server.asked[-1][1], "started from the beginning"
    assert leftovers(tmp_path) == {FILE.name}


def test_two_at_once_fetch_once(server: Server, tmp_path: Path) -> None:
    """E3."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_get, args=(tmp_path, server.base("slowly"))) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(server.asked) == 1
    assert (tmp_path / FILE.name / FILE.name).read_bytes() == BODY


def test_what_is_there_is_not_fetched(server: Server, tmp_path: Path) -> None:
    """E4, for a file; a file with other bytes is fetched again."""
    path = get(tmp_path, server.base("good"))
    assert get(tmp_path, server.base("missing")) == path
    path.write_bytes(bytes(len(BODY)))
    assert get(tmp_path, server.base("good")).read_bytes() == BODY
    assert len(server.asked) == 2


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with a certificate of its own for 127.0.0.1, which this process trusts."""
    certificate = write_certificate(tmp_path / "certificate.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(BODY, tls=context) as running:
        yield running


def test_encrypted_source_never_leads_to_an_unencrypted_one(server: Server, encrypted: Server, tmp_path: Path) -> None:
    folder, secure = tmp_path / "downloads", encrypted.base("good", scheme="https")
    assert get(folder, secure).read_bytes() == BODY, "the certificate is right"
    (folder / FILE.name / FILE.name).unlink()
    encrypted.elsewhere = f"{server.base('good')}/{FILE.name}"
    with pytest.raises(DataError, match="leads to an unencrypted address"):
        get(folder, encrypted.base("redirected", scheme="https"))
    assert leftovers(folder) <= {"part"}


def test_certificate_that_nobody_signed(encrypted: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(DataError, match="no trustworthy encryption"):
        get(tmp_path / "downloads", encrypted.base("good", scheme="https"))
    assert encrypted.asked == []


def write_certificate(file: Path) -> Path:
    """Key and self-signed certificate for 127.0.0.1 in one file."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    form, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(form, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(form))
    return file
