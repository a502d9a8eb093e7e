import OverlayKeys

/// A keyset as it is shown.
struct KeysetView: Encodable {
    struct AuthorityView: Encodable {
        var fingerprint: String
        /// In base64.
        var publicKey: String
    }

    struct CredentialView: Encodable {
        var serial: UInt64
        var node: String
        var address: String
        var publicKey: String
        /// ISO 8601, like the others.
        var issued: String
        var expires: String
        var state: String
        /// nil unless it was.
        var revoked: String?
    }

    var network: String
    var authority: AuthorityView
    var revision: UInt64
    /// Of the topology that was sealed last; 0 for none.
    var topologyRevision: UInt64
    var credentials: [CredentialView]

    init(_ keyset: Keyset, at now: Timestamp) {
        network = keyset.network
        authority = AuthorityView(fingerprint: keyset.authority.fingerprint, publicKey: "\(keyset.authority)")
        revision = keyset.revision
        topologyRevision = keyset.topologyRevision
        credentials = keyset.credentials.map { credential in
            CredentialView(
                serial: credential.serial, node: credential.node, address: "\(credential.address)",
                publicKey: "\(credential.key)", issued: "\(credential.issued)", expires: "\(credential.expires)",
                state: keyset.state(of: credential, at: now).rawValue,
                revoked: keyset.revocations[credential.serial].map { "\($0)" })
        }
    }

    /// For a person.
    var text: String {
        let sealed = topologyRevision == 0 ? "no topology sealed" : "topology sealed up to revision \(topologyRevision)"
        var lines = ["network \(network): revision \(revision), \(sealed)", "authority \(authority.fingerprint)"]
        for credential in credentials {
            let until =
                credential.revoked.map { "revoked at \($0)" } ?? "\(credential.state), until \(credential.expires)"
            lines.append(
                "credential \(credential.serial) of \(credential.node) \(credential.address): \(until), key "
                    + credential.publicKey)
        }
        return lines.joined(separator: "\n")
    }
}
