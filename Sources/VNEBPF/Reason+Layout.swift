internal import PolicyModel
internal import VNEPrograms

/// Between `enum vne_reason` and ``PolicyModel/Reason``.
extension Reason {
    /// The reason's number in counters and events.
    var layout: vne_reason {
        switch self {
        case .permittedUse: VNE_REASON_PERMITTED_USE
        case .ownEnvironment: VNE_REASON_OWN_ENVIRONMENT
        case .permit: VNE_REASON_PERMIT
        case .answer: VNE_REASON_ANSWER
        case .host: VNE_REASON_HOST
        case .remote: VNE_REASON_REMOTE
        case .linkLocal: VNE_REASON_LINK_LOCAL
        case .shared: VNE_REASON_SHARED
        case .ownLoopback: VNE_REASON_OWN_LOOPBACK
        case .group: VNE_REASON_GROUP
        case .unconfigured: VNE_REASON_UNCONFIGURED
        case .foreignNamespace: VNE_REASON_FOREIGN_NAMESPACE
        case .protocol: VNE_REASON_PROTOCOL
        case .foreignAddress: VNE_REASON_FOREIGN_ADDRESS
        case .source: VNE_REASON_SOURCE
        case .notAddressed: VNE_REASON_NOT_ADDRESSED
        case .noFamily: VNE_REASON_NO_FAMILY
        case .malformed: VNE_REASON_MALFORMED
        case .forged: VNE_REASON_FORGED
        case .loopback: VNE_REASON_LOOPBACK
        case .membership: VNE_REASON_MEMBERSHIP
        case .administration: VNE_REASON_ADMINISTRATION
        case .otherEnvironment: VNE_REASON_OTHER_ENVIRONMENT
        case .unassigned: VNE_REASON_UNASSIGNED
        case .hostDenied: VNE_REASON_HOST_DENIED
        case .remoteDenied: VNE_REASON_REMOTE_DENIED
        case .linkLocalDenied: VNE_REASON_LINK_LOCAL_DENIED
        case .multicast: VNE_REASON_MULTICAST
        case .broadcast: VNE_REASON_BROADCAST
        case .unix: VNE_REASON_UNIX
        }
    }

    /// The reason with a number; nil for one that this version does not know.
    init?(layout number: UInt32) {
        guard let reason = Self.byNumber[number] else { return nil }
        self = reason
    }

    private static let byNumber = Dictionary(
        Reason.allCases.map { (UInt32($0.layout.rawValue), $0) }, uniquingKeysWith: { first, _ in first })
}
