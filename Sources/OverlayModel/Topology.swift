public import PolicyModel

/// A network as its customer describes it: who is in it, over what they reach each other, and which addresses are whose.
///
/// A value that was read and checked: ``TopologyFile``. Every engine's configuration is made of it: ``NodeConfiguration``.
public struct Topology: Hashable, Sendable {
    /// The network's name.
    public var network: String
    /// Every address of the network, in the order of the file.
    public var addressSpace: [IPPrefix]
    /// Where nodes have their addresses.
    public var nodeSubnet: IPPrefix
    /// Where clients have their static addresses.
    public var clientSubnet: IPPrefix?
    /// Where tunnels have the addresses of their ends, which no other node ever sees.
    public var linkSubnet: IPPrefix
    /// What nodes reach each other over, in the order of the file.
    public var underlays: [Underlay]
    /// The network's environments, and who may talk to whom: the same on every host.
    public var environments: [Environment]
    /// What is known by a name on every host, whichever of them it runs on. Each has an address.
    public var applications: [Application]
    /// Managers and hosts, by their numbers.
    public var nodes: [Node]
    /// The managers that keep the claims of addresses, in the order of the file; none where nothing may be claimed.
    public var store: [String]
    /// How a silent link is found out.
    public var failureDetection: FailureDetection
    /// The file's name, for messages.
    public var source: String
}

/// A way over which nodes reach each other: the internet, a provider's backbone, a line of one's own.
public struct Underlay: Hashable, Sendable {
    /// What tunnels over it carry.
    public enum Use: String, CaseIterable, Hashable, Sendable {
        /// The nodes' own talk only: nothing of an application.
        case management
        /// Applications, and the routing that they need.
        case data
        case both
    }

    /// Its name.
    public var name: String
    /// What tunnels over it carry.
    public var use: Use
    /// The largest packet that it takes, in bytes, its IP header included.
    public var mtu: Int
    /// The UDP port at which managers hear their hosts; the tunnel to the node with number N is at this port plus N.
    public var port: UInt16
    /// Where the file has it.
    public var line: Int
}

/// A manager or a host.
public struct Node: Hashable, Sendable {
    /// What a node is in the network.
    public enum Role: String, CaseIterable, Hashable, Sendable {
        /// A hub; all are equal.
        case manager
        /// Runs applications.
        case host
    }

    /// Where a node is on an underlay.
    public enum Endpoint: Hashable, Sendable {
        /// At an address that others can send to.
        case address(IPAddress)
        /// Somewhere: it begins, and others answer. Behind a translator, or wherever it is today.
        case dynamic
    }

    /// Its name.
    public var name: String
    /// What it is.
    public var role: Role
    /// Its address in the network.
    public var address: IPAddress
    /// Its address less the first of the node subnet, so that it is the node's own for as long as the address is.
    public var number: UInt32
    /// Where it is, by the underlay's name.
    public var endpoints: [String: Endpoint]
    /// Of a host, the managers that it joins through, in the order of the file. A manager meshes with all others.
    public var managers: [String]
    /// Of a host, other hosts that it has tunnels to, whichever of the two says so.
    public var direct: [String]
    /// Of a host, the addresses that its applications may have, and nobody else's, in the order of the file.
    public var applications: [IPPrefix]
    /// Of a host, the addresses that its applications may have while no other host has them (``Claims``), in the order of the
    /// file.
    public var claims: [IPPrefix]
    /// Where the file has it.
    public var line: Int
}

/// A probe each interval, and a link is lost after so many without an answer.
public struct FailureDetection: Hashable, Sendable {
    /// Milliseconds.
    public var interval: Int
    /// How many may be missing.
    public var multiplier: Int

    /// 150 ms: a connection is without an answer for about 220 ms then, and for 430 where it is twice as much, as TCP sends
    /// again only so often. Intervals of 20 ms and less broke connections on busy hosts.
    public static let standard = FailureDetection(interval: 50, multiplier: 3)
}

extension Topology {
    /// Where tunnels have the addresses of their ends unless the file says otherwise: 169.254.0.0/16, link-local
    /// addresses, which nothing else of a tunnel has.
    public static let standardLinkSubnet = IPPrefix(holding: IPAddress(ipv4: 0xa9fe_0000), length: 16)

    /// The hubs, by their numbers.
    public var managers: [Node] { nodes.filter { $0.role == .manager } }

    /// Who runs applications, by their numbers.
    public var hosts: [Node] { nodes.filter { $0.role == .host } }

    /// What the isolator of a host is told: the same of every host's, but for the cgroups of applications, which are
    /// those of hosts that may have their addresses.
    /// - Parameters:
    ///   - interfaces: those on which sources of the address space are believed.
    ///   - isApart: the network is not the machine's own, so that it has no say about the machine's cgroups.
    func policy(of node: Node, interfaces: [String], isApart: Bool) -> Policy {
        var applications = applications
        for index in applications.indices {
            let addresses = applications[index].addresses?.all ?? []
            if isApart || !addresses.allSatisfy(node.mayHave) { applications[index].cgroup = nil }
        }
        return Policy(
            addressSpace: addressSpace, addressSpaceInterfaces: interfaces,
            hostnames: applications.contains { $0.hostname != nil } ? .all : .attached, environments: environments,
            applications: applications, source: source)
    }

    /// The node of a name.
    public func node(named name: String) -> Node? { nodes.first { $0.name == name } }
}

extension Node {
    /// Whether an application of this host may have an address, be it for good or as long as no other host has it.
    public func mayHave(_ address: IPAddress) -> Bool { (applications + claims).contains { $0.contains(address) } }
}
