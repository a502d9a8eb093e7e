import Glibc
import PolicyModel
import Testing

@testable import VNEHost

@Suite struct HostsFileTests {
    private static let foreign = "127.0.0.1 localhost\n192.0.2.7\tOther.example other # a comment\n"
    private static let block = """
        # vne-agent test, begin: names of applications; changes are lost
        10.10.2.1 web.shop
        fd00::1 web.shop
        10.10.2.2 db.shop
        # vne-agent test, end

        """
    private let hosts: [NamedHost]

    init() throws {
        hosts = [
            NamedHost(
                name: "web.shop",
                addresses: try #require(
                    ApplicationAddresses(ipv4: IPAddress("10.10.2.1"), ipv6: IPAddress("fd00::1")))),
            NamedHost(
                name: "db.shop",
                addresses: try #require(ApplicationAddresses(ipv4: IPAddress("10.10.2.2"), ipv6: nil))),
        ]
    }

    private func file(_ path: String) -> HostsFile { HostsFile(path: path, instance: "test") }

    @Test func `names are in a block of their own, and go with it`() throws {
        let thrown = ThrowawayFile(Self.foreign)
        #expect(try file(thrown.path).write(hosts).isEmpty)
        #expect(thrown.text == Self.foreign + Self.block)
        _ = try file(thrown.path).write([hosts[1]])
        #expect(thrown.text.contains("10.10.2.2 db.shop") && !thrown.text.contains("web.shop"))
        _ = try file(thrown.path).write([])
        #expect(thrown.text == Self.foreign)
    }

    @Test func `lines of others stay as they are, before and behind the block and without an end`() throws {
        let odd = ThrowawayFile("192.0.2.7 other")
        _ = try file(odd.path).write(hosts)
        #expect(odd.text == "192.0.2.7 other\n" + Self.block)
        let behind = ThrowawayFile(Self.block + Self.foreign)
        _ = try file(behind.path).write([hosts[1]])
        #expect(behind.text.hasSuffix("# vne-agent test, end\n" + Self.foreign))
        let another = ThrowawayFile("# vne-agent another, begin\n10.10.9.9 nine\n# vne-agent another, end\n")
        _ = try file(another.path).write(hosts)
        _ = try file(another.path).write([])
        #expect(another.text == "# vne-agent another, begin\n10.10.9.9 nine\n# vne-agent another, end\n")
        let open = ThrowawayFile("# vne-agent test, begin\n" + Self.foreign)
        _ = try file(open.path).write(hosts)
        #expect(open.text == Self.foreign + Self.block)
    }

    @Test func `names that other lines have, too, are told`() throws {
        let thrown = ThrowawayFile("192.0.2.7 a Web.Shop\n# 192.0.2.7 db.shop\n")
        #expect(try file(thrown.path).write(hosts) == ["web.shop"])
    }

    @Test func `the file stays the same one, also behind a link`() throws {
        let thrown = ThrowawayFile(Self.foreign)
        let link = ThrowawayFile()
        #expect(unsafe symlink(thrown.path, link.path) == 0)
        func inode() -> UInt64 {
            var status = stat()
            return unsafe stat(thrown.path, &status) == 0 ? UInt64(status.st_ino) : 0
        }
        let before = inode()
        _ = try file(link.path).write(hosts)
        #expect(thrown.text == Self.foreign + Self.block)
        #expect(inode() == before)
        #expect(linkTarget(link.path) == thrown.path)
    }

    @Test func `a file that is not there, or no longer has a name, is an error that says so`() throws {
        let error = #expect(throws: HostError.self) { try file("/nonexistent/hosts").write(hosts) }
        #expect(error?.kind == .missing)
        let thrown = ThrowawayFile(Self.foreign)
        let open = unsafe Glibc.open(thrown.path, O_RDONLY)
        defer { _ = close(open) }
        unsafe _ = unlink(thrown.path)
        let stale = #expect(throws: HostError.self) { try file("/proc/self/fd/\(open)").write(hosts) }
        #expect(stale?.code == ESTALE)
    }

    @Test func `an instance without a hosts file names nobody`() throws {
        #expect(try LinuxHost(instance: "test").name(hosts).isEmpty)
    }
}
