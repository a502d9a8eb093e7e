public import PolicyModel
internal import VNEPrograms

/// A policy as the kernel reads it: pages of 256 words, laid out as `bpf/include/vne_abi.h` says.
///
/// Compiling is pure: the same policy, view of the host and ids give the same words.
public struct PolicyImage: Hashable, Sendable {
    /// All pages, one after the other; the first is the header.
    public internal(set) var words: [UInt32]

    /// How many pages there are.
    public var pageCount: Int { words.count / Int(VNE_PAGE_WORDS) }

    /// The words of a page; nil if there is none of this number.
    public func page(_ number: UInt32) -> [UInt32]? {
        let start = Int(number) * Int(VNE_PAGE_WORDS)
        guard start < words.count else { return nil }
        return Array(words[start..<start + Int(VNE_PAGE_WORDS)])
    }

    /// What of an image is no consequence of the policy.
    public struct Publication: Hashable, Sendable {
        /// Counts publications; never goes back within an instance.
        public var generation: UInt32
        /// Whether recorded datagram flows count from the start.
        public var flowsOpen: Bool
        /// Flow entries stamped at or before this do not count; coarse monotonic nanoseconds >> VNE_FLOW_CLOCK_SHIFT.
        public var flowFloor: UInt32

        /// A publication from its parts.
        public init(generation: UInt32, flowsOpen: Bool = true, flowFloor: UInt32 = 0) {
            self.generation = generation
            self.flowsOpen = flowsOpen
            self.flowFloor = flowFloor
        }
    }

    /// Compiles a policy.
    /// - Parameters:
    ///   - text: the policy file, which is kept in the image.
    ///   - ids: what environments were called before, and must be called again.
    public init(
        compiling policy: Policy, text: String, host: HostView, ids: EnvironmentIDs = EnvironmentIDs(),
        publication: Publication = Publication(generation: 1)
    ) throws(PolicyImageError) {
        var builder = Builder(policy: policy, host: host, ids: try ids.assigned(to: policy))
        self.words = try builder.build(text: text, publication: publication)
    }
}

extension PolicyImage {
    /// An image while it is built.
    struct Builder {
        let policy: Policy
        let host: HostView
        /// Of every environment of the policy.
        let ids: [String: UInt32]
        var words: [UInt32] = []
        var header = vne_image_header()
        var rules = RuleTable()
        var compares = CompareTable()
        /// Tables of remote policies that were compiled already.
        var remoteTables: [RemoteKey: AddressEntry] = [:]
        /// Pages of IPv6 trees that are there already, by the hash of their words.
        var treePages: [Int: [UInt32]] = [:]

        /// 1 GiB of kernel memory: a million single addresses, each in a /24 of its own.
        static let mostPages = 1 << 20

        init(policy: Policy, host: HostView, ids: [String: UInt32]) {
            self.policy = policy
            self.host = host
            self.ids = ids
        }

        func error(_ problem: PolicyImageError.Problem, line: Int? = nil) -> PolicyImageError {
            PolicyImageError(source: policy.source, line: line, problem: problem)
        }

        /// Appends pages whose words are all the same, and gives the first one's number.
        mutating func addPages(_ count: Int, filledWith word: UInt32) -> UInt32 {
            let number = words.count / Int(VNE_PAGE_WORDS)
            words.append(contentsOf: repeatElement(word, count: count * Int(VNE_PAGE_WORDS)))
            return UInt32(number)
        }

        mutating func addPage(filledWith word: UInt32) -> UInt32 {
            addPages(1, filledWith: word)
        }

        /// Appends as many zeroed pages as `count` records of `size` bytes take, at least one.
        mutating func addPages(for count: Int, of size: Int) -> UInt32 {
            let bytes = max(count * size, 1)
            return addPages((bytes + Int(VNE_PAGE_SIZE) - 1) / Int(VNE_PAGE_SIZE), filledWith: 0)
        }

        func checkSize() throws(PolicyImageError) {
            guard words.count / Int(VNE_PAGE_WORDS) <= Self.mostPages else { throw error(.pages(most: Self.mostPages)) }
        }

        mutating func build(text: String, publication: Publication) throws(PolicyImageError) -> [UInt32] {
            _ = addPage(filledWith: 0)
            try addEnvironments()
            try paintOwners()
            addCompares()
            addNames()
            addPermits(try permitTable())
            addRules()
            addText(text)
            try checkSize()
            try completeHeader(publication)
            return words
        }

