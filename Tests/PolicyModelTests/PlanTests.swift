import PolicyModel
import TestSupport
import Testing

@Suite struct PlanTests {
    private static let shop = Environment(name: "shop", addresses: [net("10.10.2.0/24")], line: 3)
    private static let bank = Environment(name: "bank", addresses: [net("10.10.3.0/24"), net("fd00:3::/64")], line: 5)

    private func policy(_ environments: [Environment] = [shop, bank], _ applications: [Application] = []) -> Policy {
        Policy(addressSpace: [net("10.10.0.0/16")], environments: environments, applications: applications)
    }

    private func application(
        _ name: String, _ address: String?, in environment: String = "shop", cgroup: String? = nil,
        hostname: String? = nil
    ) -> Application {
        Application(
            name: name, environment: environment, addresses: address.map { own(list: $0) }, hostname: hostname,
            cgroup: cgroup ?? "vne.slice/\(name)")
    }

    private func attached(
        _ name: String, _ address: String, in environment: String = "shop", cgroup: String? = nil,
        byHand: Bool = false, egress: Bool = false, state: AttachedApplication.State = .attached,
        hostname: String? = nil
    ) -> AttachedApplication {
        AttachedApplication(
            state: state, name: name, environment: environment, addresses: own(list: address), loopback: loopback(0),
            hostname: hostname, cgroupPath: cgroup ?? "vne.slice/\(name)", cgroupID: 1, cgroupLevel: 2,
            fromPolicy: !byHand, egress: egress)
    }

    private func lines(
        _ desired: Policy, current: Policy? = nil, attached: [AttachedApplication] = [],
        missing: Set<String> = []
    ) -> [String] {
        let plan = Plan.make(
            current: current ?? desired, desired: desired, attached: attached,
            cgroupsPresent: { !missing.contains($0) })
        return plan.changes.map(\.description)
    }

    @Test func `nothing differs, nothing is planned`() {
        let desired = policy([Self.shop], [application("web", "10.10.2.1")])
        let plan = Plan.make(
            current: desired, desired: desired, attached: [attached("web", "10.10.2.1")], cgroupsPresent: { _ in true })
        #expect(plan.isEmpty && !plan.revokes)
        #expect(plan == Plan())
        #expect(plan.description == "nothing to change")
    }

