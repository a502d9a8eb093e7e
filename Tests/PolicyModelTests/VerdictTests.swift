import PolicyModel
import Testing

/// The precedence table of the decision, line by line.
@Suite struct VerdictTests {
    /// An attempt by an application, and what must come of it.
    struct Case: Sendable, CustomTestStringConvertible {
        var text: String
        var subject: Subject
        var attempt: Attempt
        var reason: Reason
        var line: Int?

        init(_ text: String, _ subject: Subject, _ attempt: Attempt, _ reason: Reason, line: Int? = nil) {
            self.text = text
            self.subject = subject
            self.attempt = attempt
            self.reason = reason
            self.line = line
        }

        var testDescription: String { text }
    }

    static let policy = Policy(
        addressSpace: [net("10.10.0.0/16"), net("127.77.0.0/16"), net("192.168.1.7"), net("fd00::/24")],
        environments: [
            Environment(
                name: "shop", addresses: [net("10.10.2.0/24"), net("192.168.1.7"), net("fd00:2::/64")],
                remoteIn: .deny(line: 13),
                remoteOut: RemotePolicy(
                    otherwise: false, otherwiseLine: 14,
                    rules: [
                        RemoteRule(
                            prefix: net("192.0.2.0/24"), ports: ports("tcp/443", "udp/53", "ping"), allows: true,
                            line: 15),
                        RemoteRule(prefix: net("192.0.2.128/25"), allows: false, line: 16),
                        RemoteRule(prefix: net("192.0.2.200"), ports: ports("tcp/443"), allows: true, line: 17),
                        RemoteRule(prefix: net("192.0.2.201"), allows: true, line: 18),
                        RemoteRule(prefix: net("192.0.2.201"), allows: false, line: 19),
                        RemoteRule(prefix: net("2001:db8::/32"), ports: ports("tcp/443"), allows: true, line: 20),
                        RemoteRule(prefix: net("2001:db8:1::/48"), allows: false, line: 20),
                    ]),
                permits: [
                    Permit(to: "payments", application: "db", ports: ports("tcp/5432"), line: 11),
                    Permit(to: "mail", ports: ports("udp/53", "ping"), line: 12),
                ],
                protocols: [.tcp, .udp, .ping]),
            Environment(
                name: "payments", addresses: [net("10.10.3.0/24"), net("fd00:3::/64")],
                remoteIn: RemotePolicy(
                    otherwise: false, otherwiseLine: 23,
                    rules: [
                        RemoteRule(
                            prefix: net("203.0.113.0/24"), ports: ports("tcp/443", "udp/443"), allows: true, line: 22)
                    ]),
                remoteOut: .deny(line: 24), host: false, permits: [Permit(to: "mail", line: 21)]),
            Environment(
                name: "mail", addresses: [net("10.10.4.0/24"), net("fd00:4::/64")], linkLocal: true, multicast: true,
                permits: [Permit(to: "shop", application: "web", ports: ports("tcp/25"), line: 31)],
                protocols: [.tcp, .udp, .ping]),
            Environment(name: "plain", addresses: [net("10.10.5.0/24")], protocols: [.tcp]),
            Environment(
                name: "watched", addresses: [net("10.10.6.0/24")], remoteOut: .deny(line: 41), host: false,
                mode: .audit),
        ],
        applications: [
            Application(name: "web", environment: "shop", addresses: own("10.10.2.1", "fd00:2::1")),
            Application(name: "db", environment: "payments", addresses: own("10.10.3.1", "fd00:3::1")),
        ],
        loopbackShared: [SharedService(address: ip("127.0.0.1"), port: 11211)])

    static let host = HostView(
        addresses: [ip("192.168.1.5"), ip("169.254.7.7"), ip("10.10.9.9"), ip("2001:db8:5::5")],
        broadcasts: [ip("192.168.1.255"), ip("10.10.255.255")],
        sharedServices: [
            SharedService(address: ip("127.0.0.53"), port: 53), SharedService(address: ip("::1"), port: 53),
        ], interfaces: ["eth1": 7])

    static let web = Subject(
        environment: "shop", addresses: own("10.10.2.1", "fd00:2::1"), loopback: loopback(0))
    static let db = Subject(
        environment: "payments", addresses: own("10.10.3.1", "fd00:3::1"), loopback: loopback(1))
    static let post = Subject(environment: "mail", addresses: own("10.10.4.1"), loopback: loopback(2))
    static let plain = Subject(environment: "plain", addresses: own("10.10.5.1"), loopback: loopback(3))
    static let watched = Subject(environment: "watched", addresses: own("10.10.6.1"), loopback: loopback(4))
    static let six = Subject(environment: "mail", addresses: own("fd00:4::6"), loopback: loopback(9))
    static let nobody = Subject(environment: "nowhere", addresses: own("10.10.2.1"), loopback: loopback(5))

    static func out(
        _ transport: TransportProtocol, _ to: String, _ port: UInt16, answers: Bool = false, from local: UInt16 = 0,
        source: String? = nil, listens: Bool = true
    ) -> Attempt {
        .outgoing(
            Outgoing(
                transport, to: ip(to), port: port, source: source.map { ip($0) }, loopbackListens: listens,
                answersFlow: answers, localPort: local))
    }

