import Testing

@testable import VNEHost

@Suite struct EchoSocketTests {
    @Test func `a request has the checksum of RFC 1071, of an odd number of bytes too`() {
        #expect(EchoSocket.checksum([0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]) == ~0xddf2)
        #expect(EchoSocket.checksum([0x01, 0x02, 0x03]) == ~0x0402)
    }
}
