import OverlayModel
import PolicyModel
import Testing

@testable import VNEManager

@Suite struct StoreStateTests {
    private let till = "10.10.2.200"

    private func change(_ key: String, _ value: String?, _ revision: Int) -> StoreClient.Change {
        StoreClient.Change(key: StoreClient.root + key, value: value, revision: revision)
    }

    /// What was read at revision 7: web has the till, and nothing is offered.
    private func read() -> StoreState {
        StoreState(revision: 7, [change("claims/\(till)", "web", 5), change("turns/web", "100", 7)])
    }

    @Test func `what was committed while the store was read is not forgotten`() throws {
        let address = try #require(IPAddress(till))
        let later = read().followed(by: [change("moves/\(till)", "bank offered", 8), change("turns/web", "101", 8)])
        #expect(later.moves[address]?.stage == .offered)
        #expect(later.turns["web"]?.turn == 101)
        #expect(later.claims.holders[address]?.alternate == "bank")
    }

    @Test func `what was read has what was committed before, and whatever became of it since`() throws {
        let address = try #require(IPAddress(till))
        let same = read().followed(by: [
            change("claims/\(till)", "bank", 4), change("moves/\(till)", "bank offered", 6),
        ])
        #expect(same.claims.holders[address]?.host == "web")
        #expect(same.moves.isEmpty)
    }

    @Test func `what is gone does not come back with what is heard late`() throws {
        let address = try #require(IPAddress(till))
        var state = StoreState(revision: 9, [change("claims/\(till)", "web", 5)])
        // Ready at 7, and withdrawn at 8.
        state.apply([change("moves/\(till)", "bank ready", 7)])
        #expect(state.moves[address] == nil)
        state.apply([change("moves/\(till)", "bank offered", 10)])
        #expect(state.moves[address]?.stage == .offered)
    }

    @Test func `a claim is certain if nothing that the host asked for since can have ended it`() throws {
        let address = try #require(IPAddress(till))
        // Handed over between 5 and 7 for all that is known.
        #expect(!read().isCertain(address, of: "web"))
        #expect(read().followed(by: [change("claims/\(till)", "web", 9)]).isCertain(address, of: "web"))
        let made = [change("claims/\(till)", "web", 8), change("turns/web", "101", 8)]
        #expect(read().followed(by: made).isCertain(address, of: "web"))
        #expect(!read().followed(by: made).isCertain(address, of: "bank"))
        #expect(!read().followed(by: made + [change("turns/web", "102", 10)]).isCertain(address, of: "web"))
    }

    @Test func `who hands over what nobody is ready for keeps it`() throws {
        let address = try #require(IPAddress(till))
        let offered = read().followed(by: [change("moves/\(till)", "bank offered", 8)])
        let ready = offered.followed(by: [change("moves/\(till)", "bank ready", 9)])
        #expect(read().staying([address: "bank"], of: "web") == [address])
        #expect(offered.staying([address: "bank"], of: "web") == [address])
        #expect(ready.staying([address: "shelf"], of: "web") == [address])
        #expect(ready.staying([address: "bank"], of: "web") == [])
        // Whoever never had it does not get it that way.
        #expect(read().staying([address: "bank"], of: "shelf") == [])
    }

    @Test func `who is ready for an address gets it if its owner is gone`() throws {
        let address = try #require(IPAddress(till))
        let offered = read().followed(by: [change("moves/\(till)", "bank offered", 8)])
        #expect(read().heir(of: address) == nil)
        #expect(offered.heir(of: address) == nil)
        #expect(offered.followed(by: [change("moves/\(till)", "bank ready", 9)]).heir(of: address) == "bank")
        #expect(offered.followed(by: [change("moves/\(till)", "web left", 9)]).heir(of: address) == nil)
    }

    @Test func `nobody else takes what its owner may have handed over already, also if he must not have it any more`()
        throws
    {
        let topology = try TopologyFile.parse(
            """
            network: acme
            addressSpace: 10.10.0.0/16
            subnets: {nodes: 10.10.255.0/24}
            underlays: {internet: {}}
            environments: {shop: 10.10.2.0/24}
            store: [london]
            managers: {london: {address: 10.10.255.1, endpoints: {internet: 192.0.2.1}}}
            hosts:
              web: {address: 10.10.255.11}
              bank: {address: 10.10.255.12, claims: 10.10.2.128/25}
              shelf: {address: 10.10.255.13, claims: 10.10.2.128/25}
            """, source: "topology.yaml")
        let address = try #require(IPAddress(till))
        let shelf = try #require(topology.node(named: "shelf"))
        let bank = try #require(topology.node(named: "bank"))
        let ready = read().followed(by: [change("moves/\(till)", "bank ready", 9)])
        func changed(_ host: Node, _ state: StoreState) -> ClaimChange {
            var change = state.claims.change(of: host, wanting: [address], in: topology)
            state.keepForOthers(&change, of: host, in: topology)
            return change
        }
        #expect(changed(shelf, read()).made == [address])
        #expect(changed(shelf, ready).made.isEmpty)
        #expect(changed(shelf, ready).refused == [address: .held("bank")])
        #expect(changed(bank, ready).made == [address])
    }
}
