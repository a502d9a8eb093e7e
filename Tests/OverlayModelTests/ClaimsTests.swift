import OverlayModel
import PolicyModel
import Testing

@Suite struct ClaimsTests {
    private let claims: Claims

    init() throws {
        claims = Claims([
            try #require(IPAddress("10.10.2.129")): Claims.Claim(host: "web", epoch: 7),
            try #require(IPAddress("10.10.2.130")): Claims.Claim(host: "bank", epoch: 8),
        ])
    }

    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    private func host(_ name: String) throws -> Node { try #require(try Golden.topology().node(named: name)) }

    @Test func `a host gets what is free, keeps what it has and gives up what it does not want any more`() throws {
        let web = try host("web")
        let change = claims.change(of: web, wanting: [try address("10.10.2.131")], in: try Golden.topology())
        #expect(change.made == [try address("10.10.2.131")])
        #expect(change.ended == [try address("10.10.2.129")])
        #expect(change.held.isEmpty && change.refused.isEmpty)
        let same = claims.change(of: web, wanting: [try address("10.10.2.129")], in: try Golden.topology())
        #expect(same.isEmpty)
        #expect(same.held == [try address("10.10.2.129")])
    }

    @Test func `nobody gets what another host has, or what the topology does not let him claim`() throws {
        let web = try host("web")
        let wanted = Set(try ["10.10.2.130", "10.10.4.7", "10.10.2.20", "10.10.255.12", "192.0.2.1"].map(address))
        let change = claims.change(of: web, wanting: wanted, in: try Golden.topology())
        #expect(change.made.isEmpty)
        #expect(
            change.refused == [
                try address("10.10.2.130"): .held("bank"), try address("10.10.4.7"): .notAllowed,
                try address("10.10.2.20"): .notAllowed, try address("10.10.255.12"): .notAllowed,
                try address("192.0.2.1"): .notAllowed,
            ])
    }

    @Test func `what a host may not have any more is free for one that may`() throws {
        var claims = claims
        claims.holders[try address("10.10.4.7")] = Claims.Claim(host: "web", epoch: 9)
        let change = claims.change(of: try host("bank"), wanting: [try address("10.10.4.7")], in: try Golden.topology())
        #expect(change.made == [try address("10.10.4.7")])
    }

    @Test func `a claim that the topology does not allow is believed of nobody`() throws {
        var claims = claims
        claims.holders[try address("10.10.4.7")] = Claims.Claim(host: "web", epoch: 9)
        claims.holders[try address("10.10.255.12")] = Claims.Claim(host: "web", epoch: 10)
        #expect(claims.addresses(of: try host("web")) == [try address("10.10.2.129")])
    }

    @Test func `claims that were kept are the same when they are read`() throws {
        #expect(Claims(text: claims.text) == claims)
        #expect(claims.text == "10.10.2.129 web 7\n10.10.2.130 bank 8\n")
        var moving = claims
        moving.holders[try address("10.10.2.129")]?.alternate = "bank"
        #expect(Claims(text: moving.text) == moving)
        #expect(moving.text == "10.10.2.129 web 7 bank\n10.10.2.130 bank 8\n")
        #expect(Claims(text: "10.10.2.129 web 7 bank and\n") == nil)
        #expect(Claims(text: "10.10.2.129 web\n") == nil)
        #expect(Claims(text: "10.10.2.129 web x\n") == nil)
        #expect(Claims(text: "10.10.2 web 1\n") == nil)
    }

    @Test func `whom an address is about to be handed over to is no owner`() throws {
        var claims = claims
        claims.holders[try address("10.10.2.129")]?.alternate = "bank"
        #expect(claims.addresses(of: try host("bank")) == [try address("10.10.2.130")])
        let network = try Golden.topology()
        let change = claims.change(of: try host("bank"), wanting: [try address("10.10.2.129")], in: network)
        #expect(change.refused == [try address("10.10.2.129"): .held("web")])
    }
}