    /// A packet to web unless said otherwise.
    static func into(
        _ transport: TransportProtocol, _ from: String, _ port: UInt16, to: String = "10.10.2.1", at local: UInt16 = 80,
        on arrival: Incoming.Arrival = .thisHost, opens: Bool = true, answers: Bool = false, owns: Bool = true,
        isFound: Bool = true, accepts: Bool = false
    ) -> Attempt {
        .incoming(
            Incoming(
                transport, from: ip(from), port: port, to: ip(to), port: local, arrival: arrival, opensFlow: opens,
                answersFlow: answers, sender: owns ? .owner : isFound ? .other : .unknown, acceptsFlow: accepts))
    }

    static let wire = Incoming.Arrival.interface(2)
    static let overlay = Incoming.Arrival.interface(7)

    static let sockets: [Case] = [
        Case("an unknown environment is unconfigured", nobody, .create(.tcp), .unconfigured),
        Case("also at bind", nobody, .bind(.tcp, ip("0.0.0.0")), .unconfigured),
        Case("also going out", nobody, out(.tcp, "10.10.2.2", 80), .unconfigured),
        Case("also coming in", nobody, into(.tcp, "10.10.2.2", 80), .unconfigured),
        Case("a protocol of the environment", web, .create(.ping), .permittedUse),
        Case("a protocol that it has not", db, .create(.ping), .protocol),
        Case("binding the wildcard", web, .bind(.tcp, ip("0.0.0.0")), .permittedUse),
        Case("binding the own address", web, .bind(.udp, ip("10.10.2.1")), .permittedUse),
        Case("binding a neighbour's", web, .bind(.tcp, ip("10.10.2.2")), .foreignAddress),
        Case("binding the wildcard of IPv6", web, .bind(.tcp, ip("::")), .permittedUse),
        Case("also without an address of the family", plain, .bind(.tcp, ip("::")), .permittedUse),
        Case("and the other way round", six, .bind(.tcp, ip("0.0.0.0")), .permittedUse),
        Case("binding the own IPv6 address", web, .bind(.udp, ip("fd00:2::1")), .permittedUse),
        Case("mapped, it is the IPv4 address", web, .bind(.udp, ip("::ffff:10.10.2.1")), .permittedUse),
        Case("binding a neighbour's IPv6 address", web, .bind(.udp, ip("fd00:2::2")), .foreignAddress),
        Case("binding loopback", web, .bind(.tcp, ip("127.0.0.1")), .permittedUse),
        Case("binding the loopback of IPv6", plain, .bind(.tcp, ip("::1")), .permittedUse),
        Case("binding what Debian calls the host", web, .bind(.tcp, ip("127.0.1.1")), .permittedUse),
        Case("binding the rest of loopback", web, .bind(.tcp, ip("127.0.2.1")), .foreignAddress),
        Case("binding a private loopback by its own name", web, .bind(.tcp, ip("127.1.0.1")), .foreignAddress),
        Case("and that of IPv6", web, .bind(.tcp, ip("fd56:4e45::")), .foreignAddress),
        Case("binding a group", web, .bind(.udp, ip("224.0.0.251")), .foreignAddress),
        Case("where the environment hears groups", post, .bind(.udp, ip("224.0.0.251")), .permittedUse),
        Case("or a broadcast address", post, .bind(.udp, ip("192.168.1.255")), .permittedUse),
        Case("with TCP it is not heard", post, .bind(.tcp, ip("224.0.0.251")), .foreignAddress),
        Case("binding the host's", web, .bind(.tcp, ip("192.168.1.5")), .foreignAddress),
    ]

