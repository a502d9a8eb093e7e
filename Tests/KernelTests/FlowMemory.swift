import PolicyModel
import VNEPrograms

/// A flow as the tables of `bpf/flows.bpf.h` know it.
struct FlowKey: Hashable {
    var remote: IPAddress
    /// 0 for ping.
    var remotePort: UInt16
    /// Ping: the echo identifier.
    var localPort: UInt16

    /// Both ports, as `struct vne_flow` has them.
    var ports: UInt32 { UInt32(remotePort) << 16 | UInt32(localPort) }

    /// The set of ways that it lies in.
    var set: Int {
        var key = (remote.high ^ remote.low) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(ports)
        key = (key ^ key >> 32) &* 0x9e37_79b9_7f4a_7c15
        return Int(key >> 57) & (Int(VNE_FLOW_SETS) - 1)
    }
}

/// What one application's flow table must hold, told from what its hooks let through.
struct FlowLedger {
    private struct Entry: Hashable {
        var key: FlowKey
        var incoming: Bool
    }
    private var entries: Set<Entry> = []
    private var occupancy: [Int: Int] = [:]

    /// Flows that were recorded in this direction, in an order that does not depend on hashing.
    private(set) var outgoing: [FlowKey] = []
    private(set) var incoming: [FlowKey] = []

    /// A datagram flow was let through: only by a permit or a remote policy it is recorded. Where a remote policy allows
    /// everything the kernel leaves it out, but then nobody asks for it either.
    mutating func record(_ key: FlowKey, incoming isIncoming: Bool, reason: Reason) {
        guard reason == .permit || reason == .remote, key.localPort != 0 else { return }
        guard entries.insert(Entry(key: key, incoming: isIncoming)).inserted else { return }
        occupancy[key.set, default: 0] += 1
        if isIncoming { incoming.append(key) } else { outgoing.append(key) }
    }

    /// Whether the flow is there; nil where so many were recorded in its set that the oldest may have gone.
    func holds(_ key: FlowKey, incoming isIncoming: Bool) -> Bool? {
        guard occupancy[key.set, default: 0] <= Int(VNE_FLOW_WAYS) else { return nil }
        return entries.contains(Entry(key: key, incoming: isIncoming))
    }
}
