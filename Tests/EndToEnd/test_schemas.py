"""What commands say with --json is what docs/schemas says, and nothing else."""

import json
import sys
import time
import unittest

# Debian's module serves whichever Python runs the tests.
sys.path.append("/usr/lib/python3/dist-packages")
from jsonschema import Draft202012Validator, ValidationError

from world import AGENT, ASK_TCP, Host, PROJECT, TCP_WHO, run

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (PROJECT / "docs" / "schemas").glob("*.json")}


def validator(name):
    """Of one schema, with what it shares with the others."""
    whole = {**SCHEMAS[name], "$defs": SCHEMAS["definitions"]["$defs"]}
    return Draft202012Validator(json.loads(json.dumps(whole).replace('"definitions.json#/', '"#/')))


def objects(schema):
    """Every object that a schema describes."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for part in schema.values():
            yield from objects(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from objects(part)


class Files(unittest.TestCase):
    def test_schemas_are_schemas_and_forbid_what_they_do_not_name(self):
        for name, schema in SCHEMAS.items():
            Draft202012Validator.check_schema(schema)
            for each in objects(schema):
                self.assertIn("additionalProperties", each, name)
                self.assertIsNot(each["additionalProperties"], True, name)
                for key, described in each.get("properties", {}).items():
                    self.assertTrue("description" in described or "$ref" in described, f"{name}: {key}")

    def test_every_command_that_says_json_has_a_schema(self):
        commands = json.loads(run(AGENT, "--experimental-dump-help").stdout)["command"]["subcommands"]
        speaking = {command["commandName"] for command in commands for argument in command.get("arguments", [])
                    if any(name["name"] == "json" for name in argument.get("names") or [])}
        missing = {command for command in speaking if command not in SCHEMAS}
        self.assertEqual(missing, set())


class Outputs(unittest.TestCase):
    """Each command on a host that has something of everything."""

    @classmethod
    def setUpClass(cls):
        cls.host = Host("schemas")
        cls.host.__enter__()
        cls.addClassCleanup(cls.host.__exit__)
        cls.policy = f"""
addressSpace: [10.10.0.0/16, "fd00:10:10::/48"]
guard: {{cgroups: [{cls.host.cgroup.name}/guarded]}}
environments:
  shop:
    addresses: [10.10.2.0/24, "fd00:10:10:2::/64"]
    remote: {{in: allow, out: {{allow: [192.0.2.0/24], deny: [192.0.2.2 tcp/81]}}}}
    permits: [{{to: payments/db, ports: [tcp/5432, udp/53]}}]
  payments: {{addresses: 10.10.3.0/24, mode: audit}}
applications:
  web: {{environment: shop, address: [10.10.2.1, "fd00:10:10:2::1"], hostname: web.shop, cgroup: {cls.host.cgroup.name}/web}}
  db: {{environment: payments, address: 10.10.3.1, cgroup: {cls.host.cgroup.name}/db}}
  later: {{environment: shop, address: auto, cgroup: {cls.host.cgroup.name}/later}}
