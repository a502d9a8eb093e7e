extension Reason {
    /// The word for it in JSON and tables, such as `other-environment`.
    public var name: String { rawValue }

    /// The reason with this ``name``.
    public init?(name: some StringProtocol) {
        self.init(rawValue: String(name))
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
        case .shared: "it is a loopback service that every application shares: the host's resolver, or loopback.shared"
        case .ownLoopback: "it stays on the application's own loopback"
        case .group: "it goes to a multicast group or a broadcast address, which the environment allows"
        case .unconfigured: "no policy covers the application: its environment is unknown, or it is not attached whole"
        case .foreignNamespace: "the socket lives in another network namespace than the instance"
        case .protocol: "the environment does not allow this protocol"
        case .foreignAddress: "the local address is not the application's"
        case .source: "the application address cannot be made the source"
        case .notAddressed: "the packet is not for the application's addresses"
        case .noFamily: "the application has no address in the peer's address family"
        case .malformed: "the packet makes no sense"
        case .forged: "the source cannot come from where the packet came from"
        case .loopback: "nothing of the application's own listens there, and its loopback is not the host's"
        case .membership: "no process leaves the application's cgroup, or starts in another one"
        case .administration: "an application uses neither bpf(2) nor CAP_NET_ADMIN over the host"
        case .otherEnvironment: "the peer is in another environment, and no permit covers it"
        case .unassigned: "the address is in the address space, but in no environment"
        case .hostDenied: "the peer is the host, which the environment denies"
        case .remoteDenied: "the environment's remote policy denies it"
        case .linkLocalDenied: "the peer is link-local, which the environment does not allow"
        case .multicast: "the environment does not allow multicast"
        case .broadcast: "the environment does not allow multicast, nor broadcasts"
        case .unix: "the abstract Unix socket is not the application's own, as far as the kernel shows it"
        }
    }
}
