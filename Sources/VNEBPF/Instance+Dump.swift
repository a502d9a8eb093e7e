public import PolicyModel
internal import VNEPrograms

extension Instance {
    /// A key and its value as they lie in a map.
    public struct RawEntry: Hashable, Sendable {
        /// The key's bytes, as the kernel has them.
        public var key: [UInt8]
        /// Of a map with a value on each CPU: all of them, one after the other.
        public var value: [UInt8]
    }

    /// Who has an application address: an entry of `owner`.
    public struct OwnerRecord: Hashable, Sendable {
        /// The claimed application address.
        public var address: IPAddress
        /// Id of the claiming cgroup.
        public var cgroupID: UInt64
        /// Depth of that cgroup below the root.
        public var cgroupLevel: UInt32
        /// Id of the claimer's environment.
        public var environmentID: UInt32
    }

    /// What the programs know of an application: an entry of `attachment`.
    public struct AttachmentRecord: Hashable, Sendable {
        /// The cgroup whose storage it is.
        public var cgroupID: UInt64
        /// Whether the hooks judge; otherwise they deny everything.
        public var isOpen: Bool
        /// Id of the environment that it is judged by.
        public var environmentID: UInt32
        /// The addresses that its sockets are given; nil while they deny.
        public var addresses: ApplicationAddresses?
        /// What its loopback is; nil while they deny.
        public var loopback: PrivateLoopback?
        /// Depth of the cgroup below the root.
        public var cgroupLevel: UInt32
        /// The cgroup's id as the programs have it; 0 while they deny.
        public var judgedCgroupID: UInt64
        /// `SO_NETNS_COOKIE`.
        public var networkNamespace: UInt64
        /// Entries of the flow table that are no longer free, also those that no longer count.
        public var usedFlows: Int
    }

    /// What the instance is: the entry of `instance`.
    public struct InstanceRecord: Hashable, Sendable {
        /// The layout of the maps.
        public var abiVersion: UInt32
        /// Whether loading ended.
        public var isReady: Bool
        /// `SO_NETNS_COOKIE`.
        public var networkNamespace: UInt64
        /// The generation of the policy whose environments the programs may keep; 0 while one is published.
        public var epoch: UInt32
        /// Digest of the object that the programs came from.
        public var programs: UInt64
    }

    /// What the kernel says of a map.
    public func information(of map: PinnedMap) throws(BPFError) -> BPFMap.Information {
        try self.map(map).handle.information()
    }

    /// All entries of a map as bytes. Of `policy` the pages of the published image; none of the ring buffer, which only
    /// ``denialStream()`` reads.
    public func rawEntries(of map: PinnedMap) throws(BPFError) -> [RawEntry] {
        switch map {
        case .policy: try rawPages()
        case .attachment: try rawEntries(map, key: UInt64(0), byteCount: MemoryLayout<vne_attachment>.size)
        case .counters:
            try rawEntries(map, key: UInt64(0), byteCount: Self.byteCountOnAllCPUs(of: vne_counters.self))
        case .owner:
            try rawEntries(self.map(map), keys: ownerKeys().map(\.layout), byteCount: MemoryLayout<vne_owner>.size)
        case .application: try rawEntries(map, key: UInt64(0), byteCount: MemoryLayout<vne_application>.size)
        case .handshake:
            // Most of the table is free.
            try rawEntries(map, key: UInt32(0), byteCount: MemoryLayout<vne_handshake>.size)
                .filter { $0.value.contains { $0 != 0 } }
        case .instance: try rawEntries(map, key: UInt32(0), byteCount: MemoryLayout<vne_instance>.size)
        case .guarded: try rawEntries(map, key: UInt64(0), byteCount: MemoryLayout<vne_guarded>.size)
        case .guardCount: try rawEntries(map, key: UInt64(0), byteCount: MemoryLayout<vne_guard_count>.size)
        case .denials: []
        }
    }

    private func rawEntries<Key: BitwiseCopyable & Comparable>(
        _ map: PinnedMap, key zero: Key, byteCount: Int
    ) throws(BPFError) -> [RawEntry] {
        let map = try self.map(map)
        return try rawEntries(map, keys: map.handle.keys(from: zero).sorted(), byteCount: byteCount)
    }

