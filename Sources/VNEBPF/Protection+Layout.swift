internal import PolicyModel
internal import VNEPrograms

/// Protections as bits of an environment's flags.
extension Protection {
    /// Its bit. A published image keeps its meaning when a case is put between others.
    private var bit: UInt32 {
        let position: UInt32 =
            switch self {
            case .families: 0
            case .membership: 1
            case .bpf: 2
            case .netlink: 3
            case .unix: 4
            case .dualStack: 5
            case .closing: 6
            }
        return 1 << (UInt32(VNE_ENVIRONMENT_REQUIRES) + position)
    }

    /// The flags of an environment that requires these.
    static func layout(of protections: Set<Protection>) -> UInt32 {
        protections.reduce(0) { $0 | $1.bit }
    }

    /// What the environment with these flags requires.
    static func protections(of flags: UInt32) -> Set<Protection> {
        Set(allCases.filter { flags & $0.bit != 0 })
    }
}
