extension Reason {
    /// The word for it in JSON and tables, such as `other-environment`.
    public var name: String {
        switch self {
        case .permittedUse: "permitted-use"
        case .ownEnvironment: "own-environment"
        case .permit: "permit"
        case .answer: "answer"
        case .host: "host"
        case .remote: "remote"
        case .linkLocal: "link-local"
        case .resolver: "resolver"
        case .unconfigured: "unconfigured"
        case .foreignNamespace: "foreign-namespace"
        case .protocol: "protocol"
        case .foreignAddress: "foreign-address"
        case .source: "source"
        case .notAddressed: "not-addressed"
        case .noIPv6: "no-ipv6"
        case .malformed: "malformed"
        case .forged: "forged"
        case .loopback: "loopback"
        case .otherEnvironment: "other-environment"
        case .unassigned: "unassigned"
        case .hostDenied: "host-denied"
        case .remoteDenied: "remote-denied"
        case .linkLocalDenied: "link-local-denied"
        case .multicast: "multicast"
        case .broadcast: "broadcast"
        }
    }

    /// The reason with this ``name``.
    public init?(name: some StringProtocol) {
        guard let reason = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = reason
    }

    /// Why, in plain English, without a full stop.
    public var sentence: String {
        switch self {
        case .permittedUse: "the rules for sockets and local addresses allow it"
        case .ownEnvironment: "the peer is in the application's own environment"
        case .permit: "a permit of the policy covers it"
        case .answer: "it answers a flow that was let through the other way"
        case .host: "the peer is the host, which the environment allows"
        case .remote: "the environment's remote policy allows it"
        case .linkLocal: "the peer is link-local, which the environment allows"
        case .resolver: "it is the host's resolver, which every application may ask"
        case .unconfigured: "no policy covers the application: its environment is unknown, or it is not attached whole"
        case .foreignNamespace: "the socket lives in another network namespace than the instance"
        case .protocol: "the environment does not allow this protocol"
        case .foreignAddress: "the local address is not the application's"
        case .source: "the application address cannot be made the source"
        case .notAddressed: "the packet is not for the application's address"
        case .noIPv6: "the application has no IPv6 address"
        case .malformed: "the packet makes no sense"
        case .forged: "the source cannot come from where the packet came from"
        case .loopback: "loopback is not shared with the host or other applications"
        case .otherEnvironment: "the peer is in another environment, and no permit covers it"
        case .unassigned: "the address is in the address space, but in no environment"
        case .hostDenied: "the peer is the host, which the environment denies"
        case .remoteDenied: "the environment's remote policy denies it"
        case .linkLocalDenied: "the peer is link-local, which the environment does not allow"
        case .multicast: "multicast is not allowed"
        case .broadcast: "broadcast is not allowed"
        }
    }
}
