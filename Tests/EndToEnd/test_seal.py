"""Sealed topologies, keysets and credentials: the real commands, files and terminals."""

import base64
import fcntl
import hashlib
import json
import os
import pty
import select
import signal
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path

from nodes import MANAGER
from test_overlay import TOPOLOGY
from test_schemas import validator
from world import PROJECT, SLOWNESS, run

OWNER = "five words chosen at random"
MEMBER = "another phrase for managers"
GOLDEN = PROJECT / "Tests" / "OverlayKeysTests" / "Golden"


class OnTerminal:
    """A command whose terminal a test types at."""

    def __init__(self, *command):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execv(command[0], [str(part) for part in command])
        self.shown = ""
        # How much of that was waited for.
        self.seen = 0

    def read_until(self, text):
        deadline = time.monotonic() + 30 * SLOWNESS
        while text not in self.shown[self.seen:]:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no “{text}” in {self.shown!r}")
            try:
                self.shown += os.read(self.master, 4096).decode()
            except OSError:
                raise AssertionError(f"no “{text}” before the end: {self.shown!r}") from None
        self.seen = self.shown.index(text, self.seen) + len(text)

    def answer(self, prompt, text):
        self.read_until(prompt)
        os.write(self.master, text.encode() + b"\n")

    def echoes(self):
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def child(self):
        return int(Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()[0])

    def wait(self):
        try:
            while part := os.read(self.master, 4096):
                self.shown += part.decode()
        except OSError:
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.master)
        return status