    static let going: [Case] = [
        Case("protocol before all", plain, out(.udp, "10.10.5.2", 53), .protocol),
        Case("loopback", web, out(.tcp, "127.0.0.1", 80), .ownLoopback),
        Case("where nobody listens", web, out(.tcp, "127.0.0.1", 80, listens: false), .loopback),
        Case("loopback of IPv6", plain, out(.tcp, "::1", 80), .ownLoopback),
        Case("where nobody listens either", web, out(.tcp, "::1", 80, listens: false), .loopback),
        Case("the host's own name", web, out(.tcp, "127.0.1.1", 80), .ownLoopback),
        Case("another part of loopback", web, out(.tcp, "127.0.2.1", 80), .loopback),
        Case("its last address", web, out(.tcp, "127.255.255.255", 80), .loopback),
        Case("the own loopback by its own name", web, out(.tcp, "127.1.0.1", 80), .loopback),
        Case("another application's", web, out(.tcp, "127.1.1.1", 80), .loopback),
        Case("the own one of IPv6", web, out(.tcp, "fd56:4e45::", 80), .loopback),
        Case("without an address of the family", plain, out(.tcp, "fd56:4e45::1", 80), .loopback),
        Case("another application's of IPv6", web, out(.tcp, "fd56:4e45::1", 80), .loopback),
        Case("pinging loopback", web, out(.ping, "127.0.0.1", 0, listens: false), .ownLoopback),
        Case("the wildcard as destination", web, out(.tcp, "0.0.0.0", 80), .ownLoopback),
        Case("that of IPv6", six, out(.tcp, "::", 80), .ownLoopback),
        Case("a service that the policy shares", web, out(.tcp, "127.0.0.1", 11211, listens: false), .shared),
        Case("also with IPv6 only", six, out(.udp, "127.0.0.1", 11211, listens: false), .shared),
        Case("the resolver over IPv6", plain, out(.tcp, "::1", 53, listens: false), .shared),
        Case("no address of the family", plain, out(.tcp, "2001:db8::1", 443), .noFamily),
        Case("none of the other", six, out(.tcp, "10.10.4.1", 25), .noFamily),
        Case("not even multicast", plain, out(.tcp, "ff02::1", 80), .noFamily),
        Case("a mapped address is of IPv4", plain, out(.tcp, "::ffff:10.10.5.2", 80), .ownEnvironment),
        Case("the own environment over IPv6", web, out(.tcp, "fd00:2::2", 1), .ownEnvironment),
        Case("a permit to an application over IPv6", web, out(.tcp, "fd00:3::1", 5432), .permit, line: 11),
        Case("to another address of it", web, out(.tcp, "fd00:3::2", 5432), .otherEnvironment),
        Case("a permit to all of it over IPv6", web, out(.udp, "fd00:4::9", 53), .permit, line: 12),
        Case(
            "an answer over TCP and IPv6", db, out(.tcp, "fd00:2::1", 40000, answers: true, from: 5432), .answer,
            line: 11),
        Case("unassigned in IPv6", web, out(.tcp, "fd00:5::1", 80), .unassigned),
        Case("the host over IPv6", web, out(.tcp, "2001:db8:5::5", 22), .host),
        Case("link-local over IPv6", six, out(.tcp, "fe80::1", 80), .linkLocal),
        Case("denied", web, out(.tcp, "fe80::1", 80), .linkLocalDenied),
        Case("a group of IPv6", web, out(.udp, "ff02::fb", 5353), .multicast),
        Case("a remote over IPv6", web, out(.tcp, "2001:db8::1", 443), .remote, line: 20),
        Case("the longer prefix denies in IPv6 too", web, out(.tcp, "2001:db8:1::1", 443), .remoteDenied, line: 20),
        Case("a remote of IPv6 on no list", web, out(.tcp, "2600::1", 443), .remoteDenied, line: 14),
        Case("the rest of 0/8 is remote", web, out(.tcp, "0.0.0.1", 80), .remoteDenied, line: 14),
        Case("the resolver over UDP", web, out(.udp, "127.0.0.53", 53), .shared),
        Case("the resolver over TCP", web, out(.tcp, "127.0.0.53", 53), .shared),
        Case("another port of the resolver", web, out(.udp, "127.0.0.53", 54, listens: false), .loopback),
        Case("ping to the resolver", web, out(.ping, "127.0.0.53", 53), .ownLoopback),
        Case("the own environment", web, out(.tcp, "10.10.2.9", 1), .ownEnvironment),
        Case("its other prefix, although a host's network", web, out(.tcp, "192.168.1.7", 1), .ownEnvironment),
        Case("a permit to an application", web, out(.tcp, "10.10.3.1", 5432), .permit, line: 11),
        Case("another port of it", web, out(.tcp, "10.10.3.1", 5433), .otherEnvironment),
        Case("another protocol", web, out(.udp, "10.10.3.1", 5432), .otherEnvironment),
        Case("another address", web, out(.tcp, "10.10.3.2", 5432), .otherEnvironment),
        Case("a permit to all of it", web, out(.udp, "10.10.4.200", 53), .permit, line: 12),
        Case("a permit for ping, which has no ports", web, out(.ping, "10.10.4.1", 99), .permit, line: 12),
        Case("a permit without ports", db, out(.tcp, "10.10.4.1", 9), .permit, line: 21),
        Case("a permit the other way is none", db, out(.tcp, "10.10.2.1", 5432), .otherEnvironment),
        Case(
            "an answer over TCP from the permitted port", db,
            out(.tcp, "10.10.2.1", 40000, answers: true, from: 5432), .answer, line: 11),
        Case(
            "one from another port", db, out(.tcp, "10.10.2.1", 40000, answers: true, from: 5433), .otherEnvironment),
        Case(
            "one from another application",
            Subject(environment: "payments", addresses: own("10.10.3.2"), loopback: loopback(6)),
            out(.tcp, "10.10.2.1", 40000, answers: true, from: 5432), .otherEnvironment),
        Case("a segment that opens", db, out(.tcp, "10.10.2.1", 40000, from: 5432), .otherEnvironment),
        Case("an answer over UDP", db, out(.udp, "10.10.2.1", 40000, answers: true), .answer),
        Case("an answer to a ping", post, out(.ping, "10.10.2.1", 0, answers: true), .answer),
        Case("unassigned", web, out(.tcp, "10.10.200.1", 80), .unassigned),
        Case("unassigned, although on loopback", web, out(.tcp, "127.77.0.1", 80), .unassigned),
        Case("unassigned, although a broadcast", web, out(.udp, "10.10.255.255", 80), .unassigned),
        Case("unassigned, although the host's", web, out(.udp, "10.10.9.9", 80), .unassigned),
        Case("the host", web, out(.tcp, "192.168.1.5", 22), .host),
        Case("the host, denied", db, out(.tcp, "192.168.1.5", 22), .hostDenied),
        Case("the host's link-local address is the host", web, out(.tcp, "169.254.7.7", 22), .host),
        Case("link-local", post, out(.tcp, "169.254.1.1", 80), .linkLocal),
        Case("link-local, denied", web, out(.tcp, "169.254.1.1", 80), .linkLocalDenied),
        Case("multicast", web, out(.udp, "239.1.2.3", 80), .multicast),
        Case("the end of multicast", web, out(.udp, "239.255.255.255", 80), .multicast),
        Case("broadcast", web, out(.udp, "255.255.255.255", 67), .broadcast),
        Case("a network's broadcast", web, out(.udp, "192.168.1.255", 67), .broadcast),
        Case("multicast, allowed", post, out(.udp, "239.1.2.3", 80), .group),
        Case("not with TCP", post, out(.tcp, "239.1.2.3", 80), .multicast),
        Case("nor ping", post, out(.ping, "239.1.2.3", 0), .multicast),
        Case("over IPv6", six, out(.udp, "ff02::fb", 5353), .group),
        Case("not without an address of the family", six, out(.udp, "239.1.2.3", 80), .noFamily),
        Case("broadcast, allowed", post, out(.udp, "255.255.255.255", 67), .group),
        Case("a remote on the list", web, out(.tcp, "192.0.2.1", 443), .remote, line: 15),
        Case("another port of it", web, out(.tcp, "192.0.2.1", 80), .remoteDenied, line: 14),
        Case("a ping to it", web, out(.ping, "192.0.2.1", 0), .remote, line: 15),
        Case("the longer prefix denies", web, out(.tcp, "192.0.2.130", 443), .remoteDenied, line: 16),
        Case("the still longer one allows", web, out(.tcp, "192.0.2.200", 443), .remote, line: 17),
        Case("for its port only", web, out(.udp, "192.0.2.200", 53), .remoteDenied, line: 16),
        Case("of equal ones a denial", web, out(.tcp, "192.0.2.201", 443), .remoteDenied, line: 19),
        Case("240/4 is remote", plain, out(.tcp, "240.0.0.1", 443), .remote),
        Case("no policy for remotes allows", plain, out(.tcp, "198.51.100.1", 443), .remote),
        Case(
            "an answer to a remote that was let in", db,
            out(.tcp, "203.0.113.5", 50000, answers: true, from: 443), .answer, line: 22),
        Case(
            "from a port that was not", db, out(.tcp, "203.0.113.5", 50000, answers: true, from: 80), .remoteDenied,
            line: 24),
        Case("a bare SYN is no answer", db, out(.tcp, "203.0.113.5", 50000, from: 443), .remoteDenied, line: 24),
        Case("a datagram of a recorded flow", db, out(.udp, "198.51.100.1", 5, answers: true), .answer),
        Case("and of none", db, out(.udp, "198.51.100.1", 5), .remoteDenied, line: 24),
    ]

