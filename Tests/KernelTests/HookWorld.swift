import Glibc
import PolicyModel
import TestSupport

@testable import VNEBPF

/// setns(2), which Glibc's module does not have.
@_silgen_name("setns") private func setns(_ descriptor: Int32, _ kind: Int32) -> Int32
private let CLONE_NEWNET: Int32 = 0x4000_0000

/// A host in a network namespace: an instance with four applications attached, a process of the host, and a neighbour on
/// the wire that can send whatever it likes. Everything goes with it.
final class HookWorld {
    /// One application, and the process in it.
    struct Member {
        var application: AttachedApplication
        var prober: Prober
        /// A port that its sockets were bound to before it was attached: to the wildcards, so that packets to any
        /// address of the host reach them.
        var wildcardPort: UInt16
        /// Its bound sockets, by where they are in truth.
        var sockets: [Place: HeldSocket] = [:]
        /// The identifiers of its ping sockets, which are bound to its application addresses.
        var pingIdentifiers: [AddressFamily: UInt16] = [:]

        var subject: Subject { application.subject }
    }

    /// Where a socket is: no two of a host are at one.
    struct Place: Hashable {
        var transport: TransportProtocol
        var address: IPAddress
        var port: UInt16
    }

    /// A bound socket of an application's prober.
    struct HeldSocket {
        var name: String
        /// It asked for a wildcard.
        var isWildcard: Bool
        /// It takes IPv4 and IPv6, as it asked for.
        var isDual = false
        /// What its sends go out as.
        var family: AddressFamily
    }

    /// Ports at which every application has TCP and UDP sockets that asked for the wildcard of either family and were
    /// given the application address, or loopback where there is none: the ports of ``RandomPolicies``, and their
    /// neighbours.
    static let ports: [UInt16] = Set(RandomPolicies.ports.flatMap { [$0 &- 1, $0, $0 &+ 1] }).subtracting([0]).sorted()
    /// A port at which they asked for loopback addresses only.
    static let loopbackPort: UInt16 = 6_379
    /// A port at which they asked for one loopback address of each family, and for the wildcard.
    static let mixedPort: UInt16 = 6_380
    /// A port at which they asked for the wildcard of both families at once.
    static let dualPort: UInt16 = 6_381
    /// A port at which a process of the host has every address.
    static let hostPort: UInt16 = 7_000
    /// A port at which nobody is.
    static let silentPort: UInt16 = 7_001

    /// Groups that the host hears on the wire, and those of IPv4 over loopback.
    static let groups = [address("239.1.2.3"), address("255.255.255.255"), address("ff15::7")]

    /// The host's own addresses; the others are on loopback.
    static let hostAddresses = [address("10.77.0.1"), address("2001:db8:77::1")]
    /// Those that the host got after the policy was published, a link-local one, and some in the address space that are
    /// no application's.
    private static let otherAddresses = [
        "198.51.100.7", "169.254.7.7", "10.10.1.4", "10.10.3.200", "10.10.255.9", "2001:db8:1001::7", "fd0a:10:1::4",
        "fd0a:10:3::200", "fd0a:10:ffff::9",
    ].map { address($0) }
    /// All addresses that the host has on its interfaces, applications' and their loopbacks' included.
    static let addresses =
        hostAddresses + otherAddresses + RandomPolicies.subjects.flatMap { $0.addresses.all + [$0.loopback.ipv6] }
    /// Addresses of applications' loopbacks that the kernel has without being told.
    static let loopbackAddresses =
        RandomPolicies.subjects.map { IPAddress(rawValue: $0.loopback.ipv4.rawValue + 1) }
        + ["127.0.0.1", "127.0.0.53", "::1"].map { address($0) }

    let name: String
    private let loaded: LoadedInstance
    private(set) var members: [Member] = []
    /// A process of the host.
    let host: Prober
    /// The neighbour on the wire.
    let neighbour: Prober
    /// Index of the interface to the wire.
    let wire: UInt32

    var instance: Instance { loaded.instance }

    static func address(_ text: String) -> IPAddress {
        guard let address = IPAddress(text) else { preconditionFailure("\(text) is an address") }
        return address
    }