        private mutating func addEnvironments() throws(PolicyImageError) {
            let count = ids.values.max().map { Int($0) + 1 } ?? 0
            // Before anything else that adds pages: the packet path expects the records right behind the header.
            header.environment_count = UInt32(count)
            header.environment_page = addPages(for: count, of: MemoryLayout<vne_environment>.stride)
            precondition(header.environment_page == UInt32(VNE_ENVIRONMENT_PAGE))
            var records: [(id: UInt32, record: vne_environment)] = []
            records.reserveCapacity(policy.environments.count)
            for environment in policy.environments {
                guard let id = ids[environment.name] else { continue }
                records.append((id, try record(of: environment, id: id)))
            }
            let start = Int(header.environment_page) * Int(VNE_PAGE_SIZE)
            unsafe words.withUnsafeMutableBytes { bytes in
                for (id, record) in records {
                    unsafe bytes.storeBytes(
                        of: record, toByteOffset: start + Int(id) * MemoryLayout<vne_environment>.stride,
                        as: vne_environment.self)
                }
            }
        }

        private mutating func record(
            of environment: Environment, id: UInt32
        ) throws(PolicyImageError) -> vne_environment {
            var record = vne_environment()
            record.`self` = id ^ UInt32(VNE_ENVIRONMENT_SELF)
            record.own.flags = UInt32(VNE_ENVIRONMENT_VALID)
            if environment.host { record.own.flags |= UInt32(VNE_ENVIRONMENT_HOST) }
            if environment.linkLocal { record.own.flags |= UInt32(VNE_ENVIRONMENT_LINK_LOCAL) }
            if environment.multicast { record.own.flags |= UInt32(VNE_ENVIRONMENT_MULTICAST) }
            if environment.mode == .audit { record.own.flags |= UInt32(VNE_ENVIRONMENT_AUDIT) }
            if environment.needsEgress { record.own.flags |= UInt32(VNE_ENVIRONMENT_STRICT) }
            if environment.needsOptions { record.own.flags |= UInt32(VNE_ENVIRONMENT_OPTIONS) }
            if environment.unixPrivate { record.own.flags |= UInt32(VNE_ENVIRONMENT_UNIX_PRIVATE) }
            record.own.flags |= Protection.layout(of: environment.requires)
            let ipv4 = environment.addresses.filter { $0.family == .ipv4 }
            if let prefix = ipv4.first {
                if ipv4.count == 1 { record.own.flags |= UInt32(VNE_ENVIRONMENT_ONE_PREFIX4) }
                record.own.network4 = UInt32(truncatingIfNeeded: prefix.network.rawValue)
                record.own.mask4 = UInt32(truncatingIfNeeded: prefix.mask)
            }
            let ipv6 = environment.addresses.filter { $0.family == .ipv6 }
            if let prefix = ipv6.first {
                if ipv6.count == 1 { record.own.flags |= UInt32(VNE_ENVIRONMENT_ONE_PREFIX6) }
                record.own.network6 = prefix.network.layout
                record.own.mask6 = IPAddress(rawValue: prefix.mask).layout
            }
            for transport in environment.protocols {
                switch transport {
                case .tcp: record.own.protocols |= UInt32(VNE_PROTOCOL_TCP)
                case .udp: record.own.protocols |= UInt32(VNE_PROTOCOL_UDP)
                case .ping: record.own.protocols |= UInt32(VNE_PROTOCOL_PING)
                }
            }
            record.remote_in4 = try remoteEntry(environment.remoteIn, .ipv4).rawValue
            record.remote_in6 = try remoteEntry(environment.remoteIn, .ipv6).rawValue
            record.remote_out4 = try remoteEntry(environment.remoteOut, .ipv4).rawValue
            record.remote_out6 = try remoteEntry(environment.remoteOut, .ipv6).rawValue
            guard FixedText.write(environment.name, to: &record.name) else {
                throw error(.longName(environment.name, most: Int(VNE_NAME_MAX)), line: environment.line)
            }
            return record
        }

        /// Ids in the byte order of their names.
        private mutating func addNames() {
            let sorted = ids.map { (name: Array($0.key.utf8), id: $0.value) }
                .sorted { $0.name.lexicographicallyPrecedes($1.name) }
            header.name_count = UInt32(sorted.count)
            header.name_page = addPages(for: sorted.count, of: MemoryLayout<UInt32>.size)
            let start = Int(header.name_page) * Int(VNE_PAGE_WORDS)
            for (index, entry) in sorted.enumerated() { words[start + index] = entry.id }
        }

        private mutating func addCompares() {
            header.compare_page = addPages(for: compares.compares.count, of: MemoryLayout<vne_compare>.stride)
            let records = compares.compares.map { compare in
                var record = vne_compare()
                record.network = IPAddress(rawValue: compare.block.first).layout
                record.mask = IPAddress(rawValue: compare.block.mask).layout
                record.matched = compare.matched.rawValue
                record.otherwise = compare.otherwise.rawValue
                return record
            }
            store(records, atPage: header.compare_page)
        }

