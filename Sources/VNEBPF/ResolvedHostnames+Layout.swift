internal import PolicyModel
internal import VNEPrograms

extension ResolvedHostnames {
    /// An `enum vne_hostnames`.
    var layout: UInt32 {
        switch self {
        case .attached: UInt32(VNE_HOSTNAMES_ATTACHED.rawValue)
        case .none: UInt32(VNE_HOSTNAMES_NONE.rawValue)
        case .all: UInt32(VNE_HOSTNAMES_ALL.rawValue)
        }
    }

    /// What an `enum vne_hostnames` says; none where it says what this version does not know.
    init(layout: UInt32) {
        self = Self.allCases.first { $0.layout == layout } ?? .none
    }
}
