public import PolicyModel
internal import VNEPrograms

/// Reads a policy image as the programs do, page by page: what an address is, what a permit covers, what an environment
/// may do. Whatever can't be read throws; nothing is guessed.
public struct PolicyImageReader {
    private let page: (UInt32) throws(BPFError) -> [UInt32]?
    private let header: vne_image_header

    /// Reads the header and refuses what is no image of this version.
    /// - Parameter page: the 256 words of the page with a number; nil if there is none.
    public init(page: @escaping (UInt32) throws(BPFError) -> [UInt32]?) throws(BPFError) {
        self.page = page
        guard let words = try page(0) else { throw .damagedImage("it has no header") }
        self.header = unsafe words.withUnsafeBytes { unsafe $0.loadUnaligned(as: vne_image_header.self) }
        guard header.magic == UInt32(VNE_IMAGE_MAGIC), header.abi_version == UInt32(VNE_ABI_VERSION) else {
            throw .damagedImage("its header is that of another version")
        }
    }

    /// Reads an image that was just compiled.
    public init(_ image: PolicyImage) throws(BPFError) {
        try self.init { (number) throws(BPFError) in image.page(number) }
    }

    // MARK: - Header

    /// Counts publications.
    public var generation: UInt32 { header.generation }
    /// How many pages the image has.
    public var pageCount: UInt32 { header.page_count }
    /// Records in the table of environments, unused ones included.
    public var environmentCount: UInt32 { header.environment_count }
    /// Whether recorded datagram flows count.
    public var flowsOpen: Bool { header.flows_open != 0 }
    /// Flow entries stamped at or before this do not count; coarse monotonic nanoseconds >> VNE_FLOW_CLOCK_SHIFT.
    public var flowFloor: UInt32 { header.flow_floor }
    /// The policy file's name.
    public var source: String { FixedText.string(of: header.source) }

    /// Indexes of the interfaces on which a source in the address space is believed.
    public var interfaces: [UInt32] {
        unsafe withUnsafeBytes(of: header.interfaces) { bytes in
            unsafe Array(bytes.bindMemory(to: UInt32.self).prefix(Int(header.interface_count)))
        }
    }

    /// Loopback services that every application may use.
    public var sharedServices: [SharedService] {
        unsafe withUnsafeBytes(of: header.shared) { bytes in
            unsafe bytes.bindMemory(to: vne_shared_service.self).prefix(Int(header.shared_count)).map {
                SharedService(address: IPv4Address(rawValue: $0.address), port: UInt16(truncatingIfNeeded: $0.port))
            }
        }
    }