        private mutating func addPermits(_ table: PermitTable) {
            header.permit_mask = UInt32(table.slots.count - 1)
            header.permit_page = addPages(for: table.slots.count, of: MemoryLayout<vne_permit>.stride)
            let records = table.slots.map { slot in
                var record = vne_permit()
                record.from = slot.from
                record.to = slot.to.layout
                record.rules = slot.rules
                return record
            }
            store(records, atPage: header.permit_page)
        }

        private mutating func addRules() {
            header.rule_count = UInt32(rules.rules.count)
            header.rule_page = addPages(for: rules.rules.count, of: MemoryLayout<vne_rule>.stride)
            store(rules.rules.map { vne_rule(match: $0.match, ports: $0.ports) }, atPage: header.rule_page)
        }

        /// Writes records one after the other; none crosses the end of a page, as their sizes divide it.
        private mutating func store<Record: BitwiseCopyable>(_ records: [Record], atPage page: UInt32) {
            let start = Int(page) * Int(VNE_PAGE_SIZE)
            unsafe words.withUnsafeMutableBytes { bytes in
                for (index, record) in records.enumerated() {
                    unsafe bytes.storeBytes(
                        of: record, toByteOffset: start + index * MemoryLayout<Record>.stride, as: Record.self)
                }
            }
        }

        private mutating func addText(_ text: String) {
            var text = text
            text.makeContiguousUTF8()
            header.text_length = UInt32(text.utf8.count)
            header.text_page = addPages(for: text.utf8.count, of: 1)
            let start = Int(header.text_page) * Int(VNE_PAGE_SIZE)
            unsafe words.withUnsafeMutableBytes { bytes in
                unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start...]).copyBytes(from: text.utf8)
            }
        }

        private mutating func completeHeader(_ publication: Publication) throws(PolicyImageError) {
            header.magic = UInt32(VNE_IMAGE_MAGIC)
            header.abi_version = UInt32(VNE_ABI_VERSION)
            header.page_count = UInt32(words.count / Int(VNE_PAGE_WORDS))
            header.generation = publication.generation
            header.flows_open = publication.flowsOpen ? 1 : 0
            header.flow_floor = publication.flowFloor
            let interfaces = Set(host.interfaces.values).sorted()
            guard interfaces.count <= Int(VNE_INTERFACES_MAX) else {
                throw error(.interfaces(count: interfaces.count, most: Int(VNE_INTERFACES_MAX)))
            }
            header.interface_count = UInt32(interfaces.count)
            var shared = policy.loopbackShared
            for service in host.sharedServices where !shared.contains(service) { shared.append(service) }
            guard shared.count <= Int(VNE_SHARED_MAX) else {
                throw error(.sharedServices(count: shared.count, most: Int(VNE_SHARED_MAX)))
            }
            header.shared_count = UInt32(shared.count)
            if let addresses = policy.hostGuard?.addresses {
                header.guard4 = addresses.ipv4?.layout ?? vne_address()
                header.guard6 = addresses.ipv6?.layout ?? vne_address()
            }
            header.hostnames = policy.hostnames.layout
            // The policy file's reader takes no longer one.
            _ = FixedText.write(policy.interface ?? "", to: &header.interface)
            // A longer name is cut: it is for messages only.
            var source = policy.source
            while !FixedText.write(source, to: &header.source) { source.removeLast() }
            unsafe words.withUnsafeMutableBytes { bytes in
                unsafe bytes.storeBytes(of: header, as: vne_image_header.self)
                for (index, interface) in interfaces.enumerated() {
                    unsafe bytes.storeBytes(
                        of: interface, toByteOffset: HeaderOffset.interfaces + index * MemoryLayout<UInt32>.size,
                        as: UInt32.self)
                }
                for (index, service) in shared.enumerated() {
                    unsafe bytes.storeBytes(
                        of: vne_shared_service(
                            address: service.address.layout, port: UInt32(service.port), reserved: 0),
                        toByteOffset: HeaderOffset.shared + index * MemoryLayout<vne_shared_service>.stride,
                        as: vne_shared_service.self)
                }
            }
        }
    }

    /// Where in the header the parts lie that are written by themselves, in bytes.
    enum HeaderOffset {
        static let interfaces = offset(\.interfaces)
        static let shared = offset(\.shared)
        static let flowsOpen = offset(\.flows_open)
        static let flowFloor = offset(\.flow_floor)

        private static func offset(_ field: PartialKeyPath<vne_image_header>) -> Int {
            guard let offset = MemoryLayout<vne_image_header>.offset(of: field) else {
                preconditionFailure("a field of a C structure has an offset")
            }
            return offset
        }
    }
}
