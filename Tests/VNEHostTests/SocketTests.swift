import Glibc
import PolicyModel
import Testing
import VNEHost

/// Sockets that `inet_diag` shows and closes, on the loopback of a namespace of the test's own.
@Suite(.enabled(if: isRoot), .serialized) struct SocketTests {
    private static let established: UInt8 = 1
    private static let listening: UInt8 = 10

    /// An address of each family.
    private static let addresses = ["10.99.2.1", "fd00:99::2:1"]

    /// A host in the calling thread's namespace, with ``addresses`` and a loopback that is up.
    private static func host() throws -> LinuxHost {
        let host = LinuxHost(instance: "test")
        for address in addresses { _ = try host.addAddress(try #require(IPAddress(address)), on: nil) }
        return host
    }

    @Test(arguments: addresses)
    func `a listener, a connection and a bound datagram socket are seen`(text: String) throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let address = try #require(IPAddress(text))
            let listener = try SocketFixture(of: address).bound(to: text).listening()
            let client = try SocketFixture(of: address).connected(to: text, port: listener.port)
            let server = try listener.accepted()
            let wildcard = address.family == .ipv4 ? "0.0.0.0" : "::"
            let datagram = try SocketFixture(of: address, SOCK_DGRAM).bound(to: wildcard)
            let peer = try SocketFixture(of: address, SOCK_DGRAM).connected(to: text, port: datagram.port)
            let sockets = Dictionary(grouping: try host.sockets(), by: \.inode)

            let seen = try #require(sockets[listener.inode]?.first)
            #expect(seen.state == Self.listening && seen.transport == .tcp && seen.remote == nil)
            #expect(seen.local == address && seen.localPort == listener.port)
            let connection = try #require(sockets[client.inode]?.first)
            #expect(connection.state == Self.established && connection.remotePort == listener.port)
            #expect(connection.remote == address)
            #expect(sockets[server.inode]?.first?.remotePort == client.port)
            let bound = try #require(sockets[datagram.inode]?.first)
            #expect(bound.transport == .udp && bound.local == IPAddress(wildcard) && bound.remote == nil)
            #expect(sockets[peer.inode]?.first?.remotePort == datagram.port)
        }
    }

    @Test(arguments: ["10.99.2.1", "0.0.0.0", "::1", "fd00:99::2:1", "::"])
    func `an IPv6 socket has the address that it is bound to, an IPv4-mapped one the IPv4 one, and is closed`(
        text: String
    ) throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            for type in [SOCK_STREAM, SOCK_DGRAM] {
                let fixture = try SocketFixture(AF_INET6, type).bound(to: text)
                if type == SOCK_STREAM { try fixture.listening() }
                let seen = try #require(try host.sockets().first { $0.inode == fixture.inode })
                #expect(seen.local == IPAddress(text) && seen.remote == nil && seen.localPort == fixture.port)
                // By another value for the same host: all that it takes is in what was observed.
                try LinuxHost(instance: "test").destroy(seen)
                #expect(fixture.pendingError == ECONNABORTED)
            }
        }
    }

    @Test(arguments: addresses)
    func `a closed connection fails with ECONNABORTED, and its peer is reset`(text: String) throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let address = try #require(IPAddress(text))
            let listener = try SocketFixture(of: address).bound(to: text).listening()
            let client = try SocketFixture(of: address).connected(to: text, port: listener.port)
            let server = try listener.accepted()
            let connection = try #require(try host.sockets().first { $0.inode == client.inode })
            try host.destroy(connection)
            #expect(client.receiveError() == ECONNABORTED)
            #expect(server.receiveError() == ECONNRESET)
            // It is gone now, which is no error.
            try host.destroy(connection)
        }
    }

    @Test func `a connection of an IPv6 socket to an IPv4 address is closed`() throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let listener = try SocketFixture(AF_INET6).bound(to: "::").listening()
            // Either end; the other one is reset.
            for closesClient in [true, false] {
                let client = try SocketFixture(AF_INET6).connected(to: "10.99.2.1", port: listener.port)
                let server = try listener.accepted()
                let (closed, other) = closesClient ? (client, server) : (server, client)
                let seen = try #require(try host.sockets().first { $0.inode == closed.inode })
                #expect(seen.local == IPAddress("10.99.2.1") && seen.remote == IPAddress("10.99.2.1"))
                try host.destroy(seen)
                #expect(closed.receiveError() == ECONNABORTED && other.receiveError() == ECONNRESET)
            }
        }
    }

    @Test(arguments: addresses) func `a connected datagram socket is closed`(text: String) throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let address = try #require(IPAddress(text))
            let receiver = try SocketFixture(of: address, SOCK_DGRAM).bound(to: text)
            let sender = try SocketFixture(of: address, SOCK_DGRAM).connected(to: text, port: receiver.port)
            try host.destroy(try #require(try host.sockets().first { $0.inode == sender.inode }))
            #expect(sender.receiveError() == ECONNABORTED)
        }
    }

    @Test(arguments: [SOCK_STREAM, SOCK_DGRAM], addresses)
    func `of several sockets on one port the right one is closed`(type: __socket_type, text: String) throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let fixtures = try Self.sharingPort(4711, type, try #require(IPAddress(text)))
            let inode = fixtures[3].inode
            let victim = try #require(try host.sockets().first { $0.inode == inode })
            try host.destroy(victim)
            #expect(fixtures.map(\.pendingError) == [0, 0, 0, ECONNABORTED, 0, 0])
        }
    }

    /// Six sockets with SO_REUSEPORT on one address and port.
    private static func sharingPort(
        _ port: UInt16, _ type: __socket_type, _ address: IPAddress
    ) throws -> [SocketFixture] {
        let reusePort: Int32 = 15
        var fixtures: [SocketFixture] = []
        for _ in 0..<6 {
            let fixture = try SocketFixture(of: address, type)
            fixture.setOption(reusePort)
            try fixture.bound(to: "\(address)", port: port)
            if type == SOCK_STREAM { try fixture.listening() }
            fixtures.append(fixture)
        }
        return fixtures
    }

    @Test func `this kernel closes sockets, and says so without closing one`() throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let listener = try SocketFixture(AF_INET).bound(to: "10.99.2.1").listening()
            #expect(try host.obstacleToClosing() == nil)
            #expect(listener.pendingError == 0)
        }
    }

    @Test func `a socket says which cgroup made it`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let command = try Launch([
            "/usr/bin/python3", "-c",
            "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); time.sleep(60)",
        ]).start(in: open.descriptor)
        #expect(
            eventually { (try? cgroup.host.sockets().contains { $0.cgroupID == open.id && $0.state == 10 }) == true })
        #expect(try cgroup.host.foreignSockets(of: cgroup.path).isEmpty)
        kill(pid_t(command.process), SIGKILL)
        _ = try command.wait()
    }

    @Test func `sockets that were passed in are named, and its own are not`() throws {
        let cgroup = try ThrowawayCgroup()
        let open = try cgroup.host.openCgroup(cgroup.path)
        defer { cgroup.host.close(open) }
        let listener = try SocketFixture(closeOnExec: false).bound(to: "127.0.0.1").listening()
        let unbound = try SocketFixture(closeOnExec: false)
        let raw = try SocketFixture(AF_INET, SOCK_RAW, protocol: 253, closeOnExec: false)
        let packet = try SocketFixture(AF_PACKET, SOCK_DGRAM, closeOnExec: false)
        let local = try SocketFixture(AF_UNIX, SOCK_STREAM, closeOnExec: false)
        let command = try Launch(["/bin/sleep", "60"]).start(in: open.descriptor)
        let foreign = try cgroup.host.foreignSockets(of: cgroup.path)
        #expect(foreign.allSatisfy { $0.process == command.process })
        let summaries = Dictionary(
            foreign.map { ($0.descriptor, $0.summary) }, uniquingKeysWith: { first, _ in first })
        #expect(summaries[listener.descriptor] == "tcp 127.0.0.1:\(listener.port) listening")
        #expect(summaries[unbound.descriptor]?.hasPrefix("tcp socket, not bound") == true)
        #expect(summaries[raw.descriptor]?.hasPrefix("raw socket") == true)
        #expect(summaries[packet.descriptor]?.hasPrefix("packet socket") == true)
        #expect(summaries[local.descriptor] == nil)
        #expect(foreign.first { $0.descriptor == listener.descriptor }?.command == "sleep")
        kill(pid_t(command.process), SIGKILL)
        _ = try command.wait()
    }
}
