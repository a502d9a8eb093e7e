internal import FoundationEssentials

/// What two texts of a tunnel's device, as wg(8) reads them, say of the sources that peers may have.
enum AllowedSources {
    private static let key = "AllowedIPs = "
    private static let peerKey = "PublicKey = "
    /// The kernel takes longer arguments than any of these from nobody: MAX_ARG_STRLEN.
    private static let longest = 100_000

    /// How the sources of a peer change.
    struct Change: Hashable {
        /// Its public key.
        var peer: String
        /// All that it has from then on.
        var sources: [String]
        /// What of that it did not have before.
        var new: [String]
        /// What it has no more.
        var gone: [String]

        /// Whether it loses something that no other one of these gets.
        func loses(among changes: [Change]) -> Bool {
            !Set(gone).isSubset(of: changes.filter { $0.peer != peer }.flatMap(\.new))
        }

        /// The same without what is new.
        var withoutNew: Change {
            Change(peer: peer, sources: sources.filter { !new.contains($0) }, new: [], gone: gone)
        }

        /// The same without what is gone, which was taken already.
        var withoutGone: Change { Change(peer: peer, sources: sources, new: new, gone: []) }
    }

    /// What makes one of the other where they differ in sources only; nil where they differ in something else.
    static func changes(from old: String, to new: String) -> [Change]? {
        let (old, new) = (peers(old), peers(new))
        guard old.map(\.rest) == new.map(\.rest) else { return nil }
        var changes: [Change] = []
        for (before, after) in zip(old, new) where before.sources != after.sources {
            guard let name = after.name else { return nil }
            let (had, has) = (Set(before.sources), Set(after.sources))
            changes.append(
                Change(
                    peer: name, sources: after.sources, new: after.sources.filter { !had.contains($0) },
                    gone: before.sources.filter { !has.contains($0) }))
        }
        return changes
    }

    /// The words of `wg set DEVICE`; nil if a peer has too many sources for an argument.
    static func words(_ changes: [Change]) -> [String]? {
        var words: [String] = []
        for change in changes {
            let sources = change.sources.joined(separator: ",")
            guard sources.utf8.count < longest else { return nil }
            words += ["peer", change.peer, "allowed-ips", sources]
        }
        return words
    }

    /// What a userspace tunnel is told by its socket (the cross-platform interface of WireGuard). A source that goes from one
    /// peer to another does so at once, as no two of a device have it; nil if a peer's key is none.
    static func request(_ changes: [Change]) -> String? {
        var lines = ["set=1"]
        for change in changes {
            guard let key = Data(base64Encoded: change.peer), key.count == 32 else { return nil }
            let isReplaced = change.loses(among: changes)
            guard isReplaced || !change.new.isEmpty else { continue }
            lines.append("public_key=" + key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
            lines.append("update_only=true")
            if isReplaced { lines.append("replace_allowed_ips=true") }
            lines += (isReplaced ? change.sources : change.new).map { "allowed_ip=\($0)" }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The text of a device in which an address is a source of one peer, and of no other one; and whether it has that peer.
    static func text(_ text: String, giving address: String, to name: String) -> (text: String, isGiven: Bool) {
        let source = "\(address)/32"
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var peer: String?
        var isGiven = false
        for index in lines.indices {
            let line = lines[index]
            if line == "[Peer]" { peer = nil }
            if line.hasPrefix(peerKey) { peer = String(line.dropFirst(peerKey.count)) }
            guard line.hasPrefix(key) else { continue }
            let sources = line.dropFirst(key.count).split(separator: ", ").map(String.init).filter { $0 != source }
            isGiven = isGiven || peer == name
            lines[index] = key + (peer == name ? sources + [source] : sources).joined(separator: ", ")
        }
        return (lines.joined(separator: "\n"), isGiven)
    }

    private struct Peer {
        /// Its public key; nil for the device itself.
        var name: String?
        var sources: [String] = []
        /// Whatever else is said of it.
        var rest: [String] = []
    }

    private static func peers(_ text: String) -> [Peer] {
        var peers = [Peer()]
        for line in text.split(separator: "\n").map(String.init) {
            if line == "[Peer]" { peers.append(Peer()) }
            if line.hasPrefix(key) {
                peers[peers.count - 1].sources = line.dropFirst(key.count).split(separator: ", ").map(String.init)
            } else {
                if line.hasPrefix(peerKey) {
                    peers[peers.count - 1].name = String(line.dropFirst(peerKey.count))
                }
                peers[peers.count - 1].rest.append(line)
            }
        }
        return peers
    }
}
