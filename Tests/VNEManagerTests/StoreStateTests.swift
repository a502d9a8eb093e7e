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
        var state = StoreState(revision: 7)
        state.apply([change("claims/\(till)", "web", 5), change("turns/web", "100", 7)])
        return state
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
}