    /// The word of the prober for a family.
    static func word(_ family: AddressFamily) -> String {
        switch family {
        case .ipv4: "4"
        case .ipv6: "6"
        }
    }

    /// Makes a host whose instance runs the programs of an object file; nil for those that this build carries.
    init(object: String? = nil) throws {
        Leftovers.sweep()
        let name = Leftovers.newName()
        self.name = name
        let remains = Remains(name: name)
        try Self.makeNetwork(name)
        for suffix in ["h", "n"] + RandomPolicies.applications.map(\.name) { try Self.makeCgroup("\(name)-\(suffix)") }
        host = try Prober(cgroup: "\(name)-h", namespace: name, keeping: remains)
        neighbour = try Prober(cgroup: "\(name)-n", namespace: "\(name)-n", keeping: remains)
        let probers = try RandomPolicies.applications.map {
            try Prober(cgroup: "\(name)-\($0.name)", namespace: name, keeping: remains)
        }
        wire = UInt32(try host.demand("interface veth0"))
        let cookie = try host.demand("cookie")
        let opened =
            if let object {
                try ObjectFile.withImage(of: object) {
                    try Instance.open(name, netns: cookie, create: true, object: $0)
                }
            } else {
                try Instance.open(name, netns: cookie, create: true)
            }
        guard let opened else { throw TestFailure("there is no instance") }
        loaded = LoadedInstance(opened, keeping: remains)
        for group in Self.groups where group != Self.address("255.255.255.255") {
            for interface in group.family == .ipv4 ? ["lo", "veth0"] : ["veth0"] {
                try host.demand("join \(group) \(interface)")
            }
        }
        try instance.publish(Self.permissive, text: "", on: HostView(), revoking: true)
        for kind in ["tcp", "udp"] {
            try host.demand("hold \(kind) 4 \(kind) 0.0.0.0 \(Self.hostPort)")
            try host.demand("hold \(kind)6 only6 \(kind) :: \(Self.hostPort)")
        }
        for (index, prober) in probers.enumerated() { try attach(prober, index) }
    }

    /// Everything that is there after a policy that forbids nothing: the sockets are made under it.
    private static let permissive = Policy(
        addressSpace: [
            IPPrefix(holding: address("10.10.0.0"), length: 16), IPPrefix(holding: address("fd0a:10::"), length: 32),
        ],
        environments: RandomPolicies.subjects.map {
            Environment(
                name: $0.environment, addresses: $0.addresses.all.map { IPPrefix($0) },
                protocols: [.tcp, .udp, .ping])
        })