    @Test func `the first policy is published and its applications are attached`() {
        let desired = policy(
            [Self.shop, Self.bank],
            [
                application("web", "10.10.2.1", cgroup: "system.slice/nginx.service"), application("any", nil),
                application("later", "10.10.2.3"),
                Application(name: "by-hand", environment: "shop", addresses: own("10.10.2.9")),
            ])
        let plan = Plan.make(
            current: nil, desired: desired, attached: [], cgroupsPresent: { $0 != "vne.slice/later" })
        #expect(
            plan.description == """
                ~ publish the policy (2 new: shop, bank)
                + attach web to shop as 10.10.2.1 (system.slice/nginx.service)
                + attach any to shop as an address of its own (vne.slice/any)
                ! later waits: its cgroup vne.slice/later is not there yet
                """)
        #expect(!plan.isEmpty && !plan.revokes)
    }

    @Test func `what is new, gone and changed is named`() {
        var changed = Self.shop
        changed.host = false
        var moved = Self.bank
        moved.line = 99
        let many = (0..<7).map { Environment(name: "n\($0)", addresses: [net("10.10.10.\($0)")]) }
        let old = Environment(name: "old", addresses: [net("10.10.9.0/24")])
        #expect(
            lines(policy([changed, moved] + many), current: policy([Self.shop, Self.bank, old])) == [
                "~ publish the policy (7 new: n0, n1, n2, n3, n4, …; 1 gone: old; 1 changed: shop), "
                    + "and cut flows that it forbids"
            ])
    }

    @Test func `lines that moved are published, as messages name them`() {
        var moved = Self.shop
        moved.line = 99
        #expect(
            lines(policy([moved]), current: policy([Self.shop])) == ["~ publish the policy (no environment differs)"])
    }

    @Test func `an application that the policy drops is detached, one attached by hand stays`() {
        let desired = policy()
        let current = policy([Self.shop, Self.bank], [application("web", "10.10.2.1")])
        #expect(
            lines(
                desired, current: current,
                attached: [attached("web", "10.10.2.1"), attached("mine", "10.10.2.2", byHand: true)]) == [
                    "~ publish the policy (no environment differs), and cut flows that it forbids",
                    "- detach web: the policy no longer names it",
                ])
    }

    @Test func `one whose cgroup is gone is detached`() {
        let desired = policy([Self.shop], [application("web", "10.10.2.1")])
        #expect(
            lines(
                desired, attached: [attached("web", "10.10.2.1"), attached("mine", "10.10.2.2", byHand: true)],
                missing: ["vne.slice/web", "vne.slice/mine"]) == [
                    "- detach web: its cgroup is gone", "- detach mine: its cgroup is gone",
                    "! web waits: its cgroup vne.slice/web is not there yet",
                ])
    }

    @Test func `another cgroup is attached anew`() {
        let desired = policy([Self.shop], [application("web", "10.10.2.1", cgroup: "b")])
        #expect(
            lines(desired, attached: [attached("web", "10.10.2.1", cgroup: "a")]) == [
                "- detach web: its cgroup is b now", "+ attach web to shop as 10.10.2.1 (b)",
            ])
    }

    @Test func `one whose cgroup the policy no longer names stays where it is`() {
        let desired = policy(
            [Self.shop], [Application(name: "web", environment: "shop", addresses: own("10.10.2.1"))])
        #expect(lines(desired, attached: [attached("web", "10.10.2.1")]) == [])
    }

    @Test func `another environment, address or hostname is a move`() {
        let desired = policy(
            [Self.shop, Self.bank], [application("web", "10.10.3.1", in: "bank", hostname: "web.bank")])
        let plan = Plan.make(
            current: desired, desired: desired, attached: [attached("web", "10.10.2.1")], cgroupsPresent: { _ in true })
        #expect(plan.description == "~ move web from shop as 10.10.2.1 to bank as 10.10.3.1, web.bank")
        #expect(plan.revokes)
    }

    @Test func `an address of its own stays while the environment holds it`() {
        let desired = policy([Self.shop, Self.bank], [application("web", nil)])
        #expect(lines(desired, attached: [attached("web", "10.10.2.77", hostname: "10-10-2-77")]) == [])
        let elsewhere = policy([Self.shop, Self.bank], [application("web", nil, in: "bank")])
        #expect(
            lines(elsewhere, attached: [attached("web", "10.10.2.77")])
                == ["~ move web from shop as 10.10.2.77 to bank as an address of its own"])
    }

    private static let dual = Environment(name: "dual", addresses: [net("10.10.4.0/24"), net("fd00:4::/64")], line: 7)

    @Test func `both addresses are said`() {
        let desired = policy([Self.dual], [application("web", "10.10.4.1, fd00:4::1", in: "dual")])
        #expect(lines(desired) == ["+ attach web to dual as 10.10.4.1, fd00:4::1 (vne.slice/web)"])
        #expect(lines(desired, attached: [attached("web", "10.10.4.1, fd00:4::1", in: "dual")]) == [])
    }

    @Test func `an address of another family more or less is a move`() {
        let desired = policy([Self.dual], [application("web", "10.10.4.1, fd00:4::1", in: "dual")])
        #expect(
            lines(desired, attached: [attached("web", "10.10.4.1", in: "dual")])
                == ["~ move web from dual as 10.10.4.1 to dual as 10.10.4.1, fd00:4::1"])
        let fewer = policy([Self.dual], [application("web", "fd00:4::1", in: "dual")])
        let plan = Plan.make(
            current: fewer, desired: fewer, attached: [attached("web", "10.10.4.1, fd00:4::1", in: "dual")],
            cgroupsPresent: { _ in true })
        #expect(plan.description == "~ move web from dual as 10.10.4.1, fd00:4::1 to dual as fd00:4::1")
        #expect(plan.revokes)
    }

    @Test func `one address that somebody else has is waited for, and none is taken`() {
        let desired = policy(
            [Self.dual],
            [
                application("web", "10.10.4.1, fd00:4::1", in: "dual"),
                application("new", "10.10.4.2, fd00:4::1", in: "dual"),
            ])
        #expect(
            lines(
                desired,
                attached: [
                    attached("web", "10.10.4.1", in: "dual"), attached("mine", "fd00:4::1", in: "dual", byHand: true),
                ]) == [
                    "! web waits: its address fd00:4::1 is held by mine",
                    "! new waits: its address fd00:4::1 is held by mine",
                ])
    }

    @Test func `each family's address is passed on`() {
        let desired = policy(
            [Self.dual],
            [
                application("a", "10.10.4.2, fd00:4::1", in: "dual"),
                application("b", "10.10.4.3, fd00:4::2", in: "dual"),
            ])
        #expect(
            lines(
                desired,
                attached: [
                    attached("a", "10.10.4.1, fd00:4::1", in: "dual"),
                    attached("b", "10.10.4.2, fd00:4::2", in: "dual"),
                ]) == [
                    "~ move b from dual as 10.10.4.2, fd00:4::2 to dual as 10.10.4.3, fd00:4::2",
                    "~ move a from dual as 10.10.4.1, fd00:4::1 to dual as 10.10.4.2, fd00:4::1",
                ])
    }

    @Test func `chosen addresses stay while the environment holds them`() {
        let desired = policy([Self.dual], [application("web", nil, in: "dual")])
        let both = attached("web", "10.10.4.9, fd00:4::9", in: "dual", hostname: "10-10-4-9")
        #expect(lines(desired, attached: [both]) == [])
        // A family that the environment got later is for those that are attached later.
        #expect(lines(desired, attached: [attached("web", "10.10.4.9", in: "dual", hostname: "10-10-4-9")]) == [])
        #expect(
            lines(desired, attached: [attached("web", "10.10.4.9, fd00:5::9", in: "dual")])
                == ["~ move web from dual as 10.10.4.9, fd00:5::9 to dual as an address of its own"])
    }

    @Test func `a family that the environment has no longer is given up, the other address stays`() {
        let desired = policy([Self.shop], [application("web", nil)])
        #expect(
            lines(desired, attached: [attached("web", "10.10.2.9, fd00:4::9")])
                == ["~ move web from shop as 10.10.2.9, fd00:4::9 to shop as 10.10.2.9, 10-10-2-9"])
    }

    @Test func `one whose address is chosen has a hostname made from it, unless it has one of its own`() {
        let desired = policy([Self.shop], [application("web", nil)])
        #expect(
            lines(desired, attached: [attached("web", "10.10.2.9")])
                == ["~ move web from shop as 10.10.2.9 to shop as 10.10.2.9, 10-10-2-9"])
        let named = policy([Self.shop], [application("web", nil, hostname: "web.shop")])
        #expect(lines(named, attached: [attached("web", "10.10.2.9", hostname: "web.shop")]) == [])
        let six = ApplicationAddresses(ipv4: nil, ipv6: IPAddress("fd00:10:10:2::1"))
        #expect(six?.hostname == "fd00-10-10-2-0-0-0-1")
    }

    @Test func `a policy that names what was attached by hand takes it over`() {
        let desired = policy([Self.shop], [application("web", "10.10.2.1")])
        #expect(
            lines(desired, attached: [attached("web", "10.10.2.1", byHand: true)])
                == ["~ move web from shop as 10.10.2.1, by hand to shop as 10.10.2.1"])
    }

    @Test func `a chain of addresses is passed on from its free end`() {
        let desired = policy(
            [Self.shop],
            [application("a", "10.10.2.2"), application("b", "10.10.2.3"), application("new", "10.10.2.1")])
        #expect(
            lines(desired, attached: [attached("a", "10.10.2.1"), attached("b", "10.10.2.2")]) == [
                "~ move b from shop as 10.10.2.2 to shop as 10.10.2.3",
                "~ move a from shop as 10.10.2.1 to shop as 10.10.2.2",
                "+ attach new to shop as 10.10.2.1 (vne.slice/new)",
            ])
    }

    @Test func `two that want to swap their addresses wait`() {
        let desired = policy([Self.shop], [application("a", "10.10.2.2"), application("b", "10.10.2.1")])
        #expect(
            lines(desired, attached: [attached("a", "10.10.2.1"), attached("b", "10.10.2.2")]) == [
                "! a waits: its address 10.10.2.2 is held by b", "! b waits: its address 10.10.2.1 is held by a",
            ])
    }

    @Test func `an address that is held by hand is waited for`() {
        let desired = policy([Self.shop], [application("web", "10.10.2.1")])
        #expect(
            lines(desired, attached: [attached("mine", "10.10.2.1", byHand: true)])
                == ["! web waits: its address 10.10.2.1 is held by mine"])
    }

    @Test func `an application under a new name waits rather than run free for a moment`() {
        let desired = policy([Self.shop], [application("new", "10.10.2.1", cgroup: "c")])
        let current = policy([Self.shop], [application("old", "10.10.2.1", cgroup: "c")])
        #expect(
            lines(desired, current: current, attached: [attached("old", "10.10.2.1", cgroup: "c")]).dropFirst() == [
                "! new waits: its cgroup c is attached as old, which has to be detached by hand"
            ])
    }

    @Test func `a name in use elsewhere is waited for`() {
        let desired = policy([Self.shop], [application("web", "10.10.2.1")])
        #expect(
            lines(desired, attached: [attached("web", "10.10.2.5", cgroup: "other", byHand: true)]) == [
                "! web waits: its name belongs to what is attached to other, which has to be detached by hand"
            ])
    }

    @Test func `the egress hook follows the environment`() {
        var strict = Self.shop
        strict.strict = true
        #expect(
            lines(policy([strict]), attached: [attached("web", "10.10.2.1", byHand: true)])
                == ["~ judge web at egress too"])
        #expect(
            lines(policy([Self.shop]), attached: [attached("web", "10.10.2.1", byHand: true, egress: true)])
                == ["~ judge web at egress no longer"])
    }

    @Test func `an application without a place is told`() {
        #expect(
            lines(
                policy([Self.shop]),
                attached: [
                    attached("a", "10.10.3.1", in: "bank", byHand: true), attached("b", "10.10.3.2", byHand: true),
                    attached("c", "10.10.2.3, fd00:4::1", byHand: true),
                ]) == [
                    "! a is stranded: there is no environment bank, so everything is denied to it",
                    "! b is stranded: 10.10.3.2 is no longer in shop, so everything is denied to it",
                    "! c is stranded: fd00:4::1 is no longer in shop, so everything is denied to it",
                ])
    }

    @Test func `one that a killed command was detaching is as good as gone`() {
        let desired = policy([Self.shop], [application("web", "10.10.2.1")])
        #expect(
            lines(desired, attached: [attached("web", "10.10.2.1", state: .detaching)])
                == ["+ attach web to shop as 10.10.2.1 (vne.slice/web)"])
    }

    @Test(arguments: 0..<50)
    func `no plan detaches what the policy names, or gives an address twice`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let cgroups = (0..<6).map { "c\($0)" }
        func pick<Value>(_ values: [Value]) -> [Value] { Array(values.shuffled(using: &random).prefix(4)) }
        func environmentOf(_ number: Int) -> String { number < 3 ? "shop" : "bank" }
        func address(_ number: Int) -> String {
            let network = number < 3 ? 2 : 3
            let ipv6 = "fd00:\(network)::\(number)"
            return random.one(in: 3) ? ipv6 : "10.10.\(network).\(number)" + (random.one(in: 2) ? ", \(ipv6)" : "")
        }
        for _ in 0..<50 {
            let names = pick(["a", "b", "c", "d", "e", "f"])
            let numbers = pick(Array(0..<6))
            let paths = pick(cgroups)
            let desired = policy(
                [Self.shop, Self.bank],
                (0..<4).map {
                    application(
                        names[$0], address(numbers[$0]), in: environmentOf(numbers[$0]), cgroup: paths[$0])
                })
            let oldNames = pick(["a", "b", "c", "d", "e", "f"])
            let oldNumbers = pick(Array(0..<6))
            let oldPaths = pick(cgroups)
            let live = (0..<4).map {
                attached(
                    oldNames[$0], address(oldNumbers[$0]), in: environmentOf(oldNumbers[$0]), cgroup: oldPaths[$0],
                    byHand: random.one(in: 3))
            }
            let plan = Plan.make(current: nil, desired: desired, attached: live, cgroupsPresent: { _ in true })
            var held = Dictionary(uniqueKeysWithValues: live.map { ($0.name, $0.addresses) })
            var attachedPaths = Dictionary(uniqueKeysWithValues: live.map { ($0.name, $0.cgroupPath) })
            for change in plan.changes {
                switch change {
                case .detach(let name, _):
                    #expect(!paths.contains(attachedPaths[name] ?? ""))
                    held[name] = nil
                    attachedPaths[name] = nil
                case .move(let name, let from, let to):
                    #expect(held[name] == from.addresses)
                    held[name] = to.addresses
                case .attach(let application):
                    #expect(held[application.name] == nil)
                    #expect(!attachedPaths.values.contains(application.cgroup ?? ""))
                    held[application.name] = application.addresses
                    attachedPaths[application.name] = application.cgroup
                default:
                    break
                }
                let addresses = held.values.compactMap { $0 }.flatMap(\.all)
                #expect(Set(addresses).count == addresses.count)
            }
            // What was planned once is done: the next plan finds the same obstacles and nothing to do.
            let after = held.compactMap { name, addresses in
                attachedPaths[name].map { path in
                    let isPolicy = desired.applications.contains { $0.name == name && $0.cgroup == path }
                    let old = live.first { $0.name == name }
                    let wanted = desired.applications.first { $0.name == name }
                    return attached(
                        name, addresses.description,
                        in: isPolicy && wanted?.addresses == addresses
                            ? wanted?.environment ?? "" : old?.environment ?? "",
                        cgroup: path, byHand: !(old?.fromPolicy ?? true) && !isPolicy)
                }
            }
            let second = Plan.make(current: desired, desired: desired, attached: after, cgroupsPresent: { _ in true })
            #expect(!second.changes.contains { if case .attach = $0 { true } else { false } })
        }
    }
}