"""
        for name in ("web", "db", "guarded"):
            cls.host.make(name)
        cls.applied = cls.host.apply(cls.policy, check=False).stdout

    def check(self, schema, command, *arguments, lines=False, statuses=(0,)):
        """What a command says, once it is what the schema says."""
        result = self.host.agent(command, *arguments, "--json", check=False)
        self.assertIn(result.returncode, statuses, result.stderr)
        values = [json.loads(line) for line in result.stdout.splitlines()] if lines else [json.loads(result.stdout)]
        for value in values:
            self.validate(schema, value)
        return values if lines else values[0]

    def validate(self, schema, value):
        validator(schema).validate(value)
        # And one that is not what it says is noticed.
        if isinstance(value, dict) and schema != "dump":
            with self.assertRaises(ValidationError):
                validator(schema).validate({**value, "anything": 1})

    def test_changing_commands(self):
        moved = self.policy.replace("10.10.3.1,", "10.10.3.2,")
        planned = self.check("apply", "apply", "--dry-run", self.host.write_policy(moved))
        self.assertTrue(planned["plan"])
        again = self.check("apply", "apply", self.host.write_policy(self.policy + "  # again\n"))
        self.assertGreater(again["generation"], 1)
        self.host.make("hand")
        attached = self.check("attach", "attach", f"{self.host.cgroup.name}/hand", "shop", "--name", "hand")
        self.assertEqual(attached["application"]["name"], "hand")
        self.assertEqual(self.check("detach", "detach", "hand")["application"]["name"], "hand")

    def test_states(self):
        self.host.python("web", ASK_TCP, "10.10.3.1", "80")
        status = self.check("status", "status")
        self.assertTrue(status["guards"] and status["problems"] and status["policy"])
        self.assertTrue(self.check("status-application", "status", "web")["counters"]["counts"])
        self.assertEqual({each["name"] for each in self.check("list", "list")}, {"web", "db"})
        dump = self.check("dump", "dump")
        self.assertTrue(dump["counters"] and dump["hooks"])
        self.check("dump", "dump", "--raw")

    def test_an_instance_that_is_not_loaded(self):
        with Host("empty", remote=False) as empty:
            validator("status").validate(empty.json("status"))
            validator("list").validate(empty.json("list"))
            validator("flows").validate(empty.json("flows"))

    def test_checks(self):
        self.assertTrue(self.check("check", "check")["protections"])
        self.check("check-policy", "check", self.host.write_policy(self.policy))

    def test_explanations(self):
        for peer in ("db", "db:5432", "db:53/udp", "db/ping", "127.0.0.1:80", "192.0.2.2", "[2001:db8::2]:80", "::1", "10.10.99.1",
                     "224.0.0.1:5/udp", "web"):
            for direction in ([], ["--incoming"]):
                self.check("explain", "explain", "web", peer, *direction, statuses=(0, 7))
        self.check("explain", "explain", "later", "db", statuses=(0, 7))

    def test_suggestions(self):
        self.host.python("db", ASK_TCP, "10.10.2.1", "80")
        self.host.python("web", ASK_TCP, "192.0.2.2", "81")
        report = self.check("suggest", "suggest", "--for", "1s", "--enforced")
        self.assertTrue(report["permits"] and report["unallowable"])

    def test_flows(self):
        self.host.serve("web", TCP_WHO, "0.0.0.0", "80")
        self.host.run("web", "python3", "-c", "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
                                              ".sendto(b'x', ('10.10.3.1', 53))")
        client = self.host.serve("web", """
client = socket.create_connection(("10.10.2.1", 80))
ready()
time.sleep(60)
""")
        flows = self.check("flows", "flows")
        self.assertEqual({flow["record"] for flow in flows}, {"socket", "datagrams"})
        client.kill()
        follow = self.host.start(None, *self.host.agent_command("flows", "--follow", "--json"))
        time.sleep(.5)
        # Denied by a line, denied as nothing allows it, let through by audit mode, and by a packet hook.
        self.host.python("web", ASK_TCP, "192.0.2.2", "81")
        self.host.python("web", ASK_TCP, "10.10.99.1", "80")
        self.host.python("db", ASK_TCP, "10.10.2.1", "80")
        told = [json.loads(follow.stdout.readline()) for _ in range(4)]
        for denial in told:
            self.validate("flows-follow", denial)
        self.assertEqual({(denial["hook"], denial["reason"], denial["audited"], "line" in denial) for denial in told},
                         {("connect", "remote-denied", False, True), ("connect", "unassigned", False, False),
                          ("connect", "other-environment", True, False), ("ingress", "other-environment", False, False)})
        follow.terminate()
        self.assertEqual(follow.wait(10), 0)
        self.host.python("web", ASK_TCP, "10.10.3.1", "80")
        self.assertTrue(self.check("flows-denied", "flows", "--denied")["denials"])

    def test_rates(self):
        self.assertEqual(len(self.check("top", "top", "--batch", "1", "--interval", "1s", lines=True)), 1)


if __name__ == "__main__":
    unittest.main()