    private func attach(_ prober: Prober, _ index: Int) throws {
        let wildcardPort = UInt16(9_000 + index)
        for kind in ["tcp", "udp"] {
            try prober.demand("hold wild-\(kind) 4 \(kind) 0.0.0.0 \(wildcardPort)")
            try prober.demand("hold wild-\(kind)6 only6 \(kind) :: \(wildcardPort)")
        }

        let subject = RandomPolicies.subjects[index]
        let cgroup = "\(name)-\(RandomPolicies.applications[index].name)"
        let descriptor = unsafe Glibc.open("\(CgroupMount.path ?? "")/\(cgroup)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        var found = stat()
        guard unsafe fstat(descriptor, &found) == 0 else { throw TestFailure("no cgroup \(cgroup)") }
        let application = AttachedApplication(
            name: RandomPolicies.applications[index].name, environment: subject.environment,
            environmentID: try instance.environment(named: subject.environment)?.id ?? .max,
            addresses: subject.addresses, loopback: subject.loopback, cgroupPath: cgroup,
            cgroupID: UInt64(found.st_ino), cgroupLevel: 1)
        try instance.attach(application, cgroup: descriptor)
        try instance.open(application)

        var member = Member(application: application, prober: prober, wildcardPort: wildcardPort)
        for transport in [TransportProtocol.tcp, .udp] {
            for port in Self.ports {
                for wildcard in ["0.0.0.0", "::"] { try member.hold(transport, wildcard, port) }
            }
            for asked in ["127.0.0.1", "127.0.1.1", "::1"] { try member.hold(transport, asked, Self.loopbackPort) }
            try member.hold(transport, "127.0.0.53", Self.mixedPort)
            for wildcard in ["0.0.0.0", "::"] where subject.addresses[Self.address(wildcard).family] != nil {
                try member.hold(transport, wildcard, Self.mixedPort)
            }
            try member.hold(transport, "::", Self.dualPort, isDual: true)
            for family in AddressFamily.allCases {
                try prober.demand("hold stock-\(transport)-\(Self.word(family)) \(Self.word(family)) \(transport) - 0")
            }
        }
        // The kernel runs no bind hook for these, so the wildcard would stay one, and egress would refuse its source.
        for address in subject.addresses.all {
            let word = Self.word(address.family)
            let identifier = try prober.demand("hold ping-\(word) \(word) ping \(address) 0")
            member.pingIdentifiers[address.family] = UInt16(truncatingIfNeeded: identifier)
        }
        members.append(member)
    }

    /// Publishes a policy and attaches egress where it asks for it. No flow that was recorded before counts.
    func publish(_ policy: Policy, text: String, on host: HostView) throws {
        for member in members {
            try member.prober.demand("drop kept-")
            try member.prober.demand("drain")
        }
        try instance.publish(policy, text: text, on: host, revoking: true)
        for index in members.indices {
            let application = members[index].application
            let egress = policy.environment(named: application.environment)?.needsEgress == true
            guard egress != application.egress else { continue }
            let path = "\(CgroupMount.path ?? "")/\(application.cgroupPath)"
            let descriptor = unsafe Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            defer { close(descriptor) }
            try instance.setEgress(egress, of: application, cgroup: descriptor)
            members[index].application.egress = egress
        }
        // The coarse clock has to pass the time up to which no flow counts.
        usleep(30_000)
    }

    /// Runs something on this thread in the host's network namespace.
    func inside<Result>(_ body: () throws -> Result) throws -> Result {
        func enter(_ path: String) throws {
            let namespace = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
            defer { close(namespace) }
            guard setns(namespace, CLONE_NEWNET) == 0 else { throw TestFailure("setns \(path): \(errno)") }
        }
        let outside = unsafe Glibc.open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        defer {
            // A thread that stays there would run other tests in the wrong place.
            precondition(setns(outside, CLONE_NEWNET) == 0)
            close(outside)
        }
        try enter("/run/netns/\(name)")
        return try body()
    }

    /// What the hooks of an application have counted.
    func counters(of member: Int) throws -> VerdictCounters {
        try instance.counters(of: members[member].application)
    }

    // MARK: - Making and taking away

    private static func makeNetwork(_ name: String) throws {
        let onLoopback = addresses.filter { !hostAddresses.contains($0) }
        func lines(_ family: AddressFamily) -> String {
            onLoopback.filter { $0.family == family }.map(\.description).joined(separator: " ")
        }
        // The host takes every source from the wire, so that what is dropped is dropped by the hook. The neighbour has
        // no address and answers nothing. A SYN-ACK is sent once.
        try Shell.run(
            """
            ip netns add \(name); ip netns add \(name)-n
            ip -n \(name) link add veth0 address 02:00:00:00:00:01 type veth \\
                peer name veth0 address 02:00:00:00:00:02 netns \(name)-n
            nsenter --net=/run/netns/\(name)-n sh -e -c '
                echo 1 > /proc/sys/net/ipv6/conf/veth0/disable_ipv6; ip link set veth0 up'
            nsenter --net=/run/netns/\(name) sh -e -c '
                cd /proc/sys/net/ipv4
                for name in all lo veth0; do
                    echo 0 > conf/$name/rp_filter; echo 1 > conf/$name/accept_local; echo 1 > conf/$name/route_localnet
                done
                echo 0 2147483647 > ping_group_range; echo 40000 60000 > ip_local_port_range; echo 0 > tcp_synack_retries
                cd ../ipv6/conf/veth0; echo 0 > accept_ra; echo 0 > accept_dad; echo 0 > router_solicitations
                ip link set lo up; ip link set veth0 up
                ip address add \(hostAddresses[0])/32 dev veth0; ip address add \(hostAddresses[1])/128 dev veth0 nodad
                for address in \(lines(.ipv4)); do ip address add $address/32 dev lo; done
                for address in \(lines(.ipv6)) \(mappedAddress); do ip address add $address/128 dev lo nodad; done
                ip neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev veth0 nud permanent
                ip neighbour add 2001:db8:77::2 lladdr 02:00:00:00:00:02 dev veth0 nud permanent
                ip route add default via 10.77.0.2 dev veth0 onlink src \(hostAddresses[0])
                ip route add default via 2001:db8:77::2 dev veth0 onlink src \(hostAddresses[1])'
            """)
    }

    /// An IPv4 application address in its IPv6 form, for packets that have no business having it.
    static let mappedAddress = "::ffff:\(RandomPolicies.subjects[0].addresses.all[0])"

    private static func makeCgroup(_ name: String) throws {
        guard unsafe mkdir("\(CgroupMount.path ?? "")/\(name)", 0o755) == 0 else {
            throw TestFailure("mkdir \(name): \(errno)")
        }
    }

    /// Takes away what a host was made of, once everything that refers to it has gone.
    private final class Remains {
        let name: String

        init(name: String) {
            self.name = name
        }

        deinit {
            Leftovers.remove(name)
        }
    }

    /// An instance that is unloaded with its owner.
    private final class LoadedInstance {
        let instance: Instance
        private let remains: Remains

        init(_ instance: Instance, keeping remains: Remains) {
            self.instance = instance
            self.remains = remains
        }

        deinit {
            try? instance.unload()
        }
    }
}

extension HookWorld.Member {
    /// Has its prober keep a socket that asks for an address.
    mutating func hold(
        _ transport: TransportProtocol, _ asked: String, _ port: UInt16, isDual: Bool = false
    ) throws {
        let address = HookWorld.address(asked)
        let family = isDual ? "6" : address.family == .ipv4 ? "4" : "only6"
        let name = "\(transport)-\(asked)-\(port)"
        try prober.demand("hold \(name) \(family) \(transport) \(asked) \(port)")
        guard let bound = bound(address, isDual: isDual) else { throw TestFailure("\(name) can't be bound") }
        sockets[HookWorld.Place(transport: transport, address: bound, port: port)] = HookWorld.HeldSocket(
            name: name, isWildcard: address.isUnspecified, isDual: isDual, family: bound.family)
    }

