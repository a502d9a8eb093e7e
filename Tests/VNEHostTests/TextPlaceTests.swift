import Testing
import VNEHost

@Suite struct TextPlaceTests {
    @Test(arguments: ["127.0.0.1:9417", "[::1]:1", "unix:/run/vne/metrics.sock", "127.0.0.1:65535"])
    func `a place on this host is read as it is written`(text: String) {
        #expect(TextPlace(text).map { "\($0)" } == text)
    }

    @Test(arguments: [
        "0.0.0.0:9417", "[::]:9417", "192.0.2.1:9417", "localhost:9417", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
        "127.0.0.1:65536", "127.0.0.1:+1", "::1:9417", "unix:", "unix:run", "/run/vne/metrics.sock", "",
    ])
    func `any other place is none`(text: String) {
        #expect(TextPlace(text) == nil)
    }
}
