"""Faults of a network, chosen by chance, while applications talk across it: nothing breaks, nobody else hears of it.

`make bench-overlay` makes all of them, often, and measures. The limit here only tells a way that is taken over from one
that stays dead, on whatever machine: half of the time that the fault lasts.
"""

import os
import random
import time
import unittest

from faults import FAULTS, HOSTS, LOOPS, Network, chosen, killed, lost, process, stopped
from world import SLOWNESS

SEED = int(os.environ.get("VNE_FAULT_SEED") or random.randrange(10_000))
HOLD = 10 * SLOWNESS
LIMIT = HOLD / 2
# TCP waits twice as long each time that nothing is answered, so at most as long again as the network was silent.
LIMITS = {name: LIMIT * (2 if name == "stream" else 1) for name in LOOPS}


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.network = cls.enterClassContext(Network())

    def links(self, node):
        """What a node's probes say of its links, by the other end's name."""
        return {tunnel["node"]: tunnel["link"] for tunnel in self.network.nodes.status(node)["tunnels"]}

    def until(self, condition, message):
        self.network.nodes.wait_until(condition, 30 * SLOWNESS, message)

    def assert_no_way_changed(self, since):
        for node in HOSTS:
            self.assertEqual([text for when, text in self.network.changes(node) if when > since], [], node)

    def test_applications_talk_on_through_faults_and_nothing_is_delivered_elsewhere(self):
        print(f"\n  VNE_FAULT_SEED={SEED}", flush=True)
        for fault in chosen(3, SEED):
            with self.subTest(fault):
                seen = self.network.trial(fault, HOLD)
                gaps = {name: max(seen["during"][name], seen["return"][name]) for name in LOOPS}
                print(f"  {fault} at {seen['there']}: {gaps}", flush=True)
                self.assertEqual(seen["delivered"], 0)
                self.assertEqual(seen["broken"], 0)
                for name, limit in LIMITS.items():
                    self.assertLess(gaps[name], limit, name)

    def test_routing_that_dies_while_its_links_forward_is_waited_for(self):
        for fault in ("bird-kill-host", "bird-kill"):
            with self.subTest(fault):
                begun = time.time()
                before = [process(self.network, node, "bird.pid") for node in self.network.nodes.endpoints]
                # Longer than routes of a BIRD that is gone are kept.
                seen = self.network.trial(fault, hold=7)
                # It was another process that came back, and no way changed meanwhile. A new session alone takes a second.
                after = [process(self.network, node, "bird.pid") for node in self.network.nodes.endpoints]
                self.assertNotEqual(before, after)
                self.assert_no_way_changed(begun)
                self.assertLess(seen["during"]["datagrams"], 0.5 * SLOWNESS)

    def test_a_link_that_loses_large_packets_is_left_until_it_carries_them_again(self):
        carrier = self.network.carrier("web")
        with lost(self.network, carrier, "out", "in", what="meta length > 1214"):
            self.until(lambda: self.links("web")[carrier] == "narrow", "nobody notices")
            self.until(lambda: self.network.carrier("web") != carrier, "the link is taken all the same")
            # Whatever BIRD reads meanwhile.
            self.network.nodes.bird("web", "configure")
            time.sleep(2 * SLOWNESS)
            self.assertNotEqual(self.network.carrier("web"), carrier)
        self.until(lambda: self.links("web")[carrier] == "good", "it is not taken again")
        self.network.wait_until_whole(60 * SLOWNESS)

    def test_where_every_link_loses_large_packets_small_ones_are_still_carried(self):
        self.network.ask(self.network.asking)
        with lost(self.network, "web", "out", "in", what="meta length > 1214"):
            self.until(lambda: set(self.links("web").values()) == {"narrow"}, "nobody notices")
            time.sleep(4 * SLOWNESS)
            self.assertLess(self.network.ask(self.network.asking)["requests"], 2 * SLOWNESS)
        self.network.wait_until_whole(60 * SLOWNESS)

    def test_probes_that_end_or_stand_still_for_a_while_change_nothing(self):
        prober = process(self.network, "web", "probe.pid")
        begun = time.time()
        with stopped(prober):
            time.sleep(2 * SLOWNESS)
        with killed(prober):
            self.until(lambda: process(self.network, "web", "probe.pid") != prober, "nobody begins it again")
        self.until(lambda: set(self.links("web").values()) == {"good"}, "links are not good")
        time.sleep(1)
        self.assert_no_way_changed(begun)
        self.network.wait_until_whole(30 * SLOWNESS)

    def test_a_seed_chooses_the_same_faults_again(self):
        self.assertEqual(chosen(3, SEED), chosen(3, SEED))
        self.assertEqual(len(set(chosen(len(FAULTS), SEED))), len(FAULTS))


if __name__ == "__main__":
    unittest.main()