/// Whether a change of policy may take something away.
@Suite struct PlanRevocationTests {
    private static let base = Environment(
        name: "shop", addresses: [net("10.10.2.0/24"), net("fd00:2::/64")],
        remoteOut: RemotePolicy(otherwise: false, rules: [RemoteRule(prefix: net("192.0.2.0/24"), allows: true)]),
        permits: [Permit(to: "bank", ports: ports("tcp/1", "tcp/2"))])

    private static func policy(_ change: (inout Environment) -> Void = { _ in }) -> Policy {
        var shop = base
        change(&shop)
        return Policy(
            addressSpace: [net("10.10.0.0/16"), net("fd00::/24")], addressSpaceInterfaces: ["eth1"],
            environments: [shop, Environment(name: "bank", addresses: [net("10.10.3.0/24")])],
            applications: [Application(name: "web", environment: "shop", addresses: own("10.10.2.1", "fd00:2::1"))],
            loopbackShared: [SharedService(address: ip("127.0.0.1"), port: 11211)])
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var desired: Policy

        init(_ text: String, _ desired: Policy) {
            testDescription = text
            self.desired = desired
        }

        init(_ text: String, _ change: (inout Policy) -> Void) {
            var policy = PlanRevocationTests.policy()
            change(&policy)
            self.init(text, policy)
        }
    }

