import Glibc
import PolicyModel
import TestSupport

@testable import VNEBPF

/// A host in a network namespace: an instance with four applications attached, a process of the host, and a neighbour on
/// the wire that can send whatever it likes. Everything goes with it.
final class HookWorld {
    /// One application, and the process in it.
    struct Member {
        var application: AttachedApplication
        var prober: Prober
        /// A port that its sockets were bound to before it was attached: to the wildcard, so that packets to any
        /// address of the host reach them.
        var wildcardPort: UInt16
        /// The identifier of its ping socket.
        var pingIdentifier: UInt16

        var subject: Subject { application.subject }
    }

    /// Ports at which every application has a TCP and a UDP socket that asked for the wildcard and was given the
    /// application address: the ports of ``RandomPolicies``, and their neighbours.
    static let ports: [UInt16] = Set(RandomPolicies.ports.flatMap { [$0 &- 1, $0, $0 &+ 1] }).subtracting([0]).sorted()

    /// The host's own address; the others are on loopback.
    static let hostAddress = address("10.77.0.1")
    /// One that the host got after the policy was published, a link-local one, and some in the address space that are no
    /// application's.
    private static let otherAddresses = ["198.51.100.7", "169.254.7.7", "10.10.1.4", "10.10.3.200", "10.10.255.9"].map {
        address($0)
    }
    /// All addresses that the host has, applications' included.
    static let addresses = [hostAddress] + otherAddresses + RandomPolicies.subjects.map(\.address)

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

    static func address(_ text: String) -> IPv4Address {
        guard let address = IPv4Address(text) else { preconditionFailure("\(text) is an address") }
        return address
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
        try instance.publish(Self.permissive, text: "", on: HostView(), revoking: true)
        for (index, prober) in probers.enumerated() { try attach(prober, index) }
    }

    /// Everything that is there after a policy that forbids nothing: the sockets are made under it.
    private static let permissive = Policy(
        addressSpace: [IPv4Prefix(holding: address("10.10.0.0"), length: 16)],
        environments: RandomPolicies.subjects.map {
            Environment(
                name: $0.environment, addresses: [IPv4Prefix(holding: $0.address, length: 32)],
                protocols: [.tcp, .udp, .ping])
        })

    private func attach(_ prober: Prober, _ index: Int) throws {
        let wildcardPort = UInt16(9_000 + index)
        for kind in ["tcp", "udp"] { try prober.demand("hold wild-\(kind) \(kind) 0.0.0.0 \(wildcardPort)") }

        let subject = RandomPolicies.subjects[index]
        let cgroup = "\(name)-\(RandomPolicies.applications[index].name)"
        let descriptor = unsafe Glibc.open("\(CgroupMount.path ?? "")/\(cgroup)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(descriptor) }
        var found = stat()
        guard unsafe fstat(descriptor, &found) == 0 else { throw TestFailure("no cgroup \(cgroup)") }
        let application = AttachedApplication(
            name: RandomPolicies.applications[index].name, environment: subject.environment,
            environmentID: try instance.environment(named: subject.environment)?.id ?? .max, address: subject.address,
            cgroupPath: cgroup, cgroupID: UInt64(found.st_ino), cgroupLevel: 1)
        try instance.attach(application, cgroup: descriptor)
        try instance.open(application)

        for port in Self.ports {
            for kind in ["tcp", "udp"] { try prober.demand("hold \(kind)-\(port) \(kind) 0.0.0.0 \(port)") }
        }
        for kind in ["tcp", "udp"] { try prober.demand("hold stock-\(kind) \(kind) - 0") }
        // The kernel runs no bind hook for these, so the wildcard would stay one, and egress would refuse its source.
        let identifier = try prober.demand("hold ping ping \(subject.address) 0")
        members.append(
            Member(
                application: application, prober: prober, wildcardPort: wildcardPort,
                pingIdentifier: UInt16(truncatingIfNeeded: identifier)))
    }

    /// Publishes a policy and attaches egress where it asks for it. No flow that was recorded before counts.
    func publish(_ policy: Policy, on host: HostView) throws {
        for member in members {
            try member.prober.demand("drop kept-")
            try member.prober.demand("drain")
        }
        try instance.publish(policy, text: "", on: host, revoking: true)
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

    /// What the hooks of an application have counted.
    func counters(of member: Int) throws -> VerdictCounters {
        try instance.counters(of: members[member].application)
    }

    // MARK: - Making and taking away

    private static func makeNetwork(_ name: String) throws {
        let onLoopback = addresses.filter { $0 != hostAddress }
        // The host takes every source from the wire, so that what is dropped is dropped by the hook. The neighbour has
        // no address and answers nothing. A SYN-ACK is sent once.
        try Shell.run(
            """
            ip netns add \(name); ip netns add \(name)-n
            ip -n \(name) link add veth0 address 02:00:00:00:00:01 type veth \\
                peer name veth0 address 02:00:00:00:00:02 netns \(name)-n
            ip -n \(name)-n link set veth0 up
            nsenter --net=/run/netns/\(name) sh -e -c '
                cd /proc/sys/net/ipv4
                for name in all lo veth0; do
                    echo 0 > conf/$name/rp_filter; echo 1 > conf/$name/accept_local; echo 1 > conf/$name/route_localnet
                done
                echo 0 2147483647 > ping_group_range; echo 40000 60000 > ip_local_port_range; echo 0 > tcp_synack_retries
                ip link set lo up; ip link set veth0 up
                ip address add \(hostAddress)/32 dev veth0
                for address in \(onLoopback.map(\.description).joined(separator: " ")); do
                    ip address add $address/32 dev lo
                done
                ip neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev veth0 nud permanent
                ip route add default via 10.77.0.2 dev veth0 onlink src \(hostAddress)'
            """)
    }

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
