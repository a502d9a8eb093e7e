"""An application's address is handed over between hosts: what is missed meanwhile, who may, and that it never has two owners."""

import json
import random
import signal
import time
import unittest
from pathlib import Path

from cuts import Cuts, changes
from moves import MANAGERS, TILL, Moves, outage
import test_claims
from world import PYTHON, PYTHON_PRELUDE, SLOWNESS

# With what is cut; bench/move.py --cuts makes more of them.
TRIES = 8


class Move(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.moves = Moves()
        cls.moves.__enter__()
        cls.addClassCleanup(cls.moves.__exit__)
        cls.nodes = cls.moves.nodes

    def test_an_application_s_address_is_handed_over_while_it_is_asked_for(self):
        end, tries = self.moves.ask(), []
        try:
            time.sleep(1)
            for _ in range(4):
                owner, other = self.moves.place()
                begun = time.monotonic()
                said = self.moves.move(other)
                tries.append((begun, time.monotonic()))
                self.assertIn(f"{TILL} is {other}'s", said.stdout)
                self.moves.settle(other)
                time.sleep(0.6)
        finally:
            seen = end()
        missed = [outage(seen["asked"], *window) for window in tries]
        self.assertNotIn(None, missed)
        print("\n  moves: nothing was answered for " + ", ".join(f"{gap * 1000:.0f}" for gap, *_ in missed) + " ms", flush=True)
        # What it takes on a machine that does nothing else, bench/move.py measures.
        for gap, *_ in missed:
            self.assertLess(gap, 5 * SLOWNESS)
        # From one host, then from the other.
        self.assertEqual(changes([who for _, _, who in seen["asked"] if who]), len(tries))
        self.assertEqual(changes([who for _, who in seen["told"]]), len(tries))

    def test_whoever_does_not_have_an_address_or_names_nobody_who_may_is_told_so(self):
        owner, other = self.moves.place()
        for source, to, status, sentence in (
                (other, owner, 4, "is not claimed by this host"), (owner, owner, 1, f"is at {owner} already"),
                (owner, "shelf", 1, "does not let shelf claim"), (owner, "shelv", 4, "did you mean “shelf”?"),
                (owner, "london", 4, "has no host “london”"), ("london", owner, 1, "by the host that has it")):
            said = self.moves.move(to, source, check=False)
            self.assertEqual(said.returncode, status, said.stderr)
            self.assertIn(sentence, said.stderr)
        self.assertEqual(self.nodes.manager(owner, "move", "till", other, check=False).returncode, 2)
        # Nobody has an application with it there.
        self.moves.hosts[owner].attach("lone", "shop", "10.10.2.201")
        try:
            self.moves.until(lambda: "10.10.2.201" in self.moves.claimed(owner), "it is not claimed")
            said = self.nodes.manager(owner, "move", "10.10.2.201", other, check=False)
            self.assertEqual(said.returncode, 1)
            self.assertIn(f"{other} does not wait for 10.10.2.201: attach the application there first", said.stderr)
            self.assertIn("10.10.2.201", self.moves.claimed(owner))
        finally:
            self.moves.hosts[owner].agent("detach", "lone")
        self.assertEqual(self.moves.place(), (owner, other))

    def request(self, node, turn, **more):
        """What a manager answers to a line of a host."""
        line = json.dumps({"turn": turn, "addresses": [], "patience": 0, **more})
        said = self.nodes.run(node, *PYTHON, "-c", test_claims.Claims.ASK_MANAGER, "169.254.0.1", line, check=False).stdout
        return json.loads(said)

    def test_only_its_owner_hands_an_address_over_and_only_to_who_is_ready(self):
        owner, other = self.moves.place()
        turn = int(time.time() * 1000) + 3600_000
        for to, sentence in (("shelf", "does not let shelf claim"), ("rome", "is no other host")):
            self.assertIn(sentence, self.request(owner, turn, offers={TILL: to}, addresses=[TILL])["failure"])
            # Who must not have it cannot be ready for it either.
            self.assertEqual(self.request(owner, turn, handovers={TILL: to})["held"], [TILL])
        answer = self.request("shelf", turn, offers={TILL: other}, addresses=[TILL])
        self.assertIn("does not have", answer["failure"])
        for source in (other, "shelf"):
            answer = self.request(source, turn, handovers={TILL: owner if source == other else other})
            self.assertEqual((answer["held"], answer["refused"]), ([], {TILL: f"{owner} has it"}), source)
        # What nobody is ready for stays where it is.
        self.assertEqual(self.request(owner, turn, handovers={TILL: other})["held"], [TILL])
        self.assertEqual(self.moves.place(), (owner, other))
        # What comes late changes nothing, nor what comes from who handed it over.
        self.moves.move(other)
        self.moves.settle(other)
        self.assertIn("later", self.request(other, int(time.time() * 1000) - 600_000, handovers={TILL: owner}))
        turn = int(self.nodes.place(owner, "turn").read_text()) + 1
        turn = self.request(owner, turn).get("later", turn) + 1
        self.assertEqual(self.request(owner, turn, handovers={TILL: other})["refused"], {TILL: f"{other} has it"})
        self.assertEqual(self.moves.place(), (other, owner))

    def test_a_host_does_not_leave_before_it_knows_what_became_of_its_word(self):
        keeper = self.moves.keepers["shelf"]
        keeper.send_signal(signal.SIGSTOP)
        self.addCleanup(keeper.send_signal, signal.SIGCONT)
        word = self.nodes.store("shelf").with_name("handing")
        word.write_text("10.10.2.201 bank\n")
        self.addCleanup(word.unlink)
        refused = self.nodes.manager("shelf", "leave", check=False)
        self.assertEqual(1, refused.returncode, refused.stdout)
        self.assertIn("(10.10.2.201 to bank)", refused.stderr)
        self.assertIn("shelf", self.nodes.manager("shelf", "status").stdout)

    # Offers to one manager, and then says to another one what was handed over, if that is to be said.
    OFFER = PYTHON_PRELUDE + """
def ask(manager, line):
    client = socket.create_connection((manager, 7311), 20)
    client.sendall(line.encode() + b"\\n")
    return client.makefile().readline()
for manager, line in zip(sys.argv[1::2], sys.argv[2::2]):
    print(ask(manager, line), end="", flush=True)
"""

    def offer(self, owner, other, *more):
        """As the owner does it; returns what was answered."""
        turn = int(self.nodes.place(owner, "turn").read_text()) + 1
        # Another test may have asked as this host.
        turn = self.request(owner, turn, addresses=[TILL]).get("later", turn) + 1
        lines = ["169.254.0.1", json.dumps({"turn": turn, "addresses": [TILL], "patience": 0, "offers": {TILL: other}})]
        for manager in more:
            turn += 1
            lines += [manager, json.dumps({"turn": turn, "addresses": [], "patience": 0, "handovers": {TILL: other}})]
        self.nodes.place(owner, "turn").write_text(f"{turn}\n")
        said = self.nodes.run(owner, *PYTHON, "-c", self.OFFER, *lines).stdout
        return [json.loads(line) for line in said.splitlines()]

    def test_what_an_owner_hands_over_any_manager_takes_in_whichever_it_was_offered_by(self):
        owner, other = self.moves.place()
        # Its own host asks for nothing meanwhile, and hears of it later.
        keeper = self.moves.keepers[owner]
        keeper.send_signal(signal.SIGSTOP)
        try:
            offered, handed = self.offer(owner, other, "169.254.0.3")
        finally:
            keeper.send_signal(signal.SIGCONT)
        self.assertEqual(offered["held"], [TILL])
        self.assertEqual((handed["held"], handed["refused"]), ([], {TILL: f"{other} has it"}))
        self.moves.until(lambda: TILL in self.moves.claimed(other), "the other host does not have it")
        self.moves.until(lambda: all(self.nodes.status(node)["claims"] == [{"address": TILL, "host": other}]
                                     for node in MANAGERS), "a manager does not hear of it")
        keeper.send_signal(signal.SIGHUP)
        self.moves.settle(other)

    def test_a_host_that_begins_anew_does_not_take_back_what_it_handed_over(self):
        for is_ready in (True, False):
            owner, other = self.moves.place()
            handing = Path(f"/var/lib/vne-manager/{self.nodes.network(owner)}/handing")
            self.moves.keepers[owner].kill()
            self.moves.keepers[owner].wait()
            if is_ready:
                (offered,) = self.offer(owner, other)
                self.assertEqual(offered["held"], [TILL])
            # As if it had lost power right after it had stopped.
            handing.write_text(f"{TILL} {other}\n")
            for name in ("claimed", "passing"):
                self.nodes.place(owner, name).unlink(missing_ok=True)
            self.moves.keepers[owner] = self.nodes.keep(owner)
            expected = other if is_ready else owner
            self.moves.until(lambda: not handing.exists(), "it does not find out")
            self.moves.settle(expected)

    def test_who_is_about_to_get_an_address_gets_it_when_its_owner_is_gone(self):
        owner, other = self.moves.place()
        self.moves.keepers[owner].kill()
        self.moves.keepers[owner].wait()
        try:
            self.offer(owner, other)
            said = self.nodes.manager("paris", "reclaim", TILL, "--force").stdout
            self.assertEqual(said, f"{TILL} was {owner}'s, and is {other}'s, to whom it was about to be handed over\n")
            self.moves.until(lambda: TILL in self.moves.claimed(other), "the other host does not have it")
        finally:
            self.moves.keepers[owner] = self.nodes.keep(owner)
        self.moves.settle(other)

    def test_an_address_never_has_two_owners_whatever_is_cut_during_its_moves(self):
        seed = random.randrange(10_000)
        print(f"\n  seed {seed}", flush=True)
        cuts = Cuts(self.moves, random.Random(seed))
        cuts.run(TRIES)
        # Most of what may be cut leaves a way.
        self.assertGreaterEqual(cuts.done, TRIES // 2)


if __name__ == "__main__":
    unittest.main()
