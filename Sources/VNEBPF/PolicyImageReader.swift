public import PolicyModel
internal import VNEPrograms

/// Reads a policy image as the programs do, page by page: what an address is, what a permit covers, what an environment
/// may do. Whatever can't be read throws; nothing is guessed.
public struct PolicyImageReader {
    private let page: (UInt32) throws(BPFError) -> [UInt32]?
    let header: vne_image_header

    /// Reads the header and refuses what is no image of this version.
    /// - Parameter page: the 256 words of the page with a number; nil if there is none.
    public init(page: @escaping (UInt32) throws(BPFError) -> [UInt32]?) throws(BPFError) {
        self.page = page
        guard let words = try page(0) else { throw .damagedImage("it has no header") }
        self.header = unsafe words.withUnsafeBytes { unsafe $0.loadUnaligned(as: vne_image_header.self) }
        guard header.magic == UInt32(VNE_IMAGE_MAGIC), header.abi_version == UInt32(VNE_ABI_VERSION) else {
            throw .damagedImage("its header is that of another version")
        }
        guard header.owner_page <= VNE_TABLE_PAGE_MASK - UInt32(VNE_ROOT_PAGES) else {
            throw .damagedImage("no image has a page \(header.owner_page)")
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

    /// How applications are known to others.
    public var identity: PublishedIdentity {
        let interface = FixedText.string(of: header.interface)
        return PublishedIdentity(
            interface: interface.isEmpty ? nil : interface, hostnames: ResolvedHostnames(layout: header.hostnames))
    }

    /// Loopback services that every application may use.
    public var sharedServices: [SharedService] {
        unsafe withUnsafeBytes(of: header.shared) { bytes in
            unsafe bytes.bindMemory(to: vne_shared_service.self).prefix(Int(header.shared_count)).map {
                SharedService(address: IPAddress($0.address), port: UInt16(truncatingIfNeeded: $0.port))
            }
        }
    }

    /// The policy file's text.
    public func text() throws(BPFError) -> String {
        let length = Int(header.text_length)
        var bytes: [UInt8] = []
        var number = header.text_page
        while bytes.count < length {
            let words = try existingPage(number)
            unsafe words.withUnsafeBytes { unsafe bytes.append(contentsOf: $0.prefix(length - bytes.count)) }
            number += 1
        }
        return String(decoding: bytes, as: UTF8.self)
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
        /// Whether datagrams to and from groups may pass.
        public var multicast: Bool
        /// Whether denials of reachability hold.
        public var mode: Mode
        /// Whether its applications have the egress hook.
        public var needsEgress: Bool
        /// Whether its applications have the hook of socket options.
        public var needsOptions: Bool
        /// Without these an application is not attached.
        public var requires: Set<Protection>
        /// Whether its applications have the hooks of Unix sockets.
        public var unixPrivate: Bool
        /// What its sockets may speak.
        public var protocols: Set<TransportProtocol>
        /// The families in which it has addresses.
        public var families: Set<AddressFamily>
        /// Of each family in which it is one prefix only, that.
        public var prefixes: [AddressFamily: IPPrefix]
        /// Where new flows from remotes are looked up.
        public var remoteIn: RemoteTable
        /// Where new flows to remotes are looked up.
        public var remoteOut: RemoteTable
    }

    /// The tables of a remote policy in this image, one for each family.
    public struct RemoteTable: Hashable, Sendable {
        let ipv4: AddressEntry
        let ipv6: AddressEntry

        init(_ ipv4: UInt32, _ ipv6: UInt32) {
            self.ipv4 = AddressEntry(rawValue: ipv4)
            self.ipv6 = AddressEntry(rawValue: ipv6)
        }
    }

    /// The environment with an id; nil if the id is unused.
    public func environment(id: UInt32) throws(BPFError) -> EnvironmentRecord? {
        guard id < header.environment_count else { return nil }
        let record: vne_environment = try record(id, ofPage: header.environment_page)
        guard record.own.flags & UInt32(VNE_ENVIRONMENT_VALID) != 0 else { return nil }
        guard record.`self` == id ^ UInt32(VNE_ENVIRONMENT_SELF) else {
            throw .damagedImage("the record of environment \(id) is that of another one")
        }
        var protocols: Set<TransportProtocol> = []
        if record.own.protocols & UInt32(VNE_PROTOCOL_TCP) != 0 { protocols.insert(.tcp) }
        if record.own.protocols & UInt32(VNE_PROTOCOL_UDP) != 0 { protocols.insert(.udp) }
        if record.own.protocols & UInt32(VNE_PROTOCOL_PING) != 0 { protocols.insert(.ping) }
        // The record has the first prefix of each family in which there is one; only then its mask is not zero.
        var families: Set<AddressFamily> = []
        var prefixes: [AddressFamily: IPPrefix] = [:]
        if record.own.mask4 != 0 {
            families.insert(.ipv4)
            if record.own.flags & UInt32(VNE_ENVIRONMENT_ONE_PREFIX4) != 0 {
                let mask = IPAddress(rawValue: .prefixMask(96) | UInt128(record.own.mask4))
                prefixes[.ipv4] = try prefix(
                    .ipv4, network: IPAddress(ipv4: record.own.network4).layout, mask: mask.layout)
            }
        }
        if IPAddress.present(record.own.mask6) != nil {
            families.insert(.ipv6)
            if record.own.flags & UInt32(VNE_ENVIRONMENT_ONE_PREFIX6) != 0 {
                prefixes[.ipv6] = try prefix(.ipv6, network: record.own.network6, mask: record.own.mask6)
            }
        }
        return EnvironmentRecord(
            id: id, name: FixedText.string(of: record.name),
            host: record.own.flags & UInt32(VNE_ENVIRONMENT_HOST) != 0,
            linkLocal: record.own.flags & UInt32(VNE_ENVIRONMENT_LINK_LOCAL) != 0,
            multicast: record.own.flags & UInt32(VNE_ENVIRONMENT_MULTICAST) != 0,
            mode: record.own.flags & UInt32(VNE_ENVIRONMENT_AUDIT) != 0 ? .audit : .enforce,
            needsEgress: record.own.flags & UInt32(VNE_ENVIRONMENT_STRICT) != 0,
            needsOptions: record.own.flags & UInt32(VNE_ENVIRONMENT_OPTIONS) != 0,
            requires: Protection.protections(of: record.own.flags),
            unixPrivate: record.own.flags & UInt32(VNE_ENVIRONMENT_UNIX_PRIVATE) != 0, protocols: protocols,
            families: families, prefixes: prefixes, remoteIn: RemoteTable(record.remote_in4, record.remote_in6),
            remoteOut: RemoteTable(record.remote_out4, record.remote_out6))
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
        case address(IPAddress)
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
        let wanted = PermitTable.Slot(from: id, to: target)
        let start = wanted.hash
        for probe in 0..<UInt32(VNE_PERMIT_PROBES) {
            let slot: vne_permit = try record((start &+ probe) & header.permit_mask, ofPage: header.permit_page)
            if slot.from == wanted.from, IPAddress(slot.to) == wanted.to { return slot.rules }
            guard slot.from != 0 else { return nil }
        }
        return nil
    }

    /// Whether a permit of one environment covers a flow to an address of another one.
    public func permits(
        from: UInt32, to: UInt32, at address: IPAddress, _ transport: TransportProtocol, _ port: UInt16
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
                ? .address(IPAddress(slot.to)) : .environment(UInt32(truncatingIfNeeded: slot.to.low))
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
        guard index <= VNE_ENTRY_INDEX_MASK else { throw .damagedImage("no image has a rule \(index)") }
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
        _ table: RemoteTable, _ address: IPAddress, _ transport: TransportProtocol, _ port: UInt16
    ) throws(BPFError) -> Bool {
        let entry = try leaf(under: address.family == .ipv4 ? table.ipv4 : table.ipv6, of: address)
        guard entry.kind == VNE_ENTRY_RULES else { return false }
        return try allows(entry.index, transport, port)
    }

    // MARK: - Pages

    func existingPage(_ number: UInt32) throws(BPFError) -> [UInt32] {
        guard let words = try page(number), words.count == Int(VNE_PAGE_WORDS) else {
            throw .damagedImage("it has no page \(number)")
        }
        return words
    }

    /// The record with this index in a table of pages that hold whole records only.
    func record<Record: BitwiseCopyable>(_ index: UInt32, ofPage first: UInt32) throws(BPFError) -> Record {
        let perPage = UInt32(Int(VNE_PAGE_SIZE) / MemoryLayout<Record>.stride)
        let (page, overflows) = first.addingReportingOverflow(index / perPage)
        guard !overflows else { throw .damagedImage("record \(index) of page \(first) is in no page") }
        let words = try existingPage(page)
        let offset = Int(index % perPage) * MemoryLayout<Record>.stride
        return unsafe words.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: offset, as: Record.self) }
    }
}
