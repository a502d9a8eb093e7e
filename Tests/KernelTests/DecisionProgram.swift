import CLibBPF
import PolicyModel
import VNEPrograms

@testable import VNEBPF

/// The decision of `bpf/decision.bpf.h` in the kernel, without a hook: the test-only program of
/// `bpf/tests/decision_test.bpf.c`, asked by `bpf_prog_test_run_opts`.
final class DecisionProgram {
    private let program: BPFProgram
    private let policy: BPFMap
    private let asking: BPFMap

    /// Loads the object of a file. Nothing of it outlives this value.
    init(object path: String) throws {
        try BPFFileSystem.mountIfNeeded()
        // What libbpf loads is held by pins for the moment until it is opened again.
        Leftovers.sweep()
        let pins = "\(PinDirectory.root)/\(Leftovers.newName())"
        defer { try? BPFFileSystem.sweep(pins) }
        try BPFFileSystem.makeDirectory(pins)
        try ObjectFile.withImage(of: path) { image in
            let object = try BPFObject.open(image, name: "vne_decision")
            try object.load()
            try object.pinProgram("vne_decide", at: "\(pins)/vne_decide")
            for name in ["policy", "asking"] { try object.pinMap(name, at: "\(pins)/\(name)") }
        }
        program = try BPFProgram(pinnedAt: "\(pins)/vne_decide")
        policy = try BPFMap(pinnedAt: "\(pins)/policy", name: "policy")
        asking = try BPFMap(pinnedAt: "\(pins)/asking", name: "asking")
    }

    /// Puts an image in the place of the last one.
    func publish(_ image: PolicyImage) throws {
        var options = bpf_map_create_opts()
        options.sz = MemoryLayout<bpf_map_create_opts>.size
        options.map_flags = UInt32(BPF_F_MMAPABLE) | UInt32(BPF_F_INNER_MAP)
        let descriptor = unsafe bpf_map_create(
            BPF_MAP_TYPE_ARRAY, "image", 4, UInt32(VNE_PAGE_SIZE), UInt32(image.pageCount), &options)
        guard descriptor >= 0 else { throw TestFailure("bpf_map_create: \(-descriptor)") }
        let pages = BPFMap(owning: descriptor, name: "image")
        for number in 0..<UInt32(image.pageCount) {
            guard let words = image.page(number) else { continue }
            let bytes = unsafe words.withUnsafeBytes { unsafe [UInt8]($0) }
            try pages.write(bytes: bytes, at: number)
        }
        try policy.write(pages.descriptor.rawValue, at: UInt32(0))
    }

    /// The bytes of an attachment, for ``attach(_:as:)``.
    struct Attachment: Equatable {
        private(set) var bytes = [UInt8](repeating: 0, count: MemoryLayout<vne_attachment>.size)

        init(of subject: Subject, environment: UInt32, isOpen: Bool = true) {
            store(isOpen ? UInt32(VNE_ATTACHMENT_OPEN) : 2, at: MemoryLayout<vne_attachment>.offset(of: \.state))
            store(environment, at: MemoryLayout<vne_attachment>.offset(of: \.environment))
            setAddresses(subject.addresses)
            store(subject.loopback.ipv4.ipv4 ?? 0, at: MemoryLayout<vne_attachment>.offset(of: \.identity.loopback4))
            store(subject.loopback.ipv6.layout, at: MemoryLayout<vne_attachment>.offset(of: \.identity.loopback6))
        }

        /// Has it have these application addresses, or none at all.
        mutating func setAddresses(_ addresses: ApplicationAddresses?) {
            store(addresses?.layout4 ?? 0, at: MemoryLayout<vne_attachment>.offset(of: \.identity.address4))
            store(addresses?.layout6 ?? vne_address(), at: MemoryLayout<vne_attachment>.offset(of: \.identity.address6))
        }

        /// Writes an entry of the flow table, in the set of a flow that need not be the same one.
        mutating func remember(_ key: FlowKey, inSetOf other: FlowKey, stamp: UInt32, way: Int) {
            let index = other.set * Int(VNE_FLOW_WAYS) + way
            store(key.remote.layout, at: FlowOffset.remotes, index)
            store(key.ports, at: FlowOffset.ports, index)
            store(stamp, at: FlowOffset.stamps, index)
        }

        private mutating func store<Value: BitwiseCopyable>(_ value: Value, at offset: Int?, _ index: Int = 0) {
            guard let offset else { preconditionFailure("a field of a C structure has an offset") }
            unsafe bytes.withUnsafeMutableBytes {
                unsafe $0.storeBytes(of: value, toByteOffset: offset + index * MemoryLayout<Value>.size, as: Value.self)
            }
        }
    }

    /// Has the application of this index be as an attachment says.
    func attach(_ attachment: Attachment, as application: UInt32) throws {
        try asking.write(bytes: attachment.bytes, at: application)
    }

    /// `struct vne_test_question`.
    struct Question {
        var remote = vne_address()
        var remotePort: UInt16 = 0
        var localPort: UInt16 = 0
        var transport: UInt32 = 0
        var flags: UInt32 = 0
        var interface: UInt32 = 0
        /// A leaving packet's source, an arriving one's destination.
        var local = vne_address()
        var direction = Self.call
        var application: UInt32 = 0
        var sender: UInt32 = 0
        var reserved: UInt32 = 0

        static let answers: UInt32 = 1
        static let accepts: UInt32 = 2
        static let listens: UInt32 = 4
        static let translated: UInt32 = 8

        static let call: UInt32 = 0
        static let leaving: UInt32 = 1
        static let arriving: UInt32 = 2
    }

    /// What the kernel says to it.
    func reason(_ question: Question) throws -> Reason? {
        var options = unsafe bpf_test_run_opts()
        unsafe options.sz = MemoryLayout<bpf_test_run_opts>.size
        let result = unsafe withUnsafeBytes(of: question) { bytes in
            unsafe options.data_in = bytes.baseAddress
            unsafe options.data_size_in = UInt32(bytes.count)
            return unsafe bpf_prog_test_run_opts(program.descriptor.rawValue, &options)
        }
        guard result == 0 else { throw TestFailure("bpf_prog_test_run_opts: \(-result)") }
        return Reason(layout: unsafe options.retval)
    }
}
