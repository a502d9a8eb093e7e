import Glibc
import PolicyModel
import Testing
import VNEHost

/// Sockets that `inet_diag` shows and closes, on the loopback of a namespace of the test's own.
@Suite(.enabled(if: isRoot), .serialized) struct SocketTests {
    private static let established: UInt8 = 1
    private static let listening: UInt8 = 10

    /// A host in the calling thread's namespace, with 10.99.2.1 and a loopback that is up.
    private static func host() throws -> LinuxHost {
        let host = LinuxHost(instance: "test")
        _ = try host.addAddress(try #require(IPv4Address("10.99.2.1")))
        return host
    }

    @Test func `a listener, a connection and a bound datagram socket are seen`() throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let listener = try SocketFixture().bound(to: "10.99.2.1").listening()
            let client = try SocketFixture().connected(to: "10.99.2.1", port: listener.port)
            let server = try listener.accepted()
            let datagram = try SocketFixture(AF_INET, SOCK_DGRAM).bound(to: "0.0.0.0")
            let peer = try SocketFixture(AF_INET, SOCK_DGRAM).connected(to: "10.99.2.1", port: datagram.port)
            let sockets = Dictionary(grouping: try host.sockets(), by: \.inode)

            let seen = try #require(sockets[listener.inode]?.first)
            #expect(seen.state == Self.listening && seen.transport == .tcp && seen.remote == nil)
            #expect(seen.local == IPv4Address("10.99.2.1") && seen.localPort == listener.port)
            let connection = try #require(sockets[client.inode]?.first)
            #expect(connection.state == Self.established && connection.remotePort == listener.port)
            #expect(connection.remote == IPv4Address("10.99.2.1"))
            #expect(sockets[server.inode]?.first?.remotePort == client.port)
            let bound = try #require(sockets[datagram.inode]?.first)
            #expect(bound.transport == .udp && bound.local?.rawValue == 0 && bound.remote == nil)
            #expect(sockets[peer.inode]?.first?.remotePort == datagram.port)
        }
    }

    @Test func `an IPv4-mapped socket is its IPv4 one, and native IPv6 has no IPv4 address`() throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let mapped = try SocketFixture(AF_INET6).bound(to: "10.99.2.1").listening()
            let native = try SocketFixture(AF_INET6).bound(to: "::1").listening()
            let sockets = Dictionary(grouping: try host.sockets(), by: \.inode)
            #expect(sockets[mapped.inode]?.first?.local == IPv4Address("10.99.2.1"))
            #expect(sockets[native.inode]?.first?.local == nil)
            for fixture in [mapped, native] {
                try host.destroy(try #require(sockets[fixture.inode]?.first))
                #expect(!(try host.sockets().contains { $0.inode == fixture.inode && $0.state == Self.listening }))
            }
        }
    }

    @Test func `a closed connection fails with ECONNABORTED, and its peer is reset`() throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let listener = try SocketFixture().bound(to: "10.99.2.1").listening()
            let client = try SocketFixture().connected(to: "10.99.2.1", port: listener.port)
            let server = try listener.accepted()
            let connection = try #require(try host.sockets().first { $0.inode == client.inode })
            try host.destroy(connection)
            #expect(client.receiveError() == ECONNABORTED)
            #expect(server.receiveError() == ECONNRESET)
            // It is gone now, which is no error.
            try host.destroy(connection)
        }
    }

    @Test func `a connected datagram socket is closed`() throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let receiver = try SocketFixture(AF_INET, SOCK_DGRAM).bound(to: "10.99.2.1")
            let sender = try SocketFixture(AF_INET, SOCK_DGRAM).connected(to: "10.99.2.1", port: receiver.port)
            try host.destroy(try #require(try host.sockets().first { $0.inode == sender.inode }))
            #expect(sender.receiveError() == ECONNABORTED)
        }
    }

    @Test(arguments: [SOCK_STREAM, SOCK_DGRAM])
    func `of several sockets on one port the right one is closed`(type: __socket_type) throws {
        try inNewNetworkNamespace {
            let host = try Self.host()
            let fixtures = try Self.sharingPort(4711, type)
            let inode = fixtures[3].inode
            let victim = try #require(try host.sockets().first { $0.inode == inode })
            try host.destroy(victim)
            #expect(fixtures.map(\.pendingError) == [0, 0, 0, ECONNABORTED, 0, 0])
        }
    }

    /// Six sockets with SO_REUSEPORT on one address and port.
    private static func sharingPort(_ port: UInt16, _ type: __socket_type) throws -> [SocketFixture] {
        let reusePort: Int32 = 15
        var fixtures: [SocketFixture] = []
        for _ in 0..<6 {
            let fixture = try SocketFixture(AF_INET, type)
            fixture.setOption(reusePort)
            try fixture.bound(to: "10.99.2.1", port: port)
            if type == SOCK_STREAM { try fixture.listening() }
            fixtures.append(fixture)
        }
        return fixtures
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
