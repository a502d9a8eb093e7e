/// What two texts of a tunnel's device, as wg(8) reads them, say of the sources that peers may have.
enum AllowedSources {
    private static let key = "AllowedIPs = "
    /// The kernel takes longer arguments than any of these from nobody: MAX_ARG_STRLEN.
    private static let longest = 100_000

    /// The words of `wg set DEVICE` that make one of the other where they differ in sources only; nil where they differ in
    /// something else, or a peer has too many for an argument.
    static func changes(from old: String, to new: String) -> [String]? {
        let (old, new) = (peers(old), peers(new))
        guard old.map(\.rest) == new.map(\.rest) else { return nil }
        var words: [String] = []
        for (before, after) in zip(old, new) where before.sources != after.sources {
            let sources = after.sources.replacing(" ", with: "")
            guard let name = after.name, sources.utf8.count < longest else { return nil }
            words += ["peer", name, "allowed-ips", sources]
        }
        return words
    }

    private struct Peer {
        /// Its public key; nil for the device itself.
        var name: String?
        var sources = ""
        /// Whatever else is said of it.
        var rest: [String] = []
    }

    private static func peers(_ text: String) -> [Peer] {
        var peers = [Peer()]
        for line in text.split(separator: "\n").map(String.init) {
            if line == "[Peer]" { peers.append(Peer()) }
            if line.hasPrefix(key) {
                peers[peers.count - 1].sources = String(line.dropFirst(key.count))
            } else {
                if line.hasPrefix("PublicKey = ") { peers[peers.count - 1].name = String(line.dropFirst(12)) }
                peers[peers.count - 1].rest.append(line)
            }
        }
        return peers
    }
}