    @Test(arguments: [
        Case("the same", policy()),
        Case("other lines", policy { $0.line = 50 }),
        Case("more addresses", policy { $0.addresses.append(net("10.10.4.0/24")) }),
        Case("another permit", policy { $0.permits.append(Permit(to: "bank", ports: ports("tcp/3"))) }),
        Case("more ports", policy { $0.permits[0].ports.append(PortRule(.udp)) }),
        Case("another protocol", policy { $0.protocols.insert(.ping) }),
        Case("all remotes", policy { $0.remoteOut = .allow(line: nil) }),
        Case("link-local", policy { $0.linkLocal = true }),
        Case("multicast", policy { $0.multicast = true }),
        Case("audit", policy { $0.mode = .audit }),
        Case("another environment") {
            $0.environments.append(Environment(name: "x", addresses: [net("10.10.9.0/24")]))
        },
        Case("another application") {
            $0.applications.append(Application(name: "x", environment: "bank", addresses: nil))
        },
        Case("another interface") { $0.addressSpaceInterfaces.append("eth2") },
        Case("another shared service") { $0.loopbackShared.append(SharedService(address: ip("::1"), port: 80)) },
    ])
    func `a change that only adds revokes nothing`(case one: Case) {
        #expect(!Plan.revokes(current: Self.policy(), desired: one.desired))
    }

