public import OverlayModel

/// The private key of a node in a network. It is made on the node, and never leaves its file but for the engine.
public struct NodeKey: Sendable {
    private let path: String

    /// The key of this node in the network of a place.
    public init(_ place: NetworkPlace) {
        self.init(place, file: KeptNode.privateKeyFile)
    }

    init(_ place: NetworkPlace, file: String) {
        path = "\(place.kept)/\(file)"
    }

    var isMade: Bool { get throws(ManagerError) { try NodeFiles.text(path) != nil } }

    /// Makes the key if there is none.
    public func make() async throws(ManagerError) {
        if try NodeFiles.text(path) == nil {
            try NodeFiles.write(try await Program(["wg", "genkey"]).run(), to: path, isDurable: true)
        }
    }

    /// The public half.
    public func publicKey() async throws(ManagerError) -> WireGuardKey {
        let text = try await Program(["wg", "pubkey"]).run(input: try privateKey())
        guard let key = WireGuardKey(String(text.prefix { $0 != "\n" })) else {
            throw ManagerError(.failed, "\(path) holds no key of WireGuard")
        }
        return key
    }

    func privateKey() throws(ManagerError) -> String {
        guard let text = try NodeFiles.text(path) else {
            throw ManagerError(.failed, "there is no \(path): this node has no key (vne-manager key)")
        }
        return text
    }
}