class Workplace(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.topology = self.file("network.yaml", TOPOLOGY)
        self.owner = self.file("owner.pass", OWNER + "\n")
        self.member = self.file("member.pass", MEMBER + "\n")
        self.keyset = self.directory / "keyset.sealed"

    def file(self, name, text, mode=0o600):
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def manager(self, *arguments, status=0, **options):
        ended = run(MANAGER, *arguments, check=False, cwd=self.directory, **options)
        self.assertEqual(ended.returncode, status, f"{arguments}: {ended.stdout}{ended.stderr}")
        return ended

    def on_keyset(self, command, *arguments, **options):
        return self.manager("keyset", command, self.keyset, *arguments, "--passphrase-file", self.owner, **options)

    def init(self):
        made = self.manager("keyset", "init", "--network", "acme", "--passphrase-file", self.owner,
                            "--output", self.keyset)
        return made.stdout.split("authority ")[1].strip()

    def certify(self, node, key=None, **options):
        key = key or run("wg", "pubkey", input=run("wg", "genkey").stdout).stdout.strip()
        self.on_keyset("certify", self.topology, "--node", node, "--public-key", key, **options)
        return key

    def seal(self, output, *arguments, **options):
        return self.manager("seal", self.topology, "--keyset", self.keyset, "--keyset-passphrase-file", self.owner,
                            "--passphrase-file", self.member, "--output", output, *arguments, **options)

    def open(self, file, *arguments, **options):
        return self.manager("open", file, "--passphrase-file", self.member, *arguments, **options)

    def mode(self, path):
        return oct(path.stat().st_mode & 0o777)


class Keysets(Workplace):
    def test_from_a_new_authority_to_the_files_of_every_node_and_a_sealed_topology(self):
        os.umask(os.umask(0o022))
        authority = self.init()
        keys = {node: self.certify(node) for node in ("london", "paris", "web", "bank")}
        exported = self.directory / "keys.yaml"
        self.on_keyset("export", self.topology, "--output", exported)
        self.assertEqual(exported.read_text(), "".join(f"{node}: {key}\n" for node, key in keys.items()))
        self.manager("topology", "compile", self.topology, "--keys", exported, "--output", self.directory / "nodes")
        london = "".join(path.read_text() for path in (self.directory / "nodes" / "london" / "wireguard").iterdir())
        for node in ("paris", "web", "bank"):
            self.assertIn(f"PublicKey = {keys[node]}\n", london)

        sealed, opened = self.directory / "acme.sealed", self.directory / "opened.yaml"
        self.assertIn(f"“acme”, revision 1, authority {authority}", self.seal(sealed).stdout)
        self.open(sealed, "--authority", authority, "--newer-than", "0", "--output", opened)
        self.assertEqual(opened.read_bytes(), self.topology.read_bytes())
        for path, mode in ((self.keyset, 0o600), (sealed, 0o600), (opened, 0o600), (exported, 0o644)):
            self.assertEqual(self.mode(path), oct(mode), path)
        self.assertNotIn("london", sealed.read_text() + self.keyset.read_text())

        shown = json.loads(self.on_keyset("show", "--json").stdout)
        validator("keyset").validate(shown)
        self.assertEqual(shown["authority"]["fingerprint"], authority)
        self.assertEqual((shown["revision"], shown["topologyRevision"]), (6, 1))
        self.assertEqual([each["state"] for each in shown["credentials"]], ["valid"] * 4)

    def test_who_has_no_key_is_said_and_why(self):
        self.init()
        for node in ("london", "web"):
            self.certify(node)
        self.on_keyset("revoke", "--node", "web")
        exported = self.on_keyset("export", self.topology, "--output", self.directory / "keys.yaml")
        self.assertIn("“paris” has no credential", exported.stderr)
        self.assertIn("“web” has a credential that was revoked, of serial 2", exported.stderr)
        self.assertIn("keys of 1 of 4 nodes", exported.stdout)
        self.assertIn("revoked at 2", self.on_keyset("show").stdout)
        shown = json.loads(self.on_keyset("show", "--json").stdout)
        validator("keyset").validate(shown)

    def test_a_credential_is_checked_without_the_keyset(self):
        authority = self.init()
        key = self.certify("web")
        text = self.on_keyset("credential", "--node", "web").stdout
        credential = self.file("web.credential", text, 0o644)
        verified = self.manager("credential", "verify", credential, "--authority", authority, "--network", "acme")
        self.assertIn(f"“web” of “acme” is 10.10.255.11 with the key {key}", verified.stdout)
        self.assertIn("of the network “acme”, expected “beta”", self.manager(
            "credential", "verify", credential, "--authority", authority, "--network", "beta", status=1).stderr)
        credential.write_text(text.replace("10.10.255.11", "10.10.255.12"))
        self.assertIn("changed since it was signed", self.manager(
            "credential", "verify", credential, "--authority", authority, status=3).stderr)
        other = "SHA256:" + base64.b64encode(bytes(32)).decode().rstrip("=")
        credential.write_text(text)
        self.assertIn(f"signed by the authority {authority}, expected {other}", self.manager(
            "credential", "verify", credential, "--authority", other, status=1).stderr)
        old = GOLDEN / "web.credential"
        self.assertIn("expired at 2026-03-02T12:00:00Z", self.manager(
            "credential", "verify", old, "--authority", fingerprint(old), status=1).stderr)

    def test_two_commands_do_not_change_one_keyset_at_a_time(self):
        self.init()
        with open(self.keyset) as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.assertIn("another command is changing", self.on_keyset("revoke", "--serial", "1", status=1).stderr)
            self.on_keyset("show")
        self.on_keyset("revoke", "--serial", "1", status=4)

    def test_a_link_to_a_keyset_stays_one(self):
        self.init()
        real, self.keyset = self.keyset, self.directory / "link"
        self.keyset.symlink_to(real.name)
        self.certify("web")
        self.assertTrue(self.keyset.is_symlink())
        self.assertEqual(self.mode(real), oct(0o600))
        self.on_keyset("credential", "--node", "web")

    def test_a_command_that_is_killed_leaves_the_keyset_from_before_or_the_new_one(self):
        self.init()
        key = run("wg", "pubkey", input=run("wg", "genkey").stdout).stdout.strip()
        for call, revisions in (("write", (1,)), ("fsync", (1,)), ("rename", (1, 2)), ("unlink", (2, 3))):
            with self.subTest(call):
                killed = run("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                             f"inject={call}:signal=KILL:when=1", MANAGER, "keyset", "certify", self.keyset,
                             self.topology, "--node", "web", "--public-key", key, "--passphrase-file", self.owner,
                             check=False)
                self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
                shown = json.loads(self.on_keyset("show", "--json").stdout)
                self.assertIn(shown["revision"], revisions)
                self.assertEqual(len(shown["credentials"]), shown["revision"] - 1)
        for path in self.directory.glob("keyset.sealed*"):
            self.assertEqual(self.mode(path), oct(0o600))

    def test_each_kind_of_failure_has_a_status_and_a_sentence(self):
        self.init()
        wrong = self.file("wrong.pass", "five words chosen at Random\n")
        readable = self.file("readable.pass", OWNER, 0o644)
        weak = self.file("weak.pass", "password\n")
        broken = self.file("broken.yaml", TOPOLOGY.replace("10.10.255.1,", "10.99.255.1,"))
        new = ("keyset", "init", "--network", "acme", "--output", "new")
        key = "A" * 42 + "E="
        for status, said, *arguments in (
                (1, "the passphrase is wrong", "keyset", "show", self.keyset, "--passphrase-file", wrong),
                (1, "others may read it", "keyset", "show", self.keyset, "--passphrase-file", readable),
                (1, "fewer than 15 characters", *new, "--passphrase-file", weak),
                (1, "is no name of a network", "keyset", "init", "--network", "a/b", "--output", "new",
                 "--passphrase-file", self.owner),
                (2, "44 characters", "keyset", "certify", self.keyset, self.topology, "--node", "web",
                 "--public-key", "abc", "--passphrase-file", self.owner),
                (2, "from 1 to 3650", "keyset", "certify", self.keyset, self.topology, "--node", "web",
                 "--public-key", key, "--days", "0", "--passphrase-file", self.owner),
                (2, "Name a credential", "keyset", "revoke", self.keyset, "--passphrase-file", self.owner),
                (2, "is no fingerprint", "open", self.keyset, "--authority", "abc"),
                (2, "Only one passphrase", "seal", self.topology, "--keyset", self.keyset, "--output", "new",
                 "--keyset-passphrase-file", "-", "--passphrase-file", "-"),
                (3, "broken.yaml:", "seal", broken, "--keyset", self.keyset, "--output", "new"),
                (3, "expected a sealed topology; found a sealed keyset", "open", self.keyset),
                (3, "expected a sealed keyset, which begins with", "keyset", "show", self.topology),
                (4, "there is no file", "open", "none.sealed"),
                (4, "there is no file none.pass", *new, "--passphrase-file", "none.pass"),
                (4, "did you mean “web”?", "keyset", "certify", self.keyset, self.topology, "--node", "wbe",
                 "--public-key", key, "--passphrase-file", self.owner),
                (4, "no credential of “web”", "keyset", "credential", self.keyset, "--node", "web",
                 "--passphrase-file", self.owner)):
            with self.subTest(said):
                self.assertIn(said, self.manager(*arguments, status=status).stderr)
        self.assertFalse((self.directory / "new").exists())


class SealedTopologies(Workplace):
    def setUp(self):
        super().setUp()
        self.authority = self.init()
        self.sealed = self.directory / "acme.sealed"

    def test_each_reason_not_to_take_a_file_is_told_from_the_others(self):
        self.seal(self.sealed)
        text = self.sealed.read_text()
        body = text.split("\n\n")[1]
        foreign = self.file("foreign", TOPOLOGY)
        changed = self.file("changed", text.replace(body, ("B" if body[0] == "A" else "A") + body[1:]))
        renamed = self.file("renamed", text.replace("Revision: 1", "Revision: 9"))
        cut = self.file("cut", text[:-40])
        later = self.file("later", text.replace("Format: 1", "Format: 2"))
        costly = self.file("costly", text.replace("scrypt 131072 8 1", "scrypt 1073741824 8 1"))
        other = "SHA256:" + base64.b64encode(bytes(32)).decode().rstrip("=")
        for status, said, file, *arguments in (
                (0, "revision 1: 2 managers, 2 hosts", self.sealed, "--authority", self.authority),
                (1, "the passphrase is wrong", self.sealed, "--passphrase-file", self.owner),
                (1, f"expected {other}", self.sealed, "--authority", other),
                (1, "revision 1 is not newer than 1", self.sealed, "--newer-than", "1"),
                (3, "expected a sealed topology, which", foreign), (3, "changed since it was signed", changed),
                (3, "changed since it was signed", renamed), (3, "the file is not whole", cut),
                (3, "format 2 is newer than format 1", later), (3, "changed since it was signed", costly)):
            with self.subTest(said):
                ended = self.open(file, *arguments, status=status)
                self.assertIn(said, ended.stdout + ended.stderr)

    def test_what_is_there_stays_unless_forced_and_a_keyset_stays_always(self):
        self.seal(self.sealed)
        before, keyset = self.sealed.read_text(), self.keyset.read_text()
        self.assertIn("--force overwrites it", self.seal(self.sealed, status=1).stderr)
        self.assertEqual(self.sealed.read_text(), before)
        self.assertEqual(self.keyset.read_text(), keyset)
        self.assertIn("revision 2", self.seal(self.sealed, "--force").stdout)
        self.open(self.sealed, "--newer-than", "1")
        opened = self.file("opened.yaml", "mine", 0o644)
        self.open(self.sealed, "--output", opened, status=1)
        self.assertEqual(opened.read_text(), "mine")
        self.open(self.sealed, "--output", opened, "--force")
        self.assertEqual(self.mode(opened), oct(0o600))
        keyset = self.keyset.read_text()
        self.assertIn("which nothing overwrites", self.seal(self.keyset, "--force", status=1).stderr)
        self.assertIn("which nothing overwrites", self.manager(
            "keyset", "init", "--network", "acme", "--passphrase-file", self.owner, "--output", self.keyset,
            "--force", status=1).stderr)
        self.assertEqual(self.keyset.read_text(), keyset)
        # Drafts are gone.
        self.assertEqual({path.name for path in self.directory.iterdir()}, {
            "network.yaml", "owner.pass", "member.pass", "keyset.sealed", "acme.sealed", "opened.yaml"})

    def test_the_keyset_s_passphrase_is_none_for_a_topology(self):
        refused = self.seal(self.sealed, "--passphrase-file", self.owner, status=1)
        self.assertIn("this is the keyset's passphrase", refused.stderr)
        self.assertFalse(self.sealed.exists())

    def test_passphrases_come_from_the_standard_input_too(self):
        sealed = self.seal(self.sealed, "--passphrase-file", "-", input=MEMBER)
        self.assertIn("revision 1", sealed.stdout)
        self.open(self.sealed, "--passphrase-file", "-", input=MEMBER + "\r\n")

    def test_a_passphrase_is_typed_unseen_and_twice_to_seal(self):
        keyset = self.directory / "typed.sealed"
        def command():
            return OnTerminal(MANAGER, "keyset", "init", "--network", "acme", "--output", keyset)

        typing = command()
        typing.answer("New passphrase", OWNER)
        typing.answer("Again: ", MEMBER)
        self.assertEqual(typing.wait(), 1)
        self.assertIn("the two passphrases differ", typing.shown)
        self.assertFalse(keyset.exists())

        typing = command()
        typing.read_until("New passphrase")
        self.assertFalse(typing.echoes())
        typing.answer(": ", OWNER)
        typing.answer("Again: ", OWNER)
        self.assertEqual(typing.wait(), 0, typing.shown)
        self.assertNotIn(OWNER, typing.shown)

        typing = OnTerminal(MANAGER, "seal", self.topology, "--keyset", self.keyset, "--output", self.sealed)
        typing.answer(f"Passphrase of {self.keyset}: ", OWNER)
        typing.answer(f"New passphrase of {self.sealed}: ", MEMBER)
        typing.answer("Again: ", MEMBER)
        self.assertEqual(typing.wait(), 0, typing.shown)
        typing = OnTerminal(MANAGER, "open", self.sealed)
        typing.answer(f"Passphrase of {self.sealed}: ", MEMBER)
        self.assertEqual(typing.wait(), 0, typing.shown)

    def test_a_terminal_shows_again_what_is_typed_after_an_interruption(self):
        self.seal(self.sealed)
        for status, interrupt in ((130, lambda typing: os.write(typing.master, b"\x03")),
                                  (143, lambda typing: os.kill(typing.child(), signal.SIGTERM))):
            # The shell's place: the terminal stays while the command ends.
            typing = OnTerminal("/bin/sh", "-c", f'trap : INT; {MANAGER} open {self.sealed}; echo "ended $?"; read x')
            typing.read_until("Passphrase of")
            self.assertFalse(typing.echoes())
            interrupt(typing)
            typing.read_until(f"ended {status}")
            self.assertTrue(typing.echoes())
            os.write(typing.master, b"\n")
            typing.wait()

    def test_without_a_terminal_and_a_file_nothing_waits(self):
        ended = subprocess.run([MANAGER, "keyset", "show", self.keyset], text=True, capture_output=True,
                               start_new_session=True, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("there is no terminal to ask for a passphrase", ended.stderr)

    def test_no_secret_is_in_the_arguments_or_the_environment(self):
        typing = OnTerminal(MANAGER, "seal", self.topology, "--keyset", self.keyset, "--output", self.sealed)
        typing.answer("Passphrase of", OWNER)
        typing.read_until("New passphrase of")
        seen = b"".join(Path(f"/proc/{typing.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        self.assertIn(b"--keyset", seen)
        # Nor in what a crash would leave.
        self.assertRegex(Path(f"/proc/{typing.pid}/limits").read_text(), r"Max core file size +0 +0 ")
        self.assertNotIn(OWNER.encode(), seen)
        secret = plain(self.keyset, OWNER).decode().split("\n\n")[1].split("\n")[0]
        self.assertEqual(len(base64.b64decode(secret)), 32)
        self.assertNotIn(secret.encode(), seen)
        typing.answer(": ", MEMBER)
        typing.answer("Again: ", MEMBER)
        typing.wait()
        shown = self.on_keyset("show").stdout + self.on_keyset("show", "--json").stdout + typing.shown
        self.assertNotIn(secret, shown)
        self.assertNotIn(OWNER, shown)

    def test_another_reader_finds_what_the_format_says(self):
        self.seal(self.sealed)
        self.assertEqual(plain(self.sealed, MEMBER), self.topology.read_bytes())
        self.assertIn(b"hosts:", plain(GOLDEN / "topology.sealed", "correct horse battery staple"))


def parts(path):
    """A sealed file as docs/KEYSETS.md has it: its header, the fields of that, and its bytes."""
    text = path.read_text()
    header, body = text.split("\n\n")
    fields = dict(line.split(": ", 1) for line in header.split("\n")[1:])
    return (header + "\n\n").encode(), fields, base64.b64decode("".join(body.split("\n")[:-2]))


def fingerprint(path):
    key = base64.b64decode(parts(path)[1]["Authority"])
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def plain(path, passphrase):
    """What is in a sealed file, by Python's scrypt and OpenSSL's Ed25519 and ChaCha20."""
    header, fields, body = parts(path)
    box, signature = body[:-64], body[-64:]
    with tempfile.TemporaryDirectory() as directory:
        at = Path(directory)
        # RFC 8410: the algorithm, and then the key.
        (at / "key").write_bytes(bytes.fromhex("302a300506032b6570032100") + base64.b64decode(fields["Authority"]))
        (at / "message").write_bytes(header + box)
        (at / "signature").write_bytes(signature)
        run("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", at / "key",
            "-in", at / "message", "-sigfile", at / "signature")
    name, *numbers = fields["Derivation"].split(" ")
    assert name == "scrypt"
    n, r, p = map(int, numbers)
    key = hashlib.scrypt(passphrase.encode(), salt=base64.b64decode(fields["Salt"]), n=n, r=r, p=p, dklen=32,
                         maxmem=512 << 20)
    nonce, ciphertext = box[:12], box[12:-16]
    # Block 0 of the key stream makes the key of Poly1305 (RFC 8439, section 2.8).
    counter = (1).to_bytes(4, "little")
    return subprocess.run(["openssl", "enc", "-d", "-chacha20", "-K", key.hex(), "-iv", (counter + nonce).hex()],
                          input=ciphertext, capture_output=True, check=True).stdout


if __name__ == "__main__":
    unittest.main()