    static let leaving: [Case] = [
        Case("the own address as source", web, out(.tcp, "10.10.2.9", 1, source: "10.10.2.1"), .ownEnvironment),
        Case("that of IPv6", web, out(.tcp, "fd00:2::9", 1, source: "fd00:2::1"), .ownEnvironment),
        Case("a neighbour's as source", web, out(.tcp, "10.10.2.9", 1, source: "10.10.2.2"), .source),
        Case("the host's as source", web, out(.tcp, "10.10.2.9", 1, source: "192.168.1.5"), .source),
        Case("no address of the family", plain, out(.tcp, "2001:db8::1", 1, source: "2001:db8:5::5"), .source),
        Case("the protocol first", plain, out(.udp, "10.10.5.2", 1, source: "10.10.2.2"), .protocol),
        Case("over the own loopback", web, out(.tcp, "127.1.0.1", 1, source: "127.1.0.1"), .ownLoopback),
        Case("over that of IPv6", plain, out(.tcp, "fd56:4e45::3", 1, source: "fd56:4e45::3"), .ownLoopback),
        Case("from it to the own address", web, out(.tcp, "10.10.2.1", 1, source: "127.1.0.129"), .ownLoopback),
        Case("to it from the own address", web, out(.udp, "fd56:4e45::", 1, source: "fd00:2::1"), .ownLoopback),
        Case("from it to a neighbour", web, out(.tcp, "10.10.2.9", 1, source: "127.1.0.1"), .source),
        Case("from it to a shared service", web, out(.udp, "127.0.0.53", 53, source: "127.1.0.1"), .shared),
        Case("a ping to it", web, out(.ping, "127.0.0.53", 53, source: "127.1.0.1"), .source),
        Case("of two families", web, out(.tcp, "10.10.2.1", 1, source: "fd56:4e45::"), .source),
        Case("from another application's", web, out(.tcp, "127.1.0.1", 1, source: "127.1.1.1"), .source),
        Case("to another application's", web, out(.tcp, "127.1.1.1", 1, source: "10.10.2.1"), .loopback),
        Case("to another one's of IPv6", web, out(.tcp, "fd56:4e45::1", 1, source: "fd00:2::1"), .loopback),
        Case(
            "to an address of the block that nobody has", web, out(.tcp, "127.1.0.0", 1, source: "10.10.2.1"), .loopback
        ),
        Case("to a shared service", web, out(.udp, "127.0.0.53", 53, source: "10.10.2.1"), .shared),
        Case("to loopback by the program's name", web, out(.udp, "127.0.0.1", 80, source: "10.10.2.1"), .loopback),
    ]

