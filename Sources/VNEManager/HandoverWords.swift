internal import OverlayModel
internal import PolicyModel

/// What owners of addresses said that they handed over, as long as the store still says that they have it.
///
/// An owner says so after he stopped, to who is ready by the store, and only the store gives it back to him: not as long as the
/// other one is ready. So whoever heard the owner knows what the store comes to, and need not wait for it.
struct HandoverWords {
    private struct Word {
        var owner: String
        var host: String
    }

    private var words: [IPAddress: Word] = [:]

    /// Takes in what an owner says in a turn. What the store says of it, as far as this manager knows, has to be what the owner
    /// goes by; else nothing is taken in.
    /// - Returns: what was.
    mutating func hear(
        _ handovers: [IPAddress: String], of owner: String, turn: Int, by state: StoreState
    ) -> Set<IPAddress> {
        // Later than anything that he asked for.
        guard turn > state.turns[owner]?.turn ?? 0 else { return [] }
        var heard: Set<IPAddress> = []
        for (address, host) in handovers {
            let word = Word(owner: owner, host: host)
            guard Self.isStillSo(address, word, state) else { continue }
            words[address] = word
            heard.insert(address)
        }
        return heard
    }

    /// What was handed over to a host.
    func handed(to host: String, by state: StoreState) -> Set<IPAddress> {
        Set(words.filter { $0.value.host == host && Self.isStillSo($0.key, $0.value, state) }.keys)
    }

    /// Forgets what the store says itself by now, or what came to nothing; says whether there was something.
    mutating func settle(by state: StoreState) -> Bool {
        let before = words.count
        words = words.filter { Self.isStillSo($0.key, $0.value, state) }
        return words.count != before
    }

    /// Whose the addresses are with that.
    func applied(to state: StoreState) -> Claims {
        var claims = state.claims
        for (address, word) in words where Self.isStillSo(address, word, state) {
            claims.holders[address]?.host = word.host
            claims.holders[address]?.alternate = word.owner
        }
        return claims
    }

    private static func isStillSo(_ address: IPAddress, _ word: Word, _ state: StoreState) -> Bool {
        guard let move = state.moves[address] else { return false }
        return move.stage == .ready && move.host == word.host && state.claims.holders[address]?.host == word.owner
    }
}