    private func rawEntries<Key: BitwiseCopyable>(
        _ map: OpenMap, keys: [Key], byteCount: Int
    ) throws(BPFError) -> [RawEntry] {
        var entries: [RawEntry] = []
        for key in keys {
            guard let value = try map.handle.value(of: key, byteCount: byteCount) else { continue }
            entries.append(RawEntry(key: unsafe withUnsafeBytes(of: key) { unsafe Array($0) }, value: value))
        }
        return entries
    }

    /// The claimed addresses, sorted.
    private func ownerKeys() throws(BPFError) -> [IPAddress] {
        try map(.owner).handle.keys(from: vne_address()).map { IPAddress($0) }.sorted()
    }

    private func rawPages() throws(BPFError) -> [RawEntry] {
        guard let id: UInt32 = try map(.policy).handle.value(of: UInt32(0)), let image = try publishedImage() else {
            return []
        }
        let map = try BPFMap(id: id, name: PinnedMap.policy.rawValue)
        var entries: [RawEntry] = []
        for number in 0..<image.pageCount {
            guard let value = try map.value(of: number, byteCount: Int(VNE_PAGE_SIZE)) else { break }
            entries.append(RawEntry(key: unsafe withUnsafeBytes(of: number) { unsafe Array($0) }, value: value))
        }
        return entries
    }

    /// The entries of `owner`, by address.
    public func owners() throws(BPFError) -> [OwnerRecord] {
        let map = try map(.owner)
        var owners: [OwnerRecord] = []
        for address in try ownerKeys() {
            guard let owner: vne_owner = try map.handle.value(of: address.layout) else { continue }
            owners.append(
                OwnerRecord(
                    address: address, cgroupID: owner.cgroup, cgroupLevel: owner.level,
                    environmentID: owner.environment))
        }
        return owners
    }

    /// The entries of `attachment`, by cgroup. A cgroup keeps its entry after a detach, zeroed, until it is removed.
    public func attachments() throws(BPFError) -> [AttachmentRecord] {
        let map = try map(.attachment)
        var attachments: [AttachmentRecord] = []
        for cgroupID in try map.handle.keys(from: UInt64(0)).sorted() {
            guard let attachment: vne_attachment = try map.handle.value(of: cgroupID) else { continue }
            attachments.append(AttachmentRecord(attachment, cgroupID: cgroupID))
        }
        return attachments
    }

    /// The entries of `counters`, by cgroup.
    public func allCounters() throws(BPFError) -> [UInt64: VerdictCounters] {
        let map = try map(.counters)
        let size = try Self.byteCountOnAllCPUs(of: vne_counters.self)
        var counters: [UInt64: VerdictCounters] = [:]
        for cgroupID in try map.handle.keys(from: UInt64(0)) {
            guard let bytes = try map.handle.value(of: cgroupID, byteCount: size) else { continue }
            counters[cgroupID] = Self.counters(of: bytes)
        }
        return counters
    }

    /// The entry of `instance`.
    public func instanceRecord() throws(BPFError) -> InstanceRecord {
        guard let record: vne_instance = try map(.instance).handle.value(of: UInt32(0)) else {
            throw .incomplete(instance: name)
        }
        return InstanceRecord(
            abiVersion: record.abi_version, isReady: record.ready != 0, networkNamespace: record.netns,
            epoch: record.epoch, programs: record.programs)
    }
}

extension Instance.AttachmentRecord {
    init(_ attachment: vne_attachment, cgroupID: UInt64) {
        let used = unsafe withUnsafeBytes(of: attachment.flow_remotes) { remotes in
            unsafe remotes.bindMemory(to: vne_address.self).count { $0.high != 0 || $0.low != 0 }
        }
        let addresses = attachment.addresses
        self.init(
            cgroupID: cgroupID, isOpen: attachment.state == UInt32(VNE_ATTACHMENT_OPEN),
            environmentID: attachment.environment, addresses: addresses,
            loopback: addresses.map { _ in
                PrivateLoopback(ipv4: attachment.identity.loopback4, ipv6: attachment.identity.loopback6)
            }, cgroupLevel: attachment.level, judgedCgroupID: attachment.cgroup,
            networkNamespace: attachment.identity.netns,
            usedFlows: used)
    }
}