    static let coming: [Case] = [
        Case("over the own loopback", web, into(.tcp, "127.1.0.1", 5, to: "127.1.0.1"), .ownLoopback),
        Case("over that of IPv6", db, into(.tcp, "fd56:4e45::1", 5, to: "fd56:4e45::1"), .ownLoopback),
        Case("to it from the own address", web, into(.udp, "10.10.2.1", 5, to: "127.1.0.53"), .ownLoopback),
        Case("from it to the own address", web, into(.udp, "127.1.0.254", 5), .ownLoopback),
        Case("to it in a protocol that it has not", plain, into(.udp, "127.1.3.1", 5, to: "127.1.3.1"), .protocol),
        Case("from another application's loopback", web, into(.tcp, "127.1.1.1", 5, to: "127.1.0.1"), .loopback),
        Case("from the host's", web, into(.tcp, "127.0.0.1", 5, to: "127.1.0.1"), .loopback),
        Case("from a neighbour to the loopback", web, into(.tcp, "10.10.2.9", 5, to: "127.1.0.1"), .loopback),
        Case("from a resolver to the loopback", web, into(.udp, "127.0.0.53", 53, to: "127.1.0.1"), .shared),
        Case("which opens nothing", web, into(.tcp, "127.0.0.53", 53, to: "127.1.0.1"), .loopback),
        Case("and pings nobody", web, into(.ping, "127.0.0.53", 53, to: "127.1.0.1"), .loopback),
        Case("over the wire it is none", web, into(.udp, "127.0.0.53", 53, to: "127.1.0.1", on: wire), .loopback),
        Case("over the wire", web, into(.tcp, "127.1.0.1", 5, to: "127.1.0.1", on: wire), .loopback),
        Case(
            "with the own address over the wire", web, into(.tcp, "fd00:2::1", 5, to: "fd56:4e45::", on: overlay),
            .loopback),
        Case(
            "from a host process in its name", web,
            into(.tcp, "127.1.0.1", 5, to: "127.1.0.1", owns: false), .loopback),
        Case(
            "a SYN-ACK of one", web,
            into(.tcp, "127.1.0.1", 5, to: "127.1.0.1", opens: false, owns: false, accepts: true), .loopback),
        Case(
            "a later segment", web, into(.tcp, "127.1.0.1", 5, to: "127.1.0.1", opens: false, owns: false), .ownLoopback
        ),
        Case("an echo reply", web, into(.ping, "127.1.0.1", 0, to: "127.1.0.1", owns: false), .ownLoopback),
        Case(
            "its own loopback to the own address by a host process", web, into(.udp, "127.1.0.1", 5, owns: false),
            .forged),
        Case("and over the wire", web, into(.udp, "127.1.0.1", 5, on: wire), .forged),
        Case(
            "to an address of the block that nobody has", web, into(.tcp, "127.1.0.1", 5, to: "127.1.0.128"),
            .notAddressed),
        Case("to the loopback by the program's name", web, into(.tcp, "127.0.0.1", 5, to: "127.0.0.1"), .notAddressed),
        Case("another application's loopback is the host", web, into(.tcp, "127.1.1.1", 5), .host),
        Case("that of IPv6 as well", web, into(.tcp, "fd56:4e45::1", 5, to: "fd00:2::1"), .host),
        Case("where the host is denied", db, into(.tcp, "fd56:4e45::5", 5, to: "fd00:3::1"), .hostDenied),
        Case("which is forged over the wire", web, into(.tcp, "fd56:4e45::1", 5, to: "fd00:2::1", on: wire), .forged),
        Case(
            "an address of the other family that it has not", six, into(.tcp, "10.10.4.9", 5, to: "10.10.4.6"),
            .notAddressed),
        Case("the own environment over IPv6", web, into(.tcp, "fd00:2::9", 5, to: "fd00:2::1"), .ownEnvironment),
        Case("forged over IPv6", web, into(.tcp, "fd00:2::9", 5, to: "fd00:2::1", on: wire), .forged),
        Case("a permit over IPv6", db, into(.tcp, "fd00:2::9", 5, to: "fd00:3::1", at: 5432), .permit, line: 11),
        Case(
            "an answer over IPv6", web,
            into(.tcp, "fd00:3::1", 5432, to: "fd00:2::1", opens: false), .answer, line: 11),
        Case("the host over IPv6", web, into(.tcp, "2001:db8:5::5", 5, to: "fd00:2::1"), .host),
        Case("link-local of IPv6 from this host", db, into(.tcp, "fe80::1", 5, to: "fd00:3::1"), .hostDenied),
        Case("from a link", six, into(.tcp, "fe80::1", 5, to: "fd00:4::6", on: wire), .linkLocal),
        Case("a group of IPv6 as source", web, into(.udp, "ff02::1", 5, to: "fd00:2::1"), .malformed),
        Case("the wildcard of IPv6 as source", web, into(.udp, "::", 5, to: "fd00:2::1", on: wire), .forged),
        Case("a resolver over IPv6", db, into(.udp, "::1", 53, to: "fd00:3::1"), .shared),
        Case("a shared service", db, into(.udp, "127.0.0.1", 11211, to: "10.10.3.1"), .shared),
        Case(
            "a remote over IPv6", web, into(.tcp, "2001:db8::1", 443, to: "fd00:2::1", on: wire), .remoteDenied,
            line: 13),
        Case(
            "its answer", web, into(.tcp, "2001:db8::1", 443, to: "fd00:2::1", on: wire, opens: false), .answer,
            line: 20),
        Case("for another address", web, into(.tcp, "10.10.2.9", 5, to: "10.10.2.2"), .notAddressed),
        Case("that before the protocol", plain, into(.udp, "10.10.5.9", 5, to: "10.10.2.2"), .notAddressed),
        Case("a protocol it has not", plain, into(.udp, "10.10.5.9", 5, to: "10.10.5.1"), .protocol),
        Case("the own environment", web, into(.tcp, "10.10.2.9", 5), .ownEnvironment),
        Case("the own address", web, into(.tcp, "10.10.2.1", 5), .ownEnvironment),
        Case("over the wire it is forged", web, into(.tcp, "10.10.2.9", 5, on: wire), .forged),
        Case("over the overlay it is believed", web, into(.tcp, "10.10.2.9", 5, on: overlay), .ownEnvironment),
        Case(
            "there nobody asks for the sender", web, into(.tcp, "10.10.2.9", 5, on: overlay, owns: false),
            .ownEnvironment),
        Case("unassigned", web, into(.tcp, "10.10.200.1", 5), .unassigned),
        Case("unassigned over the wire", web, into(.tcp, "10.10.200.1", 5, on: wire), .forged),
        Case(
            "a host process with a member's address, where the host is allowed as well", web,
            into(.tcp, "10.10.2.9", 5, owns: false), .ownEnvironment),
        Case("a host process with another environment's", web, into(.tcp, "10.10.3.9", 5, owns: false), .host),
        Case(
            "judged as the host, denied", db, into(.tcp, "10.10.3.9", 5, to: "10.10.3.1", owns: false), .hostDenied),
        Case(
            "whose socket is not found", web, into(.tcp, "10.10.3.9", 5, owns: false, isFound: false), .otherEnvironment
        ),
        Case("nor in a datagram", web, into(.udp, "10.10.9.9", 5, owns: false, isFound: false), .unassigned),
        Case(
            "what is allowed wants its owner", db,
            into(.udp, "10.10.3.9", 5, to: "10.10.3.1", owns: false, isFound: false),
            .hostDenied),
        Case("with an unassigned one", web, into(.udp, "10.10.9.9", 5, owns: false), .host),
        Case("a datagram of it", web, into(.udp, "10.10.3.9", 5, owns: false), .host),
        Case(
            "a datagram is asked, whatever it says", web, into(.udp, "10.10.3.9", 5, opens: false, owns: false), .host),
        Case(
            "a segment behind the handshake is not asked", web,
            into(.tcp, "10.10.2.9", 5, opens: false, owns: false), .ownEnvironment),
        Case(
            "a daemon of the host does not answer there", web,
            into(.tcp, "10.10.2.9", 5, opens: false, owns: false, accepts: true), .forged),
        Case(
            "the application does", web, into(.tcp, "10.10.2.9", 5, opens: false, accepts: true), .ownEnvironment),
        Case(
            "a datagram accepts nothing", web, into(.udp, "10.10.3.9", 5, owns: false, accepts: true), .host),
        Case("a permit", db, into(.tcp, "10.10.2.77", 5, to: "10.10.3.1", at: 5432), .permit, line: 11),
        Case(
            "its later segments too", db, into(.tcp, "10.10.2.77", 5, to: "10.10.3.1", at: 5432, opens: false), .permit,
            line: 11),
        Case("another port", db, into(.tcp, "10.10.2.77", 5, to: "10.10.3.1", at: 80), .otherEnvironment),
        Case(
            "another application", Subject(environment: "payments", addresses: own("10.10.3.2"), loopback: loopback(7)),
            into(.tcp, "10.10.2.77", 5, to: "10.10.3.2", at: 5432), .otherEnvironment),
        Case("a permit over the wire is forged", db, into(.tcp, "10.10.2.7", 5, to: "10.10.3.1", on: wire), .forged),
        Case("an answer over TCP", web, into(.tcp, "10.10.3.1", 5432, at: 40000, opens: false), .answer, line: 11),
        Case("from another port", web, into(.tcp, "10.10.3.1", 80, at: 40000, opens: false), .otherEnvironment),
        Case(
            "from another application", web, into(.tcp, "10.10.3.2", 5432, at: 40000, opens: false), .otherEnvironment),
        Case("a bare SYN", web, into(.tcp, "10.10.3.1", 5432, at: 40000), .otherEnvironment),
        Case("an answer over UDP", web, into(.udp, "10.10.4.1", 53, at: 40000, answers: true), .answer, line: 12),
        Case("without a flow", web, into(.udp, "10.10.4.1", 53, at: 40000), .otherEnvironment),
        Case(
            "of a flow that no permit covers any more", web, into(.udp, "10.10.4.1", 54, at: 40000, answers: true),
            .otherEnvironment),
        Case("an answer to a ping", web, into(.ping, "10.10.4.1", 0, at: 9, answers: true), .answer, line: 12),
        Case("a group", web, into(.udp, "10.10.2.9", 5, to: "239.1.2.3"), .notAddressed),
        Case("a group that may be heard", post, into(.udp, "10.10.4.2", 5, to: "239.1.2.3"), .ownEnvironment),
        Case("from nobody's socket", post, into(.udp, "10.10.4.2", 5, to: "239.1.2.3", owns: false), .ownEnvironment),
        Case("from another environment", post, into(.udp, "10.10.5.1", 5, to: "239.1.2.3"), .otherEnvironment),
        Case(
            "which is never judged as the host", post, into(.udp, "10.10.5.1", 5, to: "239.1.2.3", owns: false),
            .otherEnvironment),
        Case("by a permit", post, into(.udp, "10.10.2.1", 5, to: "239.1.2.3", at: 53), .permit, line: 12),
        Case("from the host", post, into(.udp, "192.168.1.5", 5, to: "255.255.255.255"), .host),
        Case("a remote's", post, into(.udp, "203.0.113.9", 5, to: "239.1.2.3", on: wire), .remote),
        Case("forged over the wire", post, into(.udp, "10.10.4.2", 5, to: "239.1.2.3", on: wire), .forged),
        Case("the own loopback as its source", post, into(.udp, "127.1.2.1", 5, to: "239.1.2.3"), .forged),
        Case("over TCP", post, into(.tcp, "10.10.4.2", 5, to: "239.1.2.3"), .notAddressed),
        Case("of the family that it has not", six, into(.udp, "10.10.4.2", 5, to: "239.1.2.3"), .notAddressed),
        Case("of the one that it has", six, into(.udp, "fd00:4::9", 5, to: "ff15::7"), .ownEnvironment),
        Case("a multicast source", web, into(.udp, "224.0.0.1", 5), .malformed),
        Case("a broadcast source", web, into(.udp, "255.255.255.255", 5), .malformed),
        Case("a network's broadcast as source", web, into(.udp, "192.168.1.255", 5, on: wire), .malformed),
        Case("loopback over the wire", web, into(.udp, "127.0.0.1", 5, on: wire), .forged),
        Case("the wildcard over the overlay", web, into(.udp, "0.0.0.0", 5, on: overlay), .forged),
        Case("the resolver answers", db, into(.udp, "127.0.0.53", 53, to: "10.10.3.1"), .shared),
        Case(
            "also over TCP", db, into(.tcp, "127.0.0.53", 53, to: "10.10.3.1", opens: false), .shared),
        Case("but opens nothing", db, into(.tcp, "127.0.0.53", 53, to: "10.10.3.1"), .hostDenied),
        Case("loopback is the host", web, into(.tcp, "127.0.0.1", 5), .host),
        Case("ping from loopback is the host", web, into(.ping, "127.0.0.53", 53), .host),
        Case("loopback, where the host is denied", db, into(.tcp, "127.0.0.1", 5, to: "10.10.3.1"), .hostDenied),
        Case("the host", web, into(.tcp, "192.168.1.5", 5), .host),
        Case("the host, denied", db, into(.tcp, "192.168.1.5", 5, to: "10.10.3.1"), .hostDenied),
        Case("the host's address over the wire", web, into(.tcp, "192.168.1.5", 5, on: wire), .forged),
        Case("an address that the host got later", web, into(.tcp, "192.0.2.77", 5), .host),
        Case("a link-local one that it got later", db, into(.tcp, "169.254.1.1", 5, to: "10.10.3.1"), .hostDenied),
        Case("link-local", post, into(.tcp, "169.254.1.1", 5, to: "10.10.4.1", on: wire), .linkLocal),
        Case("link-local, denied", web, into(.tcp, "169.254.1.1", 5, on: wire), .linkLocalDenied),
        Case(
            "a remote on the list", db, into(.tcp, "203.0.113.9", 5, to: "10.10.3.1", at: 443, on: wire), .remote,
            line: 22),
        Case(
            "a remote to another port", db, into(.tcp, "203.0.113.9", 5, to: "10.10.3.1", at: 80, on: wire),
            .remoteDenied, line: 23),
        Case("a remote, denied", web, into(.tcp, "192.0.2.1", 443, on: wire), .remoteDenied, line: 13),
        Case("an answer of a remote", web, into(.tcp, "192.0.2.1", 443, on: wire, opens: false), .answer, line: 15),
        Case("from another port", web, into(.tcp, "192.0.2.1", 80, on: wire, opens: false), .remoteDenied, line: 13),
        Case("an answer over UDP", web, into(.udp, "192.0.2.1", 53, on: wire, answers: true), .answer, line: 15),
        Case("without a flow", web, into(.udp, "192.0.2.1", 53, on: wire), .remoteDenied, line: 13),
        Case(
            "of a flow that is denied by now", web, into(.udp, "192.0.2.1", 54, on: wire, answers: true), .remoteDenied,
            line: 13),
        Case("a remote by the overlay", plain, into(.tcp, "192.0.2.1", 5, to: "10.10.5.1", on: overlay), .remote),
    ]