    /// The policy file's text.
    public func text() throws(BPFError) -> String {
        let length = Int(header.text_length)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        var number = header.text_page
        while bytes.count < length {
            let words = try existingPage(number)
            unsafe words.withUnsafeBytes { unsafe bytes.append(contentsOf: $0.prefix(length - bytes.count)) }
            number += 1
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: - Addresses

    /// What an address is.
    public enum AddressOwner: Hashable, Sendable {
        case remote, host, loopback, linkLocal, multicast, broadcast
        /// Inside the address space, in no environment.
        case unassigned
        /// In the environment with this id; `reserved` where the policy gives it to an application by name.
        case environment(UInt32, reserved: Bool)
    }

    /// What the owner table says of an address.
    public func owner(of address: IPv4Address) throws(BPFError) -> AddressOwner {
        var entry = AddressEntry(VNE_ENTRY_TABLE, header.owner_page + address.rawValue >> 24)
        for shift in [UInt32(16), 8, 0] { entry = try step(entry, address.rawValue >> shift) }
        return try owner(of: entry)
    }

    /// A run of addresses that are all the same.
    public struct OwnedRange: Hashable, Sendable {
        /// The first and the last address.
        public var addresses: ClosedRange<IPv4Address>
        /// What they are.
        public var owner: AddressOwner
    }

    /// The whole owner table as runs of addresses, ascending, neighbours that are the same as one. Remote addresses are
    /// left out.
    public func ownedRanges() throws(BPFError) -> [OwnedRange] {
        var ranges: [OwnedRange] = []
        var run: (entry: AddressEntry, first: UInt32)?
        func finish(before next: UInt64) throws(BPFError) {
            guard let run, run.entry.kind != VNE_ENTRY_REMOTE else { return }
            let last = IPv4Address(rawValue: UInt32(next - 1))
            ranges.append(
                OwnedRange(addresses: IPv4Address(rawValue: run.first)...last, owner: try owner(of: run.entry)))
        }
        func walk(page number: UInt32, from start: UInt32, shift: UInt32) throws(BPFError) {
            let words = try existingPage(number)
            for (index, word) in words.enumerated() {
                let entry = AddressEntry(rawValue: word)
                let first = start | UInt32(index) << shift
                if entry.kind == VNE_ENTRY_TABLE, shift > 0 {
                    try walk(page: entry.index, from: first, shift: shift - 8)
                } else if run?.entry != entry {
                    try finish(before: UInt64(first))
                    run = (entry, first)
                }
            }
        }
        for upper in 0..<UInt32(VNE_ROOT_PAGES) {
            try walk(page: header.owner_page + upper, from: upper << 24, shift: 16)
        }
        try finish(before: 1 << 32)
        return ranges
    }

    private func owner(of entry: AddressEntry) throws(BPFError) -> AddressOwner {
        switch entry.kind {
        case VNE_ENTRY_REMOTE: .remote
        case VNE_ENTRY_HOST: .host
        case VNE_ENTRY_LOOPBACK: .loopback
        case VNE_ENTRY_LINK_LOCAL: .linkLocal
        case VNE_ENTRY_MULTICAST: .multicast
        case VNE_ENTRY_BROADCAST: .broadcast
        case VNE_ENTRY_UNASSIGNED: .unassigned
        case VNE_ENTRY_ENVIRONMENT: .environment(entry.index, reserved: false)
        case VNE_ENTRY_RESERVED: .environment(entry.index, reserved: true)
        default: throw .damagedImage("an address has the entry \(entry.rawValue)")
        }
    }

    private func step(_ entry: AddressEntry, _ byte: UInt32) throws(BPFError) -> AddressEntry {
        guard entry.kind == VNE_ENTRY_TABLE else { return entry }
        return AddressEntry(rawValue: try existingPage(entry.index)[Int(byte & 0xff)])
    }

    // MARK: - Environments

    /// The record of an environment.
    public struct EnvironmentRecord: Hashable, Sendable {
        /// Index of the record.
        public var id: UInt32
        /// The environment's name.
        public var name: String
        /// Whether the host may be talked to.
        public var host: Bool
        /// Whether link-local peers may be talked to.
        public var linkLocal: Bool
        /// Whether denials of reachability hold.
        public var mode: Mode
        /// Whether its applications have the egress hook.
        public var needsEgress: Bool
        /// What its sockets may speak.
        public var protocols: Set<TransportProtocol>
        /// The prefix, if it is the only one.
        public var prefix: IPv4Prefix?
        /// Where new flows from remotes are looked up.
        public var remoteIn: RemoteTable
        /// Where new flows to remotes are looked up.
        public var remoteOut: RemoteTable
    }

    /// The table of a remote policy in this image.
    public struct RemoteTable: Hashable, Sendable {
        let entry: AddressEntry
    }

    /// The environment with an id; nil if the id is unused.
    public func environment(id: UInt32) throws(BPFError) -> EnvironmentRecord? {
        guard id < header.environment_count else { return nil }
        let record: vne_environment = try record(id, ofPage: header.environment_page)
        guard record.flags & UInt32(VNE_ENVIRONMENT_VALID) != 0 else { return nil }
        guard record.`self` == id ^ UInt32(VNE_ENVIRONMENT_SELF) else {
            throw .damagedImage("the record of environment \(id) is that of another one")
        }
        var protocols: Set<TransportProtocol> = []
        if record.protocols & UInt32(VNE_PROTOCOL_TCP) != 0 { protocols.insert(.tcp) }
        if record.protocols & UInt32(VNE_PROTOCOL_UDP) != 0 { protocols.insert(.udp) }
        if record.protocols & UInt32(VNE_PROTOCOL_PING) != 0 { protocols.insert(.ping) }
        var prefix: IPv4Prefix?
        if record.flags & UInt32(VNE_ENVIRONMENT_ONE_PREFIX) != 0 {
            prefix = IPv4Prefix(
                holding: IPv4Address(rawValue: record.own_network), length: record.own_mask.nonzeroBitCount)
        }
        return EnvironmentRecord(
            id: id, name: FixedText.string(of: record.name),
            host: record.flags & UInt32(VNE_ENVIRONMENT_HOST) != 0,
            linkLocal: record.flags & UInt32(VNE_ENVIRONMENT_LINK_LOCAL) != 0,
            mode: record.flags & UInt32(VNE_ENVIRONMENT_AUDIT) != 0 ? .audit : .enforce,
            needsEgress: record.flags & UInt32(VNE_ENVIRONMENT_STRICT) != 0, protocols: protocols, prefix: prefix,
            remoteIn: RemoteTable(entry: AddressEntry(rawValue: record.remote_in)),
            remoteOut: RemoteTable(entry: AddressEntry(rawValue: record.remote_out)))
    }

    /// The environment with a name, by binary search in the name index.
    public func environment(named name: String) throws(BPFError) -> EnvironmentRecord? {
        let wanted = Array(name.utf8)
        var low: UInt32 = 0
        var high = header.name_count
        while low < high {
            let middle = low + (high - low) / 2
            let id: UInt32 = try record(middle, ofPage: header.name_page)
            let record: vne_environment = try record(id, ofPage: header.environment_page)
            let comparison = FixedText.compare(record.name, with: wanted)
            if comparison == 0 { return try environment(id: id) }
            if comparison < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// All environments, by id.
    public func environments() throws(BPFError) -> [EnvironmentRecord] {
        var environments: [EnvironmentRecord] = []
        for id in 0..<header.environment_count {
            if let environment = try environment(id: id) { environments.append(environment) }
        }
        return environments
    }

    // MARK: - Permits and rules

    /// What a permit leads to.
    public enum PermitTarget: Hashable, Sendable {
        /// Every address of the environment with this id.
        case environment(UInt32)
        /// One address.
        case address(IPv4Address)
    }

    /// A permit as the kernel's table has it.
    public struct PermitRecord: Hashable, Sendable {
        /// The environment's id.
        public var from: UInt32
        /// The other environment, or one address of it.
        public var to: PermitTarget
        /// Index of the first rule.
        public var list: UInt32
    }

    /// Index of the first rule of the permit from an environment to a target; nil if there is none.
    public func permit(from id: UInt32, to target: PermitTarget) throws(BPFError) -> UInt32? {
        let (from, to) =
            switch target {
            case .environment(let other): (VNE_PERMIT_TO_ENVIRONMENT | id, other)
            case .address(let address): (VNE_PERMIT_TO_ADDRESS | id, address.rawValue)
            }
        let start = vne_permit_hash(from, to)
        for probe in 0..<UInt32(VNE_PERMIT_PROBES) {
            let slot: vne_permit = try record((start &+ probe) & header.permit_mask, ofPage: header.permit_page)
            if slot.from == from, slot.to == to { return slot.rules }
            guard slot.from != 0 else { return nil }
        }
        return nil
    }

    /// Whether a permit of one environment covers a flow to an address of another one.
    public func permits(
        from: UInt32, to: UInt32, at address: IPv4Address, _ transport: TransportProtocol, _ port: UInt16
    ) throws(BPFError) -> Bool {
        for target in [PermitTarget.environment(to), .address(address)] {
            if let list = try permit(from: from, to: target), try allows(list, transport, port) { return true }
        }
        return false
    }

    /// All permits, in the order of the table.
    public func permits() throws(BPFError) -> [PermitRecord] {
        var permits: [PermitRecord] = []
        for index in 0...header.permit_mask {
            let slot: vne_permit = try record(index, ofPage: header.permit_page)
            guard slot.from != 0 else { continue }
            let from = slot.from & VNE_ENTRY_INDEX_MASK
            let target: PermitTarget =
                slot.from & ~VNE_ENTRY_INDEX_MASK == VNE_PERMIT_TO_ADDRESS
                ? .address(IPv4Address(rawValue: slot.to)) : .environment(slot.to)
            permits.append(PermitRecord(from: from, to: target, list: slot.rules))
        }
        return permits
    }

    /// A rule of a list: the first that matches decides.
    public struct Rule: Hashable, Sendable {
        /// `IPPROTO_…`; 0 for any.
        public var transport: UInt8
        /// First and last port that match.
        public var ports: ClosedRange<UInt16>
        /// What the rule says of a match.
        public var allows: Bool
    }

    /// The list that starts at a rule. What none of its rules matches is denied.
    public func list(_ index: UInt32) throws(BPFError) -> [Rule] {
        var rules: [Rule] = []
        for index in index..<index + UInt32(VNE_RULES_MAX) {
            let rule: vne_rule = try record(index, ofPage: header.rule_page)
            let first = UInt16(truncatingIfNeeded: rule.ports)
            let last = UInt16(truncatingIfNeeded: rule.ports >> 16)
            guard first <= last else { throw .damagedImage("rule \(index) has no ports") }
            rules.append(
                Rule(
                    transport: UInt8(truncatingIfNeeded: rule.match), ports: first...last,
                    allows: rule.match & VNE_RULE_ALLOW != 0))
            if rule.match & VNE_RULE_LAST != 0 { break }
        }
        return rules
    }

    /// Whether the list that starts at a rule allows a flow. Ping's port is 0.
    public func allows(_ list: UInt32, _ transport: TransportProtocol, _ port: UInt16) throws(BPFError) -> Bool {
        let matching = try self.list(list).first {
            ($0.transport == 0 || $0.transport == transport.number) && $0.ports.contains(port)
        }
        return matching?.allows ?? false
    }

    /// Whether a remote policy allows a new flow with a peer at this address.
    public func allows(
        _ table: RemoteTable, _ address: IPv4Address, _ transport: TransportProtocol, _ port: UInt16
    ) throws(BPFError) -> Bool {
        var entry = table.entry
        for shift in [UInt32(24), 16, 8, 0] { entry = try step(entry, address.rawValue >> shift) }
        guard entry.kind == VNE_ENTRY_RULES else { return false }
        return try allows(entry.index, transport, port)
    }

    // MARK: - Pages

    private func existingPage(_ number: UInt32) throws(BPFError) -> [UInt32] {
        guard let words = try page(number), words.count == Int(VNE_PAGE_WORDS) else {
            throw .damagedImage("it has no page \(number)")
        }
        return words
    }

    /// The record with this index in a table of pages that hold whole records only.
    private func record<Record: BitwiseCopyable>(_ index: UInt32, ofPage first: UInt32) throws(BPFError) -> Record {
        let perPage = UInt32(Int(VNE_PAGE_SIZE) / MemoryLayout<Record>.stride)
        let words = try existingPage(first + index / perPage)
        let offset = Int(index % perPage) * MemoryLayout<Record>.stride
        return unsafe words.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: offset, as: Record.self) }
    }
}
