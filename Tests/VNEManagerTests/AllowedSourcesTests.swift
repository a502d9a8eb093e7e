import Testing

@testable import VNEManager

@Suite struct AllowedSourcesTests {
    private let web = "d2VidywtZnJvbnQtZW5kLW9mLWEtdHVubmVsLTEyMzQ="
    private let bank = "YmFuay1iYWNrLWVuZC1vZi1hLXR1bm5lbC0xMjM0NTY="

    private func text(_ ofWeb: String, _ ofBank: String) -> String {
        """
        [Interface]
        ListenPort = 51820

        # web, over internet
        [Peer]
        PublicKey = \(web)
        AllowedIPs = \(ofWeb)

        # bank, over internet
        [Peer]
        PublicKey = \(bank)
        AllowedIPs = \(ofBank)

        """
    }

    @Test func `an address goes from the peer that has it to the one that gets it`() {
        let before = text("169.254.0.11/32, 10.10.2.200/32", "169.254.0.12/32")
        let (after, isGiven) = AllowedSources.text(before, giving: "10.10.2.200", to: bank)
        #expect(isGiven)
        #expect(after == text("169.254.0.11/32", "169.254.0.12/32, 10.10.2.200/32"))
        #expect(AllowedSources.text(after, giving: "10.10.2.200", to: bank).text == after)
    }

    @Test func `where the peer is not nobody has the address`() {
        let before = text("169.254.0.11/32, 10.10.2.200/32", "169.254.0.12/32, 10.10.2.20/32")
        let (after, isGiven) = AllowedSources.text(before, giving: "10.10.2.200", to: "elsewhere")
        #expect(!isGiven)
        #expect(after == text("169.254.0.11/32", "169.254.0.12/32, 10.10.2.20/32"))
    }
}