    @Test(arguments: sockets + going + leaving + coming)
    func `the decision is the table's`(case one: Case) {
        let verdict = Self.policy.verdict(one.attempt, by: one.subject, on: Self.host)
        #expect(verdict == Verdict(allowed: one.reason.allows, reason: one.reason, line: one.line))
    }

    @Test(arguments: [
        Case("the host", watched, out(.tcp, "192.168.1.5", 1), .hostDenied),
        Case("another environment", watched, out(.tcp, "10.10.2.1", 1), .otherEnvironment),
        Case("unassigned", watched, out(.tcp, "10.10.200.1", 1), .unassigned),
        Case("a remote", watched, out(.tcp, "192.0.2.1", 1), .remoteDenied, line: 41),
        Case("link-local", watched, out(.tcp, "169.254.1.1", 1), .linkLocalDenied),
        Case("multicast", watched, out(.udp, "224.0.0.1", 1), .multicast),
        Case("broadcast", watched, out(.udp, "255.255.255.255", 1), .broadcast),
        Case("incoming", watched, into(.tcp, "10.10.2.1", 1, to: "10.10.6.1"), .otherEnvironment),
    ])
    func `audit lets denials of reachability through`(case one: Case) {
        let verdict = Self.policy.verdict(one.attempt, by: one.subject, on: Self.host)
        #expect(verdict == Verdict(allowed: true, reason: one.reason, line: one.line))
        #expect(verdict.audited)
    }

