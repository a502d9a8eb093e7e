import OverlayModel
import PolicyModel
import Testing

@testable import VNEManager

@Suite struct HandoverWordsTests {
    private let till = "10.10.2.200"

    private func change(_ key: String, _ value: String?, _ revision: Int) -> StoreClient.Change {
        StoreClient.Change(key: StoreClient.root + key, value: value, revision: revision)
    }

    /// Web has the till since revision 5, and said so in its turn 100; bank is ready for it.
    private func ready(_ changes: StoreClient.Change...) -> StoreState {
        let read = StoreState(
            revision: 7,
            [
                change("claims/\(till)", "web", 5), change("turns/web", "100", 6),
                change("moves/\(till)", "bank ready", 7),
            ])
        return read.followed(by: changes)
    }

    @Test func `what an owner handed over is the other one's before the store says so`() throws {
        let address = try #require(IPAddress(till))
        var words = HandoverWords()
        let heard = words.hear([address: "bank"], of: "web", turn: 101, by: ready())
        #expect(heard == [address])
        #expect(words.handed(to: "bank", by: ready()) == [address])
        #expect(words.handed(to: "web", by: ready()) == [])
        #expect(words.applied(to: ready()).holders[address] == .init(host: "bank", epoch: 5, alternate: "web"))
        #expect(ready().claims.holders[address]?.host == "web")
    }

    @Test func `nothing is believed that the store does not bear out`() throws {
        let address = try #require(IPAddress(till))
        func heard(_ host: String, _ owner: String, _ turn: Int, _ changes: StoreClient.Change...) -> Set<IPAddress> {
            var state = ready()
            state.apply(changes)
            var words = HandoverWords()
            return words.hear([address: host], of: owner, turn: turn, by: state)
        }
        #expect(heard("bank", "web", 101) == [address])
        // Not the owner, not who is ready, and not since the owner asked for something else.
        #expect(heard("bank", "shelf", 101) == [])
        #expect(heard("shelf", "web", 101) == [])
        #expect(heard("bank", "web", 100) == [])
        #expect(heard("bank", "web", 101, change("turns/web", "102", 8)) == [])
        #expect(heard("bank", "web", 101, change("moves/\(till)", nil, 8)) == [])
        #expect(heard("bank", "web", 101, change("moves/\(till)", "bank offered", 8)) == [])
        #expect(heard("bank", "web", 101, change("claims/\(till)", "shelf", 8)) == [])
    }

    @Test func `a word holds until the store says the same, or that it came to nothing`() throws {
        let address = try #require(IPAddress(till))
        var words = HandoverWords()
        _ = words.hear([address: "bank"], of: "web", turn: 101, by: ready())
        let isElsewhere = words.settle(by: ready(change("turns/shelf", "7", 8)))
        #expect(!isElsewhere)
        let done = ready(change("claims/\(till)", "bank", 8), change("moves/\(till)", "web left", 8))
        var same = words
        let isDone = same.settle(by: done)
        #expect(isDone)
        #expect(same.applied(to: done).holders[address]?.host == "bank")
        let nothing = ready(change("moves/\(till)", nil, 8))
        // Whoever asks before it was looked at is not told either.
        #expect(words.handed(to: "bank", by: nothing) == [])
        #expect(words.applied(to: nothing) == nothing.claims)
        let isOff = words.settle(by: nothing)
        #expect(isOff)
        #expect(words.handed(to: "bank", by: ready()) == [])
    }
}