    @Test(arguments: [
        Case("an address less", policy { $0.addresses[0] = net("10.10.2.0/25") }),
        Case("a permit less", policy { $0.permits = [] }),
        Case("a port less", policy { $0.permits[0].ports.removeLast() }),
        Case("a permit to one application only", policy { $0.permits[0].application = "db" }),
        Case("the host", policy { $0.host = false }),
        Case("a protocol less", policy { $0.protocols = [.tcp] }),
        Case("remotes coming in", policy { $0.remoteIn = .deny(line: nil) }),
        Case("a remote less", policy { $0.remoteOut.rules = [] }),
        Case(
            "a remote denied", policy { $0.remoteOut.rules.append(RemoteRule(prefix: net("192.0.2.1"), allows: false)) }
        ),
        Case("strict", policy { $0.strict = true }),
        Case("another address space") { $0.addressSpace.append(net("192.0.2.0/24")) },
        Case("an interface less") { $0.addressSpaceInterfaces = [] },
        Case("an environment less") { $0.environments.removeLast() },
        Case("an application less") { $0.applications = [] },
        Case("an application elsewhere") { $0.applications[0].addresses = own("10.10.2.2", "fd00:2::1") },
        Case("an application without its IPv6 address") { $0.applications[0].addresses = own("10.10.2.1") },
        Case("a family less") { $0.environments[0].addresses.removeLast() },
        Case("a shared service less") { $0.loopbackShared = [] },
    ])
    func `a change that may take something away revokes`(case one: Case) {
        #expect(Plan.revokes(current: Self.policy(), desired: one.desired))
    }

    @Test func `enforcing what was watched revokes`() {
        #expect(Plan.revokes(current: Self.policy { $0.mode = .audit }, desired: Self.policy()))
        #expect(Plan.revokes(current: Self.policy { $0.linkLocal = true }, desired: Self.policy()))
        #expect(Plan.revokes(current: Self.policy { $0.multicast = true }, desired: Self.policy()))
    }

    @Test func `before the first policy there is nothing to revoke`() {
        #expect(!Plan.revokes(current: nil, desired: Self.policy()))
    }
}
