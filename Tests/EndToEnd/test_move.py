"""An application's address is handed over between hosts: what is missed meanwhile, who may, and that it never has two owners."""

import json
import random
import time
import unittest

from cuts import Cuts, changes
from moves import TILL, Moves, outage
import test_claims
from world import PYTHON, SLOWNESS

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
        for source, to, sentence in ((other, owner, "does not have"), ("shelf", other, "does not have"),
                                     (owner, "shelf", "does not let shelf claim"), (owner, "rome", "is no other host"),
                                     (owner, other, "is not ready for")):
            answer = self.request(source, turn, handovers={TILL: to})
            self.assertIn(sentence, answer["failure"], (source, to))
            answer = self.request("shelf", turn, offers={TILL: other}, addresses=[TILL])
            self.assertIn("does not have", answer["failure"])
        self.assertEqual(self.moves.place(), (owner, other))
        # What comes late changes nothing, nor what comes from who handed it over.
        self.moves.move(other)
        self.moves.settle(other)
        self.assertIn("later", self.request(other, int(time.time() * 1000) - 600_000, handovers={TILL: owner}))
        self.assertIn("does not have", self.request(owner, turn, handovers={TILL: other})["failure"])
        self.assertEqual(self.moves.place(), (other, owner))

    def test_an_address_never_has_two_owners_whatever_is_cut_during_its_moves(self):
        seed = random.randrange(10_000)
        print(f"\n  seed {seed}", flush=True)
        cuts = Cuts(self.moves, random.Random(seed))
        cuts.run(TRIES)
        # Most of what may be cut leaves a way.
        self.assertGreaterEqual(cuts.done, TRIES // 2)


if __name__ == "__main__":
    unittest.main()