    /// Where an address that a program binds to is in truth; nil where it may not be.
    func bound(_ asked: IPAddress, isDual: Bool = false) -> IPAddress? {
        guard asked.isUnspecified else {
            return subject.addresses.contains(asked) ? asked : subject.loopback.own(asked)
        }
        if isDual, let ipv4 = subject.addresses.ipv4 { return ipv4 }
        return subject.addresses[asked.family] ?? subject.loopback.own(asked)
    }

    /// Where an address that a program calls is in truth, if somebody of its own takes the call there.
    func loopbackPeer(
        _ transport: TransportProtocol, _ asked: IPAddress, _ port: UInt16, connecting: Bool
    ) -> IPAddress? {
        guard let own = subject.loopback.own(asked) else { return nil }
        func socket(at address: IPAddress) -> HookWorld.HeldSocket? {
            sockets[HookWorld.Place(transport: transport, address: address, port: port)]
        }
        if socket(at: own) != nil { return own }
        if let wild = subject.addresses[asked.family], socket(at: wild)?.isWildcard == true { return wild }
        // Nobody minds a datagram that nobody takes; but a process of the host is not to get it.
        if transport == .udp { return port == HookWorld.hostPort || port == wildcardPort ? nil : own }
        // One that takes both families is on the IPv4 address.
        if connecting, asked.family == .ipv6, let wild = subject.addresses.ipv4, socket(at: wild)?.isDual == true {
            return wild
        }
        return nil
    }

    /// What a program is told of an address, one end of a connection whose other end is another one.
    func shown(_ address: IPAddress, other: IPAddress?) -> IPAddress {
        if let asked = subject.loopback.asked(address) { return asked }
        guard let other, subject.addresses.contains(address), subject.loopback.contains(other) else { return address }
        return HookWorld.localhost(address.family)
    }
}

extension HookWorld {
    /// 127.0.0.1, or ::1.
    static func localhost(_ family: AddressFamily) -> IPAddress {
        switch family {
        case .ipv4: address("127.0.0.1")
        case .ipv6: address("::1")
        }
    }
}
