internal import PolicyModel
internal import VNEPrograms

/// The permit table of an image while it is built: an open hash table of `struct vne_permit`.
struct PermitTable {
    /// The bits of one `struct vne_permit`, without its reserved word.
    struct Slot: Hashable {
        var from: UInt32
        /// An address, or the other environment's id as one.
        var to: IPAddress
        var rules: UInt32

        static let free = Slot(from: 0, to: IPAddress(rawValue: 0), rules: 0)

        /// A permit from an environment to all of another one, or to one address of it.
        init(from id: UInt32, to target: PolicyImageReader.PermitTarget, rules: UInt32 = 0) {
            self.rules = rules
            switch target {
            case .environment(let other):
                (from, to) = (UInt32(VNE_PERMIT_TO_ENVIRONMENT) | id, IPAddress(rawValue: UInt128(other)))
            case .address(let address): (from, to) = (UInt32(VNE_PERMIT_TO_ADDRESS) | id, address)
            }
        }

        private init(from: UInt32, to: IPAddress, rules: UInt32) {
            self.from = from
            self.to = to
            self.rules = rules
        }

        /// Where the search for it starts, before the mask.
        var hash: UInt32 { vne_permit_hash(from, to.layout) }
    }

    /// A power of two, and at least a page of them.
    let slots: [Slot]

    /// A table of as many slots as it takes for each permit to lie within `VNE_PERMIT_PROBES` of where the search for
    /// it starts.
    init(_ permits: [Slot]) {
        var size = Int(VNE_PERMITS_PER_PAGE)
        while size < permits.count * 2 { size *= 2 }
        while true {
            if let slots = Self.placing(permits, in: size) {
                self.slots = slots
                return
            }
            size *= 2
        }
    }

    private static func placing(_ permits: [Slot], in size: Int) -> [Slot]? {
        var slots = [Slot](repeating: .free, count: size)
        let mask = UInt32(size - 1)
        for permit in permits {
            let start = permit.hash
            let place = (0..<UInt32(VNE_PERMIT_PROBES)).lazy.map { Int((start &+ $0) & mask) }
                .first { slots[$0].from == 0 }
            guard let place else { return nil }
            slots[place] = permit
        }
        return slots
    }
}

extension PolicyImage.Builder {
    /// Compiles the permits of all environments. Those between the same two are one; one to an application is one to
    /// each of its addresses, and covers nothing while that has none, as in the model.
    mutating func permitTable() throws(PolicyImageError) -> PermitTable {
        var addresses: [String: [IPAddress]] = [:]
        for application in policy.applications {
            addresses[application.name] = application.addresses?.all
        }
        var permits: [PermitTable.Slot] = []
        for environment in policy.environments {
            guard let from = ids[environment.name] else { continue }
            var pairs: [PermitTable.Slot: (traffic: Traffic, line: Int)] = [:]
            var order: [PermitTable.Slot] = []
            for permit in environment.permits {
                guard let other = ids[permit.environment] else {
                    throw error(.unknownEnvironment(permit.environment), line: permit.line)
                }
                var targets = [PolicyImageReader.PermitTarget.environment(other)]
                if let application = permit.application {
                    targets = addresses[application, default: []].map { .address($0) }
                }
                for pair in targets.map({ PermitTable.Slot(from: from, to: $0) }) {
                    if pairs[pair] == nil { order.append(pair) }
                    for rule in permit.ports {
                        pairs[pair, default: (.none, permit.line)].traffic.insert(rule)
                    }
                    pairs[pair]?.line = permit.line
                }
            }
            for pair in order {
                guard let (traffic, line) = pairs[pair] else { continue }
                var permit = pair
                permit.rules = try rules.list(traffic, source: policy.source, line: line)
                permits.append(permit)
            }
        }
        return PermitTable(permits)
    }
}
