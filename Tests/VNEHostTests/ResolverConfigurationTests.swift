import PolicyModel
import Testing

@testable import VNEHost

@Suite struct ResolverConfigurationTests {
    private func services(_ text: String) -> [String] {
        ResolverConfiguration(parsing: text).sharedServices.map { "\($0.address):\($0.port)" }
    }

    @Test func `a resolver on loopback stays shared`() {
        #expect(services("nameserver 127.0.0.53\noptions edns0\n") == ["127.0.0.53:53"])
    }

    @Test func `a resolver on IPv6 loopback stays shared, and a mapped one is the IPv4 one`() {
        #expect(services("nameserver ::1\nnameserver ::ffff:127.0.0.53\n") == ["::1:53", "127.0.0.53:53"])
    }

    @Test func `a resolver elsewhere is no loopback service`() {
        #expect(services("nameserver 192.0.2.53\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\n").isEmpty)
    }

    @Test func `comments and words that only begin alike are passed over`() {
        #expect(services("#nameserver 127.0.0.1\n;nameserver 127.0.0.2\nnameservers 127.0.0.3\n").isEmpty)
    }

    @Test func `only the first three lines count, as for the C library`() {
        let text = (1...4).map { "nameserver\t127.0.0.\($0)  # local" }.joined(separator: "\n")
        #expect(services(text) == ["127.0.0.1:53", "127.0.0.2:53", "127.0.0.3:53"])
    }

    @Test func `a resolver that is named twice is shared once`() {
        #expect(services("nameserver 127.0.0.1\nnameserver 127.0.0.1\n") == ["127.0.0.1:53"])
    }
}