    @Test(arguments: [
        Case("loopback", watched, out(.tcp, "127.0.0.1", 1, listens: false), .loopback),
        Case("no address of the family", watched, out(.tcp, "2001:db8::1", 1), .noFamily),
        Case("source", watched, out(.tcp, "192.0.2.1", 1, source: "10.10.6.9"), .source),
        Case("protocol", watched, .create(.ping), .protocol),
        Case("foreign address", watched, .bind(.tcp, ip("10.10.6.2")), .foreignAddress),
        Case("forged", watched, into(.tcp, "10.10.6.2", 1, to: "10.10.6.1", on: wire), .forged),
        Case("not addressed", watched, into(.tcp, "10.10.6.2", 1, to: "10.10.6.3"), .notAddressed),
        Case("malformed", watched, into(.udp, "224.0.0.1", 1, to: "10.10.6.1"), .malformed),
    ])
    func `audit lifts nothing else`(case one: Case) {
        let verdict = Self.policy.verdict(one.attempt, by: one.subject, on: Self.host)
        #expect(verdict == Verdict(allowed: false, reason: one.reason))
        #expect(!verdict.audited)
    }

    @Test func `an application that has one of its addresses elsewhere now is unconfigured`() {
        let subject = Subject(environment: "shop", addresses: own("10.10.2.1", "fd00:3::7"), loopback: loopback(0))
        for attempt in [Self.out(.tcp, "10.10.2.2", 1), Self.out(.tcp, "127.0.0.1", 1), .create(.tcp)] {
            #expect(Self.policy.verdict(attempt, by: subject, on: Self.host).reason == .unconfigured)
        }
    }

    @Test func `every reason has a word and a sentence of its own`() {
        #expect(Set(Reason.allCases.map(\.name)).count == Reason.allCases.count)
        #expect(Set(Reason.allCases.map(\.sentence)).count == Reason.allCases.count)
        for reason in Reason.allCases {
            #expect(Reason(name: reason.name) == reason)
            #expect(!reason.sentence.hasSuffix("."))
        }
        #expect(Reason(name: "whim") == nil)
        #expect(Reason.otherEnvironment.name == "other-environment")
        #expect(Reason.allCases.prefix { $0.allows }.count == 10)
        #expect(Reason.allCases.allSatisfy { !$0.allows || !$0.isReachability })
        #expect(Reason.allCases.drop { !$0.isReachability }.allSatisfy { $0.isReachability })
    }

    @Test(arguments: [
        ("10.10.2.1", AddressClass.environment("shop")), ("10.10.9.9", .unassigned), ("127.77.1.1", .unassigned),
        ("127.0.0.1", .loopback), ("127.255.255.255", .loopback), ("0.0.0.0", .loopback), ("0.0.0.1", .remote),
        ("223.255.255.255", .remote), ("224.0.0.0", .multicast), ("239.255.255.255", .multicast),
        ("240.0.0.0", .remote), ("255.255.255.255", .broadcast), ("192.168.1.255", .broadcast),
        ("192.168.1.5", .host), ("169.254.7.7", .host), ("169.254.7.8", .linkLocal), ("192.168.1.6", .remote),
        ("fd00:2::1", .environment("shop")), ("fd00:9::1", .unassigned), ("::", .loopback), ("::1", .loopback),
        ("::2", .remote), ("::ffff:10.10.2.1", .environment("shop")), ("fd56:4e45::", .loopback),
        ("fd56:4e45:ffff::1", .loopback), ("fd56:4e46::", .remote), ("2001:db8:5::5", .host),
        ("fe80::1", .linkLocal), ("febf::1", .linkLocal), ("fec0::1", .remote), ("feff::", .remote),
        ("ff00::", .multicast), ("ffff::ffff", .multicast), ("2001:db8::", .remote),
    ])
    func `an address is the first thing that matches`(text: String, class expected: AddressClass) {
        #expect(Self.policy.classify(ip(text), on: Self.host) == expected)
    }
}
